public import Stay

/// What a change did to the index.
public struct IndexChange: Hashable, Sendable {
    /// Whether the index has the room; if not, nothing changed.
    public var roomIsKnown: Bool
    /// Nights that became taken or free by it.
    public var flipped: Int
    /// Nights that meant nothing: before the window, or released though nobody held them.
    public var ignored: Int

    /// A change; by default none, of a known room.
    public init(roomIsKnown: Bool = true, flipped: Int = 0, ignored: Int = 0) {
        self.roomIsKnown = roomIsKnown
        self.flipped = flipped
        self.ignored = ignored
    }

    /// The change of a room the index does not have.
    public static let unknownRoom = IndexChange(roomIsKnown: false)
}

extension HotelIndex {
    /// Takes a room for the nights, once more for those on which it is already taken.
    public mutating func take(room id: Int32, nights: Range<Day>) -> IndexChange {
        guard let room = roomNumbers[id] else { return .unknownRoom }
        var change = IndexChange()
        for night in nights {
            let key = RoomNight(room: id, night: night)
            let offset = firstNight.distance(to: night)
            if offset < 0 {
                change.ignored += 1
            } else if offset < nightCount, isFree(room: room, offset: offset) {
                setFree(false, room: room, offset: offset)
                change.flipped += 1
            } else if offset < nightCount {
                takenCounts[key] = (takenCounts[key] ?? 1).addingSaturated(1)
            } else {
                takenCounts[key] = (takenCounts[key] ?? 0).addingSaturated(1)
            }
        }
        return change
    }

    /// Gives a room back for the nights; it stays taken where it was taken more often than it is given back.
    public mutating func release(room id: Int32, nights: Range<Day>) -> IndexChange {
        guard let room = roomNumbers[id] else { return .unknownRoom }
        var change = IndexChange()
        for night in nights {
            let key = RoomNight(room: id, night: night)
            let offset = firstNight.distance(to: night)
            let least: UInt32 = offset < nightCount ? 1 : 0
            if offset >= 0, let count = takenCounts[key] {
                takenCounts[key] = count - 1 > least ? count - 1 : nil
            } else if offset >= 0, offset < nightCount, !isFree(room: room, offset: offset) {
                setFree(true, room: room, offset: offset)
                change.flipped += 1
            } else {
                change.ignored += 1
            }
        }
        return change
    }

    /// Notes how often a room is taken on a night, whatever was known before.
    public mutating func set(room id: Int32, night: Day, takenCount count: Int32) -> IndexChange {
        guard let room = roomNumbers[id] else { return .unknownRoom }
        let offset = firstNight.distance(to: night)
        guard offset >= 0 else { return IndexChange(ignored: 1) }
        let isInWindow = offset < nightCount
        let key = RoomNight(room: id, night: night)
        takenCounts[key] = count > (isInWindow ? 1 : 0) ? UInt32(count) : nil
        guard isInWindow, isFree(room: room, offset: offset) != (count <= 0) else { return IndexChange() }
        setFree(count <= 0, room: room, offset: offset)
        return IndexChange(flipped: 1)
    }

    /// Notes how many taken nights of a day name no room, whatever was known before.
    public mutating func setUnassigned(on night: Day, count: Int32) {
        guard night >= firstNight else { return }
        unassignedCounts[night] = count > 0 ? count : nil
    }

    /// Counts a taken night that names no room. Nights before the window are not counted.
    public mutating func takeUnassigned(on night: Day) {
        guard night >= firstNight else { return }
        unassignedCounts[night, default: 0] &+= 1
    }

    /// Takes back one count of a night that named no room.
    ///
    /// - Returns: False if none was counted on that night.
    public mutating func releaseUnassigned(on night: Day) -> Bool {
        guard let count = unassignedCounts[night] else { return false }
        unassignedCounts[night] = count > 1 ? count - 1 : nil
        return true
    }

    /// Replaces what is known of part of the calendar, for some rooms, or for all and for what names no room.
    ///
    /// - Parameters:
    ///   - rooms: nil for all rooms and the nights that name none.
    ///   - nights: of which those before the window mean nothing.
    ///   - taken: every night taken there; others are left out.
    /// - Returns: how many room-nights became taken or free by it.
    public mutating func replace(
        rooms: [Int32]?, nights: Range<Day>, with taken: some Sequence<TakenNight>
    ) -> Int {
        let nights = nights.clamped(to: max(firstNight, nights.lowerBound)..<max(firstNight, nights.upperBound))
        var wanted: [RoomNight: Int32] = [:]
        var unassigned: [Day: Int32] = [:]
        for night in taken where nights.contains(night.night) {
            if let room = night.room {
                wanted[RoomNight(room: room, night: night.night), default: 0] += 1
            } else {
                unassigned[night.night, default: 0] += 1
            }
        }
        var flipped = 0
        for room in rooms ?? Array(roomNumbers.keys) {
            for night in nights {
                let count = wanted[RoomNight(room: room, night: night), default: 0]
                flipped += set(room: room, night: night, takenCount: count).flipped
            }
        }
        if rooms == nil {
            unassignedCounts = unassignedCounts.filter { !nights.contains($0.key) }
            unassignedCounts.merge(unassigned) { $1 }
        }
        return flipped
    }

    /// Moves the window forward so that it begins at the day: past nights are forgotten, and nights that were taken
    /// before they came into the window are taken in it. Does nothing if the window already begins there or later.
    public mutating func advance(to day: Day) {
        let days = firstNight.distance(to: day)
        guard days > 0 else { return }
        shiftBits(by: days)
        shiftCounts(by: days)
        firstNight = day
        unassignedCounts = unassignedCounts.filter { $0.key >= day }
        takenCounts = takenCounts.filter { $0.key.night >= day }
        let entering = max(0, nightCount - days)..<nightCount
        for (key, count) in takenCounts where entering.contains(day.distance(to: key.night)) {
            setFree(false, room: roomNumbers[key.room]!, offset: day.distance(to: key.night))
            if count == 1 { takenCounts[key] = nil }
        }
    }
}

// MARK: - Bits and counters

extension HotelIndex {
    private mutating func setFree(_ isFree: Bool, room: Int, offset: Int) {
        free[offset / 64 * roomCount + room] ^= 1 << UInt64(offset % 64)
        freeCounts[groupOfRoom[room] * nightCount + offset] += isFree ? 1 : -1
    }

    /// Drops the first days of every room's bitset; the days that come in at the end are free.
    private mutating func shiftBits(by days: Int) {
        let (words, bits) = days.quotientAndRemainder(dividingBy: 64)
        let old = free
        func word(_ index: Int, _ room: Int) -> UInt64 {
            index < wordCount ? old[index * roomCount + room] : .max
        }
        for index in 0..<wordCount {
            for room in 0..<roomCount {
                let low = word(index + words, room) >> UInt64(bits)
                // A smart shift by 64 gives 0: nothing comes from the next word when whole words move.
                free[index * roomCount + room] = low | word(index + words + 1, room) << UInt64(64 - bits)
            }
        }
    }

    private mutating func shiftCounts(by days: Int) {
        let kept = max(0, nightCount - days)
        for (number, group) in groups.enumerated() {
            let row = number * nightCount
            for night in 0..<kept { freeCounts[row + night] = freeCounts[row + night + days] }
            for night in kept..<nightCount { freeCounts[row + night] = Int32(group.rooms.count) }
        }
    }
}

extension UInt32 {
    fileprivate func addingSaturated(_ other: UInt32) -> UInt32 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
