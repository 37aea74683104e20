internal import Glibc
internal import Ledger

/// Which records are asked for. A record must answer to everything that is asked.
struct TrailQuery {
    /// From that time on, in milliseconds since 1970.
    var since: Int64?
    /// Before that time.
    var until: Int64?
    /// The subject, or the application that acts.
    var principal: String?
    var hotel: Int64?
    var route: String?
    var verdict: String?
    var rule: Int64?
    var address: AddressRange?
    var requestID: String?
    /// Any of these texts somewhere in the record; for keyed hashes, which need no escaping.
    var texts: [String] = []
    /// Only records of requests, which other programs have a form for.
    var isForRequests = false
    /// The first so many of them.
    var limit: Int?

    /// Whether every record is asked for.
    var isEmpty: Bool {
        since == nil && until == nil && principal == nil && hotel == nil && route == nil && verdict == nil
            && rule == nil
            && address == nil && requestID == nil && texts.isEmpty && !isForRequests
    }

    /// Whether a record is one of those asked for.
    func matches(_ record: TrailRecord) -> Bool {
        if since != nil || until != nil {
            guard let time = record.time, time >= since ?? .min, time < until ?? .max else { return false }
        }
        if let principal, record.principal != principal, record.client != principal { return false }
        if let hotel, record.hotel != hotel { return false }
        if let route, record.route != route { return false }
        if let verdict, record.verdict != verdict { return false }
        if let rule, !record.rules.contains(where: { $0.id == rule }) { return false }
        if let requestID, record.requestID != requestID { return false }
        if isForRequests, record.kind != .decision, record.kind != .outcome { return false }
        if let address, !(record.address.map(address.contains) ?? false) { return false }
        return true
    }

    /// Finds lines that may be asked for by their bytes.
    var filter: LineFilter {
        var marks: [[UInt8]?] = []
        if let principal { marks.append(TrailMark.principal(principal)) }
        if let hotel { marks.append(TrailMark.hotel(hotel)) }
        if let route { marks.append(TrailMark.route(route)) }
        if let verdict { marks.append(TrailMark.verdict(verdict)) }
        if let rule { marks.append(TrailMark.rule(rule)) }
        if let requestID { marks.append(TrailMark.requestID(requestID)) }
        return LineFilter(
            all: marks.compactMap { $0.map { ByteSearch($0) } }, any: texts.map { ByteSearch(Array($0.utf8)) },
            since: since ?? .min, until: until ?? .max)
    }
}

/// Says of a line's bytes whether it is worth being read as JSON.
struct LineFilter {
    enum Answer {
        case no
        case maybe
        /// No, and so late that no line behind it is asked for.
        case tooLate
    }

    /// How far records may stand from the order of their times: a record waits while the ledger is away, and a clock
    /// may have been set.
    static let slack: Int64 = 10 * 60 * 1000

    let all: [ByteSearch]
    let any: [ByteSearch]
    let since: Int64
    let until: Int64

    func check(_ line: Span<UInt8>) -> Answer {
        line.withUnsafeBytes { bytes in
            if since > .min || until < .max {
                guard let time = Self.time(in: bytes) else { return .no }
                if until < .max - Self.slack, time >= until + Self.slack { return .tooLate }
                guard time >= since, time < until else { return .no }
            }
            guard all.allSatisfy({ $0.offset(in: bytes) != nil }) else { return .no }
            guard any.isEmpty || any.contains(where: { $0.offset(in: bytes) != nil }) else { return .no }
            return .maybe
        }
    }

    private static func time(in bytes: UnsafeRawBufferPointer) -> Int64? {
        guard let start = TrailMark.time.offset(in: bytes) else { return nil }
        var position = start + TrailMark.time.text.count
        var time: Int64 = 0
        var digits = 0
        // 18 digits always fit.
        while position < bytes.count, digits < 18, case let digit = bytes[position] &- 48, digit < 10 {
            time = time * 10 + Int64(digit)
            position += 1
            digits += 1
        }
        return digits > 0 ? time : nil
    }

}

/// Goes through a ledger's records in bounded memory.
struct TrailScan {
    /// The directory of the segments.
    let ledger: String
    let query: TrailQuery

    /// Whether to go on.
    enum Continuation { case more, enough }

    /// Gives each record asked for to `body`, in order, with the bytes of its line.
    func run(_ body: (TrailRecord, Span<UInt8>) throws -> Continuation) throws {
        let filter = query.filter
        var left = query.limit ?? .max
        for segment in try candidates() where left > 0 {
            guard var reader = try Self.open(segment) else { continue }
            var isOver = false
            while !isOver {
                let wasThere: Void? = try reader.next { line, bytes in
                    switch filter.check(bytes) {
                    case .no: return
                    case .tooLate: isOver = true
                    case .maybe:
                        let record = TrailRecord(line, in: segment.name, bytes)
                        guard query.matches(record) else { return }
                        left -= 1
                        if try body(record, bytes) == .enough { left = 0 }
                        isOver = left == 0
                    }
                }
                if wasThere == nil { break }
            }
        }
    }

    /// The segments that can hold what is asked for, by the times at which they were begun.
    private func candidates() throws -> [LedgerSegment] {
        let segments = try LedgerSegment.all(in: ledger)
        guard query.since != nil || query.until != nil else { return segments }
        var candidates: [LedgerSegment] = []
        for (index, segment) in segments.enumerated() {
            if let since = query.since, index + 1 < segments.count, let end = try Self.time(of: segments[index + 1]),
                end < since - LineFilter.slack
            {
                continue
            }
            if let until = query.until, let begin = try Self.time(of: segment), begin > until + LineFilter.slack {
                break
            }
            candidates.append(segment)
        }
        return candidates
    }

    /// When a segment was begun; `nil` where nothing says so (yet), or retention has removed it meanwhile.
    static func time(of segment: LedgerSegment) throws -> Int64? {
        do {
            return try segment.time.map { Int64(clamping: $0) }
        } catch {
            // A `where` here makes the compiler crash (Swift 6.3.1).
            guard error.isAbsence else { throw error }
            return nil
        }
    }

    /// `nil` where retention has removed the segment meanwhile.
    static func open(_ segment: LedgerSegment) throws -> SegmentReader? {
        do {
            return try SegmentReader.open(segment)
        } catch {
            guard error.isAbsence else { throw error }
            return nil
        }
    }
}

extension LedgerError {
    /// Whether a file is not there (any more).
    var isAbsence: Bool { code == .system(errno: ENOENT) }
}
