// JSON text written straight into a buffer that is used again and again: two records are written for every request.

extension [UInt8] {
    /// Appends text that needs no escaping.
    @inline(__always)
    mutating func append(_ text: StaticString) { text.withUTF8Buffer { append(contentsOf: $0) } }

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
            append(contentsOf: UnsafeBufferPointer(rebasing: digits[first...]))
        }
    }

    /// Appends a string between quotation marks, escaped (RFC 8259 §7), and cut after `bound` bytes at a character's end.
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
        for index in 0..<end where Self.needsEscape(text[index]) {
            append(text, start..<index)
            append(escape: text[index])
            start = index + 1
        }
        append(text, start..<end)
        if end < text.count { append("…") }
    }

    /// Appends bytes as they are.
    @inline(__always)
    mutating func append(_ text: Span<UInt8>, _ range: Range<Int>) {
        text.extracting(range).withUnsafeBufferPointer { append(contentsOf: $0) }
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
            append("\\u00")
            for digit in [byte >> 4, byte & 15] { append(digit < 10 ? 48 + digit : 87 + digit) }
        }
    }
}
