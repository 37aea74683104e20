import Authentication
import JSONText
import Loop
import Testing

/// Deliveries of webhooks, by the API.
@Suite("Webhook deliveries through both processes")
struct DeliveryTests {
    init() { Loop.runInBackground() }

    private static let scopes = "webhook:read webhook:write hotel:read booking:read"
    private static let nobody = "00000000-0000-4000-8000-000000000000"

    @OnLoop private func place() async throws -> DeliveryPlace { try await DeliveryPlace.shared() }

    @Test("A delivery is shown with its state, its event and every attempt")
    @OnLoop func shown() async throws {
        let place = try await place()
        let (key, _) = try await place.node.apiKey("sent-shown", Self.scopes)
        let endpoint = try await place.endpoint(of: "sent-shown")
        let event = try await place.events(1)[0]
        var ids: [String: String] = [:]
        for (age, state) in ["sending", "waiting", "dead", "delivered", "abandoned"].enumerated() {
            ids[state] = try await place.delivery(event, to: endpoint, state, attempts: 2, secondsAgo: 30 - age)
        }
        let list = try await place.get("\(endpoint)/deliveries", key)
        #expect(list.status == 200 && list["Cache-Control"] == "private, no-cache", "\(list.text)")
        let states = list.elements("deliveries").compactMap { $0["state"]?.string }
        #expect(states == ["abandoned", "delivered", "dead", "waiting", "sending"])
        for (state, id) in ids {
            let answer = try await place.get("deliveries/\(id)", key)
            #expect(answer.status == 200 && answer.string("state") == state, "\(answer.text)")
            #expect(answer.string("endpoint_id") == endpoint && answer.string("event_id") == event)
            #expect(answer.string("event_type") == "booking.created" && answer.integer("hotel_id") == 1)
            #expect(answer.string("origin") == "event" && answer.integer("attempt_count") == 2)
            #expect((answer.string("due_at") != nil) == (state == "waiting"))
            #expect(answer.string("dead_reason") == (state == "dead" ? "exhausted" : nil))
            #expect((answer.string("dead_at") != nil) == (state == "dead"))
            #expect(answer.string("event.payload.type") == "booking.created", "\(answer.text)")
            #expect(answer.elements("attempts").compactMap { $0["number"]?.integer } == [1, 2])
            #expect(answer.integer("attempts.1.status") == 500 && answer.string("attempts.0.error") == "server_error")
            #expect(
                answer.string("attempts.0.answer.text") == "no | way"
                    && answer.value("attempts.0.answer.base64") == .null)
            #expect(answer.integer("attempts.0.timings_us.total") == 5 && answer.integer("last_attempt.status") == 500)
            let found = try await place.get("\(endpoint)/deliveries?state=\(state)", key)
            #expect(found.elements("deliveries").compactMap { $0["id"]?.string } == [id], "\(state): \(found.text)")
        }
        // What is no text, or could steer a terminal, is told as it is, in base64.
        let id = try #require(ids["dead"])
        for bytes in ["\\xff00", "\\x1b5b324a"] {
            _ = try await place.node.rows(
                "UPDATE drawbridge.webhook_attempts SET answer = '\(bytes)' WHERE delivery_id = '\(id)' AND number = 1")
            let answer = try await place.get("deliveries/\(id)", key)
            #expect(answer.value("attempts.0.answer.text") == .null, "\(answer.text)")
            #expect(answer.string("attempts.0.answer.base64") == (bytes == "\\xff00" ? "/wA=" : "G1sySg=="))
        }
        try await place.clear(endpoint)
    }

    @Test("Only whoever may read what an event tells is shown its body")
    @OnLoop func payload() async throws {
        let place = try await place()
        let (key, _) = try await place.node.apiKey("sent-body", Self.scopes)
        let (blind, _) = try await place.node.apiKey("sent-body", "webhook:read hotel:read")
        let endpoint = try await place.endpoint(of: "sent-body", hotels: [1, 2])
        let booking = try await place.delivery(try await place.events(1)[0], to: endpoint)
        let hotel = try await place.delivery(
            try await place.events(1, type: "hotel.updated", hotel: "2")[0], to: endpoint)
        let (ofTwo, _) = try await place.node.apiKey("sent-admin", "\(Self.scopes) admin")
        for reader in [key, ofTwo] {
            for id in [booking, hotel] {
                #expect(try await place.get("deliveries/\(id)", reader).integer("event.payload.data.number") == 1)
            }
        }
        let hidden = try await place.get("deliveries/\(booking)", blind)
        #expect(hidden.status == 200 && hidden.value("event.payload") == .null, "\(hidden.text)")
        #expect(!hidden.text.contains("entity") && hidden.string("event.created_at") != nil)
        #expect(try await place.get("deliveries/\(hotel)", blind).integer("event.payload.data.number") == 1)
        // An event that is not kept any more.
        _ = try await place.node.rows(
            """
            DELETE FROM drawbridge.webhook_events
            WHERE event_id = (SELECT event_id FROM drawbridge.webhook_deliveries WHERE delivery_id = '\(booking)')
            """)
        let forgotten = try await place.get("deliveries/\(booking)", key)
        #expect(forgotten.value("event") == .null && forgotten.value("event_type") == .null, "\(forgotten.text)")
        expectProblem(try await place.post("deliveries/\(booking)/retry", key), 409, "event-not-kept")
        #expect(try await place.post("dead-letters/retry", key, #"{"ids":["\#(booking)"]}"#).integer("retried") == 0)
        try await place.clear(endpoint)
    }

    @Test("What is another client's, or of hotels that are not covered, is not there")
    @OnLoop func ownership() async throws {
        let place = try await place()
        let (key, _) = try await place.node.apiKey("sent-mine", Self.scopes)
        let (other, _) = try await place.node.apiKey("sent-other", Self.scopes)
        let (reader, _) = try await place.node.apiKey("sent-mine", "webhook:read")
        let (local, _) = try await place.node.apiKey("sent-local", "\(Self.scopes) admin", hotel: 2)
        let (admin, _) = try await place.node.apiKey("sent-root", "\(Self.scopes) admin")
        let endpoint = try await place.endpoint(of: "sent-mine", hotels: [1, 2])
        let event = try await place.events(1)[0]
        let id = try await place.delivery(event, to: endpoint)
        let since =
            #"{"since":"\#(try await place.node.value("SELECT drawbridge.instant(now() - INTERVAL '1 hour')"))"}"#
        for stranger in [other, local] {
            for answer in [
                try await place.get("deliveries/\(id)", stranger),
                try await place.post("deliveries/\(id)/retry", stranger),
                try await place.post("deliveries/\(id)/abandon", stranger),
            ] { expectProblem(answer, 404, "delivery-not-found") }
            for answer in [
                try await place.get("\(endpoint)/deliveries", stranger),
                try await place.get("dead-letters?endpoint_id=\(endpoint)", stranger),
                try await place.post("dead-letters/retry", stranger, #"{"endpoint_id":"\#(endpoint)"}"#),
                try await place.post("\(endpoint)/test", stranger),
                try await place.post("\(endpoint)/replay", stranger, since),
                try await place.get("\(endpoint)/replays/\(Self.nobody)", stranger),
            ] { expectProblem(answer, 404, "webhook-not-found") }
            #expect(
                try await place.post("dead-letters/retry", stranger, #"{"ids":["\#(id)"]}"#).integer("retried") == 0)
            #expect(try await !place.pages("dead-letters", "dead_letters", stranger, limit: 100).contains(id))
        }
        for answer in [
            try await place.post("deliveries/\(id)/retry", reader),
            try await place.post("dead-letters/retry", reader, "{}"),
            try await place.post("\(endpoint)/test", reader), try await place.post("\(endpoint)/replay", reader, since),
        ] { expectProblem(answer, 403, "insufficient-scope") }
        #expect(try await place.state(id) == "dead")
        #expect(try await place.audit(endpoint) == [])
        for owner in [key, reader, admin] {
            #expect(try await place.get("deliveries/\(id)", owner).status == 200)
            #expect(try await place.pages("dead-letters", "dead_letters", owner, limit: 100).contains(id))
        }
        #expect(try await place.post("deliveries/\(id)/abandon", admin).string("state") == "abandoned")
        try await place.clear(endpoint)
    }

    @Test("Pages have each delivery once, whatever is asked for")
    @OnLoop func pages() async throws {
        let place = try await place()
        let (key, _) = try await place.node.apiKey("sent-pages", Self.scopes)
        let endpoint = try await place.endpoint(of: "sent-pages", isDisabled: true)
        let event = try await place.events(1)[0]
        let other = try await place.events(1, type: "hotel.updated")[0]
        // More than are looked at for a page; every 500th is of another type and a dead letter.
        _ = try await place.node.rows(
            """
            WITH made AS (
                INSERT INTO drawbridge.webhook_deliveries (delivery_id, event_id, endpoint_id, origin)
                SELECT drawbridge.time_ordered_id(now() - n * INTERVAL '1 second'),
                       (CASE n % 500 WHEN 0 THEN '\(other)' ELSE '\(event)' END)::UUID, '\(endpoint)', 'event'
                FROM generate_series(1, 2500) AS n RETURNING *
            ), dead AS (
                INSERT INTO drawbridge.webhook_dead_letters (delivery_id, endpoint_id, event_id, position, reason)
                SELECT delivery_id, endpoint_id, event_id, 1, 'endpoint_disabled' FROM made WHERE event_id = '\(other)'
                RETURNING 1
            )
            UPDATE drawbridge.webhook_dispatchers SET dead_letters = dead_letters + (SELECT count(*) FROM dead)
            WHERE session = 0
            """)
        func ids(_ condition: String) async throws -> [String] {
            try await place.node.rows(
                """
                SELECT delivery_id FROM drawbridge.webhook_deliveries
                WHERE endpoint_id = '\(endpoint)' AND \(condition) ORDER BY 1 DESC
                """
            ).map { $0[0] }
        }
        let path = "\(endpoint)/deliveries"
        let all = try await ids("TRUE")
        #expect(all.count == 2500)
        #expect(try await place.pages(path, "deliveries", key, limit: 100) == all)
        let rare = try await ids("event_id = '\(other)'")
        #expect(rare.count == 5)
        #expect(try await place.pages("\(path)?event_type=hotel.updated", "deliveries", key, limit: 2) == rare)
        #expect(try await place.pages("\(path)?state=dead", "deliveries", key, limit: 2) == rare)
        #expect(try await place.pages("dead-letters?endpoint_id=\(endpoint)", "dead_letters", key, limit: 2) == rare)
        #expect(try await place.pages("dead-letters?reason=endpoint_disabled", "dead_letters", key, limit: 5) == rare)
        #expect(try await place.pages("dead-letters?reason=exhausted", "dead_letters", key, limit: 5) == [])
        #expect(
            try await place.pages("\(path)?state=abandoned", "deliveries", key, limit: 100)
                == all.filter { !rare.contains($0) })
        #expect(try await place.pages("\(path)?state=delivered", "deliveries", key, limit: 100) == [])
        // The 100th to the 200th second ago.
        let span = try await place.node.rows(
            """
            SELECT drawbridge.instant(drawbridge.instant_of('\(all[199])')), drawbridge.instant(drawbridge.instant_of('\(all[99])'))
            """)[0]
        #expect(
            try await place.pages("\(path)?since=\(span[0])&until=\(span[1])", "deliveries", key, limit: 30)
                == Array(all[100...199]))
        try await place.clear(endpoint)
    }

    @Test("What cannot be asked for is refused, and changes nothing")
    @OnLoop func badInput() async throws {
        let place = try await place()
        let (key, _) = try await place.node.apiKey("sent-bad", Self.scopes)
        let endpoint = try await place.endpoint(of: "sent-bad")
        let id = try await place.delivery(try await place.events(1)[0], to: endpoint)
        let reversed = "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z"
        for query in [
            "limit=0", "limit=101", "before=x", "before=7", "since=yesterday", "until=2026-13-01T00:00:00Z", reversed,
            "state=done", "event_type=booking.deleted", "reason=exhausted", "limit=1&limit=2",
        ] {
            expectProblem(try await place.get("\(endpoint)/deliveries?\(query)", key), 400, "malformed-request")
        }
        for query in ["limit=0", "before=x", "since=x", reversed, "reason=bored", "endpoint_id=x", "state=dead"] {
            expectProblem(try await place.get("dead-letters?\(query)", key), 400, "malformed-request")
        }
        for unknown in ["x", "1", "\(id)x"] {
            expectProblem(try await place.get("deliveries/\(unknown)", key), 404, "not-found")
            expectProblem(try await place.post("deliveries/\(unknown)/retry", key), 404, "not-found")
            expectProblem(try await place.get("\(unknown)/deliveries", key), 404, "not-found")
            expectProblem(try await place.post("\(unknown)/test", key), 404, "not-found")
            expectProblem(try await place.get("\(endpoint)/replays/\(unknown)", key), 404, "not-found")
        }
        for answer in [
            try await place.get("deliveries/\(Self.nobody)", key),
            try await place.post("deliveries/\(Self.nobody)/retry", key),
            try await place.post("deliveries/\(Self.nobody)/abandon", key),
        ] { expectProblem(answer, 404, "delivery-not-found") }
        expectProblem(try await place.get("\(endpoint)/replays/\(Self.nobody)", key), 404, "replay-not-found")
        expectProblem(try await place.get("\(Self.nobody)/deliveries", key), 404, "webhook-not-found")
        expectProblem(try await place.get("dead-letters?endpoint_id=\(Self.nobody)", key), 404, "webhook-not-found")
        let many = Array(repeating: "\"\(Self.nobody)\"", count: 201).joined(separator: ",")
        for json in [
            #"{"endpoint_id":"x"}"#, #"{"endpoint_id":7}"#, #"{"ids":[]}"#, #"{"ids":"\#(id)"}"#, #"{"ids":["x"]}"#,
            #"{"ids":[\#(many)]}"#, #"{"reason":"bored"}"#, #"{"since":"x"}"#, #"{"until":7}"#,
            #"{"since":"2026-01-02T00:00:00Z","until":"2026-01-01T00:00:00Z"}"#, #"{"events":[]}"#,
            #"{"events":["booking.deleted"]}"#, #"{"surprise":1}"#, "[]",
        ] {
            expectProblem(try await place.post("dead-letters/retry", key, json), 422, "invalid-request")
        }
        expectProblem(try await place.post("dead-letters/retry", key, "{"), 400)
        let past = try await place.node.rows(
            """
            SELECT drawbridge.instant(now() - INTERVAL '1 hour'), drawbridge.instant(now() + INTERVAL '1 hour'),
                   drawbridge.instant(now() - INTERVAL '31 days'), drawbridge.instant(now() - INTERVAL '2 hours')
            """)[0]
        for json in [
            "{}", #"{"since":null}"#, #"{"since":"x"}"#, #"{"since":7}"#, #"{"since":"\#(past[1])"}"#,
            #"{"since":"\#(past[2])"}"#, #"{"since":"\#(past[0])","until":"\#(past[3])"}"#,
            #"{"since":"\#(past[0])","until":"\#(past[0])"}"#, #"{"since":"\#(past[0])","events":[]}"#,
            #"{"since":"\#(past[0])","events":["booking.deleted"]}"#,
            #"{"since":"\#(past[0])","events":["sync.failed"]}"#, #"{"since":"\#(past[0])","surprise":1}"#, "[]",
        ] {
            expectProblem(try await place.post("\(endpoint)/replay", key, json), 422, "invalid-request")
        }
        #expect(try await place.state(id) == "dead")
        #expect(try await place.audit(endpoint) == [])
        #expect(
            try await place.node.value(
                "SELECT count(*) FROM drawbridge.webhook_replays WHERE endpoint_id = '\(endpoint)'") == "0")
        try await place.clear(endpoint)
    }
}
