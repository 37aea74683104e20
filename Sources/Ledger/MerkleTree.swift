public import Cryptography

/// The two hashes of RFC 6962 §2.1: the prefix tells a record from a node, so that neither can stand for the other.
public struct MerkleHasher: ~Copyable, Sendable {
    private var hasher = SHA256Hasher()

    /// Sets the hash function up.
    public init() {}

    /// The hash of a record's bytes: SHA-256(0x00 || record).
    public mutating func leaf(_ record: Span<UInt8>) -> Digest256 { hasher.hash(prefix: 0, record) }

    /// The hash of an inner node: SHA-256(0x01 || left || right).
    public mutating func node(_ left: Digest256, _ right: Digest256) -> Digest256 {
        hasher.hash(prefix: 1, left, right)
    }
}

/// A Merkle tree (RFC 6962 §2.1) that only grows, as its peaks: the roots of its complete subtrees, largest first.
///
/// That is all it takes to append and to know the root; there is one peak for every one bit of the size.
public struct MerkleTree: Sendable, Equatable {
    /// The number of records.
    public private(set) var size: UInt64
    /// The roots of the complete subtrees, from the first record on; one for every one bit of the size.
    public private(set) var peaks: [Digest256]

    /// The empty tree.
    public init() {
        size = 0
        peaks = []
    }

    /// A tree taken up again; `nil` if the number of peaks does not go with the size.
    public init?(size: UInt64, peaks: [Digest256]) {
        guard peaks.count == size.nonzeroBitCount else { return nil }
        self.size = size
        self.peaks = peaks
    }

    /// Appends the hash of a record.
    public mutating func append(_ leaf: Digest256, _ hasher: inout MerkleHasher) {
        append(leaf, &hasher) { _, _, _ in }
    }

    /// Appends the hash of a record and tells each node that it completes: its level (records have 0), its position
    /// among the nodes of that level, and its hash.
    @inline(__always)
    mutating func append(
        _ leaf: Digest256, _ hasher: inout MerkleHasher, completed: (Int, UInt64, Digest256) -> Void
    ) {
        var node = leaf
        var index = size
        var level = 0
        while index & 1 == 1 {
            node = hasher.node(peaks.removeLast(), node)
            index >>= 1
            level += 1
            completed(level, index, node)
        }
        peaks.append(node)
        size += 1
    }

    /// The root hash; of the empty tree, the hash of nothing.
    public func root(_ hasher: inout MerkleHasher) -> Digest256 {
        guard var root = peaks.last else { return Self.emptyRoot }
        for peak in peaks.dropLast().reversed() { root = hasher.node(peak, root) }
        return root
    }

    /// The root hash of a tree without records: SHA-256 of nothing.
    public static let emptyRoot = SHA256.hash("")
}

/// A complete subtree: 2^level records from `index` · 2^level on.
struct MerkleNode: Hashable, Sendable {
    let level: Int
    let index: UInt64

    /// The first record under it.
    var first: UInt64 { index << UInt64(level) }
    /// The first record after it.
    var end: UInt64 { (index + 1) << UInt64(level) }

    /// The complete subtrees that `first..<end` consists of in a tree, from left to right, `first` being where one of
    /// at least that size may begin.
    static func covering(_ range: Range<UInt64>) -> [MerkleNode] {
        var nodes: [MerkleNode] = []
        var first = range.lowerBound
        while first < range.upperBound {
            var level = (range.upperBound - first).bitWidth - 1 - (range.upperBound - first).leadingZeroBitCount
            if first > 0 { level = min(level, first.trailingZeroBitCount) }
            nodes.append(MerkleNode(level: level, index: first >> UInt64(level)))
            first += 1 << UInt64(level)
        }
        return nodes
    }
}
