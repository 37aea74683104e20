public import Cryptography
internal import Glibc

/// Makes proofs from the stored hashes, without reading records. Whoever gets one checks it with `MerkleProof`, so
/// nothing here needs to be believed.
///
/// Hashes reach the disk with the checkpoint over them: prove towards the size of a checkpoint.
public struct LedgerProofs: ~Copyable {
    private var source: StoredHashes

    /// Opens the ledger in a directory, while it is written or not.
    public static func open(directory path: String) throws(LedgerError) -> LedgerProofs {
        LedgerProofs(source: try StoredHashes(LedgerDirectory(path: path)))
    }

    private init(source: consuming StoredHashes) { self.source = source }

    /// The stored hash of a record and its path to the root of the tree of `size` records.
    public mutating func inclusion(
        of sequence: UInt64, size: UInt64
    ) throws(LedgerError) -> (leaf: Digest256, path: [Digest256]) {
        var hasher = MerkleHasher()
        let path = try MerkleProof.inclusion(of: sequence, size: size, from: &source)
        return (try source.hash(MerkleNode(level: 0, index: sequence), &hasher), path)
    }

    /// What shows that the tree of `newSize` records continues the one of `oldSize`.
    public mutating func consistency(from oldSize: UInt64, to newSize: UInt64) throws(LedgerError) -> [Digest256] {
        try MerkleProof.consistency(from: oldSize, to: newSize, from: &source)
    }

    /// The root of the tree of `size` records.
    public mutating func root(size: UInt64) throws(LedgerError) -> Digest256 {
        var hasher = MerkleHasher()
        return try MerkleProof.root(of: 0..<size, from: &source, &hasher)
    }
}

/// The hashes in a ledger's files; what lies before the first segment left, as far as its header has it.
struct StoredHashes: MerkleNodeSource, ~Copyable {
    private let directory: LedgerDirectory
    private let firsts: [UInt64]
    /// The peaks of the tree before the first segment.
    private let peaks: [MerkleNode: Digest256]
    private var cached: (path: String, file: ReadableFile)?

    init(_ directory: LedgerDirectory) throws(LedgerError) {
        let firsts = try directory.segments()
        guard let first = firsts.first, let header = try SegmentHeader(reading: first, in: directory) else {
            throw LedgerError(.damaged, "there is no segment with a header")
        }
        self.directory = directory
        self.firsts = firsts
        peaks = Dictionary(
            uniqueKeysWithValues: zip(MerkleNode.covering(0..<first), header.tree.peaks).map { ($0, $1) })
    }

    mutating func hash(_ node: MerkleNode, _ hasher: inout MerkleHasher) throws(LedgerError) -> Digest256 {
        if let peak = peaks[node] { return peak }
        if node.level > 0, node.level % HashFiles.levelStep == 0,
            let stored = try read(directory.path(level: node.level), at: Int(node.index))
        {
            return stored
        }
        if node.level == 0 {
            guard let segment = firsts.last(where: { $0 <= node.index }) else {
                throw LedgerError(.outOfRange, "record \(node.index) was removed, and its hash")
            }
            guard let stored = try read(directory.path(segment, .hashes), at: Int(node.index - segment)) else {
                throw LedgerError(.outOfRange, "the hash of record \(node.index) is not stored")
            }
            return stored
        }
        // Not stored: made of those below it.
        let left = try hash(MerkleNode(level: node.level - 1, index: node.index * 2), &hasher)
        let right = try hash(MerkleNode(level: node.level - 1, index: node.index * 2 + 1), &hasher)
        return hasher.node(left, right)
    }

    private mutating func read(_ path: String, at index: Int) throws(LedgerError) -> Digest256? {
        if cached?.path != path { cached = (path, ReadableFile(path)) }
        return try cached?.file.digest(at: index)
    }
}

/// A file that 32-byte hashes are read from.
private final class ReadableFile {
    private let path: String
    private let descriptor: Int32

    init(_ path: String) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
    }

    deinit { close(descriptor) }

    /// The hash in that place; `nil` if the file ends before it or has a hole there.
    func digest(at index: Int) throws(LedgerError) -> Digest256? {
        guard descriptor >= 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: Digest256.byteCount)
        let count = pread(descriptor, &bytes, bytes.count, index * Digest256.byteCount)
        guard count >= 0 else { throw .system("read", path) }
        guard count == bytes.count, bytes.contains(where: { $0 != 0 }) else { return nil }
        return Digest256(bytes.span)
    }
}
