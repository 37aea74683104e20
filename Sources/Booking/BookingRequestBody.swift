internal import JSONText
import Stay

/// The body of `POST /api/booking-engine/bookings` as far as it can be read without knowing the hotel. Read it, look up
/// the hotel it names, then `validate`.
public struct BookingRequestBody: Sendable {
    /// The hotel's id, if the body names one.
    public let hotel: Int32?

    /// The booking engine's id for the booking; nil if it is missing or wrong.
    public let engineID: String?
    private let arrival: Day?
    private let departure: Day?
    private let rooms: [Room]
    private let guest: Guest?
    private let expectedTotal: Money?
    private let paymentTiming: PaymentTiming
    private let comment: String?
    private let holdMinutes: Int32?
    private let errors: [FieldError]

    struct Room: Sendable {
        let type: Int32?
        let guests: Int32?
        let plan: PlanKey?
    }

    /// Bounds on what a body may hold.
    public enum Limit {
        /// Characters of `booking_engine_id`, printable ASCII without blanks.
        public static let engineID = 1...64
        /// Rooms of one booking.
        public static let rooms = 1...10
        /// Guests of one room, before its capacity is known.
        public static let guests: ClosedRange<Int64> = 1...100
        /// Unicode scalars of a guest's name.
        public static let name = 1...200
        /// Characters of an e-mail address (RFC 5321 §4.5.3.1.3, less the angle brackets).
        public static let email = 3...254
        /// Characters of a telephone number.
        public static let phone = 3...32
        /// Unicode scalars of a comment.
        public static let comment = 0...2000
        /// Minutes of a hold.
        public static let holdMinutes: ClosedRange<Int64> = 1...60
        /// The total in minor units: more than any stay costs.
        public static let total: ClosedRange<Int64> = 0...1_000_000_000_000
        /// Ids of the PMS: positive 32-bit integers.
        public static let id: ClosedRange<Int64> = 1...Int64(Int32.max)
    }

    /// Reads a body.
    ///
    /// - Throws: `InvalidRequest` if it is not JSON. Mistakes in fields are kept for `validate`.
    public init(json: [UInt8]) throws(InvalidRequest) {
        var fields = try FieldReader(parsing: json)
        engineID = fields.engineID()
        hotel = fields.id("hotel_id")
        arrival = fields.day("check_in")
        departure = fields.day("check_out")
        rooms = BookingRequestBody.rooms(&fields)
        guest = BookingRequestBody.guest(&fields)
        expectedTotal = BookingRequestBody.total(&fields)
        paymentTiming = fields.paymentTiming() ?? .notSet
        comment = fields.text("comment", length: Limit.comment, isRequired: false, allowsLines: true)
        holdMinutes = fields.integer("hold_minutes", in: Limit.holdMinutes, isRequired: false).map { Int32($0) }
        errors = fields.finished()
    }

    /// Checks dates and rooms against the hotel's rules.
    ///
    /// - Throws: `InvalidRequest` with everything that is wrong, including what was wrong when the body was read.
    public func validate(_ rules: BookingRules) throws(InvalidRequest) -> BookingRequest {
        var errors = errors
        let stay = rules.stay(arrival, departure, &errors)
        let rooms = rules.rooms(rooms, &errors)
        guard errors.isEmpty, let engineID, let hotel, let stay, let guest else {
            throw InvalidRequest(isMalformed: false, errors: Array(errors.prefix(FieldReader.maximumErrors)))
        }
        return BookingRequest(
            engineID: engineID, hotel: hotel, stay: stay, rooms: rooms, guest: guest, expectedTotal: expectedTotal,
            paymentTiming: paymentTiming, comment: comment, holdMinutes: holdMinutes)
    }

    /// What is wrong with the fields when there are no rules to check against, because the hotel is unknown or unnamed.
    public func invalidHotel() -> InvalidRequest {
        let unknown = FieldError(pointer: "/hotel_id", detail: "There is no such hotel")
        return InvalidRequest(isMalformed: false, errors: hotel == nil ? errors : errors + [unknown])
    }
}

extension BookingRules {
    /// The stay of two days, if it is possible.
    func stay(_ arrival: Day?, _ departure: Day?, _ errors: inout [FieldError]) -> Stay? {
        guard let arrival else { return nil }
        if arrival < today {
            errors.append(FieldError(pointer: "/check_in", detail: "The arrival is in the past at the hotel"))
        } else if today.distance(to: arrival) > horizonDays {
            let detail = "The arrival is more than \(horizonDays) days ahead"
            errors.append(FieldError(pointer: "/check_in", detail: detail))
        }
        guard let departure else { return nil }
        guard let stay = Stay(arrival: arrival, departure: departure) else {
            errors.append(FieldError(pointer: "/check_out", detail: "The departure must be after the arrival"))
            return nil
        }
        if stay.nightCount > maximumNights {
            let detail = "A stay has at most \(maximumNights) nights"
            errors.append(FieldError(pointer: "/check_out", detail: detail))
        }
        return stay
    }

    /// The rooms that are possible.
    func rooms(_ rooms: [BookingRequestBody.Room], _ errors: inout [FieldError]) -> [BookingRequest.Room] {
        var valid: [BookingRequest.Room] = []
        for (position, room) in rooms.enumerated() {
            guard let type = room.type else { continue }
            guard let capacity = capacity(type) else {
                let pointer = "/rooms/\(position)/room_type_id"
                errors.append(FieldError(pointer: pointer, detail: "The hotel has no such room type"))
                continue
            }
            guard let guests = room.guests else { continue }
            if guests > capacity {
                let detail = "A room of this type takes at most \(capacity) guests"
                errors.append(FieldError(pointer: "/rooms/\(position)/guests", detail: detail))
            } else if let plan = room.plan {
                valid.append(BookingRequest.Room(type: type, guests: guests, plan: plan))
            }
        }
        return valid
    }
}

// MARK: - Fields

extension BookingRequestBody {
    static func rooms(_ fields: inout FieldReader, isRequired: Bool = true) -> [Room] {
        guard let value = fields.value("rooms", isRequired: isRequired) else { return [] }
        guard case .array(let elements) = value, Limit.rooms.contains(elements.count) else {
            let detail = "An array of \(Limit.rooms.lowerBound) to \(Limit.rooms.upperBound) rooms is expected"
            fields.fail("rooms", detail)
            return []
        }
        return elements.enumerated().map { position, element in
            var room = FieldReader(element, at: "/rooms/\(position)")
            let read = Room(
                type: room.id("room_type_id"),
                guests: room.integer("guests", in: Limit.guests).map { Int32($0) },
                plan: room.planKey())
            fields.absorb(room)
            return read
        }
    }

    static func guest(_ fields: inout FieldReader, isRequired: Bool = true) -> Guest? {
        guard let value = fields.value("guest", isRequired: isRequired) else { return nil }
        var guest = FieldReader(value, at: "/guest")
        let name = guest.text("name", length: Limit.name)
        if let name, name.allSatisfy(\.isWhitespace) { guest.fail("name", "A name is expected") }
        let nameKana = guest.text("name_kana", length: Limit.name, isRequired: false)
        let email = guest.email()
        let phone = guest.phone()
        fields.absorb(guest)
        return name.map { Guest(name: $0, nameKana: nameKana, email: email, phone: phone) }
    }

    static func total(_ fields: inout FieldReader) -> Money? {
        guard let value = fields.value("expected_total", isRequired: false) else { return nil }
        var total = FieldReader(value, at: "/expected_total")
        let amount = total.integer("amount", in: Limit.total)
        var currency: Currency?
        if let code = total.text("currency", length: 3...3) {
            currency = Currency(code)
            if currency == nil { total.fail("currency", "An ISO 4217 currency code is expected") }
        }
        fields.absorb(total)
        guard let amount, let currency else { return nil }
        return Money(minorUnits: amount, currency: currency)
    }
}

extension FieldReader {
    mutating func id(_ name: String, isRequired: Bool = true) -> Int32? {
        integer(name, in: BookingRequestBody.Limit.id, isRequired: isRequired, allowsString: true).map { Int32($0) }
    }

    mutating func engineID(isRequired: Bool = true) -> String? {
        guard
            let id = text("booking_engine_id", length: BookingRequestBody.Limit.engineID, isRequired: isRequired)
        else { return nil }
        guard id.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
            fail("booking_engine_id", "Only printable ASCII characters without blanks are allowed")
            return nil
        }
        return id
    }

    mutating func day(_ name: String, isRequired: Bool = true) -> Day? {
        guard let value = value(name, isRequired: isRequired) else { return nil }
        let day = value.string.flatMap { Day($0) }
        if day == nil { fail(name, "A date as YYYY-MM-DD is expected") }
        return day
    }

    mutating func planKey() -> PlanKey? {
        guard let value = value("plan_key", isRequired: true) else { return nil }
        let key = value.string.flatMap { PlanKey($0) }
        if key == nil { fail("plan_key", "A plan key such as 1h5, 3h or h169 is expected") }
        return key
    }

    mutating func paymentTiming() -> PaymentTiming? {
        guard let value = value("payment_timing", isRequired: false) else { return nil }
        if let timing = value.string.flatMap(PaymentTiming.init(rawValue:)) { return timing }
        let choices = PaymentTiming.allCases.map(\.rawValue).joined(separator: ", ")
        fail("payment_timing", "One of \(choices) is expected")
        return nil
    }

    /// The shape of an address, not its existence: one @, something before it, dots or letters after it, no blanks.
    mutating func email() -> String? {
        guard let email = text("email", length: BookingRequestBody.Limit.email, isRequired: false) else { return nil }
        let parts = email.split(separator: "@", omittingEmptySubsequences: false)
        let isAddress =
            parts.count == 2 && !parts[0].isEmpty && parts[0].utf8.count <= 64 && !parts[1].isEmpty
            && !email.contains { $0.isWhitespace || $0 == "," || $0 == ";" || $0 == "<" || $0 == ">" }
            && parts[1].split(separator: ".", omittingEmptySubsequences: false).allSatisfy { !$0.isEmpty }
        if !isAddress { fail("email", "An e-mail address is expected") }
        return isAddress ? email : nil
    }

    /// A telephone number as people write it: digits, blanks, brackets, dots and hyphens, perhaps a leading plus.
    mutating func phone() -> String? {
        guard let phone = text("phone", length: BookingRequestBody.Limit.phone, isRequired: false) else { return nil }
        let digits = phone.utf8.filter { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }.count
        let rest = phone.hasPrefix("+") ? phone.dropFirst() : phone[...]
        let isNumber = digits >= 3 && rest.utf8.allSatisfy { "0123456789 ().-".utf8.contains($0) }
        if !isNumber { fail("phone", "A telephone number is expected") }
        return isNumber ? phone : nil
    }
}
