public import Availability
public import Booking
internal import JSONText
public import Stay

/// What a hotel has decided about the sale of its rooms: rules about stays, and rooms that are sold beyond those it has free.
/// The PMS has no place for them, so the bridge keeps them.
public struct SaleTerms: Hashable, Sendable {
    /// How often they were set; the entity tag is made from it.
    public let version: Int32
    public let restrictions: [StayRestriction]
    /// Rooms by type, at least one of each.
    public let overbooking: [Int32: Int32]

    /// Nobody has set any.
    public static let none = SaleTerms(version: 0, restrictions: [], overbooking: [:])

    public init(version: Int32, restrictions: [StayRestriction], overbooking: [Int32: Int32]) {
        self.version = version
        self.restrictions = restrictions
        self.overbooking = overbooking
    }

    /// Bounds on what may be kept.
    public enum Limit {
        /// Restrictions of one hotel.
        public static let restrictions = 0...300
        /// Room types with an allowance.
        public static let overbooking = 0...100
        /// Nights of a stay.
        public static let nights: ClosedRange<Int64> = 1...Int64(HotelIndex.maximumNights)
        /// Rooms of a type that are sold beyond the free ones.
        public static let rooms: ClosedRange<Int64> = 0...100
    }

    /// The entity tag that they are known by.
    public var tag: String { "\"\(version)\"" }

    /// The rules, as availability and bookings go by them.
    public var rules: [StayRule] { restrictions.map(\.rule) }

    /// They were set once more.
    public func succeeded(by restrictions: [StayRestriction], _ overbooking: [Int32: Int32]) -> SaleTerms {
        SaleTerms(version: version + 1, restrictions: restrictions, overbooking: overbooking)
    }

    /// JSON as clients see it.
    public func json(hotel: Int32) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("hotel_id", Int(hotel))
            json.array("restrictions", restrictions) { json, restriction in restriction.write(to: &json) }
            json.array("overbooking", overbooking.sorted { $0.key < $1.key }) { json, allowance in
                json.object { json in
                    json.member("room_type_id", Int(allowance.key))
                    json.member("rooms", Int(allowance.value))
                }
            }
        }
        return json.bytes
    }
}

/// A rule about stays, for some dates and one room type or all.
public struct StayRestriction: Hashable, Sendable, Codable {
    /// Nil for every room type.
    public let roomType: Int32?
    public let start: Day
    /// The day after the last date it is about.
    public let end: Day
    /// Bit 0 is Monday; nil for all seven.
    public let weekdays: Int16?
    public let minimumNights: Int16?
    public let maximumNights: Int16?
    public let closedToArrival: Bool
    public let closedToDeparture: Bool
    public let stopSell: Bool

    var rule: StayRule {
        StayRule(
            type: roomType, dates: start...end.advanced(by: -1), weekdays: weekdays.map(Self.days),
            minimumNights: minimumNights.map { Int($0) }, maximumNights: maximumNights.map { Int($0) },
            isClosedToArrival: closedToArrival, isClosedToDeparture: closedToDeparture, isStopped: stopSell)
    }

    private static func days(_ mask: Int16) -> Set<Day.Weekday> {
        Set(Day.Weekday.allCases.filter { mask & bit($0) != 0 })
    }

    private static func bit(_ day: Day.Weekday) -> Int16 { 1 << Int16(day.rawValue - 1) }

    fileprivate func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("room_type_id", roomType.map { Int($0) })
            json.member("start_date", start.description)
            json.member("end_date", end.description)
            if let weekdays {
                json.array("weekdays", Day.Weekday.allCases.filter { weekdays & Self.bit($0) != 0 }) {
                    $0.element("\($1)")
                }
            }
            json.member("minimum_nights", minimumNights.map { Int($0) })
            json.member("maximum_nights", maximumNights.map { Int($0) })
            json.member("closed_to_arrival", closedToArrival)
            json.member("closed_to_departure", closedToDeparture)
            json.member("stop_sell", stopSell)
        }
    }
}

// MARK: - Reading requests

extension SaleTerms {
    /// What a request says they are to be.
    public struct Body: Sendable {
        public let restrictions: [StayRestriction]
        public let overbooking: [Int32: Int32]

        /// Reads it.
        ///
        /// - Parameters:
        ///   - hotel: whose they are to be; what is read names it, too, and can be sent as it is.
        ///   - types: the hotel's room types.
        /// - Throws: `InvalidRequest` with everything that is wrong.
        public init(json: [UInt8], hotel: Int32, types: Set<Int32>) throws(InvalidRequest) {
            var fields = FieldReader(try JSONValue(body: json), at: "")
            let named = fields.integer("hotel_id", in: 1...Int64(Int32.max), isRequired: false, allowsString: true)
            if let named, named != Int64(hotel) { fields.fail("hotel_id", "It is another hotel's address") }
            restrictions = Self.elements("restrictions", SaleTerms.Limit.restrictions, &fields) { element in
                StayRestriction(reading: &element, types)
            }
            overbooking = Self.allowances(&fields, types)
            let errors = fields.finished()
            guard errors.isEmpty else { throw InvalidRequest(isMalformed: false, errors: errors) }
        }

        private static func elements<Element>(
            _ name: String, _ count: ClosedRange<Int>, _ fields: inout FieldReader,
            _ read: (inout FieldReader) -> Element?
        ) -> [Element] {
            guard let value = fields.value(name, isRequired: true) else { return [] }
            guard case .array(let elements) = value, count.contains(elements.count) else {
                fields.fail(name, "An array of at most \(count.upperBound) elements is expected")
                return []
            }
            return elements.enumerated().compactMap { position, element in
                var reader = FieldReader(element, at: "/\(name)/\(position)")
                let value = read(&reader)
                fields.absorb(reader)
                return value
            }
        }

        private static func allowances(_ fields: inout FieldReader, _ types: Set<Int32>) -> [Int32: Int32] {
            var allowances: [Int32: Int32] = [:]
            var seen: Set<Int32> = []
            _ = elements("overbooking", SaleTerms.Limit.overbooking, &fields) { element -> Void? in
                let type = element.roomType(of: types, isRequired: true)
                let rooms = element.integer("rooms", in: SaleTerms.Limit.rooms)
                guard let type, let rooms else { return nil }
                if !seen.insert(type).inserted { element.fail("room_type_id", "The room type is named before") }
                allowances[type] = rooms > 0 ? Int32(rooms) : nil
                return nil
            }
            return allowances
        }
    }
}

extension StayRestriction {
    fileprivate init?(reading fields: inout FieldReader, _ types: Set<Int32>) {
        roomType = fields.roomType(of: types, isRequired: false)
        let start = fields.day("start_date")
        let end = fields.day("end_date")
        weekdays = fields.weekdays()
        minimumNights = fields.integer("minimum_nights", in: SaleTerms.Limit.nights, isRequired: false)
            .map { Int16($0) }
        maximumNights = fields.integer("maximum_nights", in: SaleTerms.Limit.nights, isRequired: false)
            .map { Int16($0) }
        closedToArrival = fields.flag("closed_to_arrival")
        closedToDeparture = fields.flag("closed_to_departure")
        stopSell = fields.flag("stop_sell")
        if let minimumNights, let maximumNights, minimumNights > maximumNights {
            fields.fail("maximum_nights", "The maximum must not be less than the minimum")
        }
        guard let start, let end else { return nil }
        if start >= end { fields.fail("end_date", "The end must be after the start") }
        let saysSomething =
            minimumNights != nil || maximumNights != nil || closedToArrival || closedToDeparture || stopSell
        if !saysSomething { fields.fail("stop_sell", "The restriction restricts nothing") }
        self.start = start
        self.end = end
    }
}

extension FieldReader {
    fileprivate mutating func roomType(of types: Set<Int32>, isRequired: Bool) -> Int32? {
        let type = integer("room_type_id", in: 1...Int64(Int32.max), isRequired: isRequired, allowsString: true)
        guard let type = type.map({ Int32($0) }) else { return nil }
        if !types.contains(type) { fail("room_type_id", "The hotel has no such room type") }
        return type
    }

    fileprivate mutating func day(_ name: String) -> Day? {
        guard let value = value(name, isRequired: true) else { return nil }
        let day = value.string.flatMap { Day($0) }
        if day == nil { fail(name, "A date as YYYY-MM-DD is expected") }
        return day
    }

    fileprivate mutating func flag(_ name: String) -> Bool {
        guard let value = value(name, isRequired: false) else { return false }
        guard case .bool(let flag) = value else {
            fail(name, "true or false is expected")
            return false
        }
        return flag
    }

    fileprivate mutating func weekdays() -> Int16? {
        guard let value = value("weekdays", isRequired: false) else { return nil }
        let names = Dictionary(uniqueKeysWithValues: Day.Weekday.allCases.map { ("\($0)", $0) })
        guard case .array(let elements) = value, (1...7).contains(elements.count) else {
            fail("weekdays", "An array of 1 to 7 weekdays such as \"monday\" is expected")
            return nil
        }
        return elements.enumerated().reduce(into: Int16(0)) { mask, element in
            guard let day = element.element.string.flatMap({ names[$0] }) else {
                fail(at: "weekdays", element.offset, "A weekday such as \"monday\" is expected")
                return
            }
            mask |= 1 << Int16(day.rawValue - 1)
        }
    }
}
