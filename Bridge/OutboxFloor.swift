/// Behind which position events are looked for: behind those of at least an interval ago, and now and then behind none, for some
/// may have been committed late. Looking for all means going past every one that was taken and that PostgreSQL has not removed
/// yet. A value without a clock; times are nanoseconds of one that never goes back.
struct OutboxFloor {
    private static let interval: UInt64 = 1_000_000_000
    private static let wholeLookInterval: UInt64 = 5_000_000_000

    /// The highest position of an event that was taken, and what that was at least one interval ago, and two.
    private var highest: Int64 = 0
    private var last: Int64 = 0
    private var before: Int64 = 0
    private var lastMove: UInt64 = 0
    private var lastWholeLook: UInt64 = 0

    /// Whether it is time to look for all.
    func isWholeLookDue(at now: UInt64) -> Bool { now - lastWholeLook >= Self.wholeLookInterval }

    /// The position for a look.
    func position(isWhole: Bool) -> Int64 { isWhole ? 0 : before }

    /// Notes what a look has found.
    ///
    /// - Parameters:
    ///   - position: the highest of those taken; nil where there was none.
    ///   - isExhausted: whether those were all there are.
    mutating func note(_ position: Int64?, isExhausted: Bool, isWhole: Bool, at now: UInt64) {
        highest = max(highest, position ?? 0)
        guard isExhausted else { return }
        if isWhole { lastWholeLook = now }
        guard now - lastMove >= Self.interval else { return }
        lastMove = now
        (last, before) = (highest, last)
    }
}
