public import Stay

/// Which rooms of one hotel are free on which nights, in memory.
///
/// A stay needs one room that is free on every night, so each sellable room has a bitset with one bit per night of the
/// window; a stay of up to 64 nights touches two words of it. The words of one 64-night block stand side by side for
/// all rooms, so that a query runs straight through memory. Counters per room group and night answer "how many are free
/// on this night" with a load.
///
/// A value without locks: one loop owns it. Ids are the PMS's; unknown ones are reported, never trapped on.
public struct HotelIndex: Sendable {
    /// The longest stay a query may ask about: it spans at most two words of a room's bitset.
    public static let maximumNights = 64
    /// The default window: arrivals up to 500 days ahead, and the longest stay the contract allows after that.
    public static let defaultNightCount = 530

    /// The window's first night, usually today at the hotel.
    public internal(set) var firstNight: Day
    /// How many nights the window has.
    public let nightCount: Int

    /// Room types in the order given; those without sellable rooms too.
    var types: [TypeEntry] = []
    /// Rooms of one type and capacity, largest capacity first within a type. Rooms are numbered group by group.
    var groups: [RoomGroup] = []
    var typeNumbers: [Int32: Int] = [:]
    var roomNumbers: [Int32: Int] = [:]
    /// The group of each room, by room number.
    var groupOfRoom: [Int] = []

    /// Bit set: free. The word for the nights 64·w ..< 64·(w + 1) of room r is at w · roomCount + r.
    var free: [UInt64] = []
    /// Free rooms of group g on night n of the window, at g · nightCount + n.
    var freeCounts: [Int32] = []
    /// How often a room-night is taken, where one bit does not tell: twice or more, or after the window's end.
    var takenCounts: [RoomNight: UInt32] = [:]
    /// Taken nights that name no room, for the window and after it.
    var unassignedCounts: [Day: Int32] = [:]

    struct TypeEntry: Sendable {
        let id: Int32
        let groups: Range<Int>
        let roomCount: Int32
        let capacity: Int32
    }

    struct RoomGroup: Sendable {
        let capacity: Int32
        let rooms: Range<Int>
    }

    struct RoomNight: Hashable, Sendable {
        let room: Int32
        let night: Day
    }

    var roomCount: Int { groupOfRoom.count }
    /// One word more than the window fills, so that a query may always read two.
    var wordCount: Int { (nightCount + 63) / 64 + 1 }
}

/// A sellable room, as the index needs to know it.
public struct SellableRoom: Hashable, Sendable {
    /// The room's id in the PMS.
    public let id: Int32
    /// Its room type's id in the PMS.
    public let type: Int32
    /// The most guests it takes.
    public let capacity: Int32
    /// Whether it is free on no night, though it is one of the type's rooms.
    public let isClosed: Bool

    /// A room for sale.
    public init(id: Int32, type: Int32, capacity: Int32, isClosed: Bool = false) {
        self.id = id
        self.type = type
        self.capacity = capacity
        self.isClosed = isClosed
    }
}

/// One night that a reservation takes, in a room or, before the front desk assigns one, in no particular room.
public struct TakenNight: Hashable, Sendable {
    /// The room's id in the PMS, nil if none is assigned.
    public let room: Int32?
    /// The night.
    public let night: Day

    /// A night taken.
    public init(room: Int32?, night: Day) {
        self.room = room
        self.night = night
    }
}

// MARK: - Building

extension HotelIndex {
    /// An index of a hotel's sellable rooms, with the nights already taken.
    ///
    /// Types are kept in the order given, so that answers come in it; a type that only a room names comes after them.
    /// Of two rooms with one id the first counts. Nights of unknown rooms (not for sale, staff rooms) are left out. A
    /// closed room counts in the capacity and the total of its type; otherwise the index does not have it.
    public init(
        firstNight: Day, nightCount: Int = HotelIndex.defaultNightCount, types typeIDs: [Int32],
        rooms: [SellableRoom], taken: some Sequence<TakenNight>
    ) {
        self.firstNight = firstNight
        self.nightCount = max(1, nightCount)
        number(rooms: rooms, types: typeIDs)
        free = Array(repeating: .max, count: wordCount * roomCount)
        freeCounts = groups.flatMap { Array(repeating: Int32($0.rooms.count), count: self.nightCount) }
        for night in taken {
            if let room = night.room {
                _ = take(room: room, nights: night.night..<night.night.advanced(by: 1))
            } else {
                takeUnassigned(on: night.night)
            }
        }
    }

    private mutating func number(rooms: [SellableRoom], types typeIDs: [Int32]) {
        var byType: [Int32: [SellableRoom]] = [:]
        var order: [Int32] = []
        var seen: Set<Int32> = []
        for id in typeIDs where byType.updateValue([], forKey: id) == nil { order.append(id) }
        for room in rooms where seen.insert(room.id).inserted {
            if byType[room.type] == nil { order.append(room.type) }
            byType[room.type, default: []].append(room)
        }
        for id in order {
            let rooms = byType[id]!.sorted { ($1.capacity, $0.id) < ($0.capacity, $1.id) }
            let open = rooms.filter { !$0.isClosed }
            let firstGroup = groups.count
            for capacity in open.map(\.capacity).uniqued() {
                let first = roomCount
                for room in open where room.capacity == capacity {
                    roomNumbers[room.id] = roomCount
                    groupOfRoom.append(groups.count)
                }
                groups.append(RoomGroup(capacity: capacity, rooms: first..<roomCount))
            }
            typeNumbers[id] = types.count
            types.append(
                TypeEntry(
                    id: id, groups: firstGroup..<groups.count, roomCount: Int32(rooms.count),
                    capacity: rooms.first?.capacity ?? 0))
        }
    }
}

extension [Int32] {
    /// The different values of a sorted array, in its order.
    fileprivate func uniqued() -> [Int32] {
        reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }
}
