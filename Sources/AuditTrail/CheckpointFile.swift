internal import Glibc

/// The auditor's own file, in which the newest checkpoint that was verified is kept.
enum CheckpointFile {
    static func exists(_ path: String) throws -> Bool {
        var status = stat()
        if stat(path, &status) == 0 { return true }
        guard errno == ENOENT else { throw LedgerLocation.failure(path) }
        return false
    }

    /// There whole or not at all.
    static func write(_ note: String, to path: String) throws {
        let temporary = "\(path).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw LedgerLocation.failure(temporary) }
        defer { close(descriptor) }
        let bytes = Array(note.utf8)
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0,
            rename(temporary, path) == 0
        else { throw AuditFailure.disk("cannot write \(path): \(String(cString: strerror(errno)))") }
    }
}
