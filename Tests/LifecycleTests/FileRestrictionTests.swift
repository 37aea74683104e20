import Glibc
import Synchronization
import Testing

@testable import Lifecycle

@Suite("A process that may change nothing")
struct FileRestrictionTests {
    /// What happened on a thread that has restricted itself; the restriction ends with the thread.
    private final class Attempt: Sendable {
        let directory: String
        let results = Mutex<[Int32]>([])

        init(_ directory: String) { self.directory = directory }

        /// The error of opening, 0 for none.
        func open(_ name: String, _ flags: Int32) {
            errno = 0
            let descriptor = Glibc.open("\(directory)/\(name)", flags | O_CLOEXEC, 0o600)
            let number = descriptor < 0 ? errno : 0
            if descriptor >= 0 { close(descriptor) }
            results.withLock { $0.append(number) }
        }
    }

    @Test("It can make and change files where it may, and read the others, but not change, make or remove them")
    func restricted() throws {
        var template = Array("/tmp/dbf-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let directory = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        for name in ["own", "foreign"] { mkdir("\(directory)/\(name)", 0o700) }
        close(open("\(directory)/foreign/file", O_WRONLY | O_CREAT, 0o600))
        defer {
            for name in ["own/file", "foreign/file", "foreign/new"] { unlink("\(directory)/\(name)") }
            for name in ["own", "foreign", ""] { rmdir("\(directory)/\(name)") }
        }
        let attempt = Attempt(directory)
        var thread = pthread_t()
        try #require(
            pthread_create(
                &thread, nil,
                { argument in
                    let attempt = Unmanaged<Attempt>.fromOpaque(argument!).takeUnretainedValue()
                    guard FileRestriction.allowWriting(beneath: ["\(attempt.directory)/own"]) else { return nil }
                    attempt.open("own/file", O_WRONLY | O_CREAT)
                    attempt.open("foreign/file", O_RDONLY)
                    attempt.open("foreign/file", O_WRONLY)
                    attempt.open("foreign/file", O_WRONLY | O_TRUNC)
                    attempt.open("foreign/new", O_WRONLY | O_CREAT)
                    let status = unlink("\(attempt.directory)/foreign/file") == 0 ? 0 : errno
                    attempt.results.withLock { $0.append(status) }
                    return nil
                }, Unmanaged.passUnretained(attempt).toOpaque()) == 0)
        pthread_join(thread, nil)
        let results = attempt.results.withLock { $0 }
        // An old kernel, or one without Landlock, takes nothing away; the log says so.
        if results.isEmpty { return }
        #expect(results == [0, 0, EACCES, EACCES, EACCES, EACCES])
    }
}
