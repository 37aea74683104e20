/// One mistake in a rule file: where it is, what stands there and what should.
public struct RuleMistake: Sendable, Equatable, CustomStringConvertible {
    /// The file, or the directory where one is missing.
    public let file: String
    /// The line, from 1; 0 where the file as a whole is meant.
    public let line: Int
    /// The directive, with its rule's number, such as `SecRule 10100`.
    public let directive: String
    /// What stands there.
    public let found: String
    /// What was expected instead.
    public let expected: String

    /// In the form of a policy's mistakes.
    public var description: String {
        let place = line > 0 ? "\(file):\(line)" : file
        return "\(place): \(directive.isEmpty ? "" : "\(directive): ")found \(found), expected \(expected)"
    }

    init(_ file: String, line: Int = 0, _ directive: String = "", found: String, expected: String) {
        self.file = file
        self.line = line
        self.directive = directive
        self.found = found
        self.expected = expected
    }

    /// Of a directive in a file.
    init(_ file: RuleFile, _ line: RuleFile.LogicalLine, found: String, expected: String) {
        let directive = line.directive
        let name = [directive.map { String($0.name) }, directive?.ruleID.map(String.init)].compactMap(\.self)
        self.init(
            file.path, line: line.range.lowerBound + 1, name.joined(separator: " "), found: found, expected: expected)
    }
}

/// What libmodsecurity says of rules that it does not load, such as
/// `Rules error. File: rules.conf. Line: 7. Column: 40. Expecting an action, got:  dny"`.
struct LibraryComplaint {
    private static let wordBound = 120

    /// From 1; nil where it names none.
    let line: Int?
    let found: String
    let expected: String

    init(_ text: String) {
        line = Self.number(after: "line: ", in: text.lowercased())
        var words = text[...].trimmed()
        if let column = words.firstRange(of: "Column: ") {
            words = words[column.upperBound...].drop(while: \.isNumber).drop { $0 == "." }.trimmed()
        } else if let file = words.firstRange(of: " File: ") {
            words = words[..<file.lowerBound].trimmed()
        }
        let forms: [(mark: String, expected: String)] = [
            ("Expecting an action, got:", "an action"), ("Expecting a variable, got:", "a variable"),
            ("Invalid input:", "a directive"), ("This is no regular expression:", "a regular expression"),
            ("Rules must have an ID", "a rule with an id"),
        ]
        if let form = forms.first(where: { words.hasPrefix($0.mark) }) {
            let rest = words.dropFirst(form.mark.count).drop { $0 == " " || $0 == ":" || $0 == "." }
            found = rest.isEmpty ? "none" : Self.shortened(rest)
            expected = form.expected
        } else {
            found = words.isEmpty ? "something else" : Self.shortened(words)
            expected = "what libmodsecurity loads"
        }
    }

    private static func number(after mark: String, in text: String) -> Int? {
        text.firstRange(of: mark).flatMap { Int(text[$0.upperBound...].prefix(while: \.isNumber)) }
    }

    private static func shortened(_ words: Substring) -> String {
        let line = words.split(separator: "\n").joined(separator: " ")
        return line.count <= wordBound ? line : "\(line.prefix(wordBound))…"
    }
}
