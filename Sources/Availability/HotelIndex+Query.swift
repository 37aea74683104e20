public import Stay

/// What a query finds, in storage its owner keeps from one query to the next: after the first few, nothing is
/// allocated.
public struct AvailabilityAnswer: Sendable {
    /// The room types asked about, in the index's order.
    public private(set) var types: [TypeAvailability] = []
    /// Free rooms of each type on each night alone: `nightCount` numbers per type, in the order of `types`.
    public private(set) var nights: [Int32] = []
    /// How many nights the stay has.
    public private(set) var nightCount = 0

    /// An empty answer, to be filled by `HotelIndex.query`.
    public init() {}

    /// Free rooms on each night alone, for the type at a position of `types`.
    public func nights(ofTypeAt position: Int) -> ArraySlice<Int32> {
        nights[position * nightCount..<(position + 1) * nightCount]
    }

    mutating func begin(nightCount: Int) {
        types.removeAll(keepingCapacity: true)
        nights.removeAll(keepingCapacity: true)
        self.nightCount = nightCount
    }

    mutating func append(_ type: TypeAvailability) {
        types.append(type)
    }

    mutating func appendNights(_ counts: some Collection<Int32>) {
        nights.append(contentsOf: counts)
    }

    /// Puts what may be sold of a type in place of what is free of it.
    mutating func replace(at position: Int, available: Int32, nights counts: (_ offset: Int, _ free: Int32) -> Int32) {
        types[position].available = available
        let start = position * nightCount
        for offset in 0..<nightCount { nights[start + offset] = counts(offset, nights[start + offset]) }
    }

    mutating func addToLastNights(_ counts: ArraySlice<Int32>) {
        let start = nights.count - counts.count
        for (position, count) in counts.enumerated() { nights[start + position] &+= count }
    }
}

/// How much of a room type can be booked for a stay.
public struct TypeAvailability: Hashable, Sendable {
    /// The room type's id in the PMS.
    public let type: Int32
    /// The most guests one of its rooms takes; 0 for a type without sellable rooms.
    public let capacity: Int32
    /// How many sellable rooms it has, whatever their capacity.
    public let total: Int32
    /// How many of its rooms take the guests and can be sold for the whole stay.
    public internal(set) var available: Int32

    /// The availability of a type.
    public init(type: Int32, capacity: Int32, total: Int32, available: Int32) {
        self.type = type
        self.capacity = capacity
        self.total = total
        self.available = available
    }

    /// Whether that many rooms can be booked.
    @inlinable
    public func suffices(forRooms rooms: Int) -> Bool { Int(available) >= rooms }
}

extension HotelIndex {
    /// The nights about which the index can answer.
    public var window: Range<Day> { firstNight..<firstNight.advanced(by: nightCount) }

    /// Whether the whole stay lies within the window and is not longer than `maximumNights`.
    public func covers(_ stay: Stay) -> Bool {
        stay.arrival >= firstNight && stay.nightCount <= HotelIndex.maximumNights
            && firstNight.distance(to: stay.departure) <= nightCount
    }

    /// Whether the hotel has a room type of that id.
    public func hasType(_ id: Int32) -> Bool { typeNumbers[id] != nil }

    /// How many of a type's rooms are for sale and yet closed.
    public func closedCount(ofType id: Int32) -> Int32 {
        guard let number = typeNumbers[id] else { return 0 }
        return types[number].roomCount - types[number].groups.reduce(0) { $0 + Int32(groups[$1].rooms.count) }
    }

    /// Rooms of a type for at least `guests` guests that are free on every night of the stay; nil if the type is
    /// unknown or the index does not cover the stay.
    public func availability(ofType id: Int32, stay: Stay, guests: Int32 = 1) -> Int32? {
        guard covers(stay), let number = typeNumbers[id] else { return nil }
        return available(in: types[number], mask: mask(of: stay), guests: guests)
    }

    /// Answers for every room type, or for one: rooms free on the whole stay, and on each night alone.
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
        let mask = mask(of: stay)
        for number in asked {
            let type = types[number]
            answer.append(
                TypeAvailability(
                    type: type.id, capacity: type.capacity, total: type.roomCount,
                    available: available(in: type, mask: mask, guests: guests)))
            appendNights(of: type, from: mask.firstBit, count: stay.nightCount, guests: guests, to: &answer)
        }
        return true
    }

    /// Taken nights on that day that name no room: the front desk still has to find them one, so the counts of free
    /// rooms are that much too high.
    public func unassigned(on night: Day) -> Int32 {
        unassignedCounts.isEmpty ? 0 : unassignedCounts[night] ?? 0
    }

    /// How many reservations hold the room on that night; nil for an unknown room or a night before the window.
    public func takenCount(room id: Int32, night: Day) -> Int? {
        guard night >= firstNight, let room = roomNumbers[id] else { return nil }
        if let count = takenCounts[RoomNight(room: id, night: night)] { return Int(count) }
        let offset = firstNight.distance(to: night)
        return offset < nightCount && !isFree(room: room, offset: offset) ? 1 : 0
    }
}

// MARK: - The hot loop

extension HotelIndex {
    /// The bits of a stay within two neighbouring words of a room's bitset.
    struct StayMask {
        let firstBit: Int
        let low: UInt64
        let high: UInt64
    }

    /// The mask of a stay that the index covers.
    func mask(of stay: Stay) -> StayMask {
        let firstBit = firstNight.distance(to: stay.arrival)
        let bits = UInt64.max >> UInt64(64 - stay.nightCount)
        let shift = UInt64(firstBit % 64)
        // A smart shift by 64 gives 0, which is right for a stay that begins at bit 0.
        return StayMask(firstBit: firstBit, low: bits << shift, high: bits >> (64 - shift))
    }

    /// Rooms of the type with the capacity and with every bit of the mask set.
    func available(in type: TypeEntry, mask: StayMask, guests: Int32) -> Int32 {
        guard let first = type.groups.first else { return 0 }
        // Groups come largest capacity first, so those that take the guests are the first ones.
        let start = groups[first].rooms.lowerBound
        var end = start
        for group in type.groups where groups[group].capacity >= guests { end = groups[group].rooms.upperBound }
        let base = mask.firstBit / 64 * roomCount
        let low = free.span.extracting(base + start..<base + end)
        let high = free.span.extracting(base + roomCount + start..<base + roomCount + end)
        var count: Int32 = 0
        for room in 0..<end - start {
            let missing = (~low[room] & mask.low) | (~high[room] & mask.high)
            count &+= missing == 0 ? 1 : 0
        }
        return count
    }

    private func appendNights(
        of type: TypeEntry, from offset: Int, count: Int, guests: Int32, to answer: inout AvailabilityAnswer
    ) {
        // Most types have one group: its counters are the answer.
        guard let first = type.groups.first, groups[first].capacity >= guests else {
            answer.appendNights(repeatElement(0, count: count))
            return
        }
        let row = first * nightCount + offset
        answer.appendNights(freeCounts[row..<row + count])
        for group in type.groups.dropFirst() where groups[group].capacity >= guests {
            let row = group * nightCount + offset
            answer.addToLastNights(freeCounts[row..<row + count])
        }
    }

    func isFree(room: Int, offset: Int) -> Bool {
        free[offset / 64 * roomCount + room] & (1 << UInt64(offset % 64)) != 0
    }
}

// MARK: - Comparing

extension HotelIndex {
    /// How many room-nights the window has.
    public var roomNightCount: Int { roomCount * nightCount }

    /// How many room-nights of the window are free in one and taken in the other; all of them where the indexes have
    /// other rooms or another window.
    public func difference(from other: HotelIndex) -> Int {
        guard roomNumbers == other.roomNumbers, firstNight == other.firstNight, nightCount == other.nightCount else {
            return roomNightCount
        }
        return zip(free, other.free).reduce(0) { $0 + ($1.0 ^ $1.1).nonzeroBitCount }
    }
}
