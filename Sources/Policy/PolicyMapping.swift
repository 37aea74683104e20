/// The mapping a typed policy is read from. It notes which keys were asked for; the others are mistakes.
final class PolicyMapping {
    private let parent: PolicyNode
    private var known: [String] = []

    init(_ parent: PolicyNode) { self.parent = parent }

    /// The value of a key that may be absent. A key with nothing after it counts as absent.
    func optional(_ key: String) -> PolicyNode? {
        known.append(key)
        guard let node = parent.node[key], !node.isNull else { return nil }
        return PolicyNode(node, path: parent.path(to: key), log: parent.log)
    }

    /// The value of a key that must be there.
    func required(_ key: String, expected: String) -> PolicyNode? {
        if let node = optional(key) { return node }
        parent.log.record(
            at: parent.node[key]?.mark ?? parent.node.mark, key: parent.path(to: key), found: "nothing",
            expected: expected)
        return nil
    }

    /// A required text.
    func text(_ key: String, expected: String = "a text") -> String {
        required(key, expected: expected)?.text(expected) ?? ""
    }

    /// A text with a default.
    func text(_ key: String, default fallback: String) -> String {
        guard let node = optional(key) else { return fallback }
        return node.text() ?? fallback
    }

    /// A whole number with a default.
    func integer(_ key: String, in bounds: ClosedRange<Int>, default fallback: Int) -> Int {
        guard let node = optional(key) else { return fallback }
        return node.integer(in: bounds) ?? fallback
    }

    /// A required whole number.
    func integer(_ key: String, in bounds: ClosedRange<Int>) -> Int {
        let expected = "a whole number from \(bounds.lowerBound) to \(bounds.upperBound)"
        return required(key, expected: expected)?.integer(in: bounds) ?? bounds.lowerBound
    }

    /// A time with a default.
    func duration(_ key: String, in bounds: ClosedRange<Duration>, default fallback: Duration) -> Duration {
        guard let node = optional(key) else { return fallback }
        return node.duration(in: bounds) ?? fallback
    }

    /// A size with a default.
    func byteCount(_ key: String, in bounds: ClosedRange<ByteCount>, default fallback: ByteCount) -> ByteCount {
        guard let node = optional(key) else { return fallback }
        return node.byteCount(in: bounds) ?? fallback
    }

    /// One of an enumeration's words, with a default.
    func choice<Choice: RawRepresentable<String> & CaseIterable>(_ key: String, default fallback: Choice) -> Choice {
        guard let node = optional(key) else { return fallback }
        return node.choice(Choice.self) ?? fallback
    }

    /// `true` or `false`, with a default.
    func truth(_ key: String, default fallback: Bool) -> Bool {
        guard let node = optional(key) else { return fallback }
        return node.truth() ?? fallback
    }

    /// A nested mapping that may be absent; `absent` is what its absence stands for.
    func mapping<Value>(_ key: String, absent: Value, _ read: (PolicyMapping) -> Value?) -> Value {
        guard let node = optional(key) else { return absent }
        return node.mapping(read) ?? absent
    }

    /// Records every key that was not asked for, with those that were.
    func refuseUnknownKeys() {
        guard case .mapping(let entries) = parent.node.value else { return }
        for entry in entries where !known.contains(entry.key) {
            parent.log.record(
                at: entry.keyMark, key: parent.path(to: entry.key), found: "an unknown key",
                expected: "one of " + known.joined(separator: ", "))
        }
    }
}
