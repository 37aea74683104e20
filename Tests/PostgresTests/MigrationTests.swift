import Loop
import Postgres
import Testing

private enum SQL {
    static let databases: [String: Query<Void>] = [
        "migrate_twice": create("create.a", "CREATE DATABASE migrate_twice"),
        "migrate_changed": create("create.b", "CREATE DATABASE migrate_changed"),
        "migrate_newer": create("create.c", "CREATE DATABASE migrate_newer"),
        "migrate_race": create("create.d", "CREATE DATABASE migrate_race"),
        "migrate_broken": create("create.e", "CREATE DATABASE migrate_broken"),
        "migrate_silent": create("create.f", "CREATE DATABASE migrate_silent"),
    ]
    static func create(_ name: StaticString, _ sql: StaticString) -> Query<Void> { Statement<Void>(name, sql)() }

    static let applied = Statement<String>(
        "test.applied", "SELECT number || ' ' || name FROM drawbridge.schema_migrations ORDER BY number"
    ) { row in try row.next() }
    static let rooms = Statement<Int>("test.rooms", "SELECT count(*) FROM rooms") { row in try row.next() }
}

private func migration(_ number: Int32, _ name: String, _ sql: String) -> Migration {
    Migration(number: number, name: name, sql: Array(sql.utf8))
}

private let first = migration(
    1, "rooms", "CREATE TABLE rooms (id int4 PRIMARY KEY);\nINSERT INTO rooms VALUES (1), (2);")
private let second = migration(2, "floors", "ALTER TABLE rooms ADD floor int4;")

private func withFreshDatabase(
    _ name: String, _ body: @escaping @Sendable @OnLoop (DatabaseConfiguration) async throws -> Void
) async throws {
    try await withDatabase(connections: 1) { database in
        try await database.execute(SQL.databases[name]!)
        var configuration = try await Cluster.shared().configuration(connections: 1, database: name)
        configuration.name = name
        try await body(configuration)
    }
}

@OnLoop
private func description(_ body: @OnLoop () async throws -> Void) async -> String {
    do {
        try await body()
        return ""
    } catch { return "\(error)" }
}

@Suite(.timeLimit(.minutes(1))) struct MigrationTests {
    @Test("Each is applied once and recorded")
    func twice() async throws {
        try await withFreshDatabase("migrate_twice") { configuration in
            let applied = try await Migrations.apply([first, second], to: configuration)
            #expect(applied.map(\.number) == [1, 2])
            let again = try await Migrations.apply([first, second], to: configuration)
            #expect(again.isEmpty)
            try await Database.with(configuration) { database in
                let records = try await database.query(SQL.applied())
                #expect(records == ["1 rooms", "2 floors"])
            }
        }
    }

    @Test("A host that says nothing is passed over for the next one")
    func silentHost() async throws {
        try await withFreshDatabase("migrate_silent") { configuration in
            let silent = try ListeningSocket(address: "127.0.0.1", port: 0)
            let hosts = "host=127.0.0.1,127.0.0.1 port=\(silent.port),\(try await Cluster.shared().port)"
            let listener = try Listener(silent)
            defer { listener.close() }
            var several = configuration
            several.connectionString = "\(hosts) user=tests dbname=migrate_silent"
            several.connectDeadline = .seconds(2)
            let applied = try await Migrations.apply([first], to: several)
            #expect(applied.count == 1)
        }
    }

    @Test("A file that has changed since it was applied is refused")
    func changed() async throws {
        try await withFreshDatabase("migrate_changed") { configuration in
            try await Migrations.apply([first], to: configuration)
            let message = await description {
                try await Migrations.apply([migration(1, "rooms", "CREATE TABLE beds ()")], to: configuration)
            }
            #expect(message.contains("migration 1 (rooms) has changed since it was applied"))
        }
    }

    @Test("A database that is newer than the program is refused")
    func newer() async throws {
        try await withFreshDatabase("migrate_newer") { configuration in
            try await Migrations.apply([first, second], to: configuration)
            let message = await description { try await Migrations.apply([first], to: configuration) }
            #expect(message.contains("the database is newer than this program: it has migration 2 (floors)"))
        }
    }

    @Test("Programs that start at the same moment apply each once")
    func race() async throws {
        try await withFreshDatabase("migrate_race") { configuration in
            let applied = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<4 {
                    group.addTask { try await Migrations.apply([first, second], to: configuration).count }
                }
                var count = 0
                while let more = try await group.next() { count += more }
                return count
            }
            #expect(applied == 2)
            try await Database.with(configuration) { database in
                let rooms = try await database.query(SQL.rooms())
                #expect(rooms == [2])
            }
        }
    }

    @Test("A file that fails leaves nothing behind and says in which line")
    func broken() async throws {
        try await withFreshDatabase("migrate_broken") { configuration in
            let wrong = migration(1, "wrong", "CREATE TABLE beds ();\n\nSELECT oops;\n")
            let failure = await description { try await Migrations.apply([wrong], to: configuration) }
            #expect(failure.contains("migration 1 (wrong), line 3: column \"oops\" does not exist"))
            let ending = migration(1, "ending", "CREATE TABLE beds (); COMMIT;")
            let refusal = await description { try await Migrations.apply([ending], to: configuration) }
            #expect(refusal.contains("begins or ends a transaction"))
        }
    }
}
