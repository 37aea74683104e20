internal import Authentication
internal import Booking
internal import Cryptography
internal import HTTP
internal import JSONText
internal import Loop
internal import PMS
internal import Postgres
internal import Server
internal import Webhook

/// Deliveries of webhooks, each with what became of it, and the dead letters among them. Whose endpoint is there for whom says
/// `WebhookResource`; of others there are no deliveries either. What somebody decides stands in the audit log, with the endpoint.
@OnLoop
struct DeliveryResource {
    /// Deliveries that are looked at for one page where not all of them belong on it.
    private static let examined = 1000

    /// Dead letters that one request has tried again.
    private static let letters: Int32 = 1000

    private let database: Database
    private let credentials: CredentialCheck
    private let answers: IdempotentAnswers

    init(_ database: Database, _ credentials: CredentialCheck, _ answers: IdempotentAnswers) {
        self.database = database
        self.credentials = credentials
        self.answers = answers
    }

    // MARK: Reading

    /// The deliveries of an endpoint, the newest first, a page at a time.
    ///
    /// A page has fewer where many have to be looked at that do not belong on it: it goes on for as long as there is a next one.
    func list(_ call: Call) async throws -> Answer {
        var query = QueryParameters(call.request.head.target.query ?? "")
        let page = Page(&query)
        let type = query.value("event_type", "type of an event") { text in
            EventType(rawValue: text) != nil || text == TestEvent.type ? text : nil
        }
        let state = query.value("state", "state of a delivery") { DeliveryState(rawValue: $0) }
        query.refuseOthers()
        guard query.mistakes.isEmpty else { throw BridgeError.malformed(query.mistakes) }
        let endpoint = try await call.endpoint(try call.endpoint, in: database)
        let isFiltered = type != nil || state == .delivered || state == .abandoned
        let window = isFiltered ? Self.examined : page.limit + 1
        let ids = try await database.query(
            DeliveryStatements.ids(endpoint.id, page.end, page.beginning, state?.rawValue, Int32(window)))
        return try await answer("deliveries", ids, window, page, type, state)
    }

    /// Those that nobody delivers any more until somebody decides, the newest first, a page at a time.
    func listDeadLetters(_ call: Call) async throws -> Answer {
        var query = QueryParameters(call.request.head.target.query ?? "")
        let page = Page(&query)
        let wanted = query.value("endpoint_id", "id of a webhook") { EndpointID($0) }
        let reason = query.value("reason", "reason of a dead letter") { DeadLetterReason(rawValue: $0) }
        query.refuseOthers()
        guard query.mistakes.isEmpty else { throw BridgeError.malformed(query.mistakes) }
        if let wanted { _ = try await call.endpoint(wanted, in: database) }
        let ids = try await database.query(
            DeliveryStatements.deadLetterIDs(
                call.owner, call.identity.hotelIDs.ids, wanted, reason?.rawValue, page.end, page.beginning,
                Int32(page.limit + 1)))
        return try await answer("dead_letters", ids, page.limit + 1, page, nil, .dead)
    }

    /// One, with its event, as far as whoever asks may read what that tells, and with every attempt.
    func get(_ call: Call) async throws -> Answer {
        let row = try await find(call)
        let event = try await database.first(DeliveryStatements.event(row.event))
        let attempts = try await database.query(DeliveryStatements.attempts(row.id))
        var json = JSONWriter(capacity: 4096)
        json.object { json in
            row.write(to: &json)
            if let event {
                json.object("event") { json in
                    json.member("created_at", event.createdAt.description)
                    json.member("payload", raw: call.identity.mayRead(event) ? event.payload.text : "null")
                }
            } else {
                json.member("event", raw: "null")
            }
            json.array("attempts", attempts) { json, attempt in json.object { attempt.write(to: &$0) } }
        }
        return Self.answer(json.bytes, about: row.hotel)
    }

    // MARK: Deciding

    /// Has one tried at once, whatever became of it.
    func retry(_ call: Call) async throws -> Answer {
        try await decide(call, "retry_webhook_delivery", DeliveryStatements.retry) { outcome, row in
            switch outcome {
            case "waiting": return true
            // It is being tried this moment.
            case "sending": return false
            case "disabled": throw BridgeError.webhookDisabled(row.endpoint)
            case "forgotten": throw BridgeError.eventNotKept
            case "worn_out": throw BridgeError.tooManyAttempts
            default: throw BridgeError.unknownDelivery
            }
        }
    }

    /// Has one never be tried again. One that is abandoned already is answered as it stands.
    func abandon(_ call: Call) async throws -> Answer {
        try await decide(call, "abandon_webhook_delivery", DeliveryStatements.abandon) { outcome, row in
            switch outcome {
            case "abandoned": return true
            case "ended" where row.state == DeliveryState.abandoned.rawValue: return false
            case "ended": throw BridgeError.deliveryEnded
            case "sending": throw BridgeError.deliveryUnderWay
            default: throw BridgeError.unknownDelivery
            }
        }
    }

    /// - Parameters:
    ///   - decision: gives a word for what came of it.
    ///   - isDone: whether that has changed something; it is given the delivery as it stands then.
    private func decide(
        _ call: Call, _ action: String, _ decision: Statement<String?, TimeOrderedID>,
        _ isDone: (String?, DeliveryRecord) throws -> Bool
    ) async throws -> Answer {
        try await credentials.check(call)
        let before = try await find(call)
        var answer = try await answers.answer(call) {
            let transaction = try await database.begin()
            let outcome = try await transaction.first(decision(before.id))
            let found = DeliveryStatements.find(before.id, call.owner, call.identity.hotelIDs.ids)
            guard let row = try await transaction.first(found) else { throw BridgeError.unknownDelivery }
            guard try isDone(outcome ?? nil, row) else {
                transaction.rollback()
                return row.json
            }
            try await transaction.commit([audit(action, row, call)])
            return row.json
        }
        if let hotel = before.hotel { answer.concerns(hotel: hotel) }
        return answer
    }

    /// Has dead letters tried again, the oldest first: up to a bound, and those of endpoints that are enabled.
    func retryDeadLetters(_ call: Call) async throws -> Answer {
        let selection = try DeadLetterSelection(json: call.content)
        try await credentials.check(call)
        let (owner, hotels) = (call.owner, call.identity.hotelIDs.ids)
        if let wanted = selection.endpoint {
            let endpoint = try await call.endpoint(wanted, in: database)
            guard endpoint.disabledAt == nil else { throw BridgeError.webhookDisabled(wanted) }
        }
        return try await answers.answer(call) {
            let transaction = try await database.begin()
            if let ids = selection.ids,
                let disabled = try await transaction.first(DeliveryStatements.disabledEndpoint(owner, hotels, ids))
            {
                throw BridgeError.webhookDisabled(disabled)
            }
            let revived: [RevivedLetters] = try await transaction.query(
                DeliveryStatements.retryDeadLetters(of: owner, hotels, selection, bound: Self.letters))
            let count = revived.reduce(0) { $0 + $1.count }
            try await transaction.commit(revived.map { audit("retry_webhook_dead_letters", $0, call) })
            var json = JSONWriter()
            json.object { json in
                json.member("retried", Int(count))
                json.member("more", count == Self.letters)
            }
            return json.bytes
        }
    }

    /// Sends an endpoint an event that says nothing but that it is a test.
    func test(_ call: Call) async throws -> Answer {
        try await credentials.check(call)
        let endpoint = try await call.endpoint(try call.endpoint, in: database)
        var answer = try await answers.answer(call, status: .accepted) {
            let transaction = try await database.begin()
            let made = try await transaction.first(DeliveryStatements.test(endpoint.id))
            guard let made, let delivery = made.delivery, let event = made.event else {
                throw BridgeError.webhookDisabled(endpoint.id)
            }
            var json = JSONWriter()
            json.object { json in
                json.member("delivery_id", delivery.description)
                json.member("event_id", event.description)
            }
            try await transaction.commit([
                call.audit("test_webhook", endpoint.id, hotel: endpoint.subscription.onlyHotel, json.bytes)
            ])
            return json.bytes
        }
        if let hotel = endpoint.subscription.onlyHotel { answer.concerns(hotel: hotel) }
        return answer
    }

    // MARK: Parts

    private func find(_ call: Call) async throws -> DeliveryRecord {
        guard let id = call.parameter("delivery_id").flatMap({ TimeOrderedID($0) }),
            let row = try await database.first(
                DeliveryStatements.find(id, call.owner, call.identity.hotelIDs.ids))
        else { throw BridgeError.unknownDelivery }
        return row
    }

    /// A page of those of these deliveries, of which there are as many as were looked for or all there are, that belong on it.
    private func answer(
        _ name: StaticString, _ ids: [TimeOrderedID], _ window: Int, _ page: Page, _ type: String?,
        _ state: DeliveryState?
    ) async throws -> Answer {
        let rows =
            ids.isEmpty
            ? [] : try await database.query(DeliveryStatements.list(ids, type, state?.rawValue, Int32(page.limit)))
        var next: TimeOrderedID?
        if rows.count == page.limit, rows.last?.id != ids.last {
            next = rows.last?.id
        } else if ids.count == window {
            next = ids.last
        }
        var json = JSONWriter(capacity: 512 * (rows.count + 1))
        json.object { json in
            json.array(name, rows) { json, row in json.object { row.write(to: &$0) } }
            json.member("next", next?.description)
        }
        return Self.answer(json.bytes, about: nil)
    }

    private func audit(_ action: String, _ row: DeliveryRecord, _ call: Call) -> Query<Void> {
        var json = JSONWriter()
        json.object { json in
            json.member("delivery_id", row.id.description)
            json.member("event_id", row.event.description)
            json.member("state", row.state)
        }
        return call.audit(action, row.endpoint, hotel: row.hotel, json.bytes)
    }

    private func audit(_ action: String, _ letters: RevivedLetters, _ call: Call) -> Query<Void> {
        var json = JSONWriter()
        json.object { $0.member("retried", Int(letters.count)) }
        return call.audit(action, letters.endpoint, hotel: letters.hotel, json.bytes)
    }

    private static func answer(_ content: [UInt8], about hotel: Int32?) -> Answer {
        var answer = Answer.json(content)
        answer.fields.append(.cacheControl, "private, no-cache")
        if let hotel { answer.concerns(hotel: hotel) }
        return answer
    }

    /// What is asked for of a list: a span of time, and how many.
    private struct Page {
        private static let sizes = 1...100
        private static let standardSize = 50

        /// Before which id, and from which on.
        let end: TimeOrderedID
        let beginning: TimeOrderedID
        let limit: Int

        init(_ query: inout QueryParameters) {
            let since = query.value("since", "instant as RFC 3339 has it") { Instant($0) }
            let until = query.value("until", "instant as RFC 3339 has it") { Instant($0) }
            if let since, let until, until <= since { query.fail("until", "The end must be after the beginning") }
            let before = query.value("before", "id of a delivery") { TimeOrderedID($0) }
            limit = query.integer("limit", in: Self.sizes) ?? Self.standardSize
            end = min(before ?? .last, until.map { .first(at: $0) } ?? .last)
            beginning = .first(at: since ?? Instant(microseconds: 0))
        }
    }
}

extension Identity {
    /// Whether it may read what an event tells: what tells of bookings takes the same scope and hotel as reading them.
    fileprivate func mayRead(_ event: DeliveredEvent) -> Bool {
        let scope = event.type == TestEvent.type ? Scope.webhookRead : EventType(rawValue: event.type)?.scope
        guard let scope, scopes.contains(scope) else { return false }
        return event.hotel.map { hotelIDs.includes($0) } ?? true
    }
}

extension DeliveryRecord {
    fileprivate var json: [UInt8] {
        var json = JSONWriter()
        json.object { write(to: &$0) }
        return json.bytes
    }

    fileprivate func write(to json: inout JSONWriter) {
        json.member("id", id.description)
        json.member("endpoint_id", endpoint.description)
        json.member("event_id", event.description)
        json.member("event_type", type)
        json.member("hotel_id", hotel.map { Int($0) })
        json.member("origin", origin)
        json.member("state", state)
        json.member("created_at", id.instant.description)
        json.member("due_at", dueAt?.description)
        json.member("dead_at", diedAt?.description)
        json.member("dead_reason", reason)
        json.member("attempt_count", Int(attempts))
        if let lastAttemptAt {
            json.object("last_attempt") { json in
                json.member("started_at", lastAttemptAt.description)
                json.member("status", lastStatus.map { Int($0) })
                json.member("error", lastError)
            }
        } else {
            json.member("last_attempt", raw: "null")
        }
    }
}

extension AttemptRecord {
    fileprivate func write(to json: inout JSONWriter) {
        json.member("number", Int(number))
        json.member("started_at", startedAt.description)
        json.member("result", result)
        json.member("status", status.map { Int($0) })
        json.member("error", error)
        json.member("message", message)
        if let answer {
            json.object("answer") { json in
                json.member("text", Self.text(answer))
                json.member("base64", Self.text(answer) == nil ? Base64.standard.encode(answer) : nil)
                json.member("ending", answerEnding)
            }
        } else {
            json.member("answer", raw: "null")
        }
        json.member("address", address)
        json.member("http_version", version)
        json.member("connection_reused", isReused)
        json.object("timings_us") { json in
            json.member("name", Int(name))
            json.member("connect", Int(connect))
            json.member("tls", Int(tls))
            json.member("first_byte", Int(firstByte))
            json.member("total", Int(total))
        }
    }

    /// What is text throughout, without control characters but those of lines and tabs.
    private static func text(_ bytes: [UInt8]) -> String? {
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || [0x09, 0x0A, 0x0D].contains($0) }) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}
