internal import JSONText
public import Schema

/// A JSON Schema that is taken at its word: what it does not name is not there. Ours say of answers and events that members may
/// be added, so a test that asks whether one describes what is written asks this.
public struct ClosedSchema {
    private let schema: Schema

    /// - Parameter json: the schema.
    /// - Throws: where it is no JSON, or no schema of those that we read.
    public init(json: String) throws {
        let source = Self.source(try JSONValue(parsing: Array(json.utf8)))
        schema = try Schema(source, in: source)
    }

    /// What is wrong with a text.
    ///
    /// - Throws: where it is no JSON.
    public func violations(in json: String) throws -> [Violation] {
        schema.violations(in: try JSONDocument(parsing: Array(json.utf8)))
    }

    private static func source(_ value: JSONValue) -> SchemaSource {
        switch value {
        case .null: return SchemaSource(.null)
        case .bool(let truth): return SchemaSource(.bool(truth))
        case .integer(let number): return SchemaSource(.number(String(number)))
        case .number(let text): return SchemaSource(.number(text))
        case .string(let text): return SchemaSource(.string(text))
        case .array(let elements): return SchemaSource(.array(elements.map(source)))
        case .object(let members):
            var closed = members.map { (name: $0.name, value: source($0.value)) }
            if value["properties"]?.members != nil {
                closed.append((name: "additionalProperties", value: SchemaSource(.bool(false))))
            }
            return SchemaSource(.object(closed))
        }
    }
}
