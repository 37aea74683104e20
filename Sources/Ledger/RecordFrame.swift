/// What a worker sends to the ledger's process: one frame that says who it is, then records. It can say nothing else,
/// so whoever takes a worker over can add records and neither read nor change any.
///
///     length  32 bit   of everything behind it
///     kind     8 bit   0 greeting, 1 record to be written, 2 record to be synced
///     greeting: version 8 bit, the worker's name
///     record:   ticket 64 bit, one JSON object
///
/// Numbers are big-endian. Tickets grow from frame to frame of one connection; gaps are allowed.
public enum RecordFrame: Equatable, Sendable {
    /// The version of this protocol that the worker speaks, and where in the input its name stands.
    case greeting(version: UInt8, name: Range<Int>)
    /// A record, which stands in the input there.
    case record(ticket: UInt64, Durability, object: Range<Int>)

    /// The one version there is.
    public static let version: UInt8 = 1
    /// The most bytes a worker's name has.
    public static let nameBound = 64
    /// The bytes of a record's frame in front of its object.
    public static let recordHead = lengthSize + 1 + 8

    static let lengthSize = 4
    /// The most bytes behind a length.
    static let lengthBound = 1 + 8 + RecordBatch.recordBound

    /// Appends a greeting.
    ///
    /// - Precondition: the name has at most ``nameBound`` bytes.
    public static func appendGreeting(name: String, to bytes: inout [UInt8]) {
        precondition(name.utf8.count <= nameBound, "a worker's name is short")
        bytes.append(bigEndian: UInt32(2 + name.utf8.count))
        bytes.append(Kind.greeting.rawValue)
        bytes.append(version)
        bytes.append(contentsOf: name.utf8)
    }

    /// Appends a record's frame, whose object `write` appends.
    @inline(__always)
    public static func appendRecord(
        ticket: UInt64, _ durability: Durability, to bytes: inout [UInt8], _ write: (inout [UInt8]) -> Void
    ) {
        let start = bytes.count
        bytes.append(bigEndian: UInt32(0))
        bytes.append((durability == .written ? Kind.written : Kind.synced).rawValue)
        bytes.append(bigEndian: ticket)
        write(&bytes)
        let length = UInt32(bytes.count - start - lengthSize)
        for index in 0..<lengthSize {
            bytes[start + index] = UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * index))
        }
    }

    enum Kind: UInt8 {
        case greeting = 0
        case written = 1
        case synced = 2
    }
}

/// Why frames are not taken. A peer that sends such is not ours, or is broken: nothing more is read from it.
public enum FrameError: String, Error, Sendable {
    /// A frame says that it is longer than any may be.
    case tooLong
    /// A frame is shorter than what it must hold.
    case tooShort
    /// A frame of a kind that is not known, or not to be sent by this side.
    case unknownKind
    /// A record before the greeting, or a second greeting.
    case outOfTurn
    /// A worker of another version.
    case unknownVersion
    /// A ticket that is not greater than the one before.
    case staleTicket
    /// An acknowledgement or refusal of nothing.
    case emptyRange
}

/// Takes a worker's bytes apart into frames. A state machine: bytes in, frames out; it never holds any bytes itself.
public struct RecordFrameParser: Sendable {
    private var hasGreeted = false
    private var lastTicket: UInt64?

    /// At the beginning of a connection.
    public init() {}

    /// The next frame at the start of the input.
    ///
    /// - Returns: nil for the frame when it is not complete; how many bytes are done with.
    @inline(__always)
    public mutating func next(_ input: Span<UInt8>) throws(FrameError) -> (frame: RecordFrame?, consumed: Int) {
        guard let body = try input.frame(lengthBound: RecordFrame.lengthBound) else { return (nil, 0) }
        guard body.count > 0 else { throw .tooShort }
        switch RecordFrame.Kind(rawValue: input[body.lowerBound]) {
        case .greeting:
            guard !hasGreeted else { throw .outOfTurn }
            guard body.count >= 2 else { throw .tooShort }
            guard body.count - 2 <= RecordFrame.nameBound else { throw .tooLong }
            let version = input[body.lowerBound + 1]
            guard version == RecordFrame.version else { throw .unknownVersion }
            hasGreeted = true
            return (.greeting(version: version, name: body.lowerBound + 2..<body.upperBound), body.upperBound)
        case .written: return (try record(.written, input, body), body.upperBound)
        case .synced: return (try record(.synced, input, body), body.upperBound)
        case nil: throw .unknownKind
        }
    }

    private mutating func record(
        _ durability: Durability, _ input: Span<UInt8>, _ body: Range<Int>
    ) throws(FrameError) -> RecordFrame {
        guard hasGreeted else { throw .outOfTurn }
        let object = body.lowerBound + 9
        guard object <= body.upperBound else { throw .tooShort }
        let ticket = input.bigEndian64(at: body.lowerBound + 1)
        if let lastTicket, ticket <= lastTicket { throw .staleTicket }
        lastTicket = ticket
        return .record(ticket: ticket, durability, object: object..<body.upperBound)
    }
}

extension [UInt8] {
    @inline(__always)
    mutating func append(bigEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }
}

extension Span<UInt8> {
    /// Where what a length announces stands; nil when it is not here completely.
    @inline(__always)
    func frame(lengthBound: Int) throws(FrameError) -> Range<Int>? {
        guard count >= RecordFrame.lengthSize else { return nil }
        var length = 0
        for index in 0..<RecordFrame.lengthSize { length = length << 8 | Int(self[index]) }
        guard length <= lengthBound else { throw .tooLong }
        let end = RecordFrame.lengthSize + length
        return count >= end ? RecordFrame.lengthSize..<end : nil
    }

    @inline(__always)
    func bigEndian64(at index: Int) -> UInt64 {
        var value: UInt64 = 0
        for offset in 0..<8 { value = value << 8 | UInt64(self[index + offset]) }
        return value
    }
}
