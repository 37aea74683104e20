/// The files of a segment that is being written.
///
/// `@unchecked Sendable`: whoever appends alone appends to `records`; the one flush under way alone touches the rest, and
/// the writer does where no flush is.
final class Segment: @unchecked Sendable {
    /// Its first record.
    let first: UInt64
    let records: AppendFile
    let checkpoints: AppendFile
    private var hashes: HashFiles

    /// Opens a segment's files, or creates them, and cuts them to what is good of them.
    init(
        directory: LedgerDirectory, first: UInt64, recordBytes: Int = 0, checkpointBytes: Int = 0,
        storedHashes: Int = 0, calls: FileCalls
    ) throws(LedgerError) {
        self.first = first
        records = try AppendFile(path: directory.path(first, .records), length: recordBytes, calls: calls)
        checkpoints = try AppendFile(path: directory.path(first, .checkpoints), length: checkpointBytes, calls: calls)
        hashes = try HashFiles(directory: directory, segmentFirst: first, stored: storedHashes)
    }

    /// Writes the first line, and waits until it is on the disk.
    func begin(_ header: Span<UInt8>) throws(LedgerError) {
        do throws(AppendFile.Failure) { try records.append(header) } catch { throw error.error }
        try records.sync()
    }

    /// Writes the next records' hashes; what fails is written with the next ones.
    func store(_ next: PendingHashes) throws(LedgerError) {
        hashes.append(next)
        try hashes.flush()
    }

    /// What is written to a file that was removed, or replaced by another, is written and gone all the same.
    func requireInPlace() throws(LedgerError) {
        guard !records.isInPlace else { return }
        throw LedgerError(.failed, "\(records.path) was removed or replaced")
    }

    /// Waits until all hashes that were stored are on the disk.
    func syncHashes() throws(LedgerError) { try hashes.sync() }
}
