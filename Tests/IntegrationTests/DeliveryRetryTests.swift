import JSONText
import Loop
import Testing

/// What somebody can do about deliveries of webhooks, by the API.
@Suite("What becomes of webhook deliveries by somebody's decision")
struct DeliveryRetryTests {
    init() { Loop.runInBackground() }

    private static let scopes = "webhook:read webhook:write hotel:read booking:read"

    @OnLoop private func place() async throws -> DeliveryPlace { try await DeliveryPlace.shared() }

    /// Where a delivery that was tried again went: it is sent once, from there. A dispatcher may have taken it meanwhile.
    @OnLoop
    private func expectRevived(
        _ place: DeliveryPlace, _ id: String, attempts: Int, key: String? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let rows = try await place.node.rows(
            """
            SELECT attempts, COALESCE(sequence_key, '') FROM drawbridge.webhook_waiting WHERE delivery_id = '\(id)'
            UNION ALL
            SELECT attempts, COALESCE(sequence_key, '') FROM drawbridge.webhook_claims WHERE delivery_id = '\(id)'
            """)
        #expect(rows.count == 1, sourceLocation: sourceLocation)
        let made = try #require(rows.first.flatMap { Int($0[0]) }, sourceLocation: sourceLocation)
        #expect(made >= attempts && rows[0][1] == (key ?? ""), "\(rows)", sourceLocation: sourceLocation)
    }

    @Test("Whatever became of a delivery it is tried again, its attempts counting on")
    @OnLoop func retry() async throws {
        let place = try await place()
        let (key, _) = try await place.node.apiKey("tried-again", Self.scopes)
        let endpoint = try await place.endpoint(of: "tried-again")
        let event = try await place.events(1)[0]
        for state in ["dead", "abandoned", "delivered", "waiting"] {
            let id = try await place.delivery(event, to: endpoint, state, attempts: 3)
            let answer = try await place.post("deliveries/\(id)/retry", key)
            #expect(answer.status == 200 && answer.string("state") == "waiting", "\(state): \(answer.text)")
            #expect(answer.integer("attempt_count") == 3 && answer.value("dead_reason") == .null)
            try await expectRevived(place, id, attempts: 3)
        }
        let sending = try await place.delivery(event, to: endpoint, "sending", attempts: 1)
        let answer = try await place.post("deliveries/\(sending)/retry", key)
        #expect(answer.status == 200 && answer.string("state") == "sending", "\(answer.text)")
        #expect(try await place.audit(endpoint) == Array(repeating: "retry_webhook_delivery", count: 4))
        // In the order of its entity, where the endpoint asks for that.
        let ordered = try await place.endpoint(of: "tried-again", isOrdered: true)
        let id = try await place.delivery(event, to: ordered)
        #expect(try await place.post("deliveries/\(id)/retry", key).status == 200)
        try await expectRevived(place, id, attempts: 0, key: "entity 1")
        try await place.expectCounted()
        try await place.clear(endpoint, ordered)
    }

    @Test("Of requests to try one again at once one is carried out, and a repeated one is answered as it was")
    @OnLoop func atOnce() async throws {
        let place = try await place()
        let (key, _) = try await place.node.apiKey("tried-at-once", Self.scopes)
        let endpoint = try await place.endpoint(of: "tried-at-once")
        let event = try await place.events(1)[0]
        for state in ["dead", "abandoned"] {
            for _ in 0..<5 {
                let id = try await place.delivery(event, to: endpoint, state)
                let answers = try await concurrently(Array(0..<6)) { number in
                    number == 0
                        ? try await place.post("dead-letters/retry", key, #"{"ids":["\#(id)"]}"#)
                        : try await place.post("deliveries/\(id)/retry", key)
                }
                #expect(answers.allSatisfy { $0.status == 200 }, "\(answers.map(\.text))")
                try await expectRevived(place, id, attempts: 0)
            }
        }
        try await place.expectCounted()
        let id = try await place.delivery(event, to: endpoint)
        let first = try await place.post("deliveries/\(id)/abandon", key, key: "abandon-1")
        #expect(first.string("state") == "abandoned")
        #expect(try await place.post("deliveries/\(id)/retry", key).string("state") == "waiting")
        #expect(try await place.post("deliveries/\(id)/abandon", key, key: "abandon-1").text == first.text)
        expectProblem(
            try await place.post("deliveries/\(id)/retry", key, key: "abandon-1"), 422, "idempotency-key-reused")
        try await place.clear(endpoint)
    }

    @Test("What waits or is dead is given up; what is under way, or was delivered, is not")
    @OnLoop func abandon() async throws {
        let place = try await place()
        let (key, _) = try await place.node.apiKey("given-up", Self.scopes)
        let endpoint = try await place.endpoint(of: "given-up")
        let event = try await place.events(1)[0]
        for state in ["waiting", "dead", "abandoned"] {
            let id = try await place.delivery(event, to: endpoint, state)
            let answer = try await place.post("deliveries/\(id)/abandon", key)
            #expect(answer.status == 200 && answer.string("state") == "abandoned", "\(state): \(answer.text)")
            #expect(try await place.state(id) == "abandoned")
        }
        #expect(try await place.audit(endpoint) == Array(repeating: "abandon_webhook_delivery", count: 2))
        let delivered = try await place.delivery(event, to: endpoint, "delivered", attempts: 1)
        expectProblem(try await place.post("deliveries/\(delivered)/abandon", key), 409, "delivery-ended")
        let sending = try await place.delivery(event, to: endpoint, "sending")
        let answer = try await place.post("deliveries/\(sending)/abandon", key)
        expectProblem(answer, 409, "delivery-in-progress")
        #expect(answer["Retry-After"] == "1")
        #expect(try await place.state(sending) == "sending")
        try await place.expectCounted()
        try await place.clear(endpoint)
    }

    @Test("To a disabled endpoint nothing is sent, tested or replayed")
    @OnLoop func disabled() async throws {
        let place = try await place()
        let (key, _) = try await place.node.apiKey("tried-disabled", Self.scopes)
        let endpoint = try await place.endpoint(of: "tried-disabled", isDisabled: true)
        let event = try await place.events(1)[0]
        let id = try await place.delivery(event, to: endpoint, reason: "endpoint_disabled")
        let ended = try await place.delivery(event, to: endpoint, "abandoned")
        let since =
            #"{"since":"\#(try await place.node.value("SELECT drawbridge.instant(now() - INTERVAL '1 hour')"))"}"#
        for answer in [
            try await place.post("deliveries/\(id)/retry", key), try await place.post("deliveries/\(ended)/retry", key),
            try await place.post("dead-letters/retry", key, #"{"endpoint_id":"\#(endpoint)"}"#),
            try await place.post("dead-letters/retry", key, #"{"ids":["\#(id)"]}"#),
            try await place.post("\(endpoint)/test", key), try await place.post("\(endpoint)/replay", key, since),
        ] {
            expectProblem(answer, 409, "webhook-disabled")
            #expect(answer.string("webhook_id") == endpoint)
        }
        #expect(try await place.post("dead-letters/retry", key, "{}").integer("retried") == 0)
        #expect(try await place.state(id) == "dead")
        #expect(try await place.state(ended) == "abandoned")
        #expect(try await place.audit(endpoint) == [])
        // It can be given up all the same.
        #expect(try await place.post("deliveries/\(id)/abandon", key).string("state") == "abandoned")
        try await place.clear(endpoint)
    }

    @Test("Dead letters are tried again by endpoint, reason, time and event, the oldest first, so many at a time")
    @OnLoop func bulk() async throws {
        let place = try await place()
        let (key, _) = try await place.node.apiKey("tried-bulk", Self.scopes)
        let first = try await place.endpoint(of: "tried-bulk")
        let second = try await place.endpoint(of: "tried-bulk")
        let disabled = try await place.endpoint(of: "tried-bulk", isDisabled: true)
        let booking = try await place.events(1)[0]
        let hotel = try await place.events(1, type: "hotel.updated")[0]
        let old = try await place.delivery(booking, to: first, secondsAgo: 1000)
        let rare = try await place.delivery(hotel, to: first, secondsAgo: 900)
        let idle = try await place.delivery(booking, to: first, reason: "endpoint_disabled", secondsAgo: 800)
        let other = try await place.delivery(booking, to: second, attempts: 2, secondsAgo: 700)
        let kept = try await place.delivery(booking, to: disabled, secondsAgo: 600)
        let worn = try await place.delivery(booking, to: first, attempts: 100, secondsAgo: 500)
        func retry(_ json: String, _ idempotencyKey: String? = nil) async throws -> Int64? {
            let answer = try await place.post("dead-letters/retry", key, json, key: idempotencyKey)
            #expect(answer.status == 200 && answer.value("more") == .bool(false), "\(json): \(answer.text)")
            return answer.integer("retried").map { Int64($0) }
        }
        func dead() async throws -> Set<String> {
            Set(try await place.pages("dead-letters", "dead_letters", key, limit: 2))
        }
        #expect(try await dead() == [old, rare, idle, other, kept, worn])
        expectProblem(try await place.post("deliveries/\(worn)/retry", key), 409, "too-many-attempts")
        #expect(try await retry(#"{"endpoint_id":"\#(first)","events":["hotel.updated"]}"#) == 1)
        #expect(try await dead() == [old, idle, other, kept, worn])
        #expect(try await retry(#"{"reason":"endpoint_disabled"}"#) == 1)
        #expect(try await dead() == [old, other, kept, worn])
        let span = try await place.node.rows(
            "SELECT drawbridge.instant(now() - INTERVAL '1100 s'), drawbridge.instant(now() - INTERVAL '950 s')")[0]
        #expect(try await retry(#"{"since":"\#(span[0])","until":"\#(span[1])"}"#) == 1)
        #expect(try await dead() == [other, kept, worn])
        #expect(try await retry(#"{"ids":["\#(old)","\#(other)"]}"#, "bulk-1") == 1)
        // The same request again is answered as it was.
        #expect(try await retry(#"{"ids":["\#(old)","\#(other)"]}"#, "bulk-1") == 1)
        try await expectRevived(place, other, attempts: 2)
        #expect(try await dead() == [kept, worn])
        #expect(try await retry("{}") == 0)
        #expect(try await place.audit(second) == ["retry_webhook_dead_letters"])
        try await place.expectCounted()

        _ = try await place.node.rows(
            """
            WITH made AS (
                INSERT INTO drawbridge.webhook_deliveries (delivery_id, event_id, endpoint_id, origin)
                SELECT drawbridge.time_ordered_id(), '\(booking)', '\(second)', 'event' FROM generate_series(1, 1500)
                RETURNING *
            ), dead AS (
                INSERT INTO drawbridge.webhook_dead_letters (delivery_id, endpoint_id, event_id, position, reason)
                SELECT delivery_id, endpoint_id, event_id, 1, 'exhausted' FROM made RETURNING 1
            )
            UPDATE drawbridge.webhook_dispatchers SET dead_letters = dead_letters + (SELECT count(*) FROM dead)
            WHERE session = 0
            """)
        let json = #"{"endpoint_id":"\#(second)"}"#
        let most = try await place.post("dead-letters/retry", key, json)
        #expect(most.integer("retried") == 1000 && most.value("more") == .bool(true), "\(most.text)")
        #expect(try await retry(json) == 500)
        #expect(try await retry(json) == 0)
        try await place.expectCounted()
        try await place.clear(first, second, disabled)
    }

    @Test("A test is an event of its endpoint's alone")
    @OnLoop func test() async throws {
        let place = try await place()
        let (key, _) = try await place.node.apiKey("tested", Self.scopes)
        for (hotels, hotel) in [([2], "2"), ([1, 2], "null")] {
            let endpoint = try await place.endpoint(of: "tested", hotels: hotels, isOrdered: true)
            let answer = try await place.post("\(endpoint)/test", key, key: "test \(hotel)".replacing(" ", with: "-"))
            #expect(answer.status == 202, "\(answer.text)")
            let again = try await place.post("\(endpoint)/test", key, key: "test \(hotel)".replacing(" ", with: "-"))
            #expect(again.status == 202 && again.text == answer.text)
            let id = try #require(answer.string("delivery_id"))
            let found = try await place.get("deliveries/\(id)", key)
            #expect(found.string("origin") == "test" && found.string("event_type") == "endpoint.test", "\(found.text)")
            #expect(found.string("event_id") == answer.string("event_id"))
            #expect(found.string("event.payload.type") == "endpoint.test")
            #expect(found.string("event.payload.data.endpoint_id") == endpoint)
            #expect(found.integer("event.payload.data.hotel_id").map { "\($0)" } ?? "null" == hotel)
            #expect(found.integer("event.payload.data.version") == 1)
            #expect(try await place.pages("\(endpoint)/deliveries", "deliveries", key, limit: 5) == [id])
            #expect(
                try await place.pages("\(endpoint)/deliveries?event_type=endpoint.test", "deliveries", key, limit: 5)
                    == [id])
            #expect(
                try await place.node.value(
                    "SELECT client FROM drawbridge.webhook_events WHERE entity_id = '\(endpoint)'")
                    == "urn:drawbridge:client tested")
            #expect(try await place.audit(endpoint) == ["test_webhook"])
            try await place.clear(endpoint)
        }
        try await place.expectCounted()
    }
}
