import Loop
import Testing

@Suite("Work that several ask for at once")
struct SharedWorkTests {
    init() { Loop.runInBackground() }

    /// Work that waits until it is let go on, and counts.
    @OnLoop
    private final class Trial {
        var begun: [String] = []
        var tags: [[Int]] = []
        var mayEnd = false
        var mostAtOnce = 0
        private var atOnce = 0

        func work(_ key: String, _ tags: [Int]) async throws -> Int {
            begun.append(key)
            self.tags.append(tags)
            atOnce += 1
            mostAtOnce = max(mostAtOnce, atOnce)
            defer { atOnce -= 1 }
            let number = begun.count
            while !mayEnd { try await Loop.sleep(for: .milliseconds(1)) }
            if key == "bad" { throw LoopError(.unreachable, "work") }
            return number
        }
    }

    @OnLoop private func with(
        _ trial: Trial, atOnce: Int = 1, bound: Int = 10, gathering: Duration = .milliseconds(20),
        _ body: @escaping @Sendable @OnLoop (SharedWork<String, Int, Int>) async throws -> Void
    ) async throws {
        let work = SharedWork<String, Int, Int>(atOnce: atOnce, bound: bound, gathering: gathering) {
            try await trial.work($0, $1)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await work.run() }
            try await Loop.withDeadline(.seconds(30), "trial") { try await body(work) }
            group.cancelAll()
        }
    }

    @OnLoop private func until(_ condition: @OnLoop () -> Bool) async throws {
        while !condition() { try await Loop.sleep(for: .milliseconds(1)) }
    }

    @Test("Those who ask before it begins share it; those who ask meanwhile share the next")
    @OnLoop func sharing() async throws {
        let trial = Trial()
        try await with(trial) { work in
            async let first = work("a", 1)
            async let second = work("a", 2)
            try await until { trial.begun.count == 1 }
            async let third = work("a", 3)
            async let fourth = work("a", 4)
            try await Loop.sleep(for: .milliseconds(50))
            #expect(trial.begun == ["a"])
            trial.mayEnd = true
            let results = try await [first, second, third, fourth]
            #expect(results == [1, 1, 2, 2])
            #expect(trial.tags.map { $0.sorted() } == [[1, 2], [3, 4]])
        }
    }

    @Test("Different work goes on at the same time, as much as may, and never twice the same")
    @OnLoop func atOnce() async throws {
        let trial = Trial()
        try await with(trial, atOnce: 2, gathering: .zero) { work in
            async let a = work("a", 1)
            async let b = work("b", 2)
            async let c = work("c", 3)
            try await until { trial.begun.count == 2 }
            // Which of them have begun is nobody's affair but theirs.
            let begun = trial.begun[0]
            async let again = work(begun, 4)
            try await Loop.sleep(for: .milliseconds(20))
            #expect(trial.begun.count == 2)
            trial.mayEnd = true
            _ = try await [a, b, c, again]
            #expect(trial.begun.sorted() == ["a", "b", "c", begun].sorted())
            #expect(trial.mostAtOnce == 2)
        }
    }

    @Test("What it throws is thrown to all who share it, and the next is tried anew")
    @OnLoop func failure() async throws {
        let trial = Trial()
        trial.mayEnd = true
        try await with(trial) { work in
            await withTaskGroup(of: Bool.self) { group in
                for tag in 0..<3 {
                    group.addTask {
                        do { _ = try await work("bad", tag) } catch { return error is LoopError }
                        return false
                    }
                }
                for await isThrown in group { #expect(isThrown) }
            }
            #expect(trial.begun == ["bad"])
            let next = try await work("good", 9)
            #expect(next == 2)
        }
    }

    @Test("No more waits than the bound")
    @OnLoop func bound() async throws {
        let trial = Trial()
        try await with(trial, bound: 2, gathering: .zero) { work in
            async let a = work("a", 1)
            try await until { trial.begun.count == 1 }
            async let b = work("b", 2)
            async let c = work("c", 3)
            try await Loop.sleep(for: .milliseconds(5))
            await #expect(throws: LoopError.self) { _ = try await work("d", 4) }
            trial.mayEnd = true
            _ = try await [a, b, c]
        }
    }
}
