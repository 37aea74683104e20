/// `demo.env`: what a person, or a script, needs to try the installation, as shell variables.
public struct EnvironmentFile: Sendable, Equatable {
    /// Names and values in order.
    public private(set) var variables: [(name: String, value: String)] = []

    /// A comment in front of them, one line each.
    public var comment: [String] = []

    /// An empty file.
    public init() {}

    /// Adds a variable; a `nil` value leaves it out.
    public mutating func set(_ name: String, _ value: String?) {
        if let value { variables.append((name, value)) }
    }

    /// The file's text: one assignment a line, quoted where a shell would read the value otherwise.
    public var text: String {
        comment.map { "# \($0)\n" }.joined() + variables.map { "\($0.name)=\(Self.quote($0.value))\n" }.joined()
    }

    /// Writes the file for its owner alone, replacing it in one step.
    public func write(to path: String) throws { try File.write(text, to: path, mode: 0o600) }

    /// A variable's value in a file written by `write`; `nil` when there is none.
    static func value(_ name: String, in path: String) throws -> String? {
        let lines = (try File.readText(path) ?? "").split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("\(name)=") }) else { return nil }
        return unquote(String(line.dropFirst(name.utf8.count + 1)))
    }

    static func unquote(_ text: String) -> String {
        guard text.utf8.count >= 2, text.hasPrefix("'"), text.hasSuffix("'") else { return text }
        var parts = text.dropFirst().dropLast()[...]
        var value = ""
        while let range = parts.firstRange(of: #"'\''"#) {
            value += parts[..<range.lowerBound] + "'"
            parts = parts[range.upperBound...]
        }
        return value + parts
    }

    static func quote(_ value: String) -> String {
        let isPlain =
            !value.isEmpty
            && value.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                default: "_-./:@%+,=?".utf8.contains(byte)
                }
            }
        // Inside single quotes a shell reads everything as it stands, except the single quote.
        return isPlain
            ? value
            : "'" + value.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#) + "'"
    }

    public static func == (left: EnvironmentFile, right: EnvironmentFile) -> Bool { left.text == right.text }
}
