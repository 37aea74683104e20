import JSONText
import Loop
import Testing

/// Endpoints, events and deliveries of webhooks that a test makes by itself, in a place of their own.
///
/// Its endpoints have no secrets, so that nothing is ever sent there: dispatchers take what is due, and put it back.
@OnLoop
struct DeliveryPlace {
    static let webhooks = "/api/webhooks"

    /// On an installation that only tests with such places use, so that what is counted there is what they do.
    static func shared() async throws -> DeliveryPlace {
        if let starting { return DeliveryPlace(node: try await starting.value) }
        let task = Task {
            let node = try Node()
            try await node.start()
            return node
        }
        starting = task
        return DeliveryPlace(node: try await task.value)
    }

    private static var starting: Task<Node, any Error>?

    let node: Node

    /// A new endpoint. Whoever has no API key for it is to be a client of another issuer's: of those of our own it would be disabled.
    func endpoint(
        of client: String, issuer: String = "urn:drawbridge:client", hotels: [Int]? = nil,
        events: [String] = ["booking.created", "hotel.updated"],
        isOrdered: Bool = false, isDisabled: Bool = false
    ) async throws -> String {
        try await node.value(
            """
            INSERT INTO drawbridge.webhook_endpoints (id, client, url, events, hotel_ids, payload, is_ordered, is_asymmetric,
                                                      backoff, maximum_retries, maximum_in_flight, maximum_rate, disabled_at,
                                                      disabled_reason)
            VALUES (gen_random_uuid(), '\(issuer) \(client)', 'https://hooks.invalid/x',
                    string_to_array('\(events.joined(separator: " "))', ' '),
                    \(hotels.map { "ARRAY\($0)" } ?? "NULL"), 'full', \(isOrdered), FALSE, 'exponential', 9, 20, 1000,
                    \(isDisabled ? "now(), 'requested'" : "NULL, NULL"))
            RETURNING id
            """)
    }

    /// Events as the fan-out leaves them.
    ///
    /// - Parameter hotel: SQL with the number `n` of an event, which counts from 1.
    /// - Returns: their ids in ascending order.
    @discardableResult
    func events(
        _ count: Int, type: String = "booking.created", hotel: String = "1", client: String? = nil, secondsAgo: Int = 60
    ) async throws -> [String] {
        try await node.rows(
            """
            WITH made AS (
                INSERT INTO drawbridge.webhook_events (event_id, position, type, hotel_id, client, entity_id, version, payload,
                                                       created_at)
                SELECT drawbridge.time_ordered_id(at), nextval('drawbridge.outbox_position'), '\(type)', \(hotel),
                       \(client.map { "'urn:drawbridge:client \($0)'" } ?? "NULL"), 'entity ' || n, 1,
                       json_build_object('type', '\(type)', 'timestamp', drawbridge.instant(at),
                                         'data', json_build_object('hotel_id', \(hotel), 'number', n, 'version', 1)), at
                FROM (SELECT n, now() - make_interval(secs => \(secondsAgo)) + n * INTERVAL '1 microsecond' AS at
                      FROM generate_series(1, \(count)) AS n) AS events
                RETURNING event_id
            )
            SELECT event_id FROM made ORDER BY 1
            """
        ).map { $0[0] }
    }

    /// A delivery of an event, in some state, with so many failed attempts before.
    func delivery(
        _ event: String, to endpoint: String, _ state: String = "dead", reason: String = "exhausted", attempts: Int = 0,
        secondsAgo: Int = 30
    ) async throws -> String {
        let id = try await node.value(
            """
            INSERT INTO drawbridge.webhook_deliveries (delivery_id, event_id, endpoint_id, origin)
            VALUES (drawbridge.time_ordered_id(now() - make_interval(secs => \(secondsAgo))), '\(event)', '\(endpoint)', 'event')
            RETURNING delivery_id
            """)
        let last = state == "delivered" ? "'delivered'" : "'retry'"
        _ = try await node.rows(
            """
            INSERT INTO drawbridge.webhook_attempts (delivery_id, number, started_at, result, status, error, message, answer,
                answer_ending, address, http_version, is_reused, name_us, connect_us, tls_us, first_byte_us, total_us)
            SELECT '\(id)', n, now(), CASE n WHEN \(attempts) THEN \(last) ELSE 'retry' END, 500, 'server_error', NULL, 'no | way',
                   'whole', '192.0.2.1', '1.1', FALSE, 1, 2, 3, 4, 5
            FROM generate_series(1, \(attempts)) AS n
            """)
        let position = "(SELECT position FROM drawbridge.webhook_events WHERE event_id = '\(event)')"
        let common = "'\(id)', '\(endpoint)', '\(event)', \(position)"
        let isOpen = state == "waiting" || state == "sending"
        switch state {
        case "waiting":
            _ = try await node.rows(
                "INSERT INTO drawbridge.webhook_waiting VALUES (\(common), NULL, \(attempts), now() + INTERVAL '1 day')"
            )
        case "sending":
            // Of a dispatcher that is never given up.
            _ = try await node.rows(
                """
                INSERT INTO drawbridge.webhook_dispatchers (session, heartbeat_at) VALUES (-1, 'infinity')
                    ON CONFLICT DO NOTHING;
                INSERT INTO drawbridge.webhook_claims VALUES (\(common), NULL, \(attempts), -1)
                """)
        case "dead":
            _ = try await node.rows(
                "INSERT INTO drawbridge.webhook_dead_letters VALUES (\(common), '\(reason)')")
        default: break
        }
        _ = try await node.rows(
            """
            UPDATE drawbridge.webhook_dispatchers
            SET depth = depth + \(isOpen ? 1 : 0), dead_letters = dead_letters + \(state == "dead" ? 1 : 0) WHERE session = 0
            """)
        return id
    }

    /// How a delivery stands.
    func state(_ delivery: String) async throws -> String {
        try await node.value(
            "SELECT state FROM drawbridge.webhook_delivery_states WHERE delivery_id = '\(delivery)'")
    }

    /// Waits until as much was counted as there is: dispatchers say once a second what they have changed, and others count anew
    /// what one of them had that is gone.
    func expectCounted() async throws {
        try await wait("as much is counted as there is", for: .seconds(60)) {
            try await node.rows(
                """
                SELECT sum(depth), sum(dead_letters), open, dead FROM drawbridge.webhook_dispatchers, (
                    SELECT (SELECT count(*) FROM drawbridge.webhook_waiting)
                               + (SELECT count(*) FROM drawbridge.webhook_claims) AS open,
                           (SELECT count(*) FROM drawbridge.webhook_dead_letters) AS dead) AS counted
                GROUP BY open, dead HAVING sum(depth) <> open OR sum(dead_letters) <> dead
                """
            ).isEmpty
        }
    }

    /// What the audit log has of an endpoint.
    func audit(_ endpoint: String) async throws -> [String] {
        try await node.rows(
            "SELECT action FROM booking_engine_audit_log WHERE entity_id = '\(endpoint)' ORDER BY created_at, id"
        ).map { $0[0] }
    }

    func get(_ path: String, _ credentials: String) async throws -> Answer {
        try await node.gateway.send(.get("\(Self.webhooks)/\(path)", credentials))
    }

    func post(
        _ path: String, _ credentials: String, _ json: String? = nil, key: String? = nil
    ) async throws -> Answer {
        var request = TestRequest(method: "POST", target: "\(Self.webhooks)/\(path)", token: credentials)
        if let json {
            request.fields.append(("Content-Type", "application/json"))
            request.content = Array(json.utf8)
        }
        return try await node.gateway.send(key.map { request.with("Idempotency-Key", $0) } ?? request)
    }

    /// All ids of a list, page by page.
    func pages(_ path: String, _ name: String, _ credentials: String, limit: Int) async throws -> [String] {
        var (found, next): ([String], String?) = ([], "")
        while let before = next {
            let separator = path.contains("?") ? "&" : "?"
            let answer = try await get("\(path)\(separator)limit=\(limit)\(before)", credentials)
            try #require(answer.status == 200, "\(answer.text)")
            found += answer.elements(name).compactMap { $0["id"]?.string }
            next = answer.string("next").map { "&before=\($0)" }
        }
        return found
    }

    /// Takes away what waits for an endpoint, as if it had been sent there.
    func deliverAll(to endpoint: String) async throws {
        _ = try await node.rows(
            """
            WITH gone AS (DELETE FROM drawbridge.webhook_waiting WHERE endpoint_id = '\(endpoint)' RETURNING 1)
            UPDATE drawbridge.webhook_dispatchers SET depth = depth - (SELECT count(*) FROM gone) WHERE session = 0
            """)
    }

    /// Removes what a test has left, so that nobody sends it.
    func clear(_ endpoints: String...) async throws {
        let list = endpoints.map { "'\($0)'" }.joined(separator: ", ")
        _ = try await node.rows(
            """
            DELETE FROM drawbridge.webhook_endpoints WHERE id IN (\(list));
            WITH claims AS (DELETE FROM drawbridge.webhook_claims WHERE endpoint_id IN (\(list)) RETURNING 1)
            UPDATE drawbridge.webhook_dispatchers SET depth = depth - (SELECT count(*) FROM claims) WHERE session = 0
            """)
    }
}
