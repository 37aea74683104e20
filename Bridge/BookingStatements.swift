internal import Booking
internal import PMS
internal import Postgres
internal import Stay

/// The statements on the bridge's own tables.
enum BookingStatements {
    /// Bookings whose departure is so many days past, so many at a time, with their rooms and the note whether the PMS
    /// agrees.
    static let deleteOldBookings = Statement<Void, Int32>(
        "bridge.delete_old_bookings",
        """
        WITH old AS (
            SELECT hotel_id, booking_id FROM drawbridge.bookings
            WHERE departure < current_date - $1 AND status <> 'hold' ORDER BY departure LIMIT 1000
        ), note AS (
            DELETE FROM booking_sync_status AS sync USING old
            WHERE sync.hotel_id = old.hotel_id AND sync.booking_id = old.booking_id
        )
        DELETE FROM drawbridge.bookings AS booking USING old WHERE booking.booking_id = old.booking_id
        """)

    static let makeAuditPartitions = Statement<Int32, Int32>(
        "bridge.make_audit_partitions", "SELECT drawbridge.make_audit_partitions($1)"
    ) { row in try row.next() }

    static let dropAuditPartitions = Statement<Int32, Int32>(
        "bridge.drop_audit_partitions", "SELECT drawbridge.drop_audit_partitions($1)"
    ) { row in try row.next() }

    /// The transaction's end does not wait for the disk: the database server writes it within a second. For what may be
    /// forgotten when the server crashes until then.
    static let doNotWaitForDisk = Statement<Void>(
        "bridge.do_not_wait_for_disk", "SELECT set_config('synchronous_commit', 'off', TRUE)")

    static let byEngineID = Statement<EarlierBooking, Int32, String>(
        "bridge.by_engine_id",
        "SELECT booking_id, client, status FROM drawbridge.bookings WHERE hotel_id = $1 AND booking_engine_id = $2"
    ) { row in EarlierBooking(id: try row.next(), client: try row.next(), status: try row.next()) }

    static let insertBooking = Statement<
        Void, BookingID, Int32, String, String, String, Day, Day, Int64, String, Int64, Instant?, [UInt8]
    >(
        "bridge.insert_booking",
        """
        INSERT INTO drawbridge.bookings (booking_id, hotel_id, booking_engine_id, client, status, arrival, departure,
                                         total, currency, chargeable, hold_expires_at, told_hash, commanded_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, pg_current_xact_id())
        """)

    /// What was done to a booking that has the version before this one. Nobody else does anything to it: its hotel is
    /// locked; if somebody did all the same, it would have no version, which its table refuses, and nothing be committed.
    static let updateBooking = Statement<Void, BookingID, Int32, String, Day, Day, Int64, Int64, Int64?, [UInt8]?>(
        "bridge.update_booking",
        """
        UPDATE drawbridge.bookings
        SET version = CASE version WHEN $2 - 1 THEN $2 END, status = $3, arrival = $4, departure = $5, total = $6,
            chargeable = $7, cancellation_fee = $8, told_hash = $9, commanded_by = pg_current_xact_id(),
            cancelled_at = CASE $3 WHEN 'cancelled' THEN now() END, updated_at = now()
        WHERE booking_id = $1
        """)

    static let deleteRooms = Statement<Void, BookingID>(
        "bridge.delete_rooms", "DELETE FROM drawbridge.booking_rooms WHERE booking_id = $1")

    /// What others are to be told.
    struct NewEvent: Sendable {
        let type: String
        let hotel: Int32
        let entity: String
        let version: Int32
        /// As subscribers get it.
        let content: [UInt8]
    }

    static func insert(_ events: [NewEvent]) -> Query<Void> {
        insertEvents(
            events.map { _ in .timeOrdered() }, events.map(\.type), events.map(\.hotel), events.map(\.entity),
            events.map(\.version), events.map { String(decoding: $0.content, as: UTF8.self) })
    }

    private static let insertEvents = Statement<Void, [BookingID], [String], [Int32], [String], [Int32], [String]>(
        "bridge.insert_events",
        """
        INSERT INTO drawbridge.outbox_events (event_id, type, hotel_id, entity_id, version, payload)
        SELECT id, type, hotel, entity, version, payload::JSON
        FROM unnest($1, $2, $3, $4, $5, $6) AS new (id, type, hotel, entity, version, payload)
        """)

    static let insertAudit = Statement<
        Void, Int32, String, String?, JSON?, JSON?, String, String?, String?, String
    >(
        "bridge.insert_audit",
        """
        INSERT INTO booking_engine_audit_log (hotel_id, action, entity_type, entity_id, request_data, response_data,
                                              status, error_message, request_id, actor)
        VALUES ($1, $2, 'booking', $3, $4, $5, $6, $7, $8, $9)
        """)

    static let insertRooms = Statement<Void, BookingID, [Int16], [Int32], [Int32?], [Int16], [String]>(
        "bridge.insert_rooms",
        """
        INSERT INTO drawbridge.booking_rooms (booking_id, position, room_type_id, room_id, guests, plan_key)
        SELECT $1, room.* FROM unnest($2, $3, $4, $5, $6) AS room
        """)

    /// The booking engine has the booking as soon as it has the answer.
    static let insertSync = Statement<Void, Int32, BookingID, String, String, Bool>(
        "bridge.insert_sync",
        """
        INSERT INTO booking_sync_status (hotel_id, booking_id, booking_engine_id, sync_status, last_sync_attempt)
        VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN now() END)
        """)

    /// Whether the PMS has what the booking engine knows.
    static let noteSync = Statement<Void, Int32, BookingID, String, String?>(
        "bridge.note_sync",
        """
        UPDATE booking_sync_status SET sync_status = $3, last_sync_attempt = now(), error_message = $4
        WHERE hotel_id = $1 AND booking_id = $2
        """)

    /// The columns of `StoredBooking`; what is said of a booking between the two texts is which.
    static let storedBooking: StaticString = """
        SELECT booking.booking_id, booking.booking_engine_id, booking.hotel_id, booking.client, booking.status,
               booking.arrival, booking.departure, booking.total, booking.currency, booking.chargeable,
               booking.cancellation_fee, booking.version, booking.created_at, booking.updated_at,
               booking.hold_expires_at, booking.cancelled_at, booking.told_hash,
               COALESCE(sync.sync_status, 'pending'), sync.last_sync_attempt, sync.error_message,
               rooms.types, rooms.ids, rooms.guests, rooms.plans
        FROM
        """

    static let withSyncAndRooms: StaticString = """
        AS booking
        LEFT JOIN booking_sync_status AS sync
               ON sync.hotel_id = booking.hotel_id AND sync.booking_id = booking.booking_id
        CROSS JOIN LATERAL (
            SELECT COALESCE(array_agg(room_type_id ORDER BY position), '{}') AS types,
                   COALESCE(array_agg(room_id ORDER BY position), '{}') AS ids,
                   COALESCE(array_agg(guests ORDER BY position), '{}') AS guests,
                   COALESCE(array_agg(plan_key ORDER BY position), '{}') AS plans
            FROM drawbridge.booking_rooms AS room WHERE room.booking_id = booking.booking_id
        ) AS rooms
        """

    private static let inOrder: StaticString = "ORDER BY booking.updated_at, booking.booking_id"

    /// What we know of a booking ourselves; guest and nights are the PMS's.
    static let booking = Statement<StoredBooking, BookingID>(
        "bridge.booking",
        storedBooking, "drawbridge.bookings", withSyncAndRooms, "WHERE booking.booking_id = $1"
    ) { row in try StoredBooking(&row) }

    /// A page of the bookings of some hotels, by when they last changed, after a place in that order. Each hotel's part of
    /// the index is read no further than the page is long.
    static let page = Statement<StoredBooking, [Int32], Instant, BookingID, Int32>(
        "bridge.page",
        storedBooking,
        """
        (
            SELECT page.* FROM unnest($1) AS hotel (id)
            CROSS JOIN LATERAL (
                SELECT * FROM drawbridge.bookings
                WHERE hotel_id = hotel.id AND (updated_at, booking_id) > ($2, $3)
                ORDER BY updated_at, booking_id LIMIT $4
            ) AS page
            ORDER BY page.updated_at, page.booking_id LIMIT $4
        )
        """, withSyncAndRooms, inOrder
    ) { row in try StoredBooking(&row) }

    /// The same of all hotels.
    static let pageOfAll = Statement<StoredBooking, Instant, BookingID, Int32>(
        "bridge.page_of_all",
        storedBooking,
        """
        (
            SELECT * FROM drawbridge.bookings
            WHERE (updated_at, booking_id) > ($1, $2) ORDER BY updated_at, booking_id LIMIT $3
        )
        """, withSyncAndRooms, inOrder
    ) { row in try StoredBooking(&row) }

    /// Those with an id of the booking engine, at most one of each hotel.
    static let pageOfEngineID = Statement<StoredBooking, String, Instant, BookingID, Int32, [Int32]>(
        "bridge.page_of_engine_id",
        storedBooking,
        """
        (
            SELECT * FROM drawbridge.bookings
            WHERE booking_engine_id = $1 AND (updated_at, booking_id) > ($2, $3)
              AND hotel_id = ANY ($5)
            ORDER BY updated_at, booking_id LIMIT $4
        )
        """, withSyncAndRooms, inOrder
    ) { row in try StoredBooking(&row) }

    /// Whether something was done to a booking by a request.
    static let wasDone = Statement<Bool, String, String>(
        "bridge.was_done",
        """
        SELECT EXISTS (SELECT FROM booking_engine_audit_log
                       WHERE entity_id = $1 AND request_id = $2 AND status = 'success')
        """
    ) { row in try row.next() }

    /// What could not be done in the PMS is said of the booking.
    static let noteSyncFailure = Statement<Void, Int32, BookingID, String>(
        "bridge.note_sync_failure",
        """
        UPDATE booking_sync_status
        SET sync_status = 'failed', last_sync_attempt = now(), error_message = $3, retry_count = retry_count + 1
        WHERE hotel_id = $1 AND booking_id = $2 AND sync_status <> 'conflict'
        """)

    /// What could not be done is done, or somebody has decided that it is not to be; where nothing else about the booking has
    /// failed, the PMS has what it is to have. One that was never made there has nothing, and is the hotel's and its client's to
    /// solve.
    static let noteSyncFailureEnded = Statement<Void, Int32, BookingID>(
        "bridge.note_sync_failure_ended",
        """
        UPDATE booking_sync_status AS sync
        SET sync_status = CASE WHEN pending.booking_id IS NULL THEN 'synced' ELSE 'conflict' END,
            error_message = CASE WHEN pending.booking_id IS NOT NULL
                            THEN 'The booking is not made in the property management system' END
        FROM (SELECT $2::UUID) AS wanted (id)
        LEFT JOIN drawbridge.pending_reservations AS pending ON pending.booking_id = wanted.id
        WHERE sync.hotel_id = $1 AND sync.booking_id = wanted.id AND sync_status = 'failed'
          AND NOT EXISTS (SELECT FROM drawbridge.pms_writes AS write
                          WHERE write.booking_id = sync.booking_id AND write.error_code IS NOT NULL
                            AND write.status IN ('pending', 'retrying', 'dead'))
        """)

    /// When the transaction began.
    static let now = Statement<Instant>("bridge.now", "SELECT now()") { row in try row.next() }

    /// Now, or when the oldest of those transactions was prepared that wait for what the PMS has decided: these may wait for
    /// hours, and then come into view with the time at which they began.
    static let listBound = Statement<Instant>(
        "bridge.list_bound",
        """
        SELECT LEAST(now(), (SELECT min(prepared) FROM pg_prepared_xacts
                             WHERE database = current_database() AND gid LIKE 'drawbridge/%'))
        """
    ) { row in try row.next() }
}

/// A booking made before under the same `booking_engine_id`.
struct EarlierBooking: Sendable {
    let id: BookingID
    let client: String
    let status: String
}

/// A booking as far as it is ours, as stored.
struct StoredBooking: Sendable {
    let id: BookingID
    let engineID: String
    let hotel: Int32
    let client: String
    var stay: Stay
    var total: Money
    /// The part of the total that counts for a cancellation fee.
    var chargeable: Money
    let cancellationFee: Money?
    let life: BookingLife
    let createdAt: Instant
    let updatedAt: Instant
    let cancelledAt: Instant?
    /// What of the reservation others were told, as a hash; nil where it has ended, or that is not known.
    let toldHash: [UInt8]?
    let sync: SyncState
    /// In the order in which they were asked for.
    var rooms: [SoldRoom]

    /// - Throws: `PostgresError` where a row breaks the schema's own rules.
    init(_ row: inout RowDecoder) throws {
        func valid<Value>(_ value: Value?, _ column: String) throws -> Value {
            guard let value else { throw PostgresError(.decoding, "column \(column) breaks the schema's rules") }
            return value
        }
        id = try row.next()
        engineID = try row.next()
        hotel = try row.next()
        client = try row.next()
        let status = try valid(Booking.Status(rawValue: try row.next()), "status")
        stay = try valid(Stay(arrival: try row.next(), departure: try row.next()), "departure")
        let amount = try row.next(Int64.self)
        let currency = try valid(Currency(try row.next(String.self)), "currency")
        total = Money(minorUnits: amount, currency: currency)
        chargeable = Money(minorUnits: try row.next(), currency: currency)
        cancellationFee = try row.next(Int64?.self).map { Money(minorUnits: $0, currency: currency) }
        let version = try row.next(Int32.self)
        createdAt = try row.next()
        updatedAt = try row.next()
        life = BookingLife(status: status, version: version, holdExpiresAt: try row.next())
        cancelledAt = try row.next()
        toldHash = try row.next()
        sync = SyncState(
            status: try valid(SyncState.Status(rawValue: try row.next()), "sync_status"),
            lastAttempt: try row.next(), error: try row.next())
        let types = try row.next([Int32].self)
        let ids = try row.next([Int32?].self)
        let guests = try row.next([Int16].self)
        let plans = try row.next([String].self)
        rooms = types.indices.map {
            SoldRoom(type: types[$0], room: ids[$0], guests: Int32(guests[$0]), plan: PlanKey(plans[$0]))
        }
    }

    /// The booking with what the PMS has of it; nil where the reservation is gone.
    func booking(_ reservation: Reservation?, today: Day) -> Booking {
        let nights = reservation?.nights(total.currency) ?? []
        var booking = Booking(
            id: id, engineID: engineID, hotel: hotel, status: life.status, stay: stay,
            rooms: BookedRoom.rooms(rooms, nights: nights, today: today),
            guest: reservation?.guest ?? Guest(name: "", nameKana: nil, email: nil, phone: nil), total: total,
            sync: sync, version: life.version, createdAt: createdAt, updatedAt: updatedAt,
            holdExpiresAt: life.holdExpiresAt, cancelledAt: cancelledAt, cancellationFee: cancellationFee)
        if life.isActive { booking.guestStatus = reservation?.status.guest }
        return booking
    }

    /// The booking after something was done to it that leaves its rooms, nights and guest as they are.
    ///
    /// - Parameter now: when it was done, as the transaction has it.
    func booking(
        after life: BookingLife, _ reservation: Reservation?, fee: Money? = nil, at now: Instant, today: Day
    ) -> Booking {
        var booking = booking(reservation, today: today)
        booking.status = life.status
        booking.version = life.version
        booking.updatedAt = now
        booking.cancelledAt = life.status == .cancelled ? now : nil
        booking.cancellationFee = fee
        // The note of a reservation that is deleted went with it.
        booking.sync =
            if reservation == nil {
                SyncState(status: .pending)
            } else if sync.status == .pending, life.isActive {
                // It is not in the PMS yet.
                sync
            } else if sync.status == .conflict || sync.status == .failed, life.isActive {
                // Whoever ends a conflict, or does what had failed, says so.
                SyncState(status: sync.status, lastAttempt: now, error: sync.error)
            } else {
                SyncState(status: .synced, lastAttempt: now)
            }
        if !life.isActive { booking.guestStatus = nil }
        return booking
    }

    /// Writes that down.
    ///
    /// - Parameter told: a hash of what of the reservation others are told with it; nil once the booking has ended.
    func update(to booking: Booking, chargeable: Money? = nil, told: [UInt8]? = nil) -> [Query<Void>] {
        [
            BookingStatements.updateBooking(
                id, booking.version, booking.status.rawValue, booking.stay.arrival, booking.stay.departure,
                booking.total.minorUnits, (chargeable ?? self.chargeable).minorUnits,
                booking.cancellationFee?.minorUnits, told),
            BookingStatements.noteSync(hotel, id, booking.sync.status.rawValue, booking.sync.error),
        ]
    }
}

extension SyncState {
    /// Its rooms are its own, should they not have been.
    mutating func endConflict(at now: Instant) {
        if status == .conflict { self = SyncState(status: .synced, lastAttempt: now) }
    }
}

extension ReservationStatus {
    /// What clients are told of the guest.
    fileprivate var guest: Booking.GuestStatus? {
        switch self {
        case .checkedIn: .checkedIn
        case .checkedOut: .checkedOut
        case .hold, .confirmed, .cancelled: nil
        }
    }
}
