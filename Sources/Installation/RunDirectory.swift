internal import Glibc
internal import Lifecycle

/// Where a running installation's sockets are: `run` in its home, or, where the path of a socket there would be too
/// long, the database's user could not get there, or PostgreSQL would read several paths in it, a short directory
/// elsewhere that `run` links to.
public struct RunDirectory: Sendable, Equatable {
    /// The longest name of a socket in the directory.
    static let longestSocketName = "postgresql/.s.PGSQL.5432"

    /// Absolute and without links.
    public let path: String

    /// The bridge's socket, for gateways.
    public var bridgeSocket: String { "\(path)/bridge.sock" }
    /// The ledger's socket, for gateways.
    public var ledgerSocket: String { "\(path)/ledger.sock" }
    /// Where children report that they are ready.
    public var notifySocket: String { "\(path)/notify.sock" }
    /// A process's admin socket.
    public func adminSocket(of process: String) -> String { "\(path)/\(process).admin.sock" }
    /// PostgreSQL's own directory, so that its user cannot touch the other sockets.
    var databaseDirectory: String { "\(path)/postgresql" }

    /// Makes the directory for an installation without a private cluster, or finds it as an earlier run made it.
    public static func prepare(_ home: Home) throws -> RunDirectory {
        try prepare(home, guest: nil, isReachable: true)
    }

    /// Makes the directory, or finds it as an earlier run made it.
    ///
    /// - Parameters:
    ///   - guest: a user who must get through to PostgreSQL's directory, and owns it.
    ///   - isReachable: whether that user can get into the home.
    ///   - shortParent: where a short directory is made; the system's place by default.
    static func prepare(
        _ home: Home, guest: SystemUser?, isReachable: Bool, shortParent: String? = nil
    ) throws -> RunDirectory {
        let link = home.file("run")
        let isShort = link.utf8.count + 1 + longestSocketName.utf8.count <= SocketPath.bound
        let directory: RunDirectory
        // Server and clients take a comma between directories, and know no way to write one in a directory's name.
        if isShort, isReachable, !link.contains(",") {
            if isLink(link) { unlink(link) }
            directory = RunDirectory(path: link)
        } else {
            directory = RunDirectory(path: "\(shortParent ?? systemParent)/drawbridge-\(home.tag)")
            rmdir(link)
            try File.link(link, to: directory.path)
        }
        // 0711 lets the database's user through to the one directory that is its own.
        try makeOwn(directory.path, mode: guest == nil ? 0o700 : 0o711)
        if let guest {
            try File.makeDirectory(directory.databaseDirectory, mode: 0o755, owner: guest)
        } else {
            try File.makeDirectory(directory.databaseDirectory, mode: 0o700)
        }
        return directory
    }

    /// Removes what a run leaves in it and, where it is outside the home, the directory.
    public func remove(_ home: Home) {
        for name in File.names(in: databaseDirectory) where name.hasPrefix(".s.PGSQL.") {
            unlink("\(databaseDirectory)/\(name)")
        }
        for name in File.names(in: path) where name.hasSuffix(".sock") || name.hasSuffix(".prom") {
            unlink("\(path)/\(name)")
        }
        unlink(home.reloadRequest)
        unlink(home.reloadReport)
        // What the limits have counted stays for the next run, but not outside the home.
        guard path != home.file("run") else { return }
        for name in File.names(in: path) where name.hasPrefix("rate-limits.table") { unlink("\(path)/\(name)") }
        rmdir(databaseDirectory)
        if rmdir(path) == 0 { unlink(home.file("run")) }
    }

    private static var systemParent: String {
        if SystemUser.isRoot, File.isDirectory("/run") { return "/run" }
        if let directory = getenv("XDG_RUNTIME_DIR").map({ String(cString: $0) }), directory.utf8.count < 60,
            access(directory, W_OK) == 0
        {
            return directory
        }
        return "/tmp"
    }

    /// Makes a directory in a place where others may have been first, or refuses.
    private static func makeOwn(_ path: String, mode: mode_t) throws {
        try File.makeDirectory(path, mode: mode)
        guard chmod(path, mode) == 0 else { throw File.failure(path) }
    }

    private static func isLink(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }
}
