internal import Availability
internal import Catalogue
internal import HTTP
internal import JSONText
internal import Loop
internal import PMS
internal import Server
internal import Stay

/// What a bridge answers on its private socket: health, readiness and metrics as every process, and how its index compares
/// with the database (`/index-drift`), for `drawbridge reconcile`.
@OnLoop
final class BridgeAdministration: Handler {
    /// Hotels that may be asked for at once.
    static let hotelBound = 50

    private let hotels: HotelDirectory
    private let others: AdminHandler

    init(_ hotels: HotelDirectory, unreadiness: @escaping AdminHandler.Readiness) {
        self.hotels = hotels
        others = AdminHandler(unreadiness: unreadiness)
    }

    func respond(to request: Request, _ writer: consuming ResponseWriter) async throws {
        let head = request.head
        guard head.target.path == "/index-drift" else { return try await others.respond(to: request, writer) }
        guard head.method == .get || head.method == .post else {
            throw Problem(.methodNotAllowed, "method-not-allowed", "GET compares, POST mends").with(.allow, "GET, POST")
        }
        let ids = (head.target.query ?? "").split(separator: "=", maxSplits: 1).last?.split(separator: ",") ?? []
        guard ids.count <= Self.hotelBound else { throw Problem(.badRequest, "too-many", "Too many hotels at once") }
        var drift: [(id: Int32, roomNights: Int)] = []
        for id in ids.compactMap({ Int32($0) }) {
            let count = try await hotels.drift(of: id, repairs: head.method == .post)
            if count > 0 { drift.append((id, count)) }
        }
        var json = JSONWriter()
        json.object { json in
            json.array("hotels", drift) { json, hotel in
                json.object { json in
                    json.member("hotel_id", Int(hotel.id))
                    json.member("room_nights", hotel.roomNights)
                }
            }
        }
        var fields = Fields()
        fields.append(.contentType, "application/json")
        writer.send(.ok, fields, content: json.bytes)
    }
}

extension HotelDirectory {
    /// In how many room-nights what is in memory of a hotel differs from the database: those of rooms, and nights on which
    /// others are known to have no room.
    ///
    /// What another process has just committed may not have been heard of yet: that differs for some milliseconds.
    ///
    /// - Parameter repairs: whether memory is to have what the database has.
    func drift(of hotel: Int32, repairs: Bool) async throws -> Int {
        try await inTurn(hotel) { entry in
            guard let entry, entry.isCounted, entry.hotel.isActive else { return 0 }
            entry.rollWindow()
            let reading = try await occupancy(of: entry, isSettled: true)
            guard case .rooms(let taken) = reading.occupancy else { return 0 }
            var found = entry.availability
            let roomNights = found.rooms.replace(rooms: nil, nights: found.window, with: taken.nights)
            found.overbooking.replaceSold(with: reading.roomless)
            let count = roomNights + entry.availability.roomlessNights(unlike: found)
            if repairs, count > 0 { take(reading, of: entry) }
            return count
        }
    }
}
