internal import Schema

/// The schemas of a description, compiled with mistakes recorded where they stand.
struct OpenAPISchemas {
    private let root: SchemaSource
    private let log: MistakeLog

    init(_ root: PolicyNode) {
        self.root = SchemaSource(root.node)
        log = root.log
    }

    /// Compiles the schema at a node; `nil` where it has mistakes, which are recorded.
    func compile(_ node: PolicyNode) -> Schema? {
        do throws(SchemaError) {
            return try Schema(SchemaSource(node.node), in: root, key: node.path)
        } catch {
            for mistake in error.mistakes {
                log.recordOnce(
                    at: Mark(line: mistake.line, column: mistake.column), key: mistake.key, found: mistake.found,
                    expected: mistake.expected)
            }
            return nil
        }
    }
}

extension SchemaSource {
    /// What YAML says, as its core schema reads texts without quotes (YAML 1.2 §10.3.2).
    init(_ node: YAMLNode) {
        let value: Value =
            switch node.value {
            case .scalar where node.isNull: .null
            case .scalar("true", isPlain: true): .bool(true)
            case .scalar("false", isPlain: true): .bool(false)
            case .scalar(let text, isPlain: true): SchemaSource.number(text) ?? .string(text)
            case .scalar(let text, isPlain: false): .string(text)
            case .sequence(let elements): .array(elements.map { SchemaSource($0) })
            case .mapping(let entries): .object(entries.map { ($0.key, SchemaSource($0.value)) })
            }
        self.init(value, line: node.mark.line, column: node.mark.column)
    }
}
