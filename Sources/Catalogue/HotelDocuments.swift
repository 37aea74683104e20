internal import Booking
internal import Cryptography
internal import JSONText
internal import PMS
internal import Stay

/// JSON that is written once for each change and sent as it is.
public struct Document: Hashable, Sendable {
    public let content: [UInt8]
    /// An entity tag (RFC 9110 §8.8.3) that names exactly this content.
    public let tag: String

    public init(_ content: [UInt8]) {
        self.content = content
        tag = "\"\(Hexadecimal.encode(SHA256.hash(content.span).bytes.prefix(12)))\""
    }

    fileprivate init(_ write: (inout JSONWriter) -> Void) {
        var json = JSONWriter()
        write(&json)
        self.init(json.bytes)
    }
}

/// Everything that is answered about a hotel from its catalogue.
public struct HotelDocuments: Sendable {
    public let hotel: Document
    public let roomTypes: Document
    public let plans: Document
    public let amenities: Document
    /// Each room type by itself, by its id.
    public let roomType: [Int32: Document]

    public init(_ cached: CachedHotel, _ offer: CachedOffer) {
        let id = cached.hotel.id
        hotel = Document { cached.write(to: &$0) }
        roomTypes = Document { json in
            json.object { json in
                json.member("hotel_id", Int(id))
                json.array("room_types", offer.roomTypes) { json, type in
                    type.write(to: &json, capacity: offer.capacity(ofType: type.type.id))
                }
            }
        }
        plans = Document { json in
            json.object { json in
                json.member("hotel_id", Int(id))
                json.array("plans", offer.plans) { json, plan in plan.write(to: &json) }
            }
        }
        roomType = Dictionary(
            offer.roomTypes.map { type in
                (type.type.id, Document { type.write(to: &$0, capacity: offer.capacity(ofType: type.type.id)) })
            }, uniquingKeysWith: { first, _ in first })
        amenities = Document { json in
            json.object { json in
                json.member("hotel_id", Int(id))
                json.array("amenities", Amenity.all(of: offer)) { json, amenity in amenity.write(to: &json) }
            }
        }
    }

    /// A hotel's pictures, in their order.
    public static func images(_ images: [HotelImage], hotel: Int32) -> Document {
        Document { json in
            json.object { json in
                json.member("hotel_id", Int(hotel))
                json.array("images", images.enumerated()) { json, image in
                    json.object { json in
                        json.member("url", image.element.url)
                        json.member("caption", image.element.caption)
                        json.member("room_type_id", image.element.roomType.map { Int($0) })
                        json.member("width", image.element.width.map { Int($0) })
                        json.member("height", image.element.height.map { Int($0) })
                        json.member("position", image.offset)
                    }
                }
            }
        }
    }

    /// The list of some hotels.
    public static func list(_ hotels: [Document]) -> Document {
        var content = Array(#"{"hotels":["#.utf8)
        content.reserveCapacity(16 + hotels.reduce(0) { $0 + $1.content.count + 1 })
        for (position, hotel) in hotels.enumerated() {
            if position > 0 { content.append(UInt8(ascii: ",")) }
            content += hotel.content
        }
        content += Array("]}".utf8)
        return Document(content)
    }
}

/// Something that rooms of a type have, or that the hotel offers besides.
public struct Amenity: Hashable, Sendable {
    /// Nil for what is the whole hotel's.
    public let roomType: Int32?
    public let code: String
    public let name: String
    /// How many of the type's rooms have it.
    public let rooms: Int?

    /// What the rooms have, type by type, then the hotel's add-ons.
    public static func all(of offer: CachedOffer) -> [Amenity] {
        let rooms = Dictionary(grouping: offer.rooms, by: \.type)
        let features = offer.roomTypes.flatMap { Self.features($0.type.id, rooms[$0.type.id] ?? []) }
        return features + offer.addOns.map { Amenity(roomType: nil, code: $0.kind, name: $0.name, rooms: nil) }
    }

    private static func features(_ type: Int32, _ rooms: [Room]) -> [Amenity] {
        guard let capacity = rooms.map(\.capacity).max() else { return [] }
        let counted: [(code: String, name: String, count: Int)] = [
            ("non_smoking", "Non-smoking room", rooms.count { $0.allowsSmoking == false }),
            ("smoking", "Smoking room", rooms.count { $0.allowsSmoking == true }),
            ("wet_area", "Bath or shower in the room", rooms.count { $0.hasWetArea == true }),
            (
                "capacity", capacity == 1 ? "For 1 guest" : "For up to \(capacity) guests",
                rooms.count {
                    $0.capacity == capacity
                }
            ),
        ]
        return counted.filter { $0.count > 0 }.map {
            Amenity(roomType: type, code: $0.code, name: $0.name, rooms: $0.count)
        }
    }

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("room_type_id", roomType.map { Int($0) })
            json.member("code", code)
            json.member("name", name)
            if let rooms { json.member("rooms", rooms) }
        }
    }
}

extension CachedHotel {
    fileprivate func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("hotel_id", Int(hotel.id))
            json.member("name", hotel.name)
            json.member("formal_name", hotel.formalName)
            json.member("facility_type", hotel.facilityType)
            json.member("open_date", hotel.openDate?.description)
            json.member("total_rooms", hotel.totalRooms.map { Int($0) })
            json.member("postal_code", hotel.postalCode)
            json.member("address", hotel.address)
            json.member("email", hotel.email)
            json.member("phone_number", hotel.phoneNumber)
            json.member("created_at", hotel.createdAt?.description)
            json.member("updated_at", updatedAt?.description)
            if !isActive { json.member("is_active", false) }
        }
    }
}

extension CachedOffer.CachedType {
    fileprivate func write(to json: inout JSONWriter, capacity: Int32?) {
        json.object { json in
            json.member("id", Int(type.id))
            json.member("name", type.name)
            json.member("description", type.description)
            json.member("hotel_id", Int(type.hotel))
            json.member("capacity", Int(capacity ?? 0))
            json.member("created_at", type.createdAt?.description)
            json.member("updated_at", updatedAt?.description)
            if !isActive { json.member("is_active", false) }
        }
    }
}

extension PlanOffer {
    fileprivate func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("global_plan_id", key.globalPlan.map { Int($0) })
            json.member("hotel_plan_id", key.hotelPlan.map { Int($0) })
            json.member("plan_key", key.description)
            json.member("name", name)
            json.member("description", description)
            json.member("plan_type", type.rawValue)
            json.member("color", color)
        }
    }
}
