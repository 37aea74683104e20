/// How long something that others decide may be believed after they last said that it is still so.
///
/// What was revoked in the meantime lives on for so long at most. A value on the monotonic clock: it reads none itself.
struct Confirmation {
    private let maximumStaleness: UInt64
    /// When it was last confirmed, in nanoseconds; `nil` before the first time.
    private var instant: UInt64?

    init(maximumStaleness: Duration) {
        self.maximumStaleness = UInt64(max(0, maximumStaleness.components.seconds)) * 1_000_000_000
    }

    /// Notes that it was still so at an instant. An answer that was under way for long is no newer for that.
    mutating func confirm(at instant: UInt64) { self.instant = max(self.instant ?? 0, instant) }

    /// Whether it may be believed at an instant.
    func isFresh(at now: UInt64) -> Bool {
        guard let instant else { return false }
        return now <= instant || now - instant <= maximumStaleness
    }
}
