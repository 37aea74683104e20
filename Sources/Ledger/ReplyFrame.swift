/// What the ledger's process answers to a worker: how far its records have come, and which are refused.
///
///     length  32 bit   of everything behind it
///     kind     8 bit   1 written, 2 synced, 3 refused
///     written, synced: through 64 bit
///     refused: first 64 bit, last 64 bit, reason 8 bit
///
/// One acknowledgement covers every record up to its ticket that is waiting for that durability; a refusal covers the
/// waiting ones among its tickets, and comes before any acknowledgement that would seem to cover them.
public enum ReplyFrame: Equatable, Sendable {
    /// Every record up to this ticket that asked for this durability has it.
    case acknowledged(Durability, through: UInt64)
    /// The records of these tickets that have not been acknowledged will not be; they may be in the ledger or not.
    case refused(ClosedRange<UInt64>, RefusalReason)

    /// Appends the frame.
    public func append(to bytes: inout [UInt8]) {
        switch self {
        case .acknowledged(let durability, let through):
            bytes.append(bigEndian: UInt32(9))
            bytes.append((durability == .written ? Kind.written : Kind.synced).rawValue)
            bytes.append(bigEndian: through)
        case .refused(let tickets, let reason):
            bytes.append(bigEndian: UInt32(18))
            bytes.append(Kind.refused.rawValue)
            bytes.append(bigEndian: tickets.lowerBound)
            bytes.append(bigEndian: tickets.upperBound)
            bytes.append(reason.rawValue)
        }
    }

    static let lengthBound = 18

    enum Kind: UInt8 {
        case written = 1
        case synced = 2
        case refused = 3
    }

    /// The next reply at the start of the input.
    ///
    /// - Returns: nil for the reply when it is not complete; how many bytes are done with.
    public static func next(_ input: Span<UInt8>) throws(FrameError) -> (reply: ReplyFrame?, consumed: Int) {
        guard let body = try input.frame(lengthBound: lengthBound) else { return (nil, 0) }
        guard body.count > 0 else { throw .tooShort }
        let reply: ReplyFrame
        switch Kind(rawValue: input[body.lowerBound]) {
        case .written: reply = .acknowledged(.written, through: try through(input, body))
        case .synced: reply = .acknowledged(.synced, through: try through(input, body))
        case .refused:
            guard body.count >= 18 else { throw .tooShort }
            let first = input.bigEndian64(at: body.lowerBound + 1)
            let last = input.bigEndian64(at: body.lowerBound + 9)
            guard first <= last else { throw .emptyRange }
            guard let reason = RefusalReason(rawValue: input[body.lowerBound + 17]) else { throw .unknownKind }
            reply = .refused(first...last, reason)
        case nil: throw .unknownKind
        }
        return (reply, body.upperBound)
    }

    private static func through(_ input: Span<UInt8>, _ body: Range<Int>) throws(FrameError) -> UInt64 {
        guard body.count >= 9 else { throw .tooShort }
        guard body.count == 9 else { throw .tooLong }
        return input.bigEndian64(at: body.lowerBound + 1)
    }
}

/// Why the ledger refuses a record.
public enum RefusalReason: UInt8, Sendable, CaseIterable, CustomStringConvertible {
    /// The disk is full, read-only, broken, or the ledger is gone from it.
    case unwritable = 1
    /// Too many records wait.
    case overloaded = 2
    /// It is no JSON object within bounds.
    case invalid = 3
    /// The ledger's process ends.
    case stopping = 4

    /// The reason as a word, for metrics and logs.
    public var description: String {
        switch self {
        case .unwritable: "unwritable"
        case .overloaded: "overloaded"
        case .invalid: "invalid"
        case .stopping: "stopping"
        }
    }
}
