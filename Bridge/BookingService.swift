internal import Authentication
internal import Availability
internal import Booking
internal import HTTP
internal import Loop
internal import PMS
internal import Policy
internal import Postgres
internal import Server
internal import Stay
internal import Telemetry

/// Books rooms: PMS rows, our own state and the answer to be repeated commit together or not at all.
@OnLoop
final class BookingService {
    private let database: Database
    private let hotels: HotelDirectory
    private let writer: BridgePolicy.PMSWriter
    /// Client and key of each request that has one and is not answered yet.
    private var keysUnderWay: Set<String> = []
    private var unpriced = LogThrottle()
    private var unreadable = LogThrottle()
    private let created = Metrics.counter("drawbridge_bridge_bookings_total", "Bookings made.")
    private let lost = Metrics.counter(
        "drawbridge_bridge_bookings_refused_total", "Bookings refused because rooms were lacking or prices had changed."
    )

    init(_ database: Database, _ hotels: HotelDirectory, _ writer: BridgePolicy.PMSWriter) {
        self.database = database
        self.hotels = hotels
        self.writer = writer
    }

    /// A booking by its id, as the PMS has it now; nil when there is none in these hotels.
    ///
    /// That the front desk has confirmed or cancelled it is noted when it is seen.
    func booking(_ id: BookingID, ofHotels visible: HotelAccess) async throws -> Booking? {
        guard var stored = try await database.first(BookingStatements.booking(id)), visible.includes(stored.hotel)
        else {
            return nil
        }
        let rows = try await database.query(RhtHotel.reservation(id, hotel: stored.hotel))
        if let status = stored.changedStatus(rows.first?.status ?? .cancelled) {
            try await database.execute(BookingStatements.noteStatus(id, stored.status, status.rawValue))
            hotels.distrust(stored.hotel)
            guard let noted = try await database.first(BookingStatements.booking(id)) else { return nil }
            stored = noted
        }
        return stored.booking(rows, today: hotels.today(stored.hotel))
    }

    /// Books, or says why not.
    ///
    /// Bookings of one hotel follow each other, in this process by its turnstile and between processes by a lock in the
    /// database; what is free is read under that lock, never taken from memory.
    ///
    /// - Throws: `BridgeError`, `PostgresError`, `LoopError` when the hotel is too busy.
    func create(_ order: BookingOrder, at hotel: HotelEntry) async throws -> BookingOutcome {
        let claim = try claim(order)
        defer { if let claim { keysUnderWay.remove(claim) } }
        let deadline = Loop.monotonicNanoseconds + Self.patience
        do {
            return try await hotel.turnstile.pass {
                try await create(order, at: hotel, until: deadline)
            }
        } catch let error as PostgresError where error.leavesDoubt {
            hotels.distrust(hotel.id)
            throw error
        }
    }

    /// The answer to a request that was carried out before; nil when it was not.
    ///
    /// It is asked for requests that would be refused now: what was valid when it was carried out (an arrival that is
    /// past, a plan that is gone) stays carried out.
    func earlier(
        hotel: Int32, engineID: String?, client: String, key: IdempotencyKey?
    ) async throws -> BookingOutcome? {
        if let key, let record = try await database.first(BookingStatements.record(client, key.key)) {
            return try record.outcome(for: key)
        }
        guard let engineID, let booking = try await database.first(BookingStatements.byEngineID(hotel, engineID)) else {
            return nil
        }
        return try await repeated(booking, client)
    }

    /// How long a booking may take, in nanoseconds: well under what the gateway waits. Nobody is answered that it took
    /// too long and then has a booking.
    private static let patience: UInt64 = 8_000_000_000

    private func create(
        _ order: BookingOrder, at hotel: HotelEntry, until deadline: UInt64
    ) async throws -> BookingOutcome {
        let request = order.request
        let transaction = try await database.begin(deadline: try Self.timeLeft(until: deadline))
        let before: Before
        do { before = try await read(transaction, order, try Self.timeLeft(until: deadline)) } catch {
            throw blame(hotel, for: error)
        }
        if before.isUnderWay { throw BridgeError.requestUnderWay }
        if let record = before.record, let key = order.key {
            // The end is waited for, so that a further repetition does not find the key in use.
            _ = try await transaction.commit()
            return try record.outcome(for: key)
        }
        if let earlier = before.earlier {
            _ = try await transaction.commit()
            return try await repeated(earlier, order.client)
        }
        let candidates = before.candidates.filter { !hotel.closedRooms.contains($0.id) }
        switch RoomChoice(for: request.rooms, stay: request.stay, among: candidates) {
        case .lacking(let shortages):
            return try await refuse(transaction, Refusals.noAvailability(shortages), order)
        case .chosen(let rooms):
            let plans = try plans(for: request, before.plans(hotel.currency))
            let quotes = try quotes(request, plans)
            let total = try Self.total(quotes)
            if let expected = request.expectedTotal, expected != total {
                return try await refuse(transaction, Refusals.priceChanged(total, quotes), order)
            }
            let reserved = zip(zip(rooms, request.rooms), zip(plans, quotes)).map { room, price in
                ReservedRoom(room: room.0, guests: room.1.guests, plan: price.0, quote: price.1)
            }
            // The last moment to give up: from here on only the database knows whether there is a booking.
            _ = try Self.timeLeft(until: deadline)
            let outcome = try await write(transaction, order, reserved, total, before)
            hotel.take(rooms, nights: request.stay.nights)
            created.increment()
            return outcome
        }
    }

    private static func timeLeft(until deadline: UInt64) throws -> Duration {
        let now = Loop.monotonicNanoseconds
        guard now < deadline else { throw LoopError(.timedOut, "book") }
        return .nanoseconds(Int64(deadline - now))
    }

    /// Notes that a request with this key is under way, so that the same one beside it is told so.
    private func claim(_ order: BookingOrder) throws -> String? {
        guard let key = order.key else { return nil }
        let claim = "\(order.client)\n\(key.key)"
        guard keysUnderWay.insert(claim).inserted else { throw BridgeError.requestUnderWay }
        return claim
    }

    // MARK: Before

    /// What the transaction finds.
    private struct Before {
        var isUnderWay = false
        var record: IdempotencyRecord?
        var earlier: EarlierBooking?
        var rooms: [LockedRoom] = []
        var takenNights: [Int32?: [TakenNight]] = [:]
        var offeredPlans: [OfferedPlan] = []
        var rates: [PlanRate] = []
        var guest: BookingID?
        /// When the transaction began.
        var now = Instant(microseconds: 0)

        var candidates: [CandidateRoom] {
            rooms.map { room in
                CandidateRoom(
                    id: room.id, type: room.type, capacity: room.capacity, priority: room.priority,
                    takenNights: (takenNights[room.id] ?? []).map(\.night))
            }
        }

        func plans(_ currency: Currency) -> [PlanKey: Plan] { RhtHotel.plans(offeredPlans, rates, currency) }

        /// The number on a room's door.
        func number(_ room: Int32) -> String? { rooms.first { $0.id == room }?.number }
    }

    /// Reads it in one round trip: each statement sees what was committed before it began, so after those before it
    /// have got their locks.
    private func read(
        _ transaction: borrowing Transaction, _ order: BookingOrder, _ deadline: Duration
    ) async throws -> Before {
        let request = order.request
        let hotel = request.hotel
        let lock = RhtHotel.lock(hotel: hotel)
        let earlier = BookingStatements.byEngineID(hotel, request.engineID)
        let rooms = RhtHotel.lockRooms(hotel: hotel, types: Array(Set(request.rooms.map(\.type))))
        let taken = RhtHotel.takenNights(hotel: hotel, stay: request.stay)
        let plans = RhtHotel.offeredPlans(hotel: hotel)
        let rates = RhtHotel.rates(hotel: hotel, plans: request.rooms.map(\.plan))
        let client = RhtHotel.client(request.guest)
        let now = BookingStatements.now()
        guard let key = order.key else {
            let found = try await transaction.query(
                lock, earlier, rooms, taken, plans, rates, client, now, deadline: deadline)
            return Before(
                earlier: found.1.first, rooms: found.2, takenNights: Dictionary(grouping: found.3, by: \.room),
                offeredPlans: found.4, rates: found.5, guest: found.6.first, now: found.7[0])
        }
        let found = try await transaction.query(
            BookingStatements.claim(order.client, key.key), BookingStatements.record(order.client, key.key), lock,
            earlier, rooms, taken, plans, rates, client, now, deadline: deadline)
        return Before(
            isUnderWay: found.0 == [false], record: found.1.first, earlier: found.3.first, rooms: found.4,
            takenNights: Dictionary(grouping: found.5, by: \.room), offeredPlans: found.6, rates: found.7,
            guest: found.8.first, now: found.9[0])
    }

    /// The answer to a booking that was made before under the same `booking_engine_id`.
    ///
    /// It goes only to the client that made it: another one would learn a guest's particulars from a guessed id. One
    /// that has ended is no booking, and a status of success would say that it is.
    private func repeated(_ earlier: EarlierBooking, _ client: String) async throws -> BookingOutcome {
        guard earlier.client == client else { throw BridgeError.engineIDTaken }
        guard earlier.status == "hold" || earlier.status == "confirmed" else {
            throw BridgeError.bookingEnded(earlier.status)
        }
        guard let booking = try await booking(earlier.id, ofHotels: .all) else { throw BridgeError.unknownBooking }
        // The front desk may have cancelled it.
        guard booking.status == .hold || booking.status == .confirmed else {
            throw BridgeError.bookingEnded(booking.status.rawValue)
        }
        return BookingOutcome(
            status: Status.ok.rawValue, booking: earlier.id, version: booking.version,
            content: BookingOutcome.json(booking))
    }

    // MARK: Prices

    private func plans(for request: BookingRequest, _ offered: [PlanKey: Plan]) throws -> [Plan] {
        var mistakes: [(pointer: String, detail: String)] = []
        let plans = request.rooms.enumerated().compactMap { position, room in
            let plan = offered[room.plan]
            if plan == nil { mistakes.append(("/rooms/\(position)/plan_key", "The hotel has no such plan")) }
            return plan
        }
        if !mistakes.isEmpty { throw BridgeError.invalid(mistakes) }
        return plans
    }

    private func quotes(_ request: BookingRequest, _ plans: [Plan]) throws -> [RoomQuote] {
        try zip(request.rooms, plans).enumerated().map { position, room in
            switch room.1.pricing.quote(request.stay, guests: Int(room.0.guests)) {
            case .success(let quote): return quote
            case .failure(let reason):
                log(reason, hotel: request.hotel, room.0.plan)
                throw BridgeError.invalid([
                    ("/rooms/\(position)/plan_key", "The plan has no price for the night of \(reason.night)")
                ])
            }
        }
    }

    /// Somebody at the hotel should know, unless the plan is just not offered on that night.
    private func log(_ reason: NoPrice, hotel: Int32, _ plan: PlanKey) {
        guard reason.reason != .noBaseRate, let omitted = unpriced.admit(at: Loop.monotonicNanoseconds) else { return }
        Log.warning(
            "a plan has no price",
            [
                "hotel_id": .init(hotel), "plan_key": .init(plan.description), "night": .init(reason.night.description),
                "reason": .init(reason.reason.rawValue), "lines_omitted": .init(omitted),
            ])
    }

    /// What to throw when a booking could not read what it needs: what the PMS has of the hotel could be read when it
    /// was loaded, and maybe cannot any more.
    private func blame(_ hotel: HotelEntry, for error: any Error) -> any Error {
        guard let error = error as? PostgresError, Fault(inBooking: error, hotel: hotel.id) != nil else { return error }
        if let omitted = unreadable.admit(at: Loop.monotonicNanoseconds) {
            Log.warning(
                "hotel cannot be booked",
                ["hotel_id": .init(hotel.id), "error": .init(error: error), "lines_omitted": .init(omitted)])
        }
        return BridgeError.unreadableHotel(retryAfter: 30)
    }

    private static func total(_ quotes: [RoomQuote]) throws -> Money {
        guard let first = quotes.first else { throw BridgeError.invalid([("/rooms", "No room is asked for")]) }
        let total = quotes.dropFirst().reduce(Optional(first.total)) { $0?.adding($1.total) }
        guard let total else { throw BridgeError.invalid([("/rooms", "The price is too large")]) }
        return total
    }

    // MARK: Writing

    /// Writes everything and commits, in one round trip.
    private func write(
        _ transaction: consuming Transaction, _ order: BookingOrder, _ rooms: [ReservedRoom], _ total: Money,
        _ before: Before
    ) async throws -> BookingOutcome {
        let request = order.request
        let booking = Self.booking(request, rooms, total, before)
        let outcome = BookingOutcome(
            status: Status.created.rawValue, booking: booking.id, version: booking.version,
            content: BookingOutcome.json(booking))
        let reservation = NewReservation(
            id: booking.id, request: request, client: before.guest ?? .random(), isNewClient: before.guest == nil,
            rooms: rooms, agent: writer.agentName, user: writer.userID)
        let statements =
            RhtHotel.insert(reservation) + [
                BookingStatements.insertBooking(
                    booking.id, request.hotel, request.engineID, order.client, booking.status.rawValue,
                    request.stay.arrival, request.stay.departure, total.minorUnits, total.currency.code,
                    booking.holdExpiresAt),
                BookingStatements.insertRooms(
                    booking.id, Array(rooms.indices).map { Int16($0) }, request.rooms.map(\.type), rooms.map(\.room),
                    rooms.map { Int16($0.guests) }, rooms.map(\.plan.key.description)),
                BookingStatements.insertSync(request.hotel, booking.id, request.engineID),
            ]
        try await transaction.commit(statements + Self.record(outcome, order))
        return outcome
    }

    /// The booking as it will stand in the database.
    private static func booking(
        _ request: BookingRequest, _ rooms: [ReservedRoom], _ total: Money, _ before: Before
    ) -> Booking {
        Booking(
            id: .random(), engineID: request.engineID, hotel: request.hotel,
            status: request.holdMinutes == nil ? .confirmed : .hold, stay: request.stay,
            rooms: zip(request.rooms, rooms).map { asked, room in
                BookedRoom(
                    type: asked.type, number: before.number(room.room), guests: room.guests, plan: room.plan.key,
                    nights: room.quote.nights.map { BookedRoom.Night(night: $0.night, price: $0.price.minorUnits) })
            },
            guest: request.guest, total: total, sync: SyncState(status: .synced, lastAttempt: before.now), version: 1,
            createdAt: before.now, updatedAt: before.now,
            holdExpiresAt: request.holdMinutes.map {
                Instant(microseconds: before.now.microseconds + Int64($0) * 60_000_000)
            })
    }

    /// A refusal changes nothing, but is kept for the same key.
    private func refuse(
        _ transaction: consuming Transaction, _ problem: Problem, _ order: BookingOrder
    ) async throws -> BookingOutcome {
        lost.increment()
        let outcome = BookingOutcome(
            status: problem.status.rawValue, booking: nil, version: 0,
            content: problem.json(instance: order.requestID))
        try await transaction.commit(Self.record(outcome, order))
        return outcome
    }

    /// Keeps an outcome for the same key.
    private static func record(_ outcome: BookingOutcome, _ order: BookingOrder) -> [Query<Void>] {
        guard let key = order.key else { return [] }
        return [
            BookingStatements.insertRecord(
                order.client, key.key, key.requestHash, Int32(outcome.status), outcome.booking, outcome.version,
                outcome.content)
        ]
    }
}

/// A request to book, and who makes it.
struct BookingOrder: Sendable {
    let request: BookingRequest
    let client: String
    let key: IdempotencyKey?
    let requestID: RequestID
}

extension PostgresError {
    /// Whether it may be that a transaction was committed all the same.
    fileprivate var leavesDoubt: Bool {
        switch code {
        case .connectionLost, .timedOut, .cancelled: true
        default: false
        }
    }
}
