public import Cryptography

/// Where the nodes of a tree come from when a proof is made.
protocol MerkleNodeSource: ~Copyable {
    /// The hash of a complete subtree.
    mutating func hash(_ node: MerkleNode, _ hasher: inout MerkleHasher) throws(LedgerError) -> Digest256
}

/// Proofs of RFC 6962 §2.1.1 and §2.1.2, and what they prove.
public enum MerkleProof {
    /// Whether `proof` shows that the record with hash `leaf` stands at `index` in the tree of `size` records with that
    /// root (RFC 9162 §2.1.3.2).
    public static func isInclusion(
        _ proof: [Digest256], of leaf: Digest256, at index: UInt64, size: UInt64, root: Digest256
    ) -> Bool {
        guard index < size else { return false }
        var hasher = MerkleHasher()
        var node = index
        var last = size - 1
        var hash = leaf
        for sibling in proof {
            guard last > 0 else { return false }
            if node & 1 == 1 || node == last {
                hash = hasher.node(sibling, hash)
                while node & 1 == 0, node != 0 {
                    node >>= 1
                    last >>= 1
                }
            } else {
                hash = hasher.node(hash, sibling)
            }
            node >>= 1
            last >>= 1
        }
        return last == 0 && hash == root
    }

    /// Whether `proof` shows that the tree of `newSize` records begins with all the records of the tree of `oldSize`,
    /// in their places (RFC 9162 §2.1.4.2).
    ///
    /// Every tree continues the empty one; its root is checked all the same.
    public static func isConsistency(
        _ proof: [Digest256], oldSize: UInt64, oldRoot: Digest256, newSize: UInt64, newRoot: Digest256
    ) -> Bool {
        guard oldSize <= newSize else { return false }
        if oldSize == newSize { return proof.isEmpty && oldRoot == newRoot }
        if oldSize == 0 { return proof.isEmpty && oldRoot == MerkleTree.emptyRoot }
        // The old tree's own root is left out of the proof where it is a node of the new tree.
        var path = (oldSize & (oldSize - 1) == 0 ? [oldRoot] : []) + proof
        guard !path.isEmpty else { return false }
        var hasher = MerkleHasher()
        var node = oldSize - 1
        var last = newSize - 1
        while node & 1 == 1 {
            node >>= 1
            last >>= 1
        }
        var old = path.removeFirst()
        var new = old
        for sibling in path {
            guard last > 0 else { return false }
            if node & 1 == 1 || node == last {
                old = hasher.node(sibling, old)
                new = hasher.node(sibling, new)
                while node & 1 == 0, node != 0 {
                    node >>= 1
                    last >>= 1
                }
            } else {
                new = hasher.node(new, sibling)
            }
            node >>= 1
            last >>= 1
        }
        return last == 0 && old == oldRoot && new == newRoot
    }

    /// The path from a record to the root of the tree of `size` records (RFC 6962 §2.1.1).
    static func inclusion<Source: MerkleNodeSource & ~Copyable>(
        of index: UInt64, size: UInt64, from source: inout Source
    ) throws(LedgerError) -> [Digest256] {
        guard index < size else { throw LedgerError(.outOfRange, "there is no record \(index) in a tree of \(size)") }
        var hasher = MerkleHasher()
        var path: [Digest256] = []
        var range = 0..<size
        while range.count > 1 {
            let middle = range.lowerBound + split(range.upperBound - range.lowerBound)
            let (inside, beside) =
                index < middle
                ? (range.lowerBound..<middle, middle..<range.upperBound)
                : (middle..<range.upperBound, range.lowerBound..<middle)
            path.append(try root(of: beside, from: &source, &hasher))
            range = inside
        }
        return path.reversed()
    }

    /// What shows that the tree of `newSize` records continues the one of `oldSize` (RFC 6962 §2.1.2).
    static func consistency<Source: MerkleNodeSource & ~Copyable>(
        from oldSize: UInt64, to newSize: UInt64, from source: inout Source
    ) throws(LedgerError) -> [Digest256] {
        guard oldSize <= newSize else {
            throw LedgerError(.outOfRange, "a tree of \(newSize) does not hold \(oldSize)")
        }
        guard oldSize > 0, oldSize < newSize else { return [] }
        var hasher = MerkleHasher()
        var path: [Digest256] = []
        var range = 0..<newSize
        while range.upperBound != oldSize {
            let middle = range.lowerBound + split(range.upperBound - range.lowerBound)
            if oldSize <= middle {
                path.append(try root(of: middle..<range.upperBound, from: &source, &hasher))
                range = range.lowerBound..<middle
            } else {
                path.append(try root(of: range.lowerBound..<middle, from: &source, &hasher))
                range = middle..<range.upperBound
            }
        }
        if range.lowerBound > 0 { path.append(try root(of: range, from: &source, &hasher)) }
        return path.reversed()
    }

    /// The root of the tree over a range that a proof's recursion arrives at.
    static func root<Source: MerkleNodeSource & ~Copyable>(
        of range: Range<UInt64>, from source: inout Source, _ hasher: inout MerkleHasher
    ) throws(LedgerError) -> Digest256 {
        var root: Digest256?
        for node in MerkleNode.covering(range).reversed() {
            let hash = try source.hash(node, &hasher)
            root = root.map { hasher.node(hash, $0) } ?? hash
        }
        return root ?? MerkleTree.emptyRoot
    }

    /// The largest power of two smaller than `count`, which is at least 2.
    private static func split(_ count: UInt64) -> UInt64 { 1 << UInt64(63 - (count - 1).leadingZeroBitCount) }
}
