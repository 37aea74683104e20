internal import Glibc

/// Which user a process is.
public enum Privileges {
    /// A process that could not become the user it should be.
    public struct DropError: Error, CustomStringConvertible {
        let path: String
        let number: Int32

        public var description: String { "cannot become the owner of \(path): \(String(cString: strerror(number)))" }
    }

    /// Enters a directory and, where this process is root's and the directory is not, becomes the directory's owner for
    /// good, with no other groups. From there on the process needs no right on any directory above.
    ///
    /// Call `Lifecycle.dieWithParent` afterwards: the kernel forgets what it does when the user changes.
    public static func enter(_ path: String) throws {
        var status = stat()
        guard chdir(path) == 0, stat(".", &status) == 0 else { throw DropError(path: path, number: errno) }
        guard geteuid() == 0, status.st_uid != 0 else { return }
        // For root both set the real, the effective and the saved one.
        guard setgroups(0, nil) == 0, setgid(status.st_gid) == 0, setuid(status.st_uid) == 0 else {
            throw DropError(path: path, number: errno)
        }
        // What succeeded must not be reversible.
        guard setuid(0) != 0, geteuid() == status.st_uid else { throw DropError(path: path, number: EPERM) }
    }
}
