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
    private let created = Metrics.counter("drawbridge_bridge_bookings_total", "Bookings made.")
    private let lost = Metrics.counter(
        "drawbridge_bridge_bookings_refused_total", "Bookings refused because rooms were lacking or prices had changed."
    )

    init(_ database: Database, _ hotels: HotelDirectory, _ writer: BridgePolicy.PMSWriter) {
        self.database = database
        self.hotels = hotels
        self.writer = writer
    }

    /// A booking by its id; nil when there is none.
    func booking(_ id: BookingID) async throws -> Booking? {
        guard let found = try await database.first(BookingStatements.booking(id)) else { return nil }
        let rooms = try await database.query(BookingStatements.rooms(id))
        return found.booking(rooms: rooms)
    }

    /// Books, or says why not.
    ///
    /// Bookings of one hotel follow each other, in this process by its turnstile and between processes by a lock in the
    /// database; what is free is read under that lock, never taken from memory.
    ///
    /// - Throws: `BridgeError`, `PostgresError`, `LoopError` when too many wait.
    func create(
        _ request: BookingRequest, at hotel: HotelEntry, client: String, key: IdempotencyKey?, requestID: RequestID
    ) async throws -> BookingOutcome {
        let plans = try plans(for: request, hotel.catalogue)
        return try await hotel.turnstile.pass {
            hotel.beginBooking()
            var taken: [Int32] = []
            defer { hotel.endBooking(taken: taken, stay: taken.isEmpty ? nil : request.stay) }
            let transaction = try await database.begin()
            let before = try await read(transaction, request, client, key)
            if let answer = try Self.repeated(before, key) {
                transaction.rollback()
                return answer
            }
            if let existing = before.existing {
                transaction.rollback()
                return try await first(existing)
            }
            switch RoomChoice(for: request.rooms, stay: request.stay, among: before.candidates) {
            case .lacking(let shortages):
                lost.increment()
                let problem = Refusals.noAvailability(shortages).json(instance: requestID)
                return try await refuse(transaction, problem, client, key)
            case .chosen(let rooms):
                let quotes = try quotes(request, plans)
                let total = try Self.total(quotes)
                if let expected = request.expectedTotal, expected != total {
                    lost.increment()
                    let problem = Refusals.priceChanged(total, quotes).json(instance: requestID)
                    return try await refuse(transaction, problem, client, key)
                }
                let reserved = zip(zip(rooms, request.rooms), zip(plans, quotes)).map { room, price in
                    ReservedRoom(room: room.0, guests: room.1.guests, plan: price.0, quote: price.1)
                }
                let outcome = try await write(
                    transaction, request, reserved, total, client: before.client, by: client, key)
                taken = rooms
                created.increment()
                return outcome
            }
        }
    }

    // MARK: Before

    /// What the transaction finds, all read in one round trip.
    private struct Before {
        var isUnderWay = false
        var record: IdempotencyRecord?
        var existing: BookingID?
        var candidates: [CandidateRoom] = []
        var client: BookingID?
    }

    private func read(
        _ transaction: borrowing Transaction, _ request: BookingRequest, _ client: String, _ key: IdempotencyKey?
    ) async throws -> Before {
        var before = Before()
        let types = Array(Set(request.rooms.map(\.type)))
        if let key {
            let (locks, records) = try await transaction.query(
                BookingStatements.claim(client, key.key), BookingStatements.record(client, key.key))
            before.isUnderWay = locks == [false]
            before.record = records.first
            if before.isUnderWay || before.record != nil { return before }
        }
        let (_, existing, candidates, guests) = try await transaction.query(
            RhtHotel.lock(hotel: request.hotel), BookingStatements.byEngineID(request.hotel, request.engineID),
            RhtHotel.candidates(hotel: request.hotel, types: types, stay: request.stay), RhtHotel.client(request.guest))
        before.existing = existing.first
        before.candidates = candidates
        before.client = guests.first
        return before
    }

    private static func repeated(_ before: Before, _ key: IdempotencyKey?) throws -> BookingOutcome? {
        if before.isUnderWay { throw BridgeError.requestUnderWay }
        guard let record = before.record, let key else { return nil }
        guard record.requestHash == key.requestHash else { throw BridgeError.keyUsedOtherwise }
        return record.outcome
    }

    /// The answer to a booking that was made before under the same `booking_engine_id`.
    private func first(_ id: BookingID) async throws -> BookingOutcome {
        guard let booking = try await booking(id) else { throw BridgeError.unknownBooking }
        return BookingOutcome(
            status: Status.ok.rawValue, booking: id, version: booking.version, content: BookingOutcome.json(booking))
    }

    // MARK: Prices

    private func plans(for request: BookingRequest, _ catalogue: HotelCatalogue) throws -> [Plan] {
        var mistakes: [(pointer: String, detail: String)] = []
        let plans = request.rooms.enumerated().compactMap { position, room in
            let plan = catalogue.plans[room.plan]
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
                throw BridgeError.invalid([
                    ("/rooms/\(position)/plan_key", "The plan has no price for the night of \(reason.night)")
                ])
            }
        }
    }

    private static func total(_ quotes: [RoomQuote]) throws -> Money {
        guard let first = quotes.first else { throw BridgeError.invalid([("/rooms", "No room is asked for")]) }
        let total = quotes.dropFirst().reduce(Optional(first.total)) { $0?.adding($1.total) }
        guard let total else { throw BridgeError.invalid([("/rooms", "The price is too large")]) }
        return total
    }

    // MARK: Writing

    private func write(
        _ transaction: consuming Transaction, _ request: BookingRequest, _ rooms: [ReservedRoom], _ total: Money,
        client guest: BookingID?, by client: String, _ key: IdempotencyKey?
    ) async throws -> BookingOutcome {
        let id = BookingID.random()
        let reservation = NewReservation(
            id: id, request: request, client: guest ?? .random(), isNewClient: guest == nil, rooms: rooms,
            agent: writer.agentName, user: writer.userID)
        let hold = request.holdMinutes
        let statements =
            RhtHotel.insert(reservation) + [
                BookingStatements.insertBooking(
                    id, request.hotel, request.engineID, client, hold == nil ? "confirmed" : "hold",
                    request.stay.arrival, request.stay.departure, total.minorUnits, total.currency.code, hold),
                BookingStatements.insertRooms(
                    id, Array(rooms.indices).map { Int16($0) }, request.rooms.map(\.type), rooms.map(\.room),
                    rooms.map { Int16($0.guests) }, rooms.map(\.plan.key.description)),
                BookingStatements.insertSync(request.hotel, id, request.engineID),
            ]
        try await transaction.execute(statements)
        let (found, bookedRooms) = try await transaction.query(
            BookingStatements.booking(id), BookingStatements.rooms(id))
        guard let booking = found.first?.booking(rooms: bookedRooms) else { throw BridgeError.unknownBooking }
        let outcome = BookingOutcome(
            status: Status.created.rawValue, booking: id, version: booking.version,
            content: BookingOutcome.json(booking))
        try await Self.commit(transaction, outcome, client, key)
        return outcome
    }

    /// A refusal changes nothing, but is kept for the same key.
    private func refuse(
        _ transaction: consuming Transaction, _ content: [UInt8], _ client: String, _ key: IdempotencyKey?
    ) async throws -> BookingOutcome {
        let outcome = BookingOutcome(status: Status.conflict.rawValue, booking: nil, version: 0, content: content)
        try await Self.commit(transaction, outcome, client, key)
        return outcome
    }

    private static func commit(
        _ transaction: consuming Transaction, _ outcome: BookingOutcome, _ client: String, _ key: IdempotencyKey?
    ) async throws {
        guard let key else {
            _ = try await transaction.commit()
            return
        }
        _ = try await transaction.commit(
            BookingStatements.insertRecord(
                client, key.key, key.requestHash, Int32(outcome.status), outcome.booking, outcome.content))
    }
}
