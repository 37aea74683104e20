import Booking
import Stay
import Testing

@Suite("Booking request")
struct BookingRequestTests {
    private static let complete = """
        {"booking_engine_id":"be_8f2","hotel_id":1,"check_in":"2027-01-10","check_out":"2027-01-12",
         "rooms":[{"room_type_id":1,"guests":2,"plan_key":"1h5"}],
         "guest":{"name":"青木 花","name_kana":"アオキ ハナ","email":"hana@example.com","phone":"+81 (50) 0000-0001"},
         "expected_total":{"amount":24000,"currency":"JPY"},"payment_timing":"prepaid","comment":"遅い到着\\nLate",
         "hold_minutes":null}
        """

    private let rules = BookingRules(today: Day("2027-01-05")!) { [1: 2, 2: 4][$0] }

    private func read(_ json: String) throws -> BookingRequest {
        try BookingRequestBody(json: Array(json.utf8)).validate(rules)
    }

    /// The complete body with one piece of it replaced.
    private func replacing(_ part: String, with other: String) -> String {
        let pieces = BookingRequestTests.complete.split(separator: part, omittingEmptySubsequences: false)
        precondition(pieces.count == 2, "\(part) must occur once")
        return pieces.joined(separator: other)
    }

    private func errors(of json: String) -> [FieldError] {
        do {
            _ = try read(json)
            return []
        } catch let error as InvalidRequest {
            return error.errors
        } catch {
            return []
        }
    }

    @Test("A complete body is read as it stands")
    func whole() throws {
        let request = try read(BookingRequestTests.complete)
        #expect(request.engineID == "be_8f2")
        #expect(request.hotel == 1)
        #expect(request.stay == Stay(arrival: Day("2027-01-10")!, departure: Day("2027-01-12")!))
        #expect(request.rooms == [BookingRequest.Room(type: 1, guests: 2, plan: PlanKey("1h5")!)])
        #expect(request.guest.name == "青木 花")
        #expect(request.guest.phone == "+81 (50) 0000-0001")
        #expect(request.expectedTotal == Money(minorUnits: 24_000, currency: .jpy))
        #expect(request.paymentTiming == .prepaid)
        #expect(request.comment == "遅い到着\nLate")
        #expect(request.holdMinutes == nil)
    }

    @Test(
        "How long a stay may be, and how far ahead, is the installation's choice",
        arguments: [(5, 2, []), (4, 2, ["/check_in"]), (5, 1, ["/check_out"])])
    func installationLimits(horizonDays: Int, maximumNights: Int, pointers: [String]) throws {
        let rules = BookingRules(
            today: Day("2027-01-05")!, horizonDays: horizonDays, maximumNights: maximumNights, capacity: { _ in 9 })
        let body = try BookingRequestBody(json: Array(BookingRequestTests.complete.utf8))
        do throws(InvalidRequest) {
            _ = try body.validate(rules)
            #expect(pointers == [])
        } catch {
            #expect(error.errors.map(\.pointer) == pointers)
        }
    }

    @Test("However much is wrong, the answer stays short")
    func boundedErrors() {
        let members = (0..<5000).map { #""n\#($0)":1"# }.joined(separator: ",")
        let rooms = (0..<10).map { (_: Int) -> String in #"{"room_type_id":9,"guests":0,"plan_key":"","x":1,"y":2}"# }
        let many = [
            "{\(members)}", replacing(#""payment_timing":"prepaid""#, with: members),
            replacing(#"{"room_type_id":1,"guests":2,"plan_key":"1h5"}"#, with: rooms.joined(separator: ",")),
            replacing(#""name":"青木 花""#, with: #""name":"青木 花","# + members),
        ]
        for json in many { #expect(errors(of: json).count == 20) }
    }

    @Test("What may be left out may be left out")
    func least() throws {
        let request = try read(
            """
            {"booking_engine_id":"x","hotel_id":"7","check_in":"2027-01-05","check_out":"2027-01-06",
             "rooms":[{"room_type_id":"2","guests":4,"plan_key":"3h"}],"guest":{"name":"A"}}
            """)
        #expect(request.hotel == 7)
        #expect(request.rooms[0].type == 2)
        #expect(request.expectedTotal == nil)
        #expect(request.paymentTiming == .notSet)
    }

    @Test(
        "A field out of its bounds is named",
        arguments: [
            (#""hotel_id":1"#, #""hotel_id":0"#, "/hotel_id"), (#""hotel_id":1"#, #""hotel_id":"1a""#, "/hotel_id"),
            (#""hotel_id":1"#, #""hotel_id":1.5"#, "/hotel_id"), (#""hotel_id":1"#, #""hotel_id":"""#, "/hotel_id"),
            (#""hotel_id":1"#, #""hotel_id":2147483648"#, "/hotel_id"),
            (#""hotel_id":1"#, #""hotel_id":true"#, "/hotel_id"),
            (#""hotel_id":1"#, #""hotel_id":"-1""#, "/hotel_id"), (#""be_8f2""#, #""""#, "/booking_engine_id"),
            (#""be_8f2""#, #""a b""#, "/booking_engine_id"), (#""be_8f2""#, #""é""#, "/booking_engine_id"),
            (#""be_8f2""#, "8", "/booking_engine_id"), (#""2027-01-10""#, #""2027-01-04""#, "/check_in"),
            (#""2027-01-10""#, #""2027-01-010""#, "/check_in"), (#""2027-01-10""#, #""2027-02-30""#, "/check_in"),
            (#""2027-01-12""#, #""2027-01-10""#, "/check_out"), (#""2027-01-12""#, #""2027-02-10""#, "/check_out"),
            (#""2027-01-12""#, #""2027-1-12""#, "/check_out"), (#""guests":2"#, #""guests":3"#, "/rooms/0/guests"),
            (#""guests":2"#, #""guests":0"#, "/rooms/0/guests"), (#""guests":2"#, #""guests":"2""#, "/rooms/0/guests"),
            (#""room_type_id":1"#, #""room_type_id":9"#, "/rooms/0/room_type_id"),
            (#""1h5""#, #""1h05""#, "/rooms/0/plan_key"), (#""青木 花""#, #"" ""#, "/guest/name"),
            (#""青木 花""#, #""a\u0000b""#, "/guest/name"), (#""青木 花""#, #""a\nb""#, "/guest/name"),
            (#""青木 花""#, #""a\u202eb""#, "/guest/name"), (#""hana@example.com""#, #""hana""#, "/guest/email"),
            (#""hana@example.com""#, #""a@b@c""#, "/guest/email"),
            (#""hana@example.com""#, #""a@b..c""#, "/guest/email"),
            (#""hana@example.com""#, #""a b@c""#, "/guest/email"), (#""+81 (50) 0000-0001""#, #""12""#, "/guest/phone"),
            (#""+81 (50) 0000-0001""#, #""call me""#, "/guest/phone"),
            (#""JPY""#, #""XXX""#, "/expected_total/currency"),
            (#":24000"#, #":-1"#, "/expected_total/amount"), (#":24000"#, #":24000.5"#, "/expected_total/amount"),
            (#""prepaid""#, #""later""#, "/payment_timing"),
            (#""hold_minutes":null"#, #""hold_minutes":61"#, "/hold_minutes"),
            (#""hold_minutes":null"#, #""hold_minutes":0"#, "/hold_minutes"),
            (#""hold_minutes":null"#, #""hold_minutes":1,"debug":true"#, "/debug"),
            (#""hold_minutes":null"#, #""a/b~c":1"#, "/a~1b~0c"),
            (#""guests":2"#, #""guests":2,"room_number":"201""#, "/rooms/0/room_number"),
        ])
    func bounds(part: String, other: String, pointer: String) {
        #expect(errors(of: replacing(part, with: other)).map(\.pointer) == [pointer])
    }

    @Test("Strings are bounded in length")
    func lengths() throws {
        let name = String(repeating: "花", count: 200)
        #expect(try read(replacing("青木 花", with: name)).guest.name == name)
        #expect(errors(of: replacing("青木 花", with: name + "花")).map(\.pointer) == ["/guest/name"])
        let id = String(repeating: "x", count: 64)
        #expect(try read(replacing("be_8f2", with: id)).engineID == id)
        #expect(errors(of: replacing("be_8f2", with: id + "x")).map(\.pointer) == ["/booking_engine_id"])
        let comment = String(repeating: "c", count: 2000)
        #expect(try read(replacing(#"遅い到着\nLate"#, with: comment)).comment == comment)
        #expect(errors(of: replacing(#"遅い到着\nLate"#, with: comment + "c")).map(\.pointer) == ["/comment"])
    }

    @Test("One to ten rooms are asked for")
    func roomCount() throws {
        let room = #"{"room_type_id":1,"guests":2,"plan_key":"1h5"}"#
        func rooms(_ count: Int) -> String {
            replacing(room, with: Array(repeating: room, count: count).joined(separator: ","))
        }
        #expect(try read(rooms(10)).rooms.count == 10)
        #expect(errors(of: rooms(11)).map(\.pointer) == ["/rooms"])
        #expect(errors(of: rooms(0)).map(\.pointer) == ["/rooms"])
        #expect(errors(of: replacing(room, with: "7")).map(\.pointer) == ["/rooms/0"])
    }

    @Test("A stay has at most thirty nights, an arrival lies at most 500 days ahead")
    func limits() throws {
        #expect(try read(replacing("2027-01-12", with: "2027-02-09")).stay.nightCount == 30)
        let last = Day("2027-01-05")!.advanced(by: 500)
        let dates = replacing("2027-01-10", with: last.description)
            .split(separator: "2027-01-12").joined(separator: last.advanced(by: 1).description)
        #expect(try read(dates).stay.arrival == last)
    }

    @Test("Every mistake is reported at once, in the order of the body")
    func all() {
        let found = errors(of: #"{"rooms":[{"guests":0}],"guest":{},"surprise":1}"#).map(\.pointer)
        #expect(
            found == [
                "/booking_engine_id", "/hotel_id", "/check_in", "/check_out", "/rooms/0/room_type_id",
                "/rooms/0/guests",
                "/rooms/0/plan_key", "/guest/name", "/surprise",
            ])
    }

    @Test("The hotel can be read from a body with other mistakes")
    func hotelFirst() throws {
        let body = try BookingRequestBody(json: Array(#"{"hotel_id":"12"}"#.utf8))
        #expect(body.hotel == 12)
        #expect(body.invalidHotel().errors.last == FieldError(pointer: "/hotel_id", detail: "There is no such hotel"))
    }

    @Test("A body that is no object is one error", arguments: ["[]", "1", "null", "\"x\""])
    func noObject(json: String) {
        #expect(errors(of: json) == [FieldError(pointer: "", detail: "An object is expected")])
    }

    @Test("A body that is no JSON is malformed, not invalid", arguments: ["", "{", #"{"hotel_id":1,}"#, "hotel_id=1"])
    func malformed(json: String) {
        #expect(throws: InvalidRequest.self) { try BookingRequestBody(json: Array(json.utf8)) }
        do {
            _ = try BookingRequestBody(json: Array(json.utf8))
        } catch {
            #expect(error.isMalformed)
            #expect(error.errors.map(\.pointer) == [""])
        }
    }
}
