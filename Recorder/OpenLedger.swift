internal import Glibc
internal import Ledger

/// The ledger while it is open, for the loop and the thread pool: every call blocks for as long as the disk does.
///
/// `@unchecked Sendable`: `Journal` has one call under way at a time, and looks at nothing meanwhile.
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

    /// Whether the next `append` does more than to give its batch to the kernel.
    var isMaintenanceDue: Bool { writer.isMaintenanceDue }

    /// The bytes of a torn line that opening has cut off.
    var cutByteCount: Int { writer.cutByteCount }

    func append(_ batch: RecordBatch) throws(LedgerError) -> Range<UInt64> { try writer.append(batch) }
    func sync() throws(LedgerError) { try writer.sync() }
    func tick() throws(LedgerError) { try writer.tick() }
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
