public import Stay

/// One room of a booking.
public struct BookedRoom: Hashable, Sendable {
    /// One night and what the room costs on it.
    public struct Night: Hashable, Sendable {
        /// The night.
        public var night: Day
        /// The price of the room for all its guests, in minor units of the booking's currency; nil if the front desk
        /// has taken it away.
        public var price: Int64?

        /// A night and its price.
        public init(night: Day, price: Int64?) {
            self.night = night
            self.price = price
        }
    }

    /// The room type's id in the PMS.
    public var type: Int32
    /// The number on the door; nil if the front desk took the room away and has given no other yet.
    public var number: String?
    /// How many guests sleep in it.
    public var guests: Int32
    /// The plan it was sold under; nil if the front desk changed it to none.
    public var plan: PlanKey?
    /// The nights, in order.
    public var nights: [Night]

    /// A booked room.
    public init(type: Int32, number: String?, guests: Int32, plan: PlanKey?, nights: [Night]) {
        self.type = type
        self.number = number
        self.guests = guests
        self.plan = plan
        self.nights = nights
    }
}

/// A room as it was sold: which one it was then.
public struct SoldRoom: Hashable, Sendable {
    /// The room type's id in the PMS.
    public let type: Int32
    /// The room's id in the PMS; nil where it was sold beyond the free rooms.
    public let room: Int32?
    /// How many guests sleep in it.
    public let guests: Int32
    /// The plan it was sold under.
    public let plan: PlanKey?

    /// A room as it was sold.
    public init(type: Int32, room: Int32?, guests: Int32, plan: PlanKey?) {
        self.type = type
        self.room = room
        self.guests = guests
        self.plan = plan
    }
}

/// One night of a reservation as the PMS has it now: the front desk may have moved it to another room.
public struct ReservationNight: Hashable, Sendable {
    /// The night.
    public let night: Day
    /// The room's id, its type's id and the number on its door; nil where the front desk has taken the room away.
    public let room: Int32?
    /// The id of the room's type.
    public let type: Int32?
    /// The number on the room's door.
    public let number: String?
    /// How many guests sleep in it; nil if the PMS does not say.
    public let guests: Int32?
    /// The plan; nil if the PMS names none that can be read.
    public let plan: PlanKey?
    /// The price for all guests, in minor units; nil if it has none that can be read.
    public let price: Int64?
    /// Whether the front desk, or we, have cancelled the night.
    public let isCancelled: Bool

    /// A night of a reservation.
    public init(
        night: Day, room: Int32?, type: Int32?, number: String?, guests: Int32?, plan: PlanKey? = nil, price: Int64?,
        isCancelled: Bool
    ) {
        self.night = night
        self.room = room
        self.type = type
        self.number = number
        self.guests = guests
        self.plan = plan
        self.price = price
        self.isCancelled = isCancelled
    }
}

extension BookedRoom {
    /// The rooms of a booking with the nights that the PMS has for each now.
    ///
    /// The PMS does not say which of a reservation's rooms a night belongs to once it was moved. So on each night those
    /// that are where they were sold, or moved to the night before, come first; the others are told apart by guests and
    /// room type. Where even these are the same, the rooms are as good as each other. Cancelled nights count only where
    /// the reservation has no others.
    ///
    /// - Parameters:
    ///   - nights: in the order of the nights.
    ///   - today: decides which room's number is told where a stay has several: that of the next night.
    public static func rooms(_ sold: [SoldRoom], nights: [ReservationNight], today: Day) -> [BookedRoom] {
        zip(sold, assign(nights, to: sold).found).map { sold, nights in
            let next = nights.first { $0.night >= today } ?? nights.last
            return BookedRoom(
                type: sold.type, number: next?.number, guests: sold.guests, plan: sold.plan,
                nights: nights.map { Night(night: $0.night, price: $0.price) })
        }
    }

    /// The rooms of a booking as they are now, after the front desk has changed something: which of the PMS's rooms each is
    /// on its next night. One that has no nights left is no longer among them; one that came is.
    ///
    /// - Parameter nights: in the order of the nights. Where none is active, the rooms stay as they were sold.
    public static func current(_ sold: [SoldRoom], nights: [ReservationNight], today: Day) -> [SoldRoom] {
        let active = nights.filter { !$0.isCancelled }
        guard !active.isEmpty else { return sold }
        let (found, rest) = assign(active, to: sold)
        func next(_ nights: [ReservationNight]) -> ReservationNight? {
            nights.first { $0.night >= today } ?? nights.last
        }
        let kept = zip(sold, found).compactMap { sold, nights in
            next(nights).map { night in
                SoldRoom(
                    type: night.type ?? sold.type, room: night.room ?? sold.room, guests: night.sleepers ?? sold.guests,
                    plan: night.plan ?? sold.plan)
            }
        }
        var rooms: [Int32] = []
        for night in rest { if let room = night.room, !rooms.contains(room) { rooms.append(room) } }
        let added = rooms.compactMap { room -> SoldRoom? in
            guard let night = next(rest.filter { $0.room == room }), let type = night.type else { return nil }
            return SoldRoom(
                type: type, room: room, guests: night.sleepers ?? 1, plan: night.plan ?? sold.first?.plan)
        }
        return kept + added
    }

    /// Which nights each of the rooms sold has, and those that belong to none. Cancelled ones count only where there are no
    /// others.
    private static func assign(
        _ nights: [ReservationNight], to sold: [SoldRoom]
    ) -> (found: [[ReservationNight]], rest: [ReservationNight]) {
        let active = nights.filter { !$0.isCancelled }
        let counted = active.isEmpty ? nights : active
        var found: [[ReservationNight]] = sold.map { _ in [] }
        var rest: [ReservationNight] = []
        var start = 0
        while start < counted.count {
            let end = counted[start...].firstIndex { $0.night != counted[start].night } ?? counted.count
            rest += assign(counted[start..<end], to: sold, &found)
            start = end
        }
        return (found, rest)
    }

    /// Gives each room at most one of the rows of one night, the surest matches first.
    ///
    /// - Returns: the rows that are left.
    private static func assign(
        _ rows: ArraySlice<ReservationNight>, to sold: [SoldRoom], _ found: inout [[ReservationNight]]
    ) -> [ReservationNight] {
        let lastRooms = found.map { $0.last?.room }
        func isWhereItWas(_ row: ReservationNight, _ position: Int) -> Bool {
            row.room == sold[position].room || row.room != nil && row.room == lastRooms[position]
        }
        let matches: [(ReservationNight, Int) -> Bool] = [
            { isWhereItWas($0, $1) && $0.guests == sold[$1].guests },
            { $0.type == sold[$1].type && $0.guests == sold[$1].guests },
            { $0.guests == sold[$1].guests },
            { isWhereItWas($0, $1) },
            { _, _ in true },
        ]
        var rows = Array(rows)
        var free = Array(sold.indices)
        for match in matches {
            var chosen: [(position: Int, row: ReservationNight)] = []
            for position in free {
                guard let index = rows.firstIndex(where: { match($0, position) }) else { continue }
                chosen.append((position, rows.remove(at: index)))
            }
            free.removeAll { position in chosen.contains { $0.position == position } }
            for (position, row) in chosen { found[position].append(row) }
        }
        return rows
    }
}

extension ReservationNight {
    /// The number of guests, where it is one.
    fileprivate var sleepers: Int32? { guests.flatMap { (1...Int32(Int16.max)).contains($0) ? $0 : nil } }
}
