internal import Availability
internal import Booking
internal import Catalogue
internal import HotelTime
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
    /// What can be booked, as far as that is known.
    private(set) var availability = HotelAvailability(
        rooms: HotelIndex(firstNight: .first, types: [], rooms: [], taken: []))

    /// What the hotel has decided about the sale of its rooms.
    private(set) var terms = SaleTerms.none

    /// Whether it is known what is free. Where it is not, the hotel is not sold.
    private(set) var isCounted = false

    /// Whether that is what was written down before this process began, and not read since.
    private(set) var isRestored = false

    /// Rooms that are for sale and yet not sold: on which nights they are taken cannot be told.
    private(set) var closedRooms: Set<Int32> = []

    /// What is free in a form that can be compared; nil while it is not known, or not by a reading.
    var known: [UInt8]? {
        isCounted && !isRestored ? AvailabilityArchive.bytes(availability, closed: closedRooms) : nil
    }

    /// When the PMS was last asked what the hotel is, and what it sells, in Unix seconds.
    var hotelReadAt: Double
    var offerReadAt: Double

    /// When it was last read from the PMS what is free at the whole hotel, in Unix seconds.
    private(set) var readAt = Loop.unixTime

    /// When this was read of single room types later than that.
    private(set) var typesReadAt: [Int32: Double] = [:]

    /// When somebody last asked what is free.
    var askedAt = -Double.infinity

    /// Raised whenever what is told of it changes, and the same for no two hotels.
    private(set) var changes: UInt64 = 0
    private static var lastChange: UInt64 = 0

    /// Up to which of these changes it is written down, what was written, of which reading, and when.
    var written: (changes: UInt64, hash: Int, readAt: Double, at: Double) = (0, 0, -.infinity, -.infinity)

    /// Attempts to read it, since the last one that succeeded, and when the next one may be made.
    private(set) var failedReadings = 0
    private(set) var nextReading = -Double.infinity

    /// Wakes those who wait for a reading that is under way.
    let reading = Announcement(patience: HotelEntry.readingPatience)

    /// How long a request waits for what has expired to be read anew.
    private static let readingPatience = Duration.seconds(1)

    /// Called when nights without a room came or went: of which type they are says only the whole hotel.
    var unassignedChanged: @OnLoop () -> Void = {}

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
    var today: Day { clock.today(at: Loop.unixSeconds) ?? availability.firstNight }

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
        noteChange()
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

    private func noteChange() {
        Self.lastChange += 1
        changes = Self.lastChange
    }

    /// When it was read what is free of a room type, or of all of them.
    func readAt(_ type: Int32?) -> Double {
        guard !typesReadAt.isEmpty else { return readAt }
        if let type { return max(readAt, typesReadAt[type] ?? 0) }
        // All of them may have been read one by one.
        let times = offer.roomTypes.filter(\.isActive).map { max(readAt, typesReadAt[$0.type.id] ?? 0) }
        return times.min() ?? readAt
    }

    /// Goes by other terms from now on.
    func take(_ terms: SaleTerms) {
        guard terms != self.terms else { return }
        self.terms = terms
        followTerms()
    }

    private func followTerms() {
        availability.follow(terms.rules)
        availability.overbooking.allow(terms.overbooking)
        noteChange()
    }

    /// Lets the window start today, as it does from midnight on.
    func rollWindow() {
        let today = today
        guard availability.firstNight < today else { return }
        availability.advance(to: today)
        noteChange()
    }

    /// Rooms were booked; one without a room of its own is of the type. To be called in the turnstile, as the others below.
    func take(_ rooms: [(room: Int32?, type: Int32)], nights: Range<Day>) {
        for (room, type) in rooms {
            if availability.allotments?.take(1, ofType: type, nights: nights) != nil { continue }
            if let room {
                _ = availability.rooms.take(room: room, nights: nights)
            } else {
                for night in nights { availability.rooms.takeUnassigned(on: night) }
                availability.overbooking.take(type: type, nights: nights)
            }
        }
        // Of which type the room is that is lacking, the database does not say where there are several.
        if rooms.contains(where: { $0.room == nil }), Set(rooms.map(\.type)).count > 1 { unassignedChanged() }
        noteChange()
    }

    /// A reservation no longer takes a night of the calendar.
    func release(_ room: Int32?, on night: Day) {
        noteChange()
        if let room {
            _ = availability.rooms.release(room: room, nights: night..<night.advanced(by: 1))
        } else {
            _ = availability.rooms.releaseUnassigned(on: night)
            unassignedChanged()
        }
    }

    /// Some nights of some rooms, and those that no room is named for, were read anew.
    ///
    /// - Parameter counts: of those that are taken at all.
    func set(_ counts: [NightCount], rooms: [Int32], nights: [Day]) {
        noteChange()
        let counts = Dictionary(grouping: counts, by: \.night)
        var hasUnassignedChanged = false
        for night in nights {
            var rest = Set(rooms)
            var unassigned: Int32 = 0
            for count in counts[night] ?? [] {
                if let room = count.room {
                    rest.remove(room)
                    _ = availability.rooms.set(room: room, night: night, takenCount: count.count)
                } else {
                    unassigned = count.count
                }
            }
            for room in rest { _ = availability.rooms.set(room: room, night: night, takenCount: 0) }
            if availability.rooms.unassigned(on: night) != unassigned { hasUnassignedChanged = true }
            availability.rooms.setUnassigned(on: night, count: unassigned)
        }
        if hasUnassignedChanged { unassignedChanged() }
    }

    /// The PMS was read anew.
    ///
    /// - Parameter roomless: what is sold without a room.
    func replaceIndex(_ occupancy: Occupancy, _ roomless: [Overbooking.Roomless]) {
        put(occupancy, roomless)
        readAt = Loop.unixTime
        typesReadAt = [:]
        isRestored = false
        (failedReadings, nextReading) = (0, -.infinity)
        reading.make()
    }

    /// What was written down is all that is known until the PMS can be read.
    ///
    /// - Parameter readAt: when it was true.
    func restore(_ archive: AvailabilityArchive, readAt: Double) {
        switch archive.occupancy {
        case .rooms(let known, let closed, let taken):
            // Of a room that was not known then nobody knows on which nights it is taken.
            let unknown = Set(offer.rooms.map(\.id)).subtracting(known)
            put(
                .rooms(TakenNights(nights: taken, undatedRooms: closed.union(unknown))), archive.roomless,
                whyClosed: "it was not sold, or not known, when what is free was written down")
        case .allotments(let allotments): put(.allotments(allotments), archive.roomless)
        }
        self.readAt = readAt
        isRestored = true
        written.changes = changes
    }

    private func put(
        _ occupancy: Occupancy, _ roomless: [Overbooking.Roomless],
        whyClosed: String = "a night of it has a date beyond the calendar"
    ) {
        let types = offer.roomTypes.filter(\.isActive).map(\.type.id)
        let nightCount = policy.windowInDays + policy.maximumNights
        var rooms: [SellableRoom] = []
        var taken: [TakenNight] = []
        var allotments: AllotmentIndex?
        switch occupancy {
        case .rooms(let nights):
            close(nights.undatedRooms, whyClosed)
            // What is wrong with a closed room is a row about one of its nights. The room is there: a type's capacity and
            // number of rooms are those of the catalogue, whatever can be sold of them.
            rooms = offer.rooms.map {
                SellableRoom(
                    id: $0.id, type: $0.type, capacity: $0.capacity, isClosed: closedRooms.contains($0.id))
            }
            taken = nights.nights
        case .allotments(let left):
            let byType = Dictionary(grouping: offer.rooms, by: \.type)
            allotments = AllotmentIndex(
                firstNight: today, nightCount: nightCount,
                types: types.map { type in
                    AllotmentIndex.RoomType(
                        id: type, capacity: offer.capacity(ofType: type) ?? 0,
                        roomCount: Int32(byType[type]?.count ?? 0))
                }, allotments: left)
        }
        availability.replace(
            rooms: HotelIndex(firstNight: today, nightCount: nightCount, types: types, rooms: rooms, taken: taken),
            allotments: allotments, roomless: roomless)
        noteChange()
        isCounted = true
    }

    /// Part of the calendar was read anew, for some rooms or for all and what names none.
    ///
    /// - Parameter type: the room type of which everything was read, if it was one.
    /// - Returns: how many room-nights became taken or free by it.
    func replaceIndex(rooms: [Int32]?, nights: Range<Day>, _ taken: [TakenNight], ofType type: Int32?) -> Int {
        noteChange()
        if let type, nights == availability.window { typesReadAt[type] = Loop.unixTime }
        return availability.rooms.replace(rooms: rooms, nights: nights, with: taken)
    }

    /// It could not be read; it is tried again after a while, longer each time.
    func readingFailed() {
        failedReadings += 1
        nextReading = Loop.unixTime + Double(min(30, 1 << min(failedReadings - 1, 5)))
        reading.make()
    }

    /// Nobody knows any more what is free.
    func forgetIndex() { isCounted = false }

    private func close(_ rooms: Set<Int32>, _ reason: String) {
        let rooms = rooms.intersection(offer.rooms.map(\.id))
        // What was said of a room that was restored is another reason.
        for room in rooms.subtracting(isRestored ? [] : closedRooms) {
            Log.warning(
                "room is not sold",
                [
                    "hotel_id": .init(id), "room_id": .init(room), "table": "reservation_details",
                    "reason": .init(reason),
                ])
        }
        closedRooms = rooms
    }
}
