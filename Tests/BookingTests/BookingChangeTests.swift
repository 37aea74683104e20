import Booking
import Stay
import Testing

@Suite("What a client wants changed")
struct BookingChangeTests {
    private let agreed = BookingChangeBody.Agreed(
        engineID: "be-1", hotel: 1, stay: Stay(arrival: Day("2028-02-27")!, departure: Day("2028-03-01")!)!,
        rooms: [SoldRoom(type: 11, room: 101, guests: 2, plan: PlanKey("1h")!)])

    private func rules(today: String = "2028-02-20") -> BookingRules {
        BookingRules(today: Day(today)!, capacity: { $0 == 11 ? 2 : $0 == 12 ? 4 : nil })
    }

    private func change(_ json: String, today: String = "2028-02-20") throws -> BookingChange {
        try BookingChangeBody(json: Array(json.utf8)).validate(rules(today: today), agreed)
    }

    private func errors(_ json: String, today: String = "2028-02-20") -> [String] {
        do {
            _ = try change(json, today: today)
            return []
        } catch {
            return (error as? InvalidRequest)?.errors.map(\.pointer) ?? ["\(error)"]
        }
    }

    @Test("What is left out, or null, stays as it is")
    func leftOut() throws {
        let change = try change(#"{"check_out":"2028-03-02","guest":null}"#)
        #expect(change.arrangement?.stay.arrival == agreed.stay.arrival)
        #expect(change.arrangement?.stay.nightCount == 4)
        #expect(change.arrangement?.rooms == [BookingRequest.Room(type: 11, guests: 2, plan: PlanKey("1h")!)])
        #expect(change.guest == nil)
        #expect(!change.confirms)
    }

    @Test("Without dates and rooms nothing is arranged anew")
    func onlyGuest() throws {
        let change = try change(#"{"guest":{"name":"Somebody"},"comment":""}"#)
        #expect(change.arrangement == nil)
        #expect(change.comment == "")
        #expect(change.changesBooking)
    }

    @Test("A confirmation alone changes nothing else")
    func confirmation() throws {
        let change = try change(#"{"status":"confirmed"}"#)
        #expect(change.confirms)
        #expect(!change.changesBooking)
    }

    @Test(
        "Mistakes are told where they stand",
        arguments: [
            ("{}", [""]), ("null", [""]), (#"{"expected_total":{"amount":1,"currency":"JPY"}}"#, [""]),
            (#"{"status":"hold"}"#, ["/status"]), (#"{"status":1}"#, ["/status"]), (#"{"rooms":[]}"#, ["/rooms"]),
            (#"{"check_out":"2028-02-27"}"#, ["/check_out"]), (#"{"check_out":"2028-02-30"}"#, ["/check_out"]),
            (#"{"check_in":"2028-02-19"}"#, ["/check_in"]), (#"{"check_out":"2028-03-29"}"#, ["/check_out"]),
            (#"{"rooms":[{"room_type_id":11,"guests":3,"plan_key":"1h"}]}"#, ["/rooms/0/guests"]),
            (#"{"rooms":[{"room_type_id":13,"guests":1,"plan_key":"1h"}]}"#, ["/rooms/0/room_type_id"]),
            (#"{"guest":{"email":"x"}}"#, ["/guest/name", "/guest/email"]),
            (#"{"hotel_id":2,"status":"confirmed"}"#, ["/hotel_id"]),
            (#"{"booking_engine_id":"be-2","status":"confirmed"}"#, ["/booking_engine_id"]),
            (#"{"total":1,"status":"confirmed"}"#, ["/total"]), (#"{"hold_minutes":5}"#, ["/hold_minutes"]),
        ])
    func mistakes(json: String, pointers: [String]) { #expect(errors(json) == pointers) }

    @Test("The arrival may be today at the hotel, and not yesterday, also on a leap day")
    func today() {
        #expect(errors(#"{"check_in":"2028-02-29"}"#, today: "2028-02-29") == [])
        #expect(errors(#"{"check_in":"2028-02-29","check_out":"2028-03-02"}"#, today: "2028-03-01") == ["/check_in"])
        // The arrival that was agreed is past: it cannot stay.
        #expect(errors(#"{"check_out":"2028-03-02"}"#, today: "2028-02-28") == ["/check_in"])
    }
}

@Suite("Places in lists, and moments")
struct BookingCursorTests {
    @Test("A place is read back as it was written")
    func cursor() {
        for _ in 0..<1_000 {
            let cursor = BookingCursor(
                updatedAt: Instant(microseconds: .random(in: -62_135_596_800_000_000...253_402_300_799_999_999)),
                booking: .random(),
                completeUntil: Instant(microseconds: .random(in: -62_135_596_800_000_000...253_402_300_799_999_999)))
            #expect(BookingCursor(cursor.description) == cursor)
        }
    }

    @Test(
        "Nothing else is a place",
        arguments: [
            "", "0", String(repeating: "g", count: 64), String(repeating: "0", count: 63),
            // Moments that no calendar has.
            "8" + String(repeating: "0", count: 63), "7fffffffffffffff" + String(repeating: "0", count: 48),
            String(repeating: "0", count: 48) + "8000000000000000",
        ])
    func noCursor(text: String) { #expect(BookingCursor(text) == nil) }

    @Test("Of the numbers that a place is made of, moments must be those of a calendar, and ids may be any")
    func extremes() {
        for extreme in [Int64.min, .max] {
            for position in 0..<4 {
                var words: [UInt64] = [0, 0, 0, 0]
                words[position] = UInt64(bitPattern: extreme)
                let text = words.map { word in
                    String(repeating: "0", count: 16 - String(word, radix: 16).count) + String(word, radix: 16)
                }.joined()
                #expect((BookingCursor(text) == nil) == (position == 0 || position == 3), "\(text)")
            }
        }
    }

    @Test(
        "Moments are read as RFC 3339 has them",
        arguments: [
            ("1970-01-01T00:00:00Z", Int64(0)), ("1970-01-01t00:00:01.5z", 1_500_000),
            ("1970-01-01T09:00:00+09:00", 0), ("1969-12-31T23:30:00-00:30", 0),
            ("1970-01-01T00:00:00.123456789Z", 123_456), ("2028-02-29T23:59:60Z", 1_835_481_600_000_000),
        ])
    func instants(text: String, microseconds: Int64) { #expect(Instant(text)?.microseconds == microseconds) }

    @Test(
        "Nothing else is a moment",
        arguments: [
            "", "1970-01-01", "1970-01-01T00:00:00", "1970-02-29T00:00:00Z", "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00+0900", "1970-01-01 00:00:00Z", "1970-01-01T00:00:00ZZ",
        ])
    func noInstants(text: String) { #expect(Instant(text) == nil) }
}
