public import Stay

/// What of one hotel can be booked: its free rooms, or those that are left where the PMS tells no more, what may be sold beyond
/// them, and what the hotel has decided about stays.
///
/// A value without locks: one loop owns it.
public struct HotelAvailability: Sendable {
    /// Which rooms are free on which nights. Of a hotel with allotments it has the window alone.
    public var rooms: HotelIndex
    /// How many rooms of each type are left, where the PMS tells counts and not rooms.
    public var allotments: AllotmentIndex?
    /// What is sold without a room, and how much may be.
    public var overbooking = Overbooking()
    /// The rules as they hold within the window.
    public private(set) var rules: StayRules
    private var allRules: [StayRule] = []

    /// What the rooms, or the counts, say; nothing beyond it and no rules.
    public init(rooms: HotelIndex, allotments: AllotmentIndex? = nil) {
        self.rooms = rooms
        self.allotments = allotments
        rules = StayRules(dates: rooms.window)
    }

    /// The window's first night.
    public var firstNight: Day { rooms.firstNight }
    /// The nights about which it can answer.
    public var window: Range<Day> { rooms.window }

    /// Whether the hotel has a room type of that id.
    public func hasType(_ id: Int32) -> Bool { allotments?.hasType(id) ?? rooms.hasType(id) }

    // MARK: Changing

    /// Goes by other rules from now on.
    public mutating func follow(_ rules: [StayRule]) {
        allRules = rules
        // A stay within the window departs the day after it at the latest.
        let dates = window.lowerBound..<window.upperBound.advanced(by: 1)
        self.rules = StayRules(rules.filter { $0.dates.overlaps(dates) }, dates: dates)
    }

    /// Puts what was read anew in place of what was known of the rooms; rules and allowances stay.
    public mutating func replace(rooms: HotelIndex, allotments: AllotmentIndex?, roomless: [Overbooking.Roomless]) {
        let movesWindow = rooms.window != self.rooms.window
        self.rooms = rooms
        self.allotments = allotments
        overbooking.replaceSold(with: roomless)
        if movesWindow { follow(allRules) }
    }

    /// Moves the window forward so that it begins at the day. Does nothing if it already begins there or later.
    public mutating func advance(to day: Day) {
        guard day > firstNight else { return }
        rooms.advance(to: day)
        allotments?.advance(to: day)
        overbooking.advance(to: day)
        follow(allRules)
    }

    // MARK: Asking

    /// Answers for every room type, or for one: rooms that can be sold for the whole stay, and for each night alone.
    ///
    /// - Returns: False, with an empty answer, if the type is unknown or the stay does not lie within the window.
    public func query(
        _ stay: Stay, type id: Int32? = nil, guests: Int32 = 1, into answer: inout AvailabilityAnswer
    ) -> Bool {
        let isAnswered =
            if let allotments {
                allotments.query(stay, type: id, guests: guests, into: &answer)
            } else {
                rooms.query(stay, type: id, guests: guests, into: &answer)
            }
        guard isAnswered, !overbooking.isEmpty || !rules.isEmpty else { return isAnswered }
        for position in answer.types.indices {
            let type = answer.types[position]
            // Of a type that does not take the guests nothing is free, and nothing can be sold beyond that.
            guard type.capacity >= guests else { continue }
            let isAllowed = rules.allow(stay, type: type.type)
            let available = max(0, type.available.adding(overbooking.balance(ofType: type.type, stay: stay)))
            answer.replace(at: position, available: isAllowed ? available : 0) { offset, free in
                let night = stay.arrival.advanced(by: offset)
                return rules.isStopped(night, type: type.type)
                    ? 0 : max(0, free.adding(overbooking.balance(ofType: type.type, on: night)))
            }
        }
        return true
    }

    /// Taken nights on that day of which neither room nor type is known: the answers are that much too high.
    public func unassigned(on night: Day) -> Int32 {
        max(0, rooms.unassigned(on: night) - overbooking.known(on: night))
    }

    /// On how many nights of the window it knows of other nights without a room than somebody else: more or fewer, or of other
    /// types.
    public func roomlessNights(unlike other: HotelAvailability) -> Int {
        let types = Set(overbooking.sold.keys).union(other.overbooking.sold.keys)
            .filter { overbooking.sold[$0] ?? 0 != other.overbooking.sold[$0] ?? 0 }
        let unlike = Set(types.map(\.night))
        return window.count { night in
            unlike.contains(night) || rooms.unassigned(on: night) != other.rooms.unassigned(on: night)
        }
    }

    /// Everything that keeps that many rooms of the type from being sold for the stay; empty if nothing does, if the type is
    /// unknown or the stay does not lie within the window.
    public func obstacles(ofType id: Int32, stay: Stay, guests: Int32 = 1, rooms count: Int32 = 1) -> [Obstacle] {
        var answer = AvailabilityAnswer()
        // The rules are asked by themselves: what they say is no reason for a night to count as sold out.
        var unruled = self
        unruled.rules = StayRules(dates: window)
        guard unruled.query(stay, type: id, guests: guests, into: &answer), let type = answer.types.first else {
            return []
        }
        let ruled = rules.obstacles(to: stay, type: id)
        if type.total == 0 { return [.noRooms] }
        if type.capacity < guests { return [.capacity(most: type.capacity)] + ruled }
        if type.available >= count { return ruled }
        var lacking: [Obstacle] = []
        if type.available > 0 {
            lacking.append(.tooFewRooms(available: type.available))
        } else {
            let soldOut = zip(stay.nights, answer.nights).filter { $0.1 == 0 }.map(\.0)
            lacking.append(soldOut.isEmpty ? .noRoomThroughout : .soldOut(nights: soldOut))
        }
        let closed = allotments == nil ? rooms.closedCount(ofType: id) : 0
        if closed > 0 { lacking.append(.notCounted(rooms: closed)) }
        return lacking + ruled
    }
}

extension Int32 {
    /// The sum, as far as there is one: a vendor's counts may be anything.
    fileprivate func adding(_ other: Int32) -> Int32 { Int32(clamping: Int64(self) + Int64(other)) }
}
