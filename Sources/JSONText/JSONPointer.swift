/// A place in a JSON document (RFC 6901), such as `/Events/0/Value/Id`.
public struct JSONPointer: Hashable, Sendable {
    /// The names and numbers that lead there, unescaped.
    private let steps: [String]

    /// - Returns: nil unless every step begins with a slash, and every `~` with `0` or `1` behind it is one of the two
    ///   escapes that there are (RFC 6901 §3). The empty text is the whole document.
    public init?(_ text: String) {
        guard text.isEmpty || text.hasPrefix("/") else { return nil }
        var steps: [String] = []
        for step in text.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            var name = ""
            var isEscape = false
            for scalar in step.unicodeScalars {
                switch (isEscape, scalar) {
                case (false, "~"): break
                case (false, _): name.unicodeScalars.append(scalar)
                case (true, "0"): name.unicodeScalars.append("~")
                case (true, "1"): name.unicodeScalars.append("/")
                default: return nil
                }
                isEscape = !isEscape && scalar == "~"
            }
            if isEscape { return nil }
            steps.append(name)
        }
        self.steps = steps
    }

    /// What stands there; nil where nothing does.
    public func value(in document: JSONValue) -> JSONValue? {
        var current = document
        for step in steps {
            let next: JSONValue? =
                if case .array(let elements) = current {
                    Self.index(step).flatMap { $0 < elements.count ? elements[$0] : nil }
                } else {
                    current[step]
                }
            guard let next else { return nil }
            current = next
        }
        return current
    }

    /// A place in an array: digits without a zero in front (RFC 6901 §4).
    private static func index(_ step: String) -> Int? {
        guard step.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), step == "0" || !step.hasPrefix("0") else { return nil }
        return Int(step)
    }
}
