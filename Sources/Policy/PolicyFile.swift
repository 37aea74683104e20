internal import Glibc

/// Reads policy files and the small files they name.
enum PolicyFile {
    /// The largest policy file read, in bytes.
    static let maximumByteCount = 4 << 20
    /// The largest key file read, in bytes.
    static let maximumKeyByteCount = 64 << 10

    /// Reads a policy file whole and decodes it; throws every mistake in it at once.
    static func load<Policy>(
        _ path: String, decode: (PolicyNode) -> Policy?
    ) throws(PolicyError) -> Policy {
        let log = MistakeLog(file: path)
        let decoded = policy(path, log: log, decode: decode)
        try log.throwIfAny()
        guard let decoded else { preconditionFailure("a policy refused without a mistake") }
        return decoded
    }

    private static func policy<Policy>(
        _ path: String, log: MistakeLog, decode: (PolicyNode) -> Policy?
    ) -> Policy? {
        switch contents(of: path, limit: maximumByteCount) {
        case .failure(let failure):
            log.record(at: .file, key: "", found: failure.found, expected: failure.expected)
            return nil
        case .success(let bytes):
            let recorded = log.mistakes.count
            guard let root = YAMLParser.document(bytes, log: log) else {
                if log.mistakes.count == recorded {
                    log.record(at: .file, key: "", found: "an empty file", expected: "a policy")
                }
                return nil
            }
            return decode(PolicyNode(root, path: "", log: log))
        }
    }

    /// Why a file could not be read.
    struct Failure: Error {
        let found: String
        let expected: String
    }

    /// The bytes of a regular file of at most `limit` bytes.
    static func contents(of path: String, limit: Int) -> Result<[UInt8], Failure> {
        // Without O_NONBLOCK, opening a pipe would wait for somebody to write to it.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else {
            return .failure(
                Failure(found: "\(path) (\(String(cString: strerror(errno))))", expected: "a readable file"))
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return .failure(Failure(found: "\(path), which is no file", expected: "a readable file"))
        }
        guard status.st_size <= limit else {
            return .failure(Failure(found: "\(status.st_size) bytes", expected: "at most \(limit) bytes"))
        }
        return read(file, count: Int(status.st_size))
    }

    private static func read(_ file: Int32, count: Int) -> Result<[UInt8], Failure> {
        var failure: Failure?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let received = Glibc.read(file, buffer.baseAddress.map { $0 + filled }, count - filled)
                if received < 0, errno == EINTR { continue }
                if received < 0 {
                    failure = Failure(found: String(cString: strerror(errno)), expected: "a readable file")
                }
                guard received > 0 else { return }
                filled += received
            }
        }
        return failure.map { .failure($0) } ?? .success(bytes)
    }
}
