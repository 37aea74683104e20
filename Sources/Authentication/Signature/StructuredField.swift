internal import Cryptography

/// The part of structured fields (RFC 9651) that signatures and digests are written in: dictionaries of items and of
/// inner lists of items, with parameters. Strict, and bounded in every direction.
enum StructuredField {
    /// The longest field value read, all its lines together.
    static let maximumByteCount = 8192
    /// The most members of a dictionary.
    static let maximumMemberCount = 16
    /// The most items of an inner list.
    static let maximumItemCount = 64
    /// The most parameters of one item or list.
    static let maximumParameterCount = 16

    /// A bare item.
    enum BareItem: Equatable {
        case integer(Int64)
        case decimal(String)
        case string(String)
        case token(String)
        case bytes([UInt8])
        case boolean(Bool)
    }

    /// Parameters in the order in which they stand; a name that stands twice keeps its place and takes the last value.
    typealias Parameters = [(name: String, value: BareItem)]

    /// An item with its parameters.
    struct Item {
        var value: BareItem
        var parameters: Parameters = []
    }

    /// A list in parentheses with its parameters.
    struct InnerList {
        var items: [Item]
        var parameters: Parameters = []
    }

    /// What a member of a dictionary is.
    enum Member {
        case item(Item)
        case list(InnerList)
    }

    /// Reads a dictionary; `nil` for anything that is not exactly one, or is beyond the bounds. A name that stands
    /// twice is refused, though the RFC has the last one win: nothing that proves something may be said twice.
    static func dictionary(_ bytes: Span<UInt8>) -> [(name: String, member: Member)]? {
        guard bytes.count <= maximumByteCount else { return nil }
        var reader = Reader(bytes: bytes.withUnsafeBufferPointer { Array($0) })
        return reader.dictionary()
    }

    // MARK: Serialising (RFC 9651 §4.1)

    static func serialize(_ list: InnerList) -> String {
        "(" + list.items.map { serialize($0) }.joined(separator: " ") + ")" + serialize(list.parameters)
    }

    static func serialize(_ item: Item) -> String { serialize(item.value) + serialize(item.parameters) }

    private static func serialize(_ parameters: Parameters) -> String {
        parameters.map { $0.value == .boolean(true) ? ";\($0.name)" : ";\($0.name)=\(serialize($0.value))" }.joined()
    }

    private static func serialize(_ item: BareItem) -> String {
        switch item {
        case .integer(let value): return String(value)
        case .decimal(let text), .token(let text): return text
        case .string(let text):
            var quoted = "\""
            for character in text.unicodeScalars {
                if character == "\"" || character == "\\" { quoted.unicodeScalars.append("\\") }
                quoted.unicodeScalars.append(character)
            }
            return quoted + "\""
        case .bytes(let bytes): return ":\(Base64.standard.encode(bytes)):"
        case .boolean(let value): return value ? "?1" : "?0"
        }
    }
}

/// Reads by RFC 9651 §4.2; every method answers `nil` at the first mistake.
private struct Reader {
    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func dictionary() -> [(name: String, member: StructuredField.Member)]? {
        var members: [(name: String, member: StructuredField.Member)] = []
        skipSpaces()
        while position < bytes.count {
            guard members.count < StructuredField.maximumMemberCount, let name = key(),
                !members.contains(where: { $0.name == name }), let member = member()
            else { return nil }
            members.append((name, member))
            skipBlanks()
            guard position < bytes.count else { return members }
            guard take(",") else { return nil }
            skipBlanks()
            // No comma may come last.
            guard position < bytes.count else { return nil }
        }
        return members
    }

    private mutating func member() -> StructuredField.Member? {
        guard take("=") else {
            // A name alone stands for true.
            guard let parameters = parameters() else { return nil }
            return .item(StructuredField.Item(value: .boolean(true), parameters: parameters))
        }
        if peek == UInt8(ascii: "(") { return innerList().map { .list($0) } }
        return item().map { .item($0) }
    }

    private mutating func innerList() -> StructuredField.InnerList? {
        guard take("(") else { return nil }
        var items: [StructuredField.Item] = []
        while true {
            let hadSpace = skipSpaces()
            if take(")") { break }
            guard items.isEmpty || hadSpace, items.count < StructuredField.maximumItemCount, let item = item() else {
                return nil
            }
            items.append(item)
        }
        guard let parameters = parameters() else { return nil }
        return StructuredField.InnerList(items: items, parameters: parameters)
    }

    private mutating func item() -> StructuredField.Item? {
        guard let value = bareItem(), let parameters = parameters() else { return nil }
        return StructuredField.Item(value: value, parameters: parameters)
    }

    private mutating func parameters() -> StructuredField.Parameters? {
        var parameters: StructuredField.Parameters = []
        while take(";") {
            skipSpaces()
            guard let name = key() else { return nil }
            var value = StructuredField.BareItem.boolean(true)
            if take("=") {
                guard let item = bareItem() else { return nil }
                value = item
            }
            if let index = parameters.firstIndex(where: { $0.name == name }) {
                parameters[index].value = value
            } else {
                guard parameters.count < StructuredField.maximumParameterCount else { return nil }
                parameters.append((name, value))
            }
        }
        return parameters
    }

    private mutating func bareItem() -> StructuredField.BareItem? {
        switch peek {
        case UInt8(ascii: "\"")?: return string().map { .string($0) }
        case UInt8(ascii: ":")?: return byteSequence().map { .bytes($0) }
        case UInt8(ascii: "?")?: return boolean()
        case let byte? where byte.isDigit || byte == UInt8(ascii: "-"): return number()
        case let byte? where byte.isLetter || byte == UInt8(ascii: "*"): return token()
        default: return nil
        }
    }

    /// At most 15 digits for an integer, 12 and 3 for a decimal (§4.2.4).
    private mutating func number() -> StructuredField.BareItem? {
        let start = position
        if peek == UInt8(ascii: "-") { position += 1 }
        let digits = skipDigits()
        guard digits > 0 else { return nil }
        guard take(".") else {
            guard digits <= 15, let value = Int64(text(from: start)) else { return nil }
            return .integer(value)
        }
        let fraction = skipDigits()
        guard digits <= 12, 1...3 ~= fraction else { return nil }
        return .decimal(text(from: start))
    }

    /// Printable ASCII; only quotes and backslashes are escaped (§4.2.5).
    private mutating func string() -> String? {
        position += 1
        var text: [UInt8] = []
        while let byte = next() {
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let escaped = next(), escaped == UInt8(ascii: "\"") || escaped == UInt8(ascii: "\\") else {
                    return nil
                }
                text.append(escaped)
            case 0x20...0x7E: text.append(byte)
            default: return nil
            }
        }
        return nil
    }

    private mutating func byteSequence() -> [UInt8]? {
        position += 1
        let start = position
        while let byte = peek, byte != UInt8(ascii: ":") { position += 1 }
        let end = position
        guard take(":") else { return nil }
        return Base64.standard.decode(bytes.span.extracting(start..<end))
    }

    private mutating func boolean() -> StructuredField.BareItem? {
        position += 1
        if take("1") { return .boolean(true) }
        return take("0") ? .boolean(false) : nil
    }

    private mutating func token() -> StructuredField.BareItem? {
        let start = position
        while let byte = peek, byte.isTokenCharacter || byte == UInt8(ascii: ":") || byte == UInt8(ascii: "/") {
            position += 1
        }
        return .token(text(from: start))
    }

    /// Lower-case letters, digits and `_-.*`, a letter or `*` first (§4.2.3.3).
    private mutating func key() -> String? {
        let start = position
        guard let first = peek, first.isLowercase || first == UInt8(ascii: "*") else { return nil }
        while let byte = peek, byte.isLowercase || byte.isDigit || "_-.*".utf8.contains(byte) { position += 1 }
        return text(from: start)
    }

    private func text(from start: Int) -> String { String(decoding: bytes[start..<position], as: UTF8.self) }

    private mutating func skipDigits() -> Int {
        let start = position
        while let byte = peek, byte.isDigit { position += 1 }
        return position - start
    }

    @discardableResult
    private mutating func skipSpaces() -> Bool {
        let start = position
        while peek == UInt8(ascii: " ") { position += 1 }
        return position > start
    }

    private mutating func skipBlanks() {
        while peek == UInt8(ascii: " ") || peek == UInt8(ascii: "\t") { position += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func next() -> UInt8? {
        guard let byte = peek else { return nil }
        position += 1
        return byte
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { 0x30...0x39 ~= self }
    fileprivate var isLowercase: Bool { 0x61...0x7A ~= self }
    fileprivate var isLetter: Bool { isLowercase || 0x41...0x5A ~= self }
    /// RFC 9110 §5.6.2.
    fileprivate var isTokenCharacter: Bool { isLetter || isDigit || "!#$%&'*+-.^_`|~".utf8.contains(self) }
}
