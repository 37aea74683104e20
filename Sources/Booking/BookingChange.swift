internal import JSONText
public import Stay

/// What a client wants changed about its booking, checked in itself. What it did not name stays as it is.
public struct BookingChange: Hashable, Sendable {
    /// The nights and rooms, whole, if any of them was named: then everything is checked and priced again.
    public let arrangement: Arrangement?
    /// Who stays.
    public let guest: Guest?
    /// What the client was told it would cost.
    public let expectedTotal: Money?
    /// When the guest pays.
    public let paymentTiming: PaymentTiming?
    /// A remark for the front desk; empty to take it away.
    public let comment: String?
    /// Whether the rooms that are held are taken.
    public let confirms: Bool

    /// Nights and rooms.
    public struct Arrangement: Hashable, Sendable {
        /// The nights.
        public let stay: Stay
        /// The rooms, 1 to 10.
        public let rooms: [BookingRequest.Room]
    }

    /// Whether anything but the status is to change.
    public var changesBooking: Bool {
        arrangement != nil || guest != nil || paymentTiming != nil || comment != nil
    }
}

/// The body of `PUT /api/booking-engine/bookings/{booking_id}`.
///
/// A client may send the whole booking as it did when it made it, or only what is to change.
public struct BookingChangeBody: Sendable {
    private let hotel: Int32?
    private let engineID: String?
    private let arrival: Day?
    private let departure: Day?
    private let rooms: [BookingRequestBody.Room]?
    private let guest: Guest?
    private let expectedTotal: Money?
    private let paymentTiming: PaymentTiming?
    private let comment: String?
    private let confirms: Bool
    private let errors: [FieldError]

    /// The booking as it was agreed, which fills in what the body leaves out.
    public struct Agreed: Sendable {
        /// The booking's id at the booking engine.
        public let engineID: String
        /// The hotel's id in the PMS.
        public let hotel: Int32
        /// The nights.
        public let stay: Stay
        /// The rooms.
        public let rooms: [SoldRoom]

        /// A booking as agreed.
        public init(engineID: String, hotel: Int32, stay: Stay, rooms: [SoldRoom]) {
            self.engineID = engineID
            self.hotel = hotel
            self.stay = stay
            self.rooms = rooms
        }
    }

    /// Reads a body.
    ///
    /// - Throws: `InvalidRequest` if it is not JSON. Mistakes in fields are kept for `validate`.
    public init(json: [UInt8]) throws(InvalidRequest) {
        var fields = try FieldReader(parsing: json)
        engineID = fields.engineID(isRequired: false)
        hotel = fields.id("hotel_id", isRequired: false)
        arrival = fields.day("check_in", isRequired: false)
        departure = fields.day("check_out", isRequired: false)
        let rooms = BookingRequestBody.rooms(&fields, isRequired: false)
        self.rooms = rooms.isEmpty ? nil : rooms
        guest = BookingRequestBody.guest(&fields, isRequired: false)
        expectedTotal = BookingRequestBody.total(&fields)
        paymentTiming = fields.paymentTiming()
        comment = fields.text(
            "comment", length: BookingRequestBody.Limit.comment, isRequired: false, allowsLines: true)
        let status = fields.value("status", isRequired: false)
        confirms = status != nil
        if let status, status.string != Booking.Status.confirmed.rawValue {
            fields.fail("status", "Nothing but confirmed can be asked for")
        }
        errors = fields.finished()
    }

    /// Checks it against the hotel's rules and the booking it is about.
    ///
    /// - Throws: `InvalidRequest` with everything that is wrong, including what was wrong when the body was read.
    public func validate(_ rules: BookingRules, _ agreed: Agreed) throws(InvalidRequest) -> BookingChange {
        var errors = errors
        if let hotel, hotel != agreed.hotel {
            errors.append(FieldError(pointer: "/hotel_id", detail: "A booking stays at its hotel"))
        }
        if let engineID, engineID != agreed.engineID {
            errors.append(FieldError(pointer: "/booking_engine_id", detail: "A booking keeps its id"))
        }
        let change = BookingChange(
            arrangement: arrangement(rules, agreed, &errors), guest: guest, expectedTotal: expectedTotal,
            paymentTiming: paymentTiming, comment: comment, confirms: confirms)
        if errors.isEmpty, !change.changesBooking, !change.confirms {
            errors.append(FieldError(pointer: "", detail: "Nothing is named that could change"))
        }
        guard errors.isEmpty else {
            throw InvalidRequest(isMalformed: false, errors: Array(errors.prefix(FieldReader.maximumErrors)))
        }
        return change
    }

    private func arrangement(
        _ rules: BookingRules, _ agreed: Agreed, _ errors: inout [FieldError]
    ) -> BookingChange.Arrangement? {
        guard arrival != nil || departure != nil || rooms != nil else { return nil }
        let stay = rules.stay(arrival ?? agreed.stay.arrival, departure ?? agreed.stay.departure, &errors)
        let asked =
            rooms ?? agreed.rooms.map { BookingRequestBody.Room(type: $0.type, guests: $0.guests, plan: $0.plan) }
        let rooms = rules.rooms(asked, &errors)
        if errors.isEmpty, rooms.count < asked.count {
            errors.append(FieldError(pointer: "/rooms", detail: "The rooms must be named: one has no plan any more"))
        }
        guard let stay, rooms.count == asked.count else { return nil }
        return BookingChange.Arrangement(stay: stay, rooms: rooms)
    }
}
