internal import Cryptography
internal import Glibc

/// Hashes of the tree that are to be stored.
struct PendingHashes: Sendable {
    /// Of records that follow each other, 32 bytes each.
    private(set) var leaves: [UInt8] = []
    /// Of the nodes that they completed, as far as their level is kept.
    private(set) var nodes: [(node: MerkleNode, hash: Digest256)] = []

    /// Takes the hash of the next record, which a tree of this size grows by.
    @inline(__always)
    mutating func grow(_ tree: inout MerkleTree, by leaf: Digest256, _ hasher: inout MerkleHasher) {
        leaf.withBytes { $0.withUnsafeBufferPointer { leaves.append(contentsOf: $0) } }
        complete(&tree, with: leaf, &hasher)
    }

    /// The same for a record whose own hash is stored already.
    @inline(__always)
    mutating func complete(_ tree: inout MerkleTree, with leaf: Digest256, _ hasher: inout MerkleHasher) {
        tree.append(leaf, &hasher) { level, index, hash in
            if level % HashFiles.levelStep == 0 { nodes.append((MerkleNode(level: level, index: index), hash)) }
        }
    }

    /// Adds those that follow.
    mutating func append(_ next: PendingHashes) {
        leaves += next.leaves
        nodes += next.nodes
    }

    mutating func removeAll() {
        leaves.removeAll(keepingCapacity: true)
        nodes.removeAll(keepingCapacity: true)
    }
}

/// The stored hashes on their way to the disk. They are an index: lost ones are made again from the records.
struct HashFiles: ~Copyable {
    /// Roots are kept for every eighth level, so that one is made of 256 below it.
    static let levelStep = 8

    private let directory: LedgerDirectory
    private let segmentFirst: UInt64
    private let leafDescriptor: Int32
    /// The record that `pending` begins with.
    private var pendingFirst: UInt64
    private var pending = PendingHashes()

    /// The files for a segment of which `stored` hashes are there already.
    init(directory: LedgerDirectory, segmentFirst: UInt64, stored: Int) throws(LedgerError) {
        self.directory = directory
        self.segmentFirst = segmentFirst
        pendingFirst = segmentFirst + UInt64(stored)
        let path = directory.path(segmentFirst, .hashes)
        leafDescriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o640)
        guard leafDescriptor >= 0 else { throw .system("open", path) }
        guard ftruncate(leafDescriptor, stored * Digest256.byteCount) == 0 else { throw .system("truncate", path) }
    }

    deinit { close(leafDescriptor) }

    /// Takes the next records' hashes.
    mutating func append(_ next: PendingHashes) { pending.append(next) }

    /// Writes what waits; what fails stays and is written next time.
    mutating func flush() throws(LedgerError) {
        let offset = Int(pendingFirst - segmentFirst) * Digest256.byteCount
        try Self.write(pending.leaves.span, at: offset, to: leafDescriptor, directory.path(segmentFirst, .hashes))
        for level in Set(pending.nodes.map(\.node.level)) {
            let path = directory.path(level: level)
            let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o640)
            guard descriptor >= 0 else { throw .system("open", path) }
            defer { close(descriptor) }
            // Consecutive nodes in one write: there are many only after a replay.
            for (node, hash) in pending.nodes where node.level == level {
                try Self.write(hash.bytes.span, at: Int(node.index) * Digest256.byteCount, to: descriptor, path)
            }
        }
        pendingFirst += UInt64(pending.leaves.count / Digest256.byteCount)
        pending.removeAll()
    }

    /// Makes what was written durable.
    func sync() throws(LedgerError) {
        guard fdatasync(leafDescriptor) == 0 else { throw .system("sync", directory.path(segmentFirst, .hashes)) }
        for level in stride(from: Self.levelStep, to: UInt64.bitWidth, by: Self.levelStep) {
            let descriptor = open(directory.path(level: level), O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return }
            defer { close(descriptor) }
            guard fdatasync(descriptor) == 0 else { throw .system("sync", directory.path(level: level)) }
        }
    }

    private static func write(
        _ bytes: Span<UInt8>, at offset: Int, to descriptor: Int32, _ path: String
    ) throws(LedgerError) {
        var written = 0
        var number: Int32 = 0
        bytes.withUnsafeBytes { buffer in
            while written < buffer.count {
                let count = pwrite(
                    descriptor, buffer.baseAddress! + written, buffer.count - written, offset + written)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else {
                    number = count < 0 ? errno : ENOSPC
                    return
                }
                written += count
            }
        }
        guard number == 0 else { throw .system("write", path, number) }
    }
}
