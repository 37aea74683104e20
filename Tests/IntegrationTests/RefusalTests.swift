import Loop
import Stay
import Testing

@Suite("What cannot be done is refused in the contract's words")
struct RefusalTests {
    init() { Loop.runInBackground() }

    private static let api = "/api/booking-engine"
    private static var day: Day { TestStay.today.advanced(by: 40) }

    @Test(
        "What is not described is refused",
        arguments: [
            ("GET", "/", 404), ("GET", "/api", 404), ("GET", "/api/booking-engine/nothing", 404),
            ("GET", "/api/booking-engine/hotels/", 404), ("GET", "/api/booking-engine//hotels", 404),
            ("GET", "/healthz", 404), ("GET", "/metrics", 404), ("GET", "/api/booking-engine/hotels/x", 404),
            ("GET", "/api/booking-engine/hotels/99", 404), ("GET", "/api/booking-engine/bookings/xyz", 404),
            ("GET", "/api/booking-engine/bookings/00000000-0000-4000-8000-000000000000", 404),
            ("GET", "/api/booking-engine/hotels/1%2f..%2f2", 404), ("GET", "/api/booking-engine/../admin", 404),
            ("DELETE", "/api/booking-engine/hotels", 405), ("PUT", "/api/booking-engine/bookings", 405),
            ("POST", "/api/booking-engine/availability/1", 405),
        ])
    @OnLoop func undescribed(method: String, target: String, status: Int) async throws {
        let node = try await Node.shared()
        let request = TestRequest(method: method, target: target, token: try node.token())
        let answer = try await node.gateway.send(request)
        // A path with dot segments may also be refused as such.
        if target.contains("..") { return expectProblem(answer, answer.status == 400 ? 400 : 404) }
        expectProblem(answer, status)
        if status == 405 { #expect(answer["Allow"]?.isEmpty == false) }
    }

    @Test("The hotel that is not there is called by its name in the contract")
    @OnLoop func unknownHotel() async throws {
        let node = try await Node.shared()
        for target in ["hotels/99", "room-types/99", "availability/99?start_date=2027-01-01&end_date=2027-01-02"] {
            let answer = try await node.get("\(Self.api)/\(target)")
            expectProblem(answer, 404, "hotel-not-found")
            #expect(answer.string("error") == "Hotel not found")
        }
    }

    @Test(
        "Availability for what is no stay is refused",
        arguments: [
            ("start_date=2027-02-30&end_date=2027-03-02", 400, "start_date"),
            ("start_date=2027-1-1&end_date=2027-01-02", 400, "start_date"),
            ("start_date=&end_date=2027-01-02", 400, "start_date"), ("end_date=2027-01-02", 400, "start_date"),
            ("start_date=2027-01-02&end_date=2027-01-02", 400, "end_date"),
            ("start_date=2027-01-02&end_date=2027-01-01", 400, "end_date"),
            ("start_date=D0&end_date=D1&x=1", 400, "x"), ("start_date=D0&end_date=D1&guests=0", 400, "guests"),
            ("start_date=D0&end_date=D1&guests=%31", 400, "guests"),
            ("start_date=D0&end_date=D1&rooms=a", 400, "rooms"),
            ("start_date=D0&end_date=D1&start_date=D0", 400, "start_date"),
            ("start_date=D0&end_date=D1&room_type_id=99999999999", 400, "room_type_id"),
            ("start_date=D0&end_date=D1&room_type_id=21", 422, "room_type_id"),
            ("start_date=2020-01-01&end_date=2020-01-02", 422, "start_date"),
            ("start_date=D0&end_date=D31", 422, "end_date"), ("start_date=D461&end_date=D462", 422, "start_date"),
            ("start_date=9999-12-30&end_date=9999-12-31", 422, "start_date"),
            ("start_date=0001-01-01&end_date=9999-12-31", 422, "start_date"),
        ])
    @OnLoop func noStay(query: String, status: Int, pointer: String) async throws {
        let node = try await Node.shared()
        let query = Self.expand(query)
        let answer = try await node.get("\(Self.api)/availability/1?\(query)")
        expectProblem(answer, status)
        #expect(answer.string("errors.0.pointer") == "/query/\(pointer)", "\(answer.text)")
    }

    @Test("The longest stay and the farthest arrival are answered", arguments: ["D0 D30", "D460 D490", "D-40 D-39"])
    @OnLoop func longest(days: String) async throws {
        let node = try await Node.shared()
        let days = days.split(separator: " ")
        let answer = try await node.get(
            Self.expand("\(Self.api)/availability/1?start_date=\(days[0])&end_date=\(days[1])"))
        #expect(answer.status == 200, "\(answer.text)")
    }

    @Test("A plan that does not exist is a mistake, also where no room is free")
    @OnLoop func unknownPlan() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next()
        #expect(try await node.book(BookingBody(stay, hotel: 1, type: 14, rooms: 6)).status == 201)
        var body = BookingBody(stay, hotel: 1, type: 14)
        expectProblem(try await node.book(body), 409, "no-availability")
        body.rooms[0].plan = "99h"
        let answer = try await node.book(body)
        expectProblem(answer, 422)
        #expect(answer.string("errors.0.pointer") == "/rooms/0/plan_key")
    }

    @Test("A day that is percent-encoded is the same day (RFC 3986 §6.2.2.2)")
    @OnLoop func encodedDay() async throws {
        let node = try await Node.shared()
        let days = Self.expand("start_date=D0&end_date=D2")
        let answers = [
            try await node.get("\(Self.api)/availability/1?\(days)"),
            try await node.get("\(Self.api)/availability/1?\(days.replacing("-", with: "%2D"))"),
        ]
        #expect(answers.map(\.status) == [200, 200] && answers[0].text == answers[1].text)
    }

    /// Writes `D12` as the day twelve days after `day`; `D-40` is today.
    private static func expand(_ text: String) -> String {
        text.replacing(/D(-?[0-9]+)/) { day.advanced(by: Int($0.1)!).description }
    }

    struct BadBooking: CustomTestStringConvertible {
        let old: String
        let new: String
        let status: Int
        let pointer: String
        var testDescription: String { "\(old) → \(new.prefix(40))" }

        init(_ old: String, _ new: String, _ status: Int, _ pointer: String) {
            (self.old, self.new, self.status, self.pointer) = (old, new, status, pointer)
        }
    }

    private static let good =
        #"{"booking_engine_id":"ID","hotel_id":2,"check_in":"D0","check_out":"D2","#
        + #""rooms":[{"room_type_id":21,"guests":1,"plan_key":"1h"}],"guest":{"name":"Refused Guest"}}"#

    @Test(
        "A booking that cannot be read or made is refused, and says where it is wrong",
        arguments: [
            BadBooking(#""guest":"#, #""guest""#, 400, ""), BadBooking("}}", "}", 400, ""),
            BadBooking("}}", "}} x", 400, ""), BadBooking("2,", "2,,", 400, ""),
            BadBooking("Refused Guest", "\u{1}", 400, ""), BadBooking("Refused Guest", #"\ud800"#, 400, ""),
            BadBooking(#""hotel_id":2"#, #""hotel_id":2,"hotel_id":1"#, 400, ""),
            BadBooking(#""guest":{"#, #""guest":{"name":"A","#, 400, ""),
            BadBooking(#""hotel_id":2"#, #""hotel_id":99"#, 422, "/hotel_id"),
            BadBooking(#""hotel_id":2"#, #""hotel_id":2.5"#, 422, "/hotel_id"),
            BadBooking(#""hotel_id":2"#, #""hotel_id":99999999999"#, 422, "/hotel_id"),
            BadBooking(#""hotel_id":2,"#, "", 422, "/hotel_id"),
            BadBooking("D0", "2027-02-30", 422, "/check_in"), BadBooking("D0", "2020-01-01", 422, "/check_in"),
            BadBooking(#""D0""#, "20270101", 422, "/check_in"), BadBooking("D2", "D0", 422, "/check_out"),
            BadBooking("D2", "D31", 422, "/check_out"), BadBooking(#""D0""#, #""D461""#, 422, "/check_in"),
            BadBooking(":21", ":11", 422, "/rooms/0/room_type_id"),
            BadBooking(#""guests":1"#, #""guests":3"#, 422, "/rooms/0/guests"),
            BadBooking(#""guests":1"#, #""guests":"one""#, 422, "/rooms/0/guests"),
            BadBooking(#""1h""#, #""77h""#, 422, "/rooms/0/plan_key"),
            BadBooking(#""1h""#, #""h""#, 422, "/rooms/0/plan_key"),
            BadBooking(#""1h""#, #""h31""#, 422, "/rooms/0/plan_key"),
            BadBooking(#"[{"room_type_id":21,"guests":1,"plan_key":"1h"}]"#, "[]", 422, "/rooms"),
            BadBooking("Refused Guest", "", 422, "/guest/name"), BadBooking("Refused Guest", " ", 422, "/guest/name"),
            BadBooking("Refused Guest", #"a\u0000b"#, 422, "/guest/name"),
            BadBooking("Refused Guest", String(repeating: "x", count: 201), 422, "/guest/name"),
            BadBooking(#""name":"Refused Guest""#, #""name":"G","email":"nobody""#, 422, "/guest/email"),
            BadBooking(#""name":"Refused Guest""#, #""name":"G","phone":"call me""#, 422, "/guest/phone"),
            BadBooking("ID", String(repeating: "x", count: 65), 422, "/booking_engine_id"),
            BadBooking(#""hotel_id":2"#, #""hotel_id":2,"surprise":1"#, 422, "/surprise"),
            BadBooking(#""hotel_id":2"#, #""hotel_id":2,"hold_minutes":61"#, 422, "/hold_minutes"),
            BadBooking(#""hotel_id":2"#, #""hotel_id":2,"hold_minutes":0"#, 422, "/hold_minutes"),
            BadBooking(
                #""hotel_id":2"#, #""hotel_id":2,"expected_total":{"amount":1,"currency":"XXQ"}"#, 422,
                "/expected_total/currency"),
            BadBooking(#""hotel_id":2"#, #""hotel_id":2,"payment_timing":"never""#, 422, "/payment_timing"),
            BadBooking(#""hotel_id":2"#, #""hotel_id":2,"comment":"a\u0000b""#, 422, "/comment"),
        ])
    @OnLoop func badBooking(_ bad: BadBooking) async throws {
        let node = try await Node.shared()
        let id = "refused-\(UInt64.random(in: 0 ... .max))"
        try #require(Self.good.contains(bad.old))
        let json = Self.expand(Self.good.replacing(bad.old, with: bad.new, maxReplacements: 1)).replacing(
            "ID", with: id)
        let answer = try await node.gateway.send(.post("\(Self.api)/bookings", try node.token(), json: json))
        expectProblem(answer, bad.status)
        if bad.status == 422 { #expect(answer.string("errors.0.pointer") == bad.pointer, "\(answer.text)") }
        #expect(
            try await node.value("SELECT count(*) FROM drawbridge.bookings WHERE booking_engine_id = '\(id)'") == "0")
    }

    @Test("Content that is not described is refused")
    @OnLoop func content() async throws {
        let node = try await Node.shared()
        let target = "\(Self.api)/bookings"
        let token = try node.token()
        expectProblem(try await node.gateway.send(.post(target, token, json: "")), 400)
        expectProblem(
            try await node.gateway.send(.post(target, token, json: String(repeating: " ", count: (64 << 10) + 1))), 413)
        var other = TestRequest.post(target, token, json: BookingBody(.next()).json)
        other.fields = [("Content-Type", "text/plain")]
        expectProblem(try await node.gateway.send(other), 415)
        other.fields = []
        expectProblem(try await node.gateway.send(other), 415)
        other.fields = [("Content-Type", "Application/JSON; charset=utf-8")]
        #expect(try await node.gateway.send(other).status == 201)
        var get = TestRequest.get("\(Self.api)/hotels", token)
        get.content = Array("{}".utf8)
        expectProblem(try await node.gateway.send(get), 413)
    }

    @Test(
        "An Idempotency-Key that is none is refused", arguments: ["", "two words", String(repeating: "k", count: 256)])
    @OnLoop func badKey(key: String) async throws {
        let node = try await Node.shared()
        expectProblem(try await node.book(BookingBody(.next()), key: key), 400, "invalid-idempotency-key")
    }

    @Test("Two Idempotency-Keys are none")
    @OnLoop func twoKeys() async throws {
        let node = try await Node.shared()
        let request = try node.request(BookingBody(.next()), key: "a").with("Idempotency-Key", "b")
        expectProblem(try await node.gateway.send(request), 400, "invalid-idempotency-key")
    }

    @Test("What is no HTTP is answered as a problem too, and the connection closed")
    @OnLoop func noHTTP() async throws {
        let node = try await Node.shared()
        let token = try node.token()
        for (fields, status) in [
            ([("Host", "other")], 400), ([("Content-Length", "1"), ("Content-Length", "2")], 400),
            ([("Content-Length", "5"), ("Transfer-Encoding", "chunked")], 400), ([("Transfer-Encoding", "gzip")], 501),
            ([("X-Large", String(repeating: "x", count: 40_000))], 431),
        ] as [([(String, String)], Int)] {
            let connection = try await node.gateway.connect()
            defer { connection.close() }
            let answer = try await connection.send(
                TestRequest(target: "\(Self.api)/hotels", token: token, fields: fields))
            expectProblem(answer, status)
            #expect(try await connection.isClosedByPeer())
        }
    }
}
