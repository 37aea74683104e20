internal import BridgeSchema
internal import Loop

/// Compares the migrations that a database has with those of this program.
@OnLoop
struct MigrationExamination {
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
        return findings.isEmpty ? [.well("migrations: all \(BridgeSchema.migrations.count) applied")] : findings
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
        let known = BridgeSchema.migrations.map {
            "(\($0.number), '\($0.name)', md5(convert_to(:'file\($0.number)', 'UTF8')))"
        }
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
        BridgeSchema.migrations.map { ("file\($0.number)", String(decoding: $0.sql, as: UTF8.self)) }
    }
}
