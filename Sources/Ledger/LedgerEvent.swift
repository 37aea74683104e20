internal import Cryptography
internal import JSONText

/// What the ledger says itself, as records among the others.
enum LedgerEvent: Equatable {
    /// The first record of every segment: whose it is, and the tree before it. With its peaks the segment can be
    /// verified when those before it are gone; the next checkpoint's root covers it.
    case segment(origin: String, time: UInt64, tree: MerkleTree)
    /// The ledger was opened after its writer had died: so many bytes of a torn line were cut off.
    case recovered(time: UInt64, cutBytes: Int)
    /// Segments are about to be removed: `first` will be the first record left.
    case removal(time: UInt64, first: UInt64)

    /// The format that `segment` announces.
    static let format = 1

    /// The object of the line.
    var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            switch self {
            case .segment(let origin, let time, let tree):
                writer.member("event", "segment")
                writer.member("format", Self.format)
                writer.member("origin", origin)
                writer.member("time", Int(time))
                writer.array("peaks", tree.peaks) { $0.element(Base64.standard.encode($1)) }
            case .recovered(let time, let cutBytes):
                writer.member("event", "recovered")
                writer.member("time", Int(time))
                writer.member("cut_bytes", cutBytes)
            case .removal(let time, let first):
                writer.member("event", "removal")
                writer.member("time", Int(time))
                writer.member("first", Int(first))
            }
        }
        return writer.bytes
    }

    /// Reads the object of line `sequence`; `nil` if it is none of these.
    init?(parsing json: [UInt8], sequence: UInt64) {
        guard let value = try? JSONValue(parsing: json),
            let time = value["time"]?.integer.flatMap(UInt64.init(exactly:))
        else { return nil }
        switch value["event"]?.string {
        case "segment":
            guard value["format"]?.integer == Int64(Self.format), let origin = value["origin"]?.string,
                case .array(let elements) = value["peaks"]
            else { return nil }
            let peaks = elements.compactMap { $0.string.flatMap { Base64.standard.decode($0) } }
                .compactMap { Digest256($0.span) }
            guard peaks.count == elements.count, let tree = MerkleTree(size: sequence, peaks: peaks) else { return nil }
            self = .segment(origin: origin, time: time, tree: tree)
        case "recovered":
            guard let cutBytes = value["cut_bytes"]?.integer else { return nil }
            self = .recovered(time: time, cutBytes: Int(cutBytes))
        case "removal":
            guard let first = value["first"]?.integer.flatMap(UInt64.init(exactly:)) else { return nil }
            self = .removal(time: time, first: first)
        default: return nil
        }
    }
}
