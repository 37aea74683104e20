import Loop
import Testing

@Suite("What is kept of webhooks")
struct DeliveryRetentionTests {
    init() { Loop.runInBackground() }

    @Test("Dead letters go with their deliveries' day, and replays so many days after their end")
    @OnLoop func removed() async throws {
        let node = try Node(workers: 1)
        try await node.start()
        let place = DeliveryPlace(node: node)
        let endpoint = try await place.endpoint(of: "old-letters", isDisabled: true)
        // Ended long ago, lately, and not yet.
        _ = try await node.rows(
            """
            INSERT INTO drawbridge.webhook_dead_letters (delivery_id, endpoint_id, event_id, position, reason, died_at)
            SELECT drawbridge.time_ordered_id(now() - INTERVAL '1 day' * days), '\(endpoint)', drawbridge.time_ordered_id(), days,
                   'exhausted', now()
            FROM unnest(ARRAY[400, 32, 29, 0]) AS days;
            UPDATE drawbridge.webhook_dispatchers SET dead_letters = dead_letters + 4 WHERE session = 0;
            INSERT INTO drawbridge.webhook_replays (id, endpoint_id, since, until, cursor, asked_by, state, ended_at)
            SELECT drawbridge.time_ordered_id(), '\(endpoint)', now() - INTERVAL '1 hour', now(), drawbridge.time_ordered_id(),
                   days::TEXT, 'done', now() - INTERVAL '1 day' * days
            FROM unnest(ARRAY[31, 29]) AS days
            """)
        let bridge = try node.processID("bridge")
        // The retention of a new bridge looks at once.
        _ = try await Files.run(["kill", "-9", "\(bridge)"])
        try await wait("what is old is gone", for: .seconds(60)) {
            let letters = try? await node.rows("SELECT position FROM drawbridge.webhook_dead_letters ORDER BY 1")
            let replays = try? await node.rows("SELECT asked_by FROM drawbridge.webhook_replays")
            return letters == [["0"], ["29"]] && replays == [["29"]]
        }
        try await place.expectCounted()
        #expect(try await node.stop().isSuccess)
    }
}
