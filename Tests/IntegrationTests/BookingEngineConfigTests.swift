import JSONText
import Loop
import Testing
import Webhook

@Suite("Booking engines of booking_engine_config")
struct BookingEngineConfigTests {
    init() { Loop.runInBackground() }

    @Test("A row is an endpoint: it is told of its hotel's bookings, and booking_sync_status says whether it could be")
    @OnLoop func told() async throws {
        let node = try await Node.shared()
        let receiver = try Receiver()
        let row = try await node.rows(
            """
            INSERT INTO booking_engine_config (hotel_id, booking_engine_url) VALUES (3, '\(receiver.url())')
            RETURNING id, endpoint_id
            """)[0]
        let (config, endpoint) = (row[0], row[1])
        let first = try await book(node)
        try await wait("the booking engine is told") { receiver.taken.contains { $0.entity == first } }
        #expect(!receiver.messages.contains { $0["data"]?["hotel_id"]?.integer != 3 })
        #expect(try await status(node, first) == ["synced", ""])

        // The secret that its receiver is told is the one that signs from then on.
        let rotated = try await Files.run(
            [Node.program, "webhook", "rotate-secret", endpoint, "--overlap-hours", "0"],
            environment: ["DRAWBRIDGE_HOME": node.home])
        let line = try #require(rotated.output.split(separator: "\n").first { $0.hasPrefix("whsec_") })
        let secret = try WebhookSecret(parsing: String(line))

        // It takes nothing: what cannot be delivered is said of the booking, until something is.
        _ = try await node.rows(
            """
            UPDATE drawbridge.webhook_endpoints SET maximum_retries = 0, version = version + 1, updated_at = now()
            WHERE id = '\(endpoint)'
            """)
        receiver.answer = { _ in .failure }
        let second = try await book(node)
        try await wait("it is said that it could not be told") {
            try await status(node, second) == ["failed", "The booking engine could not be told"]
        }
        receiver.answer = { _ in .taken }
        let cancelled = try await node.gateway.send(
            TestRequest(
                method: "DELETE", target: "/api/booking-engine/bookings/\(second)",
                token: try node.token()))
        #expect(cancelled.status == 200, "\(cancelled.text)")
        try await wait("it is told again", for: .seconds(30)) { try await status(node, second) == ["synced", ""] }
        let last = try #require(receiver.taken.last { $0.entity == second })
        #expect(last["type"]?.string == "booking.cancelled" && last.isSigned(with: secret))

        // What somebody has disabled is not enabled by a change of something else.
        _ = try await node.rows(
            """
            UPDATE drawbridge.webhook_endpoints SET disabled_at = now(), disabled_reason = 'gone' WHERE id = '\(endpoint)';
            UPDATE booking_engine_config SET sync_interval_minutes = 6 WHERE id = \(config)
            """)
        let reason =
            "SELECT COALESCE(disabled_reason, 'enabled') FROM drawbridge.webhook_endpoints WHERE id = '\(endpoint)'"
        #expect(try await node.value(reason) == "gone")
        _ = try await node.rows("UPDATE booking_engine_config SET sync_enabled = FALSE WHERE id = \(config)")
        _ = try await node.rows("UPDATE booking_engine_config SET sync_enabled = TRUE WHERE id = \(config)")
        #expect(try await node.value(reason) == "enabled")

        // Switched off, it is sent nothing; without its row it is not there.
        _ = try await node.rows("UPDATE booking_engine_config SET sync_enabled = FALSE WHERE id = \(config)")
        let third = try await book(node)
        try await wait("the event is kept for it") {
            try await node.value(
                """
                SELECT count(*) FROM drawbridge.webhook_dead_letters AS letter
                JOIN drawbridge.webhook_events USING (event_id)
                WHERE endpoint_id = '\(endpoint)' AND entity_id = '\(third)' AND reason = 'endpoint_disabled'
                """) == "1"
        }
        #expect(!receiver.messages.contains { $0.entity == third })
        _ = try await node.rows("DELETE FROM booking_engine_config WHERE id = \(config)")
        #expect(
            try await node.value("SELECT count(*) FROM drawbridge.webhook_endpoints WHERE id = '\(endpoint)'") == "0")
        await receiver.stop()
    }

    @Test("Its rows have no say over an endpoint of somebody else")
    @OnLoop func foreign() async throws {
        let node = try await Node.shared()
        let (subscriber, receiver) = (try await Subscriber(node), try Receiver())
        let endpoint = try await subscriber.subscribe(receiver.url("/theirs"), #","hotel_ids":[1]"#)
        let stored = "SELECT client || url FROM drawbridge.webhook_endpoints WHERE id = '\(endpoint.id)'"
        let before = try await node.value(stored)
        _ = try await node.rows(
            """
            INSERT INTO booking_engine_config (hotel_id, booking_engine_url, endpoint_id)
            VALUES (3, '\(receiver.url("/ours"))', '\(endpoint.id)')
            """)
        #expect(try await node.value(stored) == before)
        _ = try await node.rows("DELETE FROM booking_engine_config WHERE endpoint_id = '\(endpoint.id)'")
        #expect(try await node.value(stored) == before)
        await receiver.stop()
    }

    @OnLoop private func book(_ node: Node) async throws -> String {
        let booked = try await node.book(BookingBody(.next(1), hotel: 3, type: 31))
        try #require(booked.status == 201, "\(booked.text)")
        return try #require(booked.string("booking_id"))
    }

    @OnLoop private func status(_ node: Node, _ booking: String) async throws -> [String] {
        try await node.rows(
            """
            SELECT sync_status, COALESCE(error_message, '') FROM booking_sync_status WHERE booking_id = '\(booking)'
            """)[0]
    }
}
