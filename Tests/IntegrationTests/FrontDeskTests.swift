import Glibc
import JSONText
import Loop
import Stay
import Testing

/// What people do in the PMS, behind our back, with bookings of ours.
@Suite("The front desk changes bookings")
struct FrontDeskTests {
    init() { Loop.runInBackground() }

    /// Books, and returns the id.
    @OnLoop private func book(_ node: Node, _ body: BookingBody) async throws -> (id: String, answer: Answer) {
        let answer = try await node.book(body)
        #expect(answer.status == 201, "\(answer.text)")
        return (try #require(answer.string("booking_id")), answer)
    }

    /// Another room of hotel 2 that nobody sleeps in then, and its number.
    @OnLoop private func freeRoom(_ node: Node, _ stay: TestStay, type: Int = 21) async throws -> (String, String) {
        let row = try #require(
            try await node.rows(
                """
                SELECT id, room_number FROM rooms WHERE hotel_id = 2 AND room_type_id = \(type) AND for_sale
                    AND NOT EXISTS (SELECT FROM reservation_details WHERE hotel_id = 2 AND room_id = rooms.id AND \(stay.sql))
                ORDER BY id DESC LIMIT 1
                """
            ).first)
        return (row[0], row[1])
    }

    @OnLoop private func psql(_ node: Node, _ statements: String) throws -> ChildProcess {
        try ChildProcess(
            "/usr/bin/env", ["psql", "-X", "-q", "-d", try node.variable("DATABASE_URL"), "-c", statements],
            environment: ["PATH": "/usr/bin:/bin"], descriptors: [.null, .null, .null])
    }

    @Test("A booking moved to another room keeps its nights and shows the new number", .timeLimit(.minutes(3)))
    @OnLoop func moved() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(3)
        let (id, booked) = try await book(node, BookingBody(stay))
        let (room, number) = try await freeRoom(node, stay)
        _ = try await node.rows(
            "UPDATE reservation_details SET room_id = \(room) WHERE hotel_id = 2 AND reservation_id = '\(id)'")
        let read = try await node.get("/api/booking-engine/bookings/\(id)")
        #expect(read.string("rooms.0.room_number") == number)
        #expect(read.string("rooms.0.room_number") != booked.string("rooms.0.room_number"))
        #expect(read.elements("rooms.0.nights") == booked.elements("rooms.0.nights"))
        #expect(read.elements("rooms.0.nights").count == 3)
    }

    @Test("A booking moved for some nights keeps all of them, however it was moved", .timeLimit(.minutes(3)))
    @OnLoop func partlyMoved() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(3)
        let (id, booked) = try await book(node, BookingBody(stay))
        let (room, number) = try await freeRoom(node, stay)
        let mine = "hotel_id = 2 AND reservation_id = '\(id)'"
        _ = try await node.rows(
            "UPDATE reservation_details SET room_id = \(room) WHERE \(mine) AND date = '\(stay.nights[1])'")
        var read = try await node.get("/api/booking-engine/bookings/\(id)")
        #expect(read.elements("rooms.0.nights") == booked.elements("rooms.0.nights"))
        #expect(read.string("rooms.0.room_number") == booked.string("rooms.0.room_number"))
        // The first night by cancelling it and entering it anew.
        _ = try await node.rows(
            """
            WITH gone AS (
                UPDATE reservation_details SET cancelled = gen_random_uuid() WHERE \(mine) AND date = '\(stay.arrival)'
                RETURNING *)
            INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, plan_type, number_of_people, price)
            SELECT hotel_id, reservation_id, date, \(room), plan_type, number_of_people, price FROM gone
            """)
        read = try await node.get("/api/booking-engine/bookings/\(id)")
        #expect(read.elements("rooms.0.nights") == booked.elements("rooms.0.nights"))
        #expect(read.string("rooms.0.room_number") == number)
    }

    @Test(
        "A night whose price cannot be told has none, and the booking is shown all the same", .timeLimit(.minutes(3)),
        arguments: ["NULL", "'NaN'", "'Infinity'", "1e30"])
    @OnLoop func oddPrice(price: String) async throws {
        let node = try await Node.shared()
        let (id, _) = try await book(node, BookingBody(.next(1)))
        let change = "UPDATE reservation_details SET price ="
        let condition = "WHERE hotel_id = 2 AND reservation_id = '\(id)'"
        _ = try await node.rows("\(change) \(price) \(condition)")
        #expect(try await node.get("/api/booking-engine/bookings/\(id)").value("rooms.0.nights.0.price") == .null)
        _ = try await node.rows("\(change) 9000.123456 \(condition)")
        #expect(try await node.get("/api/booking-engine/bookings/\(id)").integer("rooms.0.nights.0.price") == 9000)
    }

    @Test("A night for which the PMS knows no number of guests is shown", .timeLimit(.minutes(3)))
    @OnLoop func withoutGuests() async throws {
        let node = try Node()
        try await node.start()
        let (id, booked) = try await book(node, BookingBody(.next(2)))
        _ = try await node.rows(
            """
            ALTER TABLE reservation_details ALTER COLUMN number_of_people DROP NOT NULL;
            UPDATE reservation_details SET number_of_people = NULL WHERE hotel_id = 2 AND reservation_id = '\(id)'
            """)
        let read = try await node.get("/api/booking-engine/bookings/\(id)")
        #expect(read.elements("rooms.0.nights") == booked.elements("rooms.0.nights"))
        #expect(read.elements("rooms.0.nights").count == 2)
        #expect(try await node.stop().isSuccess)
    }

    @Test("A booking that the front desk cancels is cancelled as soon as it is read", .timeLimit(.minutes(3)))
    @OnLoop func cancelled() async throws {
        let node = try await Node.shared()
        let body = BookingBody(.next())
        let (id, booked) = try await book(node, body)
        #expect(booked.string("updated_at") == booked.string("created_at"))
        _ = try await node.rows(
            """
            UPDATE reservations SET status = 'cancelled' WHERE hotel_id = 2 AND id = '\(id)';
            UPDATE reservation_details SET cancelled = gen_random_uuid() WHERE hotel_id = 2 AND reservation_id = '\(id)'
            """)
        let read = try await node.get("/api/booking-engine/bookings/\(id)")
        #expect(read.string("status") == "cancelled")
        #expect(read.integer("version") == 2)
        #expect(read["ETag"] == "\"2\"")
        let (created, updated) = (
            try #require(read.string("created_at")), try #require(read.string("updated_at"))
        )
        #expect(created == booked.string("created_at"))
        #expect(updated > created)
        #expect(read.string("cancelled_at") == updated)
        #expect(read.elements("rooms.0.nights") == booked.elements("rooms.0.nights"))
        // It is noted once.
        #expect(try await node.get("/api/booking-engine/bookings/\(id)").content == read.content)
        let again = try await node.book(body)
        expectProblem(again, 409, "booking-ended")
        #expect(again.string("booking_status") == "cancelled")
    }

    @Test("What the front desk has in hand is neither changed nor cancelled, and keeps nobody else waiting")
    @OnLoop func inHand() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(2)
        let (id, booked) = try await book(node, BookingBody(stay))
        let target = "/api/booking-engine/bookings/\(id)"
        var change = TestRequest.post(target, try node.token(), json: #"{"comment":"late"}"#).with("If-Match", "*")
        change.method = "PUT"
        var cancellation = TestRequest.get(target, try node.token())
        cancellation.method = "DELETE"
        for table in ["reservations WHERE id", "reservation_details WHERE reservation_id"] {
            let frontDesk = try psql(
                node,
                "BEGIN; SELECT FROM \(table) = '\(id)' AND hotel_id = 2 FOR UPDATE; SELECT 1, pg_sleep(60)")
            defer { frontDesk.send(signal: SIGKILL) }
            let sleeping = "FROM pg_stat_activity WHERE query LIKE '%\(id)%' AND wait_event = 'PgSleep'"
            try await wait("it is locked") { try await node.value("SELECT count(*) \(sleeping)") == "1" }
            for request in [change, cancellation] {
                let answer = try await node.gateway.send(request)
                expectProblem(answer, 503, "booking-in-use")
                #expect(answer["Retry-After"] == "1")
            }
            #expect(try await node.book(BookingBody(stay)).status == 201)
            #expect(try await node.get(target).content == booked.content)
            _ = try await node.rows("SELECT pg_terminate_backend(pid) \(sleeping)")
            _ = try await frontDesk.waitForExit()
        }
        #expect(try await node.gateway.send(change).string("comment") == booked.string("comment"))
        #expect(try await node.gateway.send(cancellation).string("status") == "cancelled")
    }

    @Test("That the front desk has cancelled it is also seen when the same booking is asked for again")
    @OnLoop func cancelledAndRepeated() async throws {
        let node = try await Node.shared()
        let body = BookingBody(.next())
        let (id, _) = try await book(node, body)
        _ = try await node.rows("UPDATE reservations SET status = 'cancelled' WHERE hotel_id = 2 AND id = '\(id)'")
        expectProblem(try await node.book(body), 409, "booking-ended")
    }

    @Test(
        "The rooms of a booking that the front desk cancels are free as soon as that is seen", .timeLimit(.minutes(3)))
    @OnLoop func freed() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next()
        let (id, _) = try await book(node, BookingBody(stay))
        #expect(try await node.available(2, 21, stay) == 10)
        _ = try await node.rows("DELETE FROM reservations WHERE hotel_id = 2 AND id = '\(id)'")
        let read = try await node.get("/api/booking-engine/bookings/\(id)")
        #expect(read.string("status") == "cancelled")
        #expect(read.elements("rooms").count == 1)
        #expect(read.elements("rooms.0.nights").isEmpty)
        try await wait("the room is free") { try await node.available(2, 21, stay) == 11 }
    }

    @Test("A hold that the front desk confirms is confirmed as soon as it is read", .timeLimit(.minutes(3)))
    @OnLoop func confirmed() async throws {
        let node = try await Node.shared()
        var body = BookingBody(.next())
        body.more = #","hold_minutes":5"#
        let (id, held) = try await book(node, body)
        #expect(held.string("status") == "hold")
        #expect(try await node.get("/api/booking-engine/bookings/\(id)").content == held.content)
        _ = try await node.rows("UPDATE reservations SET status = 'confirmed' WHERE hotel_id = 2 AND id = '\(id)'")
        let read = try await node.get("/api/booking-engine/bookings/\(id)")
        #expect(read.string("status") == "confirmed")
        #expect(read.integer("version") == 2)
        #expect(try #require(read.string("updated_at")) > (try #require(read.string("created_at"))))
    }

    @Test(
        "A room that the front desk gives away while a booking waits for it is not given twice", .timeLimit(.minutes(3))
    )
    @OnLoop func inParallel() async throws {
        let node = try await Node.shared()
        // No other test books this type of hotel 3, nor the nights of this stay.
        let stay = TestStay.next(1)
        let type = 33
        let rooms = try await node.available(3, type, stay)
        for _ in 1..<rooms { #expect(try await node.book(BookingBody(stay, hotel: 3, type: type)).status == 201) }
        let last = try await node.value(
            """
            SELECT id FROM rooms WHERE hotel_id = 3 AND room_type_id = \(type) AND for_sale AND NOT is_staff_room
                AND NOT EXISTS (SELECT FROM reservation_details AS detail WHERE detail.hotel_id = 3
                                AND room_id = rooms.id AND \(stay.sql) AND cancelled IS NULL)
            """)
        let locks = "FROM pg_locks WHERE locktype = 'advisory' AND classid = 3 AND objid = 3"
        let locker = try psql(node, "SELECT pg_advisory_lock(3, 3); SELECT pg_sleep(60)")
        defer { locker.send(signal: SIGKILL) }
        try await wait("the lock is taken") { try await node.value("SELECT count(*) \(locks)") == "1" }
        // As the PMS does it: it looks, then writes, and is not done yet. The foreign key locks the room.
        let frontDesk = try psql(
            node,
            """
            BEGIN;
            INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people, updated_by)
            SELECT 3, id, '\(stay.arrival)', \(last), 1, 1 FROM reservations WHERE hotel_id = 3 LIMIT 1;
            SELECT pg_advisory_lock(3, 3);
            COMMIT
            """)
        defer { frontDesk.send(signal: SIGKILL) }
        try await wait("the front desk has written") { try await node.value("SELECT count(*) \(locks)") == "2" }
        let request = try node.request(BookingBody(stay, hotel: 3, type: type))
        let connection = try await node.gateway.connect()
        defer { connection.close() }
        try await connection.begin(request)
        try await wait("the booking waits for the room") {
            try await node.value(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%room_number FROM rooms%'"
            ) == "1"
        }
        _ = try await node.rows("SELECT pg_terminate_backend(pid) \(locks) AND granted AND pid <> pg_backend_pid()")
        expectProblem(try await connection.answer(to: request), 409, "no-availability")
        #expect(
            try await node.value(
                """
                SELECT count(*) FROM reservation_details
                WHERE hotel_id = 3 AND room_id = \(last) AND \(stay.sql) AND cancelled IS NULL
                """) == "1")
    }
}
