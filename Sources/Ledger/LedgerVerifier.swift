internal import Cryptography

/// Reads a ledger from its first record to its last and says whether it is what was written and signed.
///
/// Trusts nothing but its keys and the checkpoints it is given: every hash is computed from the records. In memory are
/// one line, the stored hashes and checkpoints of one segment, and the tree's peaks, however long the ledger is.
public struct LedgerVerifier: Sendable {
    let directory: LedgerDirectory
    private let origin: String
    private let keys: [NoteVerifier]
    private let known: [Checkpoint]

    /// A verification to be run.
    ///
    /// - Parameters:
    ///   - known: checkpoints kept elsewhere (a witness, an auditor's file), already verified. Only they can tell when
    ///     everything here, signatures included, was set back to an earlier state.
    public init(directory: String, origin: String, keys: [NoteVerifier], known: [Checkpoint] = []) {
        self.directory = LedgerDirectory(path: directory)
        self.origin = origin
        self.keys = keys
        self.known = known.filter { $0.origin == origin }.sorted { $0.size < $1.size }
    }

    /// Verifies everything; stops at the first thing wrong. Throws when the files cannot be read.
    ///
    /// - Parameter progress: told now and then how far it has come.
    public func verify(progress: (LedgerProgress) -> Void = { _ in }) throws(LedgerError) -> LedgerReport {
        let segments = try directory.segments()
        var state = VerificationState(known: known)
        var meter = try Meter(segments, in: directory)
        for (index, first) in segments.enumerated() {
            let next = index + 1 < segments.count ? segments[index + 1] : nil
            try verify(first, next: next, &state, &meter, progress)
            if let finding = state.report.finding {
                state.report.place = place(of: finding, in: first)
                return state.report
            }
        }
        state.finish()
        if let finding = state.report.finding {
            // Records are missing from the beginning, or from the end.
            state.report.place = place(of: finding, in: finding.kind == .missing ? 0 : segments.last ?? 0)
        }
        return state.report
    }

    private func verify(
        _ first: UInt64, next: UInt64?, _ state: inout VerificationState, _ meter: inout Meter,
        _ progress: (LedgerProgress) -> Void
    ) throws(LedgerError) {
        guard state.begin(first) else { return }
        // Before the records, which grow first: of a ledger being written, neither may run ahead of them.
        let stored = try StoredLeaves(first: first, bytes: SmallFile.read(directory.path(first, .hashes)))
        let checkpoints: [Checkpoint]
        do {
            checkpoints = try Recovery.checkpoints(first, directory, origin, keys).checkpoints
        } catch {
            guard error.code == .invalidNote else { throw error }
            state.report.finding = LedgerFinding(.badCheckpoint, first)
            state.report.detail = error.message
            return
        }
        var due = checkpoints[...]
        var reader = try LineReader(path: directory.path(first, .records))
        var isFirstLine = true
        while let range = try reader.next() {
            if isFirstLine {
                guard state.takeHeader(reader.buffer.span.extracting(range), first, origin) else { return }
                isFirstLine = false
            }
            let parsed = RecordLine.parse(reader.buffer.span.extracting(range))
            let leaf = state.hasher.leaf(reader.buffer.span.extracting(range))
            guard let parsed, parsed.sequence == state.tree.size, stored.agrees(leaf, at: parsed.sequence) else {
                let suspect = Suspect(sequence: parsed?.sequence, leaf: leaf)
                return try diagnose(suspect, stored, due, &reader, &state)
            }
            if parsed.speaker == .ledger {
                state.hear(reader.buffer.span.extracting(range).extracting(parsed.object), parsed.sequence)
            }
            state.tree.append(leaf, &state.hasher)
            guard state.compare(with: &due) else { return }
            if let news = meter.count(range.count + 1) { progress(news) }
        }
        state.end(incomplete: reader.remainder, next: next, due: due, stored: stored)
    }
}

/// Counts what was read, and says now and then how far that is.
private struct Meter {
    /// The records between two messages.
    private static let step: UInt64 = 4096

    private var recordCount: UInt64 = 0
    private var byteCount = 0
    private var totalByteCount = 0

    init(_ segments: [UInt64], in directory: LedgerDirectory) throws(LedgerError) {
        for first in segments { totalByteCount += try Retention.byteCount(directory.path(first, .records)) }
    }

    /// A line of so many bytes was read.
    @inline(__always)
    mutating func count(_ bytes: Int) -> LedgerProgress? {
        recordCount += 1
        byteCount += bytes
        guard recordCount % Self.step == 0 else { return nil }
        return LedgerProgress(recordCount: recordCount, byteCount: byteCount, totalByteCount: totalByteCount)
    }
}

/// What is known while records go by; no files.
struct VerificationState: ~Copyable {
    var report = LedgerReport()
    var tree = MerkleTree()
    var hasher = MerkleHasher()
    /// The size up to which signatures hold.
    private(set) var signedSize: UInt64 = 0

    private var known: ArraySlice<Checkpoint>
    private var hasBegun = false
    /// The first record left, as the last record of a removal has it.
    private var removedBefore: UInt64 = 0

    init(known: [Checkpoint]) { self.known = known[...] }

    /// A segment named `first` is next.
    mutating func begin(_ first: UInt64) -> Bool {
        if hasBegun, first != tree.size {
            report.finding =
                first > tree.size
                ? LedgerFinding(.missing, tree.size...first - 1) : LedgerFinding(.misplacedSegment, first)
        }
        return report.finding == nil
    }

    /// The first line of a segment is a header that continues the tree.
    mutating func takeHeader(_ line: Span<UInt8>, _ first: UInt64, _ origin: String) -> Bool {
        guard let header = SegmentHeader(line: line, first: first) else {
            let sequence = RecordLine.parse(line)?.sequence
            report.finding = LedgerFinding(sequence == first || sequence == nil ? .altered : .misplacedSegment, first)
            return false
        }
        guard header.origin == origin else {
            report.finding = LedgerFinding(.misplacedSegment, first)
            return false
        }
        if hasBegun, header.tree != tree {
            report.finding = LedgerFinding(.forked, first)
            return false
        }
        if !hasBegun {
            // Not believed for nothing: the next checkpoint's root is made of these peaks.
            tree = header.tree
            report.first = first
            signedSize = first
            let comparable = known.drop { $0.size < first }
            report.uncomparedCount = known.count - comparable.count
            known = comparable
            if let checkpoint = known.first, checkpoint.size == first, first > 0, checkpoint.root != tree.root(&hasher)
            {
                report.finding = LedgerFinding(.forked, 0...first - 1)
                return false
            }
        }
        hasBegun = true
        return true
    }

    /// A record of the ledger itself.
    mutating func hear(_ object: Span<UInt8>, _ sequence: UInt64) {
        let json = object.withUnsafeBufferPointer { Array($0) }
        if case .removal(_, let first) = LedgerEvent(parsing: json, sequence: sequence) {
            removedBefore = max(removedBefore, first)
        }
    }

    /// Compares the tree with every checkpoint of its size.
    mutating func compare(with due: inout ArraySlice<Checkpoint>) -> Bool {
        while let checkpoint = due.first, checkpoint.size <= tree.size {
            guard checkpoint.size == tree.size, checkpoint.size > signedSize else {
                report.finding = LedgerFinding(.badCheckpoint, checkpoint.size)
                return false
            }
            guard checkpoint.root == tree.root(&hasher) else { return fork() }
            signedSize = tree.size
            report.checkpointCount += 1
            report.lastCheckpoint = checkpoint
            due = due.dropFirst()
        }
        while let checkpoint = known.first, checkpoint.size <= tree.size {
            if checkpoint.size == tree.size, checkpoint.root != tree.root(&hasher) { return fork() }
            known = known.dropFirst()
        }
        return true
    }

    private mutating func fork() -> Bool {
        let first = signedSize < tree.size ? signedSize : report.first
        report.finding = LedgerFinding(.forked, first...tree.size - 1)
        return false
    }

    /// A segment has ended.
    mutating func end(incomplete: Int, next: UInt64?, due: ArraySlice<Checkpoint>, stored: StoredLeaves) {
        report.incompleteByteCount = incomplete
        if let next {
            if next > tree.size || incomplete > 0 {
                report.finding = LedgerFinding(.missing, tree.size...max(tree.size, next - 1))
            } else if next == tree.size, signedSize != next {
                report.finding = LedgerFinding(.badCheckpoint, next)
            }
        } else if let checkpoint = due.last {
            report.finding = LedgerFinding(.truncated, tree.size...max(tree.size, checkpoint.size - 1))
        } else if stored.end > tree.size {
            report.finding = LedgerFinding(.truncated, tree.size...stored.end - 1)
        }
    }

    /// All segments have ended.
    mutating func finish() {
        report.size = tree.size
        report.unsignedCount = tree.size - signedSize
        if let ahead = known.last, ahead.size > tree.size {
            report.finding = LedgerFinding(.rolledBack, tree.size...ahead.size - 1)
        } else if report.first > removedBefore {
            report.finding = LedgerFinding(.missing, 0...report.first - 1)
        }
    }
}
