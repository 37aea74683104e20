import Glibc
import Lifecycle
import Loop
import Testing

@testable import Installation

@Suite("A log that is kept short")
struct BoundedLogTests {
    init() { Loop.runInBackground() }

    @Test("Where there is no room for the copy nothing stops, and it is made once there is", .timeLimit(.minutes(1)))
    @OnLoop func noRoom() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("postgresql.log")
        let log = try BoundedLog(path: path, interval: .milliseconds(10))
        ftruncate(log.descriptor, BoundedLog.bound + 1)
        // The copy cannot be written, as on a full disk.
        let obstacle = "\(path).1.new"
        mkdir(obstacle, 0o700)
        let ready = Signal()
        let running = Task { try await log.run { ready.fire() } }
        try await ready.wait()
        #expect(File.status(path)?.st_size == BoundedLog.bound + 1)
        rmdir(obstacle)
        while try #require(File.status(path)).st_size > 0 { try await Loop.sleep(for: .milliseconds(5)) }
        #expect(File.status("\(path).1")?.st_size == BoundedLog.bound + 1)
        log.stop()
        try await running.value
    }
}
