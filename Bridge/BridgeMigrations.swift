internal import Postgres

/// The bridge's own tables, in the order in which they came to be. A file that was released is never changed again.
let bridgeMigrations = [
    Migration(number: 1, name: "booking", sql: PackageResources._0001_booking_sql),
    Migration(number: 2, name: "booking_engine", sql: PackageResources._0002_booking_engine_sql),
]
