public import Booking
internal import Postgres
public import Stay

extension RhtHotel {
    /// Whether the log still has the row that was its newest when it was read last.
    public func logHas(_ position: ChangeLogPosition) async throws -> Bool {
        guard let mark = position.mark else { return true }
        return try await database.first(ReservationChangeStatements.mark(position.highest)) == mark
    }

    /// What has changed about reservations since a position of the log.
    ///
    /// Our own changes are among them: each says by which transaction it was made.
    public func reservationChanges(
        after position: ChangeLogPosition
    ) async throws -> ReservationChangePage<ChangeLogPosition> {
        let missing = position.missing
        let rows = try await database.query(
            ReservationChangeStatements.page(
                position.highest, missing.map(\.lowerBound), missing.map(\.upperBound), Self.pageSize))
        guard let first = rows.first else { throw PostgresError(.decoding, "no snapshot was told") }
        let found = rows.filter { $0.number != nil }
        var numbers: [Int64] = []
        for row in found { if let number = row.number, number != numbers.last { numbers.append(number) } }
        let isComplete = numbers.count < Int(Self.pageSize)
        var next = position
        next.advance(numbers, isComplete: isComplete, firstRunning: first.firstRunning)
        if let newest = found.last, newest.number == next.highest { next.mark = newest.mark }
        try await bound(&next)
        return ReservationChangePage(
            next: next, changes: found.compactMap(\.change), isComplete: isComplete,
            isContinued: position.mark == nil || position.mark == first.lastMark)
    }

    /// The reservations that take any of these room-nights together with another one.
    public func reservations(sharing places: [RoomNight]) async throws -> [BookingID] {
        try await database.query(
            ReservationChangeStatements.sharing(
                Array(Set(places.map(\.hotel))), places.map(\.hotel), places.map(\.room), places.map(\.night)))
    }
}

extension RhtHotel {
    /// A reservation that stands in a booking engine's name.
    public struct OwnReservation: Sendable {
        public let hotel: Int32
        public let id: BookingID
        /// The id of the booking engine's booking.
        public let engineID: String?
    }

    /// The reservations to come that were made under a name, but for cancelled ones.
    ///
    /// - Parameter hotel: nil for all.
    public func reservations(of agent: String, hotel: Int32?) async throws -> [OwnReservation] {
        try await database.query(ReservationChangeStatements.ofAgent(agent, hotel))
    }
}

/// Changes of reservations that became known together.
public struct ReservationChangePage<Position: Sendable>: Sendable {
    /// From where to go on.
    public let next: Position
    public let changes: [LoggedReservationChange]
    /// Whether these are all that there were.
    public let isComplete: Bool
    /// Whether the log goes on from the position: `ChangePage.isContinued`.
    public let isContinued: Bool
}

/// That something about a reservation, or one of its nights, has changed.
public struct LoggedReservationChange: Sendable {
    public let reservation: BookingID
    /// The number of the transaction that wrote it, of which PostgreSQL gives each again after four billion.
    public let writer: Int64
    /// Where the reservation takes a room since; nil where it does not.
    public let taken: RoomNight?
    /// The hotel, where the log says it.
    public let hotel: Int32?
}

/// A night of a room.
public struct RoomNight: Hashable, Sendable {
    public let hotel: Int32
    public let room: Int32
    public let night: Day

    public init(hotel: Int32, room: Int32, night: Day) {
        self.hotel = hotel
        self.room = room
        self.night = night
    }
}

/// A version of a row that the log tells of.
private struct Row: Sendable {
    let firstRunning: UInt64
    let lastMark: String?
    let number: Int64?
    let mark: String?
    let change: LoggedReservationChange?
}

private enum ReservationChangeStatements {
    static let mark = Statement<String, Int64>(
        "rht.log_mark", "SELECT record_id::TEXT || '/' || xmin::TEXT FROM logs_reservation WHERE id = $1"
    ) { row in try row.next() }

    /// One row for each version, old or new, of a reservation or a night of one; one without a version for each other row
    /// of the log. What may hold anything is read as text and taken for what it is only where it has its form.
    static let page = Statement<Row, Int64, [Int64], [Int64], Int32>(
        "rht.reservation_changes",
        """
        WITH found AS MATERIALIZED (
            SELECT id, xmin AS writer, table_name, action, record_id, changes FROM logs_reservation WHERE id > $1
            UNION ALL
            SELECT log.id, log.xmin, log.table_name, log.action, log.record_id, log.changes
            FROM unnest($2, $3) AS gap (low, high) JOIN logs_reservation AS log ON log.id BETWEEN gap.low AND gap.high
            ORDER BY id LIMIT $4
        ), version AS (
            SELECT id, writer, record_id::TEXT AS record, table_name LIKE 'reservations%' AS is_reservation,
                   substring(table_name FROM '_([0-9]{1,9})$') AS partition, is_new,
                   CASE WHEN action IN ('INSERT', 'DELETE') THEN changes
                        WHEN is_new THEN changes -> 'new' ELSE changes -> 'old' END AS content
            FROM found
            CROSS JOIN LATERAL (VALUES (TRUE), (FALSE)) AS side (is_new)
            WHERE (table_name LIKE 'reservations%' OR table_name LIKE 'reservation\\_details%')
              AND action <> CASE WHEN is_new THEN 'DELETE' ELSE 'INSERT' END
        )
        SELECT pg_snapshot_xmin(snapshot)::TEXT::BIGINT,
               (SELECT record_id::TEXT || '/' || xmin::TEXT FROM logs_reservation WHERE id = $1),
               found.id::BIGINT, found.record_id::TEXT || '/' || found.writer::TEXT, found.writer::TEXT::BIGINT,
               CASE WHEN is_reservation THEN record ELSE content ->> 'reservation_id' END,
               COALESCE(content ->> 'hotel_id', partition),
               is_new AND NOT is_reservation AND content ->> 'cancelled' IS NULL,
               content ->> 'room_id', content ->> 'date'
        FROM pg_current_snapshot() AS snapshot
        LEFT JOIN found ON TRUE LEFT JOIN version ON version.id = found.id
        ORDER BY found.id
        """
    ) { row in
        let firstRunning = UInt64(try row.next(Int64.self))
        let lastMark = try row.next(String?.self)
        let number = try row.next(Int64?.self)
        let mark = try row.next(String?.self)
        let writer = try row.next(Int64?.self)
        let reservation = try row.next(String?.self).flatMap { BookingID($0) }
        let hotel = try row.next(String?.self).flatMap { Int32($0) }
        let takes = try row.next(Bool?.self) ?? false
        let room = try row.next(String?.self).flatMap { Int32($0) }
        let night = try row.next(String?.self).flatMap { Day($0) }
        var change: LoggedReservationChange?
        if let reservation, let writer {
            var taken: RoomNight?
            if takes, let hotel, let room, let night { taken = RoomNight(hotel: hotel, room: room, night: night) }
            change = LoggedReservationChange(reservation: reservation, writer: writer, taken: taken, hotel: hotel)
        }
        return Row(firstRunning: firstRunning, lastMark: lastMark, number: number, mark: mark, change: change)
    }

    static let ofAgent = Statement<RhtHotel.OwnReservation, String, Int32?>(
        "rht.reservations_of_agent",
        """
        SELECT hotel_id, id, ota_reservation_id FROM reservations
        WHERE type = 'web' AND agent = $1 AND ($2::INTEGER IS NULL OR hotel_id = $2) AND status <> 'cancelled'
          AND check_out >= current_date ORDER BY hotel_id, id
        """
    ) { row in
        RhtHotel.OwnReservation(hotel: try row.next(), id: try row.next(), engineID: try row.next())
    }

    /// The hotels are a parameter by themselves, so that only their partitions are planned for: once each, for planning is
    /// most of what it costs.
    static let sharing = Statement<BookingID, [Int32], [Int32], [Int32], [Day]>(
        "rht.reservations_sharing",
        """
        SELECT DISTINCT unnest(taking.reservations)
        FROM (
            SELECT array_agg(detail.reservation_id) AS reservations
            FROM unnest($2, $3, $4) AS place (hotel, room, night)
            JOIN reservation_details AS detail ON detail.hotel_id = ANY ($1) AND detail.hotel_id = place.hotel
                 AND detail.date = place.night AND detail.room_id = place.room AND detail.cancelled IS NULL
            WHERE detail.reservation_id IS NOT NULL
            GROUP BY detail.hotel_id, detail.room_id, detail.date
            HAVING count(DISTINCT detail.reservation_id) > 1
        ) AS taking
        """
    ) { row in try row.next() }
}
