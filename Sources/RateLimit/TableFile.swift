internal import Cryptography
internal import Glibc

/// The file that the processes of a node map: a page of head, then the cells.
///
/// A file that is not exactly what it should be (another size, another boot, damaged) is replaced by an empty one. Who
/// opens or replaces it holds an advisory lock meanwhile, which the kernel lets go when the process dies; nobody needs
/// it afterwards. Processes that still map a replaced file go on with that one until they end.
struct TableFile {
    static let headSize = 4096
    /// Where in the head the table itself may keep something.
    static let ownOffset = 2048
    private static let magic: [UInt8] = Array("drawbridge-limits-1\n".utf8)

    let base: UnsafeMutableRawPointer
    let size: Int
    /// The file itself, for locks on parts of it.
    let descriptor: CInt
    let hashKey: (UInt64, UInt64)

    /// Maps the file at `path`, made or replaced if need be.
    ///
    /// - Parameters:
    ///   - byteCount: of the cells.
    ///   - isSparse: whether the table sees to it itself that there is room on the disk for what it writes.
    static func open(_ path: String, byteCount: Int, isSparse: Bool = false) throws(RateLimitError) -> TableFile {
        let lock = Glibc.open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw RateLimitError(.table, "cannot open the table's lock: \(reason)") }
        defer { Glibc.close(lock) }
        while flock(lock, LOCK_EX) != 0 {
            guard errno == EINTR else { throw RateLimitError(.table, "cannot lock the table: \(reason)") }
        }
        let size = headSize + byteCount
        if let table = try existing(path, size: size) { return table }
        try create(path, size: size, reserved: isSparse ? headSize : size)
        guard let table = try existing(path, size: size) else {
            throw RateLimitError(.table, "the table changed while it was opened")
        }
        return table
    }

    func close() {
        munmap(base, size)
        Glibc.close(descriptor)
    }

    private static func existing(_ path: String, size: Int) throws(RateLimitError) -> TableFile? {
        let file = Glibc.open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else { return nil }
        var isKept = false
        defer { if !isKept { Glibc.close(file) } }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(),
            status.st_size == size
        else { return nil }
        let identity = magic + bootIdentity()
        var head = [UInt8](repeating: 0, count: identity.count + 16)
        guard pread(file, &head, head.count, 0) == head.count, head.starts(with: identity) else { return nil }
        guard let base = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), base != MAP_FAILED else {
            throw RateLimitError(.table, "cannot map the table: \(reason)")
        }
        let words = head[identity.count...].withUnsafeBytes { bytes in
            (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        }
        isKept = true
        return TableFile(base: base, size: size, descriptor: file, hashKey: words)
    }

    /// Makes the file under another name and renames it, so that nobody ever sees half a head.
    ///
    /// - Parameter reserved: bytes for which there is room on the disk at once.
    private static func create(_ path: String, size: Int, reserved: Int) throws(RateLimitError) {
        let temporary = path + ".new"
        unlink(temporary)
        let file = Glibc.open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw RateLimitError(.table, "cannot make the table: \(reason)") }
        defer { Glibc.close(file) }
        // With every block reserved: a full disk must not become a bus error at some request.
        let status = posix_fallocate(file, 0, reserved)
        let head = magic + bootIdentity() + SecureRandom.bytes(16)
        guard status == 0, ftruncate(file, size) == 0, pwrite(file, head, head.count, 0) == head.count,
            rename(temporary, path) == 0
        else {
            let message = status == 0 ? reason : String(cString: strerror(status))
            unlink(temporary)
            throw RateLimitError(.table, "cannot make the table: \(message)")
        }
    }

    /// The instants in the table are of a clock that begins anew when the machine starts.
    private static func bootIdentity() -> [UInt8] {
        var identity = [UInt8](repeating: 0, count: 36)
        let file = Glibc.open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return identity }
        defer { Glibc.close(file) }
        _ = read(file, &identity, identity.count)
        return identity
    }

    private static var reason: String { String(cString: strerror(errno)) }
}
