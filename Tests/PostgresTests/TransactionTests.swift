import Loop
import Postgres
import Testing

private enum Things {
    static let create = Statement<Void>(
        "things.create",
        """
        CREATE TABLE IF NOT EXISTS things (
            id int4 PRIMARY KEY, name text CONSTRAINT things_name_key UNIQUE, size int4 NOT NULL DEFAULT 0
            CONSTRAINT things_size_check CHECK (size >= 0), parent int4 CONSTRAINT things_parent_fkey REFERENCES things)
        """)
    static let insert = Statement<Void, Int32, String?>("things.insert", "INSERT INTO things VALUES ($1, $2)")
    static let resize = Statement<Void, Int32, Int32?>("things.resize", "UPDATE things SET size = $2 WHERE id = $1")
    static let adopt = Statement<Void, Int32, Int32>("things.adopt", "UPDATE things SET parent = $2 WHERE id = $1")
    static let count = Statement<Int, Int32, Int32>(
        "things.count", "SELECT count(*) FROM things WHERE id BETWEEN $1 AND $2"
    ) { row in try row.next() }
    static let name = Statement<String?, Int32>("things.name", "SELECT name FROM things WHERE id = $1") { row in
        try row.next()
    }
    static let session = Statement<Int32>("things.session", "SELECT pg_backend_pid()") { row in try row.next() }
}

private struct Regret: Error {}

private func withThings(
    connections: Int = 2, _ body: @escaping @Sendable @OnLoop (Database) async throws -> Void
) async throws {
    try await withDatabase(connections: connections) { database in
        // Two may find at the same moment that the table is not there.
        _ = try? await database.execute(Things.create())
        try await body(database)
    }
}

/// Every test has its own hundred of ids.
@Suite(.timeLimit(.minutes(1))) struct TransactionTests {
    @Test("An error in a batch names the statement that failed, not the first one")
    func failingStatement() async throws {
        try await withThings { database in
            let error = await #expect(throws: PostgresError.self) {
                try await database.transaction { transaction in
                    _ = try await transaction.query(
                        Things.count(1, 2), Things.insert(9_901, "a"), Things.insert(9_901, "b"), Things.session())
                }
            }
            #expect(error?.statement == "things.insert")
        }
    }

    @Test("What is prepared waits, across connections, for the word; what failed or is not there is rolled back")
    func prepared() async throws {
        try await withThings { database in
            let first = try #require(PreparedTransaction("test/first"))
            let second = try #require(PreparedTransaction("test/second"))
            try await database.begin().prepare([Things.insert(5_700, nil)], as: first)
            try await database.begin().prepare([Things.insert(5_701, nil)], as: second)
            #expect(try await database.query(Things.count(5_700, 5_799)) == [0])
            try await database.commit(first)
            try await database.rollback(second)
            #expect(try await database.query(Things.count(5_700, 5_799)) == [1])
            // Somebody else was faster.
            try await database.commit(first)
            try await database.rollback(second)
            await #expect(throws: PostgresError.self) {
                try await database.begin().prepare([Things.insert(5_702, nil), Things.insert(5_700, nil)], as: first)
            }
            #expect(try await database.query(Things.count(5_700, 5_799)) == [1])
        }
    }

    @Test(
        "The name of a prepared transaction cannot end the statement it stands in",
        arguments: ["", "a'b", "a b", "a\\b", "ä", String(repeating: "a", count: 200), "a;b", "a\"b", "a\0b"])
    func preparedName(name: String) { #expect(PreparedTransaction(name) == nil) }

    @Test("What is committed stays")
    func commit() async throws {
        try await withThings { database in
            try await database.transaction { transaction in
                try await transaction.execute(Things.insert(100, nil))
                try await transaction.execute(Things.insert(101, nil))
            }
            let count = try await database.query(Things.count(100, 199))
            #expect(count == [2])
        }
    }

    @Test("What a body throws undoes everything and comes out")
    func rollback() async throws {
        try await withThings { database in
            await #expect(throws: Regret.self) {
                try await database.transaction { transaction in
                    try await transaction.execute(Things.insert(200, nil))
                    throw Regret()
                }
            }
            let count = try await database.query(Things.count(200, 299))
            #expect(count == [0])
        }
    }

    @Test("A transaction that is dropped is undone, and its connection is used again")
    func dropped() async throws {
        try await withThings(connections: 1) { database in
            let before = try await database.query(Things.session())
            do {
                let transaction = try await database.begin()
                try await transaction.execute(Things.insert(300, nil))
            }
            let count = try await database.query(Things.count(300, 399))
            #expect(count == [0])
            let after = try await database.query(Things.session())
            #expect(before == after)
        }
    }

    @Test("Statements, BEGIN and COMMIT travel together")
    func batch() async throws {
        try await withThings { database in
            let transaction = try await database.begin(.serializable)
            let (_, counts) = try await transaction.query(Things.insert(400, "four"), Things.count(400, 499))
            #expect(counts == [1])
            let (names, _) = try await transaction.commit(Things.name(400), Things.resize(400, 4))
            #expect(names == ["four"])
            let count = try await database.query(Things.count(400, 499))
            #expect(count == [1])
        }
    }

    @Test("A batch of many statements reports how many rows each changed")
    func many() async throws {
        try await withThings { database in
            try await database.transaction { transaction in
                let inserted = try await transaction.execute((500..<550).map { Things.insert($0, nil) })
                #expect(inserted == Array(repeating: 1, count: 50))
                let changed = try await transaction.execute([Things.resize(500, 1), Things.resize(599, 1)])
                #expect(changed == [1, 0])
            }
        }
    }

    @Test("A batch of many statements commits in one round trip, whole or not at all")
    func manyCommitted() async throws {
        try await withThings { database in
            try await database.begin().commit((550..<560).map { Things.insert($0, nil) })
            #expect(try await database.query(Things.count(550, 559)) == [10])
            let failing = [Things.insert(560, nil), Things.insert(550, nil), Things.insert(561, nil)]
            await #expect(throws: PostgresError.self) { try await database.begin().commit(failing) }
            #expect(try await database.query(Things.count(560, 569)) == [0])
        }
    }

    @Test("Violations name their constraint")
    func violations() async throws {
        try await withThings { database in
            try await database.execute(Things.insert(600, "six hundred"))
            let cases: [(Query<Void>, PostgresError.Code)] = [
                (Things.insert(601, "six hundred"), .uniqueViolation(constraint: "things_name_key")),
                (Things.adopt(600, 699), .foreignKeyViolation(constraint: "things_parent_fkey")),
                (Things.resize(600, -1), .checkViolation(constraint: "things_size_check")),
                (Things.resize(600, nil), .notNullViolation(column: "size")),
            ]
            for (query, expected) in cases {
                let code = await failure { try await database.execute(query) }
                #expect(code == expected)
            }
        }
    }

    @Test("An error's message holds no value")
    func messages() async throws {
        try await withThings { database in
            try await database.execute(Things.insert(700, "Secret Guest"))
            do {
                try await database.execute(Things.insert(701, "Secret Guest"))
                Issue.record("the name was taken twice")
            } catch {
                #expect(!"\(error)".contains("Secret"))
            }
        }
    }

    @Test("After a failed statement COMMIT says that nothing was committed")
    func commitAfterFailure() async throws {
        try await withThings { database in
            let code = await failure {
                try await database.transaction { transaction in
                    try await transaction.execute(Things.insert(800, nil))
                    _ = try? await transaction.execute(Things.insert(800, nil))
                }
            }
            #expect(code == .misuse)
            let count = try await database.query(Things.count(800, 899))
            #expect(count == [0])
        }
    }

    @Test("Two serializable transactions that collide do not both succeed")
    func serialization() async throws {
        try await withThings { database in
            try await database.execute(Things.insert(900, nil))
            let first = try await database.begin(.repeatableRead)
            try await first.execute(Things.resize(900, 1))
            // Waits for the first one's lock, and fails when that one commits.
            async let second = failure {
                try await database.transaction(.repeatableRead) { transaction in
                    _ = try await transaction.query(Things.name(900))
                    try await transaction.execute(Things.resize(900, 2))
                }
            }
            try await Loop.sleep(for: .milliseconds(50))
            try await first.commit()
            let code = await second
            #expect(code == .serializationFailure || code == nil)
        }
    }

    @Test("A read-only transaction cannot write, and the pool goes on")
    func readOnly() async throws {
        try await withThings { database in
            let code = await failure {
                _ = try await database.transaction(.readOnly) { try await $0.execute(Things.insert(1000, nil)) }
            }
            #expect(code == .sql(state: "25006"))
            try await database.execute(Things.insert(1001, nil))
        }
    }
}
