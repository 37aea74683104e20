/// A JSON text, read strictly (RFC 8259): no trailing commas, no names twice in an object, no numbers or nesting beyond
/// bounds, valid UTF-8 only.
///
/// JSONDecoder takes trailing commas, keeps one of two equal names and calls `1.5` for an integer "not valid JSON": two
/// readers of one body must not differ, and the client must be told which field is wrong.
public enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    /// A number without fraction and exponent that fits.
    case integer(Int64)
    /// Any other number, as written.
    case number(String)
    case string(String)
    case array([JSONValue])
    /// The members in the order written; no name occurs twice.
    case object([Member])

    /// A name and its value.
    public struct Member: Hashable, Sendable {
        /// The name.
        public let name: String
        /// The value.
        public let value: JSONValue
    }

    /// How deep arrays and objects may be nested.
    public static let maximumDepth = 16

    /// Reads a whole text.
    public init(parsing bytes: [UInt8]) throws(JSONSyntaxError) {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw JSONSyntaxError(offset: 0, detail: "The body is not valid UTF-8")
        }
        var parser = JSONParser(bytes: bytes)
        self = try parser.document()
    }

    /// The text of a string.
    public var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The value of an integer.
    public var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    /// The members of an object.
    public var members: [Member]? {
        if case .object(let members) = self { members } else { nil }
    }

    /// The member of that name, if this is an object that has it.
    public subscript(name: String) -> JSONValue? {
        members?.first { $0.name == name }?.value
    }
}

/// What is wrong with a JSON text, and where.
public struct JSONSyntaxError: Error, Hashable, Sendable {
    /// The position in bytes from the beginning of the text.
    public let offset: Int
    /// A sentence about it, without any of the text.
    public let detail: String
}
