/// How long to wait before something that ended is started again: each time twice as long, up to a cap, with jitter so
/// that what fell together does not rise together. What ran well for a while starts from the beginning.
public struct Backoff: Sendable, Equatable {
    /// The first wait, before jitter.
    public var initial: Duration
    /// The longest wait, before jitter.
    public var maximum: Duration
    /// The share of a wait that is left to chance: 0.2 makes it up to 20 % shorter.
    public var jitter: Double
    /// After running this long, the next end counts as the first.
    public var stablePeriod: Duration

    /// Ends in a row, none of them after a stable period.
    public private(set) var failures = 0

    /// The defaults suit a worker that is cheap to start.
    public init(
        initial: Duration = .milliseconds(100), maximum: Duration = .seconds(10), jitter: Double = 0.2,
        stablePeriod: Duration = .seconds(30)
    ) {
        precondition(initial > .zero && maximum >= initial && (0...1).contains(jitter))
        self.initial = initial
        self.maximum = maximum
        self.jitter = jitter
        self.stablePeriod = stablePeriod
    }

    /// Counts an end and answers how long to wait before the next start.
    ///
    /// - Parameters:
    ///   - uptime: how long it ran.
    ///   - chance: evenly spread over 0..<1.
    public mutating func delay(afterRunningFor uptime: Duration, chance: Double) -> Duration {
        if uptime >= stablePeriod { failures = 0 }
        failures += 1
        // Doubling stops at the cap, so no number of failures can overflow.
        var wait = initial
        var doublings = failures - 1
        while doublings > 0, wait < maximum {
            wait = min(wait * 2, maximum)
            doublings -= 1
        }
        return wait * (1 - jitter * chance)
    }
}
