internal import Cryptography
internal import Glibc

/// The one writer of a ledger: appends batches, syncs, signs checkpoints, begins and removes segments.
///
/// Every call blocks for as long as the disk does. The ledger process therefore makes them on libuv's thread pool
/// (`Loop.offload`), one at a time, so that its own loop goes on answering, and noticing, when a disk hangs; but for an
/// `append` that only gives its batch to the kernel (`isMaintenanceDue`), which takes less than the way there and back
/// unless the kernel has too much to write already.
///
/// After an error of `append` nothing of that batch was acknowledged and nothing of it is in the ledger; the call may
/// be repeated once there is space again. After a failed sync only opening again shows what the disk holds (the kernel
/// forgets which pages it could not write), so every later call throws `failed`.
public struct LedgerWriter: ~Copyable {
    /// The records in the ledger, counted from its very beginning; the next record's sequence number.
    public var size: UInt64 { tree.size }
    /// The records that are known to be on the disk.
    public private(set) var syncedSize: UInt64
    /// The records that the last signed checkpoint covers.
    public private(set) var checkpointSize: UInt64
    /// The last checkpoint signed since the ledger was opened, as a signed note; for witnesses.
    public private(set) var lastNote: String?
    /// The bytes of a torn line that opening has cut off.
    public let cutByteCount: Int

    let directory: LedgerDirectory
    let configuration: LedgerConfiguration
    private let signer: NoteSigner
    private let lock: FileLock
    private var tree: MerkleTree
    private var hasher: MerkleHasher
    private var segmentFirst: UInt64
    private var segmentTime: UInt64
    private var segment: AppendFile
    private var checkpoints: AppendFile
    private var hashes: HashFiles
    private var checkpointTime: UInt64
    private var failure: LedgerError?

    // Kept between batches for their memory.
    private var lines: [UInt8] = []
    private var leaves: [UInt8] = []
    private var nodes: [(node: MerkleNode, hash: Digest256)] = []

    /// Opens the ledger in a directory, or begins one there; the signer's name is the ledger's origin.
    ///
    /// A line that a dying writer left incomplete is cut off, and a record says so. Throws `damaged` when what is there
    /// cannot be continued without contradicting a signed checkpoint or a stored hash.
    ///
    /// - Parameter minimumSize: the records that must be there, as somebody knows who had it open before; with fewer
    ///   nothing is touched and `damaged` thrown, for a ledger that is begun anew would be another.
    ///
    /// Not an initialiser, because one that throws half way is not supported for a type that cannot be copied
    /// (Swift 6.3).
    public static func open(
        directory path: String, configuration: LedgerConfiguration = LedgerConfiguration(), signer: NoteSigner,
        minimumSize: UInt64 = 0
    ) throws(LedgerError) -> LedgerWriter {
        let directory = LedgerDirectory(path: path)
        let lock = try FileLock(path: directory.lockPath)
        let verifiers = [signer.verifier] + configuration.formerKeys
        let found = try Recovery(directory, origin: signer.verifier.name, verifiers: verifiers)
        guard found?.tree.size ?? 0 >= minimumSize else {
            throw LedgerError(
                .damaged, "there are \(found?.tree.size ?? 0) records where \(minimumSize) were known to be")
        }
        let first = found?.segmentFirst ?? 0
        let calls = configuration.calls
        let segment = try AppendFile(
            path: directory.path(first, .records), length: found?.recordBytes ?? 0, calls: calls)
        let checkpoints = try AppendFile(
            path: directory.path(first, .checkpoints), length: found?.checkpointBytes ?? 0, calls: calls)
        let hashes = try HashFiles(directory: directory, segmentFirst: first, stored: found?.storedHashes ?? 0)
        let now = configuration.clock()
        var writer = LedgerWriter(
            directory: directory, configuration: configuration, signer: signer, lock: lock, segment: segment,
            checkpoints: checkpoints, hashes: hashes, found: found, now: now)
        try writer.begin(found, now)
        return writer
    }

    private init(
        directory: LedgerDirectory, configuration: LedgerConfiguration, signer: NoteSigner, lock: consuming FileLock,
        segment: consuming AppendFile, checkpoints: consuming AppendFile, hashes: consuming HashFiles,
        found: Recovery?, now: UInt64
    ) {
        self.directory = directory
        self.configuration = configuration
        self.signer = signer
        self.lock = lock
        self.segment = segment
        self.checkpoints = checkpoints
        self.hashes = hashes
        hasher = MerkleHasher()
        tree = found?.tree ?? MerkleTree()
        segmentFirst = found?.segmentFirst ?? 0
        segmentTime = found?.segmentTime ?? now
        checkpointSize = found?.checkpointSize ?? 0
        checkpointTime = now
        syncedSize = 0
        cutByteCount = found?.cutBytes ?? 0
    }

    private mutating func begin(_ found: Recovery?, _ now: UInt64) throws(LedgerError) {
        if let found {
            hashes.append(found.leaves, found.nodes)
            try hashes.flush()
            if found.cutBytes > 0 { try append(.recovered(time: now, cutBytes: found.cutBytes)) }
        } else {
            try append(.segment(origin: signer.verifier.name, time: now, tree: tree))
        }
        // What was read here may have been nowhere but in the kernel's memory.
        try sync()
        try directory.sync()
    }

    /// Appends a batch by one write and returns the sequence numbers: the level "written", which survives this process
    /// but not the machine. For "synced" call `sync` as well, after as many batches as are to share it.
    ///
    /// Does what has come due first (`tick`), and appends nothing if that fails.
    public mutating func append(_ batch: borrowing RecordBatch) throws(LedgerError) -> Range<UInt64> {
        try maintain()
        let first = tree.size
        try append(batch.bytes.span, ends: batch.ends, speaker: .worker)
        try requireInPlace()
        return first..<tree.size
    }

    /// Waits until everything appended is on the disk: one `fdatasync`, none if nothing was appended since.
    public mutating func sync() throws(LedgerError) {
        try requireIntact()
        guard syncedSize < tree.size else { return }
        try Self.sync(segment, &failure)
        syncedSize = tree.size
    }

    /// Signs a checkpoint over everything appended, after having synced it. Does nothing when there is nothing new.
    public mutating func checkpoint() throws(LedgerError) {
        try requireIntact()
        guard checkpointSize < tree.size else { return }
        // A log must never sign what it may lose.
        try sync()
        try hashes.flush()
        let checkpoint = Checkpoint(origin: signer.verifier.name, size: tree.size, root: tree.root(&hasher))
        let note = signer.note(checkpoint.text)
        try Self.append(NoteFile.entry(note), to: &checkpoints, &failure)
        try Self.sync(checkpoints, &failure)
        checkpointSize = tree.size
        lastNote = note
        checkpointTime = configuration.clock()
    }

    /// Does what has come due: a checkpoint, the next segment, removing old ones. To be called about once a second.
    public mutating func tick() throws(LedgerError) {
        try maintain()
        try removeOldSegments()
    }

    /// Signs the last checkpoint and closes the ledger.
    public consuming func close() throws(LedgerError) { try checkpoint() }

    // MARK: What comes due

    private enum Maintenance {
        case segment
        case checkpoint
    }

    /// Whether `append` will sign a checkpoint or begin a segment first, for which it waits for the disk.
    public var isMaintenanceDue: Bool { maintenanceDue(configuration.clock()) != nil }

    private func maintenanceDue(_ now: UInt64) -> Maintenance? {
        let isOld = now >= segmentTime &+ configuration.segmentSecondsBound.multipliedSaturated(by: 1000)
        if segment.length >= configuration.segmentByteBound || isOld && tree.size > segmentFirst + 1 { return .segment }
        let news = tree.size - checkpointSize
        let isStale = now >= checkpointTime &+ configuration.checkpointSeconds.multipliedSaturated(by: 1000)
        return news >= configuration.checkpointRecords || news > 0 && isStale ? .checkpoint : nil
    }

    private mutating func maintain() throws(LedgerError) {
        try requireIntact()
        let now = configuration.clock()
        switch maintenanceDue(now) {
        case .segment: try beginSegment(now)
        case .checkpoint: try checkpoint()
        case nil: break
        }
    }

    /// Closes the segment with a checkpoint and begins the next with its header record.
    private mutating func beginSegment(_ now: UInt64) throws(LedgerError) {
        try checkpoint()
        try hashes.sync()
        let first = tree.size
        let path = directory.path(first, .records)
        do {
            var hashes = try HashFiles(directory: directory, segmentFirst: first, stored: 0)
            let checkpoints = try AppendFile(
                path: directory.path(first, .checkpoints), length: 0, calls: configuration.calls)
            var segment = try AppendFile(path: path, length: 0, calls: configuration.calls)
            let event = LedgerEvent.segment(origin: signer.verifier.name, time: now, tree: tree)
            let grown = try Self.append(event, to: &segment, tree, &hasher, &hashes)
            try segment.sync()
            try directory.sync()
            self.hashes = hashes
            self.checkpoints = checkpoints
            self.segment = segment
            tree = grown
        } catch {
            // Nothing of the new segment was acknowledged; the old one goes on until this succeeds.
            unlink(path)
            throw error
        }
        segmentFirst = first
        segmentTime = now
        syncedSize = tree.size
    }

    private mutating func removeOldSegments() throws(LedgerError) {
        let now = configuration.clock()
        let firsts = try directory.segments()
        guard let kept = try Retention(configuration).firstKept(of: firsts, in: directory, now: now) else { return }
        // The record is durable before the first file goes, so that a verifier never sees a gap without its reason.
        try append(.removal(time: now, first: kept))
        try checkpoint()
        try Retention.remove(before: kept, in: directory)
    }

    // MARK: Appending

    private mutating func append(_ event: LedgerEvent) throws(LedgerError) {
        let json = event.json
        try append(json.span, ends: [json.count], speaker: .ledger)
    }

    /// Changes the tree only when the lines are in the file.
    private mutating func append(
        _ objects: Span<UInt8>, ends: [Int], speaker: RecordLine.Speaker
    ) throws(LedgerError) {
        try requireIntact()
        guard !ends.isEmpty else { return }
        lines.removeAll(keepingCapacity: true)
        leaves.removeAll(keepingCapacity: true)
        nodes.removeAll(keepingCapacity: true)
        var grown = tree
        var start = 0
        for end in ends {
            Self.append(
                objects.extracting(start..<end), speaker, to: &grown, &hasher, &lines, &leaves, &nodes)
            start = end
        }
        try Self.append(lines, to: &segment, &failure)
        tree = grown
        hashes.append(leaves, nodes)
    }

    private static func append(
        _ event: LedgerEvent, to segment: inout AppendFile, _ tree: MerkleTree, _ hasher: inout MerkleHasher,
        _ hashes: inout HashFiles
    ) throws(LedgerError) -> MerkleTree {
        var grown = tree
        var lines: [UInt8] = []
        var leaves: [UInt8] = []
        var nodes: [(node: MerkleNode, hash: Digest256)] = []
        append(event.json.span, .ledger, to: &grown, &hasher, &lines, &leaves, &nodes)
        var ignored: LedgerError?
        try append(lines, to: &segment, &ignored)
        hashes.append(leaves, nodes)
        return grown
    }

    @inline(__always)
    private static func append(
        _ object: Span<UInt8>, _ speaker: RecordLine.Speaker, to tree: inout MerkleTree, _ hasher: inout MerkleHasher,
        _ lines: inout [UInt8], _ leaves: inout [UInt8], _ nodes: inout [(node: MerkleNode, hash: Digest256)]
    ) {
        let lineStart = lines.count
        RecordLine.append(object, sequence: tree.size, speaker: speaker, to: &lines)
        let leaf = hasher.leaf(lines.span.extracting(lineStart..<lines.count - 1))
        leaf.withBytes { $0.withUnsafeBufferPointer { leaves.append(contentsOf: $0) } }
        tree.append(leaf, &hasher) { level, index, hash in
            if level % HashFiles.levelStep == 0 { nodes.append((MerkleNode(level: level, index: index), hash)) }
        }
    }

    private static func append(
        _ bytes: [UInt8], to file: inout AppendFile, _ failure: inout LedgerError?
    ) throws(LedgerError) {
        do {
            try file.append(bytes.span)
        } catch {
            // What is behind the good bytes is a torn tail, which opening again cuts off.
            if !error.isUndone {
                failure = LedgerError(.failed, "\(error.error.message); the ledger must be opened again")
            }
            throw error.error
        }
    }

    private static func sync(_ file: borrowing AppendFile, _ failure: inout LedgerError?) throws(LedgerError) {
        do {
            try file.sync()
        } catch {
            failure = LedgerError(.failed, "\(error.message); the ledger must be opened again")
            throw error
        }
    }

    private func requireIntact() throws(LedgerError) {
        if let failure { throw failure }
    }

    /// What is written to a file that was removed, or replaced by another, is written and gone all the same.
    private mutating func requireInPlace() throws(LedgerError) {
        guard !segment.isInPlace else { return }
        let error = LedgerError(.failed, "\(segment.path) was removed or replaced; the ledger must be opened again")
        failure = error
        throw error
    }
}

extension UInt64 {
    /// The product, or the largest number where it does not fit; a bound of `.max` stays out of reach.
    func multipliedSaturated(by factor: UInt64) -> UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        // Halved, so that a time of day may still be added.
        return overflow ? .max / 2 : Swift.min(product, .max / 2)
    }
}
