internal import Cryptography
internal import Glibc
internal import Ledger

/// Where an installation, or an auditor's copy, has what the audit commands read.
struct LedgerLocation {
    /// The ledger of the installation in `home`, or the one in a directory: either the ledger's own, with `records` and
    /// `verifiers` in it, or that of the records alone.
    init(home: String, ledger: String?) throws {
        directory = ledger ?? "\(home)/ledger"
        auditKeyFile = "\(home)/keys/audit.key"
        records = try Self.isThere("\(directory)/records") ? "\(directory)/records" : directory
        guard try Self.isThere(records) else {
            let hint = ledger == nil ? "; is DRAWBRIDGE_HOME right?" : ""
            throw AuditFailure.noInput("there is no ledger in \(directory)\(hint)")
        }
        guard access(records, R_OK | X_OK) == 0 else { throw Self.failure(records) }
    }

    /// The directory of the ledger's process.
    let directory: String
    /// The directory of the segments.
    let records: String
    /// The key of the hashes that stand for personal data.
    let auditKeyFile: String

    /// Who may sign: the first one's name is the ledger's.
    struct Keys {
        let verifiers: [NoteVerifier]
        let file: String
        /// Whether they come from beside the records, where whoever rewrites those could replace them.
        let areTheLedgersOwn: Bool

        var origin: String { verifiers[0].name }
    }

    /// The keys in a file, or those that the ledger's process has written down.
    func keys(file: String?) throws -> Keys {
        let path = file ?? "\(directory)/verifiers"
        if file == nil, try !Self.isThere(path) {
            throw AuditFailure.noInput("\(path) is not there: give the ledger's public key by --key")
        }
        return try Self.keys(in: path, areTheLedgersOwn: file == nil)
    }

    /// The keys in a file, one a line as the C2SP tools write them.
    static func keys(in path: String, areTheLedgersOwn: Bool = false) throws -> Keys {
        let lines = try String(decoding: read(path), as: UTF8.self).split(whereSeparator: \.isNewline)
        do {
            let verifiers = try lines.map { line throws(LedgerError) in try NoteVerifier(String(line)) }
            guard !verifiers.isEmpty else { throw AuditFailure.data("\(path) holds no key") }
            return Keys(verifiers: verifiers, file: path, areTheLedgersOwn: areTheLedgersOwn)
        } catch let error as LedgerError {
            throw AuditFailure.data("\(path): \(error.message)")
        }
    }

    /// The key of the hashes that stand for personal data.
    func auditKey(file: String?) throws -> [UInt8] {
        let path = file ?? auditKeyFile
        let text = try String(decoding: Self.read(path), as: UTF8.self).filter { !$0.isWhitespace }
        guard let key = Base64.standard.decode(text), key.count >= 32 else {
            throw AuditFailure.data("\(path) is not a key of at least 32 bytes as base64 text")
        }
        return key
    }

    /// A whole file of the auditor's.
    static func read(_ path: String, bound: Int = 64 << 20) throws -> [UInt8] {
        let descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(path) }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= bound else { throw AuditFailure.data("\(path) has more than \(bound) bytes") }
        }
    }

    /// What the system's refusal means to who runs the command.
    static func failure(_ path: String, _ number: Int32 = errno) -> AuditFailure {
        switch number {
        case ENOENT, ENOTDIR: return .noInput("\(path) is not there")
        case EACCES, EPERM:
            guard let owner = owner(of: path) else {
                return .noPermission("\(path) may be read only by its owner: run this as root")
            }
            return .noPermission(
                "\(path) may be read only by its owner, \(owner): run this as \(owner) (sudo -u \(owner) …) or as root")
        default: return .disk("cannot read \(path): \(String(cString: strerror(number)))")
        }
    }

    /// Throws where nobody tells whether it is there.
    private static func isThere(_ path: String) throws -> Bool {
        var status = stat()
        if stat(path, &status) == 0 { return true }
        guard errno == ENOENT || errno == ENOTDIR else { throw failure(path) }
        return false
    }

    /// Who owns a file, or the nearest directory above it that can be seen.
    private static func owner(of path: String) -> String? {
        var path = path[...]
        while true {
            var status = stat()
            if stat(String(path), &status) == 0 {
                return getpwuid(status.st_uid).map { String(cString: $0.pointee.pw_name) }
            }
            guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return nil }
            path = path[..<slash]
        }
    }
}
