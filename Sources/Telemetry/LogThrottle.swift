/// Keeps a line that strangers can bring about from filling the log: one a second is written, the others are counted.
public struct LogThrottle: Sendable {
    private static let interval: UInt64 = 1_000_000_000

    /// From when on, in nanoseconds of the caller's clock, the next line may be written.
    private var next: UInt64 = 0
    private var suppressed = 0

    /// A throttle that lets the first line through.
    public init() {}

    /// Asks for one line.
    ///
    /// - Parameter now: nanoseconds of a clock that never goes back.
    /// - Returns: nil where the line is to be left out; otherwise how many were since the last one written.
    public mutating func admit(at now: UInt64) -> Int? {
        guard now >= next else {
            suppressed += 1
            return nil
        }
        defer { suppressed = 0 }
        next = now + Self.interval
        return suppressed
    }
}
