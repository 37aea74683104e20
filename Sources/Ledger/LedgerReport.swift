/// What is wrong with a ledger, and from which record on.
public struct LedgerFinding: Sendable, Hashable, CustomStringConvertible {
    /// What happened to the records.
    public enum Kind: String, Sendable, Hashable {
        /// A record is not the one that was written.
        case altered
        /// A line was put between the records.
        case inserted
        /// Records are gone from between others, or from the beginning without a record of their removal.
        case missing
        /// A record stands in another's place.
        case outOfOrder = "out of order"
        /// The last records are gone.
        case truncated
        /// A segment stands under another's name, or does not belong to this ledger.
        case misplacedSegment = "misplaced segment"
        /// The records fit together and are not those that were signed for.
        case forked
        /// The ledger is older than a checkpoint known from elsewhere.
        case rolledBack = "rolled back"
        /// A stored checkpoint is missing, not signed by a known key, or not one this ledger can have made.
        case badCheckpoint = "bad checkpoint"
        /// A stored hash is wrong, and the records are not.
        case badHash = "bad stored hash"
    }

    /// What happened.
    public let kind: Kind
    /// The first bad record; if `range` has more than one, the first that may be it.
    public var sequence: UInt64 { range.lowerBound }
    /// The records that the first bad one is among. More than one only where the stored hashes were falsified, too:
    /// then the last checkpoint that holds and the first that does not are its bounds.
    public let range: ClosedRange<UInt64>

    init(_ kind: Kind, _ range: ClosedRange<UInt64>) {
        self.kind = kind
        self.range = range
    }

    init(_ kind: Kind, _ sequence: UInt64) { self.init(kind, sequence...sequence) }

    /// The finding in words.
    public var description: String {
        range.count == 1 ? "\(kind.rawValue): record \(sequence)" : "\(kind.rawValue): among records \(range)"
    }
}

/// Where something stands in a ledger's files.
public struct LedgerPlace: Sendable, Hashable {
    /// The file's name in the ledger's directory.
    public let file: String
    /// The line in it, counted from 1; `nil` where the whole file is meant, or it has no lines.
    public let line: Int?

    init(_ file: String, line: Int? = nil) {
        self.file = file
        self.line = line
    }
}

/// How far a verification has come.
public struct LedgerProgress: Sendable, Hashable {
    /// The records verified so far.
    public let recordCount: UInt64
    /// The bytes they take up.
    public let byteCount: Int
    /// The bytes of all records there were when the verification began.
    public let totalByteCount: Int
}

/// What the verification of a ledger has shown.
public struct LedgerReport: Sendable, Hashable {
    /// The first record that is still there.
    public internal(set) var first: UInt64 = 0
    /// The number of records ever written, as far as verified.
    public internal(set) var size: UInt64 = 0
    /// How many stored checkpoints hold.
    public internal(set) var checkpointCount = 0
    /// The last of them.
    public internal(set) var lastCheckpoint: Checkpoint?
    /// How many records at the end no checkpoint covers yet.
    public internal(set) var unsignedCount: UInt64 = 0
    /// How many bytes of an incomplete line stand at the end: a write under way, or torn by a crash.
    public internal(set) var incompleteByteCount = 0
    /// Checkpoints known from elsewhere that are older than the first record left, and could not be compared.
    public internal(set) var uncomparedCount = 0
    /// The first thing wrong; `nil` if the ledger is as it was written.
    public internal(set) var finding: LedgerFinding?
    /// Where it is.
    public internal(set) var place: LedgerPlace?
    /// What more there is to say about it; never any of a record.
    public internal(set) var detail: String?
}
