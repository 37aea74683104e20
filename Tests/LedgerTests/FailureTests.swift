import Cryptography
import Glibc
import Synchronization
import Testing

@testable import Ledger

@Suite("A ledger on a failing disk")
struct FailureTests {
    let fixture = LedgerFixture()
    private let faults = Faults()

    init() {
        let faults = faults
        fixture.configuration.calls.write = { faults.write($0, $1, $2) }
        fixture.configuration.calls.sync = { faults.plan(\.sync) ? faults.fail(EIO) : fdatasync($0) }
        fixture.configuration.calls.truncate = { faults.plan(\.truncate) ? faults.fail(EIO) : ftruncate($0, $1) }
    }

    @Test("A refused or short write leaves nothing of its batch, and the next one goes on", arguments: [0, 1, 100])
    func refusedWrite(bytesTaken: Int) throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(5))
        faults.set { $0.writeAfter = bytesTaken }
        do {
            _ = try writer.append(batch(5))
            Issue.record("was acknowledged")
        } catch { #expect(error.code == .system(errno: ENOSPC)) }
        #expect(writer.size == 6)
        faults.set { $0.writeAfter = nil }
        #expect(try writer.append(batch(5)) == 6..<11)
        try writer.close()
        #expect(try fixture.verify().finding == nil && fixture.verify().size == 11)
    }

    @Test("A failed sync ends the writer; opened again, the ledger holds what was acknowledged")
    func failedSync() throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(5))
        faults.set { $0.sync = true }
        do {
            try writer.sync()
            Issue.record("was acknowledged")
        } catch { #expect(error.code == .system(errno: EIO)) }
        faults.set { $0.sync = false }
        do {
            _ = try writer.append(batch(5))
            Issue.record("was acknowledged")
        } catch { #expect(error.code == .failed) }
        _ = consume writer
        #expect(try fixture.writer().size == 6)
        #expect(try fixture.verify().finding == nil)
    }

    @Test("Opened again by whoever had it open, it is written again, and is as it was")
    func writtenAgain() throws {
        var writer = try fixture.writer()
        // More than one piece of what is written at once.
        for step in 0..<30 { _ = try writer.append(batch(1000, from: step * 1000)) }
        try writer.checkpoint()
        let size = writer.size
        _ = consume writer
        let before = try fixture.snapshot()
        #expect(before.values.contains { $0.count > 1 << 20 })
        let again = try LedgerWriter.open(
            directory: fixture.path, configuration: fixture.configuration, signer: fixture.signer, minimumSize: size)
        #expect(again.size == size && again.checkpointSize == size)
        #expect(try fixture.snapshot() == before)
        #expect(try fixture.verify().finding == nil)
    }

    @Test("A flush that fails while others append ends the writer; what it had not synced is not lost by opening again")
    func failedFlush() throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(5))
        let flush = try writer.beginFlush(signing: true)
        _ = try writer.append(batch(5, from: 5))
        faults.set { $0.sync = true }
        do {
            try flush.sync()
            Issue.record("was synced")
        } catch { _ = writer.failed(error) }
        faults.set { $0.sync = false }
        #expect(!writer.isIntact && writer.syncedSize == 1)
        #expect((try? writer.append(batch(1))) == nil)
        _ = consume writer
        let again = try LedgerWriter.open(
            directory: fixture.path, configuration: fixture.configuration, signer: fixture.signer, minimumSize: 1)
        #expect(again.size == 11)
        try again.close()
        #expect(try fixture.verify().finding == nil)
    }

    @Test("A checkpoint that the disk has no room for is signed later, over more; appending goes on meanwhile")
    func noRoomToSign() throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(5))
        let flush = try writer.beginFlush(signing: true)
        try flush.sync()
        writer.synced(flush)
        faults.set { $0.writeAfter = 0 }
        do {
            _ = try flush.sign()
            Issue.record("was signed")
        } catch { #expect(writer.failed(error).code == .system(errno: ENOSPC)) }
        faults.set { $0.writeAfter = nil }
        #expect(writer.isIntact && writer.checkpointSize == 0)
        _ = try writer.append(batch(300, from: 5))
        try writer.close()
        let report = try fixture.verify()
        #expect(report.finding == nil && report.checkpointCount == 1 && report.lastCheckpoint?.size == 306)
        #expect(try SmallFile.read(fixture.file(0, .hashes)).count == 306 * Digest256.byteCount)
    }

    @Test("A failed sync of a checkpoint never leaves two for one size")
    func failedCheckpoint() throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(5))
        try writer.sync()
        faults.set { $0.sync = true }
        #expect((try? writer.checkpoint()) == nil)
        faults.set { $0.sync = false }
        #expect((try? writer.checkpoint()) == nil)
        _ = consume writer
        var again = try fixture.writer()
        #expect(again.checkpointSize == 6)
        _ = try again.append(batch(1))
        try again.close()
        #expect(try fixture.verify().finding == nil)
    }

    @Test("A torn line that cannot be cut off ends the writer, and is cut off when it is opened again")
    func failedTruncate() throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(5))
        faults.set { ($0.writeAfter, $0.truncate) = (30, true) }
        #expect((try? writer.append(batch(1))) == nil)
        faults.set { ($0.writeAfter, $0.truncate) = (nil, false) }
        #expect((try? writer.append(batch(1))) == nil)
        _ = consume writer
        #expect(try fixture.writer().size == 7)
        #expect(try fixture.verify().finding == nil)
    }

    @Test("A full disk while a segment begins refuses the batch and leaves the old segment in use")
    func fullAtRotation() throws {
        fixture.configuration.segmentByteBound = 1000
        var writer = try fixture.writer()
        _ = try writer.append(batch(20))
        faults.set { $0.writeAfter = 0 }
        #expect((try? writer.tick()) == nil)
        faults.set { $0.writeAfter = nil }
        try writer.tick()
        #expect(try writer.append(batch(1)) == 22..<23)
        try writer.close()
        #expect(try fixture.segments == [0, 21])
        #expect(try fixture.verify().finding == nil)
    }

    @Test("A small file system that is full refuses, and goes on when there is space again", .enabled(if: canMount))
    func fullFileSystem() throws {
        try #require(run("/bin/mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", fixture.path) == 0)
        defer { _ = run("/bin/umount", fixture.path) }
        do {
            let filler = "\(fixture.path)/filler"
            fixture.write([UInt8](repeating: 0, count: 100_000), to: filler)
            var writer = try fixture.writer()
            var acknowledged: UInt64 = 1
            var refusal: LedgerError?
            while refusal == nil, acknowledged < 100_000 {
                do { acknowledged = try writer.append(batch(50)).upperBound } catch { refusal = error }
            }
            #expect(refusal?.code == .system(errno: ENOSPC))
            #expect(writer.size == acknowledged)
            unlink(filler)
            #expect(try writer.append(batch(50)).lowerBound == acknowledged)
            try writer.close()
            let report = try fixture.verify()
            #expect(report.finding == nil && report.size == acknowledged + 50)
        }
    }
}

/// What a disk refuses, as a test sets it.
private final class Faults: Sendable {
    struct Plan {
        /// How many bytes more a write takes before the disk is full.
        var writeAfter: Int?
        var sync = false
        var truncate = false
    }

    private let state = Mutex(Plan())

    func set(_ change: @Sendable (inout Plan) -> Void) { state.withLock { change(&$0) } }

    func plan(_ fault: KeyPath<Plan, Bool>) -> Bool { state.withLock { $0[keyPath: fault] } }

    func fail(_ number: Int32) -> Int32 {
        errno = number
        return -1
    }

    func write(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
        let allowed = state.withLock { plan -> Int in
            guard let left = plan.writeAfter else { return count }
            plan.writeAfter = max(0, left - count)
            return min(left, count)
        }
        return allowed == 0 ? Int(fail(ENOSPC)) : Glibc.write(descriptor, bytes, allowed)
    }
}

private func run(_ arguments: String...) -> Int32 {
    var process = pid_t()
    var pointers = arguments.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    guard posix_spawn(&process, arguments[0], nil, nil, &pointers, environ) == 0 else { return -1 }
    var status: Int32 = 0
    waitpid(process, &status, 0)
    return status
}

private let canMount: Bool = {
    let fixture = LedgerFixture()
    guard geteuid() == 0, run("/bin/mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", fixture.path) == 0 else {
        return false
    }
    return run("/bin/umount", fixture.path) == 0
}()
