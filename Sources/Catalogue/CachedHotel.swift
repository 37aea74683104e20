public import Booking
public import PMS

/// What a refresh did to the entries of a cache.
public struct CatalogueChange: Hashable, Sendable {
    /// Entries that are new or say something else than before.
    public var updated = 0
    /// Entries that are gone.
    public var removed = 0
    /// Entries that are as they were.
    public var unchanged = 0

    public init(updated: Int = 0, removed: Int = 0, unchanged: Int = 0) {
        self.updated = updated
        self.removed = removed
        self.unchanged = unchanged
    }

    public static func += (left: inout CatalogueChange, right: CatalogueChange) {
        left.updated += right.updated
        left.removed += right.removed
        left.unchanged += right.unchanged
    }

    /// Whether anything is not as it was.
    public var isAny: Bool { updated > 0 || removed > 0 }
}

/// A hotel as the bridge keeps it between two triggers.
public struct CachedHotel: Hashable, Sendable, Codable {
    public private(set) var hotel: Hotel
    /// When the bridge saw it change; before that when the PMS made it. The PMS keeps no time of change.
    public private(set) var updatedAt: Instant?
    /// Whether the PMS has it still. One that it has no longer is kept while a booking names it.
    public private(set) var isActive: Bool

    /// A hotel seen for the first time.
    public init(_ hotel: Hotel) {
        self.hotel = hotel
        updatedAt = hotel.createdAt
        isActive = true
    }

    /// Takes over what the PMS says now.
    ///
    /// - Parameter now: when it was read.
    /// - Returns: whether it says anything else than before.
    public mutating func take(_ new: Hotel, at now: Instant) -> Bool {
        guard new != hotel || !isActive else { return false }
        hotel = new
        isActive = true
        updatedAt = now
        return true
    }

    /// The PMS has it no longer.
    ///
    /// - Returns: whether it was there before.
    public mutating func retire(at now: Instant) -> Bool {
        guard isActive else { return false }
        isActive = false
        updatedAt = now
        return true
    }
}

/// What a hotel sells, as the bridge keeps it between two triggers.
public struct CachedOffer: Hashable, Sendable, Codable {
    /// In the PMS's order; after them those that it has no longer.
    public private(set) var roomTypes: [CachedType]
    public private(set) var rooms: [Room]
    public private(set) var plans: [PlanOffer]
    public private(set) var addOns: [AddOn]

    /// A room type as the bridge keeps it.
    public struct CachedType: Hashable, Sendable, Codable {
        public let type: RoomType
        /// When the bridge saw it, or one of its rooms, change; before that when the PMS made it.
        public let updatedAt: Instant?
        /// Whether the PMS has it still. One that it has no longer is kept, without rooms, while a booking names it.
        public let isActive: Bool
    }

    /// What was read for the first time.
    public init(_ offer: HotelOffer) {
        roomTypes = offer.roomTypes.map { CachedType(type: $0, updatedAt: $0.createdAt, isActive: true) }
        rooms = offer.rooms
        plans = offer.plans
        addOns = offer.addOns
    }

    /// The most guests that a room of the type takes; nil for a type the hotel does not have or that has no room.
    public func capacity(ofType type: Int32) -> Int32? { rooms.filter { $0.type == type }.map(\.capacity).max() }

    /// The active types that `offer` does not have any more.
    public func types(goneFrom offer: HotelOffer) -> [Int32] {
        let present = Set(offer.roomTypes.map(\.id))
        return roomTypes.map(\.type.id).filter { !present.contains($0) }
    }

    /// Whether with the other one other rooms are for sale, so that what is free must be counted anew.
    public func sellsOtherRooms(than other: CachedOffer) -> Bool {
        func sold(_ offer: CachedOffer) -> [[Int32]] {
            offer.roomTypes.map { [$0.type.id] } + offer.rooms.map { [$0.id, $0.type, $0.capacity] }
        }
        return sold(self) != sold(other)
    }

    /// Takes over what the PMS says now.
    ///
    /// - Parameters:
    ///   - linked: the types that a booking names; they are kept though the PMS has them no longer.
    ///   - now: when it was read.
    /// - Returns: what became of room types, plans and add-ons.
    public mutating func take(_ new: HotelOffer, keeping linked: Set<Int32>, at now: Instant) -> CatalogueChange {
        let old = self
        let before = Dictionary(old.roomTypes.map { ($0.type.id, $0) }, uniquingKeysWith: { first, _ in first })
        let oldRooms = Dictionary(grouping: old.rooms, by: \.type)
        let newRooms = Dictionary(grouping: new.rooms, by: \.type)
        var change = CatalogueChange()
        roomTypes = new.roomTypes.map { type in
            if let known = before[type.id], known.isActive, known.type == type, oldRooms[type.id] == newRooms[type.id] {
                change.unchanged += 1
                return known
            }
            change.updated += 1
            let updatedAt = before[type.id] == nil ? type.createdAt : now
            return CachedType(type: type, updatedAt: updatedAt, isActive: true)
        }
        for gone in old.types(goneFrom: new) {
            guard linked.contains(gone), let known = before[gone] else {
                change.removed += 1
                continue
            }
            if known.isActive { change.updated += 1 } else { change.unchanged += 1 }
            roomTypes.append(
                CachedType(type: known.type, updatedAt: known.isActive ? now : known.updatedAt, isActive: false))
        }
        rooms = new.rooms
        plans = new.plans
        addOns = new.addOns
        change += Self.change(from: old.plans, to: plans, by: \.key)
        change += Self.change(from: old.addOns, to: addOns, by: \.self)
        return change
    }

    /// The hotel is no longer the PMS's: nothing of it is for sale, and only the types that a booking names are kept.
    public mutating func retire(keeping linked: Set<Int32>, at now: Instant) {
        _ = take(HotelOffer(), keeping: linked, at: now)
    }

    private static func change<Element: Hashable, Key: Hashable>(
        from old: [Element], to new: [Element], by key: KeyPath<Element, Key>
    ) -> CatalogueChange {
        let before = Dictionary(old.map { ($0[keyPath: key], $0) }, uniquingKeysWith: { first, _ in first })
        let after = Dictionary(new.map { ($0[keyPath: key], $0) }, uniquingKeysWith: { first, _ in first })
        var change = CatalogueChange(removed: before.keys.count { after[$0] == nil })
        for (key, element) in after {
            if before[key] == element { change.unchanged += 1 } else { change.updated += 1 }
        }
        return change
    }
}
