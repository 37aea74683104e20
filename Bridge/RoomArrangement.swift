internal import Availability
internal import Booking
internal import Catalogue
internal import Loop
internal import PMS
internal import Postgres
internal import Server
internal import Stay
internal import Telemetry

/// Finds rooms and prices for a stay, by what was read under the hotel's lock: the one place where it is decided whether a
/// stay can be had: by the hotel's restrictions, its rooms, what it sells beyond them, and the price.
@OnLoop
final class RoomArrangement {
    private var unpriced = LogThrottle()

    enum Outcome {
        case arranged(Arranged)
        case refused(Problem)
    }

    /// Rooms, priced.
    struct Arranged {
        let asked: [BookingRequest.Room]
        let rooms: [ReservedRoom]
        let total: Money
        /// What of it counts for a cancellation fee.
        let chargeable: Money

        /// The rooms as clients see them.
        func bookedRooms(_ facts: ReservationFacts) -> [BookedRoom] {
            zip(asked, rooms).map { asked, room in
                BookedRoom(
                    type: asked.type, number: facts.rooms.first { $0.id == room.room }?.number, guests: room.guests,
                    plan: room.plan.key,
                    nights: room.quote.nights.map { BookedRoom.Night(night: $0.night, price: $0.price.minorUnits) })
            }
        }

        /// Writes down the rooms of a booking.
        func insertion(_ booking: BookingID) -> Query<Void> {
            BookingStatements.insertRooms(
                booking, Array(rooms.indices).map { Int16($0) }, asked.map(\.type), rooms.map(\.room),
                rooms.map { Int16($0.guests) }, rooms.map(\.plan.key.description))
        }
    }

    /// What a hotel has decided about its sales, and what of it is sold beyond its rooms on the nights that matter.
    struct Terms {
        let terms: SaleTerms
        let overbooking: Overbooking

        /// - Parameter lastKnown: what was known to be sold without a room when the PMS could be asked. Those of `roomless` that
        ///   this bridge has sold since are in it, too, and count once.
        init(_ terms: SaleTerms, _ roomless: [Overbooking.Roomless], lastKnown: Overbooking) {
            self.terms = terms
            var overbooking = Overbooking()
            overbooking.allow(terms.overbooking)
            overbooking.replaceSold(with: roomless)
            overbooking.raiseSold(to: lastKnown)
            self.overbooking = overbooking
        }
    }

    /// - Parameters:
    ///   - terms: as they are under the hotel's lock.
    ///   - agreed: the rooms that a booking has already for these very nights, by type: no rule takes them away.
    ///   - kept: the rooms that a booking has already, for the nights of `held`.
    ///   - expected: what it may cost; nil for any price.
    /// - Throws: `BridgeError.invalid` for a plan that cannot be had.
    func arrange(
        _ stay: Stay, _ asked: [BookingRequest.Room], at hotel: HotelEntry, _ facts: ReservationFacts, _ terms: Terms,
        agreed: [Int32: Int], keeping kept: [Int32?], for held: Range<Day>? = nil, expecting expected: Money?
    ) throws -> Outcome {
        // What does not exist is a mistake, whatever is free.
        let plans = try plans(for: asked, facts.plans(hotel.currency))
        let obstacles = Self.obstacles(to: stay, asked, terms.terms, agreed)
        if !obstacles.isEmpty { return .refused(Refusals.restricted(obstacles)) }
        let candidates = facts.candidates(but: hotel.closedRooms)
        let choice = RoomChoice(for: asked, stay: stay, among: candidates, kept: kept, held: held) { type, night in
            terms.overbooking.balance(ofType: type, on: night)
        }
        switch choice {
        case .lacking(let shortages): return .refused(Refusals.noAvailability(shortages))
        case .chosen(let rooms):
            let quotes = try quotes(stay, asked, plans, hotel: hotel.id)
            let total = try Self.sum(quotes.map(\.total))
            if let expected, expected != total { return .refused(Refusals.priceChanged(total, quotes)) }
            return .arranged(
                Arranged(
                    asked: asked,
                    rooms: zip(zip(rooms, asked), zip(plans, quotes)).map { room, price in
                        ReservedRoom(
                            room: room.0, type: room.1.type, guests: room.1.guests, plan: price.0, quote: price.1)
                    }, total: total, chargeable: try Self.sum(quotes.flatMap { $0.nights.map(\.chargeable) })))
        }
    }

    /// The rules that keep rooms of some types from being sold for the stay.
    private static func obstacles(
        to stay: Stay, _ asked: [BookingRequest.Room], _ terms: SaleTerms, _ agreed: [Int32: Int]
    ) -> [(type: Int32, obstacles: [Obstacle])] {
        guard !terms.restrictions.isEmpty else { return [] }
        let rules = StayRules(terms.rules, dates: stay.arrival..<stay.departure.advanced(by: 1))
        let wanted = Dictionary(grouping: asked, by: \.type).filter { $0.value.count > agreed[$0.key] ?? 0 }
        return wanted.keys.sorted().map { ($0, rules.obstacles(to: stay, type: $0)) }.filter { !$0.1.isEmpty }
    }

    private func plans(for rooms: [BookingRequest.Room], _ offered: [PlanKey: Plan]) throws -> [Plan] {
        var mistakes: [(pointer: String, detail: String)] = []
        let plans = rooms.enumerated().compactMap { position, room in
            let plan = offered[room.plan]
            if plan == nil { mistakes.append(("/rooms/\(position)/plan_key", "The hotel has no such plan")) }
            return plan
        }
        if !mistakes.isEmpty { throw BridgeError.invalid(mistakes) }
        return plans
    }

    private func quotes(
        _ stay: Stay, _ rooms: [BookingRequest.Room], _ plans: [Plan], hotel: Int32
    ) throws -> [RoomQuote] {
        try zip(rooms, plans).enumerated().map { position, room in
            switch room.1.pricing.quote(stay, guests: Int(room.0.guests)) {
            case .success(let quote): return quote
            case .failure(let reason):
                log(reason, hotel: hotel, room.0.plan)
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

    private static func sum(_ amounts: [Money]) throws -> Money {
        guard let first = amounts.first else { throw BridgeError.invalid([("/rooms", "No room is asked for")]) }
        let sum = amounts.dropFirst().reduce(Optional(first)) { $0?.adding($1) }
        guard let sum else { throw BridgeError.invalid([("/rooms", "The price is too large")]) }
        return sum
    }
}

extension ReservationFacts {
    /// The rooms that could be given away, but for those that are not sold.
    func candidates(but closed: Set<Int32>) -> [CandidateRoom] {
        let taken = Dictionary(grouping: takenNights, by: \.room)
        return rooms.filter { !closed.contains($0.id) }.map { room in
            CandidateRoom(
                id: room.id, type: room.type, capacity: room.capacity, priority: room.priority,
                takenNights: (taken[room.id] ?? []).map(\.night))
        }
    }
}
