import Glibc
import JSONText
import Loop
import Stay
import Testing

/// The PMS's database is at the hotel, the bridge's own elsewhere: both agree, whichever of them, or the way between them, is
/// lost at whatever moment.
@Suite("A PMS with a database of its own", .serialized)
struct SeparatePMSTests {
    init() { Loop.runInBackground() }

    private static let bookings = "/api/booking-engine/bookings"

    /// Hotels 1 and 3 refuse bookings while the PMS is away, hotel 2 takes them as pending.
    @OnLoop private func place() async throws -> (node: Node, hotel: HotelServer) {
        let hotel = try await HotelServer()
        try await hotel.start()
        let node = try Node(ownsPolicies: true)
        try Files.change(
            "\(node.policies)/bridge.yaml", "hotels: []", to: "hotels: [{hotel_id: 2, when_unreachable: pending}]")
        node.environment["PMS_DATABASE_URL"] = hotel.url
        try await node.bringUp()
        return (node, hotel)
    }

    @OnLoop private func put(_ node: Node, _ id: String, _ json: String, version: Int) async throws -> Answer {
        var request = TestRequest.post("\(Self.bookings)/\(id)", try node.token(), json: json)
        request.method = "PUT"
        return try await node.gateway.send(request.with("If-Match", "\"\(version)\""))
    }

    @OnLoop private func delete(_ node: Node, _ id: String) async throws -> Answer {
        try await node.gateway.send(
            TestRequest(method: "DELETE", target: "\(Self.bookings)/\(id)", token: try node.token()))
    }

    @OnLoop private func read(_ node: Node, _ id: String) async throws -> Answer {
        try await node.get("\(Self.bookings)/\(id)")
    }

    /// Until when the list of bookings is complete.
    @OnLoop private func completeUntil(_ node: Node) async throws -> String {
        let answer = try await node.get("\(Self.bookings)?limit=1")
        return try #require(answer.string("complete_until"), "\(answer.text)")
    }

    /// The front desk enters a night in a room, for a reservation that is there already.
    @OnLoop private func sell(_ hotel: HotelServer, _ id: Int, room: String, _ night: Day) async throws {
        _ = try await hotel.rows(
            """
            INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, plan_name, plan_type, number_of_people,
                                             price, billable, created_by)
            SELECT \(id), id, '\(night)', \(room), 'x', 'per_room', 1, 1, TRUE, 1
            FROM reservations WHERE hotel_id = \(id) AND status <> 'cancelled' AND ota_reservation_id IS NULL LIMIT 1
            """)
    }

    /// Rooms that reservations of a booking take in the PMS.
    @OnLoop private func rooms(_ hotel: HotelServer, _ id: String) async throws -> [String] {
        try await hotel.rows(
            """
            SELECT DISTINCT room_id FROM reservation_details WHERE reservation_id = '\(id)' AND cancelled IS NULL
            """
        ).map { $0[0] }
    }

    @OnLoop private func events(_ node: Node, _ id: String) async throws -> [String] {
        try await node.rows(
            "SELECT type FROM drawbridge.events WHERE entity_id = '\(id)' ORDER BY version"
        ).map { $0[0] }
    }

    // MARK: While all is well

    @Test(
        "Bookings are made, changed and cancelled in both databases, and the front desk is followed",
        .timeLimit(.minutes(5)))
    @OnLoop func both() async throws {
        let (node, hotel) = try await place()
        // Nothing of the PMS is in the bridge's database, but for a view of the hotels; nothing new of the bridge's in the PMS.
        #expect(try await node.value("SELECT to_regclass('reservations') IS NULL") == "t")
        #expect(try await node.rows("SELECT id FROM hotels ORDER BY id") == [["1"], ["2"], ["3"]])
        let stay = TestStay.next()
        let free = try await node.available(2, 21, stay)
        let made = try await node.book(BookingBody(stay), key: "both-1")
        #expect(made.status == 201, "\(made.text)")
        let id = try #require(made.string("booking_id"))
        #expect(made.string("sync.status") == "synced")
        #expect(try await rooms(hotel, id).count == 1)
        #expect(try await node.available(2, 21, stay) == free - 1)
        #expect(try await node.book(BookingBody(stay), key: "both-1").status == 422)
        #expect(try await node.value("SELECT count(*) FROM booking_sync_status WHERE booking_id = '\(id)'") == "1")

        let changed = try await put(
            node, id, #"{"comment":"late","check_out":"\#(stay.arrival.advanced(by: 1))"}"#, version: 1)
        #expect(changed.status == 200, "\(changed.text)")
        #expect(changed.string("sync.status") == "synced")
        #expect(
            try await hotel.value(
                "SELECT count(*) FROM reservation_details WHERE reservation_id = '\(id)' AND cancelled IS NULL") == "1")

        // The front desk changes the guest's name; that is noted, with one event.
        _ = try await hotel.rows(
            """
            UPDATE clients SET name = 'Somebody Else'
            WHERE id = (SELECT reservation_client_id FROM reservations WHERE id = '\(id)');
            UPDATE reservations SET comment = 'seen' WHERE id = '\(id)'
            """)
        try await wait("the change is noted") {
            try await node.value(
                "SELECT version FROM drawbridge.bookings WHERE booking_id = '\(id)'") == "3"
        }
        #expect(try await read(node, id).string("guest.name") == "Somebody Else")

        #expect(try await delete(node, id).status == 200)
        #expect(try await hotel.value("SELECT status FROM reservations WHERE id = '\(id)'") == "cancelled")
        #expect(
            try await events(node, id) == [
                "booking.created", "booking.updated", "booking.updated", "booking.cancelled",
            ])
        try await wait("the room is free again") { try await node.available(2, 21, stay) == free }

        // What the front desk sells is not free any more.
        let room = try await hotel.value("SELECT min(id) FROM rooms WHERE room_type_id = 21 AND for_sale")
        _ = try await hotel.rows(
            """
            INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, plan_name, plan_type, number_of_people,
                                             price, billable, created_by)
            SELECT 2, id, '\(stay.arrival)', \(room), 'x', 'per_room', 1, 1, TRUE, 1
            FROM reservations WHERE hotel_id = 2 AND status <> 'cancelled' LIMIT 1
            """)
        try await wait("it is seen") { try await node.available(2, 21, stay) == free - 1 }
        #expect(try await node.value("SELECT count(*) FROM pg_prepared_xacts") == "0")
        let reconciled = try await Files.run(
            [Node.program, "reconcile"], environment: ["DRAWBRIDGE_HOME": node.home, "PMS_DATABASE_URL": hotel.url])
        #expect(reconciled.exit.isSuccess, "\(reconciled.output)")
        let doctor = try await Files.run(
            [Node.program, "doctor", "--config", node.policies],
            environment: ["DRAWBRIDGE_HOME": node.home, "PMS_DATABASE_URL": hotel.url])
        for line in ["PMS database answers", "prepared transactions", "PMS table reservations"] {
            #expect(doctor.output.contains("ok     \(line)"), "\(doctor.output)")
        }
        let key = try await Files.run(
            [Node.program, "key", "create", "--client", "shop", "--hotel", "9", "--scopes", "hotel:read"],
            environment: ["DRAWBRIDGE_HOME": node.home, "PMS_DATABASE_URL": hotel.url])
        #expect(!key.exit.isSuccess && key.output.contains("no hotel 9"), "\(key.output)")
        #expect(try await node.stop().isSuccess)
        try await hotel.stop()
    }

    @Test("Bookings cannot be pending with a PMS in the bridge's own database: nothing starts")
    @OnLoop func together() async throws {
        let node = try Node(ownsPolicies: true)
        let home = try await Node.shared().home
        let policy = "\(node.policies)/bridge.yaml"
        try Files.change(policy, "when_unreachable: refuse", to: "when_unreachable: pending")
        for (variables, words) in [
            (["DATABASE_URL": "postgresql:///none"], "PMS_DATABASE_URL names"),
            (["DATABASE_URL": "postgresql:///none", "PMS_DATABASE_URL": "nonsense=1"], "nonsense"),
        ] {
            let result = try await Files.run(
                ["\(Node.programs)/drawbridge-bridge", "--migrate", "--config", node.policies, "--home", home],
                environment: variables)
            #expect(!result.exit.isSuccess && result.output.contains(words), "\(result.output)")
        }
    }

    // MARK: While the PMS is away

    @Test(
        "Bookings are refused, or taken as pending and settled on its return, the losers as conflict",
        .timeLimit(.minutes(5)))
    @OnLoop func away() async throws {
        let (node, hotel) = try await place()
        let stay = TestStay.next()
        let other = TestStay.next()
        let free = try await node.available(2, 21, stay)
        #expect(free >= 3)
        let before = try await node.book(BookingBody(other))
        let known = try #require(before.string("booking_id"))
        try await hotel.cutOff()
        try await wait("the bridge notices") {
            try await node.book(BookingBody(TestStay.next(1), hotel: 1, type: 11)).status == 503
        }
        let refused = try await node.book(BookingBody(TestStay.next(1), hotel: 1, type: 11))
        #expect(refused.status == 503 && refused["Retry-After"] != nil, "\(refused.text)")

        // As many are taken as are free, and no more.
        var pending: [String] = []
        for number in 0..<free {
            let answer = try await node.book(BookingBody(stay), key: "pending-\(number)")
            #expect(answer.status == 201, "\(answer.text)")
            #expect(answer.string("sync.status") == "pending")
            pending.append(try #require(answer.string("booking_id")))
        }
        expectProblem(try await node.book(BookingBody(stay)), 409, "no-availability")
        #expect(try await node.available(2, 21, stay) == 0)

        // They are bookings: read, repeated, changed, cancelled; what is in the PMS is not.
        let shown = try await read(node, pending[0])
        #expect(shown.status == 200 && shown.string("guest.name") == "Integration Guest", "\(shown.text)")
        #expect(shown.string("sync.status") == "pending" && shown.elements("rooms.0.nights").count == 2)
        let changed = try await put(node, pending[0], #"{"comment":"quiet room"}"#, version: 1)
        #expect(changed.status == 200 && changed.string("sync.status") == "pending", "\(changed.text)")
        #expect(try await delete(node, pending[1]).string("status") == "cancelled")
        #expect(try await node.available(2, 21, stay) == 1)
        #expect(try await delete(node, known).status == 503)
        var hold = BookingBody(other)
        hold.more = #","hold_minutes":10"#
        let held = try #require(try await node.book(hold).string("booking_id"))
        let confirmed = try await put(node, held, #"{"status":"confirmed"}"#, version: 1)
        #expect(
            confirmed.string("status") == "confirmed" && confirmed.string("sync.status") == "pending",
            "\(confirmed.text)")

        // Meanwhile the front desk sells two of the rooms, one of which is free since the cancellation.
        let rooms = try await hotel.rows(
            """
            SELECT id FROM rooms WHERE hotel_id = 2 AND room_type_id = 21 AND for_sale AND NOT is_staff_room
              AND NOT EXISTS (SELECT FROM reservation_details WHERE hotel_id = 2 AND room_id = rooms.id AND cancelled IS NULL
                              AND \(stay.sql))
            ORDER BY id LIMIT 2
            """
        ).map { $0[0] }
        for room in rooms {
            _ = try await hotel.rows(
                """
                INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, plan_name, plan_type,
                                                 number_of_people, price, billable, created_by)
                SELECT 2, (SELECT id FROM reservations WHERE hotel_id = 2 AND status <> 'cancelled' LIMIT 1), night, \(room),
                       'x', 'per_room', 1, 1, TRUE, 1
                FROM generate_series('\(stay.arrival)'::DATE, '\(stay.departure)'::DATE - 1, INTERVAL '1 day') AS night
                """)
        }
        try await hotel.reconnect()
        let taken = pending.enumerated().filter { $0.offset != 1 }.map(\.element)
        try await wait("all are settled", for: .seconds(60)) {
            try await node.value("SELECT count(*) FROM booking_sync_status WHERE sync_status = 'pending'") == "0"
        }
        // The last one has none.
        for id in taken.dropLast() {
            #expect(try await read(node, id).string("sync.status") == "synced")
            #expect(try await self.rooms(hotel, id).count == 1)
        }
        let loser = try #require(taken.last)
        let lost = try await read(node, loser)
        #expect(lost.string("sync.status") == "conflict" && lost.string("status") == "confirmed", "\(lost.text)")
        #expect(try await self.rooms(hotel, loser).isEmpty)
        #expect(try await events(node, loser) == ["booking.created", "booking.conflict"])
        #expect(try await events(node, taken[1]) == ["booking.created", "booking.updated"])
        #expect(try await hotel.value("SELECT comment FROM reservations WHERE id = '\(pending[0])'") == "quiet room")
        #expect(try await hotel.value("SELECT count(*) FROM reservations WHERE id = '\(pending[1])'") == "0")
        #expect(try await hotel.value("SELECT status FROM reservations WHERE id = '\(held)'") == "confirmed")
        // No guest's particulars stay behind but those of the loser, who gives up.
        #expect(
            try await node.rows("SELECT booking_id FROM drawbridge.pending_reservations") == [[loser]])
        // It stays in conflict while there is no room, and is made when there is one and its client asks for it again.
        let again = try await put(node, loser, #"{"comment":"any room"}"#, version: 2)
        #expect(again.status == 200 && again.string("sync.status") == "pending", "\(again.text)")
        try await wait("it is in conflict again") { try await read(node, loser).string("sync.status") == "conflict" }
        #expect(try await node.available(2, 21, stay) == 0)
        #expect(try await delete(node, taken[0]).string("status") == "cancelled")
        let version = try #require(try await read(node, loser).integer("version"))
        #expect(try await put(node, loser, #"{"comment":"the room"}"#, version: version).status == 200)
        try await wait("it is made") { try await read(node, loser).string("sync.status") == "synced" }
        #expect(try await self.rooms(hotel, loser).count == 1)
        #expect(try await delete(node, loser).string("status") == "cancelled")
        #expect(try await node.value("SELECT count(*) FROM drawbridge.pms_writes WHERE status <> 'resolved'") == "0")
        #expect(try await node.value("SELECT count(*) FROM drawbridge.pending_reservations") == "0")
        // No room-night is sold twice.
        #expect(
            try await hotel.rows(
                """
                SELECT room_id, date FROM reservation_details
                WHERE hotel_id = 2 AND cancelled IS NULL AND \(stay.sql) GROUP BY room_id, date HAVING count(*) > 1
                """
            ).isEmpty)
        try await wait("it is known that one is left") { try await node.available(2, 21, stay) == 1 }
        #expect(try await node.stop().isSuccess)
        try await hotel.stop()
    }

    @Test(
        "While the PMS is away, what is sold there without a room counts against what may be sold beyond the rooms",
        .timeLimit(.minutes(5)))
    @OnLoop func beyondTheRooms() async throws {
        let (node, hotel) = try await place()
        func allow(_ rooms: Int) async throws {
            var request = TestRequest.post(
                "/api/booking-engine/hotels/2/restrictions", try node.cacheToken(),
                json: #"{"restrictions":[],"overbooking":[{"room_type_id":21,"rooms":\#(rooms)}]}"#)
            request.method = "PUT"
            #expect(try await node.gateway.send(request.with("If-Match", "*")).status == 200)
        }
        try await allow(1)
        // One type has sold the room that it may sell beyond its own.
        let full = TestStay.next(1)
        let free = try await node.available(2, 21, full)
        for _ in 0..<free { #expect(try await node.book(BookingBody(full)).status == 201) }
        // Of another one the front desk has taken a guest's room away: the room that is free is promised.
        let promised = TestStay.next(1)
        let rooms = try await node.available(2, 22, promised)
        try #require(rooms >= 2)
        for _ in 1..<rooms { #expect(try await node.book(BookingBody(promised, type: 22)).status == 201) }
        let guest = try await node.book(BookingBody(promised, type: 22))
        let id = try #require(guest.string("booking_id"), "\(guest.text)")
        _ = try await hotel.rows("UPDATE reservation_details SET room_id = NULL WHERE reservation_id = '\(id)'")
        try await wait("nothing is left") {
            let left = (try await node.available(2, 21, full), try await node.available(2, 22, promised))
            return left == (0, 0)
        }
        try await hotel.cutOff()
        try await wait("the bridge notices") {
            try await node.book(BookingBody(TestStay.next(1), hotel: 1, type: 11)).status == 503
        }
        expectProblem(try await node.book(BookingBody(full)), 409, "no-availability")
        expectProblem(try await node.book(BookingBody(promised, type: 22)), 409, "no-availability")

        // What is allowed more can be sold, once, and changed by whoever has it.
        try await allow(2)
        try await wait("one more is left") { try await node.available(2, 21, full) == 1 }
        let pending = try await node.book(BookingBody(full))
        #expect(pending.status == 201 && pending.string("sync.status") == "pending", "\(pending.text)")
        expectProblem(try await node.book(BookingBody(full)), 409, "no-availability")
        #expect(try await node.available(2, 21, full) == 0)
        let last = try #require(pending.string("booking_id"))
        let changed = try await put(
            node, last, #"{"rooms":[{"room_type_id":21,"guests":2,"plan_key":"1h"}]}"#, version: 1)
        #expect(changed.status == 200, "\(changed.text)")
        expectProblem(try await node.book(BookingBody(full)), 409, "no-availability")
        try await hotel.reconnect()
        try await wait("it is settled") { try await read(node, last).string("sync.status") == "synced" }
        #expect(try await node.stop().isSuccess)
        try await hotel.stop()
    }

    @Test(
        "A booking that is taken as pending is not in its own way, however slow the end of its first attempt is",
        .timeLimit(.minutes(5)))
    @OnLoop func slowEnd() async throws {
        let (node, hotel) = try await place()
        // The PMS is there and does not answer.
        let locker = try hotel.inBackground("BEGIN; LOCK TABLE rooms IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(300)")
        defer { locker.send(signal: SIGKILL) }
        try await wait("the table is locked") {
            try await hotel.value(
                "SELECT count(*) FROM pg_locks WHERE relation = 'rooms'::REGCLASS AND mode = 'AccessExclusiveLock' AND granted"
            ) == "1"
        }
        let waiting = """
            SELECT count(*) FROM pg_stat_activity
            WHERE usename = 'drawbridge' AND wait_event_type = 'Lock' AND query LIKE '%FROM rooms%FOR UPDATE'
            """
        let key = "slow-\(UInt64.random(in: 0 ... .max))"
        let body = BookingBody(.next(1))
        let answer = Task { try await node.book(body, key: key) }
        var session: Int32 = 0
        try await wait("the command waits for the PMS") {
            let sessions = try await node.rows(
                """
                SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
                WHERE locktype = 'advisory' AND classid = 17474 AND objid = 2 AND state = 'idle in transaction'
                """)
            guard let found = sessions.first?.first, try await hotel.value(waiting) == "1" else { return false }
            session = try #require(Int32(found))
            return true
        }
        // The session hears for now of nothing, the end of what it did included.
        kill(session, SIGSTOP)
        defer { kill(session, SIGCONT) }
        try await wait("the PMS is given up") { try await hotel.value(waiting) == "0" }
        // Long enough for an answer that did not wait for it.
        try await Loop.sleep(for: .milliseconds(500))
        kill(session, SIGCONT)
        let taken = try await answer.value
        #expect(taken.status == 201 && taken.string("sync.status") == "pending", "\(taken.text)")
        locker.send(signal: SIGKILL)
        _ = try await hotel.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(300)'")
        #expect(try await node.stop().isSuccess)
        try await hotel.stop()
    }

    // MARK: Commits left half done

    @Test(
        "A commit that was left half done ends as the PMS has decided, and keeps no other waiting",
        .timeLimit(.minutes(5)))
    @OnLoop func halves() async throws {
        let (node, hotel) = try await place()
        _ = try await node.rows("CREATE TABLE halves (name TEXT)")
        func prepare(_ name: String, _ number: String) async throws {
            _ = try await node.rows(
                "BEGIN; INSERT INTO halves VALUES ('\(name)'); PREPARE TRANSACTION 'drawbridge/\(number)/\(name)'")
        }
        let committed = try await hotel.value("SELECT pg_current_xact_id()")
        let aborted = try await hotel.rows("BEGIN; SELECT pg_current_xact_id(); ROLLBACK")[0][0]
        // One that the PMS does not know, and one that is somebody else's.
        try await prepare("unknown", "4000000000")
        _ = try await node.rows("BEGIN; INSERT INTO halves VALUES ('foreign'); PREPARE TRANSACTION 'foreign/1'")
        try await prepare("aborted", aborted)
        try await prepare("committed", committed)
        try await wait("what can be settled is") {
            try await node.rows("SELECT gid FROM pg_prepared_xacts ORDER BY 1") == [
                ["drawbridge/4000000000/unknown"], ["foreign/1"],
            ]
        }
        #expect(try await node.rows("SELECT name FROM halves") == [["committed"]])
        #expect(node.log.contains("commits left half done are not settled"))
        // What waits may come into view much later, as of when it began: no list is complete beyond that. Others' do not count.
        let bound = try await completeUntil(node)
        #expect(try await completeUntil(node) == bound)
        #expect(try await node.book(BookingBody(TestStay.next())).status == 201)

        // While the PMS is away nothing is decided.
        try await hotel.stop()
        try await prepare("later", committed)
        try await Loop.sleep(for: .seconds(2))
        #expect(try await node.value("SELECT count(*) FROM pg_prepared_xacts") == "3")
        try await hotel.start()
        try await wait("it is settled") { try await node.value("SELECT count(*) FROM halves") == "2" }
        #expect(try await completeUntil(node) == bound)
        _ = try await node.rows("ROLLBACK PREPARED 'drawbridge/4000000000/unknown'")
        let later = try await completeUntil(node)
        #expect(later > bound)
        #expect(try await completeUntil(node) > later)
        _ = try await node.rows("ROLLBACK PREPARED 'foreign/1'")
        #expect(try await node.stop().isSuccess)
        try await hotel.stop()
    }

    @Test(
        "A room that the front desk sells while its booking is half committed is noticed when the booking is there",
        .timeLimit(.minutes(5)))
    @OnLoop func soldMeanwhile() async throws {
        let (node, hotel) = try await place()
        let stay = TestStay.next(1)
        let body = BookingBody(stay, hotel: 1, type: 11)
        // Nothing that is half done is settled until the bridge may ask again what was decided.
        _ = try await hotel.rows("REVOKE EXECUTE ON FUNCTION pg_xact_status(xid8) FROM PUBLIC")
        // The PMS's commit takes effect, and its session is ended before it says so.
        try await hotel.setStandby("nobody")
        let answer = Task { try? await node.book(body) }
        try await wait("the commit") {
            try await hotel.rows(
                """
                SELECT query, CASE query WHEN 'COMMIT' THEN pg_terminate_backend(pid) ELSE pg_cancel_backend(pid) END
                FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'drawbridge'
                """
            ).contains(["COMMIT", "t"])
        }
        try await hotel.setStandby("")
        let reservation = "SELECT id FROM reservations WHERE hotel_id = 1 AND ota_reservation_id = '\(body.engineID)'"
        try await wait("the PMS has it") { try await !hotel.rows(reservation).isEmpty }
        let id = try await hotel.value(reservation)
        let room = try #require(try await rooms(hotel, id).first)
        try await sell(hotel, 1, room: room, stay.arrival)
        let newest = try #require(Int(try await hotel.value("SELECT max(id) FROM logs_reservation")))
        try await wait("the log is read") {
            let position = try await node.value("SELECT newest FROM drawbridge.change_log_position")
            return try #require(Int(position)) >= newest
        }
        #expect(try await node.value("SELECT count(*) FROM pg_prepared_xacts") == "1")
        #expect(try await node.rows("SELECT FROM drawbridge.bookings WHERE booking_id = '\(id)'").isEmpty)

        _ = try await hotel.rows("GRANT EXECUTE ON FUNCTION pg_xact_status(xid8) TO PUBLIC")
        try await wait("the booking has another room", for: .seconds(30)) {
            try await rooms(hotel, id) != [room]
        }
        _ = await answer.value
        #expect(try await rooms(hotel, id).count == 1)
        #expect(try await read(node, id).string("sync.status") == "synced")
        #expect(try await events(node, id) == ["booking.created", "booking.updated"])
        #expect(try await node.stop().isSuccess)
        try await hotel.stop()
    }

    // MARK: Crashes

    @Test("Whatever ends in the middle of a commit, both databases tell the same in the end", .timeLimit(.minutes(10)))
    @OnLoop func crashes() async throws {
        let (node, hotel) = try await place()
        try node.liftLimits()
        let stays = (0..<6).map { _ in TestStay.next() }
        var answered: [String: String] = [:]
        var isOver = false
        let clients = (0..<6).map { client in
            Task {
                var number = 0
                while !isOver {
                    number += 1
                    var body = BookingBody(stays[client], hotel: 1 + client % 3, type: (1 + client % 3) * 10 + 1)
                    body.engineID = "crash-\(client)-\(number)"
                    guard let answer = try? await node.book(body) else { continue }
                    if answer.status == 201, let id = answer.string("booking_id") {
                        answered[id] = body.engineID
                        if number % 2 == 0 { _ = try? await self.delete(node, id) }
                    } else if answer.status == 409 {
                        try? await Loop.sleep(for: .milliseconds(20))
                    }
                }
            }
        }
        for round in 0..<16 {
            try await Loop.sleep(for: .milliseconds(Int64.random(in: 200...900)))
            switch round % 4 {
            case 0, 2: kill(try node.processID("bridge"), SIGKILL)
            case 1:
                try await hotel.crash()
                try await hotel.start()
            default: kill(try node.processID("postgresql"), SIGQUIT)
            }
        }
        try await Loop.sleep(for: .seconds(1))
        isOver = true
        for client in clients { _ = await client.value }
        try await wait("the bridge's database answers", for: .seconds(60)) {
            try await Files.run(["psql", "-X", "-d", try node.variable("DATABASE_URL"), "-c", "SELECT 1"]).exit
                .isSuccess
        }
        // What a bridge that was killed had claimed is another's when the lease is over.
        try await wait("nothing is left half done", for: .seconds(180)) {
            try await node.value(
                """
                SELECT (SELECT count(*) FROM pg_prepared_xacts)
                     + (SELECT count(*) FROM drawbridge.pms_writes WHERE status IN ('pending', 'retrying'))
                """) == "0"
        }
        #expect(answered.count > 5)
        let booked = try await node.rows(
            """
            SELECT booking_id, status, hotel_id, sync_status
            FROM drawbridge.bookings AS booking JOIN booking_sync_status USING (hotel_id, booking_id)
            WHERE booking.booking_engine_id LIKE 'crash-%'
            """)
        let reserved = try await hotel.rows(
            "SELECT id, status FROM reservations WHERE ota_reservation_id LIKE 'crash-%'")
        let known = Set(reserved.map { $0[0] })
        // What was taken as pending and given up before the PMS was back, or then had no room, the PMS has never heard of.
        let ours = booked.filter { row in
            !(row[2] == "2" && !known.contains(row[0]) && (row[1] == "cancelled" || row[3] == "conflict"))
        }
        #expect(!booked.contains { $0[3] == "pending" || $0[3] == "failed" })
        #expect(Set(ours.map { $0[..<2] }).symmetricDifference(reserved.map { $0[..<2] }).isEmpty)
        #expect(Set(answered.keys).isSubset(of: booked.map { $0[0] }))
        #expect(
            try await node.rows(
                """
                SELECT booking_id FROM drawbridge.bookings AS booking WHERE version <> (
                    SELECT count(*) FROM drawbridge.events WHERE entity_id = booking.booking_id::TEXT)
                """
            ).isEmpty)
        #expect(
            try await hotel.rows(
                """
                SELECT room_id, date FROM reservation_details WHERE cancelled IS NULL AND room_id IS NOT NULL
                  AND reservation_id IN (SELECT id FROM reservations WHERE ota_reservation_id LIKE 'crash-%')
                GROUP BY room_id, date HAVING count(*) > 1
                """
            ).isEmpty)
        #expect(try await node.stop().isSuccess)
        try await hotel.stop()
    }
}
