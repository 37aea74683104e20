import Loop
import Postgres
import Testing

private enum Numbers {
    static let double = Statement<Int, Int>("numbers.double", "SELECT $1 * 2") { row in try row.next() }
    static let invert = Statement<Int, Int>("numbers.invert", "SELECT 1000 / $1") { row in try row.next() }
    static let wrong = Statement<Int>("numbers.wrong", "SELECT nothing FROM nowhere") { row in try row.next() }
}

@Suite(.timeLimit(.minutes(1))) struct PipelineTests {
    @Test("A statement answers")
    func one() async throws {
        try await withDatabase { database in
            let rows = try await database.query(Numbers.double(21))
            #expect(rows == [42])
        }
    }

    @Test("Many statements on one connection are answered each with its own result")
    func order() async throws {
        try await withDatabase(connections: 1) { database in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<500 {
                    group.addTask { try await database.query(Numbers.double(number)) == [2 * number] }
                }
                for try await isRight in group { #expect(isRight) }
            }
        }
    }

    @Test("A statement that fails does not fail those before and after it")
    func isolation() async throws {
        try await withDatabase(connections: 1) { database in
            await withTaskGroup(of: Bool.self) { group in
                for number in 0..<100 {
                    group.addTask {
                        let code = await failure { _ = try await database.query(Numbers.invert(number % 3)) }
                        return code == (number % 3 == 0 ? .sql(state: "22012") : nil)
                    }
                }
                for await isRight in group { #expect(isRight) }
            }
        }
    }

    @Test("A statement that cannot be prepared says so each time and harms no other")
    func unpreparable() async throws {
        try await withDatabase(connections: 1) { database in
            await withTaskGroup(of: Bool.self) { group in
                for number in 0..<60 {
                    group.addTask {
                        if number % 2 == 0 {
                            return await failure { _ = try await database.query(Numbers.wrong()) }
                                == .sql(state: "42P01")
                        }
                        return await failure { _ = try await database.query(Numbers.double(number)) } == nil
                    }
                }
                for await isRight in group { #expect(isRight) }
            }
        }
    }
}
