import Glibc
import Testing

@testable import Installation

/// A directory of a test's own, removed with it.
final class TemporaryDirectory: Sendable {
    let path: String

    init(_ parent: String = "/tmp") throws {
        var template = Array("\(parent)/dbt-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw File.failure(parent) }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        // The database's user must get through where tests run as root.
        chmod(path, 0o711)
    }

    deinit { Self.removeTree(path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    private static func removeTree(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in File.names(in: path) { removeTree("\(path)/\(name)") }
            rmdir(path)
        } else {
            unlink(path)
        }
    }
}

func mode(_ path: String) -> mode_t? { File.status(path).map { $0.st_mode & 0o777 } }
