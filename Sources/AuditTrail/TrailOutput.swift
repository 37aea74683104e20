internal import Glibc

/// Lines on their way to a file, a terminal or a pipe, many of them by one write.
final class TrailOutput {
    /// Nobody reads any more: `drawbridge audit search | head`.
    struct Closed: Error {}

    private static let bound = 64 << 10

    private let write: ([UInt8]) throws -> Void
    private var waiting: [UInt8] = []

    /// Lines go to `write`, which gets whole ones.
    init(_ write: @escaping ([UInt8]) throws -> Void) { self.write = write }

    /// Lines go to an open file.
    convenience init(descriptor: Int32) {
        self.init { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                if count < 0, errno == EPIPE { throw Closed() }
                guard count > 0 else { throw AuditFailure.output(String(cString: strerror(errno))) }
                rest = rest.dropFirst(count)
            }
        }
    }

    /// Adds a line.
    func line(_ text: String) throws {
        waiting += Array(text.utf8)
        try end()
    }

    /// Adds a line.
    func line(_ bytes: Span<UInt8>) throws {
        bytes.withUnsafeBufferPointer { waiting.append(contentsOf: $0) }
        try end()
    }

    /// Adds what is no line yet.
    func text(_ text: String) throws { waiting += Array(text.utf8) }

    /// Writes what waits.
    func flush() throws {
        guard !waiting.isEmpty else { return }
        let bytes = waiting
        waiting.removeAll(keepingCapacity: true)
        try write(bytes)
    }

    private func end() throws {
        waiting.append(UInt8(ascii: "\n"))
        if waiting.count >= Self.bound { try flush() }
    }
}

/// Why a command cannot do what it is asked for, with the exit status that says so (sysexits.h).
struct AuditFailure: Error, Equatable {
    let message: String
    let status: Int32

    /// Not found, or not as it should be.
    static func negative(_ message: String) -> AuditFailure { AuditFailure(message: message, status: 1) }
    /// EX_DATAERR: a file is not what it should be.
    static func data(_ message: String) -> AuditFailure { AuditFailure(message: message, status: 65) }
    /// EX_NOINPUT: a file is not there.
    static func noInput(_ message: String) -> AuditFailure { AuditFailure(message: message, status: 66) }
    /// EX_IOERR: the disk refuses.
    static func disk(_ message: String) -> AuditFailure { AuditFailure(message: message, status: 74) }
    static func output(_ message: String) -> AuditFailure { .disk("cannot write the output: \(message)") }
    /// EX_NOPERM: somebody else may.
    static func noPermission(_ message: String) -> AuditFailure { AuditFailure(message: message, status: 77) }
}
