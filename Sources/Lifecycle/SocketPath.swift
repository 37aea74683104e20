internal import Glibc

/// The path of a unix-domain socket, which the kernel bounds (`unix(7)`).
public enum SocketPath {
    /// The longest, in bytes.
    public static let bound = 107

    /// A path that no socket can have.
    public struct TooLong: Error, CustomStringConvertible {
        let path: String

        public var description: String { "\(path) is longer than \(bound) bytes, which no socket's path may be" }
    }

    /// The path to connect or bind by: with no symbolic link on the way, because a home with a long path has a `run`
    /// that leads to a short one.
    ///
    /// - Throws: `TooLong`.
    public static func resolve(_ path: String) throws -> String {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let resolved = "\(directory(parts.dropLast().joined(separator: "/")))/\(parts.last ?? "")"
        guard resolved.utf8.count <= bound else { throw TooLong(path: resolved) }
        return resolved
    }

    /// A directory's path without symbolic links; unchanged where it is not there.
    static func directory(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
