internal import Glibc

/// What is said to the person who runs a command, beside the log.
enum Terminal {
    /// Writes lines to standard output, at once: a pipe may be waiting for them.
    static func print(_ text: String) { write(text, to: STDOUT_FILENO) }

    /// Writes lines to standard error.
    static func complain(_ text: String) { write(text, to: STDERR_FILENO) }

    private static func write(_ text: String, to descriptor: Int32) {
        let bytes = Array("\(text)\n".utf8)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
