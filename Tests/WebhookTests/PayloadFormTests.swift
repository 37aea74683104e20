import Booking
import JSONText
import Stay
import TestSupport
import Testing

@testable import Webhook

@Suite struct PayloadFormTests {
    private static let booking = Booking(
        id: BookingID("0b4f6c1e-0000-4000-8000-00000000000a")!, engineID: "be_\"8f2\"", hotel: 7, status: .confirmed,
        stay: Stay(arrival: Day("2027-01-10")!, departure: Day("2027-01-11")!)!,
        rooms: [
            BookedRoom(
                type: 11, number: "201", guests: 2, plan: PlanKey("1h5"),
                nights: [BookedRoom.Night(night: Day("2027-01-10")!, price: 12_000)])
        ],
        guest: Guest(name: "青木", nameKana: nil, email: "hana@example.com", phone: nil),
        total: Money(minorUnits: 12_000, currency: .jpy), sync: SyncState(status: .pending), version: 3,
        createdAt: Instant(microseconds: 1_796_120_700_000_000), updatedAt: Instant(microseconds: 1_796_120_700_000_000)
    )

    private static let event = BookingEvent.json(.updated, booking)

    private func thin(_ event: String) throws -> String {
        String(decoding: try PayloadForm.thin.content(of: Array(event.utf8)), as: UTF8.self)
    }

    @Test("A full event is what was stored, byte for byte") func full() throws {
        #expect(try PayloadForm.full.content(of: Self.event) == Self.event)
    }

    @Test("A thin event of a booking says what and when, and of the booking its ids, version and hotel") func thin()
        throws
    {
        #expect(
            try thin(String(decoding: Self.event, as: UTF8.self))
                == #"{"type":"booking.updated","timestamp":"2026-12-01T10:25:00Z","data":{"#
                + #""booking_id":"0b4f6c1e-0000-4000-8000-00000000000a","booking_engine_id":"be_\"8f2\"","#
                + #""hotel_id":7,"version":3}}"#)
    }

    @Test("Nothing but texts and whole numbers counts as an id, and nothing that is deeper in the data") func ids()
        throws
    {
        let event = """
            {"extra_id":1,"data":{"id":"a","x_id":{"y_id":1},"n_id":null,"f_id":1.5,"b_id":true,"l_id":[1],"idx":1,
            "_id":-5,"\\u0069d\\"_id":"é\\u0000","ID":"x","version":9223372036854775807,"guest":{"guest_id":4},
            "a_id\u{301}":1},"timestamp":"t","type":"x.y"}
            """
        #expect(
            try thin(event) == #"{"type":"x.y","timestamp":"t","data":{"id":"a","_id":-5,"id\"_id":"é\u0000","#
                + #""version":9223372036854775807}}"#)
    }

    @Test(
        "What is no event is refused",
        arguments: [
            "", "[]", "null", "{}", #"{"type":"a","timestamp":"t"}"#, #"{"type":"a","timestamp":"t","data":[]}"#,
            #"{"type":1,"timestamp":"t","data":{}}"#, #"{"type":"a","timestamp":null,"data":{}}"#,
            #"{"type":"a","timestamp":"t","data":{}}}"#, #"{"type":"a","type":"b","timestamp":"t","data":{}}"#,
            #"{"type":"a","timestamp":"t","data":{"id":"\ud800"}}"#,
        ])
    func refused(event: String) {
        #expect { try thin(event) } throws: { ($0 as? WebhookError)?.code == .payload }
    }

    @Test("However an event is damaged, it is refused or what comes of it is an event", arguments: 0..<40)
    func damaged(seed: UInt64) throws {
        var random = SeededNumbers(seed: seed)
        for _ in 0..<100 {
            var bytes = Self.event
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[bytes.indices.randomElement(using: &random)!] = .random(in: 0...255, using: &random)
            }
            guard let content = try? PayloadForm.thin.content(of: bytes) else { continue }
            let thin = try JSONValue(parsing: content)
            #expect(thin.members?.map(\.name) == ["type", "timestamp", "data"])
            #expect(try PayloadForm.thin.content(of: content) == content)
        }
    }
}
