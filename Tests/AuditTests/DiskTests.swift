import Glibc
import JSONText
import Ledger
import Loop
import TestSupport
import Testing

/// A small file system of its own for each test; mounting needs a right that not every machine gives.
@Suite("A disk that fails", .serialized)
struct DiskTests {
    /// Whether this process may mount.
    private static let canMount = TemporaryFileSystem.isPossible

    @Test(
        "When the disk is full records are refused; when there is space again they are taken, and nothing is damaged",
        .enabled(if: canMount, "mounting a file system needs root"))
    func full() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            mkdir(recorder.records, 0o700)
            let disk = try await TemporaryFileSystem(recorder.records, size: "1m")
            defer { disk.unmount() }
            try recorder.start()
            let worker = try await TestWorker(recorder)
            var last = try await worker.send(10, { _ in .synced })
            try await worker.receive { $0.synced == last }
            // Full, but for the little that is left of a page.
            disk.fill()
            while worker.refusals.isEmpty {
                last = try await worker.send(20, { _ in .synced }, filling: 400)
                try await worker.receive { $0.synced == last || !$0.refusals.isEmpty }
            }
            guard case .refused(let tickets, .unwritable) = worker.refusals[0] else {
                Issue.record("refused for \(worker.refusals[0])")
                return
            }
            #expect(tickets.upperBound == last)
            #expect(recorder.log.contains("No space left on device"))
            disk.makeRoom()
            // Said without being asked, so that a worker whom nobody sends requests any more becomes ready.
            worker.forgetAcknowledgements()
            try await worker.receive { $0.hasHeard }
            last = try await worker.send(20, { _ in .synced }, filling: 400)
            try await worker.receive { $0.synced == last || $0.refusals.count > 1 }
            #expect(worker.refusals.count == 1)
            #expect(worker.synced == last)
            #expect(try await recorder.stop().isSuccess)
            #expect(try recorder.verify().finding == nil)
            let found = Set(try recorder.objects().compactMap { $0["n"]?.integer })
            for ticket in 1...last where !tickets.contains(ticket) { #expect(found.contains(Int64(ticket))) }
        }
    }

    @Test(
        "When the records are taken away they are refused, and a new ledger is not begun; when they are back, all goes on"
    )
    func removed() async throws {
        try await onLoop {
            let recorder = try TestRecorder()
            try recorder.start()
            let worker = try await TestWorker(recorder)
            var last = try await worker.send(10, { _ in .synced })
            try await worker.receive { $0.synced == last }
            let away = "\(recorder.home)/away"
            #expect(rename(recorder.records, away) == 0)
            last = try await worker.send(1)
            try await worker.receive { $0.refusals.count == 1 }
            #expect(worker.written < last)
            // Nor where somebody has made room for one.
            mkdir(recorder.records, 0o700)
            try await eventually { recorder.log.contains("there are 0 records where 11 were known to be") }
            #expect(!TestRecorder.names(in: recorder.records).contains { $0.hasSuffix(".jsonl") })
            unlink("\(recorder.records)/lock")
            rmdir(recorder.records)
            #expect(rename(away, recorder.records) == 0)
            var isTaken = false
            while !isTaken {
                let count = worker.refusals.count
                last = try await worker.send(1, { _ in .synced })
                try await worker.receive { $0.synced == last || $0.refusals.count > count }
                isTaken = worker.synced == last
                if !isTaken { try await Loop.sleep(for: .milliseconds(20)) }
            }
            #expect(try await recorder.stop().isSuccess)
            #expect(try recorder.verify().finding == nil)
        }
    }
}

/// A file system in memory, of a fixed size.
@OnLoop
final class TemporaryFileSystem {
    private let path: String

    static nonisolated var isPossible: Bool {
        var template = Array("/tmp/dba-XXXXXX".utf8CString)
        guard geteuid() == 0, mkdtemp(&template) != nil else { return false }
        let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        defer { rmdir(path) }
        guard mount("tmpfs", path, "tmpfs", 0, "size=64k") == 0 else { return false }
        umount2(path, 0)
        return true
    }

    init(_ path: String, size: String) async throws {
        self.path = path
        try #require(mount("tmpfs", path, "tmpfs", 0, "size=\(size),mode=0700") == 0)
    }

    /// Leaves nothing.
    func fill() {
        let descriptor = open("\(path)/filling", O_WRONLY | O_CREAT, 0o600)
        defer { close(descriptor) }
        let bytes = [UInt8](repeating: 1, count: 4096)
        while write(descriptor, bytes, bytes.count) > 0 {}
    }

    func makeRoom() { unlink("\(path)/filling") }

    nonisolated func unmount() { umount2(path, Int32(MNT_DETACH)) }
}
