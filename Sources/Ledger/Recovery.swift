internal import Cryptography
internal import Glibc

/// What a writer finds when it opens a ledger: the tree, made again from the last segment.
struct Recovery {
    private(set) var tree = MerkleTree()
    private(set) var segmentFirst: UInt64
    private(set) var segmentTime: UInt64 = 0
    /// The bytes of the segment's complete lines.
    private(set) var recordBytes = 0
    /// The bytes behind them.
    private(set) var cutBytes = 0
    private(set) var checkpointSize: UInt64 = 0
    private(set) var checkpointBytes = 0
    /// How many hashes of records are stored and right.
    private(set) var storedHashes = 0
    /// The hashes of the records behind those, and of all nodes.
    private(set) var hashes = PendingHashes()

    /// Reads the last segment; `nil` if there is no ledger yet.
    init?(_ directory: LedgerDirectory, origin: String, verifiers: [NoteVerifier]) throws(LedgerError) {
        var firsts = try directory.segments()
        guard var last = firsts.popLast() else { return nil }
        // A writer that dies while it begins a segment leaves it without a complete first line.
        if try Self.hasNoLine(last, directory) {
            guard try NoteFile.notes(in: SmallFile.read(directory.path(last, .checkpoints))).notes.isEmpty else {
                throw Self.damaged(last, "is signed for and missing")
            }
            cutBytes = try SmallFile.read(directory.path(last, .records)).count
            unlink(directory.path(last, .records))
            guard let previous = firsts.popLast() else {
                if last > 0 { throw Self.damaged(0, "and all others are missing") }
                return nil
            }
            last = previous
        }
        segmentFirst = last
        let checkpoints = try readCheckpoints(last, directory, origin, verifiers)
        checkpointSize = checkpoints.last?.size ?? last
        let before = try firsts.last.map { first throws(LedgerError) in
            try Self.checkpoints(first, directory, origin, verifiers).checkpoints.last
        }
        try replay(directory, origin, checkpoints, before: before ?? nil)
    }

    private mutating func readCheckpoints(
        _ first: UInt64, _ directory: LedgerDirectory, _ origin: String, _ verifiers: [NoteVerifier]
    ) throws(LedgerError) -> [Checkpoint] {
        let (checkpoints, byteCount) = try Self.checkpoints(first, directory, origin, verifiers)
        checkpointBytes = byteCount
        return checkpoints
    }

    static func checkpoints(
        _ first: UInt64, _ directory: LedgerDirectory, _ origin: String, _ verifiers: [NoteVerifier]
    ) throws(LedgerError) -> (checkpoints: [Checkpoint], byteCount: Int) {
        let (notes, byteCount) = try NoteFile.notes(in: SmallFile.read(directory.path(first, .checkpoints)))
        var checkpoints: [Checkpoint] = []
        for note in notes {
            try checkpoints.append(
                Checkpoint(verifying: SignedNote(parsing: note), origin: origin, by: verifiers))
        }
        return (checkpoints, byteCount)
    }

    private mutating func replay(
        _ directory: LedgerDirectory, _ origin: String, _ checkpoints: [Checkpoint], before: Checkpoint?
    ) throws(LedgerError) {
        var reader = try LineReader(path: directory.path(segmentFirst, .records))
        var hasher = MerkleHasher()
        let stored = try SmallFile.read(directory.path(segmentFirst, .hashes))
        var due = checkpoints[...]
        while let range = try reader.next() {
            let line = reader.buffer.span.extracting(range)
            if recordBytes == 0 {
                guard let header = SegmentHeader(line: line, first: segmentFirst), header.origin == origin else {
                    throw Self.damaged(segmentFirst, "is not the header of a segment of \(origin)")
                }
                tree = header.tree
                segmentTime = header.time
                if let before, before.size != tree.size || before.root != tree.root(&hasher) {
                    throw Self.damaged(segmentFirst, "does not continue the segment before it")
                }
            }
            guard let parsed = RecordLine.parse(line), parsed.sequence == tree.size else {
                throw Self.damaged(tree.size, "is not in its place")
            }
            try take(hasher.leaf(line), stored, &hasher)
            recordBytes = reader.offset
            while let checkpoint = due.first, checkpoint.size <= tree.size {
                guard checkpoint.size == tree.size, checkpoint.root == tree.root(&hasher) else {
                    throw Self.damaged(tree.size - 1, "or one before it is not what a checkpoint was signed for")
                }
                due = due.dropFirst()
            }
        }
        cutBytes += reader.remainder
        if let missing = due.first {
            throw Self.damaged(tree.size, "is missing: a checkpoint was signed for \(missing.size) records")
        }
    }

    private mutating func take(
        _ leaf: Digest256, _ stored: [UInt8], _ hasher: inout MerkleHasher
    ) throws(LedgerError) {
        let offset = Int(tree.size - segmentFirst) * Digest256.byteCount
        let end = offset + Digest256.byteCount
        // Where a power failure took the hashes' pages and left the file's length, there are zeros.
        if hashes.leaves.isEmpty, end <= stored.count, stored[offset..<end].contains(where: { $0 != 0 }) {
            guard leaf == Digest256(stored.span.extracting(offset..<end)) else {
                throw Self.damaged(tree.size, "is not the one whose hash was stored")
            }
            storedHashes += 1
            hashes.complete(&tree, with: leaf, &hasher)
        } else {
            hashes.grow(&tree, by: leaf, &hasher)
        }
    }

    private static func hasNoLine(_ first: UInt64, _ directory: LedgerDirectory) throws(LedgerError) -> Bool {
        var reader = try LineReader(path: directory.path(first, .records))
        return try reader.next() == nil
    }

    private static func damaged(_ sequence: UInt64, _ what: String) -> LedgerError {
        LedgerError(.damaged, "record \(sequence) \(what)")
    }
}
