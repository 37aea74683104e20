import Glibc
import JSONText
import Loop
import Stay
import Testing

@Suite("Changing, confirming and cancelling bookings")
struct ChangingTests {
    init() { Loop.runInBackground() }

    private static let bookings = "/api/booking-engine/bookings"

    /// Books, and returns the id.
    @OnLoop private func book(_ node: Node, _ body: BookingBody) async throws -> String {
        let answer = try await node.book(body)
        #expect(answer.status == 201, "\(answer.text)")
        return try #require(answer.string("booking_id"))
    }

    @OnLoop private func put(
        _ node: Node, _ id: String, _ json: String, version: Int? = 1, key: String? = nil, token: String? = nil
    ) async throws -> Answer {
        var request = TestRequest.post("\(Self.bookings)/\(id)", try token ?? node.token(), json: json)
        request.method = "PUT"
        if let version { request = request.with("If-Match", "\"\(version)\"") }
        if let key { request = request.with("Idempotency-Key", key) }
        return try await node.gateway.send(request)
    }

    @OnLoop private func delete(
        _ node: Node, _ id: String, version: String? = nil, key: String? = nil, token: String? = nil
    ) async throws -> Answer {
        var request = TestRequest(method: "DELETE", target: "\(Self.bookings)/\(id)", token: try token ?? node.token())
        if let version { request = request.with("If-Match", version) }
        if let key { request = request.with("Idempotency-Key", key) }
        return try await node.gateway.send(request)
    }

    /// Rows of the PMS: date, room, whether it takes the room, whether it is billed.
    @OnLoop private func nights(_ node: Node, _ id: String) async throws -> [[String]] {
        try await node.rows(
            """
            SELECT date, room_id, cancelled IS NULL, billable, updated_by FROM reservation_details
            WHERE reservation_id = '\(id)' ORDER BY date, cancelled IS NULL
            """)
    }

    /// Each version has one event and one line in the audit log, and everything says the same.
    @OnLoop private func expectJournal(
        _ node: Node, _ id: String, _ events: [String], _ actions: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let found = try await node.rows(
            """
            SELECT type, version, payload->'data'->>'version', payload->>'type',
                   payload->'data'->>'booking_id' = entity_id
            FROM drawbridge.events WHERE entity_id = '\(id)' ORDER BY version
            """)
        let expected = events.enumerated().map { [$1, "\($0 + 1)", "\($0 + 1)", $1, "t"] }
        #expect(found == expected, sourceLocation: sourceLocation)
        let logged = try await node.rows(
            """
            SELECT action FROM booking_engine_audit_log WHERE entity_id = '\(id)' AND status = 'success' ORDER BY id
            """)
        #expect(logged.map { $0[0] } == actions, sourceLocation: sourceLocation)
        #expect(
            try await node.rows(
                """
                SELECT version, sync_status FROM drawbridge.bookings LEFT JOIN booking_sync_status USING (hotel_id, booking_id)
                WHERE booking_id = '\(id)'
                """) == [["\(events.count)", "synced"]], sourceLocation: sourceLocation)
    }

    @Test("A stay that is shifted keeps its room and the nights it had already, and frees the others")
    @OnLoop func shifted() async throws {
        let node = try await Node.shared()
        let window = TestStay.next(3)
        let (before, after) = (
            TestStay(arrival: window.arrival, nights: 2), TestStay(arrival: window.nights[1], nights: 2)
        )
        let id = try await book(node, BookingBody(before))
        let rows = try await nights(node, id)
        let answer = try await put(
            node, id, #"{"check_in":"\#(after.arrival)","check_out":"\#(after.departure)"}"#)
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer["ETag"] == "\"2\"")
        #expect(answer.integer("version") == 2)
        #expect(answer.string("check_in") == after.arrival.description)
        #expect(answer.elements("rooms.0.nights").compactMap { $0["date"]?.string } == after.nights.map(\.description))
        #expect(try await node.get("\(Self.bookings)/\(id)").content == answer.content)
        let room = rows[0][1]
        #expect(
            try await nights(node, id) == [
                ["\(window.nights[0])", room, "f", "f", "2"], ["\(window.nights[1])", room, "t", "t", "2"],
                ["\(window.nights[2])", room, "t", "t", "2"],
            ])
        #expect(
            try await node.rows("SELECT check_in, check_out, updated_by FROM reservations WHERE id = '\(id)'")
                == [["\(after.arrival)", "\(after.departure)", "2"]])
        #expect(try await node.available(2, 21, TestStay(arrival: window.arrival, nights: 1)) == 11)
        #expect(try await node.available(2, 21, after) == 10)
        try await expectJournal(node, id, ["booking.created", "booking.updated"], ["create", "update"])
    }

    @Test("Of a booking whose room is taken on the new nights the guest gets another one of the type")
    @OnLoop func otherRoom() async throws {
        let node = try await Node.shared()
        let window = TestStay.next(2)
        let (first, second) = (
            TestStay(arrival: window.arrival, nights: 1), TestStay(arrival: window.nights[1], nights: 1)
        )
        // Both get the first room, one night after the other.
        let mine = try await node.book(BookingBody(first, hotel: 1, type: 13))
        let other = try await node.book(BookingBody(second, hotel: 1, type: 13))
        #expect(mine.string("rooms.0.room_number") == other.string("rooms.0.room_number"))
        let id = try #require(mine.string("booking_id"))
        let moved = try await put(node, id, #"{"check_out":"\#(second.departure)"}"#)
        #expect(moved.status == 200, "\(moved.text)")
        #expect(moved.string("rooms.0.room_number") != mine.string("rooms.0.room_number"))
        #expect(moved.elements("rooms.0.nights").count == 2)
        #expect(try await node.get("\(Self.bookings)/\(id)").content == moved.content)
        // The old night of the old room is free again.
        let found = try await node.nightlyCounts(1, window)
        #expect(try await node.nightlyCountsInDatabase(1, window) == found)
    }

    @Test("A change that lacks rooms is refused whole and changes nothing")
    @OnLoop func lacking() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(2)
        let first = TestStay(arrival: stay.arrival, nights: 1)
        let id = try await book(node, BookingBody(first, hotel: 1, type: 14))
        let second = TestStay(arrival: stay.nights[1], nights: 1)
        #expect(try await node.book(BookingBody(second, hotel: 1, type: 14, rooms: 6)).status == 201)
        let before = try await node.get("\(Self.bookings)/\(id)")
        let rows = try await nights(node, id)
        let refused = try await put(
            node, id,
            #"""
            {"check_out":"\#(second.departure)","comment":"x","rooms":[{"room_type_id":14,"guests":1,"plan_key":"1h"},
             {"room_type_id":11,"guests":1,"plan_key":"1h"}]}
            """#)
        expectProblem(refused, 409, "no-availability")
        #expect(refused.elements("shortages.0.nights").compactMap(\.string) == [second.arrival.description])
        #expect(try await node.get("\(Self.bookings)/\(id)").content == before.content)
        #expect(try await nights(node, id) == rows)
        #expect(
            try await node.rows(
                "SELECT status, error_message FROM booking_engine_audit_log WHERE entity_id = '\(id)' AND action = 'update'"
            ) == [["refused", "no-availability"]])
    }

    @Test("Rooms and guests are replaced whole, priced again, and only at the expected price")
    @OnLoop func replaced() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(2)
        let booked = try await node.book(BookingBody(stay))
        let id = try #require(booked.string("booking_id"))
        let rooms =
            #""rooms":[{"room_type_id":21,"guests":2,"plan_key":"2h"},{"room_type_id":22,"guests":1,"plan_key":"2h"}]"#
        let refused = try await put(node, id, #"{\#(rooms),"expected_total":{"amount":1,"currency":"JPY"}}"#)
        expectProblem(refused, 409, "price-changed")
        #expect(refused.elements("quote.rooms").count == 2)
        let total = try #require(refused.integer("quote.total.amount"))
        let changed = try await put(
            node, id,
            #"{\#(rooms),"guest":{"name":"新しい客","email":"n@example.com"},"comment":"遅く着きます","payment_timing":"on-site","#
                + #""expected_total":{"amount":\#(total),"currency":"JPY"}}"#)
        #expect(changed.status == 200, "\(changed.text)")
        #expect(changed.integer("total.amount") == total)
        #expect(changed.string("guest.name") == "新しい客")
        #expect(changed.elements("rooms").count == 2)
        #expect(try await node.get("\(Self.bookings)/\(id)").content == changed.content)
        #expect(
            try await node.rows(
                "SELECT number_of_people, payment_timing, reservations.comment, name FROM reservations JOIN clients ON clients.id = reservation_client_id WHERE reservations.id = '\(id)'"
            ) == [["3", "on-site", "遅く着きます", "新しい客"]])
        // Everybody who sleeps there is the new guest, and each night has what it costs.
        #expect(
            try await node.value(
                """
                SELECT bool_and(clients.name = '新しい客')
                       AND sum(detail.price * detail.number_of_people) = \(total)
                FROM reservation_details AS detail
                JOIN reservation_clients AS sleeper ON sleeper.hotel_id = 2 AND reservation_details_id = detail.id
                JOIN clients ON clients.id = client_id
                WHERE detail.hotel_id = 2 AND reservation_id = '\(id)' AND cancelled IS NULL
                """) == "t")
        #expect(
            try await node.value(
                """
                SELECT sum(rate.price * number_of_people) = \(total) AND bool_or(NOT include_in_cancel_fee)
                FROM reservation_details AS detail
                JOIN reservation_rates AS rate ON rate.hotel_id = 2 AND reservation_details_id = detail.id
                WHERE detail.hotel_id = 2 AND reservation_id = '\(id)' AND cancelled IS NULL
                """) == "t")
        // Nobody's name stands in the audit log.
        let logged = try await node.value(
            "SELECT string_agg(request_data::TEXT || response_data::TEXT, '') FROM booking_engine_audit_log WHERE entity_id = '\(id)'"
        )
        for secret in ["新しい客", "n@example.com", "遅く", "Integration Guest"] { #expect(!logged.contains(secret)) }
    }

    @Test("Only another guest: whoever sleeps in the nights changes, and nothing is priced again")
    @OnLoop func otherGuest() async throws {
        let node = try await Node.shared()
        let id = try await book(node, BookingBody(.next(1)))
        let rows = try await nights(node, id)
        let changed = try await put(node, id, #"{"guest":{"name":"Another Guest"}}"#)
        #expect(changed.status == 200, "\(changed.text)")
        #expect(try await nights(node, id).map { $0[0...3] } == rows.map { $0[0...3] })
        #expect(
            try await node.rows(
                """
                SELECT name, email FROM reservation_details AS detail
                JOIN reservation_clients AS sleeper ON sleeper.hotel_id = 2 AND reservation_details_id = detail.id
                JOIN clients ON clients.id = client_id WHERE detail.hotel_id = 2 AND reservation_id = '\(id)'
                """) == [["Another Guest", ""]])
    }

    @Test("If-Match must be there and name the version that there is")
    @OnLoop func preconditions() async throws {
        let node = try await Node.shared()
        let id = try await book(node, BookingBody(.next(1)))
        expectProblem(
            try await put(node, id, #"{"comment":"a"}"#, version: nil), 428, "precondition-required")
        expectProblem(try await put(node, id, #"{"comment":"a"}"#, version: 2), 412, "precondition-failed")
        for tag in ["W/\"1\"", "1", "\"x\"", "\"0\", \"2\""] {
            expectProblem(try await delete(node, id, version: tag), 412, "precondition-failed")
        }
        #expect(try await put(node, id, #"{"comment":"a"}"#).integer("version") == 2)
        expectProblem(try await put(node, id, #"{"comment":"b"}"#), 412, "precondition-failed")
        #expect(try await delete(node, id, version: "\"1\", \"2\"").integer("version") == 3)
    }

    @Test("Of many who change the same version one succeeds")
    @OnLoop func atOnce() async throws {
        let node = try await Node.shared()
        let id = try await book(node, BookingBody(.next(1)))
        let answers = try await concurrently(Array(0..<20)) { number in
            try await self.put(node, id, #"{"comment":"number \#(number)"}"#)
        }
        #expect(answers.count { $0.status == 200 } == 1)
        #expect(answers.count { $0.problem == "precondition-failed" } == 19)
        try await expectJournal(node, id, ["booking.created", "booking.updated"], ["create", "update"])
    }

    @Test("Only who made a booking may change, confirm or cancel it, and who may not see it learns nothing")
    @OnLoop func foreign() async throws {
        let node = try await Node.shared()
        let id = try await book(node, BookingBody(.next(1)))
        let other = try node.token { $0.client = "somebody-else" }
        expectProblem(try await put(node, id, #"{"comment":"a"}"#, token: other), 403, "foreign-booking")
        expectProblem(try await delete(node, id, token: other), 403, "foreign-booking")
        let elsewhere = try node.token { $0.hotels = "[1]" }
        expectProblem(try await put(node, id, #"{"comment":"a"}"#, token: elsewhere), 404, "booking-not-found")
        expectProblem(try await delete(node, id, token: elsewhere), 404, "booking-not-found")
        let reader = try node.token { $0.scopes = "booking:read" }
        expectProblem(try await delete(node, id, token: reader), 403, "insufficient-scope")
        let unknown = "00000000-0000-4000-8000-000000000000"
        expectProblem(try await put(node, unknown, #"{"comment":"a"}"#), 404, "booking-not-found")
        expectProblem(try await delete(node, unknown), 404, "booking-not-found")
        expectProblem(try await delete(node, "1"), 404, "not-found")
        try await expectJournal(node, id, ["booking.created"], ["create"])
    }

    @Test(
        "A change that is none is refused",
        arguments: [
            ("{}", 422, ""), ("", 400, nil), ("{", 400, nil), (#"{"comment":1}"#, 422, "/comment"),
            (#"{"status":"cancelled"}"#, 422, "/status"), (#"{"rooms":[]}"#, 422, "/rooms"),
            (#"{"check_in":"2027-02-30"}"#, 422, "/check_in"), (#"{"check_in":"2020-01-01"}"#, 422, "/check_in"),
            (#"{"hotel_id":1,"comment":"a"}"#, 422, "/hotel_id"), (#"{"x":1}"#, 422, "/x"),
            (#"{"rooms":[{"room_type_id":99,"guests":1,"plan_key":"1h"}]}"#, 422, "/rooms/0/room_type_id"),
            (#"{"rooms":[{"room_type_id":21,"guests":1,"plan_key":"99h"}]}"#, 422, "/rooms/0/plan_key"),
        ])
    @OnLoop func invalid(json: String, status: Int, pointer: String?) async throws {
        let node = try await Node.shared()
        let id = try await Self.unchanged(node)
        let answer = try await put(node, id, json)
        expectProblem(answer, status)
        if let pointer { #expect(answer.string("errors.0.pointer")?.hasPrefix(pointer) == true, "\(answer.text)") }
        try await expectJournal(node, id, ["booking.created"], ["create"])
    }

    @Test("A change that is too large is refused")
    @OnLoop func tooLarge() async throws {
        let node = try await Node.shared()
        let id = try await Self.unchanged(node)
        let long = #"{"comment":"\#(String(repeating: "x", count: 70_000))"}"#
        expectProblem(try await put(node, id, long), 413)
        expectProblem(try await put(node, id, #"{"comment":"\#(String(repeating: "x", count: 2_001))"}"#), 422)
    }

    /// A booking that the tests of refusals share.
    @OnLoop private static func unchanged(_ node: Node) async throws -> String {
        if let booking { return try await booking.value }
        let task = Task { try #require(try await node.book(BookingBody(.next(1))).string("booking_id")) }
        booking = task
        return try await task.value
    }

    @OnLoop private static var booking: Task<String, any Error>?

    @Test("The same Idempotency-Key gets the stored answer of a change and of a cancellation, another payload none")
    @OnLoop func sameKey() async throws {
        let node = try await Node.shared()
        let id = try await book(node, BookingBody(.next(1)))
        let key = "key-\(UInt64.random(in: 0 ... .max))"
        let first = try await put(node, id, #"{"comment":"a"}"#, key: key)
        #expect(first.status == 200)
        let again = try await put(node, id, #"{"comment":"a"}"#, key: key)
        #expect(again.status == 200)
        #expect(again.content == first.content)
        #expect(again["ETag"] == "\"2\"")
        expectProblem(
            try await put(node, id, #"{"comment":"b"}"#, version: 2, key: key), 422, "idempotency-key-reused")
        expectProblem(try await delete(node, id, key: key), 422, "idempotency-key-reused")
        let cancelled = try await delete(node, id, key: key + "-2")
        #expect(cancelled.integer("version") == 3)
        #expect(try await delete(node, id, key: key + "-2").content == cancelled.content)
        // What was possible once is answered as it was, although the booking has ended.
        #expect(try await put(node, id, #"{"comment":"a"}"#, key: key).content == first.content)
        try await expectJournal(
            node, id, ["booking.created", "booking.updated", "booking.cancelled"], ["create", "update", "cancel"])
    }

    @Test("A hold is confirmed by its client, once, and stays")
    @OnLoop func confirmed() async throws {
        let node = try await Node.shared()
        var body = BookingBody(.next(1))
        body.more = #","hold_minutes":10"#
        let id = try await book(node, body)
        expectProblem(
            try await put(node, id, #"{"status":"confirmed"}"#, token: try node.token { $0.client = "x" }), 403,
            "foreign-booking")
        let confirmed = try await put(node, id, #"{"status":"confirmed"}"#)
        #expect(confirmed.string("status") == "confirmed")
        #expect(try await node.value("SELECT status FROM reservations WHERE id = '\(id)'") == "confirmed")
        // Again changes nothing.
        #expect(try await put(node, id, #"{"status":"confirmed"}"#, version: 2).content == confirmed.content)
        _ = try await node.rows(
            "UPDATE drawbridge.bookings SET hold_expires_at = now() - INTERVAL '1 s' WHERE booking_id = '\(id)'")
        #expect(try await put(node, id, #"{"comment":"later"}"#, version: 2).string("status") == "confirmed")
        try await expectJournal(
            node, id, ["booking.created", "booking.updated", "booking.updated"], ["create", "confirm", "update"])
    }

    @Test("Of a confirmation and the end of a hold at the same moment one wins, and both agree who", arguments: 0..<8)
    @OnLoop func race(round: Int) async throws {
        let node = try await Node.shared()
        var body = BookingBody(.next(1))
        body.more = #","hold_minutes":1"#
        let id = try await book(node, body)
        // The hold ends at about the time at which its client asks.
        _ = try await node.rows(
            "UPDATE drawbridge.bookings SET hold_expires_at = clock_timestamp() + INTERVAL '\(round * 10) ms' WHERE booking_id = '\(id)'"
        )
        let answer = try await put(node, id, #"{"status":"confirmed"}"#)
        if answer.status == 200 {
            #expect(answer.string("status") == "confirmed")
            try await expectJournal(node, id, ["booking.created", "booking.updated"], ["create", "confirm"])
        } else {
            #expect(answer.problem == "booking-ended" || answer.problem == "precondition-failed", "\(answer.text)")
            try await wait("the hold has ended") {
                try await node.value("SELECT status FROM drawbridge.bookings WHERE booking_id = '\(id)'") == "expired"
            }
            try await expectJournal(node, id, ["booking.created", "booking.cancelled"], ["create", "expire"])
        }
    }

    @Test("Cancelling frees the rooms, keeps the prices, and can be repeated")
    @OnLoop func cancelled() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(2)
        let booked = try await node.book(BookingBody(stay))
        let id = try #require(booked.string("booking_id"))
        #expect(try await node.available(2, 21, stay) == 10)
        let answer = try await delete(node, id)
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer.string("status") == "cancelled")
        #expect(answer.string("cancelled_at") == answer.string("updated_at"))
        #expect(answer.integer("cancellation_fee.amount") == 0)
        #expect(answer.elements("rooms.0.nights") == booked.elements("rooms.0.nights"))
        #expect(try await node.available(2, 21, stay) == 11)
        #expect(try await nights(node, id).map { Array($0[2...4]) } == [["f", "f", "2"], ["f", "f", "2"]])
        #expect(try await delete(node, id, version: "\"1\"").content == answer.content)
        #expect(try await node.get("\(Self.bookings)/\(id)").content == answer.content)
        expectProblem(try await put(node, id, #"{"comment":"a"}"#, version: 2), 409, "booking-ended")
        try await expectJournal(node, id, ["booking.created", "booking.cancelled"], ["create", "cancel"])
    }

    @Test("Cancelling too late costs what counts of the price, and the nights stay billed")
    @OnLoop func fee() async throws {
        let node = try await Node.shared()
        // The day after tomorrow is less than three days ahead; the demo's own guests leave rooms.
        let stay = TestStay(arrival: TestStay.today.advanced(by: 2), nights: 1)
        var body = BookingBody(stay)
        body.rooms[0] = .init(type: 21, guests: 2, plan: "2h")
        let booked = try await node.book(body)
        let id = try #require(booked.string("booking_id"), "\(booked.text)")
        let answer = try await delete(node, id)
        // Two guests' breakfast, at 1,100 each, does not count.
        #expect(answer.integer("cancellation_fee.amount") == booked.integer("total.amount")! - 2_200)
        #expect(try await nights(node, id).map { Array($0[2...3]) } == [["f", "t"]])
        #expect(
            try await node.rows(
                "SELECT cancellation_fee, chargeable = cancellation_fee FROM drawbridge.bookings WHERE booking_id = '\(id)'"
            ) == [["\(answer.integer("cancellation_fee.amount")!)", "t"]])
        // A hold costs nothing.
        body.engineID += "-hold"
        body.more = #","hold_minutes":5"#
        let hold = try await book(node, body)
        #expect(try await delete(node, hold).integer("cancellation_fee.amount") == 0)
    }

    @Test("A stay that has begun is the front desk's alone")
    @OnLoop func started() async throws {
        let node = try await Node.shared()
        let past = try await book(node, BookingBody(.next(1)))
        _ = try await node.rows(
            "UPDATE drawbridge.bookings SET arrival = '\(TestStay.today.advanced(by: -1))' WHERE booking_id = '\(past)'"
        )
        expectProblem(try await put(node, past, #"{"comment":"a"}"#), 409, "booking-started")
        expectProblem(try await delete(node, past), 409, "booking-started")
        let here = try await book(node, BookingBody(.next(1)))
        _ = try await node.rows("UPDATE reservations SET status = 'checked_in' WHERE hotel_id = 2 AND id = '\(here)'")
        #expect(try await node.get("\(Self.bookings)/\(here)").string("guest_status") == "checked_in")
        expectProblem(try await put(node, here, #"{"comment":"a"}"#, version: 2), 409, "booking-started")
        expectProblem(try await delete(node, here), 409, "booking-started")
        try await expectJournal(node, here, ["booking.created", "booking.updated"], ["create", "front_desk"])
    }

    @Test("What the front desk did is noted first, with its event: then it cannot be changed as it was")
    @OnLoop func frontDesk() async throws {
        let node = try await Node.shared()
        var body = BookingBody(.next(1))
        body.more = #","hold_minutes":10"#
        let held = try await book(node, body)
        _ = try await node.rows("UPDATE reservations SET status = 'confirmed' WHERE hotel_id = 2 AND id = '\(held)'")
        expectProblem(try await put(node, held, #"{"comment":"a"}"#), 412, "precondition-failed")
        #expect(try await put(node, held, #"{"comment":"a"}"#, version: 2).integer("version") == 3)
        try await expectJournal(
            node, held, ["booking.created", "booking.updated", "booking.updated"], ["create", "front_desk", "update"])

        let gone = try await book(node, BookingBody(.next(1)))
        _ = try await node.rows("DELETE FROM reservations WHERE hotel_id = 2 AND id = '\(gone)'")
        let answer = try await delete(node, gone)
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer.string("status") == "cancelled")
        #expect(answer.string("sync.status") == "pending")
        #expect(try await delete(node, gone).content == answer.content)
    }

    @Test("Nights that the front desk has moved are where they are, and a shorter stay keeps them there")
    @OnLoop func movedByFrontDesk() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(3)
        let id = try await book(node, BookingBody(stay))
        let room = try await node.value(
            """
            SELECT id FROM rooms WHERE hotel_id = 2 AND room_type_id = 21 AND for_sale AND NOT EXISTS (
                SELECT FROM reservation_details WHERE hotel_id = 2 AND room_id = rooms.id AND \(stay.sql)
                    AND cancelled IS NULL) ORDER BY id DESC LIMIT 1
            """)
        _ = try await node.rows(
            "UPDATE reservation_details SET room_id = \(room) WHERE hotel_id = 2 AND reservation_id = '\(id)'")
        #expect(try await node.get("\(Self.bookings)/\(id)").integer("version") == 2)
        #expect(try await put(node, id, #"{"check_out":"\#(stay.nights[2])"}"#, version: 2).status == 200)
        let taking = try await nights(node, id).filter { $0[2] == "t" }
        #expect(taking.map { $0[1] } == [room, room])
    }
}
