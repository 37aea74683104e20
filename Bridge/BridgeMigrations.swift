internal import Postgres

/// The bridge's own tables, in the order in which they came to be. A file that was released is never changed again.
/// (A leading digit of a resource file becomes an underscore in the generated name.)
let bridgeMigrations = [
    Migration(number: 1, name: "booking", sql: PackageResources._001_booking_sql),
    Migration(number: 2, name: "booking_engine", sql: PackageResources._002_booking_engine_sql),
    Migration(number: 3, name: "api_keys", sql: PackageResources._003_api_keys_sql),
    Migration(number: 4, name: "revoked_tokens", sql: PackageResources._004_revoked_tokens_sql),
    Migration(number: 5, name: "tokens", sql: PackageResources._005_tokens_sql),
    Migration(number: 6, name: "catalogue", sql: PackageResources._006_catalogue_sql),
    Migration(number: 7, name: "booking_events", sql: PackageResources._007_booking_events_sql),
    Migration(number: 8, name: "availability", sql: PackageResources._008_availability_sql),
    Migration(number: 9, name: "front_desk", sql: PackageResources._009_front_desk_sql),
    Migration(number: 10, name: "pms_writes", sql: PackageResources._010_pms_writes_sql),
]
