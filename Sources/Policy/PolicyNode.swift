/// A value in a policy on its way to a typed one.
///
/// Every reading method answers with a value of its type whatever it finds: a mistake is recorded and a stand-in
/// returned, so that one run finds all mistakes. The policy is refused as long as there is one, so no stand-in is ever
/// used.
struct PolicyNode {
    let node: YAMLNode
    /// The keys that lead here.
    let path: String
    let log: MistakeLog

    init(_ node: YAMLNode, path: String, log: MistakeLog) {
        self.node = node
        self.path = path
        self.log = log
    }

    /// Records that something else was expected here.
    func refuse(expected: String, found: String? = nil) {
        log.record(at: node.mark, key: path, found: found ?? node.found, expected: expected)
    }

    /// A text, quoted or not, without the NUL that no path, name or header can hold.
    func text(_ what: String = "a text") -> String? {
        guard case .scalar(let text, _) = node.value, !node.isNull, !text.isEmpty, !text.utf8.contains(0) else {
            refuse(expected: what)
            return nil
        }
        return text
    }

    /// A whole number written in decimal, within bounds.
    func integer(in bounds: ClosedRange<Int>) -> Int? {
        guard case .scalar(let text, isPlain: true) = node.value, let number = Int(text), !text.hasPrefix("+"),
            bounds.contains(number)
        else {
            refuse(expected: "a whole number from \(bounds.lowerBound) to \(bounds.upperBound)")
            return nil
        }
        return number
    }

    /// `true` or `false`, and nothing that YAML 1.1 also took for one of them.
    func truth() -> Bool? {
        switch node.value {
        case .scalar("true", isPlain: true): return true
        case .scalar("false", isPlain: true): return false
        default:
            refuse(expected: "true or false")
            return nil
        }
    }

    /// A time with its unit, within bounds.
    func duration(in bounds: ClosedRange<Duration>) -> Duration? {
        guard case .scalar(let text, _) = node.value, let duration = Quantity.duration(text) else {
            refuse(expected: Quantity.durationForm)
            return nil
        }
        guard bounds.contains(duration) else {
            refuse(expected: "\(Quantity.text(bounds.lowerBound)) to \(Quantity.text(bounds.upperBound))")
            return nil
        }
        return duration
    }

    /// A size with its unit, within bounds.
    func byteCount(in bounds: ClosedRange<ByteCount>) -> ByteCount? {
        guard case .scalar(let text, _) = node.value, let count = Quantity.byteCount(text) else {
            refuse(expected: Quantity.byteCountForm)
            return nil
        }
        guard bounds.contains(count) else {
            refuse(expected: "\(bounds.lowerBound) to \(bounds.upperBound)")
            return nil
        }
        return count
    }

    /// One of the words an enumeration knows.
    func choice<Choice: RawRepresentable<String> & CaseIterable>(_: Choice.Type) -> Choice? {
        guard case .scalar(let text, _) = node.value, let choice = Choice(rawValue: text) else {
            refuse(expected: "one of " + Choice.allCases.map(\.rawValue).joined(separator: ", "))
            return nil
        }
        return choice
    }

    /// The elements of a list, each with its index in the path.
    func elements(atLeast minimum: Int = 0) -> [PolicyNode] {
        guard case .sequence(let elements) = node.value, elements.count >= minimum else {
            refuse(expected: minimum == 0 ? "a list" : "a list of at least \(minimum)")
            return []
        }
        return elements.enumerated().map { PolicyNode($1, path: "\(path)[\($0)]", log: log) }
    }

    /// The entries of a mapping in the order of the file, each with its key in the path.
    func entries() -> [(key: String, value: PolicyNode)] {
        guard case .mapping(let entries) = node.value else {
            refuse(expected: "a mapping")
            return []
        }
        return entries.map { ($0.key, PolicyNode($0.value, path: path(to: $0.key), log: log)) }
    }

    /// Reads a mapping whose keys are known; a key nobody asks for is a mistake.
    func mapping<Value>(_ read: (PolicyMapping) -> Value?) -> Value? {
        guard case .mapping = node.value else {
            refuse(expected: "a mapping")
            return nil
        }
        let mapping = PolicyMapping(self)
        let value = read(mapping)
        mapping.refuseUnknownKeys()
        return value
    }

    /// The path of a key below this node.
    func path(to key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
}
