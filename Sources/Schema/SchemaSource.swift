/// A schema as it was written, with the place of each value: what `Schema` is compiled from.
public struct SchemaSource: Sendable {
    /// What was written.
    public indirect enum Value: Sendable {
        case null
        case bool(Bool)
        /// A number in JSON's form.
        case number(String)
        case string(String)
        case array([SchemaSource])
        /// The members in the order written, no name twice.
        case object([(name: String, value: SchemaSource)])
    }

    /// What was written.
    public let value: Value
    /// Where: line and column from 1, or 0 where that is unknown.
    public let line: Int
    /// Where: line and column from 1, or 0 where that is unknown.
    public let column: Int

    /// A value at a place.
    public init(_ value: Value, line: Int = 0, column: Int = 0) {
        self.value = value
        self.line = line
        self.column = column
    }

    /// A number, if the text is one in JSON's form that is within a document's bounds.
    public static func number(_ text: String) -> Value? {
        guard let document = try? JSONDocument(parsing: Array(text.utf8)),
            [.integer, .number].contains(document.nodes[0].kind), document.nodes[0].range.count == text.utf8.count
        else { return nil }
        return .number(text)
    }

    /// The members of an object.
    var members: [(name: String, value: SchemaSource)]? {
        if case .object(let members) = value { members } else { nil }
    }

    /// The member of that name, if this is an object that has it.
    public subscript(name: String) -> SchemaSource? { members?.first { $0.name == name }?.value }

    /// What stands there, in words for a mistake.
    var found: String {
        switch value {
        case .null: "null"
        case .bool(let truth): truth ? "true" : "false"
        case .number(let text): text
        case .string(let text): text.unicodeScalars.count <= 60 ? "\"\(text)\"" : "\"\(text.prefix(60))…\""
        case .array(let elements): elements.isEmpty ? "an empty list" : "a list"
        case .object: "a mapping"
        }
    }

    /// The value as JSON text.
    var json: String {
        switch value {
        case .null: "null"
        case .bool(let truth): truth ? "true" : "false"
        case .number(let text): text
        case .string(let text): Self.quoted(text)
        case .array(let elements): "[" + elements.map(\.json).joined(separator: ",") + "]"
        case .object(let members):
            "{" + members.map { Self.quoted($0.name) + ":" + $0.value.json }.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\\(scalar)"
            case "\0"..<" ": quoted += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

/// Every mistake found in a schema, at once.
public struct SchemaError: Error, Sendable {
    /// One mistake.
    public struct Mistake: Sendable, Equatable {
        /// Where.
        public let line: Int
        /// Where.
        public let column: Int
        /// The keys that lead there, such as `components.schemas.Guest.properties.name.minLength`.
        public let key: String
        /// What stands there.
        public let found: String
        /// What was expected instead.
        public let expected: String
    }

    /// At least one.
    public let mistakes: [Mistake]
}
