internal import Glibc

/// Which closed segments are no longer kept. Removes files that nobody writes any more; of the one that is being written it asks
/// the length, and reads the first line.
public struct Retention: Sendable {
    private let directory: LedgerDirectory
    private let byteBound: Int
    private let milliseconds: UInt64
    private let clock: @Sendable () -> UInt64

    init(_ configuration: LedgerConfiguration, _ directory: LedgerDirectory) {
        self.directory = directory
        byteBound = configuration.retainedByteBound
        milliseconds = configuration.retainedSeconds.multipliedSaturated(by: 1000)
        clock = configuration.clock
    }

    /// The first record that stays, if older ones are to go. The segment being written always stays.
    public func firstKept() throws(LedgerError) -> UInt64? {
        let (firsts, now) = (try directory.segments(), clock())
        var bytes = 0
        if byteBound < .max { for first in firsts { bytes += try Self.byteCount(directory.path(first, .records)) } }
        var kept: UInt64?
        for (first, next) in zip(firsts, firsts.dropFirst()) {
            var isDue = bytes > byteBound
            if !isDue, milliseconds < .max / 2, let header = try SegmentHeader(reading: next, in: directory) {
                // A segment's last record is about as old as the next segment.
                isDue = now >= header.time &+ milliseconds
            }
            guard isDue else { break }
            if byteBound < .max { bytes -= try Self.byteCount(directory.path(first, .records)) }
            kept = next
        }
        return kept
    }

    /// Removes the segments before `first`, oldest first, so that no gap ever appears among those that are left.
    public func remove(before first: UInt64) throws(LedgerError) {
        for part in LedgerDirectory.Part.allCases {
            for old in try directory.segments(part) where old < first {
                guard unlink(directory.path(old, part)) == 0 else { throw .system("remove", directory.path(old, part)) }
            }
        }
        try directory.sync()
    }

    /// The length of a file.
    static func byteCount(_ path: String) throws(LedgerError) -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .system("read", path) }
        return Int(status.st_size)
    }
}

/// The first record of a segment.
struct SegmentHeader {
    /// The most bytes its line has: a name, and at most 64 peaks.
    static let lineBound = 16 << 10

    let origin: String
    let time: UInt64
    /// The tree before the segment.
    let tree: MerkleTree

    /// Takes a line for the header of the segment that begins with record `first`.
    init?(line: Span<UInt8>, first: UInt64) {
        guard let parsed = RecordLine.parse(line), parsed.sequence == first, parsed.speaker == .ledger else {
            return nil
        }
        let json = line.extracting(parsed.object).withUnsafeBufferPointer { Array($0) }
        guard case .segment(let origin, let time, let tree) = LedgerEvent(parsing: json, sequence: first) else {
            return nil
        }
        (self.origin, self.time, self.tree) = (origin, time, tree)
    }

    /// Reads the header of a segment; `nil` if it does not begin with one.
    init?(reading first: UInt64, in directory: LedgerDirectory) throws(LedgerError) {
        var reader = try LineReader(path: directory.path(first, .records), capacity: Self.lineBound)
        guard let line = try reader.next() else { return nil }
        self.init(line: reader.buffer.span.extracting(line), first: first)
    }
}
