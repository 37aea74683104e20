import Glibc
import Testing

@testable import Lifecycle

@Suite("Paths of sockets")
struct SocketPathTests {
    @Test("A socket is reached by the path that links lead to")
    func links() throws {
        let link = "/tmp/drawbridge-link-\(UInt64.random(in: 0 ... .max))"
        #expect(symlink("/proc/self", link) == 0)
        defer { unlink(link) }
        #expect(try SocketPath.resolve("\(link)/bridge.sock") == "/proc/\(getpid())/bridge.sock")
        #expect(try SocketPath.resolve("/nowhere/at/all.sock") == "/nowhere/at/all.sock")
    }

    @Test("A path that no socket can have is refused", arguments: [(107, true), (108, false)])
    func length(count: Int, isPossible: Bool) {
        let path = "/nowhere/" + String(repeating: "s", count: count - 9)
        #expect((try? SocketPath.resolve(path)) == (isPossible ? path : nil))
    }
}
