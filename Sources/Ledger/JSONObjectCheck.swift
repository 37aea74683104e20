/// Whether bytes are one JSON object (RFC 8259) on one line, without building any value: a single pass.
///
/// Blanks outside strings are refused, for a newline would end the record's line; the writers send none.
struct JSONObjectCheck {
    /// How deep objects and arrays may be nested.
    static let depthBound = 32

    /// Whether the bytes are exactly one object in valid UTF-8.
    static func isObject(_ bytes: Span<UInt8>) -> Bool {
        guard bytes.count >= 2, bytes[0] == UInt8(ascii: "{"), (try? UTF8Span(validating: bytes)) != nil else {
            return false
        }
        // One bit for every open bracket: 1 for an object.
        var kinds: UInt64 = 1
        var depth = 1
        var position = 1
        if bytes[1] == UInt8(ascii: "}") { return bytes.count == 2 }
        // Each turn passes over one member of an object, or one element of an array, and what closes behind it.
        while true {
            if kinds & 1 == 1 {
                guard take("\"", bytes, &position), skipString(bytes, &position), take(":", bytes, &position) else {
                    return false
                }
            }
            guard position < bytes.count else { return false }
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard skipString(bytes, &position) else { return false }
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard depth < depthBound, position < bytes.count else { return false }
                (kinds, depth) = (kinds << 1 | (byte == UInt8(ascii: "{") ? 1 : 0), depth + 1)
                if bytes[position] != end(kinds) { continue }
            default:
                guard skipWord(bytes, byte, &position) else { return false }
            }
            while !take(",", bytes, &position) {
                guard position < bytes.count, bytes[position] == end(kinds) else { return false }
                position += 1
                (kinds, depth) = (kinds >> 1, depth - 1)
                if depth == 0 { return position == bytes.count }
            }
        }
    }

    /// What closes the innermost bracket.
    @inline(__always)
    private static func end(_ kinds: UInt64) -> UInt8 { UInt8(ascii: kinds & 1 == 1 ? "}" : "]") }

    @inline(__always)
    private static func take(_ byte: Unicode.Scalar, _ bytes: Span<UInt8>, _ position: inout Int) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: byte) else { return false }
        position += 1
        return true
    }

    /// A number, `true`, `false` or `null`, whose first byte is behind the position.
    @inline(__always)
    private static func skipWord(_ bytes: Span<UInt8>, _ first: UInt8, _ position: inout Int) -> Bool {
        switch first {
        case UInt8(ascii: "t"): return skip("rue", bytes, &position)
        case UInt8(ascii: "f"): return skip("alse", bytes, &position)
        case UInt8(ascii: "n"): return skip("ull", bytes, &position)
        default:
            position -= 1
            return skipNumber(bytes, &position)
        }
    }

    /// The position is behind the opening quotation mark.
    @inline(__always)
    private static func skipString(_ bytes: Span<UInt8>, _ position: inout Int) -> Bool {
        while true {
            skipPlain(bytes, &position)
            guard position < bytes.count else { return false }
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "\"") { return true }
            if byte < 0x20 { return false }
            guard byte == UInt8(ascii: "\\") else { continue }
            guard position < bytes.count else { return false }
            let escaped = bytes[position]
            position += 1
            switch escaped {
            case UInt8(ascii: "u"):
                guard position + 4 <= bytes.count else { return false }
                for index in position..<position + 4 where !isHexadecimal(bytes[index]) { return false }
                position += 4
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
                UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
                break
            default: return false
            }
        }
    }

    /// Passes over bytes that mean themselves in a string, eight at a time: most of a record is such.
    @inline(__always)
    private static func skipPlain(_ bytes: Span<UInt8>, _ position: inout Int) {
        let ones: UInt64 = 0x0101_0101_0101_0101
        // The top bit of each byte that is zero, up to the first such byte; behind that there may be false ones.
        func zeros(_ word: UInt64) -> UInt64 { (word &- ones) & ~word & (ones << 7) }
        while position + 8 <= bytes.count {
            let word = UInt64(
                littleEndian: bytes.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: position, as: UInt64.self))
            // A byte below 0x20 borrows from its top bit when 0x20 is taken off.
            let special =
                zeros(word ^ (ones &* UInt64(UInt8(ascii: "\""))))
                | zeros(word ^ (ones &* UInt64(UInt8(ascii: "\\")))) | (word &- ones &* 0x20) & ~word & (ones << 7)
            guard special == 0 else {
                position += special.trailingZeroBitCount / 8
                return
            }
            position += 8
        }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool { byte &- 48 < 10 || (byte | 32) &- 97 < 6 }

    private static func skip(_ word: StaticString, _ bytes: Span<UInt8>, _ position: inout Int) -> Bool {
        guard position + word.utf8CodeUnitCount <= bytes.count else { return false }
        for index in 0..<word.utf8CodeUnitCount where bytes[position + index] != word.utf8Start[index] { return false }
        position += word.utf8CodeUnitCount
        return true
    }

    private static func skipNumber(_ bytes: Span<UInt8>, _ position: inout Int) -> Bool {
        func digits(_ position: inout Int) -> Int {
            let first = position
            while position < bytes.count, bytes[position] &- 48 < 10 { position += 1 }
            return position - first
        }
        func take(_ byte: UInt8, or other: UInt8, _ position: inout Int) -> Bool {
            guard position < bytes.count, bytes[position] == byte || bytes[position] == other else { return false }
            position += 1
            return true
        }
        let minus = UInt8(ascii: "-")
        _ = take(minus, or: minus, &position)
        let first = position
        let whole = digits(&position)
        guard whole > 0, whole == 1 || bytes[first] != UInt8(ascii: "0") else { return false }
        if take(UInt8(ascii: "."), or: UInt8(ascii: "."), &position), digits(&position) == 0 { return false }
        if take(UInt8(ascii: "e"), or: UInt8(ascii: "E"), &position) {
            _ = take(minus, or: UInt8(ascii: "+"), &position)
            if digits(&position) == 0 { return false }
        }
        return true
    }
}
