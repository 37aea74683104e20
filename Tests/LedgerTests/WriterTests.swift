import Cryptography
import Glibc
import Testing

@testable import Ledger

@Suite("Writing a ledger")
struct WriterTests {
    let fixture = LedgerFixture()

    @Test("Records are lines that carry their sequence number, and the same bytes come back")
    func lines() throws {
        var writer = try fixture.writer()
        #expect(try writer.append(batch(2)) == 1..<3)
        try writer.close()
        let lines = try fixture.lines()
        #expect(lines.count == 3)
        #expect(lines[0].hasPrefix(#"{"seq":0,"ledger":{"event":"segment","format":1,"origin":"hotel.example/ledger""#))
        #expect(lines[2] == #"{"seq":2,"record":{"number":1,"route":"getAvailability","verdict":"allow"}}"#)
    }

    @Test(
        "What is not one JSON object on one line is no record",
        arguments: [
            "", "{}x", "[]", "{\"a\":1", "{\"a\":1}}", "{\"a\":\n1}", "{\"a\":01}", "{\"a\":tru}", "{\"a\" 1}", "{,}",
            "{\"a\":[1,]}", "{\"a\":\"\u{1}\"}", "{\"a\":\"\\x\"}", "{\"a\":[}]}", "{\"a\":1},\"ledger\":{\"b\":2}",
            "{\"a\":" + String(repeating: "[", count: 40) + String(repeating: "]", count: 40) + "}",
            "{\"a\":\"" + String(repeating: "x", count: 70_000) + "\"}",
        ])
    func refuses(text: String) {
        var batch = RecordBatch()
        #expect(throws: LedgerError.self) { try batch.add(text.utf8.span) }
        #expect(batch.isEmpty)
    }

    @Test("Every JSON value may stand in a record")
    func accepts() throws {
        var batch = RecordBatch()
        let text = #"{"a":[1,-0.5e+7,true,false,null,{},[],{"b":{"c":"\u00e9\n\"予約"}}],"d":"","e":0}"#
        try batch.add(text.utf8.span)
        try batch.add("{}".utf8.span)
        #expect(batch.count == 2)
    }

    @Test("Closing signs; opening goes on where it was")
    func reopens() throws {
        for step in 0..<4 {
            var writer = try fixture.writer()
            #expect(writer.size == (step == 0 ? 1 : UInt64(1 + step * 300)))
            _ = try writer.append(batch(300))
            try writer.close()
        }
        let report = try fixture.verify()
        #expect(report.finding == nil && report.size == 1201 && report.unsignedCount == 0)
        #expect(report.checkpointCount == 4)
    }

    @Test("What comes due is known before it is done")
    func due() throws {
        fixture.configuration.checkpointRecords = 4
        fixture.configuration.checkpointSeconds = 10
        var writer = try fixture.writer()
        _ = try writer.append(batch(2))
        #expect(writer.due == nil)
        _ = try writer.append(batch(1))
        #expect(writer.due == .checkpoint)
        try writer.tick()
        #expect(writer.checkpointSize == 4)
        #expect(writer.due == nil)
        _ = try writer.append(batch(1))
        #expect(writer.due == nil)
        fixture.clock.advance(seconds: 10)
        #expect(writer.due == .checkpoint)
        fixture.clock.advance(seconds: fixture.configuration.segmentSecondsBound)
        #expect(writer.due == .segment)
        try writer.tick()
        #expect(writer.due == nil)
        #expect(try fixture.segments == [0, 5])
    }

    @Test("What is appended during a flush is not in its checkpoint, but in the next one")
    func appendsDuringFlush() throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(2))
        let flush = try writer.beginFlush(signing: true)
        #expect(try writer.append(batch(300, from: 2)) == 3..<303)
        try flush.sync()
        writer.synced(flush)
        #expect(writer.syncedSize == 3 && writer.checkpointSize == 0)
        #expect(try writer.append(batch(1)) == 303..<304)
        try writer.signed(flush, flush.sign())
        #expect(writer.checkpointSize == 3)
        try writer.close()
        let report = try fixture.verify()
        #expect(report.finding == nil && report.size == 304 && report.checkpointCount == 2)
        // The hashes of both are stored, each in its place.
        #expect(try SmallFile.read(fixture.file(0, .hashes)).count == 304 * Digest256.byteCount)
        var proofs = try LedgerProofs.open(directory: fixture.path)
        for sequence: UInt64 in [0, 2, 3, 255, 303] {
            let (leaf, path) = try proofs.inclusion(of: sequence, size: 304)
            let root = try #require(report.lastCheckpoint).root
            #expect(MerkleProof.isInclusion(path, of: leaf, at: sequence, size: 304, root: root))
        }
    }

    @Test("Nothing is signed for twice")
    func nothingNew() throws {
        var writer = try fixture.writer()
        try writer.checkpoint()
        let flush = try writer.beginFlush(signing: true)
        #expect(!flush.isSigning)
        try writer.close()
        #expect(try fixture.verify().checkpointCount == 1)
    }

    @Test("A flush that nobody finished leaves a ledger that can be opened and signed for")
    func lostFlush() throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(7))
        let flush = try writer.beginFlush(signing: true)
        _ = try writer.append(batch(7))
        _ = consume writer
        _ = consume flush
        var again = try fixture.writer()
        #expect(again.size == 15 && again.checkpointSize == 0)
        _ = try again.append(batch(1))
        try again.close()
        #expect(try fixture.verify().finding == nil)
    }

    @Test("A second writer is kept out")
    func locked() throws {
        let writer = try fixture.writer()
        #expect { _ = try fixture.writer().size } throws: { ($0 as? LedgerError)?.code == .locked }
        #expect(writer.size == 1)
    }

    @Test("A checkpoint comes after so many records and after so many seconds, and only over news")
    func checkpoints() throws {
        fixture.configuration.checkpointRecords = 100
        fixture.configuration.checkpointSeconds = 10
        var writer = try fixture.writer()
        _ = try writer.append(batch(99))
        try writer.tick()
        #expect(writer.checkpointSize == 100)
        _ = try writer.append(batch(1))
        try writer.tick()
        #expect(writer.checkpointSize == 100)
        fixture.clock.advance(seconds: 10)
        try writer.tick()
        #expect(writer.checkpointSize == 101)
        fixture.clock.advance(seconds: 10)
        try writer.tick()
        #expect(writer.checkpointSize == 101)
    }

    @Test("A segment grown old is closed, and old segments go; what is left verifies and says what went")
    func retention() throws {
        fixture.configuration.segmentSecondsBound = 100
        fixture.configuration.retainedSeconds = 250
        var writer = try fixture.writer()
        for step in 0..<8 {
            _ = try writer.append(batch(37, from: step))
            fixture.clock.advance(seconds: 101)
            try writer.tick()
        }
        try writer.close()
        let report = try fixture.verify()
        #expect(report.finding == nil)
        #expect(report.first > 37)
        #expect(try fixture.segments.first == report.first)
        var proofs = try LedgerProofs.open(directory: fixture.path)
        let checkpoint = try #require(report.lastCheckpoint)
        for sequence in report.first..<report.size {
            let (leaf, path) = try proofs.inclusion(of: sequence, size: checkpoint.size)
            #expect(
                MerkleProof.isInclusion(path, of: leaf, at: sequence, size: checkpoint.size, root: checkpoint.root))
        }
        #expect((try? proofs.root(size: 3)) == nil)
    }

    @Test("Proofs come from the stored hashes, without the records, over several segments and levels")
    func proofs() throws {
        fixture.configuration.segmentByteBound = 60_000
        var writer = try fixture.writer()
        var roots: [Checkpoint] = []
        for step in 0..<20 {
            try writer.tick()
            _ = try writer.append(batch(111, from: step))
            try writer.checkpoint()
            roots.append(try #require(try fixture.verify().lastCheckpoint))
        }
        try writer.close()
        var proofs = try LedgerProofs.open(directory: fixture.path)
        let last = try #require(roots.last)
        for old in roots {
            #expect(try proofs.root(size: old.size) == old.root)
            let proof = try proofs.consistency(from: old.size, to: last.size)
            #expect(
                MerkleProof.isConsistency(
                    proof, oldSize: old.size, oldRoot: old.root, newSize: last.size, newRoot: last.root))
        }
        for sequence: UInt64 in [0, 1, 255, 256, 1000, last.size - 1] {
            let (leaf, path) = try proofs.inclusion(of: sequence, size: last.size)
            #expect(MerkleProof.isInclusion(path, of: leaf, at: sequence, size: last.size, root: last.root))
        }
    }

    @Test("A torn tail is cut off, and a record says so", arguments: [1, 20, 60])
    func tornTail(byteCount: Int) throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(10))
        try writer.sync()
        _ = consume writer
        let bytes = try SmallFile.read(fixture.file(0, .records))
        let lineByteCount = bytes.reversed().dropFirst().prefix { $0 != UInt8(ascii: "\n") }.count + 1
        fixture.write(bytes.dropLast(lineByteCount - byteCount), to: fixture.file(0, .records))
        #expect(try fixture.writer().size == 11)
        #expect(try fixture.lines().last?.hasPrefix(#"{"seq":10,"ledger":{"event":"recovered","#) == true)
        #expect(try fixture.lines().last?.hasSuffix(#""cut_bytes":\#(byteCount)}}"#) == true)
        #expect(try fixture.verify().finding == nil)
    }

    @Test("A ledger that lacks what was signed for is not continued")
    func refusesRollback() throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(10))
        try writer.close()
        let lines = try fixture.lines()
        fixture.setLines(lines.dropLast())
        #expect { _ = try fixture.writer().size } throws: { ($0 as? LedgerError)?.code == .damaged }
        fixture.setLines(lines)
        #expect(try fixture.writer().size == 11)
    }

    @Test("A changed record keeps the ledger from being continued")
    func refusesChange() throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(10))
        try writer.close()
        var lines = try fixture.lines()
        lines[4] = lines[4].replacing("allow", with: "block")
        fixture.setLines(lines)
        #expect { _ = try fixture.writer().size } throws: { ($0 as? LedgerError)?.code == .damaged }
    }
}
