internal import FoundationEssentials

/// A file of rules, as read.
struct RuleFile {
    let path: String
    /// What is loaded.
    var content: [UInt8]

    /// - Throws: `FirewallError` `rules` where it cannot be read.
    init(_ path: String) throws(FirewallError) {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw FirewallError(.rules, "\(path): cannot be read")
        }
        self.init(path: path, content: Self.withoutCarriageReturns(data))
        // The library would load what stands before it, and no more.
        if content.contains(0) { throw FirewallError(.rules, "\(path): has a zero byte") }
    }

    init(path: String, content: [UInt8]) {
        self.path = path
        self.content = content
    }

    /// Lines that end as on Windows end as here: to Swift CR LF is one character, and no line feed.
    private static func withoutCarriageReturns(_ data: Data) -> [UInt8] {
        guard data.contains(13) else { return Array(data) }
        return data.indices.filter { data[$0] != 13 || $0 + 1 == data.endIndex || data[$0 + 1] != 10 }.map { data[$0] }
    }

    /// A directive, or a blank line.
    struct LogicalLine {
        /// Lines of the file that it takes, counted from 0.
        let range: Range<Int>
        /// Continued lines joined.
        let text: String
        /// Nil where the line is blank.
        let directive: SecLangDirective?

        init(_ range: Range<Int>, _ text: String) {
            self.range = range
            self.text = text
            directive = SecLangDirective(text)
        }
    }

    /// All but comments. Asked for once for a file: a process that starts waits for its rules.
    var logicalLines: [LogicalLine] {
        var lines: [LogicalLine] = []
        var open = ""
        var start: Int?
        let newline = UInt8(ascii: "\n")
        for (index, bytes) in content.split(separator: newline, omittingEmptySubsequences: false).enumerated() {
            let line = String(decoding: bytes, as: UTF8.self)[...].trimmed()
            if start == nil, line.utf8.first == UInt8(ascii: "#") { continue }
            let first = start ?? index
            if line.utf8.last == UInt8(ascii: "\\") {
                open += Substring(line.utf8.dropLast())
                start = first
            } else {
                lines.append(LogicalLine(first..<index + 1, open + line))
                open = ""
                start = nil
            }
        }
        return lines
    }
}
