import Booking
import JSONText
import Stay
import Testing

@Suite("Booking")
struct BookingTests {
    private let booking = Booking(
        id: BookingID("0B4F6C1E-0000-4000-8000-00000000000a")!, engineID: "be_8f2", hotel: 1, status: .confirmed,
        stay: Stay(arrival: Day("2027-01-10")!, departure: Day("2027-01-11")!)!,
        rooms: [
            BookedRoom(
                type: 11, number: "201", guests: 2, plan: PlanKey("1h5"),
                nights: [BookedRoom.Night(night: Day("2027-01-10")!, price: 12_000)])
        ],
        guest: Guest(name: "\"青木\"\\\n\u{1}", nameKana: nil, email: "hana@example.com", phone: nil),
        total: Money(minorUnits: 12_000, currency: .jpy), sync: SyncState(status: .pending), version: 1,
        createdAt: Instant(microseconds: 1_796_120_700_000_000), updatedAt: Instant(microseconds: 1_796_120_700_250_000)
    )

    @Test("A booking is written with the contract's members in the contract's order")
    func json() {
        var bytes = Array("x".utf8)
        booking.appendJSON(to: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self) == "x"
                + #"{"booking_id":"0b4f6c1e-0000-4000-8000-00000000000a","booking_engine_id":"be_8f2","hotel_id":1,"#
                + #""status":"confirmed","check_in":"2027-01-10","check_out":"2027-01-11","rooms":[{"room_type_id":11,"#
                + #""room_number":"201","guests":2,"plan_key":"1h5","nights":[{"date":"2027-01-10","price":12000}]}],"#
                + #""guest":{"name":"\"青木\"\\\n\u0001","name_kana":null,"email":"hana@example.com","phone":null},"#
                + #""total":{"amount":12000,"currency":"JPY"},"#
                + #""sync":{"status":"pending","last_attempt":null,"error":null},"version":1,"#
                + #""created_at":"2026-12-01T10:25:00Z","updated_at":"2026-12-01T10:25:00.250000Z"}"#)
    }

    @Test("What is written can be read again")
    func roundTrip() throws {
        var held = booking
        held.status = .hold
        held.holdExpiresAt = held.createdAt
        held.cancelledAt = held.updatedAt
        held.rooms.append(BookedRoom(type: 12, number: nil, guests: 1, plan: nil, nights: []))
        var bytes: [UInt8] = []
        held.appendJSON(to: &bytes)
        let json = try JSONValue(parsing: bytes)
        #expect(json["guest"]?["name"] == .string(held.guest.name))
        #expect(json["hold_expires_at"] == .string("2026-12-01T10:25:00Z"))
        #expect(json["cancelled_at"] == .string("2026-12-01T10:25:00.250000Z"))
        guard case .array(let rooms)? = json["rooms"] else {
            Issue.record("rooms are missing")
            return
        }
        #expect(rooms.count == 2 && rooms[1]["room_number"] == .null && rooms[1]["nights"] == .array([]))
    }

    @Test(
        "An instant is written as RFC 3339 in UTC",
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59.999999Z"), (86_399_000_000, "1970-01-01T23:59:59Z"),
            (1_000_001, "1970-01-01T00:00:01.000001Z"), (951_782_400_000_000, "2000-02-29T00:00:00Z"),
        ] as [(Int64, String)])
    func instant(microseconds: Int64, text: String) {
        #expect(Instant(microseconds: microseconds).description == text)
    }

    @Test("Instants at the ends of the number line are written without a trap", arguments: [Int64.min, .max])
    func extremes(microseconds: Int64) {
        #expect(Instant(microseconds: microseconds).description.hasSuffix("Z"))
    }

    @Test("A booking's id is a UUID in the usual form")
    func id() {
        let text = "0b4f6c1e-89ab-4cde-8f01-23456789abcd"
        #expect(BookingID(text)?.description == text)
        #expect(BookingID(text.uppercased()) == BookingID(text))
        for refused in [
            "", "0b4f6c1e89ab4cde8f0123456789abcd", text + "0", String(text.dropLast()), "{\(text)}",
            "0b4f6c1e-89ab-4cde-8f01-23456789abcg", "0b4f6c1e-89ab-4cde-8f012-3456789abcd",
            text.replacing("-", with: "_"),
        ] {
            #expect(BookingID(refused) == nil, "\(refused)")
        }
    }

    @Test("A random id is of version 4 and differs from the next")
    func randomID() {
        let ids = (0..<100).map { _ in BookingID.random() }
        #expect(Set(ids).count == 100)
        for id in ids.map(\.description) {
            #expect(Array(id)[14] == "4")
            #expect("89ab".contains(Array(id)[19]))
        }
    }
}
