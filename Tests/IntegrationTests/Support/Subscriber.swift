import Authentication
import Loop
import Testing
import Webhook

/// A client with endpoints of its own, and events of which it alone is told: so tests that share an installation do not meet.
@OnLoop
struct Subscriber {
    /// An endpoint as its client knows it.
    struct Endpoint: Sendable {
        let id: String
        let secret: WebhookSecret
    }

    /// Something that has happened.
    struct Event: Sendable {
        var type = "booking.updated"
        var entity: String
        var version = 1
        /// Nil: it is of no hotel.
        var hotel: Int?
    }

    let node: Node
    let name: String
    private let key: String

    /// Whose the events and endpoints are, as the database has it.
    private var client: String { "\(Identity.ownClients) \(name)" }

    init(_ node: Node) async throws {
        self.node = node
        name = "hooks-\(UInt32.random(in: 0 ... .max))"
        key = try await node.apiKey(name, "webhook:read webhook:write hotel:read booking:read").key
    }

    // MARK: By the API

    /// - Parameters:
    ///   - events: nil for all of bookings.
    ///   - more: further members, each with its comma in front.
    func subscribe(_ url: String, events: [String]? = nil, _ more: String = "") async throws -> Endpoint {
        let answer = try await answer(toSubscribing: url, events: events, more)
        return Endpoint(
            id: try #require(answer.string("id")),
            secret: try WebhookSecret(parsing: try #require(answer.string("secret"))))
    }

    /// The same, with all that is answered.
    func answer(toSubscribing url: String, events: [String]? = nil, _ more: String = "") async throws -> Answer {
        let events = events ?? ["booking.created", "booking.updated", "booking.cancelled"]
        let names = events.map { "\"\($0)\"" }.joined(separator: ",")
        let answer = try await send("/subscribe", #"{"url":"\#(url)","events":[\#(names)]\#(more)}"#)
        try #require(answer.status == 201, "\(answer.text)")
        return answer
    }

    @discardableResult
    func change(_ endpoint: Endpoint, _ json: String) async throws -> Answer {
        let answer = try await send("/\(endpoint.id)", json, method: "PATCH")
        try #require(answer.status == 200, "\(answer.text)")
        return answer
    }

    func enable(_ endpoint: Endpoint) async throws -> Answer {
        try await node.gateway.send(
            TestRequest(method: "POST", target: "/api/webhooks/\(endpoint.id)/enable", token: key))
    }

    func remove(_ endpoint: Endpoint) async throws {
        let request = TestRequest(method: "DELETE", target: "/api/webhooks/\(endpoint.id)", token: key)
        let answer = try await node.gateway.send(request)
        try #require(answer.status == 200, "\(answer.text)")
    }

    /// - Returns: the new secret.
    func rotate(_ endpoint: Endpoint) async throws -> WebhookSecret {
        let answer = try await send("/\(endpoint.id)/rotate-secret", "{}")
        try #require(answer.status == 201, "\(answer.text)")
        return try WebhookSecret(parsing: try #require(answer.string("secret")))
    }

    private func send(_ target: String, _ json: String, method: String = "POST") async throws -> Answer {
        var request = TestRequest.post("/api/webhooks\(target)", key, json: json).with("If-Match", "*")
        request.method = method
        return try await node.gateway.send(request)
    }

    // MARK: In the database

    /// Commits events as a booking's transaction does, all in one.
    ///
    /// - Parameter isForAll: whether every subscriber is told of them, as of bookings.
    /// - Returns: their ids, in order.
    @discardableResult
    func tell(_ events: [Event], isForAll: Bool = false) async throws -> [String] {
        let client = isForAll ? nil : client
        return try await node.rows(Self.insertion(events, of: client)).map { $0[0] }
    }

    /// Commits events, or rolls them back, where the database may go away meanwhile.
    ///
    /// - Returns: their ids; nil where it is not known whether they were committed.
    func attempt(toTell events: [Event], isCommitted: Bool) async throws -> [String]? {
        let script = "BEGIN; \(Self.insertion(events, of: client)); \(isCommitted ? "COMMIT" : "ROLLBACK")"
        let psql = ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]
        let result = try await Files.run(psql + ["-d", try node.variable("DATABASE_URL"), "-c", script])
        guard result.exit.isSuccess else { return nil }
        // It may say besides that the server went away after the end.
        return result.output.split(separator: "\n").map(String.init).filter { line in
            line.wholeMatch(of: /[0-9a-f-]{36}/) != nil
        }
    }

    /// The statement by which events are committed.
    ///
    /// - Parameter client: who alone is told; nil for whoever has subscribed.
    private static func insertion(_ events: [Event], of client: String?) -> String {
        let rows = events.map { event in
            let hotel = event.hotel.map(String.init) ?? "NULL"
            return """
                (drawbridge.time_ordered_id(), '\(event.type)', \(hotel), \(client.map { "'\($0)'" } ?? "NULL"),
                 '\(event.entity)', \(event.version), json_build_object(
                    'type', '\(event.type)', 'timestamp', drawbridge.instant(now()), 'data', json_build_object(
                        'booking_id', '\(event.entity)', 'hotel_id', \(hotel)::INT4, 'version', \(event.version),
                        'guest', json_build_object('name', 'Guest of \(event.entity)'))))
                """
        }
        return """
            INSERT INTO drawbridge.outbox_events (event_id, type, hotel_id, client, entity_id, version, payload)
            VALUES \(rows.joined(separator: ",\n")) RETURNING event_id
            """
    }

    /// Attempts at an endpoint, in the order of deliveries: number, result, status, error, what became of the answer.
    func attempts(_ endpoint: Endpoint, of event: String? = nil) async throws -> [[String]] {
        try await node.rows(
            """
            SELECT number, result, status, error, answer_ending FROM drawbridge.webhook_attempts
            JOIN drawbridge.webhook_deliveries USING (delivery_id)
            WHERE endpoint_id = '\(endpoint.id)' \(event.map { "AND event_id = '\($0)'" } ?? "")
            ORDER BY event_id, number
            """)
    }

    /// Dead letters of an endpoint: event, reason.
    func deadLetters(_ endpoint: Endpoint) async throws -> [[String]] {
        try await node.rows(
            """
            SELECT event_id, reason FROM drawbridge.webhook_dead_letters
            WHERE endpoint_id = '\(endpoint.id)' ORDER BY event_id
            """)
    }

    /// How many of an endpoint's deliveries are claimed, and how many wait.
    func open(_ endpoint: Endpoint) async throws -> (claimed: Int, waiting: Int) {
        let row = try await node.rows(
            """
            SELECT (SELECT count(*) FROM drawbridge.webhook_claims WHERE endpoint_id = '\(endpoint.id)'),
                   (SELECT count(*) FROM drawbridge.webhook_waiting WHERE endpoint_id = '\(endpoint.id)')
            """)[0]
        return (Int(row[0])!, Int(row[1])!)
    }

    /// Why an endpoint is disabled; `enabled` where it is not.
    func disabledReason(_ endpoint: Endpoint) async throws -> String {
        try await node.value(
            "SELECT COALESCE(disabled_reason, 'enabled') FROM drawbridge.webhook_endpoints WHERE id = '\(endpoint.id)'")
    }
}
