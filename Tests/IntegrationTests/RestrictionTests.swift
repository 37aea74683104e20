import Glibc
import JSONText
import Loop
import Stay
import Testing

/// What a hotel decides about the sale of its rooms, as availability tells it and bookings obey it.
@Suite("Restrictions and overbooking", .serialized)
struct RestrictionTests {
    init() { Loop.runInBackground() }

    @OnLoop private static var node: Node?

    @OnLoop private func node() async throws -> Node {
        if let node = Self.node { return node }
        let node = try Node()
        try await node.start()
        Self.node = node
        return node
    }

    private static let path = "/api/booking-engine/hotels/2/restrictions"

    @OnLoop private func set(
        _ node: Node, _ restrictions: String = "", overbooking: String = "", if tag: String? = "*", key: String? = nil,
        token: String? = nil
    ) async throws -> Answer {
        var request = TestRequest.post(
            Self.path, try token ?? node.cacheToken(),
            json: #"{"restrictions":[\#(restrictions)],"overbooking":[\#(overbooking)]}"#)
        request.method = "PUT"
        if let tag { request = request.with("If-Match", tag) }
        if let key { request = request.with("Idempotency-Key", key) }
        return try await node.gateway.send(request)
    }

    private func rule(_ stay: TestStay, _ what: String, type: Int? = 21) -> String {
        #"{"room_type_id":\#(type.map(String.init) ?? "null"),"start_date":"\#(stay.arrival)","#
            + #""end_date":"\#(stay.departure)",\#(what)}"#
    }

    @OnLoop private func reasons(_ node: Node, _ stay: TestStay, _ more: String = "") async throws -> [String] {
        let answer = try await node.get("\(stay.availability(2))&room_type_id=21&explain=true\(more)")
        try #require(answer.value("room_types.0.reasons") != nil, "\(answer.status) \(answer.text)")
        return answer.elements("room_types.0.reasons").compactMap { $0["code"]?.string }
    }

    @Test("What is set is told with its version, replaced only by whoever knows it, and repeated for the same key")
    @OnLoop func versions() async throws {
        let node = try await node()
        let stay = TestStay.next()
        let before = try await node.ask("hotels/2/restrictions")
        #expect(before.status == 200)
        let tag = try #require(before["ETag"])
        expectProblem(try await set(node, if: nil), 428, "precondition-required")
        expectProblem(try await set(node, if: #""4711""#), 412, "precondition-failed")
        let key = "restrictions-\(UInt64.random(in: 0 ... .max))"
        let rule = rule(stay, #""minimum_nights":3,"weekdays":["monday","sunday"]"#)
        let first = try await set(node, rule, overbooking: #"{"room_type_id":"21","rooms":2}"#, if: tag, key: key)
        #expect(first.status == 200, "\(first.text)")
        #expect(first.string("restrictions.0.weekdays.1") == "sunday")
        #expect(first.integer("restrictions.0.minimum_nights") == 3)
        #expect(first.integer("overbooking.0.rooms") == 2)
        let again = try await set(node, rule, overbooking: #"{"room_type_id":"21","rooms":2}"#, if: tag, key: key)
        #expect(again.status == 200 && again.content == first.content && again["ETag"] == first["ETag"])
        expectProblem(try await set(node, if: tag), 412)
        let read = try await node.ask("hotels/2/restrictions")
        #expect(read.content == first.content && read["ETag"] == first["ETag"])
        let request = TestRequest.get(Self.path, try node.cacheToken()).with(
            "If-None-Match", try #require(read["ETag"]))
        #expect(try await node.gateway.send(request).status == 304)
        #expect(try await set(node, if: first["ETag"]).status == 200)
        #expect(try await node.ask("hotels/2/restrictions").elements("restrictions").isEmpty)
    }

    @Test("What is wrong is told by its place, and changes nothing")
    @OnLoop func refusals() async throws {
        let node = try await node()
        let stay = TestStay.next()
        let tag = try await node.ask("hotels/2/restrictions")["ETag"]
        func pointers(_ answer: Answer) -> Set<String> {
            Set(answer.elements("errors").compactMap { $0["pointer"]?.string })
        }
        let day = stay.arrival
        let wrong = try await set(
            node,
            #"{"start_date":"\#(day)","end_date":"\#(day)","stop_sell":true},"#
                + #"{"start_date":"\#(day)","end_date":"\#(stay.departure)"},"#
                + #"{"room_type_id":999999,"start_date":"\#(day)","end_date":"\#(stay.departure)","stop_sell":true},"#
                + #"{"start_date":"\#(day)","end_date":"\#(stay.departure)","minimum_nights":5,"maximum_nights":4}"#,
            overbooking: #"{"room_type_id":21,"rooms":1},{"room_type_id":21,"rooms":2}"#)
        expectProblem(wrong, 422, "invalid-request")
        #expect(
            pointers(wrong) == [
                "/restrictions/0/end_date", "/restrictions/1/stop_sell", "/restrictions/2/room_type_id",
                "/restrictions/3/maximum_nights", "/overbooking/1/room_type_id",
            ], "\(wrong.text)")
        for body in [
            #"{"start_date":"2027-02-30","end_date":"2027-03-02","stop_sell":true}"#,
            #"{"start_date":"\#(day)","end_date":"\#(stay.departure)","stop_sell":"yes"}"#,
            #"{"start_date":"\#(day)","end_date":"\#(stay.departure)","minimum_nights":0}"#,
            #"{"start_date":"\#(day)","end_date":"\#(stay.departure)","minimum_nights":65}"#,
            #"{"start_date":"\#(day)","end_date":"\#(stay.departure)","weekdays":["noday"]}"#,
            #"{"start_date":"\#(day)","end_date":"\#(stay.departure)","stop_sell":true,"more":1}"#,
        ] {
            let answer = try await set(node, body)
            #expect(answer.status == 422 || answer.status == 400, "\(body) \(answer.status)")
        }
        let many = Array(repeating: rule(stay, #""stop_sell":true"#), count: 301).joined(separator: ",")
        #expect([413, 422].contains(try await set(node, many).status))
        expectProblem(try await set(node, token: try node.cacheToken("[1]")), 403)
        expectProblem(try await set(node, token: try node.cacheToken(scopes: "availability:read")), 403)
        #expect(try await node.ask("hotels/2/restrictions")["ETag"] == tag)
    }

    @Test("As many full restrictions as there may be can be set, read, and set again as they are read")
    @OnLoop func many() async throws {
        let node = try await node()
        let stay = TestStay.next()
        let full = rule(
            stay,
            #""weekdays":["tuesday","wednesday","thursday","saturday"],"minimum_nights":12,"maximum_nights":14,"#
                + #""closed_to_arrival":false,"closed_to_departure":false,"stop_sell":false"#)
        let first = try await set(node, Array(repeating: full, count: 300).joined(separator: ","))
        #expect(first.status == 200, "\(first.text.prefix(500))")
        let read = try await node.ask("hotels/2/restrictions")
        #expect(read.elements("restrictions").count == 300)
        var request = TestRequest.post(Self.path, try node.cacheToken(), json: read.text)
        request.method = "PUT"
        let again = try await node.gateway.send(request.with("If-Match", try #require(read["ETag"])))
        #expect(again.status == 200, "\(again.text.prefix(500))")
        #expect(again.value("restrictions") == read.value("restrictions"))
        // Another hotel's cannot be put here.
        request = .post(
            Self.path, try node.cacheToken(), json: read.text.replacing(#""hotel_id":2"#, with: #""hotel_id":1"#))
        request.method = "PUT"
        expectProblem(try await node.gateway.send(request.with("If-Match", "*")), 422, "invalid-request")
        #expect(try await set(node).status == 200)
    }

    @Test("Each rule keeps its stays from being sold, says which it is, and leaves the others")
    @OnLoop func rules() async throws {
        let node = try await node()
        let stay = TestStay.next(4)
        func part(_ from: Int, _ to: Int) -> TestStay {
            TestStay(arrival: stay.arrival.advanced(by: from), nights: to - from)
        }
        let whole = try await node.available(2, 21, stay)
        #expect(whole > 0)
        let cases: [(rule: String, forbidden: TestStay, allowed: TestStay, code: String)] = [
            (rule(part(0, 1), #""minimum_nights":3"#), part(0, 2), part(0, 3), "minimum-stay"),
            (rule(part(0, 1), #""maximum_nights":2"#), part(0, 3), part(0, 2), "maximum-stay"),
            (rule(part(1, 2), #""closed_to_arrival":true"#), part(1, 2), part(0, 2), "closed-to-arrival"),
            (rule(part(2, 3), #""closed_to_departure":true"#), part(0, 2), part(0, 3), "closed-to-departure"),
            (rule(part(2, 3), #""stop_sell":true"#, type: nil), part(1, 3), part(0, 2), "stop-sell"),
        ]
        for (rule, forbidden, allowed, code) in cases {
            #expect(try await set(node, rule).status == 200)
            #expect(try await node.available(2, 21, forbidden) == 0, "\(code)")
            #expect(try await node.available(2, 21, allowed) > 0, "\(code)")
            #expect(try await reasons(node, forbidden) == [code])
            #expect(try await reasons(node, allowed) == [])
            let refused = try await node.book(BookingBody(forbidden))
            expectProblem(refused, 409, "restricted")
            #expect(refused.string("restrictions.0.reasons.0.code") == code, "\(refused.text)")
            #expect(refused.integer("restrictions.0.room_type_id") == 21)
            let booked = try await node.book(BookingBody(allowed))
            #expect(booked.status == 201, "\(code): \(booked.text)")
            // A change to what is not sold is refused, too; what is agreed already is left alone.
            let change = try await self.change(node, booked, forbidden)
            expectProblem(change, 409, "restricted")
            #expect(try await self.cancel(node, booked) == 200)
        }
        // A rule that comes after a booking does not take it away: its guests may still change.
        #expect(try await set(node).status == 200)
        let booked = try await node.book(BookingBody(stay))
        #expect(booked.status == 201)
        #expect(try await set(node, rule(stay, #""stop_sell":true"#)).status == 200)
        let changed = try await change(node, booked, stay)
        #expect(changed.status == 200, "\(changed.text)")
        #expect(try await cancel(node, booked) == 200)
        #expect(try await set(node).status == 200)
        #expect(try await node.available(2, 21, stay) == whole)
    }

    @OnLoop private func change(_ node: Node, _ booked: Answer, _ stay: TestStay) async throws -> Answer {
        let id = try #require(booked.string("booking_id"))
        var request = TestRequest.post(
            "/api/booking-engine/bookings/\(id)", try node.token(),
            json: #"{"check_in":"\#(stay.arrival)","check_out":"\#(stay.departure)","#
                + #""rooms":[{"room_type_id":21,"guests":1,"plan_key":"1h"}]}"#)
        request.method = "PUT"
        return try await node.gateway.send(request.with("If-Match", "*"))
    }

    @OnLoop private func cancel(_ node: Node, _ booked: Answer) async throws -> Int {
        let id = try #require(booked.string("booking_id"))
        var request = TestRequest.get("/api/booking-engine/bookings/\(id)", try node.token())
        request.method = "DELETE"
        return Int(try await node.gateway.send(request).status)
    }

    @Test("A hotel sells as many rooms beyond its free ones as it allows, and a room that is promised to nobody else")
    @OnLoop func overbooking() async throws {
        let node = try await node()
        let stay = TestStay.next(1)
        #expect(try await set(node).status == 200)
        let free = try await node.available(2, 21, stay)
        try #require(free >= 2)
        var bookings: [Answer] = []
        for _ in 0..<free { bookings.append(try await node.book(BookingBody(stay))) }
        #expect(bookings.allSatisfy { $0.status == 201 })
        #expect(try await reasons(node, stay) == ["sold-out"])
        expectProblem(try await node.book(BookingBody(stay)), 409, "no-availability")

        #expect(try await set(node, overbooking: #"{"room_type_id":21,"rooms":2}"#).status == 200)
        #expect(try await node.available(2, 21, stay) == 2)
        #expect(try await reasons(node, stay, "&rooms=3") == ["too-few-rooms"])
        expectProblem(try await node.book(BookingBody(stay, rooms: 3)), 409, "no-availability")
        let beyond = try await node.book(BookingBody(stay, rooms: 2))
        #expect(beyond.status == 201, "\(beyond.text)")
        #expect(beyond.value("rooms.0.room_number") == .null)
        let id = try #require(beyond.string("booking_id"))
        let roomless = """
            SELECT count(*) FROM reservation_details
            WHERE reservation_id = '\(id)' AND room_id IS NULL AND cancelled IS NULL
            """
        #expect(try await node.value(roomless) == "2")
        #expect(try await node.available(2, 21, stay) == 0)
        expectProblem(try await node.book(BookingBody(stay)), 409, "no-availability")
        // They are of a known type, so they are no nights of which nobody knows where they belong.
        let told = try await node.get(stay.availability(2))
        #expect(told.value("unassigned_nights") == nil)
        #expect(try await node.trigger("refresh-availability", #"{"hotel_id":2}"#).status == 200)
        #expect(try await node.available(2, 21, stay) == 0)

        // With a smaller allowance the first rooms that come free are theirs.
        #expect(try await set(node, overbooking: #"{"room_type_id":21,"rooms":1}"#).status == 200)
        #expect(try await cancel(node, bookings[0]) == 200)
        #expect(try await node.available(2, 21, stay) == 0)
        expectProblem(try await node.book(BookingBody(stay)), 409, "no-availability")
        #expect(try await cancel(node, bookings[1]) == 200)
        #expect(try await node.available(2, 21, stay) == 1)
        // The front desk gives one of them a room: what is left is the same.
        _ = try await node.rows(
            """
            UPDATE reservation_details SET updated_by = 1, room_id = (
                SELECT min(room.id) FROM rooms AS room
                WHERE room.hotel_id = 2 AND room.room_type_id = 21 AND room.for_sale AND NOT room.is_staff_room
                  AND NOT EXISTS (SELECT FROM reservation_details AS other
                                  WHERE other.hotel_id = 2 AND other.room_id = room.id
                                    AND other.date = '\(stay.arrival)' AND other.cancelled IS NULL))
            WHERE id = (SELECT id FROM reservation_details
                        WHERE hotel_id = 2 AND reservation_id = '\(id)' AND room_id IS NULL LIMIT 1)
            """)
        #expect(try await node.trigger("refresh-availability", #"{"hotel_id":2}"#).status == 200)
        #expect(try await node.available(2, 21, stay) == 1)
        let cancelled = try await cancel(node, beyond)
        #expect(cancelled == 200)
        try await wait("both rooms and the allowance are there again") {
            try await node.available(2, 21, stay) == 3
        }
        #expect(try await set(node).status == 200)
        #expect(try await node.available(2, 21, stay) == 2)
    }

    @Test("No more than allowed are sold however many ask at once")
    @OnLoop func storm() async throws {
        let node = try await node()
        let stay = TestStay.next(2)
        let free = try await node.available(2, 22, stay)
        #expect(try await set(node, overbooking: #"{"room_type_id":22,"rooms":3}"#).status == 200)
        let statuses = try await concurrently(Array(0..<free + 12)) { _ in
            Int(try await node.book(BookingBody(stay, type: 22)).status)
        }
        #expect(statuses.count { $0 == 201 } == free + 3)
        #expect(statuses.count { $0 == 409 } == 9)
        #expect(try await node.available(2, 22, stay) == 0)
        #expect(try await set(node).status == 200)
    }

    @Test(
        "Where the database is an older one, restored from a backup, its restrictions are what is told",
        .timeLimit(.minutes(3)))
    @OnLoop func restored() async throws {
        let node = try await node()
        let stay = TestStay.next()
        #expect(try await set(node).status == 200)
        let free = try await node.available(2, 21, stay)
        let stop = """
            INSERT INTO drawbridge.stay_restrictions (hotel_id, position, start_date, end_date, closed_to_arrival,
                                                      closed_to_departure, stop_sell)
            VALUES (2, 0, '\(stay.arrival)', '\(stay.departure)', FALSE, FALSE, TRUE)
            """
        for _ in 0..<3 { #expect(try await set(node, rule(stay, #""stop_sell":true"#)).status == 200) }
        #expect(try await node.available(2, 21, stay) == 0)
        // As it was long before.
        _ = try await node.rows(
            """
            UPDATE drawbridge.restriction_state SET version = 1;
            UPDATE drawbridge.hotel_restrictions SET version = 1, changed_in = 1 WHERE hotel_id = 2;
            DELETE FROM drawbridge.stay_restrictions WHERE hotel_id = 2
            """)
        try await wait("nothing is restricted") { try await node.available(2, 21, stay) == free }
        #expect(try await node.ask("hotels/2/restrictions")["ETag"] == "\"1\"")
        // Another one with the same number.
        _ = try await node.rows("UPDATE drawbridge.restriction_state SET version = version; \(stop)")
        try await wait("it is told") { try await node.available(2, 21, stay) == 0 }
        // One from before the hotel has set anything.
        _ = try await node.rows(
            "UPDATE drawbridge.restriction_state SET version = 0; DELETE FROM drawbridge.hotel_restrictions WHERE hotel_id = 2"
        )
        try await wait("nothing is restricted") { try await node.available(2, 21, stay) == free }
        #expect(try await node.ask("hotels/2/restrictions")["ETag"] == "\"0\"")
        #expect(try await set(node, rule(stay, #""stop_sell":true"#), if: "\"0\"").status == 200)
        #expect(try await node.available(2, 21, stay) == 0)
        #expect(try await set(node).status == 200)
    }

    @Test("What another bridge has set is obeyed at once by bookings, and soon by what is told")
    @OnLoop func following() async throws {
        let node = try await node()
        let stay = TestStay.next()
        #expect(try await set(node).status == 200)
        let free = try await node.available(2, 21, stay)
        // As another bridge would write it.
        _ = try await node.rows(
            """
            WITH state AS (UPDATE drawbridge.restriction_state SET version = version + 1 RETURNING version)
            UPDATE drawbridge.hotel_restrictions AS hotel SET version = hotel.version + 1, changed_in = state.version
            FROM state WHERE hotel_id = 2;
            INSERT INTO drawbridge.stay_restrictions (hotel_id, position, start_date, end_date, closed_to_arrival,
                                                      closed_to_departure, stop_sell)
            VALUES (2, 0, '\(stay.arrival)', '\(stay.departure)', FALSE, FALSE, TRUE)
            """)
        expectProblem(try await node.book(BookingBody(stay)), 409, "restricted")
        try await wait("it is told") { try await node.available(2, 21, stay) == 0 }
        #expect(try await reasons(node, stay) == ["stop-sell"])
        try await node.restartBridge()
        #expect(try await node.available(2, 21, stay) == 0)
        #expect(try await set(node).status == 200)
        #expect(try await node.available(2, 21, stay) == free)
        #expect(try await node.stop().isSuccess)
        Self.node = nil
    }
}
