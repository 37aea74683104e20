import Glibc
import JSONText
import Loop
import Stay
import Testing

/// What the front desk does to bookings of ours is noted without anybody asking for the booking: state, event, audit log.
@Suite("What the front desk does to bookings is told")
struct FrontDeskEventTests {
    init() { Loop.runInBackground() }

    @OnLoop private func book(_ node: Node, _ body: BookingBody) async throws -> String {
        let answer = try await node.book(body)
        #expect(answer.status == 201, "\(answer.text)")
        return try #require(answer.string("booking_id"))
    }

    /// The events of a booking so far, in the order of its versions, as `type version status check_in total sync guest`.
    @OnLoop private func events(_ node: Node, _ id: String) async throws -> [String] {
        try await node.rows(
            """
            SELECT concat_ws(' ', type, version, payload->'data'->>'status', payload->'data'->>'check_in',
                   payload->'data'->'total'->>'amount', payload->'data'->'sync'->>'status',
                   payload->'data'->>'guest_status')
            FROM drawbridge.events WHERE entity_id = '\(id)' ORDER BY version
            """
        ).map { $0[0] }
    }

    /// Waits until so many versions were told, and checks that each was told once, is what we have, and that nothing is left
    /// to be looked at.
    @OnLoop private func expect(
        _ versions: Int, _ node: Node, _ id: String, waits: Bool = false, _ location: SourceLocation = #_sourceLocation
    ) async throws -> String {
        try await wait("version \(versions) is told", for: .seconds(60)) {
            try await node.value("SELECT version FROM drawbridge.bookings WHERE booking_id = '\(id)'") == "\(versions)"
        }
        if !waits {
            try await wait("nothing is left to be looked at", for: .seconds(60)) {
                try await node.value("SELECT count(*) FROM drawbridge.booking_checks WHERE booking_id = '\(id)'") == "0"
            }
        }
        let found = try await events(node, id)
        #expect(found.count == versions, "\(found)", sourceLocation: location)
        let lines = try await node.value(
            "SELECT count(*) FROM booking_engine_audit_log WHERE entity_id = '\(id)' AND status = 'success'")
        #expect(lines == "\(versions)", sourceLocation: location)
        return try #require(found.last, sourceLocation: location)
    }

    private func mine(_ id: String) -> String { "hotel_id = 2 AND reservation_id = '\(id)'" }

    /// Rooms of a type of hotel 2 that nobody sleeps in then.
    @OnLoop private func freeRooms(_ node: Node, _ stay: TestStay, type: Int) async throws -> [String] {
        try await node.rows(
            """
            SELECT id FROM rooms WHERE hotel_id = 2 AND room_type_id = \(type) AND for_sale AND NOT is_staff_room
                AND NOT EXISTS (SELECT FROM reservation_details WHERE hotel_id = 2 AND room_id = rooms.id
                                AND cancelled IS NULL AND \(stay.sql))
            ORDER BY id
            """
        ).map { $0[0] }
    }

    /// A reservation of the front desk's own, in rooms of its choice; returns its id.
    @OnLoop private func frontDesk(_ node: Node, _ stay: TestStay, rooms: [String]) async throws -> String {
        try await node.value(
            """
            WITH made AS (
                INSERT INTO reservations (hotel_id, reservation_client_id, check_in, check_out, number_of_people, status)
                SELECT 2, id, '\(stay.arrival)', '\(stay.departure)', 1, 'confirmed' FROM clients LIMIT 1 RETURNING id),
            nights AS (
                INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, plan_type, number_of_people, price)
                SELECT 2, made.id, night, room, 'per_room', 1, 9000
                FROM made, unnest(ARRAY[\(rooms.joined(separator: ","))]) AS room,
                     generate_series('\(stay.arrival)'::DATE, '\(stay.departure)'::DATE - 1, '1 day') AS night)
            SELECT id FROM made
            """)
    }

    @OnLoop private func rooms(_ node: Node, _ id: String) async throws -> Set<String> {
        Set(
            try await node.rows("SELECT room_id FROM reservation_details WHERE \(mine(id)) AND cancelled IS NULL")
                .map { $0[0] })
    }

    @Test("Dates, room, guest, price, arrival, departure: each a version of its own", .timeLimit(.minutes(3)))
    @OnLoop func changes() async throws {
        let node = try await Node.shared()
        let (stay, later) = (TestStay.next(2), TestStay.next(2))
        let id = try await book(node, BookingBody(stay))
        let total = try await node.value("SELECT total FROM drawbridge.bookings WHERE booking_id = '\(id)'")
        #expect(try await events(node, id) == ["booking.created 1 confirmed \(stay.arrival) \(total) synced"])

        _ = try await node.rows(
            """
            UPDATE reservations SET check_in = '\(later.arrival)', check_out = '\(later.departure)' WHERE id = '\(id)';
            UPDATE reservation_details SET date = date + \(stay.arrival.distance(to: later.arrival)) WHERE \(mine(id))
            """)
        #expect(try await expect(2, node, id) == "booking.updated 2 confirmed \(later.arrival) \(total) synced")
        let room = try #require(try await freeRooms(node, later, type: 21).last)
        _ = try await node.rows("UPDATE reservation_details SET room_id = \(room) WHERE \(mine(id))")
        _ = try await expect(3, node, id)
        #expect(
            try await node.value("SELECT room_id FROM drawbridge.booking_rooms WHERE booking_id = '\(id)'") == room)
        _ = try await node.rows("UPDATE reservation_details SET price = 7000 WHERE \(mine(id))")
        #expect(try await expect(4, node, id) == "booking.updated 4 confirmed \(later.arrival) 14000 synced")
        let other = try await node.value(
            "INSERT INTO clients (name, legal_or_natural_person) VALUES ('Somebody Else', 'natural') RETURNING id")
        _ = try await node.rows("UPDATE reservations SET reservation_client_id = '\(other)' WHERE id = '\(id)'")
        _ = try await expect(5, node, id)
        #expect(
            try await node.value(
                """
                SELECT payload->'data'->'guest'->>'name' FROM drawbridge.events
                WHERE entity_id = '\(id)' AND version = 5
                """) == "Somebody Else")
        _ = try await node.rows("UPDATE reservations SET status = 'checked_in' WHERE id = '\(id)'")
        #expect(try await expect(6, node, id).hasSuffix("synced checked_in"))
        _ = try await node.rows("UPDATE reservations SET status = 'checked_out' WHERE id = '\(id)'")
        #expect(try await expect(7, node, id).hasSuffix("synced checked_out"))
        // What is told of nobody changes nothing.
        _ = try await node.rows("UPDATE reservations SET comment = 'late' WHERE id = '\(id)'")
        _ = try await node.rows("UPDATE reservation_details SET price = 8000 WHERE \(mine(id))")
        #expect(try await expect(8, node, id).contains(" 16000 "))
        #expect(try await node.get("/api/booking-engine/bookings/\(id)").integer("version") == 8)
    }

    @Test("Cancelled, deleted, and a hold that is confirmed", .timeLimit(.minutes(3)))
    @OnLoop func ends() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(1)
        let cancelled = try await book(node, BookingBody(stay))
        let deleted = try await book(node, BookingBody(stay))
        var body = BookingBody(stay)
        body.more = #","hold_minutes":50"#
        let held = try await book(node, body)
        _ = try await node.rows("UPDATE reservations SET status = 'cancelled' WHERE id = '\(cancelled)'")
        _ = try await node.rows("DELETE FROM reservations WHERE hotel_id = 2 AND id = '\(deleted)'")
        _ = try await node.rows("UPDATE reservations SET status = 'confirmed' WHERE id = '\(held)'")
        #expect(try await expect(2, node, cancelled).hasPrefix("booking.cancelled 2 cancelled"))
        #expect(try await expect(2, node, deleted).hasPrefix("booking.cancelled 2 cancelled"))
        #expect(try await expect(2, node, held).hasPrefix("booking.updated 2 confirmed"))
    }

    @Test("What is done while no bridge runs is found when one does", .timeLimit(.minutes(3)))
    @OnLoop func whileDown() async throws {
        let node = try Node()
        try await node.start()
        let stay = TestStay.next(1)
        let ids = [try await book(node, BookingBody(stay)), try await book(node, BookingBody(stay))]
        // One change that is noted, so that a position is written down.
        _ = try await node.rows("UPDATE reservation_details SET price = 5000 WHERE \(mine(ids[0]))")
        _ = try await expect(2, node, ids[0])
        let supervisor = try #require(node.supervisor)
        kill(supervisor, SIGSTOP)
        kill(try node.processID("bridge"), SIGKILL)
        _ = try await node.rows("UPDATE reservation_details SET price = 6000 WHERE \(mine(ids[0]))")
        _ = try await node.rows("DELETE FROM reservations WHERE hotel_id = 2 AND id = '\(ids[1])'")
        kill(supervisor, SIGCONT)
        #expect(try await expect(3, node, ids[0]).contains(" 6000 "))
        #expect(try await expect(2, node, ids[1]).hasPrefix("booking.cancelled 2"))
        // The same where the log does not tell: it was emptied meanwhile.
        kill(supervisor, SIGSTOP)
        kill(try node.processID("bridge"), SIGKILL)
        _ = try await node.rows("UPDATE reservation_details SET price = 7000 WHERE \(mine(ids[0]))")
        _ = try await node.rows("TRUNCATE logs_reservation RESTART IDENTITY")
        kill(supervisor, SIGCONT)
        #expect(try await expect(4, node, ids[0]).contains(" 7000 "))
        #expect(try await node.stop().isSuccess)
    }

    @Test(
        "Where the log does not tell, all bookings that matter are compared, however many others there are",
        .timeLimit(.minutes(3)))
    @OnLoop func everything() async throws {
        let node = try Node(workers: 1)
        try await node.start()
        let stay = TestStay.next(1)
        let id = try await book(node, BookingBody(stay))
        // Their reservations are gone; of those that ended long ago nobody cares.
        func add(_ name: String, _ count: Int, arrival: String) async throws {
            _ = try await node.rows(
                """
                INSERT INTO drawbridge.bookings (booking_id, hotel_id, booking_engine_id, client, status, arrival, departure,
                                                 total, currency)
                SELECT gen_random_uuid(), 2, '\(name)-' || number, client, status, \(arrival), \(arrival) + 1, total, currency
                FROM drawbridge.bookings, generate_series(1, \(count)) AS number WHERE booking_id = '\(id)'
                """)
        }
        try await add("past", 7000, arrival: "current_date - 30")
        try await add("coming", 150, arrival: "'\(stay.arrival)'::DATE")
        _ = try await node.rows("DELETE FROM drawbridge.change_log_position")
        kill(try node.processID("bridge"), SIGKILL)
        let count = "SELECT count(*) FROM drawbridge.bookings WHERE booking_engine_id LIKE"
        try await wait("all that matter are compared") {
            try await node.value("\(count) 'coming-%' AND status = 'cancelled'") == "150"
        }
        #expect(try await node.value("\(count) 'past-%' AND status = 'confirmed'") == "7000")
        #expect(
            try await node.value("SELECT status FROM drawbridge.bookings WHERE booking_id = '\(id)'") == "confirmed")
        try await wait("from where on the log is read stands there") {
            try await node.value("SELECT count(*) FROM drawbridge.change_log_position") == "1"
        }
        #expect(try await node.stop().isSuccess)
    }

    /// Lets our bookings at hotel 2 stop after they have chosen a room and before they commit, and leave a line in the log that
    /// nobody understands, so that the index does not look at single nights.
    private static let holdUp = """
        CREATE FUNCTION hold_up() RETURNS TRIGGER LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock_shared(4, 5);
            INSERT INTO logs_reservation (table_name, action, record_id, changes)
            VALUES ('reservation_details_2', 'INSERT', gen_random_uuid(), '{"hotel_id":2,"date":"someday"}');
            RETURN NULL;
        END $$;
        CREATE TRIGGER hold_up AFTER INSERT ON reservation_details FOR EACH ROW
            WHEN (NEW.hotel_id = 2 AND NEW.created_by = 2) EXECUTE FUNCTION hold_up()
        """

    @Test(
        "A room that the front desk takes after we looked and before we were done is found taken twice",
        .timeLimit(.minutes(3)))
    @OnLoop func overtaken() async throws {
        let node = try Node(workers: 1)
        try await node.start()
        _ = try await node.rows(Self.holdUp)
        // It goes through another bridge than the one that leads: that one's turn at the hotel keeps the index of its own from
        // looking before it is done, but nobody else's.
        let processes = try await RestlessProcesses(beside: node, workers: 1)
        try await processes.run { try await self.overtake(node, processes.gateway) }
        #expect(processes.oddities == [])
        #expect(try await node.stop().isSuccess)
    }

    @OnLoop private func overtake(_ node: Node, _ gateway: HTTPClient) async throws {
        try await wait("the other bridge answers") {
            (try? await gateway.send(.get("/api/booking-engine/hotels/2", node.token())).status) == 200
        }
        let locks = "FROM pg_locks WHERE locktype = 'advisory' AND classid = 4 AND objid = 5"
        // A booking gives up after some seconds; on a machine that stands still for as long nothing can be seen.
        for attempt in 1...5 {
            let stay = TestStay.next(1)
            // The room that our booking will choose; the front desk has it already, and has let it go.
            let probe = try await book(node, BookingBody(stay))
            let room = try #require(try await rooms(node, probe).first)
            #expect(
                try await node.gateway.send(
                    TestRequest(
                        method: "DELETE", target: "/api/booking-engine/bookings/\(probe)", token: try node.token())
                ).status == 200)
            let other = try await frontDesk(node, stay, rooms: [room])
            _ = try await node.rows("UPDATE reservation_details SET cancelled = gen_random_uuid() WHERE \(mine(other))")
            let locker = try ChildProcess(
                "/usr/bin/env",
                [
                    "psql", "-X", "-q", "-d", try node.variable("DATABASE_URL"), "-c",
                    "SELECT pg_advisory_lock(4, 5); SELECT pg_sleep(600)",
                ], environment: ["PATH": "/usr/bin:/bin"], descriptors: [.null, .null, .null])
            defer { locker.send(signal: SIGKILL) }
            try await wait("the lock is taken") { try await node.value("SELECT count(*) \(locks)") == "1" }
            let request = try node.request(BookingBody(stay))
            let connection = try await gateway.connect()
            defer { connection.close() }
            try await connection.begin(request)
            try await wait("the booking has chosen a room") { try await node.value("SELECT count(*) \(locks)") == "2" }
            // It takes the room again, which locks none; all that it did is read before our rows are there.
            _ = try await node.rows("UPDATE reservation_details SET cancelled = NULL WHERE \(mine(other))")
            try await wait("that is read") {
                try await node.value(
                    "SELECT newest >= (SELECT max(id) FROM logs_reservation) FROM drawbridge.change_log_position")
                    == "t"
            }
            _ = try await node.rows("SELECT pg_terminate_backend(pid) \(locks) AND granted AND pid <> pg_backend_pid()")
            let answer = try await connection.answer(to: request)
            let number = try await node.value("SELECT room_number FROM rooms WHERE hotel_id = 2 AND id = \(room)")
            if answer.status == 201, answer.string("rooms.0.room_number") == number {
                let id = try #require(answer.string("booking_id"))
                #expect(try await expect(2, node, id).hasPrefix("booking.updated 2 confirmed"))
                #expect(try await rooms(node, id) != [room])
                return
            }
            #expect(attempt < 5, "the booking never got as far: \(answer.text)")
        }
    }

    @Test("A booking whose room the front desk gives away gets another one, whole", .timeLimit(.minutes(3)))
    @OnLoop func moved() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(3)
        let id = try await book(node, BookingBody(stay, rooms: 2))
        let before = try await rooms(node, id)
        let prices = "SELECT array_agg(price ORDER BY date, price) FROM reservation_details WHERE \(mine(id))"
        let agreed = try await node.value(prices)
        let taken = try #require(before.sorted().first)
        // On one of the nights only.
        let night = TestStay(arrival: stay.nights[1], nights: 1)
        let other = try await frontDesk(node, night, rooms: [taken])
        #expect(try await expect(2, node, id).hasPrefix("booking.updated 2 confirmed"))
        let after = try await rooms(node, id)
        #expect(after.count == 2 && !after.contains(taken) && after.intersection(before).count == 1)
        #expect(try await node.value(prices) == agreed)
        #expect(
            try await node.value("SELECT count(*) FROM reservation_details WHERE \(mine(id)) AND cancelled IS NULL")
                == "6")
        let told = Set(
            try await node.rows("SELECT room_id FROM drawbridge.booking_rooms WHERE booking_id = '\(id)'").map { $0[0] }
        )
        #expect(told == after)
        let number = try await node.value("SELECT room_number FROM rooms WHERE hotel_id = 2 AND id = \(taken)")
        let read = try await node.get("/api/booking-engine/bookings/\(id)")
        #expect(read.integer("version") == 2)
        for room in ["rooms.0.room_number", "rooms.1.room_number"] { #expect(read.string(room) != number) }
        let types = try await node.value("SELECT count(*) FROM rooms WHERE hotel_id = 2 AND room_type_id = 21")
        #expect(types != "0")
        _ = try await node.rows("DELETE FROM reservations WHERE hotel_id = 2 AND id = '\(other)'")
    }

    @Test("Without another room it is a conflict, told once, and its end is told, too", .timeLimit(.minutes(3)))
    @OnLoop func conflict() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(1)
        let id = try await book(node, BookingBody(stay, type: 23))
        let own = try #require(try await rooms(node, id).first)
        let others = try await freeRooms(node, stay, type: 23)
        let full = try await frontDesk(node, stay, rooms: others)
        let twice = try await frontDesk(node, stay, rooms: [own])
        #expect(try await expect(2, node, id, waits: true).hasSuffix("conflict"))
        #expect(try await events(node, id).last?.hasPrefix("booking.conflict 2 confirmed") == true)
        let read = try await node.get("/api/booking-engine/bookings/\(id)")
        #expect(read.string("sync.status") == "conflict")
        #expect(read.string("sync.error")?.contains("\(stay.arrival)") == true)
        #expect(
            try await node.value("SELECT sync_status FROM booking_sync_status WHERE booking_id = '\(id)'") == "conflict"
        )
        // Looked at again, and not told again.
        let attempts = "SELECT attempts FROM drawbridge.booking_checks WHERE booking_id = '\(id)'"
        try await wait("it was tried again", for: .seconds(60)) { Int(try await node.value(attempts)) ?? 0 >= 2 }
        #expect(try await events(node, id).count == 2)
        // The front desk changes its mind.
        _ = try await node.rows("DELETE FROM reservations WHERE hotel_id = 2 AND id = '\(twice)'")
        #expect(try await expect(3, node, id).contains("booking.updated 3 confirmed"))
        #expect(try await events(node, id).last?.hasSuffix("synced") == true)
        // And again; then another room becomes free.
        let again = try await frontDesk(node, stay, rooms: [own])
        #expect(try await expect(4, node, id, waits: true).hasSuffix("conflict"))
        _ = try await node.rows("DELETE FROM reservations WHERE hotel_id = 2 AND id = '\(full)'")
        #expect(try await expect(5, node, id).hasSuffix("synced"))
        #expect(try await rooms(node, id).isDisjoint(with: [own]))
        _ = try await node.rows("DELETE FROM reservations WHERE hotel_id = 2 AND id = '\(again)'")
    }

    @Test("A guest who has come is not moved", .timeLimit(.minutes(3)))
    @OnLoop func inHouse() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(1)
        let id = try await book(node, BookingBody(stay))
        _ = try await node.rows("UPDATE reservations SET status = 'checked_in' WHERE id = '\(id)'")
        _ = try await expect(2, node, id)
        let own = try await rooms(node, id)
        let other = try await frontDesk(node, stay, rooms: own.sorted())
        #expect(try await expect(3, node, id, waits: true).contains("booking.conflict 3"))
        #expect(try await rooms(node, id) == own)
        _ = try await node.rows("DELETE FROM reservations WHERE hotel_id = 2 AND id = '\(other)'")
        _ = try await expect(4, node, id)
    }
}
