import Glibc
import Loop
import Stay
import Testing

@Suite("Requests sent again, and holds")
struct RepetitionTests {
    init() { Loop.runInBackground() }

    @Test("The same booking_engine_id again answers with the first booking, whatever else it says")
    @OnLoop func sameEngineID() async throws {
        let node = try await Node.shared()
        var body = BookingBody(.next())
        let first = try await node.book(body)
        #expect(first.status == 201)
        for _ in 0..<2 {
            body.rooms[0].guests = 2
            let again = try await node.book(body)
            #expect(again.status == 200)
            #expect(again.content == first.content)
            #expect(again["Location"] == first["Location"])
            #expect(again["ETag"] == "\"1\"")
        }
        #expect(
            try await node.value("SELECT count(*) FROM reservations WHERE ota_reservation_id = '\(body.engineID)'")
                == "1")
    }

    @Test("The same booking_engine_id at another hotel is another booking")
    @OnLoop func sameEngineIDElsewhere() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next()
        var body = BookingBody(stay)
        #expect(try await node.book(body).status == 201)
        (body.hotel, body.rooms[0].type) = (1, 11)
        #expect(try await node.book(body).status == 201)
    }

    @Test("Many with the same booking_engine_id at once make one booking, and all learn of it")
    @OnLoop func sameEngineIDAtOnce() async throws {
        let node = try await Node.shared()
        let body = BookingBody(.next())
        let answers = try await concurrently(Array(0..<20)) { _ in try await node.book(body) }
        #expect(answers.count { $0.status == 201 } == 1)
        #expect(answers.count { $0.status == 200 } == 19)
        #expect(Set(answers.map(\.text)).count == 1)
    }

    @Test("The same Idempotency-Key gets the stored answer again, byte by byte")
    @OnLoop func sameKey() async throws {
        let node = try await Node.shared()
        let (body, key) = (BookingBody(.next()), "key-\(UInt64.random(in: 0 ... .max))")
        let first = try await node.book(body, key: key)
        #expect(first.status == 201)
        let again = try await node.book(body, key: key)
        #expect(again.status == 201)
        #expect(again.content == first.content)
        #expect(again["Location"] == first["Location"])
        #expect(again["Content-Type"] == "application/json")
    }

    @Test("A refusal is given again too, also when there are rooms meanwhile")
    @OnLoop func sameKeyRefused() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next()
        let blocking = try await node.book(BookingBody(stay, hotel: 1, type: 14, rooms: 6))
        let id = try #require(blocking.string("booking_id"))
        let (body, key) = (BookingBody(stay, hotel: 1, type: 14), "key-\(UInt64.random(in: 0 ... .max))")
        let first = try await node.book(body, key: key)
        expectProblem(first, 409, "no-availability")
        _ = try await node.rows(
            "UPDATE reservation_details SET cancelled = gen_random_uuid() WHERE hotel_id = 1 AND reservation_id = '\(id)'"
        )
        let again = try await node.book(body, key: key)
        #expect(again.status == 409)
        #expect(again.content == first.content)
        #expect(again["Content-Type"] == "application/problem+json")
        // Without the key it is a new request.
        #expect(try await node.book(body).status == 201)
    }

    @Test("The same Idempotency-Key with another payload is refused")
    @OnLoop func otherPayload() async throws {
        let node = try await Node.shared()
        var body = BookingBody(.next())
        let key = "key-\(UInt64.random(in: 0 ... .max))"
        #expect(try await node.book(body, key: key).status == 201)
        body.engineID += "-other"
        expectProblem(try await node.book(body, key: key), 422, "idempotency-key-reused")
    }

    @Test("A key under which an earlier booking was found books nothing else")
    @OnLoop func keyOfAnEarlierBooking() async throws {
        let node = try await Node.shared()
        let (body, key) = (BookingBody(.next()), "key-\(UInt64.random(in: 0 ... .max))")
        #expect(try await node.book(body).status == 201)
        let found = try await node.book(body, key: key)
        #expect(found.status == 200)
        #expect(try await node.book(body, key: key).content == found.content)
        expectProblem(try await node.book(BookingBody(.next()), key: key), 422, "idempotency-key-reused")
    }

    @Test("Another client's Idempotency-Key is another key")
    @OnLoop func otherClient() async throws {
        let node = try await Node.shared()
        let key = "key-\(UInt64.random(in: 0 ... .max))"
        #expect(try await node.book(BookingBody(.next()), key: key).status == 201)
        let request = TestRequest.post(
            "/api/booking-engine/bookings", try node.token { $0.client = "somebody-else" },
            json: BookingBody(.next()).json
        ).with("Idempotency-Key", key)
        #expect(try await node.gateway.send(request).status == 201)
    }

    @Test("A request whose Idempotency-Key is still in flight is told so at once; the first one is answered")
    @OnLoop func inFlight() async throws {
        let node = try await Node.shared()
        // No other test books at hotel 3. Another bridge, as it were, is booking there and takes its time.
        let locks = "pg_locks WHERE locktype = 'advisory' AND classid = 17474 AND objid = 3"
        let locker = try ChildProcess(
            "/usr/bin/env",
            [
                "psql", "-X", "-q", "-d", try node.variable("DATABASE_URL"), "-c",
                "BEGIN; SELECT pg_advisory_xact_lock(17474, 3); SELECT pg_sleep(60)",
            ], environment: ["PATH": "/usr/bin:/bin"], descriptors: [.null, .null, .null])
        defer { locker.send(signal: SIGKILL) }
        try await wait("the hotel is locked") { try await node.value("SELECT count(*) FROM \(locks)") == "1" }

        let key = "key-\(UInt64.random(in: 0 ... .max))"
        let request = try node.request(BookingBody(.next(), hotel: 3, type: 31), key: key)
        let connection = try await node.gateway.connect()
        defer { connection.close() }
        try await connection.begin(request)
        try await wait("the booking waits") {
            try await node.value("SELECT count(*) FROM \(locks) AND NOT granted") == "1"
        }
        let second = try await node.gateway.send(request)
        expectProblem(second, 409, "request-in-progress")
        #expect(second["Retry-After"] != nil)

        _ = try await node.rows(
            "SELECT pg_terminate_backend(pid) FROM \(locks) AND granted AND pid <> pg_backend_pid()")
        let first = try await connection.answer(to: request)
        #expect(first.status == 201, "\(first.text)")
        #expect(try await node.gateway.send(request).content == first.content)
    }

    @Test("A key under way for one thing is under way for all others", .timeLimit(.minutes(2)))
    @OnLoop func inFlightElsewhere() async throws {
        let node = try await Node.shared()
        let token = try node.token { $0.scopes = "booking:write cache:write" }
        let key = "key-\(UInt64.random(in: 0 ... .max))"
        let locker = try await node.lock("addons_global")
        let trigger = TestRequest.post(
            "/api/booking-engine/cache/update-room-types", token, json: #"{"hotel_ids":[3]}"#
        ).with("Idempotency-Key", key)
        let connection = try await node.gateway.connect()
        defer { connection.close() }
        try await connection.begin(trigger)
        try await wait("the trigger waits") {
            try await node.value("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0"
        }
        let booking = TestRequest.post("/api/booking-engine/bookings", token, json: BookingBody(.next()).json)
            .with("Idempotency-Key", key)
        expectProblem(try await node.gateway.send(booking), 409, "request-in-progress")
        try await node.unlock(locker)
        #expect(try await connection.answer(to: trigger).status == 200)
        expectProblem(try await node.gateway.send(booking), 422, "idempotency-key-reused")
    }

    @Test("Another price than expected is refused with the current quote, and nothing is booked")
    @OnLoop func priceChanged() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next()
        var body = BookingBody(stay)
        body.more = #","expected_total":{"amount":1,"currency":"JPY"}"#
        let refused = try await node.book(body)
        expectProblem(refused, 409, "price-changed")
        let amount = try #require(refused.integer("quote.total.amount"))
        #expect(refused.string("quote.total.currency") == "JPY")
        #expect(refused.elements("quote.rooms.0.nights").count == 2)
        #expect(
            try await node.value("SELECT count(*) FROM reservations WHERE ota_reservation_id = '\(body.engineID)'")
                == "0")
        #expect(try await node.available(2, 21, stay) == 11)
        body.more = #","expected_total":{"amount":\#(amount),"currency":"JPY"}"#
        let booked = try await node.book(body)
        #expect(booked.status == 201)
        #expect(booked.integer("total.amount") == amount)
    }

    @Test("A hold takes its room, expires by itself, and the room is free again")
    @OnLoop func hold() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(2)
        var body = BookingBody(stay)
        body.more = #","hold_minutes":1"#
        let held = try await node.book(body)
        #expect(held.status == 201)
        #expect(held.string("status") == "hold")
        let id = try #require(held.string("booking_id"))
        #expect(try await node.available(2, 21, stay) == 10)
        #expect(try await node.value("SELECT status FROM reservations WHERE hotel_id = 2 AND id = '\(id)'") == "hold")
        _ = try await node.rows(
            "UPDATE drawbridge.bookings SET hold_expires_at = now() - INTERVAL '1 s' WHERE booking_id = '\(id)'")
        try await wait("the room is free again") { try await node.available(2, 21, stay) == 11 }
        let expired = try await node.get("/api/booking-engine/bookings/\(id)")
        #expect(expired.string("status") == "expired")
        #expect(expired.integer("version") == 2)
        #expect(expired["ETag"] == "\"2\"")
        // Prices stay as they were.
        #expect(expired.integer("total.amount") == held.integer("total.amount"))
        #expect(expired.elements("rooms.0.nights") == held.elements("rooms.0.nights"))
        #expect(
            try await node.rows(
                """
                SELECT status, bool_and(cancelled IS NOT NULL), bool_or(billable), min(reservation_details.updated_by)
                FROM reservations JOIN reservation_details ON reservation_id = reservations.id
                WHERE reservations.hotel_id = 2 AND reservation_details.hotel_id = 2 AND reservations.id = '\(id)'
                GROUP BY status
                """) == [["cancelled", "t", "f", "2"]])
        // Whoever held it and asks again is told that it is over.
        let again = try await node.book(body)
        #expect(again.status == 409)
        #expect(again.string("booking_status") == "expired")
    }

    @Test("A hold that has a night on no date of the calendar ends like any other, and its rooms are free again")
    @OnLoop func undatedHold() async throws {
        let node = try Node()
        try await node.start()
        let stay = TestStay.next(2)
        var body = BookingBody(stay)
        body.more = #","hold_minutes":1"#
        let id = try #require(try await node.book(body).string("booking_id"))
        _ = try await node.rows(
            """
            INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people, updated_by)
            SELECT hotel_id, reservation_id, 'infinity', room_id, 1, 1 FROM reservation_details
            WHERE hotel_id = 2 AND reservation_id = '\(id)' LIMIT 1;
            UPDATE drawbridge.bookings SET hold_expires_at = now() - INTERVAL '1 s' WHERE booking_id = '\(id)'
            """)
        try await wait("the room is free again") { try await node.available(2, 21, stay) == 11 }
        #expect(try await node.get("/api/booking-engine/bookings/\(id)").string("status") == "expired")
        let metrics = try await node.admin.send(.get("/metrics")).text
        #expect(metrics.contains("drawbridge_bridge_holds_expired_total{process=\"bridge\"} 1\n"))
        #expect(!node.log.contains("hold not ended"))
        #expect(try await node.stop().isSuccess)
    }

    @Test(
        "A hold that the front desk has cancelled or deleted is cancelled, whether it is read or its time runs out",
        arguments: [
            "UPDATE reservations SET status = 'cancelled' WHERE hotel_id = 2 AND id =",
            "DELETE FROM reservations WHERE hotel_id = 2 AND id =",
        ], [true, false])
    @OnLoop func cancelledHold(change: String, isRead: Bool) async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(1)
        var body = BookingBody(stay)
        body.more = #","hold_minutes":1"#
        let id = try #require(try await node.book(body).string("booking_id"))
        let end = "UPDATE drawbridge.bookings SET hold_expires_at = now() - INTERVAL '1 s' WHERE booking_id = '\(id)'"
        _ = try await node.rows(
            """
            UPDATE reservation_details SET cancelled = gen_random_uuid() WHERE hotel_id = 2 AND reservation_id = '\(id)';
            \(change) '\(id)';
            \(isRead ? "" : end)
            """)
        if !isRead {
            try await wait("it has ended") {
                try await node.value("SELECT status FROM drawbridge.bookings WHERE booking_id = '\(id)'") != "hold"
            }
        }
        let read = try await node.get("/api/booking-engine/bookings/\(id)")
        #expect(read.string("status") == "cancelled")
        #expect(read.string("cancelled_at") == read.string("updated_at"))
        #expect(read.integer("version") == 2)
        try await wait("the room is free") { try await node.available(2, 21, stay) == 11 }
    }
}
