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
        guard let file = fopen(path, "re") else {
            return .failure(
                Failure(found: "\(path) (\(String(cString: strerror(errno))))", expected: "a readable file"))
        }
        defer { fclose(file) }
        var status = stat()
        guard fstat(fileno(file), &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return .failure(Failure(found: "\(path), which is no file", expected: "a readable file"))
        }
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        let count = fread(&bytes, 1, bytes.count, file)
        guard count <= limit else {
            return .failure(Failure(found: "a larger file", expected: "at most \(limit) bytes"))
        }
        return .success(Array(bytes.prefix(count)))
    }
}
