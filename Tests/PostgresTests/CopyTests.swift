import Loop
import Postgres
import Testing

private enum Nights {
    static let create = Statement<Void>("nights.create", "CREATE TEMP TABLE nights (id int4 PRIMARY KEY, note text)")
    static let copy = CopyIn<Int32, String?>("nights.copy", "COPY nights (id, note) FROM STDIN (FORMAT binary)")
    static let sum = Statement<[Int]>("nights.sum", "SELECT count(*), count(note), sum(id)::int8 FROM nights") { row in
        [try row.next(), try row.next(), try row.next()]
    }
}

private struct Regret: Error {}

@Suite(.timeLimit(.minutes(1))) struct CopyTests {
    @Test("100,000 rows go in and come out")
    func roundTrip() async throws {
        try await withDatabase(connections: 1) { database in
            try await database.transaction { transaction in
                try await transaction.execute(Nights.create())
                let count = try await transaction.copy(Nights.copy) { rows in
                    for id in 0..<100_000 as Range<Int32> {
                        try await rows.write(id, id % 2 == 0 ? "night \(id)" : nil)
                    }
                }
                #expect(count == 100_000)
                let sums = try await transaction.query(Nights.sum())
                #expect(sums == [[100_000, 50_000, 4_999_950_000]])
                var bytes = 0
                let copied = try await transaction.copyOut("nights.out", "COPY nights TO STDOUT") { bytes += $0.count }
                #expect(copied == 100_000)
                #expect(bytes > 1_000_000)
            }
        }
    }

    @Test("Text goes in in pieces of any size")
    func text() async throws {
        try await withDatabase(connections: 1) { database in
            try await database.transaction { transaction in
                try await transaction.execute(Nights.create())
                let count = try await transaction.copyText("nights.csv", "COPY nights FROM STDIN (FORMAT csv)") {
                    for piece in ["1,a", "\n2,", "\n", "3,\"c,d\"\n"] { try await $0.write(Array(piece.utf8)) }
                }
                #expect(count == 3)
            }
        }
    }

    @Test("A row that violates a constraint fails the copy, and the connection lives on")
    func violation() async throws {
        try await withDatabase(connections: 1) { database in
            let code = await failure {
                try await database.transaction { transaction in
                    try await transaction.execute(Nights.create())
                    try await transaction.copy(Nights.copy) { rows in
                        try await rows.write(1, nil)
                        try await rows.write(1, nil)
                    }
                }
            }
            #expect(code == .uniqueViolation(constraint: "nights_pkey"))
            try await database.execute(Nights.create())
        }
    }

    @Test("A copy whose body throws copies nothing")
    func thrown() async throws {
        try await withDatabase(connections: 1) { database in
            await #expect(throws: Regret.self) {
                try await database.transaction { transaction in
                    try await transaction.execute(Nights.create())
                    try await transaction.copy(Nights.copy) { rows in
                        try await rows.write(1, nil)
                        throw Regret()
                    }
                }
            }
            // The table was the transaction's.
            try await database.execute(Nights.create())
        }
    }

    @Test("A statement that is no COPY is refused")
    func misuse() async throws {
        let wrong = CopyIn<Int32>("copy.wrong", "SELECT 1")
        try await withDatabase(connections: 1) { database in
            let code = await failure {
                _ = try await database.transaction { try await $0.copy(wrong) { try await $0.write(1) } }
            }
            #expect(code == .misuse)
        }
    }
}
