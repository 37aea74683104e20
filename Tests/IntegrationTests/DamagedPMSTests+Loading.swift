import Glibc
import JSONText
import Loop
import Testing

// What keeps hotels from being loaded or booked that is not in their rows.
extension DamagedPMSTests {
    /// What the node has said since an offset of its log.
    @OnLoop private func output(_ node: Node, since offset: Int) -> String {
        String(decoding: node.log.utf8.dropFirst(offset), as: UTF8.self)
    }

    struct Loss: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let harm: String
        let remedy: String
        let reason: String
        let doctor: String
    }

    static let losses = [
        Loss(
            testDescription: "a right that is missing", harm: "REVOKE SELECT ON rooms FROM CURRENT_USER",
            remedy: "GRANT SELECT ON rooms TO CURRENT_USER", reason: "permission denied for table rooms (42501)",
            doctor: "PMS table rooms: this role may not read "),
        Loss(
            testDescription: "a column that is missing", harm: "ALTER TABLE rooms RENAME COLUMN capacity TO beds",
            remedy: "ALTER TABLE rooms RENAME COLUMN beds TO capacity",
            reason: "column \"capacity\" does not exist (42703)", doctor: "PMS table rooms: no column capacity"),
        Loss(
            testDescription: "a right that the PMS's function asks for",
            harm: "REVOKE SELECT ON hotel_plan_exclusions FROM CURRENT_USER",
            remedy: "GRANT SELECT ON hotel_plan_exclusions TO CURRENT_USER",
            reason: "permission denied for table hotel_plan_exclusions (42501)",
            doctor: "PMS function get_available_plans_for_hotel: "),
    ]

    @Test("When no hotel can be read the bridge is not ready, and says once why", .timeLimit(.minutes(5)))
    @OnLoop func allUnreadable() async throws {
        let node = try Node()
        try await node.start()
        for loss in Self.losses {
            let offset = node.log.utf8.count
            _ = try await node.rows(loss.harm)
            try await node.forgetCatalogue()
            let bridge = try node.processID("bridge")
            kill(bridge, SIGKILL)
            try await wait("it says so") {
                output(node, since: offset).contains("hotels loaded")
            }
            try await wait("requests are answered") {
                try await node.get("/api/booking-engine/hotels").status == 200
            }
            try await node.waitUntilGatewaysAreReady()
            for hotel in 1...3 { try await expectUnavailable(node.get("/api/booking-engine/hotels/\(hotel)")) }
            let readiness = try await node.socket("bridge.admin").send(.get("/readyz"))
            expectProblem(readiness, 503, "not-ready")
            #expect(readiness.string("detail") == "none of the hotels can be read")
            #expect(!output(node, since: offset).contains("bridge is ready"))
            let ill = try await node.doctor().split(separator: "\n").filter { $0.hasPrefix("WRONG") }
            #expect(ill.count == 1 && ill[0].contains(loss.doctor), "\(ill)")
            // Once some can be read again, another that was tried just before is told of.
            #expect(lines(output(node, since: offset), "hotel cannot be read and is not sold").isEmpty)

            _ = try await node.rows(loss.remedy)
            try await wait("it is ready") { try node.processID("bridge") != bridge }
            try await wait("all are back") {
                try await node.get("/api/booking-engine/hotels").elements("hotels").count == 3
            }
            #expect(try await node.socket("bridge.admin").send(.get("/readyz")).status == 200)
            let log = output(node, since: offset)
            let said = lines(log, "no hotel can be read")
            #expect(said.count == 1, "\(loss)")
            #expect(said.first?["level"]?.string == "error")
            #expect(said.first?["reason"]?.string == loss.reason)
            #expect(said.first?["hotels"]?.integer == 3)
        }
        #expect(try await node.stop().isSuccess)
    }

    @Test("A hotel whose partition is locked keeps no other from being served", .timeLimit(.minutes(5)))
    @OnLoop func locked() async throws {
        let node = try Node()
        try await node.start()
        let locker = try ChildProcess(
            "/usr/bin/env",
            [
                "psql", "-X", "-q", "-d", try node.variable("DATABASE_URL"), "-c",
                "BEGIN; LOCK TABLE reservation_details_3 IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(300)",
            ],
            environment: ["PATH": "/usr/bin:/bin"], descriptors: [.null, .null, .null])
        defer { locker.send(signal: SIGKILL) }
        let holder = "FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'reservation_details_3'::REGCLASS"
        try await wait("the lock is taken") { try await node.value("SELECT count(*) \(holder)") == "1" }
        try await wait("it is written down what is free") {
            try await node.value("SELECT count(*) FROM drawbridge.availability_cache") == "3"
        }
        _ = try await node.rows("DELETE FROM drawbridge.availability_cache WHERE hotel_id = 3")
        try await restartBridge(node, forgets: false)
        let stay = TestStay.next()
        try await expectUnavailable(node.get(stay.availability(3)))
        // What it is was written down.
        #expect(try await node.get("/api/booking-engine/hotels/3").status == 200)
        #expect(try await node.book(BookingBody(stay)).status == 201)
        #expect(
            lines(node.log, "hotel cannot be read and is not sold").compactMap { $0["hotel_id"]?.integer } == [3])
        _ = try await node.rows("SELECT pg_terminate_backend(pid) \(holder)")
        try await wait("hotel 3 is back", for: .seconds(60)) {
            try await node.get(stay.availability(3)).status == 200
        }
        #expect(try await node.stop().isSuccess)
    }

    @Test(
        "A function of the PMS that fails in a booking costs its hotel 503, as when it is loaded",
        .timeLimit(.minutes(5)))
    @OnLoop func failingFunction() async throws {
        let node = try Node()
        try await node.start()
        _ = try await node.rows("ALTER FUNCTION get_available_plans_for_hotel RENAME TO plans_of_hotel")
        for failure in ["RAISE 'no plans for you'", "PERFORM 1 / 0", "PERFORM nothing FROM nowhere"] {
            _ = try await node.rows(
                """
                CREATE OR REPLACE FUNCTION get_available_plans_for_hotel(INT) RETURNS TABLE (
                    plans_global_id INT, plans_hotel_id INT, plan_key TEXT, name TEXT, description TEXT, plan_type TEXT,
                    color VARCHAR(7)
                ) LANGUAGE plpgsql AS $$
                BEGIN
                    IF $1 = 3 THEN \(failure); END IF;
                    RETURN QUERY SELECT * FROM plans_of_hotel($1);
                END $$
                """)
            try await expectUnavailable(node.book(BookingBody(.next(), hotel: 3, type: 31)))
            #expect(try await node.book(BookingBody(.next())).status == 201, "\(failure)")
        }
        #expect(!node.log.contains("unexpected database error"))
        #expect(node.log.contains("hotel cannot be booked"))
        #expect(try await node.stop().isSuccess)
    }

    @Test("What cannot be read in a table of our own is not the hotel's fault", .timeLimit(.minutes(5)))
    @OnLoop func ownTable() async throws {
        let node = try Node()
        try await node.start()
        let body = BookingBody(.next())
        #expect(try await node.book(body).status == 201)
        _ = try await node.rows(
            """
            ALTER TABLE drawbridge.bookings ALTER COLUMN client DROP NOT NULL;
            UPDATE drawbridge.bookings SET client = NULL
            """)
        expectProblem(try await node.book(body), 500, "internal-error")
        #expect(!node.log.contains("hotel cannot be booked"))
        #expect(lines(node.log, "unexpected database error").count == 1)
        #expect(try await node.stop().isSuccess)
    }
}
