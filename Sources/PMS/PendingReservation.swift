public import Availability
public import Booking
public import Stay

/// A reservation that is taken while the PMS cannot be reached: what is to be written there, and until then stands in for it.
public struct PendingReservation: Codable, Sendable {
    /// Where it stands; a hold or confirmed.
    public private(set) var isHold: Bool
    private let engineID: String
    private var arrival: Day
    private var departure: Day
    /// Who stays.
    public private(set) var guest: Guest
    private var paymentTiming: String
    private var comment: String?
    private var rooms: [Room]

    private struct Room: Codable {
        let room: Int32?
        let type: Int32
        let number: String?
        let guests: Int32
        let plan: PlanKey
        let nights: [Night]
    }

    /// A night as it was priced.
    private struct Night: Codable {
        let night: Day
        let storedPrice: Int64
        let storedChargeable: Int64
        let price: Int64
        let chargeable: Int64
    }

    /// One that is made.
    public init(_ new: NewReservation, _ facts: ReservationFacts) {
        isHold = new.request.holdMinutes != nil
        engineID = new.request.engineID
        arrival = new.request.stay.arrival
        departure = new.request.stay.departure
        guest = new.request.guest
        paymentTiming = new.request.paymentTiming.rawValue
        comment = new.request.comment
        rooms = Self.rooms(new.rooms, facts)
    }

    /// It is changed before it was written.
    public mutating func apply(_ change: ReservationChange, _ facts: ReservationFacts) {
        if let (stay, reserved) = change.arrangement {
            (arrival, departure) = (stay.arrival, stay.departure)
            rooms = Self.rooms(reserved, facts)
        }
        if let guest = change.guest { self.guest = guest.guest }
        if let timing = change.paymentTiming { paymentTiming = timing.rawValue }
        if let comment = change.comment { self.comment = comment.isEmpty ? nil : comment }
        if change.confirms { isHold = false }
    }

    private static func rooms(_ reserved: [ReservedRoom], _ facts: ReservationFacts) -> [Room] {
        reserved.map { reserved in
            Room(
                room: reserved.room, type: reserved.type, number: facts.rooms.first { $0.id == reserved.room }?.number,
                guests: reserved.guests, plan: reserved.plan.key,
                nights: reserved.quote.nights.map {
                    Night(
                        night: $0.night, storedPrice: $0.storedPrice, storedChargeable: $0.storedChargeable,
                        price: $0.price.minorUnits, chargeable: $0.chargeable.minorUnits)
                })
        }
    }

    /// Whether its dates are a stay, as of each that was written down; to be asked of what is read.
    public var hasStay: Bool { arrival < departure }

    /// The nights and rooms that it was made for.
    public var wanted: (stay: Stay, rooms: [BookingRequest.Room]) {
        // What was written down was a stay.
        let stay = Stay(arrival: arrival, departure: departure)!
        return (stay, rooms.map { BookingRequest.Room(type: $0.type, guests: $0.guests, plan: $0.plan) })
    }

    /// The rooms that were given to it.
    public var chosenRooms: [Int32?] { rooms.map(\.room) }

    /// The same in other rooms.
    public func inRooms(_ reserved: [ReservedRoom], _ facts: ReservationFacts) -> PendingReservation {
        var other = self
        other.rooms = Self.rooms(reserved, facts)
        return other
    }

    /// What it looks like in place of the PMS's own.
    public func reservation(_ id: BookingID, _ currency: Currency) -> Reservation {
        let stay = wanted.stay
        let nights = rooms.flatMap { room in
            room.nights.map { night in
                Reservation.Night(
                    id: .random(), night: night.night, room: room.room, type: room.type, number: room.number,
                    guests: room.guests, plan: room.plan, price: FixedPoint(minorUnits: night.price, currency),
                    isCancelled: false)
            }
        }.sorted { $0.night < $1.night }
        var reservation = Reservation(
            id: id, status: isHold ? .hold : .confirmed, stay: stay, guest: guest, client: id, nights: nights)
        reservation.taking = nights.map { Reservation.TakingNight(id: $0.id, room: $0.room, night: $0.night) }
        return reservation
    }

    /// What is to be written: at the prices that were agreed, by the plans as they are now.
    ///
    /// - Parameters:
    ///   - chosen: the rooms it gets.
    ///   - client: the PMS's record of the guest.
    /// - Returns: nil where a plan is not sold any more.
    public func new(
        _ id: BookingID, hotel: Int32, in chosen: [Int32?], _ plans: [PlanKey: Plan], client: BookingID?,
        _ currency: Currency
    ) -> NewReservation? {
        var reserved: [ReservedRoom] = []
        for (room, chosen) in zip(rooms, chosen) {
            guard let plan = plans[room.plan] else { return nil }
            func money(_ units: Int64) -> Money { Money(minorUnits: units, currency: currency) }
            let nights = room.nights.map {
                RoomQuote.Night(
                    night: $0.night, storedPrice: $0.storedPrice, storedChargeable: $0.storedChargeable,
                    price: money($0.price), chargeable: money($0.chargeable))
            }
            let quote = RoomQuote(nights: nights, total: money(nights.reduce(0) { $0 + $1.price.minorUnits }))
            reserved.append(ReservedRoom(room: chosen, type: room.type, guests: room.guests, plan: plan, quote: quote))
        }
        let request = BookingRequest(
            engineID: engineID, hotel: hotel, stay: wanted.stay, rooms: wanted.rooms, guest: guest, expectedTotal: nil,
            paymentTiming: PaymentTiming(rawValue: paymentTiming) ?? .notSet, comment: comment,
            // That it is one is written; when it ends stands in the bridge's own row.
            holdMinutes: isHold ? 1 : nil)
        return NewReservation(id: id, request: request, client: client, rooms: reserved)
    }
}

extension FixedPoint {
    /// An amount of money in whole units of its currency.
    fileprivate init(minorUnits: Int64, _ currency: Currency) {
        let scale = (0..<currency.exponent).reduce(Int64(1)) { scale, _ in scale * 10 }
        self.init(tenThousandths: minorUnits * (FixedPoint.one / scale))
    }
}

extension ReservationFacts {
    /// What is known where the PMS cannot be asked.
    public init(
        lastKnown rooms: [LockedRoom], takenNights: [TakenNight], sold: Overbooking,
        plans: @escaping @Sendable (Currency) -> [PlanKey: Plan], reservation: Reservation?, now: Instant
    ) {
        self.init(
            rooms: rooms, takenNights: takenNights, unassigned: [], lastKnownSold: sold, plans: plans, client: nil,
            reservation: reservation.map { .locked($0) } ?? .gone, sharedNights: [], now: now)
    }

    /// The same at another time.
    func at(_ now: Instant) -> ReservationFacts {
        ReservationFacts(
            rooms: rooms, takenNights: takenNights, unassigned: unassigned, lastKnownSold: lastKnownSold, plans: plans,
            client: client, reservation: reservation, sharedNights: sharedNights, now: now)
    }

    /// The same with more nights taken.
    public func taking(_ nights: [TakenNight], _ unassigned: [UnassignedNight]) -> ReservationFacts {
        ReservationFacts(
            rooms: rooms, takenNights: takenNights + nights, unassigned: self.unassigned + unassigned,
            lastKnownSold: lastKnownSold, plans: plans, client: client, reservation: reservation,
            sharedNights: sharedNights, now: now)
    }
}

extension LockedRoom {
    /// One of which the PMS cannot be asked.
    public init(lastKnown id: Int32, type: Int32, capacity: Int32) {
        (self.id, self.type, self.capacity) = (id, type, capacity)
        (priority, number) = (nil, nil)
    }
}
