internal import Authentication
internal import Booking
internal import Catalogue
internal import HTTP
internal import Loop
internal import PMS
internal import Postgres
internal import Server

/// Restrictions of stays and overbooking allowances of a hotel, which the bridge keeps.
@OnLoop
struct RestrictionResource {
    private let bookings: BookingService
    private let hotels: HotelDirectory

    init(_ bookings: BookingService, _ hotels: HotelDirectory) {
        self.bookings = bookings
        self.hotels = hotels
    }

    func get(_ call: Call) throws -> Answer {
        let entry = try call.described(in: hotels, .roomTypes)
        var answer = Answer.json(entry.terms.json(hotel: entry.id))
        answer.fields.append(.etag, entry.terms.tag)
        answer.fields.append(.cacheControl, "private, no-cache")
        answer.isValidated = true
        return answer
    }

    /// Replaces all of them by those of the request, under the hotel's lock: a booking goes by what was before, or by this.
    func set(_ call: Call) async throws -> Answer {
        let entry = try call.described(in: hotels, .roomTypes)
        guard let condition = call.entityCondition else { throw BridgeError.preconditionRequired }
        let caller = try call.caller
        let body: SaleTerms.Body
        do {
            let types = entry.offer.roomTypes.filter(\.isActive).map(\.type.id)
            body = try SaleTerms.Body(json: call.content, hotel: entry.id, types: Set(types))
        } catch {
            // What was valid when it was carried out stays carried out.
            if let earlier = try await bookings.earlier(caller) { return Self.answer(earlier) }
            throw error
        }
        return Self.answer(try await set(body, at: entry, if: condition, for: caller))
    }

    private func set(
        _ body: SaleTerms.Body, at entry: HotelEntry, if condition: EntityCondition, for caller: Caller
    ) async throws -> BookingOutcome {
        var set: SaleTerms?
        let outcome = try await bookings.carryOut(at: entry.id, for: caller) { [bookings] _, deadline in
            var own = Batch()
            let place = own.add(RestrictionStatements.current(entry.id, entry.terms.version))
            let work = try await bookings.pms.begin(deadline: try deadline.timeLeft)
            let before = try await bookings.read(
                work, ReservationQuestion(hotel: entry.id), own, for: caller, until: deadline)
            if let record = before.record, let key = caller.key {
                return try await bookings.repeated(record, key, work)
            }
            let current = try before.own.of(place).first.map { try $0.terms() ?? entry.terms } ?? SaleTerms.none
            guard condition.admits(version: current.version) else {
                work.rollback()
                // It may be this very request that has set them.
                guard deadline.followsDoubt else { throw BridgeError.preconditionFailed }
                guard current.restrictions == body.restrictions, current.overbooking == body.overbooking else {
                    throw BridgeError.outcomeUnknown
                }
                set = current
                return BookingOutcome(
                    status: Status.ok.rawValue, booking: nil, version: current.version,
                    content: current.json(hotel: entry.id))
            }
            let next = current.succeeded(by: body.restrictions, body.overbooking)
            let outcome = BookingOutcome(
                status: Status.ok.rawValue, booking: nil, version: next.version, content: next.json(hotel: entry.id))
            // The last moment to give up.
            _ = try deadline.timeLeft
            try await work.commit(
                [],
                with: RestrictionStatements.replace(entry.id, by: next, client: caller.client)
                    + caller.record(outcome))
            set = next
            return outcome
        }
        // Not before it is on disk: memory would keep what a crash took back.
        if let set { hotels.take([entry.id: set]) }
        return outcome
    }

    private static func answer(_ outcome: BookingOutcome) -> Answer {
        var answer = Answer.json(outcome.content, status: Status(rawValue: outcome.status))
        answer.fields.append(.etag, "\"\(outcome.version)\"")
        answer.fields.append(.cacheControl, "no-store")
        return answer
    }
}
