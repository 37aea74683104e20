internal import Availability
internal import Booking
internal import Catalogue
internal import Loop
internal import PMS
internal import Policy
internal import Stay
internal import Telemetry

/// One hotel: its catalogue, its index, and who may book now.
@OnLoop
final class HotelEntry {
    let id: Int32
    private(set) var hotel: CachedHotel
    private(set) var offer: CachedOffer
    private(set) var images: [HotelImage]
    /// What is answered about the hotel; written when it changes.
    private(set) var documents: HotelDocuments
    private(set) var imageDocument: Document
    private(set) var typeNames: [Int32: String] = [:]
    /// What it can be booked as, in the order of the offer.
    private(set) var plans: [Plan] = []
    /// Raised whenever the plans change, and the same for no two hotels: prices are remembered by it.
    private(set) var planVersion: UInt64 = 0
    /// What its prices are in; the PMS does not say.
    let currency: Currency
    private let clock: HotelClock
    private let policy: BridgePolicy.Availability
    private(set) var index = HotelIndex(firstNight: .first, types: [], rooms: [], taken: [])

    /// Whether the index says what is free. Where it does not, the hotel is not sold.
    private(set) var isCounted = false

    /// Rooms that are for sale and yet not sold: on which nights they are taken cannot be told.
    private(set) var closedRooms: Set<Int32> = []

    /// When the PMS was last asked what the hotel is, and what it sells, in Unix seconds.
    var hotelReadAt: Double
    var offerReadAt: Double

    /// When the index was last read from the PMS, in Unix seconds.
    private(set) var loadedAt = Loop.unixTime

    /// What changes the hotel's rooms passes one after the other, the index included. In the database the bookings of a
    /// hotel wait for each other anyway, but there each would hold a connection.
    let turnstile = Turnstile(bound: 512, patience: .seconds(5))

    private static var lastPlanVersion: UInt64 = 0

    init(
        _ hotel: CachedHotel, _ offer: CachedOffer, images: [HotelImage] = [], _ policy: BridgePolicy,
        clock: HotelClock, readAt: (hotel: Double, offer: Double) = (Loop.unixTime, Loop.unixTime)
    ) {
        id = hotel.hotel.id
        self.hotel = hotel
        self.offer = offer
        self.images = images
        // The configuration was checked: there is such a currency.
        currency = Currency(policy.hotel(hotel.hotel.id).currency)!
        self.clock = clock
        self.policy = policy.availability
        documents = HotelDocuments(hotel, offer)
        imageDocument = HotelDocuments.images(images, hotel: hotel.hotel.id)
        (hotelReadAt, offerReadAt) = readAt
        followOffer()
    }

    /// The day it is at the hotel.
    var today: Day { clock.today(at: Loop.unixSeconds) ?? index.firstNight }

    /// What a request to book is checked against.
    var bookingRules: BookingRules {
        BookingRules(
            today: today, horizonDays: policy.windowInDays, maximumNights: policy.maximumNights,
            capacity: { [offer] in offer.capacity(ofType: $0) })
    }

    // MARK: The catalogue

    func take(_ hotel: CachedHotel) {
        guard hotel != self.hotel else { return }
        self.hotel = hotel
        documents = HotelDocuments(hotel, offer)
    }

    /// What it sells has changed. Where other rooms are for sale, `replaceIndex` follows before anything else happens, or
    /// `forgetIndex`.
    func take(_ offer: CachedOffer) {
        guard offer != self.offer else { return }
        self.offer = offer
        documents = HotelDocuments(hotel, offer)
        followOffer()
    }

    func take(_ images: [HotelImage]) {
        guard images != self.images else { return }
        self.images = images
        imageDocument = HotelDocuments.images(images, hotel: id)
    }

    private func followOffer() {
        let names = offer.roomTypes.map { ($0.type.id, $0.type.name) }
        typeNames = Dictionary(names, uniquingKeysWith: { first, _ in first })
        plans = offer.plans.map { $0.plan(currency) }
        Self.lastPlanVersion += 1
        planVersion = Self.lastPlanVersion
    }

    // MARK: What is free

    /// Lets the index's window start today, as it does from midnight on.
    func rollWindow() {
        let today = today
        if index.firstNight < today { index.advance(to: today) }
    }

    /// Rooms were booked. To be called in the turnstile, as the others below.
    func take(_ rooms: [Int32], nights: Range<Day>) {
        for room in rooms { _ = index.take(room: room, nights: nights) }
    }

    /// A reservation no longer takes a night of the calendar.
    func release(_ room: Int32?, on night: Day) {
        if let room {
            _ = index.release(room: room, nights: night..<night.advanced(by: 1))
        } else {
            _ = index.releaseUnassigned(on: night)
        }
    }

    /// Some nights of some rooms, and those that no room is named for, were read anew.
    ///
    /// - Parameter counts: of those that are taken at all.
    func set(_ counts: [NightCount], rooms: [Int32], nights: [Day]) {
        let counts = Dictionary(grouping: counts, by: \.night)
        for night in nights {
            var rest = Set(rooms)
            var unassigned: Int32 = 0
            for count in counts[night] ?? [] {
                if let room = count.room {
                    rest.remove(room)
                    _ = index.set(room: room, night: night, takenCount: count.count)
                } else {
                    unassigned = count.count
                }
            }
            for room in rest { _ = index.set(room: room, night: night, takenCount: 0) }
            index.setUnassigned(on: night, count: unassigned)
        }
    }

    /// The PMS was read anew.
    func replaceIndex(_ taken: TakenNights) {
        close(taken.undatedRooms)
        // What is wrong with a closed room is a row about one of its nights. The room is there: a type's capacity and number
        // of rooms are those of the catalogue, whatever can be sold of them.
        let rooms = offer.rooms.map {
            SellableRoom(id: $0.id, type: $0.type, capacity: $0.capacity, isClosed: closedRooms.contains($0.id))
        }
        index = HotelIndex(
            firstNight: today, nightCount: policy.windowInDays + policy.maximumNights,
            types: offer.roomTypes.filter(\.isActive).map(\.type.id), rooms: rooms, taken: taken.nights)
        loadedAt = Loop.unixTime
        isCounted = true
    }

    /// Part of the calendar was read anew, for some rooms or for all and what names none.
    ///
    /// - Returns: how many room-nights became taken or free by it.
    func replaceIndex(rooms: [Int32]?, nights: Range<Day>, _ taken: [TakenNight]) -> Int {
        index.replace(rooms: rooms, nights: nights, with: taken)
    }

    /// Nobody knows any more what is free.
    func forgetIndex() { isCounted = false }

    private func close(_ rooms: Set<Int32>) {
        let rooms = rooms.intersection(offer.rooms.map(\.id))
        for room in rooms.subtracting(closedRooms) {
            Log.warning(
                "room is not sold",
                [
                    "hotel_id": .init(id), "room_id": .init(room), "table": "reservation_details",
                    "reason": "a night of it has a date beyond the calendar",
                ])
        }
        closedRooms = rooms
    }
}
