public import Booking
public import Stay

/// A hotel as the PMS describes it.
public struct Hotel: Sendable {
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
public struct RoomType: Sendable {
    public let id: Int32
    public let hotel: Int32
    public let name: String
    public let description: String?
    public let createdAt: Instant?
}

/// A room that may be sold.
public struct Room: Sendable {
    public let id: Int32
    public let hotel: Int32
    public let type: Int32
    public let capacity: Int32
}

/// What a room can be booked as, with its prices.
public struct Plan: Sendable {
    public let key: PlanKey
    public let name: String
    public let type: PlanType
    public let pricing: Pricing

    /// The taxes of its base rates.
    let taxes: [BaseTax]

    /// The tax that the PMS stores beside a night: that of the first base rate which applies to it.
    func tax(of night: Day) -> Tax? { taxes.first { $0.rate.applies(to: night) }?.tax }

    /// A tax by the PMS's key, and its rate: 0.1000 is ten per cent.
    struct Tax: Sendable {
        let id: Int32?
        let rate: FixedPoint?
    }

    /// A base rate and the tax that comes with it.
    struct BaseTax: Sendable {
        let rate: Rate
        let tax: Tax
    }
}

/// What one hotel is and has, as it was read when the hotel was loaded; nothing reads it again while the bridge runs.
/// Plans and prices are read anew for each booking.
public struct HotelCatalogue: Sendable {
    public let hotel: Hotel
    public let roomTypes: [RoomType]
    public let rooms: [Room]

    /// The most guests that a room of the type takes; nil for a type the hotel does not have or that has no room.
    public func capacity(ofType type: Int32) -> Int32? { rooms.filter { $0.type == type }.map(\.capacity).max() }
}
