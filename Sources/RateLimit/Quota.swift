/// How much is allowed: so many requests at once, and after that one more per interval.
///
/// The generic cell rate algorithm (ITU-T I.371) in exact nanoseconds. All there is to remember of a client is one
/// instant: when what it has used will have been given back. The time until then is its backlog; a request adds one
/// interval to it, and is allowed while the backlog stays within the window. So in any span of time t no more than
/// `burst + t / interval` requests are allowed.
public struct Quota: Sendable, Hashable {
    /// The most a window may last: 90 days. Nanoseconds of it are exact even in Redis, whose scripts count in doubles.
    public static let longestWindow = Duration.seconds(90 * 86_400)
    static let longestWindowNanoseconds: UInt64 = 90 * 86_400 * 1_000_000_000

    /// Requests allowed at once after a time of rest.
    public let burst: Int
    /// Nanoseconds after which one more is allowed.
    public let interval: UInt64
    /// Nanoseconds in which a used up burst is given back.
    public let window: UInt64

    /// `burst` requests at once, and `requests` in each `period` over time.
    ///
    /// An interval that is no whole number of nanoseconds is rounded up, so the rate is never exceeded.
    ///
    /// - Returns: nil unless all are positive and the burst is given back within `longestWindow`.
    public init?(burst: Int, requests: Int, per period: Duration) {
        guard burst > 0, requests > 0, period > .zero, period <= Self.longestWindow else { return nil }
        let (seconds, attoseconds) = period.components
        // No overflow: the period was bounded above.
        let nanoseconds = UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds) / 1_000_000_000
        let (whole, rest) = nanoseconds.quotientAndRemainder(dividingBy: UInt64(requests))
        interval = max(1, rest > 0 ? whole + 1 : whole)
        let (window, isOver) = interval.multipliedReportingOverflow(by: UInt64(burst))
        guard !isOver, window <= Self.longestWindowNanoseconds else { return nil }
        self.burst = burst
        self.window = window
    }

    /// What is said of one request.
    struct Decision: Equatable {
        var isAllowed: Bool
        /// The backlog before the request, in nanoseconds; never more than the window.
        var backlog: UInt64
        /// The instant to remember if the request goes on.
        var next: UInt64
    }

    /// The last instant that is told apart from later ones: 292 years after the clock's beginning. Sums with a window
    /// cannot overflow before it.
    private static let lastInstant = UInt64.max / 2

    /// Decides on one request.
    ///
    /// - Parameters:
    ///   - instant: what was remembered of the client, 0 if nothing.
    ///   - now: on the same clock, in nanoseconds.
    func decide(_ instant: UInt64, at now: UInt64) -> Decision {
        let now = min(now, Self.lastInstant)
        // More than the window is left only by a larger quota that was in force before, or by damage.
        let backlog = instant > now ? min(instant - now, window) : 0
        guard backlog + interval <= window else {
            // Not the sum of now and backlog: a process that was stopped since it read the clock would shorten the
            // wait.
            let next = Self.isDamaged(instant, at: now) ? now + window : instant
            return Decision(isAllowed: false, backlog: backlog, next: next)
        }
        return Decision(isAllowed: true, backlog: backlog, next: now + backlog + interval)
    }

    /// Whether no quota can have brought this instant about, even for a process that has been stopped for days.
    static func isDamaged(_ instant: UInt64, at now: UInt64) -> Bool {
        instant > now && instant - now > 2 * longestWindowNanoseconds
    }

    /// What to remember after one request, allowed at `begin`, is taken back: as much of its interval as cannot have
    /// been given back by `now`. The backlog stays at least what it would be without that request.
    func takeBack(_ instant: UInt64, begin: UInt64, at now: UInt64) -> UInt64 {
        let elapsed = now > begin ? now - begin : 0
        return elapsed < interval ? instant - min(instant, interval - elapsed) : instant
    }
}
