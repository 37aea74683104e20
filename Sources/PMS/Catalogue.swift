public import Booking
public import Stay

/// A hotel as the PMS describes it.
public struct Hotel: Hashable, Sendable, Codable {
    public let id: Int32
    public let name: String
    public let formalName: String?
    public let facilityType: String?
    public let openDate: Day?
    public let totalRooms: Int32?
    public let postalCode: String?
    public let address: String?
    public let email: String?
    public let phoneNumber: String?
    public let createdAt: Instant?
}

/// A room type of a hotel.
public struct RoomType: Hashable, Sendable, Codable {
    public let id: Int32
    public let hotel: Int32
    public let name: String
    public let description: String?
    public let createdAt: Instant?
}

/// A room that may be sold.
public struct Room: Hashable, Sendable, Codable {
    public let id: Int32
    public let hotel: Int32
    public let type: Int32
    public let capacity: Int32
    /// Whether guests may smoke in it; nil where the PMS does not say.
    public let allowsSmoking: Bool?
    /// Whether it has a bath or shower of its own; nil where the PMS does not say.
    public let hasWetArea: Bool?
}

/// Something that a hotel offers its guests besides the room, as far as it is shown to them.
public struct AddOn: Hashable, Sendable, Codable {
    public let hotel: Int32
    /// The PMS's word for its kind, such as `breakfast`, `parking`, `other`.
    public let kind: String
    public let name: String
}

/// What a room can be booked as, and the rates that make its price.
public struct PlanOffer: Hashable, Sendable, Codable {
    public let key: PlanKey
    public let name: String
    public let description: String?
    public let type: PlanType
    /// `#RRGGBB`, in which the PMS shows it.
    public let color: String?
    /// The rates in force, in the PMS's order.
    public let rates: [TaxedRate]

    /// The plan with its prices in a hotel's currency, which the PMS does not say.
    public func plan(_ currency: Currency) -> Plan {
        Plan(
            key: key, name: name, type: type,
            pricing: Pricing(rates: rates.map(\.rate), planType: type, currency: currency),
            taxes: rates.filter { $0.rate.adjustment == .baseRate })
    }
}

/// A rate and the tax that comes with it.
public struct TaxedRate: Hashable, Sendable, Codable {
    public let rate: Rate
    public let tax: Tax
}

/// A tax by the PMS's key, and its rate: 0.1000 is ten per cent.
public struct Tax: Hashable, Sendable, Codable {
    public let id: Int32?
    public let rate: FixedPoint?

    public init(id: Int32?, rate: FixedPoint?) {
        self.id = id
        self.rate = rate
    }
}

/// A plan with its prices.
public struct Plan: Sendable {
    public let key: PlanKey
    public let name: String
    public let type: PlanType
    public let pricing: Pricing

    /// The taxes of its base rates.
    let taxes: [TaxedRate]

    /// The tax that the PMS stores beside a night: that of the first base rate which applies to it.
    public func tax(of night: Day) -> Tax? { taxes.first { $0.rate.applies(to: night) }?.tax }
}

/// What a hotel sells, as it was read at one moment.
public struct HotelOffer: Hashable, Sendable, Codable {
    public var roomTypes: [RoomType]
    public var rooms: [Room]
    public var plans: [PlanOffer]
    public var addOns: [AddOn]

    public init(
        roomTypes: [RoomType] = [], rooms: [Room] = [], plans: [PlanOffer] = [], addOns: [AddOn] = []
    ) {
        self.roomTypes = roomTypes
        self.rooms = rooms
        self.plans = plans
        self.addOns = addOns
    }
}
