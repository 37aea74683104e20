import Booking
import JSONText
import Stay
import TestSupport
import Testing

@testable import Webhook

@Suite("Types of events") struct EventTypeTests {
    private static func booking() -> Booking {
        var booking = Booking(
            id: BookingID("0B4F6C1E-0000-4000-8000-00000000000a")!, engineID: "be_8f2", hotel: 1, status: .confirmed,
            stay: Stay(arrival: Day("2027-01-10")!, departure: Day("2027-01-11")!)!,
            rooms: [
                BookedRoom(
                    type: 11, number: "201", guests: 2, plan: PlanKey("1h5"),
                    nights: [
                        .init(night: Day("2027-01-10")!, price: 12_000), .init(night: Day("2027-01-11")!, price: nil),
                    ])
            ],
            guest: Guest(name: "Hana", nameKana: "ハナ", email: "hana@example.com", phone: "050-0000-0000"),
            total: Money(minorUnits: 12_000, currency: .jpy), sync: SyncState(status: .conflict, error: "no room"),
            version: 3, createdAt: Instant(microseconds: 1_796_120_700_000_000),
            updatedAt: Instant(microseconds: 1_796_120_700_250_000))
        booking.holdExpiresAt = booking.createdAt
        booking.cancelledAt = booking.updatedAt
        booking.cancellationFee = booking.total
        booking.guestStatus = .checkedIn
        return booking
    }

    /// With as few members as there may be.
    private static func bareBooking() -> Booking {
        var booking = booking()
        booking.rooms = [BookedRoom(type: 11, number: nil, guests: 1, plan: nil, nights: [])]
        booking.guest = Guest(name: "", nameKana: nil, email: nil, phone: nil)
        booking.sync = SyncState(status: .synced, lastAttempt: booking.createdAt)
        (booking.holdExpiresAt, booking.cancelledAt, booking.cancellationFee, booking.guestStatus) = (
            nil, nil, nil, nil
        )
        return booking
    }

    @Test("The schemas describe what is told of bookings, and name every member", arguments: BookingEvent.Kind.allCases)
    func bookings(kind: BookingEvent.Kind) throws {
        let type = try #require(EventType(rawValue: kind.rawValue))
        let schema = try ClosedSchema(json: type.schema)
        for booking in [Self.booking(), Self.bareBooking()] {
            let body = String(decoding: BookingEvent.json(kind, booking), as: UTF8.self)
            #expect(try schema.violations(in: body) == [])
            let thin = try PayloadForm.thin.content(of: Array(body.utf8))
            #expect(try ClosedSchema(json: type.thinSchema).violations(in: String(decoding: thin, as: UTF8.self)) == [])
        }
        // Not those of another event.
        let other = BookingEvent.Kind.allCases.first { $0 != kind }!
        let foreign = String(decoding: BookingEvent.json(other, Self.booking()), as: UTF8.self)
        #expect(try !schema.violations(in: foreign).isEmpty)
    }

    @Test("What the contract says of every event holds for each schema", arguments: EventType.allCases)
    func contract(type: EventType) throws {
        for text in [type.schema, type.thinSchema] {
            _ = try ClosedSchema(json: text)
            let schema = try JSONValue(parsing: Array(text.utf8))
            #expect(schema["properties"]?.members?.map(\.name) == ["type", "timestamp", "data"])
            #expect(schema["properties"]?["type"]?["const"]?.string == type.rawValue)
            let data = schema["properties"]?["data"]?["properties"]?.members?.map(\.name) ?? []
            #expect(data.contains("version") && data.contains("hotel_id"))
        }
    }

    @Test("Thin bodies say nothing about guests", arguments: EventType.allCases)
    func thin(type: EventType) {
        for word in ["guest\":", "\"name", "email", "phone"] { #expect(!type.thinSchema.contains(word)) }
    }

    @Test("The catalogue has each type once, as JSON") func catalogue() throws {
        let types = try JSONValue(parsing: EventType.catalogue)["event_types"]
        guard case .array(let elements)? = types else {
            Issue.record("no list")
            return
        }
        #expect(elements.compactMap { $0["type"]?.string } == EventType.allCases.map(\.rawValue))
        #expect(elements.allSatisfy { $0["description"]?.string?.isEmpty == false && $0["schema"]?.members != nil })
    }
}
