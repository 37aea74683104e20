internal import Cryptography
internal import JSONText
internal import Ledger

/// A proof as a file: whoever has it and the ledger's public key needs nothing else, neither the ledger nor us.
///
/// One JSON object. Its members have the names and the encoding of RFC 6962 §4, hashes as base64; a checkpoint is a
/// C2SP signed note, whose second and third line are the tree's size and root.
///
///     type              drawbridge/inclusion-proof/1
///     leaf_index        the record's number
///     tree_size         the checkpoint's number of records
///     leaf_hash         SHA-256(0x00 || record)
///     audit_path        from the record's sibling up to the root (RFC 6962 §2.1.1)
///     checkpoint        the signed note
///     record            the record's line in the ledger, without its newline
///
///     type              drawbridge/consistency-proof/1
///     first, second     the number of records of the older and the newer tree
///     consistency       the hashes of RFC 6962 §2.1.2
///     first_checkpoint  the signed note of the older tree
///     second_checkpoint that of the newer
enum LedgerProof {
    /// That a record stands in the tree of a checkpoint.
    case inclusion(InclusionProof)
    /// That the tree of a checkpoint continues that of an older one.
    case consistency(ConsistencyProof)

    /// Reads a file.
    init(parsing bytes: [UInt8]) throws {
        let json: JSONValue
        do { json = try JSONValue(parsing: bytes) } catch {
            throw AuditFailure.data("not a proof: \(error.detail) (byte \(error.offset))")
        }
        switch json["type"]?.string {
        case InclusionProof.type: self = .inclusion(try InclusionProof(json))
        case ConsistencyProof.type: self = .consistency(try ConsistencyProof(json))
        default:
            throw AuditFailure.data(
                "not a proof: \"type\" is neither \(InclusionProof.type) nor \(ConsistencyProof.type)")
        }
    }

    /// What is proven, in a sentence.
    ///
    /// - Throws: `AuditFailure` with status 1 when the proof does not hold.
    func verify(by keys: LedgerLocation.Keys) throws -> String {
        switch self {
        case .inclusion(let proof): try proof.verify(by: keys)
        case .consistency(let proof): try proof.verify(by: keys)
        }
    }

    static func checkpoint(_ note: String, _ keys: LedgerLocation.Keys) throws -> Checkpoint {
        do throws(LedgerError) {
            return try Checkpoint(verifying: SignedNote(parsing: note), origin: keys.origin, by: keys.verifiers)
        } catch {
            throw AuditFailure.negative("the checkpoint does not hold: \(error.message)")
        }
    }

    fileprivate static func hashes(_ value: JSONValue?) -> [Digest256]? {
        guard case .array(let elements)? = value else { return nil }
        let hashes = elements.compactMap(hash)
        return hashes.count == elements.count ? hashes : nil
    }

    fileprivate static func hash(_ value: JSONValue?) -> Digest256? {
        value?.string.flatMap { Base64.standard.decode($0) }.flatMap { Digest256($0.span) }
    }

    fileprivate static func size(_ value: JSONValue?) -> UInt64? { value?.integer.flatMap(UInt64.init(exactly:)) }
}

/// The path from a record's hash to the root that a checkpoint is signed for (RFC 6962 §2.1.1).
struct InclusionProof {
    static let type = "drawbridge/inclusion-proof/1"

    /// The record's line in the ledger, without its newline: what is hashed, after a byte 0.
    let record: String
    let leafHash: Digest256
    let leafIndex: UInt64
    let treeSize: UInt64
    let auditPath: [Digest256]
    /// The signed note.
    let checkpoint: String

    init(
        record: String, leafHash: Digest256, leafIndex: UInt64, treeSize: UInt64, auditPath: [Digest256],
        checkpoint: String
    ) {
        self.record = record
        self.leafHash = leafHash
        self.leafIndex = leafIndex
        self.treeSize = treeSize
        self.auditPath = auditPath
        self.checkpoint = checkpoint
    }

    fileprivate init(_ json: JSONValue) throws {
        guard let record = json["record"]?.string, let leafHash = LedgerProof.hash(json["leaf_hash"]),
            let leafIndex = LedgerProof.size(json["leaf_index"]), let treeSize = LedgerProof.size(json["tree_size"]),
            let auditPath = LedgerProof.hashes(json["audit_path"]), let checkpoint = json["checkpoint"]?.string
        else {
            throw AuditFailure.data(
                "not an inclusion proof: record, leaf_hash, leaf_index, tree_size, audit_path, checkpoint")
        }
        self.init(
            record: record, leafHash: leafHash, leafIndex: leafIndex, treeSize: treeSize, auditPath: auditPath,
            checkpoint: checkpoint)
    }

    var json: String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("type", Self.type)
            writer.member("leaf_index", raw: String(leafIndex))
            writer.member("tree_size", raw: String(treeSize))
            writer.member("leaf_hash", Base64.standard.encode(leafHash))
            writer.array("audit_path", auditPath) { $0.element(Base64.standard.encode($1)) }
            writer.member("checkpoint", checkpoint)
            writer.member("record", record)
        }
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    func verify(by keys: LedgerLocation.Keys) throws -> String {
        let checkpoint = try LedgerProof.checkpoint(checkpoint, keys)
        var hasher = MerkleHasher()
        guard hasher.leaf(record.utf8.span) == leafHash else {
            throw AuditFailure.negative("the record is not the one that the proof is for: its hash is another")
        }
        guard record.hasPrefix("{\"seq\":\(leafIndex),") else {
            throw AuditFailure.negative("the record is not number \(leafIndex), which the proof is for")
        }
        guard treeSize == checkpoint.size else {
            throw AuditFailure.negative(
                "the proof is for a tree of \(treeSize) records, its checkpoint for one of \(checkpoint.size)")
        }
        guard
            MerkleProof.isInclusion(
                auditPath, of: leafHash, at: leafIndex, size: treeSize, root: checkpoint.root)
        else {
            throw AuditFailure.negative(
                "the proof does not hold: the path from record \(leafIndex) does not lead to the root that was signed")
        }
        return "record \(leafIndex) stands, as it is here, in the ledger \(checkpoint.origin), among the first "
            + "\(checkpoint.size) records, for which the ledger has signed"
    }
}

/// What shows that no record of an older tree was changed or removed in a newer one (RFC 6962 §2.1.2).
struct ConsistencyProof {
    static let type = "drawbridge/consistency-proof/1"

    let first: UInt64
    let second: UInt64
    let consistency: [Digest256]
    /// The signed notes.
    let firstCheckpoint: String
    let secondCheckpoint: String

    init(
        first: UInt64, second: UInt64, consistency: [Digest256], firstCheckpoint: String, secondCheckpoint: String
    ) {
        self.first = first
        self.second = second
        self.consistency = consistency
        self.firstCheckpoint = firstCheckpoint
        self.secondCheckpoint = secondCheckpoint
    }

    fileprivate init(_ json: JSONValue) throws {
        guard let first = LedgerProof.size(json["first"]), let second = LedgerProof.size(json["second"]),
            let consistency = LedgerProof.hashes(json["consistency"]),
            let firstCheckpoint = json["first_checkpoint"]?.string,
            let secondCheckpoint = json["second_checkpoint"]?.string
        else {
            throw AuditFailure.data(
                "not a consistency proof: first, second, consistency, first_checkpoint, second_checkpoint")
        }
        self.init(
            first: first, second: second, consistency: consistency, firstCheckpoint: firstCheckpoint,
            secondCheckpoint: secondCheckpoint)
    }

    var json: String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("type", Self.type)
            writer.member("first", raw: String(first))
            writer.member("second", raw: String(second))
            writer.array("consistency", consistency) { $0.element(Base64.standard.encode($1)) }
            writer.member("first_checkpoint", firstCheckpoint)
            writer.member("second_checkpoint", secondCheckpoint)
        }
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    func verify(by keys: LedgerLocation.Keys) throws -> String {
        let old = try LedgerProof.checkpoint(firstCheckpoint, keys)
        let new = try LedgerProof.checkpoint(secondCheckpoint, keys)
        guard first == old.size, second == new.size else {
            throw AuditFailure.negative("the proof is for other trees than its checkpoints")
        }
        guard
            MerkleProof.isConsistency(
                consistency, oldSize: first, oldRoot: old.root, newSize: second, newRoot: new.root)
        else {
            throw AuditFailure.negative(
                "the proof does not hold: nothing shows that the \(second) records begin with the \(first)")
        }
        return first == second
            ? "both checkpoints are for the same \(first) records of \(new.origin)"
            : "the \(second) records of \(new.origin) begin with the \(first) of the older checkpoint, unchanged"
    }
}

extension Digest256 {
    var base64: String { Base64.standard.encode(self) }
}
