/// Header or trailer fields in their original order, duplicates kept.
///
/// All bytes stand in one array and each field is sixteen bytes of positions in it, so a parsed head costs two
/// allocations however many fields it has. Values are opaque bytes; where one is asked for as a `String`, bytes that
/// are not UTF-8 become U+FFFD.
public struct Fields: Sendable {
    struct Entry: Sendable {
        var nameStart: UInt32
        var valueStart: UInt32
        var valueLength: UInt32
        var nameLength: UInt16
        var name: FieldName

        @inline(__always)
        init(name: FieldName, nameRange: Range<Int>, valueRange: Range<Int>) {
            self.name = name
            nameStart = UInt32(nameRange.lowerBound)
            nameLength = UInt16(nameRange.count)
            valueStart = UInt32(valueRange.lowerBound)
            valueLength = UInt32(valueRange.count)
        }

        @inline(__always)
        var nameRange: Range<Int> { Int(nameStart)..<Int(nameStart) &+ Int(nameLength) }
        @inline(__always)
        var valueRange: Range<Int> { Int(valueStart)..<Int(valueStart) &+ Int(valueLength) }
    }

    /// Names and values, and whatever else stood around them in the message.
    private(set) var arena: [UInt8]
    private(set) var entries: [Entry]

    /// No fields.
    public init() {
        arena = []
        entries = []
    }

    init(arena: [UInt8], entries: [Entry]) {
        self.arena = arena
        self.entries = entries
    }

    // MARK: Looking up

    /// The value of the first field with this name.
    public subscript(name: FieldName) -> String? {
        bytes(of: name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The value of the first field with this name, whatever its letter case.
    public subscript(name: String) -> String? {
        bytes(of: name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The value of the first field with this name, sharing the fields' storage.
    public func bytes(of name: FieldName) -> ArraySlice<UInt8>? {
        for entry in entries where entry.name == name { return arena[entry.valueRange] }
        return nil
    }

    /// The value of the first field with this name, whatever its letter case, sharing the fields' storage.
    public func bytes(of name: String) -> ArraySlice<UInt8>? {
        for entry in entries where has(entry, name: name) { return arena[entry.valueRange] }
        return nil
    }

    /// How many fields have this name. A single-valued field that occurs more than once should be refused.
    public func count(of name: FieldName) -> Int {
        entries.count { $0.name == name }
    }

    /// How many fields have this name, whatever its letter case.
    public func count(of name: String) -> Int {
        entries.count { has($0, name: name) }
    }

    /// Whether a field has this name.
    public func contains(_ name: FieldName) -> Bool {
        entries.contains { $0.name == name }
    }

    private func has(_ entry: Entry, name: String) -> Bool {
        arena.span.equals(entry.nameRange, ignoringCase: name)
    }

    // MARK: Building

    /// Whether the text can be a field name: a token of at most 255 bytes.
    public static func isValidName(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.count <= 255 && bytes.span.isToken(0..<bytes.count)
    }

    /// Adds a field. Control characters in the value become spaces (RFC 9110 §5.5), so no value can end its line.
    /// - Precondition: the name is not one of the cases that stand for many names.
    public mutating func append(_ name: FieldName, _ value: String) {
        precondition(!name.text.isEmpty, "a field needs a name")
        append(name, text: name.text, value: value.utf8)
    }

    /// Adds a field. Control characters in the value become spaces (RFC 9110 §5.5), so no value can end its line.
    /// - Precondition: `Fields.isValidName(name)`. Names come from code or checked configuration, never from a peer.
    public mutating func append(_ name: String, _ value: String) {
        let bytes = Array(name.utf8)
        guard bytes.count <= 255, let known = FieldName(bytes.span, 0..<bytes.count) else {
            preconditionFailure("a field name must be a token")
        }
        append(known, text: name, value: value.utf8)
    }

    /// Adds a field with a value of bytes, as `append(_:_:)` does.
    /// - Precondition: the name is not one of the cases that stand for many names.
    public mutating func append(_ name: FieldName, bytes value: ArraySlice<UInt8>) {
        precondition(!name.text.isEmpty, "a field needs a name")
        append(name, text: name.text, value: value)
    }

    /// Removes every field with this name.
    public mutating func remove(_ name: FieldName) {
        entries.removeAll { $0.name == name }
    }

    private mutating func append(_ name: FieldName, text: String, value: some Collection<UInt8>) {
        let start = arena.count
        arena.append(contentsOf: text.utf8)
        let nameEnd = arena.count
        arena.append(contentsOf: value)
        while let index = arena.span.firstControl(from: nameEnd) { arena[index] = .space }
        let valueRange = arena.span.trimmed(nameEnd..<arena.count)
        entries.append(Entry(name: name, nameRange: start..<nameEnd, valueRange: valueRange))
    }
}

/// One field of a message.
public struct Field: Sendable {
    /// What the name was recognised as.
    public let name: FieldName
    /// The name as it stood in the message.
    public let nameBytes: ArraySlice<UInt8>
    /// The value without the white space around it.
    public let valueBytes: ArraySlice<UInt8>

    /// The name as it stood in the message.
    public var nameText: String { String(decoding: nameBytes, as: UTF8.self) }
    /// The value; bytes that are not UTF-8 become U+FFFD.
    public var value: String { String(decoding: valueBytes, as: UTF8.self) }
}

extension Fields: RandomAccessCollection {
    public var startIndex: Int { 0 }
    public var endIndex: Int { entries.count }

    public subscript(position: Int) -> Field {
        let entry = entries[position]
        return Field(name: entry.name, nameBytes: arena[entry.nameRange], valueBytes: arena[entry.valueRange])
    }
}

extension Fields: Equatable {
    /// The same names, byte for byte, with the same values in the same order.
    public static func == (left: Fields, right: Fields) -> Bool {
        left.elementsEqual(right) { $0.nameBytes == $1.nameBytes && $0.valueBytes == $1.valueBytes }
    }
}
