/// A file of records, as a reader finds it.
public struct LedgerSegment: Sendable, Hashable {
    /// The sequence number of its first record.
    public let first: UInt64
    /// The file's name.
    public var name: String { directory.name(first, .records) }

    let directory: LedgerDirectory

    /// The segments in a ledger's directory, in order.
    public static func all(in path: String) throws(LedgerError) -> [LedgerSegment] {
        let directory = LedgerDirectory(path: path)
        return try directory.segments().map { LedgerSegment(first: $0, directory: directory) }
    }

    /// When it was begun, in milliseconds since 1970, as its first record says; `nil` if that says nothing (yet).
    public var time: UInt64? {
        get throws(LedgerError) { try SegmentHeader(reading: first, in: directory)?.time }
    }

    /// Compares what tells segments of one ledger apart.
    public static func == (left: LedgerSegment, right: LedgerSegment) -> Bool {
        left.first == right.first && left.directory.path == right.directory.path
    }

    /// The first record's number is enough.
    public func hash(into hasher: inout Hasher) { hasher.combine(first) }
}

/// What a line says about itself, and where it stands.
public struct LedgerLine: Sendable, Hashable {
    /// The record's sequence number; where the line has not the form of a record, the one that belongs there.
    public let sequence: UInt64
    /// The line's place in the segment, counted from 1.
    public let number: Int
    /// Where in the line the record's JSON object is; `nil` where the line has not the form of a record.
    public let object: Range<Int>?
    /// Whether the ledger itself says it, and not a worker.
    public let isLedgersOwn: Bool
}

/// The lines of one segment in order, in bounded memory, while it is written or not. Believes what it reads.
public struct SegmentReader: ~Copyable {
    /// What is read.
    public let segment: LedgerSegment

    private var reader: LineReader
    private var number = 0

    /// Opens a segment.
    public static func open(_ segment: LedgerSegment) throws(LedgerError) -> SegmentReader {
        SegmentReader(segment: segment, reader: try LineReader(path: segment.directory.path(segment.first, .records)))
    }

    private init(segment: LedgerSegment, reader: consuming LineReader) {
        self.segment = segment
        self.reader = reader
    }

    /// Gives the next complete line, without its newline, to `body`; `nil` when there is none now.
    ///
    /// May be called again then, to see whether the line has been completed or others have been added.
    public mutating func next<Result>(_ body: (LedgerLine, Span<UInt8>) throws -> Result) throws -> Result? {
        guard let range = try reader.next() else {
            try reader.startOver()
            return nil
        }
        number += 1
        let parsed = RecordLine.parse(reader.buffer.span.extracting(range))
        let line = LedgerLine(
            sequence: parsed?.sequence ?? segment.first + UInt64(number - 1), number: number, object: parsed?.object,
            isLedgersOwn: parsed?.speaker == .ledger)
        return try body(line, reader.buffer.span.extracting(range))
    }
}
