import Testing

@testable import Webhook

@Suite struct DeliveryDecisionTests {
    private func decision(
        _ outcome: DeliveryOutcome, attempts: Int = 1, retries: WebhookRetryPolicy = .standard
    ) -> DeliveryDecision {
        DeliveryDecision(after: outcome, attempts: attempts, retries: retries, schedule: RetrySchedule(), random: 0.5)
    }

    @Test("Every 2xx delivers, and nothing else does") func success() {
        for status in -1...1000 {
            let decision = decision(.answered(status: status, retryAfter: nil))
            #expect((decision == .delivered) == (200...299 ~= status))
        }
    }

    @Test("410 ends the endpoint, however many retries are left") func gone() {
        #expect(decision(.answered(status: 410, retryAfter: .seconds(5))) == .endpointGone)
        #expect(decision(.answered(status: 410, retryAfter: nil), attempts: 10) == .endpointGone)
    }

    @Test("Every other answer is tried again by the schedule") func statuses() {
        for status in [-1, 0, 100, 199, 300, 301, 308, 400, 401, 404, 408, 422, 429, 500, 502, 503, 504, 600, 999] {
            #expect(decision(.answered(status: status, retryAfter: nil)) == .retry(after: .seconds(5)), "\(status)")
        }
    }

    @Test("Every failure without an answer is tried again by the schedule") func transport() {
        for failure in DeliveryOutcome.TransportFailure.allCases {
            #expect(decision(.failed(failure), attempts: 2) == .retry(after: .seconds(300)))
        }
    }

    @Test("When no retry is left, a failure is a dead letter") func deadLetter() throws {
        for outcome in [DeliveryOutcome.failed(.timedOut), .answered(status: 503, retryAfter: .seconds(5))] {
            #expect(decision(outcome, attempts: 9) == .retry(after: .seconds(86_400)))
            #expect(decision(outcome, attempts: 10) == .deadLetter)
            let none = try WebhookRetryPolicy(maximumRetries: 0, backoff: .linear)
            #expect(decision(outcome, retries: none) == .deadLetter)
        }
    }

    @Test("429 and 503 put a retry off, never forward; others cannot") func retryAfter() {
        for status in [429, 503] {
            #expect(decision(.answered(status: status, retryAfter: .seconds(60))) == .retry(after: .seconds(60)))
            #expect(decision(.answered(status: status, retryAfter: .seconds(1))) == .retry(after: .seconds(5)))
        }
        for status in [301, 404, 500] {
            #expect(decision(.answered(status: status, retryAfter: .seconds(60))) == .retry(after: .seconds(5)))
        }
    }

    @Test("Each failure has a name of its own, and no success has one") func names() {
        let transport = DeliveryOutcome.TransportFailure.allCases
        let statuses = DeliveryOutcome.StatusFailure.allCases
        #expect(Set(transport.map(\.rawValue) + statuses.map(\.rawValue)).count == transport.count + statuses.count)
        for failure in transport { #expect(DeliveryOutcome.failed(failure).reason == failure.rawValue) }
        for (status, reason) in [
            (200, nil), (299, nil), (302, "redirected"), (410, "gone"), (429, "rate_limited"), (503, "unavailable"),
            (400, "refused"), (499, "refused"), (500, "server_error"), (599, "server_error"),
            (100, "unexpected_status"), (600, "unexpected_status"),
        ] {
            #expect(DeliveryOutcome.answered(status: status, retryAfter: nil).reason == reason)
        }
    }
}
