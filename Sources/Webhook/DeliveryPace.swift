/// The rate cap of one endpoint, kept by one process: so many deliveries at once, and after that one more per interval.
///
/// The generic cell rate algorithm (ITU-T I.371), as in RateLimit's `Quota`, which many processes share and this does not: all
/// there is to remember is when what has been used will have been given back.
struct DeliveryPace: Sendable {
    /// When everything used is given back, in nanoseconds of the monotonic clock.
    private var restedAt: UInt64 = 0

    /// The most that counts of a rate and of a burst, so that no sum overflows.
    private static let most = 1_000_000
    /// The last instant that is told apart from later ones: 292 years after the clock's beginning.
    private static let lastInstant = UInt64.max / 2

    /// Takes one delivery, if the rate allows it.
    ///
    /// - Parameters:
    ///   - perSecond: deliveries per second over time, from 1 to a million.
    ///   - burst: deliveries at once after a rest, from 1 to a million.
    ///   - now: nanoseconds of the monotonic clock.
    /// - Returns: nil when it was taken, otherwise the instant from which on one can be.
    mutating func take(perSecond: Int, burst: Int, at now: UInt64) -> UInt64? {
        let now = min(now, Self.lastInstant)
        let perSecond = UInt64(min(max(1, perSecond), Self.most))
        // Rounded up, so that the rate is never exceeded.
        let interval = (1_000_000_000 + perSecond - 1) / perSecond
        let window = interval * UInt64(min(max(1, burst), Self.most))
        // More than the window is left only by a lower rate that was in force before.
        let backlog = restedAt > now ? min(restedAt - now, window) : 0
        guard backlog + interval <= window else { return now + (backlog + interval - window) }
        restedAt = now + backlog + interval
        return nil
    }
}
