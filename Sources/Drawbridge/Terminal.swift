internal import Glibc

/// What is said to the person who runs a command, beside the log.
enum Terminal {
    /// Writes lines to standard output, at once: a pipe may be waiting for them.
    static func print(_ text: String) { print(bytes: Array("\(text)\n".utf8)) }

    /// Writes bytes to standard output, and nothing behind them.
    static func print(bytes: [UInt8]) { write(bytes, to: STDOUT_FILENO) }

    /// Writes lines to standard error.
    static func complain(_ text: String) { write(Array("\(text)\n".utf8), to: STDERR_FILENO) }

    /// Writes over the terminal's present line: back to its beginning, and what stands there is erased (ECMA-48).
    static func rewrite(_ text: String) { write(Array("\r\u{1B}[K\(text)".utf8), to: STDERR_FILENO) }

    /// Writes rows to standard output, in columns.
    static func print(table header: [String], _ rows: [[String]]) {
        let rows = [header] + rows
        let widths = header.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        for row in rows {
            var line = ""
            for (text, width) in zip(row, widths) {
                line += text + String(repeating: " ", count: width - text.count + 2)
            }
            while line.last == " " { line.removeLast() }
            print(line)
        }
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
