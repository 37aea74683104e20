internal import Glibc

/// What is left on the disk of a home, for the user who asks.
struct DiskSpace {
    /// Less is as good as nothing: the private database stops when it finds no room for what it writes ahead, 16 MiB at once.
    private static let least: UInt64 = 64 << 20
    /// Less may be gone within the hour: the private database writes up to 2 GiB ahead.
    private static let little: UInt64 = 1 << 30

    let freeBytes: UInt64

    init(freeBytes: UInt64) { self.freeBytes = freeBytes }

    /// Nil where it cannot be told.
    init?(_ path: String) {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        freeBytes = UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }

    /// What doctor says about it.
    func finding(_ path: String) -> Finding {
        let subject = "disk of \(path)"
        let words = "\(freeBytes >> 20) MiB are free"
        let fix = "make room on it, or give the home a larger disk"
        if freeBytes < Self.least { return .wrong(subject, "full: \(words)", fix: fix) }
        if freeBytes < Self.little { return .warning(subject, "nearly full: \(words)", fix: fix) }
        return .well(subject)
    }
}
