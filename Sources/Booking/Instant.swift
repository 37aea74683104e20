import Stay

/// A moment, in microseconds since 1970-01-01T00:00:00Z, as PostgreSQL keeps it.
public struct Instant: Hashable, Comparable, Sendable {
    /// Microseconds since 1970-01-01T00:00:00Z.
    public let microseconds: Int64

    /// A moment by its microseconds.
    @inlinable
    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    /// Whether one moment is earlier than the other.
    @inlinable
    public static func < (left: Instant, right: Instant) -> Bool { left.microseconds < right.microseconds }
}

extension Instant: CustomStringConvertible {
    /// The moment as RFC 3339 in UTC, `2026-12-01T10:25:00Z`, with six decimals if it is not a whole second. Moments
    /// outside the years 1 to 9999 are written as the nearest day's.
    public var description: String {
        let secondsPerDay: Int64 = 86_400
        let (seconds, fraction) = Instant.floorDivide(microseconds, by: 1_000_000)
        let (days, timeOfDay) = Instant.floorDivide(seconds, by: secondsPerDay)
        var text = (Day(daysSinceEpoch: Int(days)) ?? (days < 0 ? .first : .last)).description
        text += "T" + Instant.padded(timeOfDay / 3600, 2) + ":" + Instant.padded(timeOfDay / 60 % 60, 2)
        text += ":" + Instant.padded(timeOfDay % 60, 2)
        return fraction == 0 ? text + "Z" : text + "." + Instant.padded(fraction, 6) + "Z"
    }

    /// The quotient rounded down, and a remainder that is never negative.
    private static func floorDivide(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
