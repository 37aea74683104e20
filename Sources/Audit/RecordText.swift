internal import HTTP
internal import Telemetry

/// JSON text written straight into a buffer that is used again and again: two records are written for every request.
///
/// Room for a whole record is reserved once, so that its many small pieces cost no more than copying them. More than
/// the room holds traps; `byteBound` of each record and line says what the longest takes.
extension OutputSpan<UInt8> {
    /// Appends text that needs no escaping; a constant becomes a few stores.
    @inline(__always)
    mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { append($0.span) }
    }

    /// Appends a whole number.
    @inline(__always)
    mutating func append(decimal value: some FixedWidthInteger) {
        if value < 0 { append(UInt8(ascii: "-")) }
        var rest = UInt64(value.magnitude)
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var first = 20
            repeat {
                first -= 1
                digits[first] = 48 + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            append(digits.span.extracting(first...))
        }
    }

    /// The most bytes that a string between quotation marks takes when `bound` of it are kept.
    static func quotedBound(_ bound: Int) -> Int { 2 + 6 * bound + 3 }

    /// Appends a string between quotation marks, escaped (RFC 8259 §7), and cut after `bound` bytes at a character's
    /// end.
    @inline(__always)
    mutating func append(quoted text: String, bound: Int) {
        append(UInt8(ascii: "\""))
        append(escaped: text.utf8.span, bound: bound)
        append(UInt8(ascii: "\""))
    }

    /// Appends UTF-8 as the inside of a JSON string, cut after `bound` bytes at a character's end, which then shows.
    mutating func append(escaped text: Span<UInt8>, bound: Int) {
        var end = text.count
        if end > bound {
            end = bound
            // 10xxxxxx continues a character.
            while end > 0, text[end] & 0xC0 == 0x80 { end -= 1 }
        }
        var start = 0
        for index in Self.plainCount(text, upTo: end)..<end where Self.needsEscape(text[index]) {
            append(text.extracting(start..<index))
            append(escape: text[index])
            start = index + 1
        }
        append(text.extracting(start..<end))
        if end < text.count { append("…" as StaticString) }
    }

    /// How many bytes at the beginning are seen to need no escaping, eight at a time.
    @inline(__always)
    private static func plainCount(_ text: Span<UInt8>, upTo end: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        var index = 0
        while index + 8 <= end {
            let word = text.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
            var found = (word &- ones &* 0x20) & ~word
            for byte: UInt64 in [0x22, 0x5C, 0x7F] {
                let difference = word ^ (ones &* byte)
                found |= (difference &- ones) & ~difference
            }
            // A byte's highest bit says that it is to be looked at.
            guard found & (ones &* 0x80) == 0 else { break }
            index += 8
        }
        return index
    }

    @inline(__always)
    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte == 0x7F
    }

    private mutating func append(escape byte: UInt8) {
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
            append(UInt8(ascii: "\\"))
            append(byte)
        } else {
            append("\\u00" as StaticString)
            for digit in [byte >> 4, byte & 15] { append(digit < 10 ? 48 + digit : 87 + digit) }
        }
    }
}
