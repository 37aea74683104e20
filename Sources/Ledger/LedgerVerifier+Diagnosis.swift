internal import Cryptography

/// The hashes stored beside a segment.
struct StoredLeaves {
    let first: UInt64
    let bytes: [UInt8]

    /// The sequence number behind the last stored hash.
    var end: UInt64 { first + UInt64(bytes.count / Digest256.byteCount) }

    /// The hash stored for a record, if one is.
    func leaf(_ sequence: UInt64) -> Digest256? {
        guard sequence >= first, sequence < end else { return nil }
        let offset = Int(sequence - first) * Digest256.byteCount
        return Digest256(bytes.span.extracting(offset..<offset + Digest256.byteCount))
    }

    /// Whether nothing else is stored for a record.
    @inline(__always)
    func agrees(_ leaf: Digest256, at sequence: UInt64) -> Bool {
        self.leaf(sequence).map { $0 == leaf } ?? true
    }
}

/// A line that is not the expected record.
struct Suspect {
    /// What it says its sequence number is; `nil` if it does not have the form of a record.
    let sequence: UInt64?
    let leaf: Digest256
}

extension LedgerVerifier {
    /// Finds out what happened at the record that `state.tree.size` expects. Reads on to the end of the segment.
    func diagnose(
        _ suspect: Suspect, _ stored: StoredLeaves, _ due: ArraySlice<Checkpoint>, _ reader: inout LineReader,
        _ state: inout VerificationState
    ) throws(LedgerError) {
        let expected = state.tree.size
        let checkpoint = due.first { $0.size > expected }
        var computed = state.tree
        computed.append(suspect.leaf, &state.hasher)
        var recordsHold = checkpoint?.size == computed.size && checkpoint?.root == computed.root(&state.hasher)
        var next: Suspect?
        var isFoundLater = false
        while let range = try reader.next() {
            let line = reader.buffer.span.extracting(range)
            let other = Suspect(sequence: RecordLine.parse(line)?.sequence, leaf: state.hasher.leaf(line))
            if next == nil { next = other }
            if other.sequence == expected { isFoundLater = true }
            if let checkpoint, computed.size < checkpoint.size {
                computed.append(other.leaf, &state.hasher)
                if computed.size == checkpoint.size { recordsHold = checkpoint.root == computed.root(&state.hasher) }
            }
        }
        if suspect.sequence == expected, recordsHold {
            state.report.finding = LedgerFinding(.badHash, expected)
            return
        }
        let kind = Self.kind(suspect, next, expected, stored, isFoundLater: isFoundLater)
        // Stored hashes that give the signed root are the right ones, and the record is the first bad one. Without
        // them, or where they were falsified, the order of sequence numbers still says where; a changed record does
        // not.
        let isPlain = kind != .altered || checkpoint == nil
        let isExact = isPlain || storedHold(until: checkpoint, from: state.tree, stored, &state.hasher)
        let range =
            isExact ? expected...expected : min(state.signedSize, expected)...(checkpoint?.size ?? expected + 1) - 1
        if kind == .missing, let sequence = suspect.sequence, sequence > expected {
            state.report.finding = LedgerFinding(.missing, expected...sequence - 1)
            return
        }
        state.report.finding = LedgerFinding(kind, range)
    }

    /// Where a finding is, made while the segment that begins with record `first` was verified.
    func place(of finding: LedgerFinding, in first: UInt64) -> LedgerPlace {
        let records = directory.name(first, .records)
        // Every line before the first bad record is in its place.
        let line = finding.sequence >= first ? Int(finding.sequence - first) + 1 : nil
        switch finding.kind {
        case .badCheckpoint: return LedgerPlace(directory.name(first, .checkpoints))
        case .badHash: return LedgerPlace(directory.name(first, .hashes))
        case .misplacedSegment: return LedgerPlace(records)
        case .altered, .inserted, .missing, .outOfOrder, .truncated, .forked, .rolledBack:
            return LedgerPlace(records, line: line)
        }
    }

    private static func kind(
        _ suspect: Suspect, _ next: Suspect?, _ expected: UInt64, _ stored: StoredLeaves, isFoundLater: Bool
    ) -> LedgerFinding.Kind {
        let isNextExpected = next.map { $0.sequence == expected && stored.agrees($0.leaf, at: expected) } ?? false
        guard let sequence = suspect.sequence else { return isNextExpected ? .inserted : .altered }
        if sequence == expected { return isNextExpected ? .inserted : .altered }
        // A changed digit in the sequence number leaves the following line in its place.
        if next?.sequence == expected + 1, suspect.leaf != stored.leaf(sequence) { return .altered }
        if sequence < expected { return .inserted }
        if isFoundLater { return isNextExpected && suspect.leaf != stored.leaf(sequence) ? .inserted : .outOfOrder }
        return .missing
    }

    private func storedHold(
        until checkpoint: Checkpoint?, from tree: MerkleTree, _ stored: StoredLeaves, _ hasher: inout MerkleHasher
    ) -> Bool {
        guard let checkpoint else { return false }
        var tree = tree
        while tree.size < checkpoint.size {
            guard let leaf = stored.leaf(tree.size) else { return false }
            tree.append(leaf, &hasher)
        }
        return tree.root(&hasher) == checkpoint.root
    }
}
