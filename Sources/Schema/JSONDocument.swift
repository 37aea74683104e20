/// A JSON text that has been read whole and found sound, laid out flat: where each value stands and where it ends.
///
/// Reading allocates one array whatever the text holds. A value is an index; its text stays where it was received. What
/// two readers could take differently is refused: a name twice in an object, halves of surrogate pairs, anything that
/// is not UTF-8, nesting and numbers beyond all use (RFC 8259 §4, §6, §8, §9).
public struct JSONDocument: Sendable {
    /// What reading refuses although it is JSON.
    public enum Bound {
        /// How deep arrays and objects may be nested.
        public static let depth = 16
        /// Characters of a number.
        public static let numberLength = 128
        /// A number's exponent, either way.
        public static let exponent = 9_999
        /// Bytes of a text.
        public static let text = 64 << 20
    }

    /// What a value is.
    enum Kind: UInt8 {
        case null, no, yes
        /// A number without fraction and exponent.
        case integer
        case number, string, array, object
    }

    /// A value, or the name of a member, which stands before its value.
    struct Node {
        let kind: Kind
        /// Whether a string's text is other than what it means.
        var hasEscapes = false
        /// Of a string: what is between the quotes. Of a container: nothing.
        var start: UInt32
        var end: UInt32
        /// Elements or members.
        var count: UInt32 = 0
        /// The index behind the last value within this one.
        var next: UInt32 = 0

        var range: Range<Int> { Int(start)..<Int(end) }
    }

    let bytes: [UInt8]
    let nodes: [Node]

    /// Reads a whole text.
    public init(parsing bytes: [UInt8]) throws(JSONDocumentError) {
        var parser = JSONDocumentParser(capacity: bytes.count)
        try parser.read(bytes.span)
        self.bytes = bytes
        nodes = parser.nodes
    }

    /// Values that were found elsewhere, such as in a query.
    init(bytes: [UInt8], nodes: [Node]) {
        self.bytes = bytes
        self.nodes = nodes
    }

    /// The integer at a JSON pointer (RFC 6901) of member names: a number, or digits in a string, as clients of the
    /// property management system send them.
    ///
    /// - Returns: nil where nothing is at the place; otherwise the integer, or nil if it is none.
    public func identifier(at pointer: String) -> Int64?? {
        var node = 0
        for name in pointer.utf8.split(separator: UInt8(ascii: "/")) {
            guard let member = member(Array(name), of: node) else { return nil }
            node = member
        }
        switch nodes[node].kind {
        case .integer: return .some(integer(node))
        case .string where !nodes[node].hasEscapes && bytes[nodes[node].range].allSatisfy({ 0x30...0x39 ~= $0 }):
            return .some(integer(node))
        default: return .some(nil)
        }
    }

    /// The value of a member.
    private func member(_ name: [UInt8], of object: Int) -> Int? {
        guard nodes[object].kind == .object else { return nil }
        var index = object + 1
        for _ in 0..<nodes[object].count {
            if text(index).elementsEqual(name) { return index + 1 }
            index = Int(nodes[index + 1].next)
        }
        return nil
    }

    /// The value of an integer of at most 18 digits; nil for larger ones.
    func integer(_ node: Int) -> Int64? {
        var range = nodes[node].range
        let isNegative = range.count > 0 && bytes[range.lowerBound] == UInt8(ascii: "-")
        if isNegative { range = range.dropFirst() }
        guard 1...18 ~= range.count else { return nil }
        var value: Int64 = 0
        for index in range { value = value &* 10 &+ Int64(bytes[index] & 15) }
        return isNegative ? -value : value
    }

    /// A string's text, what is escaped in it resolved.
    func text(_ node: Int) -> ArraySlice<UInt8> {
        let slice = bytes[nodes[node].range]
        return nodes[node].hasEscapes ? JSONEscape.resolve(slice)[...] : slice
    }

    /// The indices of an array's elements.
    func elements(of array: Int) -> [Int] {
        var elements: [Int] = []
        var index = array + 1
        for _ in 0..<nodes[array].count {
            elements.append(index)
            index = Int(nodes[index].next)
        }
        return elements
    }
}

/// What is wrong with a JSON text, and where.
public struct JSONDocumentError: Error, Hashable, Sendable {
    /// The position in bytes from the beginning of the text.
    public let offset: Int
    /// A sentence about it, without any of the text.
    public let detail: String
}

/// What stands behind a backslash (RFC 8259 §7).
enum JSONEscape {
    /// The text that a sound string means.
    static func resolve(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var resolved: [UInt8] = []
        resolved.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            guard text[index] == UInt8(ascii: "\\") else {
                resolved.append(text[index])
                index += 1
                continue
            }
            let letter = text[index + 1]
            index += 2
            if letter == UInt8(ascii: "u") {
                var unit = codeUnit(text, at: index)
                index += 4
                if 0xD800..<0xDC00 ~= unit {
                    unit = 0x10000 + (unit - 0xD800) << 10 + (codeUnit(text, at: index + 2) - 0xDC00)
                    index += 6
                }
                // Sound strings hold no halves of pairs.
                resolved.append(contentsOf: String(Unicode.Scalar(unit) ?? "\u{FFFD}").utf8)
            } else {
                resolved.append(meaning(of: letter) ?? letter)
            }
        }
        return resolved
    }

    /// The byte that one of the short escapes means; nil for other letters.
    static func meaning(of letter: UInt8) -> UInt8? {
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): letter
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: nil
        }
    }

    private static func codeUnit(_ text: ArraySlice<UInt8>, at index: Int) -> UInt32 {
        text[index..<index + 4].reduce(0) { $0 << 4 | UInt32($1.hexadecimalValue ?? 0) }
    }
}

extension UInt8 {
    /// The value of a hexadecimal digit.
    var hexadecimalValue: UInt8? {
        switch self {
        case 0x30...0x39: self - 0x30
        case 0x41...0x46: self - 0x37
        case 0x61...0x66: self - 0x57
        default: nil
        }
    }
}
