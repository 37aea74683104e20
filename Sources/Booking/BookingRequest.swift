public import Stay

/// A booking that a client asks for, checked in itself: what is in it is well formed, within bounds and possible.
/// Whether the rooms are free and what they cost is still to be found out.
public struct BookingRequest: Hashable, Sendable {
    /// One room of the booking.
    public struct Room: Hashable, Sendable {
        /// The room type's id in the PMS.
        public let type: Int32
        /// How many guests sleep in it, at least 1 and at most the type's capacity.
        public let guests: Int32
        /// The plan it is sold under.
        public let plan: PlanKey

        /// A room asked for.
        public init(type: Int32, guests: Int32, plan: PlanKey) {
            self.type = type
            self.guests = guests
            self.plan = plan
        }
    }

    /// The booking's id at the booking engine, unique per hotel.
    public let engineID: String
    /// The hotel's id in the PMS.
    public let hotel: Int32
    /// The nights.
    public let stay: Stay
    /// The rooms, 1 to 10.
    public let rooms: [Room]
    /// Who stays.
    public let guest: Guest
    /// What the client was told it would cost; nil if it takes any price.
    public let expectedTotal: Money?
    /// When the guest pays.
    public let paymentTiming: PaymentTiming
    /// A remark for the front desk.
    public let comment: String?
    /// How many minutes the rooms are held without being booked; nil for a booking at once.
    public let holdMinutes: Int32?

    /// One that was checked before.
    package init(
        engineID: String, hotel: Int32, stay: Stay, rooms: [Room], guest: Guest, expectedTotal: Money?,
        paymentTiming: PaymentTiming, comment: String?, holdMinutes: Int32?
    ) {
        self.engineID = engineID
        self.hotel = hotel
        self.stay = stay
        self.rooms = rooms
        self.guest = guest
        self.expectedTotal = expectedTotal
        self.paymentTiming = paymentTiming
        self.comment = comment
        self.holdMinutes = holdMinutes
    }
}

/// The guest in whose name a booking stands. Personal data: never logged.
public struct Guest: Hashable, Sendable, Codable {
    /// The name, in any script.
    public let name: String
    /// The name in kana.
    public let nameKana: String?
    /// The e-mail address.
    public let email: String?
    /// The telephone number.
    public let phone: String?

    /// A guest.
    public init(name: String, nameKana: String?, email: String?, phone: String?) {
        self.name = name
        self.nameKana = nameKana
        self.email = email
        self.phone = phone
    }
}

/// When the guest pays, in the PMS's words.
public enum PaymentTiming: String, Sendable, CaseIterable {
    case notSet = "not_set"
    case prepaid
    case onSite = "on-site"
    case postpaid
}

/// What a request's dates and rooms are checked against.
public struct BookingRules: Sendable {
    /// The day it is at the hotel.
    public let today: Day
    /// The most days from today to the arrival.
    public let horizonDays: Int
    /// The most nights of a stay.
    public let maximumNights: Int
    /// The capacity of a room type of the hotel; nil for an unknown type.
    public let capacity: @Sendable (Int32) -> Int32?

    /// Rules for one hotel on one day.
    public init(
        today: Day, horizonDays: Int = 500, maximumNights: Int = 30, capacity: @escaping @Sendable (Int32) -> Int32?
    ) {
        self.today = today
        self.horizonDays = horizonDays
        self.maximumNights = maximumNights
        self.capacity = capacity
    }
}

/// One field that is wrong.
public struct FieldError: Hashable, Sendable {
    /// Where it stands in the body, as a JSON pointer (RFC 6901), such as `/rooms/0/guests`; empty for the whole body.
    public let pointer: String
    /// What is wrong, without the value found.
    public let detail: String

    /// An error at a place.
    public init(pointer: String, detail: String) {
        self.pointer = pointer
        self.detail = detail
    }
}

/// Everything that is wrong with a request, in the order of the body's description.
public struct InvalidRequest: Error, Hashable, Sendable {
    /// Whether the body is no JSON at all (400); otherwise its fields are wrong (422).
    public let isMalformed: Bool
    /// The errors, at least one.
    public let errors: [FieldError]

    /// - Parameter errors: at least one.
    package init(isMalformed: Bool, errors: [FieldError]) {
        self.isMalformed = isMalformed
        self.errors = errors
    }
}
