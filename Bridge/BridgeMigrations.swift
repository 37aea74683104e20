internal import BridgeSchema
internal import Loop
internal import Postgres

extension BridgeConfiguration {
    /// Brings the database of the bridge's own tables to the state that this program expects.
    ///
    /// Some of the tables refer to the PMS's. Where those are in another database, empty ones stand in for them meanwhile, and
    /// take the references along when they go; a view of the hotels that the bridge knows is left under the PMS's name.
    @OnLoop
    func migrate() async throws {
        guard pmsDatabase != nil else {
            try await Migrations.apply(Self.migrations, to: database)
            return
        }
        var configuration = database
        configuration.sessionSettings["search_path"] = "\"$user\", public, drawbridge_stand_in"
        try await Migrations.apply(Self.migrations, to: configuration, with: Self.standIns)
    }

    private static let migrations = BridgeSchema.migrations.map {
        Migration(number: $0.number, name: $0.name, sql: $0.sql)
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
