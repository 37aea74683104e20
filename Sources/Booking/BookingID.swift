internal import Glibc

/// A UUID (RFC 9562): the PMS's key of a reservation, under which clients know their booking.
public struct BookingID: Hashable, Sendable {
    /// The first eight bytes, most significant first.
    public let high: UInt64
    /// The last eight bytes, most significant first.
    public let low: UInt64

    /// An id by its bytes.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A new id, version 4: 122 bits of the system's randomness.
    public static func random() -> BookingID {
        var generator = SystemRandomNumberGenerator()
        return BookingID(
            high: generator.next() & 0xFFFF_FFFF_FFFF_0FFF | 0x4000,
            low: generator.next() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000)
    }

    /// A new id, version 7: it begins with the time in milliseconds, and 74 bits are the system's randomness.
    public static func timeOrdered() -> BookingID {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var generator = SystemRandomNumberGenerator()
        return BookingID(
            high: UInt64(now.tv_sec * 1000 + now.tv_nsec / 1_000_000) << 16 | generator.next() & 0x0FFF | 0x7000,
            low: generator.next() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000)
    }
}

extension BookingID: LosslessStringConvertible {
    /// Reads the 36 characters of the usual form, in either case; nil for anything else.
    public init?(_ text: some StringProtocol) {
        var halves: [UInt64] = [0, 0]
        var digits = 0
        var position = 0
        for byte in text.utf8 {
            if [8, 13, 18, 23].contains(position) {
                guard byte == UInt8(ascii: "-") else { return nil }
            } else {
                guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, digits < 32 else { return nil }
                halves[digits / 16] = halves[digits / 16] << 4 | UInt64(digit)
                digits += 1
            }
            position += 1
        }
        guard digits == 32, position == 36 else { return nil }
        self.init(high: halves[0], low: halves[1])
    }

    /// The id in lower case, as PostgreSQL writes it.
    public var description: String {
        let digits = BookingID.hexadecimal(high) + BookingID.hexadecimal(low)
        var text = ""
        for (position, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(position) { text.append("-") }
            text.append(digit)
        }
        return text
    }

    private static func hexadecimal(_ half: UInt64) -> String {
        let digits = String(half, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
