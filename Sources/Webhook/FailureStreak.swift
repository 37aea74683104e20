/// How long an endpoint has done nothing but fail. It is disabled in the end, after its owner has been told twice.
///
/// Only attempts count, so an endpoint for which there is nothing to deliver does not fail. It has no clock, and whoever stores
/// it stores `since` and `reached`.
public struct FailureStreak: Sendable, Hashable {
    /// How far on the way to being disabled, in per cent of the time it takes.
    public enum Milestone: Int, Sendable, CaseIterable {
        /// Half of the time has passed: the first alert.
        case half = 50
        /// The second alert.
        case threeQuarters = 75
        /// The endpoint is to be disabled: the last alert.
        case all = 100
    }

    /// When the first attempt failed since the last that succeeded, in Unix seconds; nil when the last one succeeded.
    public private(set) var since: Int64?
    /// The last milestone that was passed.
    public private(set) var reached: Milestone?

    /// No streak.
    public init() {}

    /// A streak as it was stored.
    public init(since: Int64?, reached: Milestone?) {
        self.since = since
        self.reached = since == nil ? nil : reached
    }

    /// An attempt failed.
    ///
    /// - Parameters:
    ///   - now: Unix seconds.
    ///   - limit: after how long the endpoint is disabled.
    /// - Returns: the milestones passed since the last failure, in order, each once in a streak.
    public mutating func fail(at now: Int64, limit: Duration) -> [Milestone] {
        guard let since else {
            self.since = now
            return []
        }
        // Where the clock was put back, nothing has passed yet.
        let (seconds, isOver) = now.subtractingReportingOverflow(since)
        let elapsed = min(.seconds(isOver ? (now < since ? 0 : .max) : max(0, seconds)), limit)
        let passed = Milestone.allCases.filter {
            $0.rawValue > reached?.rawValue ?? 0 && elapsed * 100 >= limit * $0.rawValue
        }
        reached = passed.last ?? reached
        return passed
    }

    /// An attempt succeeded, or somebody enabled the endpoint again.
    public mutating func end() { self = FailureStreak() }
}
