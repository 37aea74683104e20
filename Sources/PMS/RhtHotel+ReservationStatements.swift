internal import Availability
internal import Booking
internal import Postgres
internal import Stay

/// The adapter's part of a booking's transaction.
enum ReservationStatements {
    /// The first number tells our locks from anybody else's in the database: "DB" in ASCII.
    static let lock = Statement<Void, Int32>("rht.lock_hotel", "SELECT pg_advisory_xact_lock(17474, $1)") { row in
        _ = try row.next(NothingRead.self)
    }

    /// For what follows in the transaction: what is read here of the bridge's own tables has no partitions, so it is planned once
    /// in a session, and not so that a table that is small just then is read as a whole ever after.
    static let planOnce = Statement<Void>(
        "rht.plan_once",
        """
        SELECT set_config('plan_cache_mode', 'force_generic_plan', TRUE), set_config('enable_seqscan', 'off', TRUE)
        """)

    /// For what is asked of the PMS: a plan for any hotel would name the partitions of all. How else it is planned is the
    /// database's to say.
    static let planAnew = Statement<Void>(
        "rht.plan_anew",
        """
        SELECT set_config('plan_cache_mode', 'force_custom_plan', TRUE), set_config('enable_seqscan', NULL, TRUE)
        """)

    /// When the transaction began: what `now()` says in all of it.
    static let now = Statement<Instant>("rht.now", "SELECT now()") { row in try row.next() }

    /// In the order of their ids, so that the front desk puts nobody into one of them until the transaction ends.
    static let lockRooms = Statement<LockedRoom, Int32, [Int32]>(
        "rht.lock_rooms",
        """
        SELECT id, room_type_id, capacity, assignment_priority, room_number FROM rooms
        WHERE hotel_id = $1 AND room_type_id = ANY ($2) AND for_sale AND NOT is_staff_room ORDER BY id FOR UPDATE
        """
    ) { row in
        LockedRoom(
            id: try row.next(), type: try row.next(), capacity: try row.next(), priority: try row.next(),
            number: try row.next())
    }

    /// Those of a reservation that is being changed left out.
    static let takenNights = Statement<OtherNight, Int32, Day, Day, BookingID?>(
        "rht.taken_nights",
        """
        SELECT room_id, date, CASE WHEN room_id IS NULL THEN reservation_id END FROM reservation_details
        WHERE hotel_id = $1 AND date >= $2 AND date < $3 AND cancelled IS NULL AND reservation_id IS DISTINCT FROM $4
        """
    ) { row in OtherNight(night: TakenNight(room: try row.next(), night: try row.next()), reservation: try row.next()) }

    /// Of a reservation's nights those that another one takes as well.
    static let sharedNights = Statement<TakenNight, Int32, BookingID>(
        "rht.shared_nights",
        """
        SELECT mine.room_id, mine.date FROM reservation_details AS mine
        WHERE mine.hotel_id = $1 AND mine.reservation_id = $2 AND mine.cancelled IS NULL AND mine.room_id IS NOT NULL
          AND mine.date BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'
          AND EXISTS (
              SELECT FROM reservation_details AS other
              WHERE other.hotel_id = $1 AND other.date = mine.date AND other.room_id = mine.room_id
                AND other.cancelled IS NULL AND other.reservation_id <> mine.reservation_id)
        """
    ) { row in TakenNight(room: try row.next(), night: try row.next()) }

    /// The client with exactly these particulars, if there is one.
    ///
    /// Only a guest with an e-mail address can be one: two who share no more than a name are two people, and the PMS has
    /// an index on nothing else.
    static let client = Statement<BookingID, String?, String, String?, String?>(
        "rht.client",
        """
        SELECT id FROM clients
        WHERE email = $1 AND name = $2 AND name_kana IS NOT DISTINCT FROM $3 AND phone IS NOT DISTINCT FROM $4
          AND legal_or_natural_person = 'natural'
        ORDER BY created_at, id LIMIT 1
        """
    ) { row in try row.next() }

    /// No row when it is gone, or when somebody at the front desk works on it.
    static let lockReservation = Statement<ReservationHead, Int32, BookingID>(
        "rht.lock_reservation",
        """
        WITH reservation AS MATERIALIZED (
            SELECT id, status, check_in, check_out, reservation_client_id FROM reservations
            WHERE hotel_id = $1 AND id = $2 FOR UPDATE SKIP LOCKED
        )
        SELECT
        """, headColumns,
        "FROM reservation LEFT JOIN clients AS client ON client.id = reservation.reservation_client_id"
    ) { row in try ReservationHead(&row) }

    /// The rows of a reservation that take rooms, in order and locked, so that nobody moves them; but for those that somebody
    /// at the front desk works on.
    static let lockNights = Statement<ReservationDetail, Int32, BookingID>(
        "rht.lock_nights",
        "WITH detail AS MATERIALIZED (", nights,
        """
            WHERE hotel_id = $1 AND reservation_id = $2 AND cancelled IS NULL FOR UPDATE SKIP LOCKED
        )
        SELECT
        """, nightColumns,
        "FROM detail LEFT JOIN rooms ON rooms.hotel_id = $1 AND rooms.id = detail.room_id", inOrder
    ) { row in try ReservationDetail(&row) }

    /// How many rows of a reservation take rooms, those among them that could not be locked.
    static let nightCount = Statement<Int64, Int32, BookingID>(
        "rht.night_count",
        "SELECT count(*) FROM reservation_details WHERE hotel_id = $1 AND reservation_id = $2 AND cancelled IS NULL"
    ) { row in try row.next() }

    /// A row for each night of some reservations, in order: one row without a night where a reservation has none, no row when
    /// it is gone. Of one that has no other nights, the cancelled ones within its dates.
    ///
    /// Active nights are found by the PMS's index on them. Cancelled ones are on no index but that of all nights by their
    /// dates, so they are looked for only where they count. The hotels are a parameter by themselves, so that only their
    /// partitions are planned for, which takes most of the time all the same.
    static let reservations = Statement<ReservationRow, [Int32], [BookingID]>(
        "rht.reservations",
        "SELECT", headColumns, ",", nightColumns,
        """
        FROM reservations AS reservation
        LEFT JOIN clients AS client ON client.id = reservation.reservation_client_id
        LEFT JOIN LATERAL (
        """, nights, ofReservation,
        """
              AND cancelled IS NULL AND date >= DATE '0001-01-01' AND date <= DATE '9999-12-31'
            UNION ALL
        """, nights, ofReservation,
        """
              AND cancelled IS NOT NULL AND date >= reservation.check_in AND date < reservation.check_out
              AND date >= DATE '0001-01-01' AND date <= DATE '9999-12-31'
              AND NOT EXISTS (
                  SELECT FROM reservation_details AS active
                  WHERE active.hotel_id = ANY ($1) AND active.hotel_id = reservation.hotel_id
                    AND active.reservation_id = reservation.id AND active.cancelled IS NULL
                    AND active.date >= DATE '0001-01-01' AND active.date <= DATE '9999-12-31')
        ) AS detail ON TRUE
        LEFT JOIN rooms
               ON rooms.hotel_id = ANY ($1) AND rooms.hotel_id = reservation.hotel_id AND rooms.id = detail.room_id
        WHERE reservation.hotel_id = ANY ($1) AND reservation.id = ANY ($2)
        """, inOrder
    ) { row in ReservationRow(head: try ReservationHead(&row), detail: try ReservationDetail(&row)) }

    /// The columns of a `ReservationHead`.
    private static let headColumns: StaticString = """
        reservation.id, reservation.status,
        CASE WHEN check_in BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN check_in END,
        CASE WHEN check_out BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN check_out END,
        reservation.reservation_client_id, CASE WHEN client.id IS NOT NULL THEN COALESCE(client.name, '') END,
        client.name_kana, client.email, client.phone
        """

    /// The columns of a `ReservationDetail`. A price too large or too fine to be read counts as none.
    private static let nightColumns: StaticString = """
        detail.id, CASE WHEN detail.date BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN detail.date END,
        detail.room_id, rooms.room_type_id, rooms.room_number, detail.number_of_people, detail.plans_global_id,
        detail.plans_hotel_id, detail.cancelled IS NOT NULL,
        CASE WHEN abs(detail.price) < 100000000000 THEN round(detail.price, 4) END
        """

    /// What a room costs is the stored price, for each guest where the plan is per person.
    private static let nights: StaticString = """
            SELECT id, date, room_id, number_of_people, plans_global_id, plans_hotel_id, cancelled, created_at,
                   CASE plan_type WHEN 'per_person' THEN price * number_of_people ELSE price END AS price
            FROM reservation_details
        """

    private static let ofReservation: StaticString =
        "WHERE hotel_id = ANY ($1) AND hotel_id = reservation.hotel_id AND reservation_id = reservation.id"

    private static let inOrder: StaticString = "ORDER BY detail.date, detail.created_at DESC, detail.room_id, detail.id"

    /// For what is left of the transaction: what adds rows names no partitions, so it is planned once in a session, as are the
    /// PMS's triggers and foreign keys.
    static let beforeInserts = Statement<Void>(
        "rht.before_inserts", "SELECT set_config('plan_cache_mode', 'auto', TRUE)")

    static let insertClient = Statement<Void, BookingID, String, String?, String?, String?, Int32>(
        "rht.insert_client",
        """
        INSERT INTO clients (id, name, name_kana, email, phone, legal_or_natural_person, created_by, updated_by)
        VALUES ($1, $2, $3, $4, $5, 'natural', $6, $6)
        """)

    static let insertReservation = Statement<
        Void, BookingID, Int32, BookingID, Day, Day, Int32, String, String, String, String, String?, Int32
    >(
        "rht.insert_reservation",
        """
        INSERT INTO reservations (id, hotel_id, reservation_client_id, check_in, check_out, number_of_people, status,
                                  type, agent, ota_reservation_id, payment_timing, comment, created_by, updated_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'web', $8, $9, $10, $11, $12, $12)
        """)

    static let insertDetails = Statement<
        Void, Int32, BookingID, [BookingID], [Day], [Int32?], [Int32?], [Int32?], [String], [String], [Int32], [Int64],
        Int32
    >(
        "rht.insert_details",
        """
        INSERT INTO reservation_details (id, hotel_id, reservation_id, date, room_id, plans_global_id, plans_hotel_id,
                                         plan_name, plan_type, number_of_people, price, billable, created_by,
                                         updated_by)
        SELECT night.id, $1, $2, night.date, night.room, night.global_plan, night.hotel_plan, night.plan_name,
               night.plan_type, night.guests, night.price, TRUE, $12, $12
        FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11)
             AS night (id, date, room, global_plan, hotel_plan, plan_name, plan_type, guests, price)
        """)

    static let insertClients = Statement<Void, Int32, [BookingID], BookingID, Int32>(
        "rht.insert_reservation_clients",
        """
        INSERT INTO reservation_clients (hotel_id, reservation_details_id, client_id, created_by, updated_by)
        SELECT $1, detail, $3, $4, $4 FROM unnest($2) AS detail
        """)

    static let insertRates = Statement<
        Void, Int32, [BookingID], [String], [Int64], [Int32?], [String?], [Bool], Int32
    >(
        "rht.insert_reservation_rates",
        """
        INSERT INTO reservation_rates (hotel_id, reservation_details_id, adjustment_type, adjustment_value, price,
                                       tax_type_id, tax_rate, include_in_cancel_fee, created_by, updated_by)
        SELECT $1, rate.detail, rate.adjustment, rate.price, rate.price, rate.tax, rate.tax_rate::NUMERIC, rate.counts,
               $8, $8
        FROM unnest($2, $3, $4, $5, $6, $7) AS rate (detail, adjustment, price, tax, tax_rate, counts)
        """)

    /// What is NULL stays as it is; an empty comment is none.
    static let changeReservation = Statement<
        Void, Int32, BookingID, Day?, Day?, Int32?, BookingID, String?, String?, String?, Int32
    >(
        "rht.change_reservation",
        """
        UPDATE reservations
        SET check_in = COALESCE($3, check_in), check_out = COALESCE($4, check_out),
            number_of_people = COALESCE($5, number_of_people), reservation_client_id = $6,
            status = COALESCE($7, status), payment_timing = COALESCE($8, payment_timing),
            comment = CASE WHEN $9 IS NULL THEN comment ELSE NULLIF($9, '') END, updated_by = $10
        WHERE hotel_id = $1 AND id = $2
        """)

    /// Somebody else sleeps there; whom the front desk has added besides stays.
    static let changeGuest = Statement<Void, Int32, [BookingID], BookingID, BookingID, Int32>(
        "rht.change_guest",
        """
        UPDATE reservation_clients SET client_id = $4, updated_by = $5
        WHERE hotel_id = $1 AND reservation_details_id = ANY ($2) AND client_id = $3
        """)

    static let cancelReservation = Statement<Void, Int32, BookingID, Int32>(
        "rht.cancel_reservation",
        "UPDATE reservations SET status = 'cancelled', updated_by = $3 WHERE hotel_id = $1 AND id = $2")

    /// As the front desk puts a guest into another room: prices, rates and who sleeps there stay.
    static let moveNights = Statement<Void, Int32, [BookingID], Int32, Int32>(
        "rht.move_nights",
        "UPDATE reservation_details SET room_id = $3, updated_by = $4 WHERE hotel_id = $1 AND id = ANY ($2)")

    /// Gives rooms back and keeps prices.
    static let cancelNights = Statement<Void, Int32, [BookingID], Int32, Bool>(
        "rht.cancel_nights",
        """
        UPDATE reservation_details SET cancelled = gen_random_uuid(), billable = $4, updated_by = $3
        WHERE hotel_id = $1 AND id = ANY ($2)
        """)
}

/// A night that another reservation takes.
struct OtherNight: Sendable {
    let night: TakenNight
    /// Of a night without a room alone.
    let reservation: BookingID?
}

/// A reservation without its nights, as a row has it.
struct ReservationHead: Sendable {
    let id: BookingID
    let status: ReservationStatus
    let stay: Stay?
    let client: BookingID
    /// Nil where the client's record was not seen.
    let guest: Guest?

    fileprivate init(_ row: inout RowDecoder) throws {
        id = try row.next()
        status = ReservationStatus(word: try row.next())
        let arrival = try row.next(Day?.self)
        let departure = try row.next(Day?.self)
        stay = arrival.flatMap { arrival in departure.flatMap { Stay(arrival: arrival, departure: $0) } }
        client = try row.next()
        let name = try row.next(String?.self)
        let (kana, email, phone) = (try row.next(String?.self), try row.next(String?.self), try row.next(String?.self))
        guest = name.map { Guest(name: $0, nameKana: kana, email: email, phone: phone) }
    }
}

/// A row of `reservation_details`, or none.
struct ReservationDetail: Sendable {
    let id: BookingID?
    let room: Int32?
    /// Nil where there is no row, and where it is on no night of the calendar.
    let night: Reservation.Night?

    fileprivate init(_ row: inout RowDecoder) throws {
        id = try row.next()
        let date = try row.next(Day?.self)
        room = try row.next()
        let type = try row.next(Int32?.self)
        let number = try row.next(String?.self)
        let guests = try row.next(Int32?.self)
        let plan = PlanKey(globalPlan: try row.next(), hotelPlan: try row.next())
        let isCancelled = try row.next(Bool.self)
        let price = try row.next(FixedPoint?.self)
        let room = self.room
        night = id.flatMap { id in
            date.map { date in
                Reservation.Night(
                    id: id, night: date, room: room, type: type, number: number, guests: guests, plan: plan,
                    price: price, isCancelled: isCancelled)
            }
        }
    }
}

/// A reservation with one of its nights, as a row.
struct ReservationRow: Sendable {
    let head: ReservationHead
    let detail: ReservationDetail
}

/// A column of type void, which has no value.
private struct NothingRead: PostgresDecodable {
    static func canDecode(_ type: PostgresType) -> Bool { true }

    init(postgres field: Span<UInt8>, type: PostgresType) throws(Postgres.FieldError) {}
}
