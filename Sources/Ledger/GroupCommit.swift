/// How sure the sender of a record wants to be.
public enum Durability: Sendable, Hashable {
    /// The record survives the death of the ledger process.
    case written
    /// The record is on the disk and survives the death of the machine.
    case synced
}

/// Which records are written together and who is told when: records, and what became of a commit, go in; the next
/// commit and acknowledgements come out. No I/O.
///
/// One commit is under way at a time. Whatever comes in meanwhile waits and makes up the next one, so that commits grow
/// with the load and one `fdatasync` serves many. The ledger process runs what waits for the disk off its loop:
///
///     while let commit = groupCommit.next() {
///         sequences = try writer.append(commit.batch)              →  groupCommit.appended(sequences): acknowledge
///         offloaded, if commit.needsSync: try writer.sync()        →  groupCommit.synced(): acknowledge
///     }                                          either one throws →  groupCommit.failed(): refuse
public struct GroupCommit<Ticket: Sendable>: Sendable {
    /// The records that are to be written together.
    public struct Commit: Sendable {
        /// What to append.
        public let batch: RecordBatch
        /// Whether anybody waits for a sync.
        public let needsSync: Bool
    }

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

    /// Legal: idle → appending → (syncing →) idle; a failure leads back to idle.
    private enum Phase: Sendable {
        case idle
        case appending([Sender])
        case syncing([Acknowledgement])
    }

    private let recordBound: Int
    private let byteBound: Int
    private var phase = Phase.idle
    private var waiting = RecordBatch()
    private var waitingSenders: [Sender] = []

    /// Nothing to do yet.
    ///
    /// - Parameters:
    ///   - recordBound: the most records that wait beside those under way.
    ///   - byteBound: the most bytes they may have together.
    public init(recordBound: Int = 65_536, byteBound: Int = 32 << 20) {
        self.recordBound = recordBound
        self.byteBound = byteBound
    }

    /// The records that wait beside those under way.
    public var waitingCount: Int { waiting.count }
    /// Whether a record of any permitted size may be submitted.
    public var hasRoom: Bool {
        waiting.count < recordBound && waiting.byteCount + RecordBatch.recordBound <= byteBound
    }

    /// Takes a record in. Throws `overloaded` when too many wait already, `invalidRecord` when it is none.
    public mutating func submit(
        _ record: Span<UInt8>, durability: Durability, ticket: Ticket
    ) throws(LedgerError) {
        guard waiting.count < recordBound, waiting.byteCount + record.count <= byteBound else {
            throw LedgerError(.overloaded, "\(waiting.count) records wait to be written")
        }
        try waiting.add(record)
        waitingSenders.append(Sender(ticket: ticket, durability: durability))
    }

    /// The next commit; `nil` while one is under way or nothing waits.
    public mutating func next() -> Commit? {
        guard case .idle = phase, !waiting.isEmpty else { return nil }
        let commit = Commit(batch: waiting, needsSync: waitingSenders.contains { $0.durability == .synced })
        phase = .appending(waitingSenders)
        waiting = RecordBatch()
        waitingSenders = []
        return commit
    }

    /// The commit was appended, its records with these sequence numbers: those who wait for no more are acknowledged.
    public mutating func appended(_ sequences: Range<UInt64>) -> [Acknowledgement] {
        guard case .appending(let senders) = phase, senders.count == sequences.count else {
            preconditionFailure("another commit was appended than the one under way")
        }
        var written: [Acknowledgement] = []
        var unsynced: [Acknowledgement] = []
        for (sender, sequence) in zip(senders, sequences) {
            let acknowledgement = Acknowledgement(ticket: sender.ticket, sequence: sequence)
            if sender.durability == .written {
                written.append(acknowledgement)
            } else {
                unsynced.append(acknowledgement)
            }
        }
        phase = unsynced.isEmpty ? .idle : .syncing(unsynced)
        return written
    }

    /// The commit was synced: the others are acknowledged.
    public mutating func synced() -> [Acknowledgement] {
        guard case .syncing(let acknowledgements) = phase else { preconditionFailure("no commit waits for a sync") }
        phase = .idle
        return acknowledgements
    }

    /// The commit under way failed, at whichever step: these senders must be refused. Nobody else was promised
    /// anything.
    public mutating func failed() -> [Ticket] {
        defer { phase = .idle }
        switch phase {
        case .idle: return []
        case .appending(let senders): return senders.map(\.ticket)
        case .syncing(let acknowledgements): return acknowledgements.map(\.ticket)
        }
    }
}
