internal import Loop
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
    Migration(number: 11, name: "pending_reservations", sql: PackageResources._011_pending_reservations_sql),
    Migration(number: 12, name: "webhook_endpoints", sql: PackageResources._012_webhook_endpoints_sql),
    Migration(number: 13, name: "webhook_deliveries", sql: PackageResources._013_webhook_deliveries_sql),
    Migration(number: 14, name: "inbound", sql: PackageResources._014_inbound_sql),
    Migration(number: 15, name: "webhook_replays", sql: PackageResources._015_webhook_replays_sql),
    Migration(number: 16, name: "booking_engine_config", sql: PackageResources._016_booking_engine_config_sql),
    Migration(number: 17, name: "webhook_ownership", sql: PackageResources._017_webhook_ownership_sql),
]

extension BridgeConfiguration {
    /// Brings the database of the bridge's own tables to the state that this program expects.
    ///
    /// Some of the tables refer to the PMS's. Where those are in another database, empty ones stand in for them meanwhile, and
    /// take the references along when they go; a view of the hotels that the bridge knows is left under the PMS's name.
    @OnLoop
    func migrate() async throws {
        guard pmsDatabase != nil else {
            try await Migrations.apply(bridgeMigrations, to: database)
            return
        }
        var configuration = database
        configuration.sessionSettings["search_path"] = "\"$user\", public, drawbridge_stand_in"
        try await Migrations.apply(bridgeMigrations, to: configuration, with: Self.standIns)
    }

    private static let standIns = Migrations.Scripts(
        check: """
            DO $$
            BEGIN
                IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('hotels') AND relkind <> 'v'
                           AND relnamespace IS DISTINCT FROM to_regnamespace('drawbridge_stand_in')) THEN
                    RAISE EXCEPTION 'PMS_DATABASE_URL is set, but the database of DATABASE_URL has a PMS''s tables'
                        USING HINT = 'name a database of the bridge''s own in DATABASE_URL, or unset PMS_DATABASE_URL';
                END IF;
            END $$;
            """,
        before: """
            DROP VIEW IF EXISTS hotels;
            DROP SCHEMA IF EXISTS drawbridge_stand_in CASCADE;
            CREATE SCHEMA drawbridge_stand_in;
            CREATE TABLE drawbridge_stand_in.hotels (id INTEGER PRIMARY KEY);
            CREATE TABLE drawbridge_stand_in.reservations (hotel_id INTEGER, id UUID, PRIMARY KEY (hotel_id, id));
            """,
        after: """
            DROP SCHEMA IF EXISTS drawbridge_stand_in CASCADE;
            CREATE OR REPLACE VIEW hotels AS SELECT hotel_id AS id FROM drawbridge.catalogue_hotels;
            """)
}
