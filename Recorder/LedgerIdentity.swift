internal import Cryptography
internal import Glibc
internal import Ledger

/// Who this ledger is: its name and the key that signs its checkpoints, made when it is first started and read by
/// nobody else. In the working directory:
///
///     signing-key.pem  the private key; to change it, remove the file and restart
///     verifiers        a line for each key the ledger ever had, as auditors need them; the first one's name is its
///                      origin
struct LedgerIdentity: Sendable {
    let signer: NoteSigner
    /// Keys that signed before the present one.
    let formerKeys: [NoteVerifier]

    private static let keyFile = "signing-key.pem"
    private static let verifierFile = "verifiers"

    /// What is wrong with a file.
    struct Mistake: Error, CustomStringConvertible {
        let description: String
    }

    /// Reads the identity, or makes what is missing of it.
    init() throws {
        let known = try Self.read(Self.verifierFile, bound: 64 << 10).map { bytes in
            try String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { try NoteVerifier(String($0)) }
        }
        let key: Ed25519PrivateKey
        if let pem = try Self.read(Self.keyFile, bound: 4096) {
            do { key = try Ed25519PrivateKey(pem: pem.span) } catch {
                throw Mistake(description: "\(Self.keyFile): \(error)")
            }
        } else {
            key = Ed25519PrivateKey()
            try Self.write(Array(key.pem.utf8), to: Self.keyFile)
        }
        signer = try NoteSigner(name: known?.first?.name ?? Self.newName(), key: key)
        let own = signer.verifier
        formerKeys = (known ?? []).filter { $0.keyID != own.keyID }
        if known == nil || formerKeys.count == known?.count {
            let lines = (known ?? []) + [own]
            try Self.write(Array(lines.map { "\($0)\n" }.joined().utf8), to: Self.verifierFile)
        }
    }

    /// Unique, because two ledgers of one name could be taken for one that was forked.
    private static func newName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        gethostname(&buffer, buffer.count - 1)
        let host = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            .filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == ".") }
        return "\(host.isEmpty ? "node" : host)/drawbridge/\(Hexadecimal.encode(SecureRandom.bytes(8)))"
    }

    private static func read(_ path: String, bound: Int) throws -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure(path)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(path) }
        guard status.st_uid == geteuid(), status.st_mode & 0o022 == 0 else {
            throw Mistake(description: "\(path) belongs to another user, or others may write to it")
        }
        var bytes = [UInt8](repeating: 0, count: bound)
        let count = Glibc.read(descriptor, &bytes, bound)
        guard count >= 0, count < bound else { throw failure(path) }
        return Array(bytes[..<count])
    }

    /// There whole or not at all, also after a power failure.
    private static func write(_ bytes: [UInt8], to path: String) throws {
        let temporary = "\(path).new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure(temporary) }
        defer { close(descriptor) }
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0,
            rename(temporary, path) == 0
        else { throw failure(path) }
        let directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw failure(path) }
    }

    private static func failure(_ path: String) -> Mistake {
        Mistake(description: "\(path): \(String(cString: strerror(errno)))")
    }
}
