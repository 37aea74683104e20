internal import Glibc

/// The right to run processes in a home; given up when this object, or the process, ends.
public final class HomeLock: Sendable {
    private let descriptor: Int32

    /// - Throws: `InstallationError` when another process holds it.
    public init(_ home: Home) throws {
        let path = home.file("lock")
        guard let descriptor = try File.open(path, O_RDWR | O_CREAT, mode: 0o600, ownership: .own) else {
            throw File.failure(path)
        }
        self.descriptor = descriptor
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let holder = (try? File.readText(path))?.trimmingNewline ?? ""
            close(descriptor)
            throw InstallationError(
                "drawbridge runs already in \(home.path)" + (holder.isEmpty ? "" : " (process \(holder))"),
                remedy: "stop it first, or choose another directory by \(Home.variable)")
        }
        ftruncate(descriptor, 0)
        try File.writeAll(Array("\(getpid())\n".utf8), to: descriptor, path)
    }

    deinit { close(descriptor) }

    /// The process that runs the home's installation; nil when none does.
    public static func holder(of home: Home) -> Int32? {
        guard isHeld(home), let text = try? File.readText(home.file("lock")) else { return nil }
        return Int32(text.trimmingNewline)
    }

    /// Whether an installation runs in the home.
    public static func isHeld(_ home: Home) -> Bool {
        guard let descriptor = try? File.open(home.file("lock"), O_RDWR, ownership: .own) else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_SH | LOCK_NB) != 0
    }
}

extension String {
    var trimmingNewline: String {
        var text = self[...]
        while text.last?.isNewline == true { text.removeLast() }
        return String(text)
    }
}
