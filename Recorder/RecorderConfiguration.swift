internal import Ledger
internal import Lifecycle
internal import Policy

/// Everything the ledger's process is configured with, read before it gives up the right to read it.
struct RecorderConfiguration: Sendable {
    let policy: LedgerPolicy
    /// The directory of the ledger: its key, who it is, its records. The process makes it its working directory.
    let directory: String

    /// Where the records are, seen from there.
    static let records = "records"
    /// The most workers connected at once.
    static let connectionBound = 256
    /// The most records that wait to be written or for the disk, and the bytes of those that wait to be written.
    static let recordBound = 65_536
    static let byteBound = 32 << 20
    /// How long a worker whose records find no room is left to wait before they are refused.
    static let patience = Duration.milliseconds(500)
    /// How long the disk may be silent before nothing more is put before it, and the process calls itself unready.
    static let diskPatience = Duration.seconds(5)

    /// - Throws: `PolicyError` with every mistake of the file.
    init(_ context: ProcessContext) throws {
        policy = try PolicyDirectory(path: context.policies, installation: context.home).gateway().ledger
        directory = "\(context.home)/ledger"
    }

    /// The ledger in the terms of the policy.
    func ledger(formerKeys: [NoteVerifier]) -> LedgerConfiguration {
        var ledger = LedgerConfiguration()
        ledger.segmentByteBound = policy.segmentSize.bytes
        ledger.segmentSecondsBound = UInt64(policy.segmentAge.components.seconds)
        ledger.checkpointRecords = UInt64(policy.checkpointRecords)
        ledger.checkpointSeconds = UInt64(policy.checkpointInterval.components.seconds)
        if let retention = policy.retention { ledger.retainedSeconds = UInt64(retention.components.seconds) }
        if let size = policy.retainedSize { ledger.retainedByteBound = size.bytes }
        ledger.formerKeys = formerKeys
        return ledger
    }
}
