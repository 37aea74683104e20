/// Base 64 (RFC 4648), strict: one text for every byte string and no other text accepted.
///
/// Foreign characters, line breaks, missing or surplus padding and stray bits in the last character are all refused,
/// so that two different texts can never stand for the same bytes (RFC 4648 §3.5).
public struct Base64: Sendable {
    /// The alphabet with `+` and `/`, padded with `=` (§4).
    public static let standard = Base64(alphabet: Alphabet(characters62And63: "+/"), padded: true)
    /// The alphabet safe in addresses and file names, `-` and `_`, never padded (§5, as RFC 7515 uses it).
    public static let url = Base64(alphabet: Alphabet(characters62And63: "-_"), padded: false)

    private let alphabet: Alphabet
    private let padded: Bool

    /// The text for some bytes.
    public func encode(_ bytes: Span<UInt8>) -> String {
        String(unsafeUninitializedCapacity: encodedCount(bytes.count)) { encode(bytes, into: $0) }
    }

    /// The text for some bytes.
    public func encode(_ bytes: [UInt8]) -> String { encode(bytes.span) }

    /// Appends the text for some bytes.
    public func append(_ bytes: Span<UInt8>, to output: inout OutputSpan<UInt8>) {
        output.withUnsafeMutableBufferPointer { buffer, count in
            precondition(buffer.count - count >= encodedCount(bytes.count), "more is written than was reserved")
            count += encode(bytes, into: UnsafeMutableBufferPointer(rebasing: buffer[count...]))
        }
    }

    /// The text for a digest.
    public func encode(_ digest: Digest256) -> String { digest.withBytes { encode($0) } }

    /// The bytes a text stands for; `nil` unless the text is exactly what ``encode(_:)-(Span<UInt8>)`` would write.
    public func decode(_ text: Span<UInt8>) -> [UInt8]? {
        var count = text.count
        if padded {
            guard count % 4 == 0 else { return nil }
            for _ in 0..<2 where count > 0 && text[count - 1] == UInt8(ascii: "=") { count -= 1 }
        }
        // Six bits alone cannot make a byte.
        guard count % 4 != 1 else { return nil }
        var isValid = true
        let bytes = [UInt8](unsafeUninitializedCapacity: count * 3 / 4) { buffer, initializedCount in
            isValid = decode(text.extracting(first: count), into: buffer)
            initializedCount = isValid ? count * 3 / 4 : 0
        }
        return isValid ? bytes : nil
    }

    /// The bytes a text stands for; `nil` if it is not strict base 64.
    public func decode(_ text: String) -> [UInt8]? { decode(text.utf8.span) }

    private func encodedCount(_ byteCount: Int) -> Int {
        padded ? (byteCount + 2) / 3 * 4 : (byteCount * 4 + 2) / 3
    }

    private func encode(_ bytes: Span<UInt8>, into target: UnsafeMutableBufferPointer<UInt8>) -> Int {
        let characters = alphabet.characters.span
        var written = 0
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var group = UInt32(bytes[index]) << 16
            if count > 1 { group |= UInt32(bytes[index + 1]) << 8 }
            if count > 2 { group |= UInt32(bytes[index + 2]) }
            for sextet in 0...count {
                target[written] = characters[Int(group >> UInt32(18 - 6 * sextet) & 63)]
                written += 1
            }
            index += 3
        }
        while padded, written % 4 != 0 {
            target[written] = UInt8(ascii: "=")
            written += 1
        }
        return written
    }

    private func decode(_ text: Span<UInt8>, into target: UnsafeMutableBufferPointer<UInt8>) -> Bool {
        var written = 0
        var bits: UInt32 = 0
        var bitCount = 0
        for index in text.indices {
            let value = alphabet.values[Int(text[index])]
            guard value != Alphabet.foreign else { return false }
            bits = bits << 6 | UInt32(value)
            bitCount += 6
            guard bitCount >= 8 else { continue }
            bitCount -= 8
            target[written] = UInt8(truncatingIfNeeded: bits >> UInt32(bitCount))
            written += 1
        }
        return bits & (1 << UInt32(bitCount) - 1) == 0
    }
}

/// Both directions of one alphabet, as tables.
private struct Alphabet: Sendable {
    static let foreign: UInt8 = 0xFF

    let characters: [UInt8]
    let values: [UInt8]

    init(characters62And63 last: String) {
        characters = Array(("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + last).utf8)
        var values = [UInt8](repeating: Self.foreign, count: 256)
        for (value, character) in characters.enumerated() { values[Int(character)] = UInt8(value) }
        self.values = values
    }
}
