/// A place in a policy file: line and column, both from 1.
struct Mark: Sendable, Equatable {
    var line: Int
    var column: Int

    /// The file as a whole.
    static let file = Mark(line: 0, column: 0)
}

/// A value in a YAML file and where it stands.
struct YAMLNode: Sendable {
    enum Value: Sendable {
        /// A text; `isPlain` when it was written without quotes and may therefore mean a number or a truth value.
        case scalar(String, isPlain: Bool)
        case sequence([YAMLNode])
        /// The entries in the order of the file; no key stands twice.
        case mapping([Entry])
    }

    struct Entry: Sendable {
        let key: String
        let keyMark: Mark
        let value: YAMLNode
    }

    let value: Value
    let mark: Mark

    /// The value of a key; `nil` where the node is no mapping or has no such key.
    subscript(key: String) -> YAMLNode? {
        guard case .mapping(let entries) = value else { return nil }
        return entries.first { $0.key == key }?.value
    }

    /// Whether nothing was written: an empty value, `~` or `null` (YAML 1.2 §10.3.2).
    var isNull: Bool {
        guard case .scalar(let text, isPlain: true) = value else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// What stands there, in words for a mistake.
    var found: String {
        switch value {
        case _ where isNull: "nothing"
        case .scalar(let text, let isPlain):
            isPlain ? text.shortened : "\"\(text.shortened)\""
        case .sequence(let elements): elements.isEmpty ? "an empty list" : "a list"
        case .mapping: "a mapping"
        }
    }
}

extension String {
    fileprivate var shortened: String {
        let limit = 60
        return unicodeScalars.count <= limit ? self : String(prefix(limit)) + "…"
    }
}
