/// What a ledger has appended, to be brought to the disk while appending goes on (`LedgerWriter.beginFlush`).
///
/// Both calls block for as long as the disk does.
public struct Flush: Sendable {
    /// What could not be done.
    public struct Failure: Error {
        let error: LedgerError
        /// Whether the ledger must be opened again.
        let isFinal: Bool
    }

    /// What a checkpoint is made of.
    struct Signing {
        let signer: NoteSigner
        let checkpoint: Checkpoint
        /// The hashes of the records that no checkpoint before it covers.
        let hashes: PendingHashes
    }

    /// The records that it covers, counted from the ledger's beginning.
    public let size: UInt64
    private let segment: Segment
    /// Whether they were on the disk before it began.
    public let isSynced: Bool
    private let signing: Signing?

    init(size: UInt64, segment: Segment, isSynced: Bool, signing: Signing? = nil) {
        self.size = size
        self.segment = segment
        self.isSynced = isSynced
        self.signing = signing
    }

    /// Whether it ends with a checkpoint.
    public var isSigning: Bool { signing != nil }

    /// Waits until the records are on the disk: one `fdatasync`, none where they are there.
    public func sync() throws(Failure) {
        guard !isSynced else { return }
        try Self.sync(segment.records)
        do throws(LedgerError) { try segment.requireInPlace() } catch { throw Failure(error: error, isFinal: true) }
    }

    /// Signs for the records, after `sync`: a log must never sign what it may lose.
    ///
    /// - Returns: the checkpoint as a signed note; it is on the disk, too.
    public func sign() throws(Failure) -> String {
        guard let signing else { preconditionFailure("a flush was to be signed that was not begun so") }
        do throws(LedgerError) {
            try segment.store(signing.hashes)
        } catch {
            throw Failure(error: error, isFinal: false)
        }
        let note = signing.signer.note(signing.checkpoint.text)
        do throws(AppendFile.Failure) {
            try segment.checkpoints.append(NoteFile.entry(note).span)
        } catch {
            throw Failure(error: error.error, isFinal: !error.isUndone)
        }
        try Self.sync(segment.checkpoints)
        return note
    }

    /// Waits until the stored hashes are on the disk, too, as those of a segment that ends are to be. Whoever waits while
    /// `beginSegment` does the same waits for little then.
    public func syncHashes() throws(Failure) {
        do throws(LedgerError) { try segment.syncHashes() } catch { throw Failure(error: error, isFinal: false) }
    }

    private static func sync(_ file: AppendFile) throws(Failure) {
        do throws(LedgerError) { try file.sync() } catch { throw Failure(error: error, isFinal: true) }
    }
}
