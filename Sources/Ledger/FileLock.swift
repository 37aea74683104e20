internal import Glibc

/// Keeps a second writer out for as long as it lives; the kernel lets go of it when the process dies.
struct FileLock: ~Copyable {
    private let descriptor: Int32

    init(path: String) throws(LedgerError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o640)
        guard descriptor >= 0 else { throw .system("open", path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw LedgerError(.locked, "another process is writing this ledger: \(path) is locked")
        }
    }

    deinit { close(descriptor) }
}
