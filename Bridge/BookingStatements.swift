internal import Booking
internal import PMS
internal import Postgres
internal import Stay

/// The statements on the bridge's own tables.
enum BookingStatements {
    /// Says whether no other request with the key is under way; holds the key until the transaction ends.
    static let claim = Statement<Bool, String, String>(
        "bridge.claim_key", "SELECT pg_try_advisory_xact_lock(hashtextextended($1 || chr(10) || $2, 0))"
    ) { row in try row.next() }

    /// When the transaction began: what `now()` says in all of it.
    static let now = Statement<Instant>("bridge.now", "SELECT now()") { row in try row.next() }

    static let record = Statement<IdempotencyRecord, String, String>(
        "bridge.record",
        """
        SELECT request_hash, status, booking_id, response_body, version
        FROM drawbridge.idempotency_records
        WHERE client = $1 AND key = $2 AND created_at > now() - INTERVAL '24 hours'
        """
    ) { row in
        IdempotencyRecord(
            requestHash: try row.next(), status: try row.next(), booking: try row.next(), content: try row.next(),
            version: try row.next())
    }

    /// A record that has outlived its day gives way.
    static let insertRecord = Statement<Void, String, String, [UInt8], Int32, BookingID?, Int32, [UInt8]>(
        "bridge.insert_record",
        """
        INSERT INTO drawbridge.idempotency_records (client, key, request_hash, status, booking_id, version,
                                                    response_body)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (client, key) DO UPDATE
        SET request_hash = EXCLUDED.request_hash, status = EXCLUDED.status, booking_id = EXCLUDED.booking_id,
            version = EXCLUDED.version, response_body = EXCLUDED.response_body, created_at = now()
        """)

    /// Records past their day, so many at a time.
    static let deleteOldRecords = Statement<Void>(
        "bridge.delete_old_records",
        """
        DELETE FROM drawbridge.idempotency_records WHERE (client, key) IN (
            SELECT client, key FROM drawbridge.idempotency_records
            WHERE created_at < now() - INTERVAL '24 hours' ORDER BY created_at LIMIT 1000)
        """)

    static let byEngineID = Statement<EarlierBooking, Int32, String>(
        "bridge.by_engine_id",
        "SELECT booking_id, client, status FROM drawbridge.bookings WHERE hotel_id = $1 AND booking_engine_id = $2"
    ) { row in EarlierBooking(id: try row.next(), client: try row.next(), status: try row.next()) }

    static let insertBooking = Statement<
        Void, BookingID, Int32, String, String, String, Day, Day, Int64, String, Instant?
    >(
        "bridge.insert_booking",
        """
        INSERT INTO drawbridge.bookings (booking_id, hotel_id, booking_engine_id, client, status, arrival, departure,
                                         total, currency, hold_expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """)

    static let insertRooms = Statement<Void, BookingID, [Int16], [Int32], [Int32], [Int16], [String]>(
        "bridge.insert_rooms",
        """
        INSERT INTO drawbridge.booking_rooms (booking_id, position, room_type_id, room_id, guests, plan_key)
        SELECT $1, room.* FROM unnest($2, $3, $4, $5, $6) AS room
        """)

    /// The booking engine has the booking as soon as it has the answer.
    static let insertSync = Statement<Void, Int32, BookingID, String>(
        "bridge.insert_sync",
        """
        INSERT INTO booking_sync_status (hotel_id, booking_id, booking_engine_id, sync_status, last_sync_attempt)
        VALUES ($1, $2, $3, 'synced', now())
        """)

    /// What we know of a booking ourselves; guest and nights are the PMS's.
    static let booking = Statement<StoredBooking, BookingID>(
        "bridge.booking",
        """
        SELECT booking.booking_id, booking.booking_engine_id, booking.hotel_id, booking.status, booking.arrival,
               booking.departure, booking.total, booking.currency, booking.version, booking.created_at,
               booking.updated_at, booking.hold_expires_at, booking.cancelled_at,
               COALESCE(sync.sync_status, 'pending'), sync.last_sync_attempt, sync.error_message,
               rooms.types, rooms.ids, rooms.guests, rooms.plans
        FROM drawbridge.bookings AS booking
        LEFT JOIN booking_sync_status AS sync
               ON sync.hotel_id = booking.hotel_id AND sync.booking_id = booking.booking_id
        CROSS JOIN LATERAL (
            SELECT COALESCE(array_agg(room_type_id ORDER BY position), '{}') AS types,
                   COALESCE(array_agg(room_id ORDER BY position), '{}') AS ids,
                   COALESCE(array_agg(guests ORDER BY position), '{}') AS guests,
                   COALESCE(array_agg(plan_key ORDER BY position), '{}') AS plans
            FROM drawbridge.booking_rooms AS room WHERE room.booking_id = booking.booking_id
        ) AS rooms
        WHERE booking.booking_id = $1
        """
    ) { row in
        StoredBooking(
            id: try row.next(), engineID: try row.next(), hotel: try row.next(), status: try row.next(),
            arrival: try row.next(), departure: try row.next(), total: try row.next(), currency: try row.next(),
            version: try row.next(), createdAt: try row.next(), updatedAt: try row.next(),
            holdExpiresAt: try row.next(), cancelledAt: try row.next(), syncStatus: try row.next(),
            lastAttempt: try row.next(), syncError: try row.next(),
            rooms: (types: try row.next(), ids: try row.next(), guests: try row.next(), plans: try row.next()))
    }

    /// Notes that the front desk has confirmed or cancelled a booking, unless its status has changed meanwhile.
    static let noteStatus = Statement<Void, BookingID, String, String>(
        "bridge.note_status",
        """
        UPDATE drawbridge.bookings
        SET status = $3, cancelled_at = CASE $3 WHEN 'cancelled' THEN now() END, version = version + 1,
            updated_at = now()
        WHERE booking_id = $1 AND status = $2
        """)

    /// The hold that ran out first, but for those named.
    static let expiredHold = Statement<ExpiredHold, [BookingID]>(
        "bridge.expired_hold",
        """
        SELECT booking_id, hotel_id FROM drawbridge.bookings
        WHERE status = 'hold' AND hold_expires_at <= now() AND booking_id <> ALL ($1)
        ORDER BY hold_expires_at LIMIT 1
        """
    ) { row in ExpiredHold(id: try row.next(), hotel: try row.next()) }

    /// Locks a hold that has run out; no row when it is none any more.
    static let lockHold = Statement<BookingID, BookingID>(
        "bridge.lock_hold",
        """
        SELECT booking_id FROM drawbridge.bookings
        WHERE booking_id = $1 AND status = 'hold' AND hold_expires_at <= now() FOR UPDATE SKIP LOCKED
        """
    ) { row in try row.next() }

    /// Ends a hold as expired or, where the front desk has confirmed or cancelled it, as that.
    static let endHold = Statement<Void, BookingID, String>(
        "bridge.end_hold",
        """
        UPDATE drawbridge.bookings
        SET status = $2, cancelled_at = CASE $2 WHEN 'cancelled' THEN now() END, version = version + 1,
            updated_at = now()
        WHERE booking_id = $1
        """)
}

/// A booking made before under the same `booking_engine_id`.
struct EarlierBooking: Sendable {
    let id: BookingID
    let client: String
    let status: String
}

/// An answer that was given for a key.
struct IdempotencyRecord: Sendable {
    let requestHash: [UInt8]
    let status: Int32
    let booking: BookingID?
    let content: [UInt8]
    let version: Int32

    /// The answer, if it was given to the same request.
    ///
    /// - Throws: `BridgeError.keyUsedOtherwise`.
    func outcome(for key: IdempotencyKey) throws -> BookingOutcome {
        guard requestHash == key.requestHash else { throw BridgeError.keyUsedOtherwise }
        return BookingOutcome(status: UInt16(status), booking: booking, version: version, content: content)
    }
}

/// A hold that has run out.
struct ExpiredHold: Sendable {
    let id: BookingID
    let hotel: Int32
}

/// A booking as far as it is ours, as stored.
struct StoredBooking: Sendable {
    let id: BookingID
    let engineID: String
    let hotel: Int32
    let status: String
    let arrival: Day
    let departure: Day
    let total: Int64
    let currency: String
    let version: Int32
    let createdAt: Instant
    let updatedAt: Instant
    let holdExpiresAt: Instant?
    let cancelledAt: Instant?
    let syncStatus: String
    let lastAttempt: Instant?
    let syncError: String?
    /// In the order in which they were asked for.
    let rooms: (types: [Int32], ids: [Int32], guests: [Int16], plans: [String])

    /// The status that the PMS's implies, where the front desk has changed it.
    func changedStatus(_ reservation: ReservationStatus) -> Booking.Status? {
        switch (status, reservation) {
        case ("hold", .confirmed): .confirmed
        case ("hold", .cancelled), ("confirmed", .cancelled): .cancelled
        default: nil
        }
    }

    /// The booking with what the PMS has of it; nil where a row breaks the schema's own rules.
    func booking(_ reservation: [ReservationRow], today: Day) -> Booking? {
        guard let status = Booking.Status(rawValue: status), let stay = Stay(arrival: arrival, departure: departure),
            let currency = Currency(currency), let sync = SyncState.Status(rawValue: syncStatus)
        else { return nil }
        let sold = rooms.types.indices.map { position in
            SoldRoom(
                type: rooms.types[position], room: rooms.ids[position], guests: Int32(rooms.guests[position]),
                plan: PlanKey(rooms.plans[position]))
        }
        return Booking(
            id: id, engineID: engineID, hotel: hotel, status: status, stay: stay,
            rooms: BookedRoom.rooms(sold, nights: reservation.compactMap { $0.night(currency) }, today: today),
            guest: reservation.first?.guest ?? Guest(name: "", nameKana: nil, email: nil, phone: nil),
            total: Money(minorUnits: total, currency: currency),
            sync: SyncState(status: sync, lastAttempt: lastAttempt, error: syncError), version: version,
            createdAt: createdAt, updatedAt: updatedAt, holdExpiresAt: holdExpiresAt, cancelledAt: cancelledAt)
    }
}
