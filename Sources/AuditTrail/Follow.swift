internal import Ledger

/// The newest records, and those to come, across segments and starts of the writer.
struct Follow {
    /// How many records are shown that were there before.
    static let backlog = 10

    let ledger: String
    let query: TrailQuery

    /// Gives each record to `body`, in order, until `wait` says that it is over.
    ///
    /// - Parameter wait: called when there is nothing new; returns after a while, or false to end.
    func run(wait: () throws -> Bool, _ body: (TrailRecord, Span<UInt8>) throws -> Void) throws {
        let filter = query.filter
        var next = try lastRecords(filter)
        while true {
            let segments = try LedgerSegment.all(in: ledger)
            guard let segment = segments.last(where: { $0.first <= next }) ?? segments.first,
                let reader = try TrailScan.open(segment)
            else {
                guard try wait() else { return }
                continue
            }
            guard try follow(reader, &next, filter, wait: wait, body) else { return }
        }
    }

    /// Follows one segment until the next one is begun; false when it is over.
    private func follow(
        _ reader: consuming SegmentReader, _ next: inout UInt64, _ filter: LineFilter, wait: () throws -> Bool,
        _ body: (TrailRecord, Span<UInt8>) throws -> Void
    ) throws -> Bool {
        let segment = reader.segment
        var following: UInt64?
        while true {
            while try take(&reader, &next, filter, body) {}
            // Once a segment is followed by another, its end is its end: all of it was there before the other.
            if let following {
                next = max(next, following)
                return true
            }
            let segments = try LedgerSegment.all(in: ledger)
            guard segments.contains(segment) else {
                // Begun in vain on a full disk, and taken back: its records will be others.
                if segments.last?.first ?? 0 < segment.first { next = min(next, segment.first) }
                return true
            }
            // One that has no complete line yet may still be taken back.
            if let newer = segments.first(where: { $0.first > segment.first }), try TrailScan.time(of: newer) != nil {
                following = newer.first
            } else if try !wait() {
                return false
            }
        }
    }

    private func take(
        _ reader: inout SegmentReader, _ next: inout UInt64, _ filter: LineFilter,
        _ body: (TrailRecord, Span<UInt8>) throws -> Void
    ) throws -> Bool {
        let name = reader.segment.name
        return try reader.next { line, bytes in
            guard line.sequence >= next else { return }
            next = line.sequence + 1
            guard case .maybe = filter.check(bytes) else { return }
            let record = TrailRecord(line, in: name, bytes)
            if query.matches(record) { try body(record, bytes) }
        } != nil
    }

    /// The record to begin with, so that some of the newest segment's are shown.
    private func lastRecords(_ filter: LineFilter) throws -> UInt64 {
        guard let last = try LedgerSegment.all(in: ledger).last, var reader = try TrailScan.open(last) else { return 0 }
        var newest: [UInt64] = []
        var next = last.first
        while try reader.next({ line, bytes in
            next = line.sequence + 1
            let isWanted =
                query.isEmpty || filter.check(bytes) == .maybe && query.matches(TrailRecord(line, in: last.name, bytes))
            guard isWanted else { return }
            if newest.count == Self.backlog { newest.removeFirst() }
            newest.append(line.sequence)
        }) != nil {}
        return newest.first ?? next
    }
}
