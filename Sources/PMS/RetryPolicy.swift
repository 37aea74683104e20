/// How often a write into the PMS is tried, and how long is waited in between: exponential backoff with jitter, so that
/// those who failed together do not come back together.
public struct RetryPolicy: Hashable, Sendable {
    /// How often it is tried at most, the first time included.
    public var attempts = 3
    /// The wait after the first attempt.
    public var initialDelay = Duration.seconds(1)
    /// By how much each wait is longer than the one before.
    public var multiplier = 2
    /// The longest wait, before jitter.
    public var longestDelay = Duration.seconds(30)
    /// By how many per cent of it a wait is lengthened at most, at random.
    public var jitterPercentage = 50
    /// The failures after which it is tried again at all.
    public var retryable = Set(WriteFailure.Kind.allCases.filter(\.isTransient))

    /// The defaults.
    public init() {}

    /// The wait after an attempt that failed.
    ///
    /// - Parameters:
    ///   - attempt: how many have failed, from 1.
    ///   - random: from 0 to 1.
    public func delay(after attempt: Int, random: Double) -> Duration {
        var delay = min(initialDelay, longestDelay)
        // Stops at the longest, so that no number of attempts overflows.
        for _ in 1..<max(1, attempt) where delay < longestDelay { delay = min(longestDelay, delay * multiplier) }
        return delay + delay * (Double(jitterPercentage) / 100 * min(max(random, 0), 1))
    }

    /// What follows a failure.
    ///
    /// - Returns: how long to wait before the next attempt, at least as long as the PMS asks for; nil when there is none.
    public func wait(after attempt: Int, _ failure: WriteFailure, random: Double) -> Duration? {
        guard attempt < attempts, failure.nature != .permanent, retryable.contains(failure.kind) else { return nil }
        return max(delay(after: attempt, random: random), failure.retryAfter ?? .zero)
    }
}
