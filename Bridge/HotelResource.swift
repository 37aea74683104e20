internal import Authentication
internal import Booking
internal import HTTP
internal import JSONText
internal import Loop
internal import PMS
internal import Stay

/// Hotels and their room types, as the PMS described them when they were loaded.
@OnLoop
struct HotelResource {
    private let hotels: HotelDirectory

    init(_ hotels: HotelDirectory) { self.hotels = hotels }

    /// The hotels that the identity covers.
    func list(_ call: Call) throws -> Answer {
        let visible = hotels.all.filter { call.identity.hotelIDs.includes($0.id) }
        var json = JSONWriter()
        json.object { json in
            json.array("hotels", visible) { json, entry in entry.catalogue.hotel.write(to: &json) }
        }
        return .cached(json.bytes, age: age(of: visible), timeToLive: nil)
    }

    func get(_ call: Call) throws -> Answer {
        let entry = try call.hotel(in: hotels)
        var json = JSONWriter()
        entry.catalogue.hotel.write(to: &json)
        return .cached(json.bytes, age: age(of: [entry]), timeToLive: nil)
    }

    func roomTypes(_ call: Call) throws -> Answer {
        let entry = try call.hotel(in: hotels)
        var json = JSONWriter()
        json.object { json in
            json.member("hotel_id", Int(entry.id))
            json.array("room_types", entry.catalogue.roomTypes) { json, type in
                type.write(to: &json, capacity: entry.catalogue.capacity(ofType: type.id))
            }
        }
        return .cached(json.bytes, age: age(of: [entry]), timeToLive: nil)
    }

    private func age(of entries: [HotelEntry]) -> Int {
        max(0, Int(Loop.unixTime - (entries.map(\.catalogueLoadedAt).min() ?? Loop.unixTime)))
    }
}

extension Hotel {
    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("hotel_id", Int(id))
            json.member("name", name)
            json.member("formal_name", formalName)
            json.member("facility_type", facilityType)
            json.member("open_date", openDate?.description)
            json.member("total_rooms", totalRooms.map { Int($0) })
            json.member("postal_code", postalCode)
            json.member("address", address)
            json.member("email", email)
            json.member("phone_number", phoneNumber)
            json.member("created_at", createdAt?.description)
            // The PMS keeps no time of change for hotels.
            json.member("updated_at", createdAt?.description)
        }
    }
}

extension RoomType {
    func write(to json: inout JSONWriter, capacity: Int32?) {
        json.object { json in
            json.member("id", Int(id))
            json.member("name", name)
            json.member("description", description)
            json.member("hotel_id", Int(hotel))
            json.member("capacity", Int(capacity ?? 0))
            json.member("created_at", createdAt?.description)
            json.member("updated_at", createdAt?.description)
        }
    }
}
