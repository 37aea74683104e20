import Glibc
import Loop
import Stay
import Testing

/// `drawbridge reconcile` beside a bridge that runs.
@Suite("Reconciling")
struct ReconcileTests {
    init() { Loop.runInBackground() }

    @OnLoop private func reconcile(_ node: Node, _ arguments: String...) async throws -> (status: Int64, output: String)
    {
        let result = try await Files.run(
            [Node.program, "reconcile"] + arguments, environment: ["DRAWBRIDGE_HOME": node.home],
            patience: .seconds(120))
        return (result.exit.status, result.output)
    }

    @OnLoop private func book(_ node: Node, _ stay: TestStay) async throws -> String {
        try #require(try await node.book(BookingBody(stay)).string("booking_id"))
    }

    @Test(
        "Nights without a room count in an index, and nobody is moved into a room that is not sold",
        .timeLimit(.minutes(5)))
    @OnLoop func unsoldRooms() async throws {
        let node = try Node(workers: 1)
        try await node.start()
        let stay = TestStay.next(1)
        let booking = try await book(node, stay)
        func quietly(_ statements: String) async throws {
            _ = try await node.rows("SET session_replication_role = replica; \(statements)")
        }
        let somebody = "(SELECT id FROM reservations WHERE hotel_id = 2 AND agent IS NULL LIMIT 1)"
        try await quietly(
            """
            INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people)
            VALUES (2, \(somebody), '\(stay.arrival)', NULL, 1)
            """)
        let unknown = try await reconcile(node, "--hotel", "999")
        #expect(unknown.status == 1 && unknown.output.contains("no hotel 999"), "\(unknown.output)")
        #expect(try await reconcile(node, "--hotel", "1").status == 0)
        let roomless = try await reconcile(node)
        #expect(roomless.status == 2 && roomless.output.contains("differ from the database"), "\(roomless.output)")
        #expect(try await reconcile(node, "--repair").status == 0)
        #expect(try await node.get(stay.availability(2)).integer("unassigned_nights") == 1)

        // Somebody gets the booking's room, too; of the others all but the last one have a night that nobody can tell.
        let type = "SELECT id FROM rooms WHERE hotel_id = 2 AND room_type_id = 21 AND for_sale AND NOT is_staff_room"
        let own = "SELECT room_id FROM reservation_details WHERE reservation_id = '\(booking)'"
        let last = try await node.value(
            "\(type) AND id NOT IN (\(own)) ORDER BY assignment_priority DESC NULLS FIRST, id DESC LIMIT 1")
        try await quietly(
            """
            INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people)
            SELECT 2, \(somebody), CASE WHEN id IN (\(own)) THEN '\(stay.arrival)'::DATE ELSE 'infinity' END, id, 1
            FROM (\(type)) AS room WHERE id <> \(last)
            """)
        _ = try await reconcile(node, "--repair")
        #expect(try await node.rows("\(own) AND cancelled IS NULL") == [[last]])
        #expect(try await node.stop().isSuccess)
    }

    @Test("It finds and mends what nobody has noted", .timeLimit(.minutes(5)))
    @OnLoop func mends() async throws {
        let node = try Node(workers: 1)
        try await node.start()
        let stay = TestStay.next(2)
        let changed = try await book(node, stay)
        let deleted = try await book(node, stay)
        let doubled = try await book(node, stay)
        let ended = try await book(node, stay)
        #expect(try await reconcile(node).status == 0)

        // Behind the log's back, so that the bridge does not hear of it.
        func quietly(_ statements: String) async throws {
            _ = try await node.rows("SET session_replication_role = replica; \(statements)")
        }
        try await quietly("UPDATE reservation_details SET price = 1234 WHERE reservation_id = '\(changed)'")
        try await quietly(
            """
            DELETE FROM reservation_details WHERE reservation_id = '\(deleted)';
            DELETE FROM booking_sync_status WHERE booking_id = '\(deleted)';
            DELETE FROM reservations WHERE id = '\(deleted)'
            """)
        try await quietly(
            """
            INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people)
            SELECT 2, (SELECT id FROM reservations WHERE hotel_id = 2 AND agent IS NULL LIMIT 1), date, room_id, 1
            FROM reservation_details WHERE reservation_id = '\(doubled)'
            """)
        #expect(
            try await node.gateway.send(
                TestRequest(method: "DELETE", target: "/api/booking-engine/bookings/\(ended)", token: try node.token())
            ).status == 200)
        try await quietly("UPDATE reservations SET status = 'confirmed' WHERE id = '\(ended)'")
        let orphan = try await node.value(
            """
            SET session_replication_role = replica;
            INSERT INTO reservations (hotel_id, reservation_client_id, check_in, check_out, number_of_people, status, type,
                                      agent, ota_reservation_id)
            SELECT 2, reservation_client_id, check_in, check_out, 1, 'confirmed', 'web', agent, 'nobody-knows'
            FROM reservations WHERE id = '\(changed)' RETURNING id
            """)

        let found = try await reconcile(node)
        #expect(found.status == 2)
        let lines = [
            (changed, "the front desk has changed it"), (deleted, "its reservation is gone"),
            (doubled, "another reservation takes a room"), (ended, "it has ended"), (orphan, "is no booking"),
        ]
        for (id, words) in lines {
            #expect(
                found.output.split(separator: "\n").contains { $0.contains(id) && $0.contains(words) },
                "\(words): \(found.output)")
        }
        #expect(found.output.contains("bridge: room-nights of the index differ"), "\(found.output)")
        // Nothing was changed by looking.
        #expect(
            try await node.value("SELECT version FROM drawbridge.bookings WHERE booking_id = '\(changed)'") == "1")
        #expect(try await reconcile(node, "--hotel", "1").status == 0)

        let mended = try await reconcile(node, "--repair", "--hotel", "2")
        #expect(mended.status == 2, "two are for people: \(mended.output)")
        let rest = try await reconcile(node)
        #expect(rest.status == 2)
        #expect(rest.output.split(separator: "\n").count == 3, "\(rest.output)")
        for id in [ended, orphan] { #expect(rest.output.contains(id)) }
        let versions = try await node.rows(
            """
            SELECT string_agg(concat_ws(' ', type, version), ',' ORDER BY version) FROM drawbridge.events
            WHERE entity_id IN ('\(changed)', '\(deleted)', '\(doubled)') AND version > 1 GROUP BY entity_id ORDER BY 1
            """)
        #expect(versions == [["booking.cancelled 2"], ["booking.updated 2"], ["booking.updated 2"]])
        #expect(
            try await node.value(
                "SELECT total FROM drawbridge.bookings WHERE booking_id = '\(changed)'") == "2468")
        #expect(try await node.stop().isSuccess)
    }
}
