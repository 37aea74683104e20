public import Stay

/// How many rooms of each type one hotel has left on which nights, in memory: for PMSs that tell counts and not rooms.
///
/// Which room a guest gets is such a PMS's affair, so a stay has as many rooms as its worst night, where `HotelIndex` asks
/// for rooms that are free on all of them.
///
/// A value without locks: one loop owns it. Ids are the PMS's; unknown ones are reported, never trapped on.
public struct AllotmentIndex: Sendable {
    /// A room type, as the index needs to know it.
    public struct RoomType: Hashable, Sendable {
        /// Its id in the PMS.
        public let id: Int32
        /// The most guests one of its rooms takes.
        public let capacity: Int32
        /// How many rooms it has.
        public let roomCount: Int32

        /// A room type.
        public init(id: Int32, capacity: Int32, roomCount: Int32) {
            self.id = id
            self.capacity = capacity
            self.roomCount = roomCount
        }
    }

    /// The window's first night, usually today at the hotel.
    public private(set) var firstNight: Day
    /// How many nights the window has.
    public let nightCount: Int

    private let types: [RoomType]
    private let typeNumbers: [Int32: Int]
    /// Rooms left of type t on night n of the window, at t · nightCount + n.
    private var left: [Int32]

    /// An index of the allotments. A night that the PMS says nothing about has no room; of two types with one id the first
    /// counts, and of two allotments the last.
    public init(
        firstNight: Day, nightCount: Int = HotelIndex.defaultNightCount, types: [RoomType],
        allotments: some Sequence<Allotment>
    ) {
        self.firstNight = firstNight
        self.nightCount = max(1, nightCount)
        var numbers: [Int32: Int] = [:]
        self.types = types.filter { type in
            guard numbers[type.id] == nil else { return false }
            numbers[type.id] = numbers.count
            return true
        }
        typeNumbers = numbers
        left = Array(repeating: 0, count: self.types.count * self.nightCount)
        for allotment in allotments { _ = set(allotment) }
    }

    /// The nights about which the index can answer.
    public var window: Range<Day> { firstNight..<firstNight.advanced(by: nightCount) }

    /// Whether the hotel has a room type of that id.
    public func hasType(_ id: Int32) -> Bool { typeNumbers[id] != nil }

    /// Whether the whole stay lies within the window and is not longer than `HotelIndex.maximumNights`.
    public func covers(_ stay: Stay) -> Bool {
        stay.arrival >= firstNight && stay.nightCount <= HotelIndex.maximumNights
            && firstNight.distance(to: stay.departure) <= nightCount
    }

    // MARK: Changing

    /// Notes what the PMS says of a night.
    ///
    /// - Returns: False, having changed nothing, for an unknown type or a night outside the window.
    public mutating func set(_ allotment: Allotment) -> Bool {
        guard let type = typeNumbers[allotment.type], window.contains(allotment.night) else { return false }
        left[type * nightCount + firstNight.distance(to: allotment.night)] = allotment.left
        return true
    }

    /// Takes rooms of a type on the nights, those of them that the window has.
    ///
    /// - Parameter rooms: how many; less than none gives rooms back.
    /// - Returns: False, having changed nothing, for an unknown type.
    public mutating func take(_ rooms: Int32, ofType id: Int32, nights: Range<Day>) -> Bool {
        guard let type = typeNumbers[id] else { return false }
        for night in nights.clamped(to: window) {
            let (rest, isTooMuch) = left[type * nightCount + firstNight.distance(to: night)]
                .subtractingReportingOverflow(rooms)
            left[type * nightCount + firstNight.distance(to: night)] = isTooMuch ? (rooms > 0 ? .min : .max) : rest
        }
        return true
    }

    /// Moves the window forward so that it begins at the day: past nights are forgotten, and those that come in have no room
    /// until the PMS tells of some. Does nothing if the window already begins there or later.
    public mutating func advance(to day: Day) {
        let days = firstNight.distance(to: day)
        guard days > 0 else { return }
        let kept = max(0, nightCount - days)
        for row in stride(from: 0, to: left.count, by: nightCount) {
            for night in 0..<nightCount { left[row + night] = night < kept ? left[row + night + days] : 0 }
        }
        firstNight = day
    }

    // MARK: Asking

    /// The room types, in the order in which answers have them.
    public var roomTypes: [RoomType] { types }

    /// What is left on the nights of the window that the PMS has told of.
    var allotments: some Sequence<Allotment> {
        types.indices.lazy.flatMap { [self] type in
            (0..<nightCount).lazy.map { [self] night in
                Allotment(
                    type: types[type].id, night: firstNight.advanced(by: night),
                    left: left[type * nightCount + night])
            }
        }
    }

    /// Rooms of a type for at least `guests` guests on every night of the stay; nil if the type is unknown or the index does
    /// not cover the stay.
    public func availability(ofType id: Int32, stay: Stay, guests: Int32 = 1) -> Int32? {
        guard covers(stay), let number = typeNumbers[id] else { return nil }
        return worst(nights(number, stay, guests))
    }

    /// Answers for every room type, or for one: rooms on the whole stay, and on each night alone.
    ///
    /// - Returns: False, with an empty answer, if the type is unknown or the index does not cover the stay.
    public func query(
        _ stay: Stay, type id: Int32? = nil, guests: Int32 = 1, into answer: inout AvailabilityAnswer
    ) -> Bool {
        answer.begin(nightCount: stay.nightCount)
        guard covers(stay) else { return false }
        let asked: Range<Int>
        if let id {
            guard let number = typeNumbers[id] else { return false }
            asked = number..<number + 1
        } else {
            asked = types.indices
        }
        for number in asked {
            let type = types[number]
            let nights = nights(number, stay, guests)
            answer.append(
                TypeAvailability(
                    type: type.id, capacity: type.capacity, total: type.roomCount, available: worst(nights)))
            answer.appendNights(nights)
        }
        return true
    }

    /// Rooms left on each night of a stay that the index covers: none where they are overbooked or take fewer guests.
    private func nights(_ number: Int, _ stay: Stay, _ guests: Int32) -> some Collection<Int32> {
        let takesGuests = types[number].capacity >= guests
        let first = number * nightCount + firstNight.distance(to: stay.arrival)
        return left[first..<first + stay.nightCount].lazy.map { takesGuests ? max(0, $0) : 0 }
    }

    private func worst(_ nights: some Collection<Int32>) -> Int32 { nights.min() ?? 0 }
}
