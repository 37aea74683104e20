import TestSupport
import Testing

@testable import Webhook

@Suite struct RetryScheduleTests {
    private static func policy(_ retries: Int, _ backoff: WebhookRetryPolicy.Backoff) throws -> WebhookRetryPolicy {
        try WebhookRetryPolicy(maximumRetries: retries, backoff: backoff)
    }

    @Test("The default is the schedule that the Standard Webhooks recommend, and then it is over") func standard() {
        let delays = (1...10).map { RetrySchedule().delay(afterFailures: $0, by: .standard, random: 0.5) }
        let seconds = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
        #expect(delays == seconds.map { .seconds($0) } + [nil])
    }

    @Test("An exponential policy that asks for more retries waits a day before each") func longer() throws {
        let policy = try Self.policy(12, .exponential)
        let delays = (9...13).map { RetrySchedule().delay(afterFailures: $0, by: policy, random: 0.5) }
        #expect(delays == [.seconds(86_400), .seconds(86_400), .seconds(86_400), .seconds(86_400), nil])
    }

    @Test("A linear policy waits a step longer each time") func linear() throws {
        let policy = try Self.policy(3, .linear)
        let delays = (1...4).map { RetrySchedule().delay(afterFailures: $0, by: policy, random: 0.5) }
        #expect(delays == [.seconds(300), .seconds(600), .seconds(900), nil])
    }

    @Test("No delay is longer than the longest, whatever the table says") func cap() throws {
        var schedule = RetrySchedule()
        schedule.longestDelay = .seconds(60)
        for backoff in WebhookRetryPolicy.Backoff.allCases {
            let delay = schedule.delay(afterFailures: 5, by: try Self.policy(20, backoff), random: 0.5)
            #expect(delay == .seconds(60))
        }
    }

    @Test("Jitter lengthens or shortens a delay by its percentage at most, evenly") func jitter() {
        let schedule = RetrySchedule()
        func delay(_ random: Double) -> Duration? {
            schedule.delay(afterFailures: 2, by: .standard, random: random)
        }
        #expect(delay(0) == .seconds(270) && delay(1) == .seconds(330))
        // Halfway down, but for what a binary fraction rounds.
        #expect(abs(delay(0.25)! / .seconds(285) - 1) < 1e-9)
        #expect(delay(-7) == delay(0) && delay(1e300) == delay(1))
    }

    @Test(
        "Whatever is asked, a delay is positive and bounded, and there are as many as were asked for", arguments: 0..<40
    )
    func bounds(seed: UInt64) throws {
        var random = SeededNumbers(seed: seed)
        var schedule = RetrySchedule()
        schedule.jitterPercentage = .random(in: 0...50, using: &random)
        schedule.longestDelay = .milliseconds(.random(in: 1...100_000_000, using: &random))
        schedule.linearStep = .milliseconds(.random(in: 1...100_000_000, using: &random))
        for backoff in WebhookRetryPolicy.Backoff.allCases {
            let retries = Int.random(in: 0...20, using: &random)
            let policy = try Self.policy(retries, backoff)
            for failures in 1...21 {
                let delay = schedule.delay(
                    afterFailures: failures, by: policy, random: .random(in: 0...1, using: &random))
                #expect((delay != nil) == (failures <= retries))
                if let delay { #expect(delay > .zero && delay <= schedule.longestDelay * 1.5) }
            }
            #expect(schedule.delay(afterFailures: .max, by: policy, random: 0.5) == nil)
        }
    }

    @Test("More retries than a delivery is kept for, or fewer than none, are refused", arguments: [-1, 21, .min, .max])
    func refused(retries: Int) {
        #expect { try WebhookRetryPolicy(maximumRetries: retries, backoff: .linear) } throws: { error in
            (error as? WebhookError)?.message == "0 to 20 retries may be asked for"
        }
    }
}
