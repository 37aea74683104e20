/// A message as it stands between two attempts to act on it: the one place that says what becomes of it.
///
/// | outcome | status before | after |
/// |---|---|---|
/// | done | `pending`, `retrying` | `processed` |
/// | rejected: trying again cannot help | `pending`, `retrying` | `rejected` |
/// | failed, and the policy has another attempt | `pending`, `retrying` | `retrying` |
/// | failed otherwise | `pending`, `retrying` | `dead` |
/// | retried by somebody | `rejected`, `dead` | `pending`, no attempt made |
///
/// An attempt is counted when it begins, so that one that takes its process with it counts as well.
public struct InboundMessage: Sendable, Hashable {
    /// Where it stands.
    public enum Status: String, Sendable, CaseIterable {
        /// It has not failed yet.
        case pending
        /// It has failed, and is tried again.
        case retrying
        /// What it asked for was done.
        case processed
        /// Nothing can be done about it; its reason says why.
        case rejected
        /// A dead letter: it has failed as often as it is tried.
        case dead

        /// Whether it is tried by itself.
        public var isOpen: Bool { self == .pending || self == .retrying }
    }

    /// What came of an attempt.
    public enum Outcome: Sendable, Hashable {
        case done
        case rejected(InboundRejection)
        /// In words that may be shown to an administrator.
        case failed(String)
    }

    /// Where it stands then.
    public struct Step: Sendable, Hashable {
        public let status: Status
        /// Why, where it was not done.
        public let reason: String?
        /// How long it waits for its next attempt; nil when there is none by itself.
        public let wait: Duration?
    }

    /// Where it stands.
    public let status: Status
    /// Attempts that have begun.
    public let attempts: Int

    /// A message as it was stored.
    public init(status: Status, attempts: Int) {
        self.status = status
        self.attempts = attempts
    }

    /// Whether its last attempt ended without saying how, and was the last it had.
    public func isSpent(_ retries: InboundRetries) -> Bool { status.isOpen && attempts > retries.attempts }

    /// What becomes of it after an attempt that has begun.
    ///
    /// - Parameter random: from 0 to 1.
    public func after(_ outcome: Outcome, _ retries: InboundRetries, random: Double) -> Step {
        guard status.isOpen else { return Step(status: status, reason: nil, wait: nil) }
        switch outcome {
        case .done: return Step(status: .processed, reason: nil, wait: nil)
        case .rejected(let rejection): return Step(status: .rejected, reason: rejection.words, wait: nil)
        case .failed(let reason):
            guard attempts < retries.attempts else { return Step(status: .dead, reason: reason, wait: nil) }
            return Step(status: .retrying, reason: reason, wait: retries.delay(after: attempts, random: random))
        }
    }
}

/// How often a message is tried, and when.
public struct InboundRetries: Sendable, Hashable {
    /// How often it is tried at most, the first time included.
    public var attempts = 20
    /// The wait after the first attempt; each is twice the one before.
    public var initialDelay = Duration.seconds(1)
    /// The longest wait, before jitter.
    public var longestDelay = Duration.seconds(600)

    /// By how much of itself a wait is lengthened at most, at random, so that what failed together does not come together.
    private static let jitter = 0.5

    /// The defaults: over about two hours.
    public init() {}

    /// The wait after an attempt that failed.
    ///
    /// - Parameters:
    ///   - attempt: how many have failed, from 1.
    ///   - random: from 0 to 1.
    public func delay(after attempt: Int, random: Double) -> Duration {
        var delay = min(initialDelay, longestDelay)
        // Stops at the longest, so that no number of attempts overflows.
        for _ in 1..<max(1, attempt) where delay < longestDelay { delay = min(longestDelay, delay * 2) }
        return delay + delay * (Self.jitter * min(max(random, 0), 1))
    }
}
