public import Stay

/// How many rooms more than it has free a hotel sells of each type, and how many nights are sold of which no room is known.
///
/// A night without a room takes one of the type's free rooms all the same, sooner or later, and so does one whose room the
/// front desk has taken away. What may be sold of a type is therefore its free rooms and the allowance less such nights; less
/// than the free rooms where more of them are sold than are allowed.
public struct Overbooking: Sendable {
    /// Nights of one reservation for which it has no room.
    public struct Roomless: Hashable, Sendable {
        /// The night.
        public let night: Day
        /// How many rooms it lacks on it.
        public let count: Int32
        /// The room types it was sold, with the number of each.
        public let types: [Int32: Int32]

        /// Nights without a room.
        public init(night: Day, count: Int32, types: [Int32: Int32]) {
            self.night = night
            self.count = count
            self.types = types
        }
    }

    struct TypeNight: Hashable, Sendable {
        let type: Int32
        let night: Day
    }

    /// Rooms by type; none for types that are not named.
    private var allowances: [Int32: Int32] = [:]
    /// Nights sold without a room.
    private(set) var sold: [TypeNight: Int32] = [:]
    /// How many of all nights without a room are counted in `sold`, each once.
    private(set) var known: [Day: Int32] = [:]

    /// Nothing allowed and nothing sold.
    public init() {}

    /// Whether free rooms alone say what can be sold.
    public var isEmpty: Bool { allowances.isEmpty && sold.isEmpty }

    /// The rooms of a type that may be sold beyond the free ones.
    public func allowance(ofType type: Int32) -> Int32 { allowances[type] ?? 0 }

    /// Lets that many rooms of each type be sold beyond the free ones, in place of what was allowed before. What is sold
    /// stays sold.
    public mutating func allow(_ allowances: [Int32: Int32]) { self.allowances = allowances.filter { $0.value > 0 } }

    /// What may be sold of the type for a night besides its free rooms; less than none where free rooms are promised.
    public func balance(ofType type: Int32, on night: Day) -> Int32 {
        allowance(ofType: type) - (sold.isEmpty ? 0 : sold[TypeNight(type: type, night: night)] ?? 0)
    }

    /// The same for every night of a stay.
    public func balance(ofType type: Int32, stay: Stay) -> Int32 {
        guard !sold.isEmpty else { return allowance(ofType: type) }
        return stay.nights.reduce(Int32.max) { min($0, balance(ofType: type, on: $1)) }
    }

    /// How many of the nights without a room are of a known type.
    public func known(on night: Day) -> Int32 { known.isEmpty ? 0 : known[night] ?? 0 }

    /// Rooms of the type were sold without there being one.
    public mutating func take(type: Int32, nights: Range<Day>) {
        for night in nights { add(Roomless(night: night, count: 1, types: [type: 1])) }
    }

    /// A room of the type that was sold without there being one is given up, if it is counted.
    public mutating func release(type: Int32, on night: Day) {
        let place = TypeNight(type: type, night: night)
        guard let count = sold[place] else { return }
        sold[place] = count > 1 ? count - 1 : nil
        known[night] = known[night].flatMap { $0 > 1 ? $0 - 1 : nil }
    }

    /// Counts no less as sold than another one does.
    public mutating func raiseSold(to other: Overbooking) {
        sold.merge(other.sold) { max($0, $1) }
        known.merge(other.known) { max($0, $1) }
    }

    /// Replaces what is known to be sold.
    public mutating func replaceSold(with roomless: some Sequence<Roomless>) {
        sold = [:]
        known = [:]
        for night in roomless { add(night) }
    }

    /// Of a reservation of several types that lacks some of its rooms nobody knows which of them: each is counted that it may
    /// be, so that no type is sold beyond what is allowed.
    private mutating func add(_ roomless: Roomless) {
        let rooms = roomless.types.values.reduce(0, +)
        guard roomless.count > 0, rooms > 0 else { return }
        known[roomless.night, default: 0] += min(roomless.count, rooms)
        for (type, count) in roomless.types {
            sold[TypeNight(type: type, night: roomless.night), default: 0] += min(count, roomless.count)
        }
    }

    /// Forgets nights before the day.
    public mutating func advance(to day: Day) {
        sold = sold.filter { $0.key.night >= day }
        known = known.filter { $0.key >= day }
    }
}
