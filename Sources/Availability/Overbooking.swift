public import Stay

/// How many rooms more than it has free a hotel sells of each type, and how many of these are sold.
///
/// Such a booking has no room: the front desk finds it one. Each takes one of the allowance on all its nights, so a type
/// never has more of them on any night than it is allowed.
public struct Overbooking: Sendable {
    private struct TypeNight: Hashable {
        let type: Int32
        let night: Day
    }

    /// Rooms by type; none for types that are not named.
    private var allowances: [Int32: Int32] = [:]
    private var sold: [TypeNight: Int32] = [:]

    /// Nothing allowed and nothing sold.
    public init() {}

    /// The rooms of a type that may be sold beyond the free ones.
    public func allowance(ofType type: Int32) -> Int32 { allowances[type] ?? 0 }

    /// Lets that many rooms of each type be sold beyond the free ones, in place of what was allowed before. What is sold
    /// stays sold.
    public mutating func allow(_ allowances: [Int32: Int32]) { self.allowances = allowances.filter { $0.value > 0 } }

    /// Rooms of the type that may still be sold for the stay without there being one.
    public func left(ofType type: Int32, stay: Stay) -> Int32 {
        guard let allowance = allowances[type] else { return 0 }
        let worst = sold.isEmpty ? 0 : stay.nights.map { sold[TypeNight(type: type, night: $0)] ?? 0 }.max() ?? 0
        return max(0, allowance - worst)
    }

    /// A booking without a room was made.
    public mutating func take(type: Int32, nights: Range<Day>) {
        for night in nights { sold[TypeNight(type: type, night: night), default: 0] += 1 }
    }

    /// A booking has a room now, or is no more.
    ///
    /// - Returns: nights on which none was counted.
    public mutating func release(type: Int32, nights: Range<Day>) -> Int {
        var ignored = 0
        for night in nights {
            let key = TypeNight(type: type, night: night)
            guard let count = sold[key] else {
                ignored += 1
                continue
            }
            sold[key] = count > 1 ? count - 1 : nil
        }
        return ignored
    }

    /// Forgets nights before the day.
    public mutating func advance(to day: Day) { sold = sold.filter { $0.key.night >= day } }
}
