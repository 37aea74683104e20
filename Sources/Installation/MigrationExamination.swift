internal import Loop

/// Compares the migrations that a database has with those of this program. The files are the bridge's own, by links.
@OnLoop
struct MigrationExamination {
    /// In the order of their numbers. (A leading digit of a resource file becomes an underscore in the generated name.)
    nonisolated static let files: [(number: Int32, name: String, sql: [UInt8])] = [
        (1, "booking", PackageResources._001_booking_sql),
        (2, "booking_engine", PackageResources._002_booking_engine_sql),
        (3, "api_keys", PackageResources._003_api_keys_sql),
        (4, "revoked_tokens", PackageResources._004_revoked_tokens_sql),
        (5, "tokens", PackageResources._005_tokens_sql),
        (6, "catalogue", PackageResources._006_catalogue_sql),
        (7, "booking_events", PackageResources._007_booking_events_sql),
        (8, "availability", PackageResources._008_availability_sql),
        (9, "front_desk", PackageResources._009_front_desk_sql),
        (10, "pms_writes", PackageResources._010_pms_writes_sql),
        (11, "pending_reservations", PackageResources._011_pending_reservations_sql),
        (12, "webhook_endpoints", PackageResources._012_webhook_endpoints_sql),
        (13, "webhook_deliveries", PackageResources._013_webhook_deliveries_sql),
        (14, "inbound", PackageResources._014_inbound_sql),
        (15, "webhook_replays", PackageResources._015_webhook_replays_sql),
        (16, "booking_engine_config", PackageResources._016_booking_engine_config_sql),
        (17, "webhook_ownership", PackageResources._017_webhook_ownership_sql),
    ]

    /// How a migration stands in the database.
    private enum State: String {
        case applied, missing, changed, unknown
    }

    let database: Database

    func run() async throws -> [Finding] {
        let rows: String
        do {
            guard try await database.run("SELECT to_regclass('drawbridge.schema_migrations') IS NULL") == "f" else {
                return [.wrong("migrations", "none applied", fix: "drawbridge up applies them")]
            }
            rows = try await database.run(Self.comparison, variables: Self.variables)
        } catch let error as InstallationError {
            return [
                .wrong("migrations", error.message, fix: "let this role read drawbridge.schema_migrations")
            ]
        }
        let findings = rows.split(separator: "\n").compactMap { row -> Finding? in
            let parts = row.split(separator: "|", maxSplits: 2).map(String.init)
            guard parts.count == 3, let state = State(rawValue: parts[1]) else { return nil }
            return Self.finding("migration \(parts[0]) (\(parts[2]))", state)
        }
        return findings.isEmpty ? [.well("migrations: all \(Self.files.count) applied")] : findings
    }

    private static func finding(_ subject: String, _ state: State) -> Finding? {
        switch state {
        case .applied: nil
        case .missing: .wrong(subject, "not applied", fix: "drawbridge up applies it")
        case .changed:
            .wrong(subject, "not the one that was applied", fix: "use the programs that belong to the database")
        case .unknown:
            .wrong(
                subject, "applied, but unknown to this program, which is older than the database",
                fix: "use the programs that belong to the database")
        }
    }

    /// Checksums are made as they were on applying.
    private static var comparison: String {
        let known = files.map { "(\($0.number), '\($0.name)', md5(convert_to(:'file\($0.number)', 'UTF8')))" }
        return """
            SELECT number,
                   CASE WHEN applied.checksum IS NULL THEN 'missing' WHEN known.checksum IS NULL THEN 'unknown'
                        WHEN applied.checksum <> known.checksum THEN 'changed' ELSE 'applied' END,
                   COALESCE(known.name, applied.name)
            FROM (VALUES \(known.joined(separator: ", "))) AS known (number, name, checksum)
            FULL JOIN drawbridge.schema_migrations AS applied USING (number)
            ORDER BY number
            """
    }

    private static var variables: [(key: String, value: String)] {
        files.map { ("file\($0.number)", String(decoding: $0.sql, as: UTF8.self)) }
    }
}
