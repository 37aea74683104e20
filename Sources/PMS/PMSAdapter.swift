public import Availability
public import Booking
public import Loop
public import Stay

/// What the bridge needs of any property management system to describe its hotels and to know which rooms are free. What
/// it needs to book is in protocols of their own.
///
/// An adapter answers with the bridge's own values, whatever the vendor calls them. It declares in `capabilities` what
/// the vendor cannot do; what cannot be done is never made up. Nothing here is on the path of a request that is answered
/// from memory.
///
/// `ConformanceTests` says, in tests that every adapter passes, what an implementation owes.
@OnLoop
public protocol PMSAdapter {
    /// What the vendor can do.
    nonisolated static var capabilities: PMSCapabilities { get }

    /// Whether there is a connection to it at this moment, as far as can be told without asking.
    var isConnected: Bool { get }

    /// Asks the PMS something that every working one answers.
    ///
    /// - Throws: an error that says why it cannot be used.
    func checkHealth() async throws

    /// The ids of all hotels, in the PMS's order.
    func hotelIDs() async throws -> [Int32]

    /// What some hotels are. Those that are gone are neither found nor unreadable; this holds for all readings.
    ///
    /// - Parameter hotels: a batch, small enough that its rows fit in memory; this holds for all readings.
    /// - Throws: an error when it is not some hotel that is to blame; for what takes too long a hotel is to blame if
    ///   another one of them could be read. This holds for all readings, too.
    func hotels(_ hotels: [Int32]) async throws -> Reading<Hotel>

    /// What some hotels sell, with the prices: room types, sellable rooms, plans with their rates, visible add-ons.
    func offers(of hotels: [Int32]) async throws -> Reading<HotelOffer>

    /// What some hotels have sold, from a day on.
    func occupancy(of hotels: [Int32], from day: Day) async throws -> Reading<Occupancy>

    /// What one hotel has sold, from a day on.
    ///
    /// - Parameter isSettled: whether a booking of ours may be under way in the PMS still, whose end is to be awaited.
    func occupancy(of hotel: Int32, from day: Day, isSettled: Bool) async throws -> Occupancy

    /// The nights taken in a hotel's rooms, or in some of them, within a part of the calendar; without those that name
    /// no room where only some rooms are asked for.
    ///
    /// Only for adapters whose availability is by room.
    func takenNights(of hotel: Int32, rooms: [Int32]?, nights: Range<Day>) async throws -> [TakenNight]
}

/// What a vendor's PMS can do.
public struct PMSCapabilities: Hashable, Sendable {
    /// How it says what is free.
    public enum Availability: Sendable {
        /// Which room is taken on which night.
        case rooms
        /// Only how many rooms of a type are left on each night.
        case allotments
    }

    /// How it says what is free.
    public var availability: Availability
    /// Whether it gives prices.
    public var prices: Bool
    /// Whether it says what rooms have and what is offered besides.
    public var amenities: Bool
    /// Whether it keeps pictures of hotels.
    public var images: Bool
    /// Whether it says when a hotel or a room type was last changed.
    public var modificationTimes: Bool

    public init(availability: Availability, prices: Bool, amenities: Bool, images: Bool, modificationTimes: Bool) {
        self.availability = availability
        self.prices = prices
        self.amenities = amenities
        self.images = images
        self.modificationTimes = modificationTimes
    }
}

/// What was read of some hotels.
///
/// A hotel with something in it that cannot be read is left out, and what is wrong is said; the others are read all the
/// same.
public struct Reading<Value: Sendable>: Sendable {
    /// What could be read, by hotel.
    public var found: [Int32: Value] = [:]
    /// The hotels that could not, each with the reason.
    public var unreadable: [Int32: Fault] = [:]
    /// What is wrong and costs less than a hotel.
    public var faults: [Fault] = []

    public init() {}

    mutating func add(_ other: Reading) {
        found.merge(other.found) { $1 }
        unreadable.merge(other.unreadable) { $1 }
        faults += other.faults
    }
}

/// What of a hotel is sold.
public enum Occupancy: Sendable {
    /// The nights that its rooms are taken.
    case rooms(TakenNights)
    /// What is left of each room type, from vendors that say no more.
    case allotments([Allotment])
}

/// The nights that reservations of a hotel take.
public struct TakenNights: Sendable {
    /// Nights by room; without a room where the front desk has assigned none.
    public let nights: [TakenNight]
    /// Rooms taken on a night that is none of the calendar, such as `infinity`. Which one is meant nobody knows, so these
    /// rooms are not to be sold.
    public let undatedRooms: Set<Int32>
    /// Those of the nights that have no room, by reservation.
    public let unassigned: [UnassignedNight]

    public init(nights: [TakenNight], undatedRooms: Set<Int32>, unassigned: [UnassignedNight] = []) {
        self.nights = nights
        self.undatedRooms = undatedRooms
        self.unassigned = unassigned
    }
}

/// A night that a reservation takes in no particular room: it was sold without one, or the front desk has taken it away.
public struct UnassignedNight: Hashable, Sendable {
    public let reservation: BookingID
    public let night: Day

    public init(reservation: BookingID, night: Day) {
        self.reservation = reservation
        self.night = night
    }
}
