import JSONText
import Loop
import Testing

/// Events that have gone by, delivered anew.
@Suite("Replays of webhooks")
struct ReplayTests {
    init() { Loop.runInBackground() }

    private static let scopes = "webhook:read webhook:write hotel:read booking:read"

    @OnLoop
    private func since(_ place: DeliveryPlace, _ seconds: Int) async throws -> String {
        try await place.node.value("SELECT drawbridge.instant(now() - INTERVAL '\(seconds) s')")
    }

    @OnLoop
    private func ended(_ place: DeliveryPlace, _ endpoint: String, _ replay: String, _ key: String) async throws
        -> Answer
    {
        let path = "\(endpoint)/replays/\(replay)"
        try await wait("the replay to end") { try await place.get(path, key).string("state") != "running" }
        return try await place.get(path, key)
    }

    /// The events that were replayed to an endpoint, one row for each delivery.
    @OnLoop
    private func replayed(_ place: DeliveryPlace, _ endpoint: String) async throws -> [String] {
        try await place.node.rows(
            """
            SELECT event_id FROM drawbridge.webhook_deliveries
            WHERE endpoint_id = '\(endpoint)' AND origin = 'replay' ORDER BY 1
            """
        ).map { $0[0] }
    }

    @Test("Of a span of time each event is replayed once that the endpoint is told of, and no other")
    @OnLoop func matching() async throws {
        let place = try await DeliveryPlace.shared()
        let (key, _) = try await place.node.apiKey("again-matching", Self.scopes)
        let endpoint = try await place.endpoint(
            of: "again-matching", hotels: [7001, 7002],
            events: ["booking.created", "hotel.updated", "endpoint.disabled"],
            isOrdered: true)
        let older = try await place.events(5, hotel: "7001", secondsAgo: 500)
        let bookings = try await place.events(2300, hotel: "7000 + n % 3", secondsAgo: 200)
        let hotels = try await place.events(3, type: "hotel.updated", hotel: "7002", secondsAgo: 190)
        _ = try await place.events(3, type: "sync.failed", hotel: "7001", secondsAgo: 190)
        _ = try await place.events(3, hotel: "NULL::INTEGER", secondsAgo: 190)
        let own = try await place.events(
            2, type: "endpoint.disabled", hotel: "NULL::INTEGER", client: "again-matching", secondsAgo: 190)
        _ = try await place.events(2, type: "endpoint.disabled", hotel: "7001", client: "another", secondsAgo: 190)
        let mine = try await place.node.rows(
            "SELECT event_id FROM drawbridge.webhook_events WHERE hotel_id IN (7001, 7002) AND type = 'booking.created'"
        ).map { $0[0] }
        let matching = Set(mine).intersection(bookings).union(hotels).union(own)
        #expect(matching.count > 1500)

        let made = try await place.post("\(endpoint)/replay", key, #"{"since":"\#(try await since(place, 300))"}"#)
        #expect(made.status == 202 && made.value("events") == .null, "\(made.text)")
        let id = try #require(made.string("id"))
        #expect(made["Location"] == "/api/webhooks/\(endpoint)/replays/\(id)")
        let end = try await ended(place, endpoint, id, key)
        #expect(
            end.string("state") == "done" && end.integer("replayed").map { Int($0) } == matching.count, "\(end.text)")
        #expect(end.string("reached_at") == end.string("until") && end.string("ended_at") != nil)
        let found = try await replayed(place, endpoint)
        #expect(found.count == matching.count && Set(found) == matching)
        #expect(
            try await place.node.value(
                """
                SELECT bool_and(sequence_key = event.entity_id AND waiting.position = event.position)
                FROM drawbridge.webhook_waiting AS waiting JOIN drawbridge.webhook_events AS event USING (event_id)
                WHERE endpoint_id = '\(endpoint)'
                """) != "f")
        // Of some events, and of a time that has an end.
        let until = try await since(place, 400)
        let some = try await place.post(
            "\(endpoint)/replay", key,
            #"{"since":"\#(try await since(place, 600))","until":"\#(until)","events":["booking.created"]}"#)
        #expect(
            some.status == 202 && some.string("until").map { until.hasPrefix($0.dropLast()) } == true, "\(some.text)")
        let second = try await ended(place, endpoint, try #require(some.string("id")), key)
        #expect(second.integer("replayed") == 5, "\(second.text)")
        #expect(try await Set(replayed(place, endpoint)) == matching.union(older))
        #expect(try await place.audit(endpoint) == ["replay_webhook", "replay_webhook"])
        try await place.expectCounted()
        try await place.clear(endpoint)
    }

    @Test("A bridge that is killed in the middle of a replay loses no event and replays none twice")
    @OnLoop func killed() async throws {
        let node = try Node(workers: 1)
        try await node.start()
        let place = DeliveryPlace(node: node)
        let (key, _) = try await node.apiKey("again-killed", Self.scopes)
        let endpoint = try await place.endpoint(of: "again-killed", hotels: [7001])
        let events = try await place.events(12_000, hotel: "7001", secondsAgo: 200)
        // Each step takes long enough to be met in its middle.
        _ = try await node.rows(
            """
            CREATE FUNCTION public.dawdle() RETURNS TRIGGER LANGUAGE plpgsql AS
                'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END';
            CREATE TRIGGER dawdle AFTER INSERT ON drawbridge.webhook_deliveries
                FOR EACH STATEMENT EXECUTE FUNCTION public.dawdle()
            """)
        let made = try await place.post("\(endpoint)/replay", key, #"{"since":"\#(try await since(place, 300))"}"#)
        let id = try #require(made.string("id"), "\(made.text)")
        expectProblem(
            try await place.post("\(endpoint)/replay", key, #"{"since":"\#(try await since(place, 300))"}"#), 409,
            "replay-in-progress")
        let progress = "SELECT replayed FROM drawbridge.webhook_replays WHERE id = '\(id)'"
        var reached = 0
        for _ in 0..<3 {
            try await wait("the replay to get on") { [reached] in
                try await place.deliverAll(to: endpoint)
                return try #require(Int(try await node.value(progress))) > reached
            }
            let bridge = try node.processID("bridge")
            _ = try await Files.run(["kill", "-9", "\(bridge)"])
            try await wait("another bridge", for: .seconds(60)) { try node.processID("bridge") != bridge }
            reached = try #require(Int(try await node.value(progress)))
            #expect(reached < events.count, "it was over before it could be interrupted")
        }
        _ = try await node.rows("DROP TRIGGER dawdle ON drawbridge.webhook_deliveries")
        try await wait("the replay to end", for: .seconds(60)) {
            try await place.deliverAll(to: endpoint)
            return try await node.value("SELECT state FROM drawbridge.webhook_replays WHERE id = '\(id)'") == "done"
        }
        #expect(try await replayed(place, endpoint) == events)
        #expect(try await node.value(progress) == "\(events.count)")
        try await place.expectCounted()
        // Nothing follows when its endpoint is gone.
        try await place.clear(endpoint)
        #expect(try await node.value("SELECT count(*) FROM drawbridge.webhook_replays") == "0")
        #expect(try await node.stop().isSuccess)
    }

    @Test("While much waits for an endpoint its replay stands still, and others go on; then it gets on by itself")
    @OnLoop func slowEndpoint() async throws {
        let place = try await DeliveryPlace.shared()
        let (key, _) = try await place.node.apiKey("again-slow", Self.scopes)
        let slow = try await place.endpoint(of: "again-slow", hotels: [7004])
        let other = try await place.endpoint(of: "again-slow", hotels: [7005])
        // Of a time from which there are no others.
        let events = try await place.events(5000, hotel: "7004", secondsAgo: 3000)
        try await place.events(3, hotel: "7005", secondsAgo: 3000)
        let (start, end) = (try await since(place, 3100), try await since(place, 2000))
        let span = #"{"since":"\#(start)","until":"\#(end)"}"#
        let id = try #require(try await place.post("\(slow)/replay", key, span).string("id"))
        let path = "\(slow)/replays/\(id)"
        // So much that more than 2000 wait.
        try await wait("the replay to begin") { try await place.get(path, key).integer("replayed") == 3000 }
        // The one whose turn was longest ago would be next: what is replayed to another one passes it by.
        let second = try #require(try await place.post("\(other)/replay", key, span).string("id"))
        #expect(try await ended(place, other, second, key).integer("replayed") == 3)
        let standing = try await place.get(path, key)
        #expect(standing.string("state") == "running" && standing.integer("replayed") == 3000, "\(standing.text)")
        #expect(try #require(standing.string("reached_at")) < end && standing.value("ended_at") == .null)

        // What a dispatcher has in its hands at that moment it puts back.
        try await wait("the replay to get on") {
            try await place.deliverAll(to: slow)
            return try await place.get(path, key).string("state") != "running"
        }
        let whole = try await ended(place, slow, id, key)
        #expect(whole.string("state") == "done" && whole.integer("replayed") == 5000, "\(whole.text)")
        #expect(try await replayed(place, slow) == events)
        // What stands still ends with its endpoint's being disabled.
        let third = try #require(try await place.post("\(slow)/replay", key, span).string("id"))
        try await wait("it stands still") {
            try await place.get("\(slow)/replays/\(third)", key).integer("replayed") ?? 0 > 0
        }
        _ = try await place.node.rows(
            """
            UPDATE drawbridge.webhook_endpoints SET disabled_at = now(), disabled_reason = 'requested', version = version + 1
            WHERE id = '\(slow)'
            """)
        #expect(try await ended(place, slow, third, key).string("state") == "stopped")
        try await place.expectCounted()
        try await place.clear(slow, other)
    }

    @Test("A replay ends where its endpoint is disabled meanwhile, and replays take turns")
    @OnLoop func stopped() async throws {
        let place = try await DeliveryPlace.shared()
        let (key, _) = try await place.node.apiKey("again-stopped", Self.scopes)
        let endpoint = try await place.endpoint(of: "again-stopped", hotels: [7003], isDisabled: true)
        let other = try await place.endpoint(of: "again-stopped", hotels: [7003])
        try await place.events(3, hotel: "7003", secondsAgo: 200)
        // As it stands when somebody disables it after it was asked for.
        let id = try await place.node.value(
            """
            INSERT INTO drawbridge.webhook_replays (id, endpoint_id, since, until, cursor, asked_by)
            VALUES (drawbridge.time_ordered_id(), '\(endpoint)', now() - INTERVAL '300 s', now(),
                    drawbridge.first_id(now() - INTERVAL '300 s'), 'test') RETURNING id
            """)
        let end = try await ended(place, endpoint, id, key)
        #expect(end.string("state") == "stopped" && end.integer("replayed") == 0, "\(end.text)")
        let made = try await place.post("\(other)/replay", key, #"{"since":"\#(try await since(place, 300))"}"#)
        let second = try await ended(place, other, try #require(made.string("id")), key)
        #expect(second.integer("replayed") == 3)
        // One is not the other's.
        expectProblem(try await place.get("\(other)/replays/\(id)", key), 404, "replay-not-found")
        try await place.clear(endpoint, other)
    }
}
