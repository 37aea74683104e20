import TestSupport
import Testing

@testable import Webhook

@Suite struct FailureStreakTests {
    private static let start: Int64 = 1_800_000_000
    private static let limit = Duration.seconds(1000)

    @Test("Alerts come at 50, 75 and 100 per cent of the time, each once") func alerts() {
        var streak = FailureStreak()
        var told: [Int64: [FailureStreak.Milestone]] = [:]
        for seconds in 0...Int64(2000) {
            let passed = streak.fail(at: Self.start + seconds, limit: Self.limit)
            if !passed.isEmpty { told[seconds] = passed }
        }
        #expect(told == [500: [.half], 750: [.threeQuarters], 1000: [.all]])
    }

    @Test("One success ends it, and the next failure begins another") func success() {
        var streak = FailureStreak()
        _ = streak.fail(at: Self.start, limit: Self.limit)
        #expect(streak.fail(at: Self.start + 800, limit: Self.limit) == [.half, .threeQuarters])
        streak.end()
        #expect(streak == FailureStreak())
        #expect(streak.fail(at: Self.start + 1000, limit: Self.limit) == [])
        #expect(streak.fail(at: Self.start + 1499, limit: Self.limit) == [])
        #expect(streak.fail(at: Self.start + 1500, limit: Self.limit) == [.half])
    }

    @Test("The first failure alone never disables, however long ago the last success was") func first() {
        var streak = FailureStreak()
        #expect(streak.fail(at: .max, limit: Self.limit) == [])
    }

    @Test("A milestone is told once, whatever the clocks of those who tell of failures do", arguments: 0..<100)
    func once(seed: UInt64) {
        var random = SeededNumbers(seed: seed)
        var (streak, told, since) = (FailureStreak(), [FailureStreak.Milestone](), Int64?.none)
        for _ in 0..<300 {
            if Int.random(in: 0..<50, using: &random) == 0 {
                streak.end()
                (told, since) = ([], nil)
            }
            let now = Self.start + Int64.random(in: 0...1500, using: &random)
            let passed = streak.fail(at: now, limit: Self.limit)
            since = since ?? now
            told += passed
            #expect(Set(told).count == told.count && told.map(\.rawValue) == told.map(\.rawValue).sorted())
            for milestone in passed { #expect((now - since!) * 100 >= Int64(milestone.rawValue) * 1000) }
            // As it is when another process goes on with it.
            streak = FailureStreak(since: streak.since, reached: streak.reached)
            #expect(streak.since == since && streak.reached == told.last)
        }
    }

    @Test("No instant overflows", arguments: [Int64.min, -1, 0, .max]) func extremes(instant: Int64) {
        for since in [Int64.min, 0, .max] {
            var streak = FailureStreak(since: since, reached: nil)
            #expect(streak.fail(at: instant, limit: Self.limit).contains(.all) == (instant > since && instant != since))
        }
    }
}
