internal import Ledger

/// Finds single records, and those that belong together: the decision about a request and its outcome.
struct TrailRequest {
    /// A record with the bytes of its line.
    struct Found {
        let record: TrailRecord
        let bytes: [UInt8]

        init(_ record: TrailRecord, _ bytes: Span<UInt8>) {
            self.record = record
            self.bytes = bytes.withUnsafeBufferPointer { Array($0) }
        }
    }

    /// How far the records of one request may be apart.
    private static let reach: Int64 = 3600 * 1000

    /// The directory of the segments.
    let ledger: String

    /// The record with that sequence number.
    func record(_ sequence: UInt64) throws -> Found? {
        guard let segment = try LedgerSegment.all(in: ledger).last(where: { $0.first <= sequence }),
            var reader = try TrailScan.open(segment)
        else { return nil }
        var found: Found?
        while found == nil {
            let wasThere: Void? = try reader.next { line, bytes in
                if line.sequence == sequence { found = Found(TrailRecord(line, in: segment.name, bytes), bytes) }
            }
            if wasThere == nil { break }
        }
        return found
    }

    /// The record with that sequence number, and those of the same request.
    func records(withRecord sequence: UInt64) throws -> [Found] {
        guard let found = try record(sequence) else { return [] }
        guard let id = found.record.requestID, let time = found.record.time else { return [found] }
        let all = try records(TrailQuery(since: time - Self.reach, until: time + Self.reach, requestID: id))
        return all.contains { $0.record.sequence == sequence } ? all : [found]
    }

    /// The records of a request; from the newest segment back, because it is recent requests that are asked about.
    func records(ofRequest id: String) throws -> [Found] {
        let query = TrailQuery(requestID: id)
        let filter = query.filter
        for segment in try LedgerSegment.all(in: ledger).reversed() {
            guard var reader = try TrailScan.open(segment) else { continue }
            var time: Int64?
            while time == nil {
                let wasThere: Void? = try reader.next { line, bytes in
                    guard filter.check(bytes) == .maybe else { return }
                    let record = TrailRecord(line, in: segment.name, bytes)
                    if query.matches(record) { time = record.time }
                }
                if wasThere == nil { break }
            }
            guard let time else { continue }
            return try records(TrailQuery(since: time - Self.reach, until: time + Self.reach, requestID: id))
        }
        return []
    }

    private func records(_ query: TrailQuery) throws -> [Found] {
        var found: [Found] = []
        try TrailScan(ledger: ledger, query: query).run { record, bytes in
            found.append(Found(record, bytes))
            return .more
        }
        return found
    }
}
