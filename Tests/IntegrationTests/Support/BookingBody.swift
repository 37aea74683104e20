import HotelTime
import Loop
import Stay
import Synchronization
import Testing

/// A stay that no other test asks for, beyond the demo hotels' reservations.
struct TestStay: Sendable {
    let arrival: Day
    let departure: Day

    init(arrival: Day, nights: Int) {
        self.arrival = arrival
        departure = arrival.advanced(by: nights)
    }

    /// Nights nobody has asked for yet.
    static func next(_ nights: Int = 2) -> TestStay {
        let offset = used.withLock { used in
            defer { used += nights }
            return used
        }
        precondition(offset + nights < 480, "the window is used up")
        return TestStay(arrival: today.advanced(by: offset), nights: nights)
    }

    private static let used = Mutex(80)

    /// The demo hotels' own day.
    static var today: Day { HotelClock(timeZone: "Asia/Tokyo")!.today(at: Int64(Loop.unixTime))! }

    var nights: [Day] { (0..<arrival.distance(to: departure)).map { arrival.advanced(by: $0) } }

    /// Whether a night is one of them, in SQL.
    var sql: String { "date >= '\(arrival)' AND date < '\(departure)'" }

    func availability(_ hotel: Int) -> String {
        "/api/booking-engine/availability/\(hotel)?start_date=\(arrival)&end_date=\(departure)"
    }
}

/// The body of a request to book.
struct BookingBody: Sendable {
    struct Room: Sendable {
        var type: Int
        var guests = 1
        var plan = "1h"
    }

    var engineID = "it-\(UInt64.random(in: 0 ... .max))"
    var hotel = 2
    var stay: TestStay
    var rooms: [Room]
    var guestName = "Integration Guest"
    var guestEmail = "integration.guest@example.com"
    /// Further members, each with its comma in front.
    var more = ""

    init(_ stay: TestStay, hotel: Int = 2, type: Int = 21, rooms: Int = 1) {
        self.hotel = hotel
        self.stay = stay
        self.rooms = [Room](repeating: Room(type: type), count: rooms)
    }

    var json: String {
        let rooms = rooms.map { #"{"room_type_id":\#($0.type),"guests":\#($0.guests),"plan_key":"\#($0.plan)"}"# }
        return #"{"booking_engine_id":"\#(engineID)","hotel_id":\#(hotel),"check_in":"\#(stay.arrival)","#
            + #""check_out":"\#(stay.departure)","rooms":[\#(rooms.joined(separator: ","))],"#
            + #""guest":{"name":"\#(guestName)","email":"\#(guestEmail)"}\#(more)}"#
    }
}
