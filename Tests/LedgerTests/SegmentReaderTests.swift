import Cryptography
import Glibc
import Testing

@testable import Ledger

@Suite("Reading a ledger")
struct SegmentReaderTests {
    let fixture = LedgerFixture()

    /// A line with its text.
    private struct Read: Equatable {
        let line: LedgerLine
        let text: String

        var object: String? {
            line.object.map { String(decoding: Array(text.utf8)[$0], as: UTF8.self) }
        }
    }

    private func next(_ reader: inout SegmentReader) throws -> Read? {
        try reader.next { line, bytes in
            Read(line: line, text: bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) })
        }
    }

    private func open() throws -> SegmentReader {
        try SegmentReader.open(LedgerSegment.all(in: fixture.path)[0])
    }

    @Test("Every line comes once, with what it says about itself and where it stands")
    func lines() throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(3))
        let segment = try #require(try LedgerSegment.all(in: fixture.path).first)
        #expect(try segment.time == fixture.clock.milliseconds)
        var reader = try SegmentReader.open(segment)
        var read: [Read] = []
        while let next = try next(&reader) { read.append(next) }
        let lines = read.map(\.line)
        #expect(lines.map(\.sequence) == [0, 1, 2, 3])
        #expect(lines.map(\.number) == [1, 2, 3, 4])
        #expect(lines.map(\.isLedgersOwn) == [true, false, false, false])
        #expect(read[1].object == #"{"number":0,"route":"getAvailability","verdict":"allow"}"#)
        // What is written meanwhile comes, too.
        _ = try writer.append(batch(1))
        let added = try next(&reader)
        #expect(added?.line.sequence == 4)
        let end = try next(&reader)
        #expect(end == nil)
    }

    @Test("What a writer has taken back is forgotten: a torn line, or whole ones")
    func takenBack() throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(1))
        let path = fixture.file(0, .records)
        let good = try SmallFile.read(path)
        var reader = try open()
        while try next(&reader) != nil {}
        fixture.write(good + Array("{\"seq\":2,\"record\":{\"torn".utf8), to: path)
        let torn = try next(&reader)
        #expect(torn == nil)
        fixture.write(good + Array("{\"seq\":2,\"record\":{}}\n".utf8), to: path)
        let completed = try next(&reader)
        #expect(completed?.line.sequence == 2)
        let end = try next(&reader)
        #expect(end == nil)
        fixture.write(good, to: path)
        let takenBack = try next(&reader)
        #expect(takenBack == nil)
        fixture.write(good + Array("{\"seq\":2,\"record\":{\"a\":1}}\n".utf8), to: path)
        let replacement = try next(&reader)
        #expect(replacement?.text == "{\"seq\":2,\"record\":{\"a\":1}}")
        withExtendedLifetime(writer) {}
    }

    @Test("A line that is no record stands for the one that belongs there")
    func rubbish() throws {
        var writer = try fixture.writer()
        _ = try writer.append(batch(2))
        var lines = try fixture.lines()
        lines[1] = "rubbish"
        fixture.setLines(lines)
        var reader = try open()
        _ = try next(&reader)
        let line = try next(&reader)!.line
        #expect(line.sequence == 1 && line.object == nil)
        withExtendedLifetime(writer) {}
    }

    @Test("The newest checkpoint is found, also behind a segment without any")
    func newestCheckpoint() throws {
        fixture.configuration.segmentByteBound = 20_000
        var writer = try fixture.writer()
        let keys = [try fixture.signer.verifier]
        #expect(try StoredCheckpoints.newest(in: fixture.path, origin: keys[0].name, keys: keys) == nil)
        while try fixture.segments.count == 1 {
            _ = try writer.append(batch(10))
            try writer.tick()
        }
        let second = try fixture.segments[1]
        let newest = try #require(try StoredCheckpoints.newest(in: fixture.path, origin: keys[0].name, keys: keys))
        #expect(newest.checkpoint.size == second)
        withExtendedLifetime(writer) {}
    }

    @Test("A file of kept checkpoints holds one note or several, and nothing else", arguments: [1, 2, 5])
    func notes(count: Int) throws {
        let notes = try (0..<count).map { size in
            try fixture.signer.note(Checkpoint(origin: "o", size: UInt64(size), root: MerkleTree.emptyRoot).text)
        }
        for end in ["", "\n", "\n\n"] {
            let text = notes.joined(separator: "\n")
            #expect(try StoredCheckpoints.notes(in: Array((text + end).utf8)) == notes)
            #expect(try StoredCheckpoints.notes(in: Array((text.dropLast() + end).utf8)) == notes)
        }
        #expect(throws: LedgerError.self) { try StoredCheckpoints.notes(in: Array("o\n1\n".utf8)) }
        #expect(throws: LedgerError.self) { try StoredCheckpoints.notes(in: []) }
    }
}
