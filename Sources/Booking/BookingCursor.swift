/// Where a list of bookings goes on: after the one that stands last on a page.
///
/// As text it is of no meaning to clients. It holds nothing but a place in an order of theirs, which decides nothing about
/// what they may see: one that somebody made up leads to another page of the same list.
public struct BookingCursor: Hashable, Sendable {
    /// When the last booking of the page last changed.
    public let updatedAt: Instant
    /// Its id, which orders those that changed at the same moment.
    public let booking: BookingID
    /// The moment until which the list is complete, as of its first page.
    public let completeUntil: Instant

    /// A place in a list.
    public init(updatedAt: Instant, booking: BookingID, completeUntil: Instant) {
        self.updatedAt = updatedAt
        self.booking = booking
        self.completeUntil = completeUntil
    }
}

extension BookingCursor: LosslessStringConvertible {
    private static let length = 64

    /// Of the years 1 to 9999, in microseconds since 1970: no other is that of a booking, and the database takes none.
    private static let moments: ClosedRange<Int64> = -62_135_596_800_000_000...253_402_300_799_999_999

    /// Reads what `description` writes; nil for anything else.
    public init?(_ text: String) {
        let digits = Array(text.utf8)
        guard digits.count == Self.length else { return nil }
        var words: [UInt64] = []
        for start in stride(from: 0, to: Self.length, by: 16) {
            var word: UInt64 = 0
            for digit in digits[start..<start + 16] {
                guard let value = Self.value(of: digit) else { return nil }
                word = word << 4 | value
            }
            words.append(word)
        }
        let (updatedAt, completeUntil) = (Int64(bitPattern: words[0]), Int64(bitPattern: words[3]))
        guard Self.moments.contains(updatedAt), Self.moments.contains(completeUntil) else { return nil }
        self.init(
            updatedAt: Instant(microseconds: updatedAt), booking: BookingID(high: words[1], low: words[2]),
            completeUntil: Instant(microseconds: completeUntil))
    }

    /// 64 hexadecimal digits, which need no escaping anywhere.
    public var description: String {
        let words = [
            UInt64(bitPattern: updatedAt.microseconds), booking.high, booking.low,
            UInt64(bitPattern: completeUntil.microseconds),
        ]
        return words.reduce(into: "") { text, word in
            let digits = String(word, radix: 16)
            text += String(repeating: "0", count: 16 - digits.count) + digits
        }
    }

    private static func value(of digit: UInt8) -> UInt64? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(digit - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(digit - UInt8(ascii: "a") + 10)
        default: nil
        }
    }
}
