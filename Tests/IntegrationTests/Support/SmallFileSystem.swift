import Glibc
import Testing

/// A file system in memory, of a fixed size, that can be filled and made read-only; mounting needs root.
struct SmallFileSystem {
    let path: String

    static let isPossible: Bool = {
        var template = Array("/tmp/dbi-XXXXXX".utf8CString)
        guard geteuid() == 0, mkdtemp(&template) != nil else { return false }
        let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        defer { rmdir(path) }
        guard mount("tmpfs", path, "tmpfs", 0, "size=64k") == 0 else { return false }
        return umount2(path, 0) == 0
    }()

    /// Mounts it on a directory.
    init(_ path: String, size: String) throws {
        self.path = path
        try #require(mount("tmpfs", path, "tmpfs", 0, "size=\(size),mode=0700") == 0)
    }

    /// Leaves no page free.
    func fill() {
        let descriptor = open("\(path)/filling", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        let page = [UInt8](repeating: 1, count: 4096)
        while write(descriptor, page, page.count) > 0 {}
    }

    func makeRoom() { #expect(unlink("\(path)/filling") == 0) }

    /// Whether the kernel has made it so; it does not while a file is open for writing.
    func become(readOnly: Bool) -> Bool {
        mount("tmpfs", path, "tmpfs", UInt(MS_REMOUNT) | (readOnly ? UInt(MS_RDONLY) : 0), nil) == 0
    }

    func unmount() { umount2(path, Int32(MNT_DETACH)) }
}
