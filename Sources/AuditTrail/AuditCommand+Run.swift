internal import Glibc
internal import JSONText
internal import Ledger

extension AuditCommand {
    /// Does what is asked for; returns the exit status.
    public func run(_ session: AuditSession) -> Int32 {
        do {
            let status = try perform(session)
            try session.output.flush()
            try session.remarks.flush()
            return status
        } catch is TrailOutput.Closed {
            return 0
        } catch {
            let failure = failure(error)
            try? session.output.flush()
            try? session.remarks.line("drawbridge: \(failure.message)")
            try? session.remarks.flush()
            return failure.status
        }
    }

    private func failure(_ error: any Error) -> AuditFailure {
        switch error {
        case let failure as AuditFailure: return failure
        case let error as LedgerError:
            guard case .system(let number) = error.code else { return .negative(error.message) }
            if number == EACCES || number == EPERM {
                return .noPermission("\(error.message): the ledger may be read only by its owner; run this as root")
            }
            return .disk(error.message)
        default: return .negative("\(error)")
        }
    }

    private func perform(_ session: AuditSession) throws -> Int32 {
        if case .verifyProof(let file) = task { return try verifyProof(file, session) }
        let location = try LedgerLocation(home: session.home, ledger: ledger)
        switch task {
        case .verify(let checkpoint, let remembered):
            return try verify(location, checkpoint: checkpoint, remembered: remembered, session)
        case .show(let name): return try show(name, location, session)
        case .follow(let options): return try follow(query(options, location, session), location, session)
        case .search(let options): return try search(query(options, location, session), location, session)
        case .prove(let sequence): return try prove(sequence, location, session)
        case .verifyProof(let file): return try verifyProof(file, session)
        case .consistency(let old, let new): return try proveConsistency(old, new, location, session)
        case .export(let format, let options):
            return try export(format, query(options, location, session), location, session)
        case .lookup(let text, let auditKey): return try lookup(text, auditKey: auditKey, location, session)
        }
    }
}

// MARK: Reading

extension AuditCommand {
    private func query(
        _ options: QueryOptions, _ location: LedgerLocation, _ session: AuditSession
    ) throws -> TrailQuery {
        var query = options.query(now: session.now)
        // Who is named by an address does not stand in records by that name.
        if let principal = query.principal, principal.contains("@") {
            var hash = PersonalHash(key: try location.auditKey(file: nil))
            query.principal = hash.text(for: principal)
        }
        return query
    }

    private func print(_ record: TrailRecord, _ bytes: Span<UInt8>, _ session: AuditSession) throws {
        if isRaw {
            try session.output.line(bytes)
        } else {
            try session.output.line(TrailLine.text(record))
        }
    }

    private func search(_ query: TrailQuery, _ location: LedgerLocation, _ session: AuditSession) throws -> Int32 {
        try TrailScan(ledger: location.records, query: query).run { record, bytes in
            try print(record, bytes, session)
            return .more
        }
        return 0
    }

    private func follow(_ query: TrailQuery, _ location: LedgerLocation, _ session: AuditSession) throws -> Int32 {
        session.takeSignals()
        let follow = Follow(ledger: location.records, query: query)
        func wait() throws -> Bool {
            try session.output.flush()
            return session.wait()
        }
        try follow.run(wait: wait) { record, bytes in try print(record, bytes, session) }
        return 0
    }

    private func export(
        _ format: Format, _ query: TrailQuery, _ location: LedgerLocation, _ session: AuditSession
    ) throws -> Int32 {
        let commonEventFormat = CommonEventFormat(release: session.release)
        var query = query
        query.isForRequests = true
        try TrailScan(ledger: location.records, query: query).run { record, bytes in
            switch format {
            case .ocsf: if let object = record.object { try session.output.line(bytes.extracting(object)) }
            case .cef: if let line = commonEventFormat.line(record) { try session.output.line(line) }
            }
            return .more
        }
        return 0
    }

    private func show(_ name: String, _ location: LedgerLocation, _ session: AuditSession) throws -> Int32 {
        let request = TrailRequest(ledger: location.records)
        let records: [TrailRequest.Found]
        // A request id has 32 digits, more than any record's number.
        if name.utf8.count < 20, let sequence = UInt64(name) {
            records = try request.records(withRecord: sequence)
        } else {
            records = try request.records(ofRequest: name)
        }
        guard !records.isEmpty else { throw AuditFailure.negative("there is no record \(TrailLine.visible(name))") }
        for found in records {
            if isRaw {
                try session.output.line(found.bytes.span)
                continue
            }
            try session.output.line("# \(TrailLine.text(found.record))")
            try session.output.line(
                "# record \(found.record.sequence), \(found.record.file) line \(found.record.lineNumber)")
            let text =
                found.record.json == .null
                ? TrailLine.visible(String(decoding: found.bytes, as: UTF8.self)) : IndentedJSON.text(found.record.json)
            try session.output.line(text)
        }
        return 0
    }

    private func lookup(
        _ text: String, auditKey: String?, _ location: LedgerLocation, _ session: AuditSession
    ) throws -> Int32 {
        var text = text
        if text == "-" {
            text = String(decoding: try LedgerLocation.read("-", bound: 64 << 10), as: UTF8.self)
            if text.last?.isNewline ?? false { text.removeLast() }
        }
        var hash = PersonalHash(key: try location.auditKey(file: auditKey))
        var query = TrailQuery()
        for (spelling, value) in PersonalHash.spellings(of: text) {
            let hashed = hash.text(for: value)
            query.texts.append(hashed)
            if !isRaw { try session.output.line("# \(hashed) (\(spelling))") }
        }
        return try search(query, location, session)
    }
}
