internal import FoundationEssentials

/// A file of rules, as read.
struct RuleFile {
    let path: String
    /// What is loaded.
    var content: [UInt8]

    var text: String { String(decoding: content, as: UTF8.self) }

    /// - Throws: `FirewallError` `rules` where it cannot be read.
    init(_ path: String) throws(FirewallError) {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw FirewallError(.rules, "\(path): cannot be read")
        }
        self.init(path: path, content: Array(data))
        // The library would load what stands before it, and no more.
        if content.contains(0) { throw FirewallError(.rules, "\(path): has a zero byte") }
    }

    init(path: String, content: [UInt8]) {
        self.path = path
        self.content = content
    }

    /// A directive, or a blank line.
    struct LogicalLine {
        /// Lines of the file that it takes, counted from 0.
        let range: Range<Int>
        /// Continued lines joined.
        let text: String
    }

    /// All but comments.
    static func logicalLines(of text: String) -> [LogicalLine] {
        var lines: [LogicalLine] = []
        var open = ""
        var start: Int?
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = line.trimmed()
            if start == nil, line.hasPrefix("#") { continue }
            let first = start ?? index
            if line.hasSuffix("\\") {
                open += line.dropLast()
                start = first
            } else {
                lines.append(LogicalLine(range: first..<index + 1, text: open + line))
                open = ""
                start = nil
            }
        }
        return lines
    }
}
