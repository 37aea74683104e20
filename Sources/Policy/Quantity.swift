/// A number of bytes.
public struct ByteCount: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The number.
    public let bytes: Int

    /// So many bytes.
    public static func bytes(_ count: Int) -> ByteCount { ByteCount(bytes: count) }
    /// So many times 1,024 bytes.
    public static func kibibytes(_ count: Int) -> ByteCount { ByteCount(bytes: count << 10) }
    /// So many times 1,048,576 bytes.
    public static func mebibytes(_ count: Int) -> ByteCount { ByteCount(bytes: count << 20) }

    /// Orders by number.
    public static func < (left: ByteCount, right: ByteCount) -> Bool { left.bytes < right.bytes }

    /// The form policies are written in, with the largest unit that divides it.
    public var description: String {
        if bytes > 0, bytes % (1 << 20) == 0 { return "\(bytes >> 20) MiB" }
        if bytes > 0, bytes % (1 << 10) == 0 { return "\(bytes >> 10) KiB" }
        return "\(bytes) bytes"
    }
}

/// A number and a unit, as in `30 s` or `64 KiB`: exactly one form for each quantity, no unit left to guess.
enum Quantity {
    /// Units of time and the nanoseconds in each.
    private static let times: [(String, Int64)] = [
        ("days", 86_400_000_000_000), ("day", 86_400_000_000_000), ("h", 3_600_000_000_000),
        ("min", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000),
    ]
    private static let sizes: [(String, Int64)] = [("MiB", 1 << 20), ("KiB", 1 << 10), ("bytes", 1)]

    static let durationForm = "a time such as 500 ms, 10 s, 5 min, 2 h, 90 days"
    static let byteCountForm = "a size such as 512 bytes, 64 KiB, 1 MiB"

    static func duration(_ text: String) -> Duration? { value(of: text, units: times).map { .nanoseconds($0) } }

    static func byteCount(_ text: String) -> ByteCount? { value(of: text, units: sizes).map { .bytes(Int($0)) } }

    /// How a duration is written in a policy.
    static func text(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let nanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        let unit = times.first { $0.0 != "day" && nanoseconds % $0.1 == 0 } ?? ("ms", 1_000_000)
        return nanoseconds == 0 ? "0 s" : "\(nanoseconds / unit.1) \(unit.0)"
    }

    private static func value(of text: String, units: [(name: String, size: Int64)]) -> Int64? {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int64(parts[0]), let unit = units.first(where: { $0.name == parts[1] })
        else { return nil }
        let (value, overflow) = number.multipliedReportingOverflow(by: unit.size)
        return overflow ? nil : value
    }
}
