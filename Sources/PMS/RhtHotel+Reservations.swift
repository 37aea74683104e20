public import Availability
public import Booking
internal import Loop
public import Postgres
public import Stay

/// A reservation as it is written into the PMS: whole, priced, its rooms chosen.
public struct NewReservation: Sendable {
    public let id: BookingID
    public let request: BookingRequest
    public let client: BookingID
    /// Whether the client is not in the PMS yet.
    public let isNewClient: Bool
    public let rooms: [ReservedRoom]
    /// In whose name the PMS records the reservation.
    public let agent: String
    /// The PMS user who makes it.
    public let user: Int32

    public init(
        id: BookingID, request: BookingRequest, client: BookingID, isNewClient: Bool, rooms: [ReservedRoom],
        agent: String, user: Int32
    ) {
        self.id = id
        self.request = request
        self.client = client
        self.isNewClient = isNewClient
        self.rooms = rooms
        self.agent = agent
        self.user = user
    }
}

/// A night that a reservation no longer takes.
public struct ReleasedNight: Sendable {
    /// Nil where the front desk had assigned none.
    public let room: Int32?
    /// Nil where its date was none of the calendar, such as `infinity`.
    public let night: Day?
}

/// A room that is ours to give away until the transaction ends.
public struct LockedRoom: Sendable {
    public let id: Int32
    public let type: Int32
    public let capacity: Int32
    public let priority: Int32?
    /// The number on the door.
    public let number: String
}

/// A reservation with one of its nights, as the PMS has them.
public struct ReservationRow: Sendable {
    public let status: ReservationStatus
    public let guest: Guest
    fileprivate let detail: Detail

    fileprivate struct Detail: Sendable {
        let night: Day?
        let room: Int32?
        let type: Int32?
        let number: String?
        let guests: Int32?
        let isCancelled: Bool?
        let price: FixedPoint?
    }

    /// The night, priced in minor units of the currency; nil in the row of a reservation without nights.
    public func night(_ currency: Currency) -> ReservationNight? {
        guard let night = detail.night, let isCancelled = detail.isCancelled else { return nil }
        return ReservationNight(
            night: night, room: detail.room, type: detail.type, number: detail.number, guests: detail.guests,
            price: detail.price?.minorUnits(currency), isCancelled: isCancelled)
    }
}

/// Where the PMS says a reservation stands, as far as it matters to whoever booked.
public enum ReservationStatus: Sendable {
    case hold
    /// The front desk has confirmed it, or the guest has come.
    case confirmed
    /// Cancelled, or gone altogether.
    case cancelled

    /// By the PMS's word for it; nil for a reservation that is gone.
    public init(_ word: String?) {
        switch word {
        case "hold": self = .hold
        case "cancelled", nil: self = .cancelled
        default: self = .confirmed
        }
    }
}

extension FixedPoint {
    /// The PMS keeps prices in whole units of the currency, with decimals where it has them. Nil if it does not fit.
    fileprivate func minorUnits(_ currency: Currency) -> Int64? {
        let scale = (0..<currency.exponent).reduce(Int64(1)) { scale, _ in scale * 10 }
        let (product, isOver) = tenThousandths.multipliedReportingOverflow(by: scale)
        return isOver ? nil : product / FixedPoint.one
    }
}

/// One room of a reservation, the same for all its nights.
public struct ReservedRoom: Sendable {
    public let room: Int32
    public let guests: Int32
    public let plan: Plan
    public let quote: RoomQuote

    public init(room: Int32, guests: Int32, plan: Plan, quote: RoomQuote) {
        self.room = room
        self.guests = guests
        self.plan = plan
        self.quote = quote
    }
}

extension RhtHotel {
    /// Lets no other booking of ours change the hotel's rooms until the transaction ends.
    ///
    /// The PMS's own writers do not take it: they are kept out of the rooms alone, by `lockRooms`, and what they have
    /// seen free before, they may still book afterwards.
    public static func lock(hotel: Int32) -> Query<Void> { ReservationStatements.lock(hotel) }

    /// The sellable rooms of some types, locked in the order of their ids, so that the front desk puts nobody into one
    /// of them until the transaction ends.
    public static func lockRooms(hotel: Int32, types: [Int32]) -> Query<LockedRoom> {
        ReservationStatements.lockRooms(hotel, types)
    }

    /// The nights of a stay that reservations take. To be read by a statement after the one that locks the rooms: that
    /// one has waited for the front desk, and would still see what was before.
    public static func takenNights(hotel: Int32, stay: Stay) -> Query<TakenNight> {
        ReservationStatements.takenNights(hotel, stay.arrival, stay.departure)
    }

    /// The client with exactly these particulars, if there is one.
    ///
    /// Only a guest with an e-mail address can be one: two who share no more than a name are two people, and the PMS
    /// has an index on nothing else.
    public static func client(_ guest: Guest) -> Query<BookingID> {
        ReservationStatements.client(guest.email, guest.name, guest.nameKana, guest.phone)
    }

    /// The statements that write a reservation, in an order that its foreign keys allow.
    public static func insert(_ new: NewReservation) -> [Query<Void>] {
        let request = new.request
        var nights = NightColumns()
        for room in new.rooms {
            for night in room.quote.nights { nights.append(night, of: room) }
        }
        var statements: [Query<Void>] = []
        if new.isNewClient {
            let guest = request.guest
            statements.append(
                ReservationStatements.insertClient(
                    new.client, guest.name, guest.nameKana, guest.email, guest.phone, new.user))
        }
        statements += [
            ReservationStatements.insertReservation(
                new.id, request.hotel, new.client, request.stay.arrival, request.stay.departure,
                new.rooms.reduce(0) { $0 + $1.guests }, request.holdMinutes == nil ? "confirmed" : "hold", new.agent,
                request.engineID, request.paymentTiming.rawValue, request.comment, new.user),
            ReservationStatements.insertDetails(
                request.hotel, new.id, nights.ids, nights.days, nights.rooms, nights.globalPlans, nights.hotelPlans,
                nights.planNames, nights.planTypes, nights.guests, nights.prices, new.user),
            ReservationStatements.insertClients(request.hotel, nights.ids, new.client, new.user),
            ReservationStatements.insertRates(
                request.hotel, nights.ids, nights.prices, nights.taxes, nights.taxRates, new.user),
        ]
        return statements
    }

    /// A reservation as the PMS has it now, a row for each of its nights, in order: one row without a night where it
    /// has none, no row when it is gone. Of cancelled nights those within its dates.
    public static func reservation(_ id: BookingID, hotel: Int32) -> Query<ReservationRow> {
        ReservationStatements.reservation(hotel, id)
    }

    /// Locks a reservation and reads its status; no row when it is gone, or when somebody at the front desk works on
    /// it.
    public static func lockReservation(_ id: BookingID, hotel: Int32) -> Query<String> {
        ReservationStatements.lockReservation(hotel, id)
    }

    /// Whether the PMS has the reservation at all: the front desk may have deleted it.
    public static func hasReservation(_ id: BookingID, hotel: Int32) -> Query<Bool> {
        ReservationStatements.hasReservation(hotel, id)
    }

    /// Sets a reservation cancelled; its nights are cancelled apart.
    public static func cancelReservation(_ id: BookingID, hotel: Int32, user: Int32) -> Query<Void> {
        ReservationStatements.cancelReservation(hotel, id, user)
    }

    /// Gives a reservation's rooms back, whichever it has now, and keeps its prices. No fee: its nights are not billed.
    public static func cancelNights(of id: BookingID, hotel: Int32, user: Int32) -> Query<ReleasedNight> {
        ReservationStatements.cancelDetails(hotel, id, user)
    }

    /// The columns of the rows of `reservation_details`, one element a row.
    private struct NightColumns {
        var ids: [BookingID] = []
        var days: [Day] = []
        var rooms: [Int32] = []
        var globalPlans: [Int32?] = []
        var hotelPlans: [Int32?] = []
        var planNames: [String] = []
        var planTypes: [String] = []
        var guests: [Int32] = []
        var prices: [Int64] = []
        var taxes: [Int32?] = []
        var taxRates: [String?] = []

        mutating func append(_ night: RoomQuote.Night, of room: ReservedRoom) {
            ids.append(.random())
            days.append(night.night)
            rooms.append(room.room)
            globalPlans.append(room.plan.key.globalPlan)
            hotelPlans.append(room.plan.key.hotelPlan)
            planNames.append(room.plan.name)
            planTypes.append(room.plan.type.rawValue)
            guests.append(room.guests)
            prices.append(night.storedPrice)
            let tax = room.plan.tax(of: night.night)
            taxes.append(tax?.id)
            taxRates.append(tax?.rate?.decimalText)
        }
    }
}

/// The adapter's part of a booking's transaction.
private enum ReservationStatements {
    /// The first number tells our locks from anybody else's in the database: "DB" in ASCII.
    static let lock = Statement<Void, Int32>("rht.lock_hotel", "SELECT pg_advisory_xact_lock(17474, $1)") { row in
        _ = try row.next(NothingRead.self)
    }

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

    static let takenNights = Statement<TakenNight, Int32, Day, Day>(
        "rht.taken_nights",
        """
        SELECT room_id, date FROM reservation_details
        WHERE hotel_id = $1 AND date >= $2 AND date < $3 AND cancelled IS NULL
        """
    ) { row in TakenNight(room: try row.next(), night: try row.next()) }

    static let client = Statement<BookingID, String?, String, String?, String?>(
        "rht.client",
        """
        SELECT id FROM clients
        WHERE email = $1 AND name = $2 AND name_kana IS NOT DISTINCT FROM $3 AND phone IS NOT DISTINCT FROM $4
          AND legal_or_natural_person = 'natural'
        ORDER BY created_at, id LIMIT 1
        """
    ) { row in try row.next() }

    /// Active nights are found by the PMS's index on them, cancelled ones by their dates. What a room costs is the
    /// stored price, for each guest where the plan is per person; one too large or too fine to be read counts as none.
    static let reservation = Statement<ReservationRow, Int32, BookingID>(
        "rht.reservation",
        """
        SELECT reservation.status, COALESCE(client.name, ''), client.name_kana, client.email, client.phone,
               detail.date, detail.room_id, rooms.room_type_id, rooms.room_number, detail.number_of_people,
               detail.cancelled IS NOT NULL, CASE WHEN abs(detail.price) < 100000000000 THEN round(detail.price, 4) END
        FROM reservations AS reservation
        LEFT JOIN clients AS client ON client.id = reservation.reservation_client_id
        LEFT JOIN LATERAL (
            SELECT id, date, room_id, number_of_people, cancelled,
                   CASE plan_type WHEN 'per_person' THEN price * number_of_people ELSE price END AS price
            FROM reservation_details
            WHERE hotel_id = $1 AND reservation_id = $2 AND cancelled IS NULL
              AND date >= DATE '0001-01-01' AND date <= DATE '9999-12-31'
            UNION ALL
            SELECT id, date, room_id, number_of_people, cancelled,
                   CASE plan_type WHEN 'per_person' THEN price * number_of_people ELSE price END
            FROM reservation_details
            WHERE hotel_id = $1 AND reservation_id = $2 AND cancelled IS NOT NULL
              AND date >= reservation.check_in AND date < reservation.check_out
              AND date >= DATE '0001-01-01' AND date <= DATE '9999-12-31'
        ) AS detail ON TRUE
        LEFT JOIN rooms ON rooms.hotel_id = $1 AND rooms.id = detail.room_id
        WHERE reservation.hotel_id = $1 AND reservation.id = $2
        ORDER BY detail.date, detail.room_id, detail.id
        """
    ) { row in
        ReservationRow(
            status: ReservationStatus(try row.next(String.self)),
            guest: Guest(
                name: try row.next(), nameKana: try row.next(), email: try row.next(), phone: try row.next()),
            detail: .init(
                night: try row.next(), room: try row.next(), type: try row.next(), number: try row.next(),
                guests: try row.next(), isCancelled: try row.next(), price: try row.next()))
    }

    static let lockReservation = Statement<String, Int32, BookingID>(
        "rht.lock_reservation",
        "SELECT status FROM reservations WHERE hotel_id = $1 AND id = $2 FOR UPDATE SKIP LOCKED"
    ) { row in try row.next() }

    static let hasReservation = Statement<Bool, Int32, BookingID>(
        "rht.has_reservation", "SELECT EXISTS (SELECT FROM reservations WHERE hotel_id = $1 AND id = $2)"
    ) { row in try row.next() }

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
        Void, Int32, BookingID, [BookingID], [Day], [Int32], [Int32?], [Int32?], [String], [String], [Int32], [Int64],
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

    static let insertRates = Statement<Void, Int32, [BookingID], [Int64], [Int32?], [String?], Int32>(
        "rht.insert_reservation_rates",
        """
        INSERT INTO reservation_rates (hotel_id, reservation_details_id, adjustment_type, adjustment_value, price,
                                       tax_type_id, tax_rate, created_by, updated_by)
        SELECT $1, rate.detail, 'base_rate', rate.price, rate.price, rate.tax, rate.tax_rate::NUMERIC, $6, $6
        FROM unnest($2, $3, $4, $5) AS rate (detail, price, tax, tax_rate)
        """)

    static let cancelReservation = Statement<Void, Int32, BookingID, Int32>(
        "rht.cancel_reservation",
        "UPDATE reservations SET status = 'cancelled', updated_by = $3 WHERE hotel_id = $1 AND id = $2")

    static let cancelDetails = Statement<ReleasedNight, Int32, BookingID, Int32>(
        "rht.cancel_details",
        """
        UPDATE reservation_details SET cancelled = gen_random_uuid(), billable = FALSE, updated_by = $3
        WHERE hotel_id = $1 AND reservation_id = $2 AND cancelled IS NULL
        RETURNING room_id, CASE WHEN date BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN date END
        """
    ) { row in ReleasedNight(room: try row.next(), night: try row.next()) }
}

/// A column of type void, which has no value.
private struct NothingRead: PostgresDecodable {
    static func canDecode(_ type: PostgresType) -> Bool { true }

    init(postgres field: Span<UInt8>, type: PostgresType) throws(Postgres.FieldError) {}
}
