internal import Glibc

/// The system calls that a test makes fail.
struct FileCalls: Sendable {
    /// `write(2)`.
    var write: @Sendable (Int32, UnsafeRawPointer, Int) -> Int = { Glibc.write($0, $1, $2) }
    /// `fdatasync(2)`.
    var sync: @Sendable (Int32) -> Int32 = { Glibc.fdatasync($0) }
    /// `ftruncate(2)`.
    var truncate: @Sendable (Int32, Int) -> Int32 = { Glibc.ftruncate($0, $1) }
}

/// A file that grows at its end by whole pieces: after a failed append it is as long as before.
///
/// `@unchecked Sendable`: one thread alone appends; `sync`, which reads only what never changes, may be called by another
/// meanwhile.
final class AppendFile: @unchecked Sendable {
    /// What `write` could not do.
    struct Failure: Error {
        /// The system's refusal.
        let error: LedgerError
        /// Whether the file is again as it was before.
        let isUndone: Bool
    }

    let path: String
    /// The bytes of all pieces appended so far.
    private(set) var length: Int

    private let descriptor: Int32
    /// The device and the number of the file.
    private let identity: (dev_t, ino_t)
    private let calls: FileCalls

    /// Opens a file, or creates it, and cuts it to `length`.
    ///
    /// - Parameter length: how many of its bytes are good; 0 for a new file.
    init(path: String, length: Int, calls: FileCalls) throws(LedgerError) {
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o640)
        self.path = path
        self.length = length
        self.calls = calls
        var status = stat()
        let isOpen = descriptor >= 0 && fstat(descriptor, &status) == 0
        identity = (status.st_dev, status.st_ino)
        guard isOpen else { throw .system("open", path) }
        guard calls.truncate(descriptor, length) == 0 else { throw .system("truncate", path) }
    }

    deinit { close(descriptor) }

    /// Appends all of the bytes or none.
    func append(_ bytes: Span<UInt8>) throws(Failure) {
        var written = 0
        var number: Int32 = 0
        bytes.withUnsafeBytes { buffer in
            while written < buffer.count {
                let count = calls.write(descriptor, buffer.baseAddress! + written, buffer.count - written)
                if count < 0, errno == EINTR { continue }
                // Nothing written and no error: nothing says when there would be more.
                guard count > 0 else {
                    number = count < 0 ? errno : ENOSPC
                    return
                }
                written += count
            }
        }
        guard number == 0 else {
            let isUndone = calls.truncate(descriptor, length) == 0
            throw Failure(error: .system("write", path, number), isUndone: isUndone)
        }
        length += bytes.count
    }

    /// Whether the file is still the one that its path names.
    var isInPlace: Bool {
        var named = stat()
        return lstat(path, &named) == 0 && identity == (named.st_dev, named.st_ino)
    }

    /// Waits until everything appended before the call is on the disk.
    func sync() throws(LedgerError) {
        guard calls.sync(descriptor) == 0 else { throw .system("sync", path) }
    }
}

extension AppendFile {
    /// Gives the kernel all of a file's bytes once more, each where it is, and waits until they are on the disk.
    ///
    /// After a sync has failed the kernel takes what it could not write for written: the next sync finds nothing to do and
    /// succeeds, and what is read comes from memory until the machine stops.
    static func writeAgain(_ path: String) throws(LedgerError) {
        let descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            if errno == ENOENT { return }
            throw .system("open", path)
        }
        defer { close(descriptor) }
        var piece = [UInt8](repeating: 0, count: 1 << 20)
        var offset = 0
        while true {
            let count = pread(descriptor, &piece, piece.count, offset)
            guard count >= 0 else { throw .system("read", path) }
            if count == 0 { break }
            guard pwrite(descriptor, piece, count, offset) == count else { throw .system("write", path) }
            offset += count
        }
        guard fdatasync(descriptor) == 0 else { throw .system("sync", path) }
    }
}
