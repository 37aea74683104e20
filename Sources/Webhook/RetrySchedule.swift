/// When a failed delivery is tried again.
///
/// The exponential delays are those that the Standard Webhooks recommend (standard-webhooks.md 1.0.0, "Deliverability and
/// reliability"): the last attempt of ten comes 75 hours after the first, so that neither a restart nor a long weekend loses
/// anything.
public struct RetrySchedule: Sendable, Hashable {
    static let standardDelays: [Duration] = [
        .seconds(5), .seconds(5 * 60), .seconds(30 * 60), .seconds(2 * 3600), .seconds(5 * 3600), .seconds(10 * 3600),
        .seconds(14 * 3600), .seconds(20 * 3600), .seconds(24 * 3600),
    ]

    /// The delays before the first, second, … retry of an exponential policy. A policy that asks for more retries waits as
    /// long as the last one before each of them.
    public var exponentialDelays = standardDelays
    /// By how much each delay of a linear policy is longer than the one before; the first is as long.
    public var linearStep = Duration.seconds(5 * 60)
    /// The longest delay, before jitter.
    public var longestDelay = Duration.seconds(24 * 3600)
    /// By how many per cent of it a delay is made longer or shorter at most, at random, so that those who failed together do
    /// not come back together.
    public var jitterPercentage = 10

    /// The defaults.
    public init() {}

    /// How long to wait before a delivery is tried again.
    ///
    /// - Parameters:
    ///   - failures: how many of its attempts have failed, from 1.
    ///   - policy: what its subscription asks for.
    ///   - random: evenly spread over 0...1.
    /// - Returns: nil when no retry is left.
    public func delay(afterFailures failures: Int, by policy: WebhookRetryPolicy, random: Double) -> Duration? {
        let retry = max(1, failures)
        guard retry <= policy.maximumRetries else { return nil }
        let delay =
            switch policy.backoff {
            case .exponential:
                exponentialDelays.indices.contains(retry - 1)
                    ? exponentialDelays[retry - 1] : exponentialDelays.last ?? longestDelay
            case .linear: linearStep * retry
            }
        let share = Double(jitterPercentage) / 100
        return min(delay, longestDelay) * (1 - share + 2 * share * min(max(random, 0), 1))
    }
}
