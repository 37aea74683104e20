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

extension Instant: LosslessStringConvertible {
    /// Reads RFC 3339: `2026-12-01T10:25:00Z`, with up to nine decimals, of which six count, or with an offset. A leap
    /// second is the next minute's first.
    public init?(_ text: String) {
        var rest = Array(text.utf8)[...]
        func number(_ digits: Int) -> Int64? {
            let part = rest.prefix(digits)
            guard part.count == digits, part.allSatisfy({ 48...57 ~= $0 }) else { return nil }
            rest = rest.dropFirst(digits)
            return part.reduce(0) { $0 * 10 + Int64($1 - 48) }
        }
        func skip(_ characters: String) -> UInt8? {
            guard let byte = rest.first, characters.utf8.contains(byte) else { return nil }
            return rest.removeFirst()
        }
        guard let day = Day(String(decoding: rest.prefix(10), as: UTF8.self)) else { return nil }
        rest = rest.dropFirst(10)
        guard skip("Tt") != nil, let hour = number(2), hour < 24, skip(":") != nil, let minute = number(2), minute < 60,
            skip(":") != nil, let second = number(2), second <= 60
        else { return nil }
        var fraction: Int64 = 0
        if skip(".") != nil {
            let digits = rest.prefix { 48...57 ~= $0 }
            guard 1...9 ~= digits.count else { return nil }
            rest = rest.dropFirst(digits.count)
            fraction = (Array(digits) + [48, 48, 48, 48, 48]).prefix(6).reduce(0) { $0 * 10 + Int64($1 - 48) }
        }
        var offset: Int64 = 0
        guard let zone = skip("Zz+-") else { return nil }
        if zone == UInt8(ascii: "+") || zone == UInt8(ascii: "-") {
            guard let hours = number(2), hours < 24, skip(":") != nil, let minutes = number(2), minutes < 60 else {
                return nil
            }
            offset = (hours * 60 + minutes) * (zone == UInt8(ascii: "-") ? -60 : 60)
        }
        guard rest.isEmpty else { return nil }
        let seconds = Int64(Day(daysSinceEpoch: 0)!.distance(to: day)) * 86_400 + hour * 3600 + minute * 60 + second
        self.init(microseconds: (seconds - offset) * 1_000_000 + fraction)
    }

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
