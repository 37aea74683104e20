import Cryptography
import Glibc
import Testing

@testable import Ledger

@Suite("Verifying a ledger")
struct VerifierTests {
    let fixture = LedgerFixture()

    /// Three segments of a few hundred records, with checkpoints on the way and at the end.
    init() throws {
        fixture.configuration.segmentByteBound = 20_000
        fixture.configuration.checkpointRecords = 50
        var writer = try fixture.writer()
        for step in 0..<60 {
            try writer.tick()
            _ = try writer.append(batch(10, from: step * 10))
        }
        try writer.close()
    }

    private func finding() throws -> LedgerFinding? { try fixture.verify().finding }

    @Test("A ledger as it was written has nothing wrong")
    func untouched() throws {
        let report = try fixture.verify()
        #expect(report.finding == nil)
        #expect(try fixture.segments.count == 3)
        #expect(report.size == 603)
        #expect(report.unsignedCount == 0)
        #expect(report.lastCheckpoint?.size == 603)
        #expect(report.checkpointCount > 10)
    }

    @Test("A flipped bit is found in its record", arguments: [1, 8, 30, 63])
    func flippedBit(position: Int) throws {
        for sequence in [1, 77, 200] {
            var lines = try fixture.lines()
            var bytes = Array(lines[sequence].utf8)
            bytes[min(position, bytes.count - 1)] ^= 1
            let old = lines[sequence]
            lines[sequence] = String(decoding: bytes, as: UTF8.self)
            fixture.setLines(lines)
            #expect(try finding() == LedgerFinding(.altered, UInt64(sequence)))
            lines[sequence] = old
            fixture.setLines(lines)
        }
        #expect(try finding() == nil)
    }

    @Test("A newline flipped away is found where two records became one")
    func joinedLines() throws {
        var lines = try fixture.lines()
        lines[40] += "*" + lines.remove(at: 41)
        fixture.setLines(lines)
        #expect(try finding()?.sequence == 40)
    }

    @Test("An inserted record is found where it stands")
    func inserted() throws {
        var lines = try fixture.lines()
        lines.insert(#"{"seq":100,"record":{"number":7}}"#, at: 100)
        fixture.setLines(lines)
        #expect(try finding() == LedgerFinding(.inserted, 100))
    }

    @Test("A repeated record is found where it is repeated")
    func repeated() throws {
        var lines = try fixture.lines()
        lines.insert(lines[20], at: 100)
        fixture.setLines(lines)
        #expect(try finding() == LedgerFinding(.inserted, 100))
    }

    @Test("Deleted records are named, first and last")
    func deleted() throws {
        var lines = try fixture.lines()
        lines.removeSubrange(100...104)
        fixture.setLines(lines)
        #expect(try finding() == LedgerFinding(.missing, 100...104))
    }

    @Test("Reordered records are found at the first that is out of its place", arguments: [101, 150])
    func reordered(other: Int) throws {
        var lines = try fixture.lines()
        lines.swapAt(100, other)
        fixture.setLines(lines)
        #expect(try finding() == LedgerFinding(.outOfOrder, 100))
    }

    @Test("A truncated tail is found at the first record that is gone, whole lines or not")
    func truncated() throws {
        let last = try #require(try fixture.segments.last)
        let lines = try fixture.lines(last)
        fixture.setLines(Array(lines.dropLast(3)), last)
        #expect(try finding() == LedgerFinding(.truncated, 600...602))
        let bytes = try SmallFile.read(fixture.file(last, .records))
        fixture.write(Array(bytes.dropLast(5)), to: fixture.file(last, .records))
        #expect(try finding()?.sequence == 599)
    }

    @Test("A truncated closed segment is found, too")
    func truncatedWithin() throws {
        let lines = try fixture.lines()
        fixture.setLines(Array(lines.dropLast(2)))
        let next = try fixture.segments[1]
        #expect(try finding() == LedgerFinding(.missing, next - 2...next - 1))
    }

    @Test("Segments that changed places are found at the first of them")
    func swapped() throws {
        let segments = try fixture.segments
        for part in LedgerDirectory.Part.allCases {
            let one = try SmallFile.read(fixture.file(segments[1], part))
            fixture.write(try SmallFile.read(fixture.file(segments[2], part)), to: fixture.file(segments[1], part))
            fixture.write(one, to: fixture.file(segments[2], part))
        }
        let found = try finding()
        #expect(found == LedgerFinding(.misplacedSegment, segments[1]) || found?.kind == .badCheckpoint)
        #expect(found?.sequence == segments[1])
    }

    @Test("A removed segment is missing, whether it was the first or one between others", arguments: [0, 1])
    func removedSegment(index: Int) throws {
        let segments = try fixture.segments
        for part in LedgerDirectory.Part.allCases { unlink(fixture.file(segments[index], part)) }
        #expect(try finding() == LedgerFinding(.missing, segments[index]...segments[index + 1] - 1))
    }

    @Test("A ledger rewritten with all its hashes is caught by the signatures, between two checkpoints")
    func forked() throws {
        var lines = try fixture.lines()
        lines[120] = lines[120].replacing("allow", with: "block")
        fixture.setLines(lines)
        var hasher = MerkleHasher()
        var hashes: [UInt8] = []
        for line in lines { hashes += hasher.leaf(line.utf8.span).bytes }
        fixture.write(hashes, to: fixture.file(0, .hashes))
        let found = try #require(try finding())
        #expect(found.kind == .forked)
        #expect(found.range.contains(120) && found.range.count <= 50)
    }

    @Test("A ledger written anew with the same key is caught by a checkpoint kept elsewhere")
    func forkedFromKnown() throws {
        let kept = try #require(try fixture.verify().lastCheckpoint)
        let other = LedgerFixture()
        var writer = try LedgerWriter.open(
            directory: other.path, configuration: fixture.configuration, signer: fixture.signer)
        for step in 0..<61 { _ = try writer.append(batch(10, from: step)) }
        try writer.close()
        let report = try LedgerVerifier(
            directory: other.path, origin: kept.origin, keys: [fixture.signer.verifier], known: [kept]
        ).verify()
        #expect(report.finding?.kind == .forked)
    }

    @Test("A ledger set back to an earlier state, signatures and all, is caught by a checkpoint kept elsewhere")
    func rolledBack() throws {
        let early = try fixture.snapshot()
        var writer = try fixture.writer()
        _ = try writer.append(batch(10))
        try writer.close()
        let kept = try #require(try fixture.verify().lastCheckpoint)
        for (name, bytes) in early { fixture.write(bytes, to: "\(fixture.path)/\(name)") }
        #expect(try fixture.verify().finding == nil)
        #expect(try fixture.verify(known: [kept]).finding == LedgerFinding(.rolledBack, 603...612))
    }

    @Test("What stands before the first segment left is held to a checkpoint kept elsewhere, too")
    func forkedBeforeRetention() throws {
        let first = try fixture.segments[1]
        let notes = try NoteFile.notes(in: SmallFile.read(fixture.file(0, .checkpoints))).notes
        let closing = try Checkpoint(parsing: SignedNote(parsing: notes.last!).text)
        #expect(closing.size == first)
        let other = Checkpoint(origin: closing.origin, size: first, root: MerkleTree.emptyRoot)
        for part in LedgerDirectory.Part.allCases { unlink(fixture.file(0, part)) }
        #expect(try fixture.verify(known: [closing]).finding == LedgerFinding(.missing, 0...first - 1))
        #expect(try fixture.verify(known: [other]).finding == LedgerFinding(.forked, 0...first - 1))
    }

    @Test("The place of a finding is named")
    func place() throws {
        var lines = try fixture.lines()
        lines[77] = lines[77].replacing("allow", with: "block")
        fixture.setLines(lines)
        let verifier = try LedgerVerifier(
            directory: fixture.path, origin: "hotel.example/ledger", keys: [fixture.signer.verifier])
        let report = try verifier.verify()
        #expect(report.place == LedgerPlace("00000000000000000000.jsonl", line: 78))
    }

    @Test("A wrong stored hash is not blamed on the record")
    func badHash() throws {
        var hashes = try SmallFile.read(fixture.file(0, .hashes))
        hashes[70 * 32] ^= 1
        fixture.write(hashes, to: fixture.file(0, .hashes))
        #expect(try finding() == LedgerFinding(.badHash, 70))
    }

    @Test("A checkpoint of another key is not believed, and missing ones are missed")
    func badCheckpoint() throws {
        var bytes = try SmallFile.read(fixture.file(0, .checkpoints))
        fixture.write([], to: fixture.file(0, .checkpoints))
        #expect(try finding()?.kind == .badCheckpoint)
        let position = try #require(bytes.firstIndex(of: UInt8(ascii: "\n")))
        bytes[position + 1] = bytes[position + 1] == 0x39 ? 0x38 : bytes[position + 1] + 1
        fixture.write(bytes, to: fixture.file(0, .checkpoints))
        #expect(try finding()?.kind == .badCheckpoint)
    }
}
