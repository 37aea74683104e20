import Booking
import FoundationEssentials
import JSONText
import Stay
import Testing

@testable import Catalogue
@testable import PMS

/// Values as a PMS might give them.
enum Sample {
    static func hotel(_ name: String = "山の宿") -> Hotel {
        Hotel(
            id: 7, name: name, formalName: nil, facilityType: "Inn", openDate: Day("1999-02-28"), totalRooms: 3,
            postalCode: nil, address: "\"1\\2\"", email: nil, phoneNumber: nil, createdAt: Instant(microseconds: 1))
    }

    static func type(_ id: Int32, _ name: String = "type") -> RoomType {
        RoomType(id: id, hotel: 7, name: name, description: nil, createdAt: Instant(microseconds: 2))
    }

    static func room(
        _ id: Int32, _ type: Int32, capacity: Int32 = 2, smoking: Bool? = false, wetArea: Bool? = false
    ) -> Room {
        Room(id: id, hotel: 7, type: type, capacity: capacity, allowsSmoking: smoking, hasWetArea: wetArea)
    }

    static func plan(_ key: String, base: String = "9800", condition: Rate.Condition = .always) -> PlanOffer {
        let rate = Rate(
            adjustment: .baseRate, value: FixedPoint(base)!, condition: condition, firstNight: Day("2020-01-01")!,
            lastNight: nil)
        return PlanOffer(
            key: PlanKey(key)!, name: key, description: nil, type: .perRoom, color: "#112233",
            rates: [TaxedRate(rate: rate, tax: Tax(id: 3, rate: FixedPoint("0.10")))])
    }

    static func offer() -> HotelOffer {
        HotelOffer(
            roomTypes: [type(1), type(2)], rooms: [room(10, 1), room(11, 1, capacity: 3), room(20, 2)],
            plans: [plan("1h"), plan("h5", condition: .weekdays([.friday, .sunday]))],
            addOns: [AddOn(hotel: 7, kind: "breakfast", name: "朝食")])
    }
}

private let now = Instant(microseconds: 5_000_000)

@Suite("What is kept of a hotel between two triggers")
struct CachedCatalogueTests {
    @Test("The same again changes nothing, whatever the time")
    func same() {
        var hotel = CachedHotel(Sample.hotel())
        let isChanged = hotel.take(Sample.hotel(), at: now)
        #expect(!isChanged)
        #expect(hotel == CachedHotel(Sample.hotel()))
        var offer = CachedOffer(Sample.offer())
        let change1 = offer.take(Sample.offer(), keeping: [], at: now)
        #expect(change1 == CatalogueChange(unchanged: 5))
        #expect(offer == CachedOffer(Sample.offer()))
    }

    @Test("What says something else is of the time it was seen; what is new, of the PMS's")
    func updated() {
        var hotel = CachedHotel(Sample.hotel())
        #expect(hotel.updatedAt == Instant(microseconds: 1))
        let change2 = hotel.take(Sample.hotel("海の宿"), at: now)
        #expect(change2)
        #expect(hotel.updatedAt == now)
        var offer = CachedOffer(Sample.offer())
        var next = Sample.offer()
        next.roomTypes[0] = Sample.type(1, "renamed")
        next.roomTypes.append(Sample.type(3))
        next.plans[0] = Sample.plan("1h", base: "9900")
        next.addOns = []
        let change3 = offer.take(next, keeping: [], at: now)
        #expect(change3 == CatalogueChange(updated: 3, removed: 1, unchanged: 2))
        #expect(offer.roomTypes.map(\.updatedAt) == [now, Instant(microseconds: 2), Instant(microseconds: 2)])
    }

    @Test("A room that came, went or takes other guests is a change of its type, and of what is sold")
    func rooms() {
        let changes: [(inout HotelOffer) -> Void] = [
            { $0.rooms.removeFirst() }, { $0.rooms.append(Sample.room(12, 1)) },
            { $0.rooms[0] = Sample.room(10, 1, capacity: 5) },
        ]
        for change in changes {
            var (offer, next) = (CachedOffer(Sample.offer()), Sample.offer())
            change(&next)
            let change4 = offer.take(next, keeping: [], at: now)
            #expect(change4 == CatalogueChange(updated: 1, unchanged: 4))
            #expect(offer.sellsOtherRooms(than: CachedOffer(Sample.offer())))
        }
        var (offer, next) = (CachedOffer(Sample.offer()), Sample.offer())
        next.rooms[0] = Sample.room(10, 1, smoking: true)
        let change5 = offer.take(next, keeping: [], at: now)
        #expect(change5.updated == 1)
        #expect(!offer.sellsOtherRooms(than: CachedOffer(Sample.offer())))
    }

    @Test("A type that is gone is kept while a booking names it, not for sale, and may come back")
    func linked() {
        var offer = CachedOffer(Sample.offer())
        var next = Sample.offer()
        next.roomTypes.removeFirst()
        next.rooms.removeFirst(2)
        #expect(offer.types(goneFrom: next) == [1])
        let change6 = offer.take(next, keeping: [1], at: now)
        #expect(change6.updated == 1)
        #expect(offer.roomTypes.map(\.type.id) == [2, 1])
        #expect(offer.roomTypes.map(\.isActive) == [true, false])
        #expect(offer.capacity(ofType: 1) == nil)
        // Kept as long as it is linked, and no longer.
        var kept = offer
        let change7 = kept.take(next, keeping: [1], at: now)
        #expect(change7 == CatalogueChange(unchanged: 5))
        let change8 = kept.take(next, keeping: [], at: now)
        #expect(change8 == CatalogueChange(removed: 1, unchanged: 4))
        #expect(kept.roomTypes.map(\.type.id) == [2])
        let change9 = offer.take(Sample.offer(), keeping: [], at: now)
        #expect(change9 == CatalogueChange(updated: 1, unchanged: 4))
        let areAllActive = offer.roomTypes.allSatisfy { $0.isActive }
        #expect(areAllActive)
    }

    @Test("A hotel that is gone sells nothing, and keeps the types that bookings name")
    func retired() {
        var hotel = CachedHotel(Sample.hotel())
        var offer = CachedOffer(Sample.offer())
        let change10 = hotel.retire(at: now)
        #expect(change10)
        let isRepeated = hotel.retire(at: now)
        #expect(!isRepeated)
        offer.retire(keeping: [2], at: now)
        #expect(offer.roomTypes.map(\.type.id) == [2])
        #expect(offer.rooms.isEmpty && offer.plans.isEmpty && offer.addOns.isEmpty)
        let change11 = hotel.take(Sample.hotel(), at: now)
        #expect(change11)
        #expect(hotel.isActive)
    }

    @Test("What is written down is read back as it was")
    func coding() throws {
        let offer = CachedOffer(Sample.offer())
        let hotel = CachedHotel(Sample.hotel("名\u{10FFFF}\"\\\n"))
        #expect(try JSONDecoder().decode(CachedOffer.self, from: JSONEncoder().encode(offer)) == offer)
        #expect(try JSONDecoder().decode(CachedHotel.self, from: JSONEncoder().encode(hotel)) == hotel)
    }
}

@Suite("What is answered about a hotel")
struct DocumentTests {
    private func json(_ document: Document) throws -> JSONValue { try JSONValue(parsing: document.content) }

    @Test("A document's tag follows its content, and nothing else")
    func tags() {
        let documents = HotelDocuments(CachedHotel(Sample.hotel()), CachedOffer(Sample.offer()))
        let same = HotelDocuments(CachedHotel(Sample.hotel()), CachedOffer(Sample.offer()))
        let other = HotelDocuments(CachedHotel(Sample.hotel("x")), CachedOffer(Sample.offer()))
        #expect(documents.hotel == same.hotel)
        #expect(documents.hotel.tag != other.hotel.tag)
        #expect(documents.plans.tag == other.plans.tag)
    }

    @Test("Hotel and room types say whether they are gone, only where they are")
    func retired() throws {
        var hotel = CachedHotel(Sample.hotel())
        var offer = CachedOffer(Sample.offer())
        #expect(try json(HotelDocuments(hotel, offer).hotel)["is_active"] == nil)
        _ = hotel.retire(at: now)
        offer.retire(keeping: [1], at: now)
        let documents = HotelDocuments(hotel, offer)
        #expect(try json(documents.hotel)["is_active"] == .bool(false))
        guard case .array(let types)? = try json(documents.roomTypes)["room_types"] else {
            Issue.record("no room types")
            return
        }
        #expect(types.map { $0["is_active"] } == [.bool(false)])
        #expect(types[0]["capacity"]?.integer == 0)
    }

    @Test("Amenities count the rooms that have them; what the PMS does not say is not told")
    func amenities() {
        var offer = Sample.offer()
        offer.rooms = [
            Sample.room(10, 1, smoking: true, wetArea: true), Sample.room(11, 1, capacity: 3, wetArea: true),
            Sample.room(20, 2, capacity: 1, smoking: nil, wetArea: nil),
        ]
        let told = Amenity.all(of: CachedOffer(offer)).map { "\($0.roomType ?? 0) \($0.code) \($0.rooms ?? -1)" }
        #expect(
            told == [
                "1 non_smoking 1", "1 smoking 1", "1 wet_area 2", "1 capacity 1", "2 capacity 1", "0 breakfast -1",
            ])
    }

    @Test("A list of hotels is their documents")
    func list() throws {
        let hotel = HotelDocuments(CachedHotel(Sample.hotel()), CachedOffer(Sample.offer())).hotel
        guard case .array(let hotels)? = try json(HotelDocuments.list([hotel, hotel]))["hotels"] else {
            Issue.record("no hotels")
            return
        }
        #expect(hotels == [try json(hotel), try json(hotel)])
        #expect(String(decoding: HotelDocuments.list([]).content, as: UTF8.self) == #"{"hotels":[]}"#)
    }
}

@Suite("Pictures")
struct HotelImageTests {
    @Test(
        "An https address is taken",
        arguments: [
            "https://a", "https://img.example/1.jpg?x=%20#y", "https://img.example:8443/", "https://192.0.2.1/a",
            "https://xn--p8j9a0d9c9a.example/", "https://a/" + String(repeating: "x", count: 2038),
        ])
    func good(address: String) { #expect(HotelImage.isAddress(address)) }

    @Test(
        "Anything else is not",
        arguments: [
            "", "https://", "http://a/", "HTTPS://a/", "https:/a", "https://a b/", "https://user@a/", "https://a:0/",
            "https://a:99999/", "https://a:/", "https://-a/", "https://a..b/", "https://.a/", "https://ü.example/",
            "https://a/\u{0}", "https://a/\"", "https://a/<script>", "javascript:alert(1)", "https://[::1]/",
            "https://a/" + String(repeating: "x", count: 2039), "https://" + String(repeating: "a", count: 64) + "/",
            "https://a\\@b/",
        ])
    func bad(address: String) { #expect(!HotelImage.isAddress(address)) }

    private func mistakes(_ json: String) -> [String] {
        do throws(InvalidRequest) {
            _ = try HotelImage.images(in: Array(json.utf8), types: [1])
            return []
        } catch { return error.errors.map(\.pointer) }
    }

    @Test("A body is read strictly, and every mistake named")
    func body() throws {
        let json =
            #"{"images":[{"url":"https://a/","caption":"海\t","room_type_id":"1","width":1,"height":65535},{"url":"https://b/"}]}"#
        #expect(mistakes(json) == ["/images/0/caption"])
        let good = json.replacing("\\t", with: "")
        let images = try HotelImage.images(in: Array(good.utf8), types: [1])
        #expect(images.map(\.url) == ["https://a/", "https://b/"])
        #expect(images[0].roomType == 1)
        #expect(mistakes("{}") == ["/images"])
        #expect(mistakes("[]") == [""])
        #expect(mistakes(#"{"images":{}}"#) == ["/images"])
        #expect(mistakes(#"{"images":[],"more":1}"#) == ["/more"])
        #expect(
            mistakes(#"{"images":[{"url":"http://a/","room_type_id":2,"width":0,"height":65536,"alt":""},{}]}"#) == [
                "/images/0/url", "/images/0/room_type_id", "/images/0/width", "/images/0/height", "/images/0/alt",
                "/images/1/url",
            ])
        let many = (0..<65).map { _ in #"{"url":"https://a/"}"# }.joined(separator: ",")
        #expect(mistakes(#"{"images":[\#(many)]}"#) == ["/images"])
    }
}
