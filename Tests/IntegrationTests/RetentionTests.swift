import Loop
import Testing

@Suite("What is kept, and for how long")
struct RetentionTests {
    init() { Loop.runInBackground() }

    @Test("Old events, bookings and months of the audit log go when the bridge starts; what is younger stays")
    @OnLoop func removed() async throws {
        let node = try Node(workers: 1)
        try await node.start()
        let booking = try #require(try await node.book(BookingBody(.next(1))).string("booking_id"))
        let old = try #require(try await node.book(BookingBody(.next(1))).string("booking_id"))
        // An event without an id of its day, and a day of long ago.
        try await wait("the events to be taken from the outbox") {
            try await node.value("SELECT count(*) FROM drawbridge.outbox_events") == "0"
        }
        let waiting = try await node.value(
            """
            UPDATE drawbridge.bookings SET arrival = arrival - 2000, departure = departure - 2000
            WHERE booking_id = '\(old)';
            UPDATE drawbridge.webhook_events SET event_id = gen_random_uuid(), created_at = now() - INTERVAL '31 days'
            WHERE entity_id = '\(old)';
            CREATE TABLE drawbridge.webhook_events_2020_01_01 PARTITION OF drawbridge.webhook_events
                FOR VALUES FROM (drawbridge.first_id('2020-01-01Z')) TO (drawbridge.first_id('2020-01-02Z'));
            DROP TABLE drawbridge.webhook_attempts_\(try await Self.day(node, 2));
            -- A month without a partition, and one of long ago.
            DROP TABLE \(try await Self.partition(node, 2));
            INSERT INTO booking_engine_audit_log (action, entity_type, status, actor, created_at) VALUES
                ('test', 'booking', 'success', 'test', date_trunc('month', now() AT TIME ZONE 'UTC') + INTERVAL '2 months'),
                ('test', 'booking', 'success', 'test', now() - INTERVAL '20 months'),
                ('test', 'booking', 'success', 'test', now() - INTERVAL '12 months');
            -- Ended long ago, lately, and one that still waits for somebody.
            INSERT INTO drawbridge.pms_writes (operation, hotel_id, booking_id, status, next_attempt_at, error_code, dead_at,
                                               resolved_at)
            VALUES ('move_booking', 1, gen_random_uuid(), 'resolved', NULL, 'busy', NULL, now() - INTERVAL '91 days'),
                   ('move_booking', 2, gen_random_uuid(), 'resolved', NULL, 'busy', NULL, now() - INTERVAL '89 days'),
                   ('move_booking', 3, gen_random_uuid(), 'dead', NULL, 'busy', now() - INTERVAL '900 days', NULL);
            CREATE TABLE booking_engine_audit_log_2020_01 PARTITION OF booking_engine_audit_log
                FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
            -- In the same transaction: the first bridge looks once, too, and that may be right after it.
            SELECT count(*) FROM booking_engine_audit_log_default;
            """)
        #expect(waiting == "3")
        let id = try node.processID("bridge")
        // The retention of a new bridge looks at once.
        _ = try await Files.run(["kill", "-9", "\(id)"])
        try await wait("the old booking is gone", for: .seconds(60)) {
            let left = try? await node.value("SELECT count(*) FROM drawbridge.bookings WHERE booking_id = '\(old)'")
            return left == "0"
        }
        #expect(try await node.value("SELECT count(*) FROM booking_sync_status WHERE booking_id = '\(old)'") == "0")
        #expect(
            try await node.rows("SELECT entity_id FROM drawbridge.events WHERE type LIKE 'booking.%'") == [[booking]])
        #expect(try await node.value("SELECT to_regclass('drawbridge.webhook_events_2020_01_01') IS NULL") == "t")
        let missing = "SELECT to_regclass('drawbridge.webhook_attempts_\(try await Self.day(node, 2))') IS NULL"
        #expect(try await node.value(missing) == "f")
        #expect(try await node.value("SELECT count(*) FROM drawbridge.bookings WHERE booking_id = '\(booking)'") == "1")
        try await wait("the old write is gone") {
            try await node.rows("SELECT hotel_id FROM drawbridge.pms_writes ORDER BY 1") == [["2"], ["3"]]
        }
        // What waited has moved into its month; what is too old is gone; what is young enough and has no month stays.
        #expect(try await node.value("SELECT to_regclass('booking_engine_audit_log_2020_01') IS NULL") == "t")
        #expect(try await Self.inDefault(node) == "1")
        #expect(try await node.value("SELECT count(*) FROM \(try await Self.partition(node, 2))") == "1")
        #expect(
            try await node.value("SELECT count(*) FROM booking_engine_audit_log WHERE action = 'create'") == "2")
        #expect(try await node.stop().isSuccess)
    }

    @Test("A booking is made although the month has no partition in the audit log")
    @OnLoop func missingMonth() async throws {
        let node = try Node(workers: 1)
        try await node.start()
        // The bridge looks once when it has started, and then may have made the month again.
        try await wait("a booking without a month") {
            _ = try await node.rows("DROP TABLE IF EXISTS \(try await Self.partition(node, 0))")
            #expect(try await node.book(BookingBody(.next(1))).status == 201)
            return try await Self.inDefault(node) == "1"
        }
        #expect(try await node.value("SELECT drawbridge.make_audit_partitions(0)") == "1")
        #expect(try await Self.inDefault(node) == "0")
        #expect(try await node.value("SELECT count(*) FROM \(try await Self.partition(node, 0))") == "1")
        #expect(try await node.stop().isSuccess)
    }

    /// The partition of the month that is so many ahead.
    @OnLoop private static func partition(_ node: Node, _ ahead: Int) async throws -> String {
        try await node.value(
            """
            SELECT 'booking_engine_audit_log_'
                || to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + INTERVAL '\(ahead) months', 'YYYY_MM')
            """)
    }

    /// The name of the day that so many lie ahead of, as webhooks' partitions have it.
    @OnLoop private static func day(_ node: Node, _ ahead: Int) async throws -> String {
        try await node.value("SELECT to_char((now() AT TIME ZONE 'UTC')::DATE + \(ahead), 'YYYY_MM_DD')")
    }

    @OnLoop private static func inDefault(_ node: Node) async throws -> String {
        try await node.value("SELECT count(*) FROM booking_engine_audit_log_default")
    }
}
