internal import Availability
internal import Booking
internal import Loop
internal import PMS
internal import Policy
internal import Stay
internal import Telemetry

/// One hotel: its catalogue, its index, and who may book now.
@OnLoop
final class HotelEntry {
    let id: Int32
    let catalogue: HotelCatalogue
    let typeNames: [Int32: String]
    /// What its prices are in; the PMS does not say.
    let currency: Currency
    private let clock: HotelClock
    private let policy: BridgePolicy.Availability
    private(set) var index: HotelIndex

    /// Rooms that are for sale and yet not sold: on which nights they are taken cannot be told.
    private(set) var closedRooms: Set<Int32> = []

    /// When the catalogue was read from the PMS, in Unix seconds.
    let catalogueLoadedAt = Loop.unixTime

    /// When the index was last read from the PMS, in Unix seconds.
    private(set) var loadedAt = Loop.unixTime

    /// What changes the hotel's rooms passes one after the other, the index included. In the database the bookings of a
    /// hotel wait for each other anyway, but there each would hold a connection.
    let turnstile = Turnstile(bound: 512, patience: .seconds(5))

    init(_ catalogue: HotelCatalogue, _ policy: BridgePolicy, clock: HotelClock, taken: TakenNights) {
        id = catalogue.hotel.id
        self.catalogue = catalogue
        // The configuration was checked: there is such a currency.
        currency = Currency(policy.hotel(catalogue.hotel.id).currency)!
        self.clock = clock
        self.policy = policy.availability
        typeNames = Dictionary(catalogue.roomTypes.map { ($0.id, $0.name) }, uniquingKeysWith: { first, _ in first })
        index = HotelIndex(firstNight: .first, types: [], rooms: [], taken: [])
        replaceIndex(taken)
    }

    /// The day it is at the hotel.
    var today: Day { clock.today(at: Loop.unixSeconds) ?? index.firstNight }

    /// What a request to book is checked against.
    var bookingRules: BookingRules {
        BookingRules(
            today: today, horizonDays: policy.windowInDays, maximumNights: policy.maximumNights,
            capacity: { [catalogue] in catalogue.capacity(ofType: $0) })
    }

    /// Lets the index's window start today, as it does from midnight on.
    func rollWindow() {
        let today = today
        if index.firstNight < today { index.advance(to: today) }
    }

    /// Rooms were booked. To be called in the turnstile, as the two below.
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

    /// The PMS was read anew.
    func replaceIndex(_ taken: TakenNights) {
        close(taken.undatedRooms)
        // What is wrong with a closed room is a row about one of its nights. The room is there: a type's capacity and
        // number of rooms are those of the catalogue, whatever can be sold of them.
        let rooms = catalogue.rooms.map {
            SellableRoom(id: $0.id, type: $0.type, capacity: $0.capacity, isClosed: closedRooms.contains($0.id))
        }
        index = HotelIndex(
            firstNight: today, nightCount: policy.windowInDays + policy.maximumNights,
            types: catalogue.roomTypes.map(\.id),
            rooms: rooms, taken: taken.nights)
        loadedAt = Loop.unixTime
    }

    private func close(_ rooms: Set<Int32>) {
        let rooms = rooms.intersection(catalogue.rooms.map(\.id))
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
