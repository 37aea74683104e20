import Cryptography
import Glibc
import Ledger
import Testing

@testable import AuditTrail

@Suite("drawbridge audit verify")
struct VerifyTests {
    let fixture: AuditFixture
    let segments: [String]

    init() throws {
        fixture = try AuditFixture()
        try fixture.fill()
        segments = fixture.segments
    }

    /// Expects that it is said, and nothing else of the kind.
    private func expect(
        _ sentence: String, in place: String, _ arguments: String...,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let said = try fixture.run(["verify"] + arguments)
        #expect(said.status == 1, sourceLocation: sourceLocation)
        #expect(said.lines.dropFirst(2).first == "WRONG  \(sentence)", sourceLocation: sourceLocation)
        #expect(said.lines.dropFirst(3).first == "       \(place)", sourceLocation: sourceLocation)
    }

    @Test("A ledger as it was written is found so, with its size and its last checkpoint")
    func untouched() throws {
        #expect(segments.count >= 3)
        let said = try fixture.run("verify")
        #expect(said.status == 0)
        let size = 120 + segments.count
        #expect(said.lines[2] == "OK     \(size) records, 0 to \(size - 1): as written, none missing")
        #expect(said.output.contains("the last one covers \(size) records"))
        #expect(said.output.contains("better give a copy kept elsewhere by --key"))
    }

    @Test("A ledger that is being written verifies: an incomplete last line, and records not signed for, are no damage")
    func beingWritten() throws {
        var writer = try fixture.writer()
        _ = try writer.keep(AuditFixture.request(60, time: fixture.clock.milliseconds))
        let last = segments.last!
        fixture.write(try fixture.read(last) + Array("{\"seq\":12".utf8), to: "\(fixture.records)/\(last)")
        let said = try fixture.run("verify")
        #expect(said.status == 0)
        #expect(said.output.contains("2 records at the end not signed for yet"))
        #expect(said.output.contains("9 bytes of an incomplete last line"))
        withExtendedLifetime(writer) {}
    }

    @Test("A flipped bit")
    func flippedBit() throws {
        var lines = try fixture.lines(segments[1])
        lines[5] = lines[5].replacing("203.0.113.", with: "203.0.112.")
        fixture.setLines(lines, segments[1])
        let sequence = fixture.first(segments[1]) + 5
        try expect("altered: record \(sequence) is not what was written", in: "in \(segments[1]) line 6")
    }

    @Test("An inserted record")
    func inserted() throws {
        var lines = try fixture.lines(segments[0])
        lines.insert(#"{"seq":7,"record":{"verdict":"allowed"}}"#, at: 7)
        fixture.setLines(lines, segments[0])
        try expect("inserted: what stands at record 7 was put there afterwards", in: "in \(segments[0]) line 8")
    }

    @Test("A deleted record")
    func deleted() throws {
        var lines = try fixture.lines(segments[0])
        lines.remove(at: 7)
        fixture.setLines(lines, segments[0])
        try expect("missing: record 7 is gone", in: "should be in \(segments[0]) line 8")
    }

    @Test("Reordered records")
    func reordered() throws {
        var lines = try fixture.lines(segments[0])
        lines.swapAt(7, 11)
        fixture.setLines(lines, segments[0])
        try expect("out of order: another record stands where record 7 belongs", in: "in \(segments[0]) line 8")
    }

    @Test("A truncated tail")
    func truncated() throws {
        let last = segments.last!
        let lines = try fixture.lines(last)
        fixture.setLines(Array(lines.dropLast(3)), last)
        let end = fixture.first(last) + lines.count
        try expect(
            "truncated: records \(end - 3) to \(end - 1), the last, are cut off",
            in: "should be in \(last) line \(lines.count - 2)")
    }

    @Test("A swapped segment")
    func swapped() throws {
        let one = try fixture.read(segments[0])
        fixture.write(try fixture.read(segments[1]), to: "\(fixture.records)/\(segments[0])")
        fixture.write(one, to: "\(fixture.records)/\(segments[1])")
        try expect(
            "misplaced segment: the file that should begin with record 0 holds others, or another ledger's",
            in: "in \(segments[0])")
    }

    @Test("A removed segment")
    func removedSegment() throws {
        for suffix in ["jsonl", "hashes", "checkpoints"] {
            unlink("\(fixture.records)/\(segments[1].prefix(20)).\(suffix)")
        }
        let (first, next) = (fixture.first(segments[1]), fixture.first(segments[2]))
        try expect(
            "missing: records \(first) to \(next - 1) are gone", in: "should be in \(segments[0]) line \(first + 1)")
    }

    @Test("A record rewritten with all hashes")
    func forked() throws {
        var lines = try fixture.lines(segments[0])
        lines[25] = lines[25].replacing("allowed", with: "refused")
        fixture.setLines(lines, segments[0])
        var hasher = MerkleHasher()
        let hashes = lines.flatMap { hasher.leaf($0.utf8.span).bytes }
        fixture.write(hashes, to: "\(fixture.records)/\(segments[0].prefix(20)).hashes")
        let said = try fixture.run("verify")
        #expect(said.status == 1)
        #expect(said.output.contains("WRONG  forked: one of records "))
        #expect(said.output.contains("in \(segments[0]) line "))
    }

    @Test("A ledger written anew with the same key is a fork to whoever has kept a checkpoint")
    func writtenAnew() throws {
        let kept = try fixture.keepCheckpoint()
        for name in AuditFixture.names(in: fixture.records) { unlink("\(fixture.records)/\(name)") }
        try fixture.fill(requests: 61)
        #expect(try fixture.run("verify").status == 0)
        let said = try fixture.run("verify", "--checkpoint", kept)
        #expect(said.status == 1)
        #expect(said.output.contains("WRONG  forked: "))
    }

    @Test("A ledger set back is rolled back to whoever has kept a checkpoint")
    func rolledBack() throws {
        var early: [String: [UInt8]] = [:]
        for name in AuditFixture.names(in: fixture.records) { early[name] = try fixture.read(name) }
        let size = 120 + segments.count
        var writer = try fixture.writer()
        _ = try writer.keep(AuditFixture.request(60, time: fixture.clock.milliseconds))
        try writer.close()
        let kept = try fixture.keepCheckpoint()
        for (name, bytes) in early { fixture.write(bytes, to: "\(fixture.records)/\(name)") }
        #expect(try fixture.run("verify").status == 0)
        let line = size - fixture.first(segments.last!) + 1
        try expect(
            "rolled back: records \(size) to \(size + 1) are not here, and a checkpoint kept elsewhere covers them",
            in: "should be in \(segments.last!) line \(line)", "--checkpoint", kept)
    }

    @Test("A removed ledger is no verified one")
    func removed() throws {
        for name in AuditFixture.names(in: fixture.records) { unlink("\(fixture.records)/\(name)") }
        let said = try fixture.run("verify")
        #expect(said.status == 1)
        #expect(said.remarks.contains("there are no records in"))
    }

    @Test("A flipped bit in a signature, with what is wrong with it")
    func badCheckpoint() throws {
        let name = "\(segments[0].prefix(20)).checkpoints"
        var bytes = try fixture.read(name)
        let position = bytes.lastIndex(of: UInt8(ascii: "="))! - 4
        bytes[position] = bytes[position] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
        fixture.write(bytes, to: "\(fixture.records)/\(name)")
        let said = try fixture.run("verify")
        #expect(said.status == 1)
        #expect(said.output.contains("WRONG  bad checkpoint: "))
        #expect(said.output.contains("in \(name)\n       the signature of hotel.example/ledger does not hold"))
    }

    @Test("--remember keeps the newest checkpoint and holds the ledger to it the next time")
    func remember() throws {
        let kept = "\(fixture.home)/remembered"
        let first = try fixture.run("verify", "--remember", kept)
        #expect(first.status == 0)
        #expect(first.output.contains("kept   the checkpoint over \(120 + segments.count) records"))
        #expect(try !fixture.run("verify", "--remember", kept).output.contains("kept   "))
        for name in AuditFixture.names(in: fixture.records) { unlink("\(fixture.records)/\(name)") }
        try fixture.fill(requests: 61)
        let before = try LedgerLocation.read(kept)
        #expect(try fixture.run("verify", "--remember", kept).status == 1)
        #expect(try LedgerLocation.read(kept) == before)
    }

    @Test("With another key nothing is believed")
    func otherKey() throws {
        let path = "\(fixture.home)/other"
        let other = try NoteSigner(name: "hotel.example/ledger", key: Ed25519PrivateKey())
        fixture.write("\(other.verifier)\n", to: path)
        let said = try fixture.run("verify", "--key", path)
        #expect(said.status == 1)
        #expect(said.output.contains("the note is not signed by a known key"))
    }

    @Test("Where there is no ledger, or no key, that is said, with a status of its own")
    func absence() throws {
        let nowhere = try fixture.run("verify", "--ledger", "\(fixture.home)/nowhere")
        #expect(nowhere.status == 66)
        #expect(nowhere.remarks == "drawbridge: there is no ledger in \(fixture.home)/nowhere\n")
        unlink("\(fixture.ledger)/verifiers")
        #expect(try fixture.run("verify").status == 66)
    }

    @Test("A directory that only its owner may enter: status 77, and who that is")
    func noPermission() {
        let failure = LedgerLocation.failure(fixture.records, EACCES)
        #expect(failure.status == 77)
        #expect(failure.message.contains("may be read only by its owner, "))
        #expect(failure.message.contains("or as root"))
    }

    @Test("After retention the rest verifies, and older checkpoints are said not to be comparable")
    func retention() throws {
        let fixture = try AuditFixture()
        try fixture.fill(requests: 10)
        let old = try fixture.keepCheckpoint()
        try fixture.fill()
        let before = fixture.segments
        fixture.configuration.retainedSeconds = 100
        fixture.configuration.segmentSecondsBound = 10
        fixture.clock.advance(seconds: 1000)
        var next = try fixture.writer()
        _ = try next.keep(AuditFixture.request(61, time: fixture.clock.milliseconds))
        try next.checkpoint()
        fixture.clock.advance(seconds: 1000)
        _ = try next.keep(AuditFixture.request(62, time: fixture.clock.milliseconds))
        try next.tick()
        try next.close()
        #expect(fixture.segments.first != before.first)
        let said = try fixture.run("verify", "--checkpoint", old)
        #expect(said.status == 0)
        #expect(said.output.contains("were removed by retention"))
        #expect(said.output.contains("1 given checkpoint older than the first record left"))
    }
}
