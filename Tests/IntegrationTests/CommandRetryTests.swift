import Glibc
import Loop
import Testing

/// What becomes of a booking or change that the PMS does not take at once, while its client waits.
@Suite("Commands that are tried again", .serialized)
struct CommandRetryTests {
    init() { Loop.runInBackground() }

    /// An installation whose PMS is out of resources for every reservation with the remark `busy`, and, of those with the
    /// remark `shaky`, for each first time. (What a sequence gives is not taken back.)
    @OnLoop private static func node() async throws -> Node {
        let node = try await UnwillingPMS.shared()
        _ = try await node.rows(
            """
            CREATE SEQUENCE IF NOT EXISTS shakes;
            CREATE OR REPLACE FUNCTION shake() RETURNS TRIGGER LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.comment = 'busy' OR NEW.comment = 'shaky' AND nextval('shakes') % 2 = 1 THEN
                    RAISE EXCEPTION 'not now' USING ERRCODE = '53200';
                END IF;
                RETURN NEW;
            END $$;
            GRANT USAGE ON SEQUENCE shakes TO PUBLIC;
            CREATE OR REPLACE TRIGGER shake BEFORE INSERT OR UPDATE OF comment ON reservations
                FOR EACH ROW EXECUTE FUNCTION shake()
            """)
        return node
    }

    @OnLoop private func counts(_ node: Node, _ engineID: String) async throws -> [[String]] {
        try await node.rows(
            """
            SELECT (SELECT count(*) FROM reservations WHERE ota_reservation_id = '\(engineID)'),
                   (SELECT count(*) FROM drawbridge.bookings WHERE booking_engine_id = '\(engineID)')
            """)
    }

    @Test("What fails for a moment is done at the second attempt, once, and its client sees no more of it")
    @OnLoop func passing() async throws {
        let node = try await Self.node()
        let before = try await node.metric("drawbridge_bridge_commands_retried_total")
        var body = BookingBody(.next(1))
        body.more = #","comment":"shaky""#
        let booked = try await node.book(body)
        #expect(booked.status == 201, "\(booked.text)")
        #expect(try await counts(node, body.engineID) == [["1", "1"]])
        #expect(try await node.metric("drawbridge_bridge_commands_retried_total") == before + 1)
        var change = TestRequest.post(
            "/api/booking-engine/bookings/\(try #require(booked.string("booking_id")))", try node.token(),
            json: #"{"comment":"shaky"}"#
        ).with("If-Match", try #require(booked["ETag"]))
        change.method = "PUT"
        let changed = try await node.gateway.send(change)
        #expect(changed.status == 200 && changed.integer("version") == 2, "\(changed.text)")
        #expect(try await node.metric("drawbridge_bridge_commands_retried_total") == before + 2)
    }

    @Test("What fails at every attempt is answered 503 with Retry-After, and nothing is changed")
    @OnLoop func lasting() async throws {
        let node = try await Self.node()
        var body = BookingBody(.next(1))
        body.more = #","comment":"busy""#
        let answer = try await node.book(body, key: "busy-\(body.engineID)")
        expectProblem(answer, 503, "unavailable")
        #expect(answer["Retry-After"] != nil)
        #expect(try await counts(node, body.engineID) == [["0", "0"]])
        #expect(try await node.available(2, 21, body.stay) == 11)
    }

    @Test(
        "A booking whose commit took effect without a word is not made again; its client gets it",
        .timeLimit(.minutes(3)),
        arguments: [true, false])
    @OnLoop func doubtfulBooking(hasKey: Bool) async throws {
        let node = try await Self.node()
        let body = BookingBody(.next(1))
        let key = hasKey ? "doubt-\(body.engineID)" : nil
        let answer = try await Self.cuttingCommit(node) { try await node.book(body, key: key) }
        #expect(answer.status == (hasKey ? 201 : 200), "\(answer.text)")
        #expect(answer.string("booking_engine_id") == body.engineID)
        #expect(try await counts(node, body.engineID) == [["1", "1"]])
        #expect(
            try await node.value(
                "SELECT count(*) FROM drawbridge.events WHERE entity_id = '\(try #require(answer.string("booking_id")))'"
            ) == "1")
        // What is free is known although nobody had said that it was booked.
        try await wait("the index to know") { try await node.available(2, 21, body.stay) == 10 }
    }

    @Test("A change whose commit took effect without a word is not refused as stale", .timeLimit(.minutes(3)))
    @OnLoop func doubtfulChange() async throws {
        let node = try await Self.node()
        let booked = try await node.book(BookingBody(.next(1)))
        let id = try #require(booked.string("booking_id"))
        var change = TestRequest.post(
            "/api/booking-engine/bookings/\(id)", try node.token(), json: #"{"comment":"late"}"#
        ).with("If-Match", "\"1\"")
        change.method = "PUT"
        let request = change
        let answer = try await Self.cuttingCommit(node) { try await node.gateway.send(request) }
        #expect(answer.status == 200 && answer.integer("version") == 2, "\(answer.text)")
        // Somebody else's change is none of his.
        expectProblem(try await node.gateway.send(request), 412, "precondition-failed")
    }

    /// Cuts the connection of a command after its commit has taken effect and before anybody is told: PostgreSQL has it wait
    /// for a standby that there is not, and then its session is ended.
    @OnLoop
    private static func cuttingCommit(
        _ node: Node, _ command: @escaping @Sendable @OnLoop () async throws -> Answer
    ) async throws -> Answer {
        try await setStandby(node, "nobody")
        let answer = Task { try await command() }
        var cut: [[String]] = []
        try await wait("the commit") {
            cut = try await node.rows(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE wait_event = 'SyncRep' AND query = 'COMMIT'
                """)
            return !cut.isEmpty
        }
        try await setStandby(node, "")
        return try await answer.value
    }

    @OnLoop
    private static func setStandby(_ node: Node, _ name: String) async throws {
        UnwillingPMS.configure(node, "synchronous_standby_names = '\(name)'\n")
        kill(try node.processID("postgresql"), SIGHUP)
        try await wait("the setting") {
            try await node.rows("SHOW synchronous_standby_names") == (name.isEmpty ? [] : [[name]])
        }
    }
}
