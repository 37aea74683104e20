internal import CLibPQ
public import Loop
internal import Telemetry

/// One numbered file that takes the database's schema a step further.
public struct Migration: Sendable {
    public let number: Int32
    public let name: String
    /// Any number of statements, without BEGIN and COMMIT.
    public let sql: [UInt8]

    public init(number: Int32, name: String, sql: [UInt8]) {
        self.number = number
        self.name = name
        self.sql = sql
    }
}

/// Brings a database's schema to the state that the program expects.
///
/// What was applied is recorded in `drawbridge.schema_migrations`. One program at a time works on it, by an advisory
/// lock of the session, so any number may start at once.
@OnLoop
public enum Migrations {
    /// The advisory lock's number: "drawbrdg" in ASCII.
    private static let lock: Int64 = 0x6472_6177_6272_6467

    /// Applies in order those that the database does not have, each in a transaction of its own together with its
    /// record.
    ///
    /// - Parameters:
    ///   - migrations: all that the program has, by ascending number.
    ///   - scripts: what is run besides, while nobody else migrates.
    ///   - deadline: for all together, waiting for others included.
    /// - Returns: those that were applied.
    /// - Throws: `PostgresError` `migration` when an applied file has changed since, the database is newer than the
    ///   program or a file does not leave its transaction as it found it; otherwise what a statement fails with, with
    ///   the file and line in the message.
    @discardableResult
    public static func apply(
        _ migrations: [Migration], to configuration: DatabaseConfiguration, with scripts: Scripts? = nil,
        deadline: Duration = .seconds(600)
    ) async throws -> [Migration] {
        try checkOrder(migrations)
        return try await Session.with(configuration, deadline) { session in
            try await session.rows(SQL.lock(lock))
            if try await session.rows(SQL.hasTable()) != [true] {
                try await session.run(file: "schema_migrations", Array(SQL.createTable.utf8))
            }
            let pending = try await self.pending(of: migrations, session)
            if let scripts {
                try await session.run(file: "check", scripts.check)
                if !pending.isEmpty { try await session.run(file: "preparation", scripts.before) }
            }
            for migration in pending { try await apply(migration, session) }
            if let scripts { try await session.run(file: "completion", scripts.after) }
            return pending
        }
    }

    /// Statements that are run around migrations.
    public struct Scripts: Sendable {
        /// First, always: fails where nothing is to be done.
        public let check: [UInt8]
        /// Before migrations, where any is to be applied.
        public let before: [UInt8]
        /// In the end, always; it may have been run before.
        public let after: [UInt8]

        public init(check: String, before: String, after: String) {
            (self.check, self.before, self.after) = (Array(check.utf8), Array(before.utf8), Array(after.utf8))
        }
    }

    /// Runs a file of any number of statements in one transaction, without recording it.
    ///
    /// - Throws: `PostgresError`, with the line in the message.
    public static func run(
        script sql: [UInt8], named name: String, on configuration: DatabaseConfiguration,
        deadline: Duration = .seconds(600)
    ) async throws {
        try await Session.with(configuration, deadline) { session in
            try await session.run([.plain("BEGIN")])
            try await session.run(file: name, sql)
            try await session.run([.plain("COMMIT")])
        }
    }

    private static func checkOrder(_ migrations: [Migration]) throws {
        for (earlier, later) in zip(migrations, migrations.dropFirst()) where earlier.number >= later.number {
            throw PostgresError(.migration, "migration \(later.number) comes after \(earlier.number)")
        }
    }

    private static func pending(of migrations: [Migration], _ session: Session) async throws -> [Migration] {
        var checksums: [Int32: String] = [:]
        for migration in migrations { checksums[migration.number] = try await session.rows(SQL.md5(migration.sql))[0] }
        let applied = try await session.rows(SQL.applied())
        for record in applied {
            guard let checksum = checksums[record.number] else {
                throw PostgresError(
                    .migration,
                    "the database is newer than this program: it has migration \(record.number) (\(record.name))")
            }
            guard checksum == record.checksum else {
                throw PostgresError(
                    .migration,
                    "migration \(record.number) (\(record.name)) has changed since it was applied: put the file back as"
                        + " it was, and write the change as a new migration")
            }
        }
        let last = applied.last?.number ?? .min
        let pending = migrations.filter { migration in !applied.contains { $0.number == migration.number } }
        if let first = pending.first, first.number < last {
            throw PostgresError(.migration, "migration \(first.number) is new, but \(last) was applied before it")
        }
        return pending
    }

    private static func apply(_ migration: Migration, _ session: Session) async throws {
        let name = "migration \(migration.number) (\(migration.name))"
        try await session.run([.plain("BEGIN")])
        try await session.run(file: name, migration.sql)
        let record = SQL.record(migration.number, migration.name, migration.sql)
        let results = try await session.run([.statement(record.text, record.arguments), .plain("COMMIT")])
        guard results.last?.commandTag == "COMMIT" else {
            throw PostgresError(.migration, "\(name) was rolled back")
        }
        Log.info("migration applied", ["number": .init(migration.number), "name": .init(migration.name)])
    }

    private struct Record: Sendable {
        let number: Int32
        let name: String
        let checksum: String
    }

    private enum SQL {
        static let lock = Statement<Void, Int64>("migrations.lock", "SELECT pg_advisory_lock($1)::text") { row in
            _ = try row.next(String.self)
        }
        // Asked for, because CREATE SCHEMA IF NOT EXISTS needs the right to create even where there is nothing to do.
        static let hasTable = Statement<Bool>(
            "migrations.has_table", "SELECT to_regclass('drawbridge.schema_migrations') IS NOT NULL"
        ) { row in try row.next() }
        static let createTable = """
            CREATE SCHEMA IF NOT EXISTS drawbridge;
            CREATE TABLE drawbridge.schema_migrations (
                number int4 PRIMARY KEY,
                name text NOT NULL,
                checksum text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now()
            );
            """
        static let md5 = Statement<String, [UInt8]>("migrations.md5", "SELECT md5($1)") { row in try row.next() }
        static let applied = Statement<Record>(
            "migrations.applied", "SELECT number, name, checksum FROM drawbridge.schema_migrations ORDER BY number"
        ) { row in Record(number: try row.next(), name: try row.next(), checksum: try row.next()) }
        static let record = Statement<Void, Int32, String, [UInt8]>(
            "migrations.record",
            "INSERT INTO drawbridge.schema_migrations (number, name, checksum) VALUES ($1, $2, md5($3))")
    }
}

/// A connection for work that is done once, outside of any pool.
@OnLoop
private final class Session {
    private let connection: Connection
    private let expires: UInt64

    static func with<Output>(
        _ configuration: DatabaseConfiguration, _ deadline: Duration, _ body: @OnLoop (Session) async throws -> Output
    ) async throws -> Output {
        var configuration = configuration
        // Building an index may take longer than a statement of the request path ever should.
        configuration.statementTimeout = deadline
        configuration.idleTransactionTimeout = deadline
        let connection = try await Connection.openAny(configuration)
        // Waiting for the lock, too, ends with the connection: the server drops what a session held.
        defer { connection.close(nil) }
        let expires = Loop.monotonicNanoseconds + deadline.nanoseconds
        do {
            return try await body(Session(connection, expires: expires))
        } catch {
            if !connection.isClosed, let handle = CancelHandle(connection.pointer) {
                try? await Loop.offload { handle.cancel() }
            }
            throw error
        }
    }

    private init(_ connection: Connection, expires: UInt64) {
        self.connection = connection
        self.expires = expires
    }

    @discardableResult
    func rows<Row>(_ query: Query<Row>) async throws -> [Row] {
        try query.rows(of: try await run([.statement(query.text, query.arguments)])[0])
    }

    @discardableResult
    func run(_ commands: [Unit.Command]) async throws -> [QueryResult] {
        let unit = Unit(commands, expires: expires)
        connection.send(unit)
        return try await unit.answer()
    }

    /// Runs a file, which must not end the transaction in which it runs, should there be one.
    func run(file name: String, _ sql: [UInt8]) async throws {
        guard !sql.contains(0) else { throw PostgresError(.migration, "\(name) has a null byte") }
        let before = PQtransactionStatus(connection.pointer)
        if let report = try await connection.run(script: sql, expires: expires) {
            let error = report.error
            throw PostgresError(error.code, "\(name)\(Self.line(of: report, sql)): \(error.message)")
        }
        guard PQtransactionStatus(connection.pointer) == before else {
            throw PostgresError(.migration, "\(name) begins or ends a transaction, which it must leave to us")
        }
    }

    private static func line(of report: ServerReport, _ sql: [UInt8]) -> String {
        guard let position = report.position else { return "" }
        let line = String(decoding: sql, as: UTF8.self).unicodeScalars.prefix(position - 1).count { $0 == "\n" } + 1
        return ", line \(line)"
    }
}
