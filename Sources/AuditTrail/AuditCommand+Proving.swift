internal import Cryptography
internal import JSONText
internal import Ledger

/// What does not believe the ledger, and what makes others believe it.
extension AuditCommand {
    func verify(
        _ location: LedgerLocation, checkpoint: String?, remembered: String?, _ session: AuditSession
    ) throws -> Int32 {
        let keys = try location.keys(file: key)
        var known = try checkpoint.map { try checkpoints(file: $0, keys).map(\.checkpoint) } ?? []
        var rememberedNote: String?
        if let remembered, try CheckpointFile.exists(remembered) {
            let notes = try checkpoints(file: remembered, keys)
            known += notes.map(\.checkpoint)
            rememberedNote = notes.last?.note
        }
        // Taken before the records are read, so that it is among those verified.
        let newest = remembered == nil ? nil : try? newestCheckpoint(location, keys)
        if let newest { known.append(newest.checkpoint) }
        let report = try report(location, keys, known, session)
        try session.output.line("ledger \(keys.origin) in \(location.records)")
        let advice = keys.areTheLedgersOwn ? ", beside the ledger: better give a copy kept elsewhere by --key" : ""
        try session.output.line("keys   \(keys.file)\(advice)")
        if let finding = report.finding {
            for line in VerificationText.failure(finding, report) { try session.output.line(line) }
            return 1
        }
        guard report.size > report.first else {
            throw AuditFailure.negative("there are no records in \(location.records)")
        }
        for line in VerificationText.success(report) { try session.output.line(line) }
        if let remembered, let newest, newest.note != rememberedNote {
            try CheckpointFile.write(newest.note, to: remembered)
            try session.output.line("kept   the checkpoint over \(newest.checkpoint.size) records in \(remembered)")
        }
        return 0
    }

    private func report(
        _ location: LedgerLocation, _ keys: LedgerLocation.Keys, _ known: [Checkpoint], _ session: AuditSession
    ) throws -> LedgerReport {
        let verifier = LedgerVerifier(
            directory: location.records, origin: keys.origin, keys: keys.verifiers, known: known)
        var progress = VerificationProgress(session: session)
        defer { progress.clear() }
        for _ in 0..<3 {
            // A segment that retention removes meanwhile is no damage: what is left is verified from its beginning.
            do { return try verifier.verify { progress.show($0) } } catch { guard error.isAbsence else { throw error } }
        }
        return try verifier.verify { progress.show($0) }
    }

    func prove(_ sequence: UInt64, _ location: LedgerLocation, _ session: AuditSession) throws -> Int32 {
        let keys = try location.keys(file: key)
        let newest = try newestCheckpoint(location, keys)
        guard let found = try TrailRequest(ledger: location.records).record(sequence) else {
            throw AuditFailure.negative("there is no record \(sequence)")
        }
        guard sequence < newest.checkpoint.size else {
            throw AuditFailure.negative(
                "record \(sequence) is not signed for yet: the newest checkpoint covers \(newest.checkpoint.size) records; "
                    + "the next one will be signed soon")
        }
        var proofs = try LedgerProofs.open(directory: location.records)
        let inclusion = try proofs.inclusion(of: sequence, size: newest.checkpoint.size)
        let proof = InclusionProof(
            record: String(decoding: found.bytes, as: UTF8.self), leafHash: inclusion.leaf, leafIndex: sequence,
            treeSize: newest.checkpoint.size, auditPath: inclusion.path, checkpoint: newest.note)
        return try give(proof.json, session) { try proof.verify(by: keys) }
    }

    func proveConsistency(
        _ old: String, _ new: String?, _ location: LedgerLocation, _ session: AuditSession
    ) throws -> Int32 {
        let keys = try location.keys(file: key)
        guard let older = try checkpoints(file: old, keys).last else { throw AuditFailure.data("\(old) is empty") }
        let newer = try new.map { try checkpoints(file: $0, keys).last } ?? newestCheckpoint(location, keys)
        guard let newer else { throw AuditFailure.data("\(new ?? "") is empty") }
        let (first, second) = (older.checkpoint, newer.checkpoint)
        guard first.size <= second.size else {
            throw AuditFailure.negative(
                "NOT consistent: \(old) was signed for \(first.size) records, and "
                    + (new ?? "the newest checkpoint of the ledger")
                    + " is for \(second.size): the ledger was rolled back, "
                    + "or the order of the two is wrong")
        }
        let proof: ConsistencyProof
        do {
            proof = try consistency(from: older, to: newer, location)
        } catch let error as LedgerError where error.code == .outOfRange {
            throw AuditFailure.negative(
                "cannot be shown: hashes that the proof needs were removed with old records, by retention "
                    + "(\(error.message))")
        }
        return try give(proof.json, session) { try proof.verify(by: keys) }
    }

    private typealias Signed = (checkpoint: Checkpoint, note: String)

    private func consistency(
        from older: Signed, to newer: Signed, _ location: LedgerLocation
    ) throws -> ConsistencyProof {
        let (first, second) = (older.checkpoint, newer.checkpoint)
        var proofs = try LedgerProofs.open(directory: location.records)
        guard try proofs.root(size: second.size) == second.root else {
            throw AuditFailure.negative(
                "NOT consistent: the hashes stored here do not give the root that was signed for \(second.size) records; "
                    + "drawbridge audit verify says what is wrong")
        }
        guard try proofs.root(size: first.size) == first.root else {
            throw AuditFailure.negative(
                "NOT consistent: the first \(first.size) records of the ledger are not those that the older checkpoint was "
                    + "signed for: the ledger was forked, or written anew")
        }
        return ConsistencyProof(
            first: first.size, second: second.size,
            consistency: try proofs.consistency(from: first.size, to: second.size), firstCheckpoint: older.note,
            secondCheckpoint: newer.note)
    }

    func verifyProof(_ file: String, _ session: AuditSession) throws -> Int32 {
        let proof = try LedgerProof(parsing: LedgerLocation.read(file, bound: 4 << 20))
        let keys =
            try key.map { try LedgerLocation.keys(in: $0) }
            ?? LedgerLocation(home: session.home, ledger: ledger).keys(file: nil)
        try session.output.line("OK     \(proof.verify(by: keys))")
        return 0
    }

    /// A proof is checked before it is given away: hashes are stored to be quick, and may be damaged.
    private func give(_ json: String, _ session: AuditSession, check: () throws -> String) throws -> Int32 {
        let statement: String
        do { statement = try check() } catch let failure as AuditFailure where failure.status == 1 {
            throw AuditFailure.negative(
                "\(failure.message); the ledger or its stored hashes are damaged: drawbridge audit verify says more")
        }
        let value = try JSONValue(parsing: Array(json.utf8))
        try session.output.line(IndentedJSON.text(value))
        try session.remarks.line("OK     \(statement)")
        return 0
    }

    private func newestCheckpoint(
        _ location: LedgerLocation, _ keys: LedgerLocation.Keys
    ) throws -> Signed {
        let newest = try StoredCheckpoints.newest(in: location.records, origin: keys.origin, keys: keys.verifiers)
        guard let newest else { throw AuditFailure.negative("the ledger has not signed a checkpoint yet") }
        return newest
    }

    private func checkpoints(
        file: String, _ keys: LedgerLocation.Keys
    ) throws -> [Signed] {
        let bytes = try LedgerLocation.read(file)
        do {
            return try StoredCheckpoints.notes(in: bytes).map { note in
                (
                    try Checkpoint(verifying: SignedNote(parsing: note), origin: keys.origin, by: keys.verifiers), note
                )
            }
        } catch let error as LedgerError {
            throw AuditFailure.data("\(file): \(error.message)")
        }
    }
}
