public import Booking
public import Stay

/// What others are told of a reservation, in one order, so that two can be compared: where the front desk has changed any of
/// it, it is another one.
public struct ReservationContent: Hashable, Sendable {
    /// Where it stands.
    public let status: ReservationStatus
    /// Its dates; nil where the PMS has none that are a stay.
    public let stay: Stay?
    /// In whose name it is.
    public let guest: Guest
    /// The nights that it takes.
    public let nights: [Night]

    /// A night of one room.
    public struct Night: Hashable, Sendable {
        /// The night.
        public let night: Day
        /// The room's id.
        public let room: Int32?
        /// The number of guests.
        public let guests: Int32?
        /// The plan.
        public let plan: PlanKey?
        /// In minor units.
        public let price: Int64?
    }

    init(_ status: ReservationStatus, _ stay: Stay?, _ guest: Guest, _ nights: [Night]) {
        self.status = status
        self.stay = stay
        self.guest = guest
        self.nights = nights.sorted {
            ($0.night, $0.room ?? 0, $0.guests ?? 0, $0.price ?? 0, $0.plan?.description ?? "") < (
                $1.night, $1.room ?? 0, $1.guests ?? 0, $1.price ?? 0, $1.plan?.description ?? ""
            )
        }
    }

    /// All of it, to be hashed: equal for what is equal.
    public var bytes: [UInt8] {
        func text(_ value: (some CustomStringConvertible)?) -> String { value?.description ?? "-" }
        func quoted(_ value: String?) -> String { value.map { "\($0.utf8.count):\($0)" } ?? "-" }
        var lines = ["\(status)", text(stay?.arrival), text(stay?.departure)]
        lines += [quoted(guest.name), quoted(guest.nameKana), quoted(guest.email), quoted(guest.phone)]
        for night in nights {
            lines.append(
                "\(night.night) \(text(night.room)) \(text(night.guests)) \(text(night.plan)) \(text(night.price))")
        }
        return Array(lines.joined(separator: "\n").utf8)
    }
}

extension Reservation {
    /// What it is now, priced in a currency.
    public func content(_ currency: Currency) -> ReservationContent {
        ReservationContent(
            status, stay, guest,
            nights.filter { !$0.isCancelled }.map {
                .init(
                    night: $0.night, room: $0.room, guests: $0.guests, plan: $0.plan,
                    price: $0.price?.minorUnits(currency))
            })
    }

    /// The same with some of its rooms changed for others.
    public func after(_ moves: [RoomMove], among rooms: [LockedRoom]) -> Reservation {
        let nights = nights.map { night in
            guard !night.isCancelled, let move = moves.first(where: { $0.from == night.room }) else { return night }
            return Night(
                id: night.id, night: night.night, room: move.to, type: night.type,
                number: rooms.first { $0.id == move.to }?.number, guests: night.guests, plan: night.plan,
                price: night.price, isCancelled: false)
        }
        return Reservation(id: id, status: status, stay: stay, guest: guest, client: client, nights: nights)
    }

    /// From its first night to its last; nil where it takes none.
    public var activeNights: Range<Day>? {
        let nights = nights.filter { !$0.isCancelled }.map(\.night)
        guard let first = nights.min(), let last = nights.max() else { return nil }
        return first..<last.advanced(by: 1)
    }

    /// The types of the rooms that it takes; nil where it takes none.
    public var activeTypes: Set<Int32>? {
        let types = Set(nights.filter { !$0.isCancelled }.compactMap(\.type))
        return types.isEmpty ? nil : types
    }
}

extension NewReservation {
    /// What it is once it is written.
    public var content: ReservationContent {
        ReservationContent(
            request.holdMinutes == nil ? .confirmed : .hold, request.stay, request.guest, rooms.flatMap(\.content))
    }
}

extension ReservationChange {
    /// What the reservation is once that is written.
    public func content(_ currency: Currency) -> ReservationContent {
        let before = reservation.content(currency)
        return ReservationContent(
            confirms ? .confirmed : before.status, arrangement?.stay ?? before.stay, guest?.guest ?? before.guest,
            arrangement?.rooms.flatMap(\.content) ?? before.nights)
    }
}

extension ReservedRoom {
    fileprivate var content: [ReservationContent.Night] {
        quote.nights.map {
            .init(night: $0.night, room: room, guests: guests, plan: plan.key, price: $0.price.minorUnits)
        }
    }
}
