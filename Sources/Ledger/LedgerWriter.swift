internal import Cryptography
internal import Glibc

/// The one writer of a ledger: appends batches, syncs, signs checkpoints, begins and removes segments.
///
/// `append` gives its batch to the kernel; every other call blocks for as long as the disk does, and would hold up
/// whoever appends. The ledger's process therefore takes a `Flush` and runs it on libuv's thread pool (`Loop.offload`),
/// while appending goes on; only beginning a segment, which comes once for so many bytes, has to have the writer alone.
///
/// After an error of `append` nothing of that batch was acknowledged and nothing of it is in the ledger; the call may
/// be repeated once there is space again. After a failed sync every later call throws `failed`: the kernel forgets which
/// pages it could not write, so what is there must be written once more, which opening again does (`minimumSize`).
public struct LedgerWriter: ~Copyable {
    /// The records in the ledger, counted from its very beginning; the next record's sequence number.
    public var size: UInt64 { tree.size }
    /// The records that are known to be on the disk.
    public private(set) var syncedSize: UInt64
    /// The records that the last signed checkpoint covers.
    public private(set) var checkpointSize: UInt64
    /// The last checkpoint signed since the ledger was opened, as a signed note; for witnesses.
    public private(set) var lastNote: String?
    /// Whether anything can be appended before it is opened again.
    public var isIntact: Bool { failure == nil }
    /// The bytes of a torn line that opening has cut off.
    public let cutByteCount: Int

    /// Which segments are no longer kept; to be asked, and to remove them, beside what else is done.
    public let retention: Retention

    private let directory: LedgerDirectory
    private let configuration: LedgerConfiguration
    private let signer: NoteSigner
    private let lock: FileLock
    private var tree: MerkleTree
    private var hasher: MerkleHasher
    private var segmentTime: UInt64
    private var segment: Segment
    private var checkpointTime: UInt64
    private var failure: LedgerError?

    // Kept between batches for their memory.
    private var lines: [UInt8] = []
    private var batchHashes = PendingHashes()
    /// The hashes of everything appended since the last checkpoint was begun.
    private var hashes = PendingHashes()

    /// Opens the ledger in a directory, or begins one there; the signer's name is the ledger's origin.
    ///
    /// A line that a dying writer left incomplete is cut off, and a record says so. Throws `damaged` when what is there
    /// cannot be continued without contradicting a signed checkpoint or a stored hash.
    ///
    /// - Parameter minimumSize: the records that must be there, as somebody knows who had it open before, 0 for nobody; with
    ///   fewer nothing is changed and `damaged` thrown, for a ledger that is begun anew would be another. The last segment is
    ///   written once more then, as it is.
    ///
    /// Not an initialiser, because one that throws half way is not supported for a type that cannot be copied
    /// (Swift 6.3).
    public static func open(
        directory path: String, configuration: LedgerConfiguration = LedgerConfiguration(), signer: NoteSigner,
        minimumSize: UInt64 = 0
    ) throws(LedgerError) -> LedgerWriter {
        let directory = LedgerDirectory(path: path)
        let lock = try FileLock(path: directory.lockPath)
        // Somebody who had it open before opens it again because something could not be written.
        if minimumSize > 0, let last = try directory.segments().last {
            for part in [LedgerDirectory.Part.records, .checkpoints] {
                try AppendFile.writeAgain(directory.path(last, part))
            }
        }
        let verifiers = [signer.verifier] + configuration.formerKeys
        let found = try Recovery(directory, origin: signer.verifier.name, verifiers: verifiers)
        guard found?.tree.size ?? 0 >= minimumSize else {
            throw LedgerError(
                .damaged, "there are \(found?.tree.size ?? 0) records where \(minimumSize) were known to be")
        }
        let segment = try Segment(
            directory: directory, first: found?.segmentFirst ?? 0, recordBytes: found?.recordBytes ?? 0,
            checkpointBytes: found?.checkpointBytes ?? 0, storedHashes: found?.storedHashes ?? 0,
            calls: configuration.calls)
        let now = configuration.clock()
        var writer = LedgerWriter(
            directory: directory, configuration: configuration, signer: signer, lock: lock, segment: segment,
            found: found, now: now)
        try writer.begin(found, now)
        return writer
    }

    private init(
        directory: LedgerDirectory, configuration: LedgerConfiguration, signer: NoteSigner, lock: consuming FileLock,
        segment: Segment, found: Recovery?, now: UInt64
    ) {
        self.directory = directory
        self.configuration = configuration
        retention = Retention(configuration, directory)
        self.signer = signer
        self.lock = lock
        self.segment = segment
        hasher = MerkleHasher()
        tree = found?.tree ?? MerkleTree()
        segmentTime = found?.segmentTime ?? now
        checkpointSize = found?.checkpointSize ?? 0
        checkpointTime = now
        syncedSize = 0
        cutByteCount = found?.cutBytes ?? 0
    }

    private mutating func begin(_ found: Recovery?, _ now: UInt64) throws(LedgerError) {
        if let found {
            try segment.store(found.hashes)
            if found.cutBytes > 0 { try append(.recovered(time: now, cutBytes: found.cutBytes)) }
        } else {
            try append(.segment(origin: signer.verifier.name, time: now, tree: tree))
        }
        // What was read here may have been nowhere but in the kernel's memory.
        try sync()
        try directory.sync()
    }

    /// Appends a batch by one write and returns the sequence numbers: the level "written", which survives this process
    /// but not the machine. For "synced" a flush has to follow, after as many batches as are to share it.
    public mutating func append(_ batch: borrowing RecordBatch) throws(LedgerError) -> Range<UInt64> {
        let first = tree.size
        try append(batch.bytes.span, ends: batch.ends, speaker: .worker)
        do throws(LedgerError) { try segment.requireInPlace() } catch { throw note(error, true) }
        return first..<tree.size
    }

    /// Waits until everything appended is on the disk: one `fdatasync`, none if nothing was appended since.
    public mutating func sync() throws(LedgerError) {
        try requireIntact()
        guard syncedSize < tree.size else { return }
        try run(beginFlush(signing: false))
    }

    /// Signs a checkpoint over everything appended, after having synced it. Does nothing when there is nothing new.
    public mutating func checkpoint() throws(LedgerError) {
        try requireIntact()
        guard checkpointSize < tree.size else { return }
        try run(beginFlush(signing: true))
    }

    /// Does what has come due, for whoever does nothing beside: a checkpoint, the next segment, removing old ones.
    public mutating func tick() throws(LedgerError) {
        try requireIntact()
        switch due {
        case .segment: try beginSegment()
        case .checkpoint: try checkpoint()
        case nil: break
        }
        guard let kept = try retention.firstKept() else { return }
        try appendRemoval(before: kept)
        try checkpoint()
        try retention.remove(before: kept)
    }

    /// Signs the last checkpoint and closes the ledger.
    public consuming func close() throws(LedgerError) { try checkpoint() }

    // MARK: Flushing while appending goes on

    /// Takes what is appended now to be brought to the disk by somebody else, who calls `synced` and `signed`, or `failed`,
    /// when it is. There is one flush at a time.
    ///
    /// - Parameter signing: whether to sign a checkpoint over it, where the last one does not cover it already.
    public mutating func beginFlush(signing: Bool) throws(LedgerError) -> Flush {
        try requireIntact()
        guard signing, checkpointSize < size else {
            return Flush(size: size, segment: segment, isSynced: syncedSize == size)
        }
        let checkpoint = Checkpoint(origin: signer.verifier.name, size: size, root: tree.root(&hasher))
        defer { hashes.removeAll() }
        return Flush(
            size: size, segment: segment, isSynced: syncedSize == size,
            signing: Flush.Signing(signer: signer, checkpoint: checkpoint, hashes: hashes))
    }

    /// A flush has brought its records to the disk.
    public mutating func synced(_ flush: Flush) { syncedSize = max(syncedSize, flush.size) }

    /// A flush has signed its checkpoint.
    public mutating func signed(_ flush: Flush, _ note: String) {
        checkpointSize = flush.size
        lastNote = note
        checkpointTime = configuration.clock()
    }

    /// A flush could not be brought to its end.
    public mutating func failed(_ failure: Flush.Failure) -> LedgerError { note(failure.error, failure.isFinal) }

    private mutating func run(_ flush: Flush) throws(LedgerError) {
        do throws(Flush.Failure) {
            try flush.sync()
            synced(flush)
            if flush.isSigning { try signed(flush, flush.sign()) }
        } catch {
            throw failed(error)
        }
    }

    // MARK: What comes due

    /// What is to be done about once in so many records, bytes or seconds.
    public enum Maintenance: Sendable {
        /// The segment is full or old: a checkpoint, then `beginSegment`.
        case segment
        case checkpoint
    }

    /// What has come due.
    public var due: Maintenance? {
        let now = configuration.clock()
        let isOld = now >= segmentTime &+ configuration.segmentSecondsBound.multipliedSaturated(by: 1000)
        if segment.records.length >= configuration.segmentByteBound || isOld && tree.size > segment.first + 1 {
            return .segment
        }
        let news = tree.size - checkpointSize
        let isStale = now >= checkpointTime &+ configuration.checkpointSeconds.multipliedSaturated(by: 1000)
        return news >= configuration.checkpointRecords || news > 0 && isStale ? .checkpoint : nil
    }

    /// Closes the segment with a checkpoint and begins the next with its header record. No flush may be under way.
    public mutating func beginSegment() throws(LedgerError) {
        try checkpoint()
        try segment.syncHashes()
        let now = configuration.clock()
        let next: Segment
        var grown = tree
        let first = tree.size
        do throws(LedgerError) {
            next = try Segment(directory: directory, first: first, calls: configuration.calls)
            let json = LedgerEvent.segment(origin: signer.verifier.name, time: now, tree: tree).json
            lines.removeAll(keepingCapacity: true)
            batchHashes.removeAll()
            Self.append(json.span, .ledger, to: &grown, &hasher, &lines, &batchHashes)
            try next.begin(lines.span)
            try directory.sync()
        } catch {
            // Nothing of the new segment was acknowledged; the old one goes on until this succeeds.
            unlink(directory.path(first, .records))
            throw error
        }
        segment = next
        tree = grown
        hashes.append(batchHashes)
        segmentTime = now
        syncedSize = tree.size
    }

    /// Says in a record that the segments before `first` are no longer kept. They may be removed (`Retention.remove`) when
    /// a checkpoint covers it, so that a verifier never sees a gap without its reason.
    public mutating func appendRemoval(before first: UInt64) throws(LedgerError) {
        try append(.removal(time: configuration.clock(), first: first))
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
        batchHashes.removeAll()
        var grown = tree
        var start = 0
        for end in ends {
            Self.append(objects.extracting(start..<end), speaker, to: &grown, &hasher, &lines, &batchHashes)
            start = end
        }
        do throws(AppendFile.Failure) {
            try segment.records.append(lines.span)
        } catch {
            // Where it is not undone, what is behind the good bytes is a torn tail, which opening again cuts off.
            throw note(error.error, !error.isUndone)
        }
        tree = grown
        hashes.append(batchHashes)
    }

    @inline(__always)
    private static func append(
        _ object: Span<UInt8>, _ speaker: RecordLine.Speaker, to tree: inout MerkleTree, _ hasher: inout MerkleHasher,
        _ lines: inout [UInt8], _ hashes: inout PendingHashes
    ) {
        let lineStart = lines.count
        RecordLine.append(object, sequence: tree.size, speaker: speaker, to: &lines)
        let leaf = hasher.leaf(lines.span.extracting(lineStart..<lines.count - 1))
        hashes.grow(&tree, by: leaf, &hasher)
    }

    /// Remembers an error after which only opening again helps.
    private mutating func note(_ error: LedgerError, _ isFinal: Bool) -> LedgerError {
        if isFinal { failure = LedgerError(.failed, "\(error.message); the ledger must be opened again") }
        return error
    }

    private func requireIntact() throws(LedgerError) {
        if let failure { throw failure }
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
