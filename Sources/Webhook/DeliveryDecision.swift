/// What becomes of a delivery after an attempt.
public enum DeliveryDecision: Sendable, Hashable {
    /// It has arrived.
    case delivered
    /// It is tried again after so long.
    case retry(after: Duration)
    /// It was tried as often as its subscription allows: it waits among the dead letters for somebody to look at it.
    case deadLetter
    /// The receiver wants no more webhooks: the endpoint is disabled, and this delivery ends with it.
    case endpointGone

    /// Decides after an attempt that was made. A delivery that waits because of its endpoint's circuit, its rate or its cap has
    /// made no attempt, and uses up no retry.
    ///
    /// - Parameters:
    ///   - attempts: how many attempts have been made for it, this one included.
    ///   - retries: what its subscription asks for.
    ///   - random: evenly spread over 0...1.
    public init(
        after outcome: DeliveryOutcome, attempts: Int, retries: WebhookRetryPolicy, schedule: RetrySchedule,
        random: Double
    ) {
        if outcome.isSuccess {
            self = .delivered
        } else if outcome.statusFailure == .gone {
            self = .endpointGone
        } else if let delay = schedule.delay(afterFailures: attempts, by: retries, random: random) {
            self = .retry(after: max(delay, outcome.requestedPause ?? .zero))
        } else {
            self = .deadLetter
        }
    }
}
