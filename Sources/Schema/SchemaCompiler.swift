/// Compiles schemas out of a description, refusing what is not known, so that nobody takes for checked what is not.
final class SchemaCompiler {
    /// The most references followed in a row.
    private static let maximumReferences = 16
    /// How deep a schema may be written.
    private static let maximumDepth = 64

    /// The description, in which references are looked up.
    private let root: SchemaSource
    private(set) var rules: [SchemaRule] = []
    private(set) var mistakes: [SchemaError.Mistake] = []
    /// The rules that references have led to.
    private var referenced: [String: Int] = [:]
    private var depth = 0

    init(root: SchemaSource) { self.root = root }

    /// Adds the rule of a schema and of everything it refers to; returns its index.
    func compile(_ source: SchemaSource, key: String) -> Int {
        let index = reserve()
        fill(index, source, key)
        return index
    }

    private func reserve() -> Int {
        rules.append(SchemaRule())
        return rules.count - 1
    }

    private func fill(_ index: Int, _ source: SchemaSource, _ key: String) {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maximumDepth else { return refuse(source, key, expected: "less nesting") }
        switch source.value {
        case .bool(let truth): rules[index].isNever = !truth
        case .object(let members):
            var keywords = SchemaKeywords(members, key: key, at: source, self)
            rules[index] = keywords.rule()
        default: refuse(source, key, expected: "a schema: a mapping, true or false")
        }
    }

    /// The rule that a `$ref` leads to; each is compiled once, so that references may form circles.
    func reference(_ source: SchemaSource, _ key: String) -> Int? {
        guard case .string(let text) = source.value, text.hasPrefix("#/") else {
            refuse(source, key, expected: "a reference within this file (#/…)")
            return nil
        }
        if let known = referenced[text] { return known }
        guard let (target, path) = target(of: text) else {
            refuse(source, key, expected: "a reference to something that exists")
            return nil
        }
        let index = reserve()
        referenced[text] = index
        fill(index, target, path)
        return index
    }

    private func target(of reference: String) -> (SchemaSource, String)? {
        var current = root
        var path: [String] = []
        for part in reference.dropFirst(2).split(separator: "/", omittingEmptySubsequences: false) {
            let name = String(part.replacing("~1", with: "/").replacing("~0", with: "~"))
            if case .array(let elements) = current.value, let index = Int(name), elements.indices.contains(index) {
                current = elements[index]
            } else if let member = current[name] {
                current = member
            } else {
                return nil
            }
            path.append(name)
        }
        return (current, path.joined(separator: "."))
    }

    func refuse(_ source: SchemaSource, _ key: String, found: String? = nil, expected: String) {
        mistakes.append(
            SchemaError.Mistake(
                line: source.line, column: source.column, key: key, found: found ?? source.found,
                expected: expected))
    }

    /// Records when checking a value would mean checking the same value by the same schema again, without end.
    func refuseEndlessRules(_ source: SchemaSource, key: String) {
        var isDone = [Bool](repeating: false, count: rules.count)
        for start in rules.indices where isEndless(start, [], &isDone) {
            refuse(source, key, expected: "a schema whose references do not lead back to it for the same value")
            return
        }
    }

    private func isEndless(_ rule: Int, _ above: Set<Int>, _ isDone: inout [Bool]) -> Bool {
        if above.contains(rule) { return true }
        if isDone[rule] { return false }
        let above = above.union([rule])
        let isEndless = rules[rule].inPlace.contains { self.isEndless($0, above, &isDone) }
        isDone[rule] = true
        return isEndless
    }
}
