internal import Booking
public import Loop
internal import Policy
public import Webhook

/// What was sent to endpoints, in the installation's database, and what can be done about it: what `drawbridge webhook` does beside
/// the endpoints themselves. Each decision stands in the audit log; a running bridge sees it within a second.
@OnLoop
public struct WebhookDeliveries {
    /// Which deliveries are asked for.
    public struct Filter: Sendable, Equatable {
        /// Nil for any.
        public var state: DeliveryState?
        /// The type of their events; nil for any.
        public var event: String?
        /// Made at that moment or later, as RFC 3339 has it; nil for any.
        public var since: String?
        /// Made before that moment; nil for any.
        public var until: String?
        public var limit = 50

        /// The latest.
        public init() {}
    }

    /// How far a replay has come.
    public struct Progress: Sendable, Equatable {
        /// Deliveries that have been made.
        public let replayed: Int
        /// How much of the time it is about it has gone through, from 0 to 100.
        public let percent: Int
        /// `running`, `done`, or `stopped`: its endpoint was disabled.
        public let state: String
    }

    /// Dead letters that a statement has tried again.
    private static let batch = 1000

    private let database: Database
    private let home: Home

    /// Finds the database: `$DATABASE_URL`, or the private one of a running installation.
    ///
    /// - Throws: `InstallationError` when neither is there.
    public init(_ home: Home, _ settings: Settings, tools: Tools) throws {
        database = try Database(of: home, settings, tools: tools)
        self.home = home
    }

    // MARK: Reading

    /// An endpoint's, the newest first: id, when it was made, event, type, origin, state, attempts, what came of the last one.
    ///
    /// A state, and a type, are looked for among the latest hundred thousand.
    public func list(_ endpoint: EndpointID, _ filter: Filter) async throws -> [[String]] {
        try await requireEndpoint(endpoint)
        return try await database.rows(
            """
            SELECT states.delivery_id, \(Database.instant("drawbridge.instant_of(states.delivery_id)")), event_id,
                   COALESCE(type, ''), origin,
                   CASE state WHEN 'dead' THEN state || ' (' || reason || ')' ELSE state END, attempts,
                   COALESCE(concat_ws(' ', last_status, last_error), '')
            FROM (SELECT delivery_id FROM drawbridge.webhook_deliveries
                  WHERE endpoint_id = :'endpoint'::UUID AND delivery_id >= :'first'::UUID AND delivery_id < :'before'::UUID
                  ORDER BY delivery_id DESC LIMIT 100000) AS latest
            \(Self.states)
            WHERE (:'state' = '' OR state = :'state') AND (:'event' = '' OR type = :'event')
            ORDER BY latest.delivery_id DESC LIMIT :'limit'::INTEGER;
            """,
            [
                "endpoint": endpoint.description, "state": filter.state?.rawValue ?? "", "event": filter.event ?? "",
                "first": try Self.first(filter.since, or: .first(at: Instant(microseconds: 0))).description,
                "before": try Self.first(filter.until, or: .last).description, "limit": String(filter.limit),
            ])
    }

    /// Everything about one, by name: how it stands, its event, each attempt. What a receiver has answered is shown as far as it is
    /// text, without what could steer a terminal.
    public func show(_ id: TimeOrderedID) async throws -> [(name: String, value: String)] {
        let rows = try await database.rows(
            """
            SELECT member.key, translate(member.value, '|', '¦')
            FROM drawbridge.webhook_delivery_states AS states,
                 jsonb_each_text(to_jsonb(states)) WITH ORDINALITY AS member (key, value, n)
            WHERE states.delivery_id = :'id'::UUID AND member.value IS NOT NULL ORDER BY n;
            SELECT 'payload', \(Database.line("payload::TEXT")) FROM drawbridge.webhook_events
            WHERE event_id = (SELECT event_id FROM drawbridge.webhook_deliveries WHERE delivery_id = :'id'::UUID);
            SELECT 'attempt ' || number, concat_ws(', ', \(Database.instant("started_at")), result, status, error,
                   \(Database.line("message")), address, 'HTTP/' || http_version, CASE WHEN is_reused THEN 'connection reused' END,
                   concat(total_us / 1000, ' ms (name ', name_us / 1000, ', connect ', connect_us / 1000, ', tls ',
                          tls_us / 1000, ', first byte ', first_byte_us / 1000, ')'),
                   'answer (' || answer_ending || ', ' || octet_length(answer) || ' bytes): ' || \(Database.line("encode(answer, 'escape')")))
            FROM drawbridge.webhook_attempts WHERE delivery_id = :'id'::UUID ORDER BY number;
            """, ["id": id.description])
        guard !rows.isEmpty else { throw Self.noSuchDelivery(id) }
        return rows.map { ($0[0], $0.dropFirst().joined(separator: "|")) }
    }

    /// Deliveries that nobody tries any more, the newest first: id, when it was made, endpoint, type, reason, since when, attempts, what
    /// came of the last one.
    ///
    /// - Parameter json: which, as `POST /api/webhooks/dead-letters/retry` has it.
    public func deadLetters(json: [UInt8], limit: Int) async throws -> [[String]] {
        try await database.rows(
            """
            SELECT states.delivery_id, \(Database.instant("drawbridge.instant_of(states.delivery_id)")), states.endpoint_id,
                   COALESCE(states.type, ''), states.reason, \(Database.instant("states.died_at")), attempts,
                   COALESCE(concat_ws(' ', last_status, last_error), '')
            FROM (SELECT delivery_id FROM drawbridge.webhook_dead_letters
                  WHERE (\(Self.endpoint) IS NULL OR endpoint_id = \(Self.endpoint))
                    AND (:'reason' = '' OR reason = :'reason')
                    AND (\(Self.ids) IS NULL OR delivery_id = ANY (\(Self.ids)))
                    AND delivery_id >= :'first'::UUID AND delivery_id < :'before'::UUID
                  ORDER BY delivery_id DESC LIMIT 100000) AS latest
            \(Self.states)
            WHERE state = 'dead' AND (\(Self.types) IS NULL OR states.type = ANY (\(Self.types)))
            ORDER BY latest.delivery_id DESC LIMIT :'limit'::INTEGER;
            """, try Self.variables(of: json).merging(["limit": String(limit)]) { $1 })
    }

    // MARK: Deciding

    /// Has a delivery tried at once, whatever became of it.
    public func retry(_ id: TimeOrderedID) async throws {
        switch try await decide(id, "retry_webhook_delivery", done: "waiting") {
        case "waiting", "sending": return
        case "disabled":
            throw InstallationError(
                "its webhook is disabled",
                remedy: "enable it: drawbridge webhook enable ID; see drawbridge webhook list")
        case "forgotten": throw InstallationError("its event is not kept any more")
        case "worn_out":
            throw InstallationError(
                "it was tried as often as anything is", remedy: "replay its event: drawbridge webhook replay")
        default: throw Self.noSuchDelivery(id)
        }
    }

    /// Has a delivery never be tried again.
    public func abandon(_ id: TimeOrderedID) async throws {
        switch try await decide(id, "abandon_webhook_delivery", done: "abandoned") {
        case "abandoned": return
        case "sending": throw InstallationError("an attempt is under way", remedy: "look again what came of it")
        case "ended": throw InstallationError("it has ended", remedy: "see drawbridge webhook delivery \(id)")
        default: throw Self.noSuchDelivery(id)
        }
    }

    /// Has dead letters tried again.
    ///
    /// - Parameter json: which, as `POST /api/webhooks/dead-letters/retry` has it.
    /// - Returns: how many.
    public func retryDeadLetters(json: [UInt8]) async throws -> Int {
        let variables = try Self.variables(of: json)
        let disabled = try await database.rows(
            """
            SELECT id FROM drawbridge.webhook_endpoints
            WHERE disabled_at IS NOT NULL
              AND (id = \(Self.endpoint) OR id IN (SELECT endpoint_id FROM drawbridge.webhook_dead_letters
                                                   WHERE delivery_id = ANY (\(Self.ids)))) LIMIT 1;
            """, variables)
        if let id = disabled.first?.first {
            throw InstallationError(
                "the webhook \(id) is disabled", remedy: "enable it: drawbridge webhook enable \(id)")
        }
        var total = 0
        while true {
            let rows = try await database.rows(
                """
                WITH revived AS MATERIALIZED (
                    SELECT * FROM drawbridge.retry_webhook_dead_letters(
                        NULL, NULL, \(Self.endpoint), \(Self.ids), NULLIF(:'reason', ''), :'first', :'before', \(Self.types),
                        \(Self.batch))
                ), told AS (
                    INSERT INTO booking_engine_audit_log (hotel_id, action, entity_type, entity_id, response_data, status, actor)
                    SELECT CASE WHEN cardinality(hotel_ids) = 1 THEN hotel_ids[1] END, 'retry_webhook_dead_letters',
                           'webhook_endpoint', id::TEXT, jsonb_build_object('retried', retried), 'success', \(Self.actor)
                    FROM revived JOIN drawbridge.webhook_endpoints ON id = revived.endpoint
                )
                SELECT COALESCE(sum(retried), 0) FROM revived;
                """, variables)
            guard let count = rows.first?.first.flatMap({ Int($0) }) else { return total }
            total += count
            if count < Self.batch { return total }
        }
    }

    /// Sends an endpoint an event that says nothing but that it is a test.
    ///
    /// - Returns: the delivery.
    public func test(_ endpoint: EndpointID) async throws -> TimeOrderedID {
        try await requireEndpoint(endpoint, isEnabled: true)
        let rows = try await database.rows(
            """
            WITH made AS MATERIALIZED (SELECT * FROM drawbridge.test_webhook(:'id'::UUID)), told AS (
                INSERT INTO booking_engine_audit_log (hotel_id, action, entity_type, entity_id, response_data, status, actor)
                SELECT CASE WHEN cardinality(hotel_ids) = 1 THEN hotel_ids[1] END, 'test_webhook', 'webhook_endpoint', id::TEXT,
                       jsonb_build_object('delivery_id', delivery, 'event_id', event), 'success', \(Self.actor)
                FROM made, drawbridge.webhook_endpoints WHERE id = :'id'::UUID AND delivery IS NOT NULL
            )
            SELECT delivery FROM made;
            """, ["id": endpoint.description])
        guard let id = rows.first?.first.flatMap({ TimeOrderedID($0) }) else { throw Self.isDisabled(endpoint) }
        return id
    }

    // MARK: Replaying

    /// Has events that have gone by delivered anew; a running bridge does it.
    ///
    /// - Parameter json: which, as `POST /api/webhooks/{webhook_id}/replay` has it.
    public func beginReplay(_ endpoint: EndpointID, json: [UInt8]) async throws -> TimeOrderedID {
        let request = try Webhooks.valid { () throws(InvalidRequest) in try ReplayRequest(json: json) }
        try await requireEndpoint(endpoint, isEnabled: true)
        let policies = PolicyDirectory(path: try PolicyLocation.find(nil, home: home), installation: home.path)
        let rows = try await database.rows(
            """
            SELECT CASE WHEN :'since'::TIMESTAMPTZ >= now() THEN 'later'
                        WHEN :'since'::TIMESTAMPTZ < now() - make_interval(days => :'days') THEN 'forgotten'
                        WHEN NOT string_to_array(:'events', ' ') <@ events THEN 'untold'
                        WHEN EXISTS (SELECT FROM drawbridge.webhook_replays
                                     WHERE endpoint_id = endpoint.id AND state = 'running') THEN 'running'
                        ELSE 'none' END AS obstacle
            FROM drawbridge.webhook_endpoints AS endpoint WHERE id = :'endpoint' \\gset
            WITH made AS (
                INSERT INTO drawbridge.webhook_replays (id, endpoint_id, since, until, events, cursor, asked_by)
                SELECT drawbridge.time_ordered_id(), :'endpoint'::UUID, :'since'::TIMESTAMPTZ,
                       LEAST(NULLIF(:'until', '')::TIMESTAMPTZ, now()), NULLIF(string_to_array(:'events', ' '), '{}'),
                       :'cursor'::UUID, \(Self.actor)
                WHERE :'obstacle' = 'none' RETURNING *
            ), told AS (
                INSERT INTO booking_engine_audit_log (hotel_id, action, entity_type, entity_id, response_data, status, actor)
                SELECT CASE WHEN cardinality(hotel_ids) = 1 THEN hotel_ids[1] END, 'replay_webhook', 'webhook_endpoint',
                       endpoint.id::TEXT,
                       jsonb_build_object('id', made.id, 'since', made.since, 'until', made.until, 'events', made.events),
                       'success', asked_by
                FROM made JOIN drawbridge.webhook_endpoints AS endpoint ON endpoint.id = made.endpoint_id
            )
            SELECT id FROM made;
            SELECT :'obstacle';
            """,
            [
                "endpoint": endpoint.description, "since": request.since.description,
                "until": request.until?.description ?? "",
                "events": (request.events ?? []).map(\.rawValue).joined(separator: " "),
                "cursor": TimeOrderedID.first(at: request.since).description,
                "days": String(try policies.bridge().retention.eventDays),
            ])
        switch rows.last?.first {
        case "later": throw InstallationError("--since takes a time that has gone by")
        case "forgotten":
            throw InstallationError(
                "events of then are not kept any more", remedy: "see retention.event_days in bridge.yaml")
        case "untold":
            throw InstallationError(
                "the webhook is not told of all of these events", remedy: "see drawbridge webhook show \(endpoint)")
        case "running":
            throw InstallationError("a replay to the webhook is under way", remedy: "wait until it has ended")
        default: break
        }
        guard let id = rows.first?.first.flatMap({ TimeOrderedID($0) }) else { throw Webhooks.noSuchWebhook(endpoint) }
        return id
    }

    /// How far a replay has come; nil where its endpoint is not there any more.
    public func progress(of replay: TimeOrderedID) async throws -> Progress? {
        let rows = try await database.rows(
            """
            SELECT replayed, state, CASE state WHEN 'done' THEN 100 ELSE
                   GREATEST(0, LEAST(99, floor(100 * extract(epoch FROM drawbridge.instant_of(cursor) - since)
                                                   / extract(epoch FROM until - since))))::INTEGER END
            FROM drawbridge.webhook_replays WHERE id = :'id'::UUID;
            """, ["id": replay.description])
        guard let row = rows.first, row.count == 3, let replayed = Int(row[0]), let percent = Int(row[2]) else {
            return nil
        }
        return Progress(replayed: replayed, percent: percent, state: row[1])
    }

    // MARK: Parts

    /// Lets a function of the database decide, and writes into the audit log what it has done.
    ///
    /// - Parameter done: the word for its having changed something.
    /// - Returns: the function's word.
    private func decide(_ id: TimeOrderedID, _ function: String, done: String) async throws -> String {
        let rows = try await database.rows(
            """
            BEGIN;
            SELECT COALESCE(drawbridge.\(function)(:'id'::UUID), 'missing') AS outcome \\gset
            INSERT INTO booking_engine_audit_log (hotel_id, action, entity_type, entity_id, response_data, status, actor)
            SELECT hotel_id, :'action', 'webhook_endpoint', endpoint_id::TEXT,
                   jsonb_build_object('delivery_id', delivery_id, 'event_id', event_id, 'state', state), 'success',
                   \(Self.actor)
            FROM drawbridge.webhook_delivery_states WHERE delivery_id = :'id'::UUID AND :'outcome' = :'done';
            COMMIT;
            SELECT :'outcome';
            """, ["id": id.description, "action": function, "done": done])
        return rows.first?.first ?? ""
    }

    private func requireEndpoint(_ id: EndpointID, isEnabled: Bool = false) async throws {
        let rows = try await database.rows(
            "SELECT disabled_at IS NULL FROM drawbridge.webhook_endpoints WHERE id = :'id'::UUID;",
            ["id": id.description])
        guard let row = rows.first else { throw Webhooks.noSuchWebhook(id) }
        if isEnabled, row != ["t"] { throw Self.isDisabled(id) }
    }

    /// Nil in SQL for what a selection does not say.
    private static let endpoint = "NULLIF(:'endpoint', '')::UUID"
    private static let ids = "NULLIF(string_to_array(:'ids', ' '), '{}')::UUID[]"
    private static let types = "NULLIF(string_to_array(:'events', ' '), '{}')"

    /// Each is looked at only when it is its turn.
    private static let states = """
        CROSS JOIN LATERAL (SELECT * FROM drawbridge.webhook_delivery_states
                            WHERE delivery_id = latest.delivery_id LIMIT 1) AS states
        """

    private static let actor = "'command line: ' || session_user"

    private static func variables(of json: [UInt8]) throws -> [String: String] {
        let selection = try Webhooks.valid { () throws(InvalidRequest) in try DeadLetterSelection(json: json) }
        return [
            "endpoint": selection.endpoint?.description ?? "",
            "ids": (selection.ids ?? []).map(\.description).joined(separator: " "),
            "reason": selection.reason?.rawValue ?? "",
            "first": TimeOrderedID.first(at: selection.since ?? Instant(microseconds: 0)).description,
            "before": (selection.until.map { .first(at: $0) } ?? TimeOrderedID.last).description,
            "events": (selection.events ?? []).map(\.rawValue).joined(separator: " "),
        ]
    }

    private static func first(_ text: String?, or other: TimeOrderedID) throws -> TimeOrderedID {
        guard let text else { return other }
        guard let instant = Instant(text) else {
            throw InstallationError("\(text) is no time such as 2026-12-01T10:25:00Z")
        }
        return .first(at: instant)
    }

    private static func isDisabled(_ id: EndpointID) -> InstallationError {
        InstallationError("the webhook is disabled", remedy: "enable it: drawbridge webhook enable \(id)")
    }

    private static func noSuchDelivery(_ id: TimeOrderedID) -> InstallationError {
        InstallationError("there is no delivery \(id)", remedy: "see which there are: drawbridge webhook deliveries ID")
    }
}
