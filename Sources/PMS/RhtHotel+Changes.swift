internal import Availability
internal import Booking
public import Postgres
public import Stay

extension RhtHotel: PMSChangeFeed {
    /// Where the PMS says that its log has grown; the payload is of no interest, because what it names may not be all.
    public func notifications() -> Notifications {
        database.notifications(on: Channel("reservation_log_inserted"))
    }

    /// Rows of the log that are read at once.
    static let pageSize: Int32 = 1000

    /// How many of the newest numbers are looked through for missing ones at the start.
    private static let startSpan: Int64 = 10_000

    /// At the newest row, with what of the numbers before it is missing and may still come.
    public func startOfChanges() async throws -> ChangeLogPosition {
        let newest = try await database.first(ChangeStatements.newest()) ?? nil
        var position = ChangeLogPosition(after: max(0, (newest ?? 0) - Self.startSpan))
        while true {
            let page = try await changes(after: position)
            position = page.next
            if page.isComplete { return position }
        }
    }

    public func changes(after position: ChangeLogPosition) async throws -> ChangePage<ChangeLogPosition> {
        let missing = position.missing
        let rows = try await database.query(
            ChangeStatements.page(
                position.highest, missing.map(\.lowerBound), missing.map(\.upperBound), Self.pageSize))
        guard let first = rows.first else { throw PostgresError(.decoding, "no snapshot was told") }
        let found = rows.compactMap(\.row)
        let isComplete = found.count < Int(Self.pageSize)
        var next = position
        next.advance(found.map(\.number), isComplete: isComplete, firstRunning: first.firstRunning)
        if let newest = found.last, newest.number == next.highest { next.mark = newest.mark }
        try await bound(&next)
        return ChangePage(
            next: next, entryCount: found.count, nights: found.compactMap(\.change),
            doubtful: Set(found.filter(\.isDoubtful).map(\.hotel)), isComplete: isComplete,
            isContinued: position.mark == nil || position.mark == first.mark)
    }

    /// Finds out who may have the numbers that were missed.
    func bound(_ position: inout ChangeLogPosition) async throws {
        guard position.isUnbound, let own = try await database.first(RhtHotel.ownTransaction()) else { return }
        position.bound(before: UInt64(own))
    }

    /// The number of the transaction that asks.
    nonisolated static let ownTransaction = Statement<Int64>(
        "rht.own_transaction", "SELECT pg_current_xact_id()::TEXT::BIGINT"
    ) { row in try row.next() }

    public func takenCounts(of hotel: Int32, rooms: [Int32], nights: [Day]) async throws -> [NightCount] {
        let (wantedRooms, wantedNights) = (Set(rooms), Set(nights))
        let waiting = try await waitingNights([hotel], from: nights.min() ?? .first).filter { night in
            wantedNights.contains(night.night) && (night.room.map { wantedRooms.contains($0) } ?? true)
        }
        let counts = try await database.query(ChangeStatements.counts(hotel, rooms, nights))
        guard !waiting.isEmpty else { return counts }
        var sums: [TakenNight: Int32] = [:]
        for count in counts { sums[TakenNight(room: count.room, night: count.night), default: 0] += count.count }
        for night in waiting { sums[TakenNight(room: night.room, night: night.night), default: 0] += 1 }
        return sums.map { NightCount(room: $0.key.room, night: $0.key.night, count: $0.value) }
    }
}

/// A row of the log as far as it matters, with the first transaction that ran when it was read; without a row where there was none to see.
struct ChangeLogRow: Sendable {
    let firstRunning: UInt64
    /// Of the row that was the newest at the last reading; nil where it is gone.
    let mark: String?
    let row: Row?

    struct Row: Sendable {
        let number: Int64
        let mark: String
        /// Whether it is about a night.
        let isNight: Bool
        let hotel: Int32?
        /// The change's versions of the night: before and after, as far as there are both.
        let places: [NightChange.Place?]

        var isDoubtful: Bool {
            let places = places.compactMap { $0 }
            return isNight && (hotel == nil || places.isEmpty || places.contains { $0.night == nil })
        }

        var change: NightChange? {
            guard isNight, !isDoubtful, let hotel else { return nil }
            return NightChange(hotel: hotel, places: Set(places.compactMap { $0 }))
        }
    }
}

private enum ChangeStatements {
    static let newest = Statement<Int64?>("rht.newest_change", "SELECT max(id)::BIGINT FROM logs_reservation") { row in
        try row.next()
    }

    /// What is known of transactions stands in every row, and in one of its own where there is none else. What may hold anything is read as
    /// text and taken as a number or a date only where it has the form of one.
    static let page = Statement<ChangeLogRow, Int64, [Int64], [Int64], Int32>(
        "rht.changes",
        """
        WITH found AS MATERIALIZED (
            SELECT id, record_id::TEXT || '/' || xmin::TEXT AS mark, table_name, action, changes
            FROM logs_reservation WHERE id > $1
            UNION ALL
            SELECT log.id, log.record_id::TEXT || '/' || log.xmin::TEXT, log.table_name, log.action, log.changes
            FROM unnest($2, $3) AS gap (low, high) JOIN logs_reservation AS log ON log.id BETWEEN gap.low AND gap.high
            ORDER BY id LIMIT $4
        ), version AS (
            SELECT id, mark, table_name LIKE 'reservation\\_details%' AS is_night,
                   substring(table_name FROM '_([0-9]{1,9})$') AS partition,
                   CASE action WHEN 'INSERT' THEN NULL WHEN 'DELETE' THEN changes ELSE changes -> 'old' END AS old,
                   CASE action WHEN 'INSERT' THEN changes WHEN 'DELETE' THEN NULL ELSE changes -> 'new' END AS new
            FROM found
        )
        SELECT pg_snapshot_xmin(snapshot)::TEXT::BIGINT,
               (SELECT record_id::TEXT || '/' || xmin::TEXT FROM logs_reservation WHERE id = $1),
               id::BIGINT, mark, is_night, COALESCE(new ->> 'hotel_id', old ->> 'hotel_id', partition),
               old IS NOT NULL, old ->> 'room_id', old ->> 'date', new IS NOT NULL, new ->> 'room_id', new ->> 'date'
        FROM pg_current_snapshot() AS snapshot LEFT JOIN version ON TRUE
        ORDER BY id
        """
    ) { row in
        let firstRunning = UInt64(try row.next(Int64.self))
        let lastMark = try row.next(String?.self)
        let number = try row.next(Int64?.self)
        let mark = try row.next(String?.self)
        let isNight = try row.next(Bool?.self)
        let hotel = try row.next(String?.self).flatMap { Int32($0) }
        var places: [NightChange.Place?] = []
        for _ in 0..<2 {
            let isThere = try row.next(Bool.self)
            let room = try row.next(String?.self).flatMap { Int32($0) }
            let night = try row.next(String?.self).flatMap { Day($0) }
            places.append(isThere ? NightChange.Place(room: room, night: night) : nil)
        }
        guard let number, let mark, let isNight else {
            return ChangeLogRow(firstRunning: firstRunning, mark: lastMark, row: nil)
        }
        return ChangeLogRow(
            firstRunning: firstRunning, mark: lastMark,
            row: .init(number: number, mark: mark, isNight: isNight, hotel: hotel, places: places))
    }

    static let counts = Statement<NightCount, Int32, [Int32], [Day]>(
        "rht.taken_counts",
        """
        SELECT room_id, date, count(*)::INTEGER FROM reservation_details
        WHERE hotel_id = $1 AND (room_id = ANY ($2) OR room_id IS NULL) AND date = ANY ($3) AND cancelled IS NULL
        GROUP BY room_id, date
        """
    ) { row in NightCount(room: try row.next(), night: try row.next(), count: try row.next()) }
}
