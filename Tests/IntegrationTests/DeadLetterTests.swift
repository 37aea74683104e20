import JSONText
import Loop
import PMS
import Policy
import Testing

/// Holds that the PMS does not let end: what becomes of writes that nobody waits for.
@Suite("Writes into the PMS that fail", .serialized)
struct DeadLetterTests {
    init() { Loop.runInBackground() }

    private static let letters = "/api/booking-engine/dead-letters"

    /// An installation where a reservation with this remark cannot be cancelled.
    @OnLoop private static func node() async throws -> Node {
        let node = try await UnwillingPMS.shared()
        _ = try await node.rows(
            """
            CREATE OR REPLACE FUNCTION refuse_cancelling() RETURNS TRIGGER LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.comment = 'refuse' THEN RAISE EXCEPTION 'no' USING ERRCODE = 'P0001'; END IF;
                IF NEW.comment = 'stall' THEN RAISE EXCEPTION 'not now' USING ERRCODE = '53200'; END IF;
                RETURN NEW;
            END $$;
            CREATE OR REPLACE TRIGGER refuse_cancelling BEFORE UPDATE OF status ON reservations FOR EACH ROW
                WHEN (NEW.status = 'cancelled') EXECUTE FUNCTION refuse_cancelling()
            """)
        return node
    }

    /// A hold that the PMS does not let end, its time over; its booking's id.
    @OnLoop private func stuckHold(_ node: Node, _ stay: TestStay, hotel: Int = 2, why: String = "refuse") async throws
        -> String
    {
        var body = BookingBody(stay, hotel: hotel, type: hotel * 10 + 1)
        body.more = #","hold_minutes":60,"comment":"\#(why)""#
        let answer = try await node.book(body)
        let id = try #require(answer.string("booking_id"), "\(answer.text)")
        _ = try await node.rows(
            "UPDATE drawbridge.bookings SET hold_expires_at = now() - INTERVAL '1 s' WHERE booking_id = '\(id)'")
        return id
    }

    @OnLoop private func admin(_ node: Node) throws -> String { try node.token { $0.scopes = "admin" } }

    /// One, as an administrator sees it.
    @OnLoop private func letter(_ node: Node, _ id: Int) async throws -> Answer {
        try await node.gateway.send(.get("\(Self.letters)/\(id)", try admin(node)))
    }

    /// Waits until it stands so.
    @OnLoop private func waitUntil(_ node: Node, _ id: Int, _ status: String) async throws {
        try await wait("the write is \(status)", for: .seconds(60)) {
            try await node.value("SELECT status FROM drawbridge.pms_writes WHERE id = \(id)") == status
        }
    }

    private func retry(_ id: Int, _ credentials: String) -> TestRequest {
        TestRequest(method: "POST", target: "\(Self.letters)/\(id)/retry", token: credentials)
    }

    /// Waits until a booking's write is a dead letter; its id.
    @OnLoop private func deadLetter(_ node: Node, of booking: String) async throws -> Int {
        let query = "SELECT id FROM drawbridge.pms_writes WHERE booking_id = '\(booking)' AND status = 'dead'"
        try await wait("the dead letter", for: .seconds(60)) { try await !node.rows(query).isEmpty }
        return try #require(Int(try await node.value(query)))
    }

    @Test(
        "What the PMS refuses is a dead letter at once: told, shown, retried when mended, and done",
        .timeLimit(.minutes(3)))
    @OnLoop func refused() async throws {
        let node = try await Self.node()
        let stay = TestStay.next(1)
        let booking = try await stuckHold(node, stay)
        let id = try await deadLetter(node, of: booking)
        let shown = try await letter(node, id)
        #expect(shown.status == 200 && shown.string("status") == "dead", "\(shown.text)")
        #expect(shown.integer("attempts") == 1)
        #expect(shown.string("operation") == "expire_hold" && shown.string("booking_id") == booking)
        #expect(shown.string("error.code") == "refused" && shown.integer("hotel_id") == 2)
        #expect(shown["Cache-Control"] == "private, no-cache")
        let read = try await node.get("/api/booking-engine/bookings/\(booking)")
        #expect(read.string("sync.status") == "failed" && read.string("sync.error") != nil)
        #expect(
            try await node.value(
                """
                SELECT payload -> 'data' ->> 'version' FROM drawbridge.events
                WHERE type = 'sync.failed' AND entity_id = '\(booking)'
                """) == "1")
        let events = try await node.eventFaults()
        #expect(events.described.contains("sync.failed") && events.faults == [])
        // It is not made anew, as long as somebody has to decide.
        #expect(try await writes(node, booking) == "1")

        _ = try await node.rows("UPDATE reservations SET comment = NULL WHERE hotel_id = 2 AND id = '\(booking)'")
        let retried = try await node.gateway.send(retry(id, try admin(node)))
        #expect(retried.status == 200 && ["pending", "resolved"].contains(retried.string("status")), "\(retried.text)")
        try await wait("the hold has ended") {
            try await node.get("/api/booking-engine/bookings/\(booking)").string("status") == "expired"
        }
        try await waitUntil(node, id, "resolved")
        let ended = try await letter(node, id)
        #expect(ended.integer("attempts") == 2 && ended.string("resolved_at") != nil)
        #expect(try await node.get("/api/booking-engine/bookings/\(booking)").string("sync.status") == "synced")
        #expect(try await node.available(2, 21, stay) == 11)
        expectProblem(try await node.gateway.send(retry(id, try admin(node))), 409, "no-dead-letter")
        #expect(try await audit(node, booking, "retry_write") == [["none"]])
    }

    @Test(
        "A booking stays failed until its dead letter has ended, whatever is done to it meanwhile",
        .timeLimit(.minutes(3)))
    @OnLoop func staysFailed() async throws {
        let node = try await Self.node()
        func sync(_ booking: String) async throws -> String? {
            try await node.get("/api/booking-engine/bookings/\(booking)").string("sync.status")
        }
        func version(_ booking: String) async throws -> String {
            try await node.value("SELECT version FROM drawbridge.bookings WHERE booking_id = '\(booking)'")
        }
        /// Lets the write be tried again, which then finds nothing in its way.
        func end(_ id: Int, _ booking: String) async throws {
            _ = try await node.rows("UPDATE reservations SET comment = NULL WHERE hotel_id = 2 AND id = '\(booking)'")
            #expect(try await node.gateway.send(retry(id, try admin(node))).status == 200)
            try await waitUntil(node, id, "resolved")
            #expect(try await sync(booking) == "synced")
        }
        // The front desk changes something about it.
        let guests = try await stuckHold(node, .next(1))
        var id = try await deadLetter(node, of: guests)
        _ = try await node.rows(
            "UPDATE reservation_details SET number_of_people = 2 WHERE hotel_id = 2 AND reservation_id = '\(guests)'")
        try await wait("it is noted") { try await version(guests) == "2" }
        let read = try await node.get("/api/booking-engine/bookings/\(guests)")
        #expect(read.string("sync.status") == "failed" && read.string("sync.error") != nil, "\(read.text)")
        try await end(id, guests)
        // The front desk confirms it: nothing is left to do, which is found out when it is tried again. Its client may change it.
        let kept = try await stuckHold(node, .next(1))
        id = try await deadLetter(node, of: kept)
        _ = try await node.rows("UPDATE reservations SET status = 'confirmed' WHERE hotel_id = 2 AND id = '\(kept)'")
        try await wait("it is noted") { try await version(kept) == "2" }
        var request = TestRequest.post(
            "/api/booking-engine/bookings/\(kept)", try node.token(),
            json: #"{"rooms":[{"room_type_id":21,"guests":2,"plan_key":"1h"}]}"#)
        request.method = "PUT"
        let changed = try await node.gateway.send(request.with("If-Match", "\"2\""))
        #expect(changed.status == 200 && changed.string("sync.status") == "failed", "\(changed.text)")
        #expect(try await sync(kept) == "failed")
        try await end(id, kept)
        #expect(try await node.get("/api/booking-engine/bookings/\(kept)").string("status") == "confirmed")
    }

    @Test("What may succeed later is tried three times, and not again before its time", .timeLimit(.minutes(3)))
    @OnLoop func retriedByItself() async throws {
        let node = try await Self.node()
        let booking = try await stuckHold(node, .next(1), why: "stall")
        let id = try await deadLetter(node, of: booking)
        let row = try await node.rows(
            """
            SELECT attempts, claims, error_code,
                   dead_at - first_attempt_at >= INTERVAL '3 seconds' FROM drawbridge.pms_writes WHERE id = \(id)
            """)
        #expect(row == [["3", "3", "busy", "t"]])
    }

    @Test(
        "A dead letter is abandoned with a reason, once, and nothing of it is tried any more", .timeLimit(.minutes(3)))
    @OnLoop func abandoned() async throws {
        let node = try await Self.node()
        let booking = try await stuckHold(node, .next(1))
        let id = try await deadLetter(node, of: booking)
        func abandon(_ json: String, key: String? = nil) async throws -> Answer {
            let request = TestRequest.post("\(Self.letters)/\(id)/abandon", try admin(node), json: json)
            return try await node.gateway.send(key.map { request.with("Idempotency-Key", $0) } ?? request)
        }
        for json in ["{}", #"{"reason":""}"#, #"{"reason":1}"#, #"{"reason":"x","more":1}"#] {
            expectProblem(try await abandon(json), 422, "invalid-request")
        }
        let long = #"{"reason":"\#(String(repeating: "x", count: 1001))"}"#
        expectProblem(try await abandon(long), 422, "invalid-request")
        #expect(try await letter(node, id).string("status") == "dead")
        let done = try await abandon(#"{"reason":"cancelled by telephone"}"#, key: "abandon-1")
        #expect(done.status == 200 && done.string("status") == "abandoned", "\(done.text)")
        #expect(done.string("notes") == "cancelled by telephone" && done.string("resolved_by") != nil)
        #expect(try await abandon(#"{"reason":"cancelled by telephone"}"#, key: "abandon-1").text == done.text)
        #expect(try await abandon(#"{"reason":"again"}"#).string("notes") == "cancelled by telephone")
        expectProblem(try await abandon(#"{"reason":"other"}"#, key: "abandon-1"), 422, "idempotency-key-reused")
        #expect(try await audit(node, booking, "abandon_write") == [["cancelled by telephone"]])
        // Nothing is left to do, and the booking is as it is meant to be.
        let read = try await node.get("/api/booking-engine/bookings/\(booking)")
        #expect(read.string("sync.status") == "synced" && read.value("sync.error") == .null, "\(read.text)")
        // Another hold's end shows that the bridge has looked again since.
        let other = try await stuckHold(node, .next(1), why: "fine")
        try await wait("the other hold has ended") {
            try await node.get("/api/booking-engine/bookings/\(other)").string("status") == "expired"
        }
        #expect(
            try await node.rows("SELECT status FROM drawbridge.pms_writes WHERE booking_id = '\(booking)'")
                == [["abandoned"]])
        // What went well at once leaves nothing behind.
        #expect(try await writes(node, other) == "0")
    }

    @Test("An administrator of one hotel sees and decides that one's; others nothing; pages have each once")
    @OnLoop func bound() async throws {
        let node = try await Self.node()
        let mine = try await deadLetter(node, of: try await stuckHold(node, .next(1), hotel: 3))
        let other = try await deadLetter(node, of: try await stuckHold(node, .next(1), hotel: 2))
        let (admin, _) = try await node.apiKey("letters-admin", "admin hotel:read", hotel: 3)
        let (plain, _) = try await node.apiKey("letters-plain")
        func ids(_ query: String, _ credentials: String) async throws -> [Int64] {
            let answer = try await node.gateway.send(.get(Self.letters + query, credentials))
            #expect(answer.status == 200, "\(answer.text)")
            return answer.elements("dead_letters").compactMap { $0["id"]?.integer }
        }
        #expect(try await ids("", admin) == [Int64(mine)])
        #expect(Set(try await ids("?limit=500", try self.admin(node))).isSuperset(of: [Int64(mine), Int64(other)]))
        #expect(try await ids("?status=resolved&operation=move_booking", admin) == [])
        let abandon = TestRequest.post("\(Self.letters)/\(other)/abandon", admin, json: #"{"reason":"x"}"#)
        for request in [retry(other, admin), abandon] {
            expectProblem(try await node.gateway.send(request), 404, "dead-letter-not-found")
        }
        for id in [other, 999_999] {
            let answer = try await node.gateway.send(.get("\(Self.letters)/\(id)", admin))
            expectProblem(answer, 404, "dead-letter-not-found")
        }
        expectProblem(try await node.gateway.send(.get("\(Self.letters)?hotel_id=2", admin)), 403, "foreign-hotel")
        expectProblem(try await node.gateway.send(.get(Self.letters, plain)), 403, "insufficient-scope")
        for query in ["?limit=0", "?limit=501", "?status=gone", "?operation=x", "?before=x", "?page=2"] {
            expectProblem(try await node.gateway.send(.get(Self.letters + query, admin)), 400, "malformed-request")
        }
        _ = try await node.rows(
            """
            INSERT INTO drawbridge.pms_writes (operation, hotel_id, booking_id, status, next_attempt_at, dead_at, error_code)
            SELECT 'move_booking', 3, gen_random_uuid(), 'dead', NULL, now() - INTERVAL '5 hours', 'refused'
            FROM generate_series(1, 25)
            """)
        var (found, next): ([Int64], Int?) = ([], .max)
        while let before = next {
            let query = "?operation=move_booking&limit=10" + (before == .max ? "" : "&before=\(before)")
            let answer = try await node.gateway.send(.get(Self.letters + query, admin))
            #expect(answer.elements("dead_letters").count <= 10)
            found += answer.elements("dead_letters").compactMap { $0["id"]?.integer }
            next = answer.integer("next")
        }
        #expect(found.count == 25 && found == Set(found).sorted(by: >))
        try await wait("they are counted") {
            let metrics = try await node.socket("bridge.admin").send(.get("/metrics")).text
            return metrics.contains(#"drawbridge_bridge_dead_letters{process="bridge",operation="move_booking"} 25"#)
                || metrics.contains(#"drawbridge_bridge_dead_letters{operation="move_booking"} 25"#)
        }
        _ = try await node.rows("DELETE FROM drawbridge.pms_writes WHERE operation = 'move_booking'")
    }

    @Test("The command lists, shows, retries and abandons; what is no dead letter it says", .timeLimit(.minutes(3)))
    @OnLoop func command() async throws {
        let node = try await Self.node()
        let booking = try await stuckHold(node, .next(1))
        let id = try await deadLetter(node, of: booking)
        func run(_ arguments: String...) async throws -> (isSuccess: Bool, output: String) {
            let result = try await Files.run(
                [Node.program, "dead-letters"] + arguments, environment: ["DRAWBRIDGE_HOME": node.home])
            return (result.exit.isSuccess, result.output)
        }
        let list = try await run("list", "--hotel", "2")
        #expect(list.isSuccess && list.output.contains(booking) && list.output.contains("expire_hold"))
        #expect(try await !run("list", "--status", "abandoned").output.contains(booking))
        let shown = try await run("show", "\(id)").output
        #expect(shown.contains("booking_id: \(booking)") && shown.contains("error_code: refused"), "\(shown)")
        #expect(try await run("retry", "\(id)").isSuccess)
        try await wait("it is tried again") {
            try await node.value("SELECT attempts + earlier_attempts FROM drawbridge.pms_writes WHERE id = \(id)")
                == "2"
        }
        try await waitUntil(node, id, "dead")
        #expect(try await !run("abandon", "\(id)").isSuccess)
        #expect(try await run("abandon", "\(id)", "--reason", "it's done | by hand").isSuccess)
        let record = try await letter(node, id)
        #expect(record.string("notes") == "it's done | by hand", "\(record.text)")
        #expect(record.string("resolved_by")?.hasPrefix("command line: ") == true)
        let again = try await run("retry", "\(id)")
        #expect(!again.isSuccess && again.output.contains("no dead letter"))
        #expect(try await audit(node, booking, "retry_write") == [["none"]])
        #expect(try await audit(node, booking, "abandon_write").count == 1)
        #expect(try await node.get("/api/booking-engine/bookings/\(booking)").string("sync.status") == "synced")
    }

    @Test("A write of which this program knows nothing is left alone, and the hotel's others are done")
    @OnLoop func unknownOperation() async throws {
        let node = try await Self.node()
        _ = try await node.rows(
            """
            ALTER TABLE drawbridge.pms_writes DROP CONSTRAINT pms_writes_operation_check;
            INSERT INTO drawbridge.pms_writes (operation, hotel_id, booking_id, next_attempt_at)
            VALUES ('post_charge', 2, gen_random_uuid(), now() - INTERVAL '1 day')
            """)
        let hold = try await stuckHold(node, .next(1), why: "fine")
        try await wait("the hold has ended") {
            try await node.value("SELECT status FROM drawbridge.bookings WHERE booking_id = '\(hold)'") == "expired"
        }
        let left = try await node.rows(
            "DELETE FROM drawbridge.pms_writes WHERE operation = 'post_charge' RETURNING attempts")
        #expect(left == [["0"]])
    }

    @Test(
        "What a bridge has claimed is another one's only when its time is over; one that ends so too often is a dead letter"
    )
    @OnLoop func claimed() async throws {
        let node = try await Self.node()
        func hold(_ attempts: Int, _ next: String) async throws -> String {
            var body = BookingBody(.next(1))
            body.more = #","hold_minutes":60"#
            let id = try #require(try await node.book(body).string("booking_id"))
            _ = try await node.rows(
                """
                INSERT INTO drawbridge.pms_writes (operation, hotel_id, booking_id, attempts, claims, next_attempt_at)
                VALUES ('expire_hold', 2, '\(id)', \(attempts), \(attempts), \(next));
                UPDATE drawbridge.bookings SET hold_expires_at = now() - INTERVAL '1 s' WHERE booking_id = '\(id)'
                """)
            return id
        }
        let mine = try await hold(1, "now() + INTERVAL '1 hour'")
        let spent = try await hold(3, "now()")
        let letter = try await letter(node, try await deadLetter(node, of: spent))
        #expect(letter.string("error.code") == "timed_out", "\(letter.text)")
        // The bridge has looked since; a hold that nobody has claimed has ended.
        let other = try await stuckHold(node, .next(1), why: "fine")
        func status(_ id: String) async throws -> String {
            try await node.value("SELECT status FROM drawbridge.bookings WHERE booking_id = '\(id)'")
        }
        try await wait("the other hold has ended") { try await status(other) == "expired" }
        for id in [mine, spent] { #expect(try await status(id) == "hold") }
        _ = try await node.rows("UPDATE drawbridge.pms_writes SET next_attempt_at = now() WHERE booking_id = '\(mine)'")
        try await wait("the claimed one has ended, too") { try await status(mine) == "expired" }
        #expect(try await writes(node, mine) == "0")
    }

    private static let isBusy =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'busy' AND wait_event = 'PgSleep'"

    @Test("A hotel where somebody holds the lock keeps no other hotel's holds from ending", .timeLimit(.minutes(3)))
    @OnLoop func busyHotel() async throws {
        let node = try await Self.node()
        // More than a bridge has under way at once, each held up for 5 s: one after the other they would take half a minute.
        var busy: [String] = []
        for _ in 0..<6 {
            var body = BookingBody(.next(1), hotel: 1, type: 11)
            body.more = #","hold_minutes":60"#
            busy.append(try #require(try await node.book(body).string("booking_id")))
        }
        let locker = try ChildProcess(
            "/usr/bin/env",
            [
                "psql", "-X", "-q", "-d", try node.variable("DATABASE_URL"), "-c",
                "SET application_name = 'busy'; BEGIN; SELECT pg_advisory_xact_lock(17474, 1); SELECT pg_sleep(300)",
            ],
            environment: ["PATH": "/usr/bin:/bin"], descriptors: [.null, .null, .null])
        defer { locker.send(signal: 9) }
        try await wait("the hotel is locked") {
            try await node.value(
                Self.isBusy) == "1"
        }
        let list = busy.map { "'\($0)'" }.joined(separator: ",")
        _ = try await node.rows(
            """
            UPDATE drawbridge.bookings SET hold_expires_at = now() - INTERVAL '2 s'
            WHERE booking_id IN (\(list))
            """)
        let free = try await stuckHold(node, .next(1), hotel: 2, why: "fine")
        try await wait("the other hotel's hold has ended") {
            try await node.value("SELECT status FROM drawbridge.bookings WHERE booking_id = '\(free)'") == "expired"
        }
        #expect(
            try await node.value(
                Self.isBusy) == "1",
            "the lock was held all the while")
        let tried =
            "SELECT count(*) FROM drawbridge.pms_writes WHERE booking_id IN (\(list)) AND error_code IS NOT NULL"
        #expect(try #require(Int(try await node.value(tried))) < 4, "it did not wait for the busy hotel's")
        _ = try await node.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'busy'")
        _ = try await locker.waitForExit()
        try await wait("the busy hotel's holds have ended, too", for: .seconds(60)) {
            try await node.value(
                "SELECT count(*) FROM drawbridge.bookings WHERE booking_id IN (\(list)) AND status = 'hold'") == "0"
        }
    }

    @Test("The policy's words for failures are those of the adapters")
    func words() {
        #expect(
            Set(BridgePolicy.PMSWrites.Failure.allCases.map(\.rawValue))
                == Set(WriteFailure.Kind.allCases.filter(\.isTransient).map(\.rawValue)))
    }

    @OnLoop private func writes(_ node: Node, _ booking: String) async throws -> String {
        try await node.value("SELECT count(*) FROM drawbridge.pms_writes WHERE booking_id = '\(booking)'")
    }

    /// What the audit log says of a booking, the reasons given.
    @OnLoop private func audit(_ node: Node, _ booking: String, _ action: String) async throws -> [[String]] {
        try await node.rows(
            """
            SELECT COALESCE(request_data ->> 'reason', 'none') FROM booking_engine_audit_log
            WHERE entity_id = '\(booking)' AND action = '\(action)'
            """)
    }
}

/// One installation for the tests that let the PMS refuse what is written.
@OnLoop
enum UnwillingPMS {
    private static var starting: Task<Node, any Error>?

    static func shared() async throws -> Node {
        if let starting { return try await starting.value }
        let task = Task {
            let node = try Node(workers: 1)
            try await FirstStart.copyDatabase(to: node.home)
            configure(node, "")
            try await node.bringUp()
            return node
        }
        starting = task
        return try await task.value
    }

    /// Settings of its PostgreSQL, which can be made to wait for a standby. Nobody but its owner may ask the server for them;
    /// its files can be written where it runs.
    static func configure(_ node: Node, _ more: String) {
        let file = Files.resolve("\(node.home)/cluster") + "/postgresql.auto.conf"
        Files.write("wal_level = replica\nmax_wal_senders = 1\n" + more, to: file)
    }
}
