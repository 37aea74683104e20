internal import Glibc
internal import Ledger

/// The ledger while it is open, for the loop, and for the thread pool where it is lent to it whole (`beginSegment`,
/// `checkpoint`, opening).
///
/// `@unchecked Sendable`: `Journal` lends it to one call at a time, and touches it not at all meanwhile.
final class OpenLedger: @unchecked Sendable {
    private var writer: LedgerWriter

    /// What there is to know after a call.
    struct State: Sendable {
        let size: UInt64
        let syncedSize: UInt64
        let checkpointSize: UInt64
        let lastNote: String?
    }

    /// Opens it, or begins it.
    ///
    /// - Parameter minimumSize: the records it is known to have.
    init(
        _ configuration: LedgerConfiguration, _ signer: NoteSigner, minimumSize: UInt64
    ) throws(LedgerError) {
        let path = RecorderConfiguration.records
        // Made once: where records are known to have been, a new directory would hide that they are gone.
        if minimumSize == 0 { mkdir(path, 0o700) }
        writer = try LedgerWriter.open(
            directory: path, configuration: configuration, signer: signer, minimumSize: minimumSize)
    }

    var state: State {
        State(
            size: writer.size, syncedSize: writer.syncedSize, checkpointSize: writer.checkpointSize,
            lastNote: writer.lastNote)
    }

    /// Whether anything can be appended before it is opened again.
    var isIntact: Bool { writer.isIntact }

    /// The bytes of a torn line that opening has cut off.
    var cutByteCount: Int { writer.cutByteCount }

    var due: LedgerWriter.Maintenance? { writer.due }
    var retention: Retention { writer.retention }

    func append(_ batch: RecordBatch) throws(LedgerError) -> Range<UInt64> { try writer.append(batch) }
    func appendRemoval(before first: UInt64) throws(LedgerError) { try writer.appendRemoval(before: first) }
    func beginFlush(signing: Bool) throws(LedgerError) -> Flush { try writer.beginFlush(signing: signing) }
    func synced(_ flush: Flush) { writer.synced(flush) }
    func signed(_ flush: Flush, _ note: String) { writer.signed(flush, note) }
    func failed(_ failure: Flush.Failure) -> LedgerError { writer.failed(failure) }

    func beginSegment() throws(LedgerError) { try writer.beginSegment() }
    func checkpoint() throws(LedgerError) { try writer.checkpoint() }

    /// Whether there is space again: writes something beside the records, and removes it.
    static func probe() -> Bool {
        let path = "\(RecorderConfiguration.records)/probe"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        defer {
            unlink(path)
            close(descriptor)
        }
        let bytes = [UInt8](repeating: 0, count: RecordBatch.recordBound)
        return write(descriptor, bytes, bytes.count) == bytes.count && fdatasync(descriptor) == 0
    }
}
