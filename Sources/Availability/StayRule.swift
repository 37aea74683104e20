public import Stay

/// What a hotel has decided about stays, beside the rooms it has: a rule for some dates, of one room type or of all.
///
/// Rules add up: on a date that several are about, the strictest of each kind holds.
public struct StayRule: Hashable, Sendable {
    /// The room type it is about, by its id in the PMS; nil for every type.
    public let type: Int32?
    /// The dates it is about, the last one included.
    public let dates: ClosedRange<Day>
    /// The weekdays among them; nil for all seven.
    public let weekdays: Set<Day.Weekday>?
    /// The fewest nights of a stay that arrives on one of the dates.
    public let minimumNights: Int?
    /// The most nights of a stay that arrives on one of the dates.
    public let maximumNights: Int?
    /// Whether no stay may arrive on the dates.
    public let isClosedToArrival: Bool
    /// Whether no stay may depart on the dates.
    public let isClosedToDeparture: Bool
    /// Whether the nights of the dates are not sold at all.
    public let isStopped: Bool

    /// A rule.
    public init(
        type: Int32? = nil, dates: ClosedRange<Day>, weekdays: Set<Day.Weekday>? = nil, minimumNights: Int? = nil,
        maximumNights: Int? = nil, isClosedToArrival: Bool = false, isClosedToDeparture: Bool = false,
        isStopped: Bool = false
    ) {
        self.type = type
        self.dates = dates
        self.weekdays = weekdays
        self.minimumNights = minimumNights
        self.maximumNights = maximumNights
        self.isClosedToArrival = isClosedToArrival
        self.isClosedToDeparture = isClosedToDeparture
        self.isStopped = isStopped
    }
}

/// The rules of one hotel, by type and date, for the dates that stays can be asked about.
///
/// A question costs a look at two dates and one at each night; a hotel without rules costs nothing.
public struct StayRules: Sendable {
    /// What holds on one date.
    private struct Terms {
        var minimumNights: UInt8 = 0
        var maximumNights = UInt8.max
        var isClosedToArrival = false
        var isClosedToDeparture = false
        var isStopped = false

        mutating func add(_ rule: StayRule) {
            // No stay has more nights than the index answers for, so a byte tells all that matters.
            if let least = rule.minimumNights { minimumNights = max(minimumNights, UInt8(clamping: least)) }
            if let most = rule.maximumNights { maximumNights = min(maximumNights, UInt8(clamping: most)) }
            if rule.isClosedToArrival { isClosedToArrival = true }
            if rule.isClosedToDeparture { isClosedToDeparture = true }
            if rule.isStopped { isStopped = true }
        }
    }

    /// The dates that it knows about; a rule holds on no other.
    public let dates: Range<Day>
    /// Of types that have rules of their own, those for every type included.
    private var ofType: [Int32: [Terms]] = [:]
    /// Of all other types; empty without such rules.
    private var ofAll: [Terms] = []

    /// Whether the night is not sold.
    func isStopped(_ night: Day, type: Int32) -> Bool {
        let terms = ofType[type] ?? ofAll
        return dates.contains(night) && !terms.isEmpty && terms[dates.lowerBound.distance(to: night)].isStopped
    }

    /// The rules as they hold on `dates`.
    public init(_ rules: [StayRule] = [], dates: Range<Day>) {
        self.dates = dates
        let blank = Array(repeating: Terms(), count: dates.count)
        let general = rules.filter { $0.type == nil }
        if !general.isEmpty {
            ofAll = blank
            for rule in general { Self.add(rule, to: &ofAll, dates) }
        }
        for rule in rules {
            guard let type = rule.type else { continue }
            Self.add(rule, to: &ofType[type, default: ofAll.isEmpty ? blank : ofAll], dates)
        }
    }

    private static func add(_ rule: StayRule, to terms: inout [Terms], _ dates: Range<Day>) {
        let first = max(rule.dates.lowerBound, dates.lowerBound)
        let end = min(rule.dates.upperBound.advanced(by: 1), dates.upperBound)
        guard first < end else { return }
        for date in first..<end where rule.weekdays?.contains(date.weekday) ?? true {
            terms[dates.lowerBound.distance(to: date)].add(rule)
        }
    }

    /// Whether there are none.
    public var isEmpty: Bool { ofAll.isEmpty && ofType.isEmpty }

    /// Whether rooms of the type may be sold for the stay.
    @inline(__always)
    public func allow(_ stay: Stay, type: Int32) -> Bool {
        isEmpty || obstacles(to: stay, type: type).isEmpty
    }

    /// Every rule that keeps rooms of the type from being sold for the stay.
    public func obstacles(to stay: Stay, type: Int32) -> [Obstacle] {
        let terms = ofType[type] ?? ofAll
        guard !terms.isEmpty else { return [] }
        func on(_ date: Day) -> Terms { dates.contains(date) ? terms[dates.lowerBound.distance(to: date)] : Terms() }
        var obstacles: [Obstacle] = []
        let arrival = on(stay.arrival)
        if arrival.isClosedToArrival { obstacles.append(.closedToArrival) }
        if stay.nightCount < arrival.minimumNights {
            obstacles.append(.minimumStay(nights: Int(arrival.minimumNights)))
        }
        if stay.nightCount > arrival.maximumNights {
            obstacles.append(.maximumStay(nights: Int(arrival.maximumNights)))
        }
        if on(stay.departure).isClosedToDeparture { obstacles.append(.closedToDeparture) }
        let stopped = stay.nights.filter { on($0).isStopped }
        if !stopped.isEmpty { obstacles.append(.stopSell(nights: stopped)) }
        return obstacles
    }
}

/// A reason why rooms of a type cannot be booked for a stay.
public enum Obstacle: Hashable, Sendable {
    /// The type has no room that is sold.
    case noRooms
    /// None of its rooms takes so many guests.
    case capacity(most: Int32)
    /// On these nights no room that takes the guests is left.
    case soldOut(nights: [Day])
    /// Each night has a free room, but none is free on all of them.
    case noRoomThroughout
    /// Fewer rooms are free throughout than are asked for.
    case tooFewRooms(available: Int32)
    /// So many of its rooms are not sold because the PMS's rows about them cannot be read.
    case notCounted(rooms: Int32)
    /// Stays that arrive on that date must have more nights.
    case minimumStay(nights: Int)
    /// Stays that arrive on that date must have fewer nights.
    case maximumStay(nights: Int)
    case closedToArrival
    case closedToDeparture
    /// These nights are not sold.
    case stopSell(nights: [Day])

    /// What it is called in answers.
    public var code: String {
        switch self {
        case .noRooms: "no-rooms"
        case .capacity: "capacity"
        case .soldOut: "sold-out"
        case .noRoomThroughout: "no-room-throughout"
        case .tooFewRooms: "too-few-rooms"
        case .notCounted: "not-counted"
        case .minimumStay: "minimum-stay"
        case .maximumStay: "maximum-stay"
        case .closedToArrival: "closed-to-arrival"
        case .closedToDeparture: "closed-to-departure"
        case .stopSell: "stop-sell"
        }
    }
}
