// The byte-level ground of the parsers: character sets, word-at-a-time scanning, comparison.
// Everything reads through `Span`, which checks bounds; hostile input can at worst trap, never read astray.

/// A set of ASCII characters; a byte of 0x80 or above is never in one. The constants are spelled as bits because that
/// needs no initialisation at run time; a test compares them with the characters they stand for.
struct ByteSet: Sendable, Equatable {
    /// Bit n stands for character n.
    private let low: UInt64
    /// Bit n stands for character 64 + n.
    private let high: UInt64

    /// `tchar` (RFC 9110 §5.6.2): what methods, field names and connection options are made of.
    static let token = ByteSet(low: 0x03FF_6CFA_0000_0000, high: 0x57FF_FFFF_C7FF_FFFE)

    /// `pchar` without `%`, and `/` (RFC 3986 §3.3).
    static let path = ByteSet(low: 0x2FFF_FFD2_0000_0000, high: 0x47FF_FFFE_87FF_FFFF)

    /// What a query may hold besides percent-encoding (RFC 3986 §3.4).
    static let query = ByteSet(low: 0xAFFF_FFD2_0000_0000, high: 0x47FF_FFFE_87FF_FFFF)

    /// What we take in a host name: unreserved characters. RFC 3986 would also let sub-delimiters and percent-encoding
    /// through, but no host we could serve has them, and a comma or quote in `X-Forwarded-Host` misleads its readers.
    static let host = ByteSet(low: 0x03FF_6000_0000_0000, high: 0x47FF_FFFE_87FF_FFFE)

    init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    /// The set of the characters in a text.
    init(_ characters: String) {
        var low: UInt64 = 0
        var high: UInt64 = 0
        for byte in characters.utf8 {
            if byte < 64 { low |= 1 << UInt64(byte) } else { high |= 1 << UInt64(byte & 63) }
        }
        self.init(low: low, high: high)
    }

    @inline(__always)
    func contains(_ byte: UInt8) -> Bool {
        let word = byte & 64 == 0 ? low : high
        return byte < 128 && (word &>> UInt64(byte & 63)) & 1 == 1
    }
}

extension UInt8 {
    static let tab = UInt8(ascii: "\t")
    static let lineFeed = UInt8(ascii: "\n")
    static let carriageReturn = UInt8(ascii: "\r")
    static let space = UInt8(ascii: " ")
    static let colon = UInt8(ascii: ":")
    static let comma = UInt8(ascii: ",")
    static let slash = UInt8(ascii: "/")

    @inline(__always)
    var isBlank: Bool { self == .space || self == .tab }

    @inline(__always)
    var isDigit: Bool { self &- UInt8(ascii: "0") < 10 }

    /// 0…15 for a hexadecimal digit.
    @inline(__always)
    var hexValue: UInt8? {
        if isDigit { return self &- UInt8(ascii: "0") }
        let letter = (self | 0x20) &- UInt8(ascii: "a")
        return letter < 6 ? letter + 10 : nil
    }

    /// Anything but the control characters, of which only the tab is allowed (RFC 9110 §5.5).
    @inline(__always)
    var isFieldValueByte: Bool { (self >= 0x20 && self != 0x7F) || self == .tab }

    @inline(__always)
    var lowercased: UInt8 { self &- UInt8(ascii: "A") < 26 ? self | 0x20 : self }
}

extension Span<UInt8> {
    private static var ones: UInt64 { 0x0101_0101_0101_0101 }
    private static var highBits: UInt64 { 0x8080_8080_8080_8080 }

    /// Eight bytes as a little-endian word. The load checks its bounds, and every bit pattern is a `UInt64`.
    @inline(__always)
    private func word(at offset: Int) -> UInt64 {
        UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// Up to eight bytes as a little-endian word, the missing ones zero.
    @inline(__always)
    func word(at offset: Int, count length: Int) -> UInt64 {
        if length >= 8 { return word(at: offset) }
        if offset &+ 8 <= count { return word(at: offset) & ((1 &<< UInt64(length &* 8)) &- 1) }
        return lastWord(at: offset, count: length)
    }

    /// The same for less than eight bytes at the end of the span. A function of its own, because field names hardly ever
    /// stand there, and the loops around the usual way are the shorter without it.
    @inline(never)
    private func lastWord(at offset: Int, count length: Int) -> UInt64 {
        var word: UInt64 = 0
        for index in 0..<length { word |= UInt64(self[offset &+ index]) &<< UInt64(index &* 8) }
        return word
    }

    /// Whether the range is `keep-alive`, in small letters: what nearly every `Connection` field says.
    @inline(__always)
    func isKeepAlive(_ range: Range<Int>) -> Bool {
        range.count == 10 && word(at: range.lowerBound) == 0x696C_612D_7065_656B
            && word(at: range.lowerBound &+ 2) == 0x6576_696C_612D_7065
    }

    /// Where the byte occurs first in the range.
    @inline(__always)
    func first(_ byte: UInt8, in range: Range<Int>) -> Int? {
        let pattern = Self.ones &* UInt64(byte)
        var index = range.lowerBound
        while index &+ 8 <= range.upperBound {
            let difference = word(at: index) ^ pattern
            // Exact for the lowest byte that is zero, and that is the one asked for.
            let zeros = (difference &- Self.ones) & ~difference & Self.highBits
            if zeros != 0 { return index &+ zeros.trailingZeroBitCount &>> 3 }
            index &+= 8
        }
        while index < range.upperBound {
            if self[index] == byte { return index }
            index &+= 1
        }
        return nil
    }

    /// Where the first control character other than a tab stands, at or after `start`.
    @inline(__always)
    func firstControl(from start: Int) -> Int? {
        var index = start
        while index &+ 8 <= count {
            let controls = controls(in: word(at: index))
            if controls == 0 {
                index &+= 8
            } else {
                // Exact for the lowest byte; the next ones may be marked by a borrow.
                index &+= controls.trailingZeroBitCount &>> 3
                if self[index] != .tab { return index }
                index &+= 1
            }
        }
        while index < count {
            if !self[index].isFieldValueByte { return index }
            index &+= 1
        }
        return nil
    }

    /// Marks the bytes of a word that are control characters, tabs among them, in their highest bits.
    @inline(__always)
    private func controls(in word: UInt64) -> UInt64 {
        let deletes = word ^ (Self.ones &* 0x7F)
        return ((word &- Self.ones &* 0x20) & ~word | (deletes &- Self.ones) & ~deletes) & Self.highBits
    }

    /// Whether the range is one token (RFC 9110 §5.6.2).
    func isToken(_ range: Range<Int>) -> Bool {
        let token = ByteSet.token
        for index in range where !token.contains(self[index]) { return false }
        return !range.isEmpty
    }

    /// The range without optional white space at its ends.
    @inline(__always)
    func trimmed(_ range: Range<Int>) -> Range<Int> {
        var start = range.lowerBound
        var end = range.upperBound
        while start < end, self[start].isBlank { start &+= 1 }
        while start < end, self[end &- 1].isBlank { end &-= 1 }
        return start..<end
    }

    func equals(_ range: Range<Int>, ignoringCase text: String) -> Bool {
        equals(range, ignoringCase: text.utf8Span.span)
    }

    func equals(_ range: Range<Int>, ignoringCase text: Span<UInt8>) -> Bool {
        guard range.count == text.count else { return false }
        var index = range.lowerBound
        for offset in text.indices {
            guard self[index].lowercased == text[offset].lowercased else { return false }
            index &+= 1
        }
        return true
    }

    /// The decimal number the range spells; nil unless it is one to twenty digits within 64 bits.
    func decimal(_ range: Range<Int>) -> UInt64? {
        guard (1...20).contains(range.count) else { return nil }
        var value: UInt64 = 0
        var index = range.lowerBound
        // 19 digits fit whatever they are.
        let safeEnd = Swift.min(range.upperBound, index &+ 19)
        while index < safeEnd {
            guard self[index].isDigit else { return nil }
            value = value &* 10 &+ UInt64(self[index] &- UInt8(ascii: "0"))
            index &+= 1
        }
        guard index < range.upperBound else { return value }
        guard self[index].isDigit else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, carry) = product.addingReportingOverflow(UInt64(self[index] &- UInt8(ascii: "0")))
        return overflow || carry ? nil : sum
    }

    /// A copy of the range. `Array` has no initialiser from a `Span` yet; the pointer does not leave this line.
    func copy(_ range: Range<Int>) -> [UInt8] {
        extracting(range).withUnsafeBufferPointer { [UInt8]($0) }
    }
}

/// What heads are written through: room for a whole head is reserved once, so that its many small pieces cost no more
/// than copying them. More than the room holds traps.
extension OutputSpan<UInt8> {
    /// Appends a copy. `OutputSpan` has no such method yet; the pointers do not leave this function.
    @inlinable
    @inline(__always)
    public mutating func append(_ bytes: Span<UInt8>) {
        withUnsafeMutableBufferPointer { memory, count in
            precondition(memory.count &- count >= bytes.count, "more is written than was reserved")
            bytes.withUnsafeBufferPointer { source in
                guard let from = source.baseAddress, let to = memory.baseAddress else { return }
                UnsafeMutableRawPointer(to + count).copyMemory(from: from, byteCount: source.count)
            }
            count &+= bytes.count
        }
    }

    /// Appends a constant, which becomes a few stores.
    @inlinable
    @inline(__always)
    public mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { append(Span(_unsafeElements: $0)) }
    }

    @inline(__always)
    mutating func append(_ text: String) { append(text.utf8Span.span) }

    @inline(__always)
    mutating func append(decimal value: UInt64) {
        withDigits(of: value, base: 10) { append($0) }
    }

    @inline(__always)
    mutating func appendLineEnd() { append("\r\n" as StaticString) }
}

/// Gives the digits of a number, the most significant first.
@inline(__always)
private func withDigits(of value: UInt64, base: UInt64, _ body: (Span<UInt8>) -> Void) {
    // The digits come last one first; 20 of them hold any value.
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
        var first = 20
        var rest = value
        repeat {
            first &-= 1
            let digit = UInt8(truncatingIfNeeded: rest % base)
            digits[first] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit
            rest /= base
        } while rest > 0
        body(Span(_unsafeElements: UnsafeBufferPointer(rebasing: digits[first...])))
    }
}

extension [UInt8] {
    mutating func append(_ text: String) {
        // Native strings, which ours are, hand out their bytes to be copied at once.
        if text.utf8.withContiguousStorageIfAvailable({ append(contentsOf: $0) }) == nil {
            append(contentsOf: text.utf8)
        }
    }

    /// Appends a span. `Array` has no such method yet; the pointer does not leave this line.
    mutating func append(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBufferPointer { append(contentsOf: $0) }
    }

    mutating func append(hexadecimal value: UInt64) {
        withDigits(of: value, base: 16) { append($0) }
    }

    mutating func appendLineEnd() {
        append(.carriageReturn)
        append(.lineFeed)
    }
}

/// The elements of a comma-separated list (RFC 9110 §5.6.1), without white space and without empty ones.
struct ListElements {
    private var rest: Range<Int>

    init(_ range: Range<Int>) {
        rest = range
    }

    mutating func next(in bytes: Span<UInt8>) -> Range<Int>? {
        while !rest.isEmpty {
            let end = bytes.first(.comma, in: rest) ?? rest.upperBound
            let element = bytes.trimmed(rest.lowerBound..<end)
            rest = Swift.min(end &+ 1, rest.upperBound)..<rest.upperBound
            if !element.isEmpty { return element }
        }
        return nil
    }
}

/// A place in an arena; half the size of a `Range<Int>`.
struct ByteRange: Sendable, Equatable {
    private let start: UInt32
    private let length: UInt32

    init(_ range: Range<Int>) {
        start = UInt32(range.lowerBound)
        length = UInt32(range.count)
    }

    var range: Range<Int> { Int(start)..<Int(start) + Int(length) }
}
