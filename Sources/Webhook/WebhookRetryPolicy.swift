/// How a subscription wants failed deliveries to be tried again: the contract's `retryPolicy`.
public struct WebhookRetryPolicy: Sendable, Hashable {
    /// By what rule the delays between attempts grow; `RetrySchedule` says by how much.
    public enum Backoff: String, Sendable, CaseIterable {
        /// Ever longer: seconds first, a day in the end.
        case exponential
        /// Each longer than the one before by the same step.
        case linear
    }

    /// How many retries may be asked for; none means that the first attempt is the only one.
    public static let retryCounts = 0...20

    /// As many attempts as there are default delays: 10 over three days.
    public static let standard = WebhookRetryPolicy(
        uncheckedRetries: RetrySchedule.standardDelays.count, backoff: .exponential)

    /// How often a delivery is tried again after its first attempt, at most.
    public let maximumRetries: Int
    /// The rule of the delays.
    public let backoff: Backoff

    /// - Throws: `WebhookError` when more than 20 or fewer than no retries are asked for.
    public init(maximumRetries: Int, backoff: Backoff) throws(WebhookError) {
        guard Self.retryCounts.contains(maximumRetries) else {
            throw WebhookError(
                .retryPolicy,
                "\(Self.retryCounts.lowerBound) to \(Self.retryCounts.upperBound) retries may be asked for")
        }
        self.init(uncheckedRetries: maximumRetries, backoff: backoff)
    }

    private init(uncheckedRetries: Int, backoff: Backoff) {
        maximumRetries = uncheckedRetries
        self.backoff = backoff
    }
}
