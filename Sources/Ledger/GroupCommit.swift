/// How sure the sender of a record wants to be.
public enum Durability: Sendable, Hashable {
    /// The record survives the death of the ledger process.
    case written
    /// The record is on the disk and survives the death of the machine.
    case synced
}

/// Which records are written together and who is told when: records, and what became of a batch, go in; the next
/// batch and acknowledgements come out. No I/O.
///
/// Appending gives a batch to the kernel, which takes next to no time; a flush waits for the disk, beside which appending
/// goes on. So whoever wants no more than "written" waits for no disk, and one flush serves all that have come since the last
/// one began:
///
///     while let batch = groupCommit.next() {
///         sequences = try writer.append(batch)          →  groupCommit.appended(sequences): acknowledge
///     }                                     it throws   →  groupCommit.refuseBatch(): refuse
///     beside it, while groupCommit.awaitsSync:
///         try flush.sync()                              →  groupCommit.synced(size): acknowledge
///                                           it throws   →  groupCommit.refuseUnsynced(): refuse
public struct GroupCommit<Ticket: Sendable>: Sendable {
    /// A record that a sender may rely on from now on.
    public struct Acknowledgement: Sendable {
        /// The sender's own mark.
        public let ticket: Ticket
        /// The record's place in the ledger.
        public let sequence: UInt64
    }

    private struct Sender: Sendable {
        let ticket: Ticket
        let durability: Durability
    }

    private let recordBound: Int
    private let byteBound: Int
    private var waiting = RecordBatch()
    private var waitingSenders: [Sender] = []
    /// Those of the batch that is being appended.
    private var appending: [Sender]?
    /// Those that wait for the disk, in the order of their records.
    private var unsynced: [Acknowledgement] = []

    /// Nothing to do yet.
    ///
    /// - Parameters:
    ///   - recordBound: the most records that wait, to be appended or for the disk.
    ///   - byteBound: the most bytes that those have together which wait to be appended.
    public init(recordBound: Int = 65_536, byteBound: Int = 32 << 20) {
        self.recordBound = recordBound
        self.byteBound = byteBound
    }

    /// The records that wait, to be appended or for the disk.
    public var waitingCount: Int { waiting.count + unsynced.count }
    /// Whether a record of any permitted size may be submitted.
    public var hasRoom: Bool { takes(byteCount: RecordBatch.recordBound) }
    /// Whether anybody waits for the disk.
    public var awaitsSync: Bool { !unsynced.isEmpty }

    private func takes(byteCount: Int) -> Bool {
        waitingCount < recordBound && waiting.byteCount + byteCount <= byteBound
    }

    /// Takes a record in. Throws `overloaded` when too many wait already, `invalidRecord` when it is none.
    public mutating func submit(
        _ record: Span<UInt8>, durability: Durability, ticket: Ticket
    ) throws(LedgerError) {
        guard takes(byteCount: record.count) else {
            throw LedgerError(.overloaded, "\(waitingCount) records wait")
        }
        try waiting.add(record)
        waitingSenders.append(Sender(ticket: ticket, durability: durability))
    }

    /// The next batch; `nil` while one is being appended or nothing waits.
    public mutating func next() -> RecordBatch? {
        guard appending == nil, !waiting.isEmpty else { return nil }
        defer { waiting = RecordBatch() }
        appending = waitingSenders
        waitingSenders = []
        return waiting
    }

    /// The batch was appended, its records with these sequence numbers: those who wait for no more are acknowledged.
    public mutating func appended(_ sequences: Range<UInt64>) -> [Acknowledgement] {
        guard let senders = appending, senders.count == sequences.count else {
            preconditionFailure("another batch was appended than the one under way")
        }
        appending = nil
        var written: [Acknowledgement] = []
        for (sender, sequence) in zip(senders, sequences) {
            let acknowledgement = Acknowledgement(ticket: sender.ticket, sequence: sequence)
            switch sender.durability {
            case .written: written.append(acknowledgement)
            case .synced: unsynced.append(acknowledgement)
            }
        }
        return written
    }

    /// The first `size` records of the ledger are on the disk: those who waited for it are acknowledged.
    public mutating func synced(_ size: UInt64) -> [Acknowledgement] {
        let count = unsynced.firstIndex { $0.sequence >= size } ?? unsynced.count
        defer { unsynced.removeFirst(count) }
        return Array(unsynced[..<count])
    }

    /// The batch could not be appended: its senders must be refused. Nobody else was promised anything.
    public mutating func refuseBatch() -> [Ticket] {
        defer { appending = nil }
        return appending?.map(\.ticket) ?? []
    }

    /// What was appended does not get to the disk: whoever waits for it must be refused.
    public mutating func refuseUnsynced() -> [Ticket] {
        defer { unsynced = [] }
        return unsynced.map(\.ticket)
    }
}
