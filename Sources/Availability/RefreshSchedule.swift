/// Which hotels are read anew, in which order and how fast, so that none is older than it may be and the PMS sees an even
/// trickle of questions.
///
/// A hotel is due when half of its time has passed. Where not all that are due can be read, those that somebody has asked for
/// lately come first, the ones that expire soonest before the others.
public struct RefreshSchedule: Sendable {
    /// A hotel that is kept fresh; instants in seconds of any one clock.
    public struct Candidate: Sendable {
        /// Its id in the PMS.
        public let hotel: Int32
        /// When it, or the part of it that is oldest, was read.
        public let readAt: Double
        /// When somebody asked for it last.
        public let askedAt: Double

        /// A candidate.
        public init(hotel: Int32, readAt: Double, askedAt: Double) {
            self.hotel = hotel
            self.readAt = readAt
            self.askedAt = askedAt
        }
    }

    /// How long what was read counts as fresh, in seconds.
    public let timeToLive: Double

    /// A schedule.
    public init(timeToLive: Double) { self.timeToLive = timeToLive }

    /// The hotels that are due, the one that is needed soonest first.
    ///
    /// - Parameter limit: no more than these are needed.
    public func due(_ candidates: some Sequence<Candidate>, at now: Double, limit: Int) -> [Int32] {
        let due = candidates.filter { now - $0.readAt >= timeToLive / 2 }
        let sorted = due.sorted { left, right in
            let (isLeftAsked, isRightAsked) = (isAsked(left, at: now), isAsked(right, at: now))
            if isLeftAsked != isRightAsked { return isLeftAsked }
            return (left.readAt, left.hotel) < (right.readAt, right.hotel)
        }
        return sorted.prefix(limit).map(\.hotel)
    }

    /// How long to wait before the next hotel is read, in seconds: so that all of them are read once in half of their time;
    /// not at all once some are late.
    ///
    /// - Parameter oldest: when the one was read that was read longest ago.
    public func pause(hotels: Int, oldest: Double, at now: Double) -> Double {
        now - oldest > timeToLive * 3 / 4 ? 0 : timeToLive / 2 / Double(max(1, hotels))
    }

    private func isAsked(_ candidate: Candidate, at now: Double) -> Bool { now - candidate.askedAt < timeToLive }
}

/// How much of the PMS's connections work in the background may have.
public struct ConnectionShare: Hashable, Sendable {
    /// Pieces of work that go on at the same time.
    public let workers: Int
    /// How long each of them rests after a piece of work, in parts of what that took.
    public let rest: Double

    /// A share of so many connections, in per cent: some of them all of the time, or one of them for a part of it.
    public init(percent: Int, of connections: Int) {
        let share = Double(max(1, percent)) / 100 * Double(max(1, connections))
        workers = max(1, Int(share))
        rest = max(0, Double(workers) / share - 1)
    }
}
