internal import Authentication
internal import Booking
internal import HTTP
internal import JSONText
internal import Loop
internal import PMS
internal import Postgres
internal import Server
internal import Webhook

/// Events that have gone by, delivered anew. It is asked for here; `WebhookReplays` does it.
@OnLoop
struct ReplayResource {
    private let database: Database
    private let credentials: CredentialCheck
    private let answers: IdempotentAnswers
    private let replays: WebhookReplays
    /// Days for which events are kept.
    private let eventDays: Int

    init(
        _ database: Database, _ credentials: CredentialCheck, _ answers: IdempotentAnswers, _ replays: WebhookReplays,
        eventDays: Int
    ) {
        self.database = database
        self.credentials = credentials
        self.answers = answers
        self.replays = replays
        self.eventDays = eventDays
    }

    /// Has the events of a span of time delivered to an endpoint anew.
    func begin(_ call: Call) async throws -> Answer {
        let request = try ReplayRequest(json: call.content)
        try await credentials.check(call)
        let endpoint = try await call.endpoint(try call.endpoint, in: database)
        guard endpoint.disabledAt == nil else { throw BridgeError.webhookDisabled(endpoint.id) }
        let (since, until) = try span(of: request)
        for event in request.events ?? [] where !endpoint.subscription.events.contains(event) {
            throw BridgeError.invalid([("/events", "The webhook is not told of \(event.rawValue)")])
        }
        var answer = try await answers.answer(call, status: .accepted) {
            let transaction = try await database.begin()
            let row: ReplayRecord?
            do {
                row = try await transaction.first(
                    ReplayStatements.insert(
                        endpoint.id, since, until, request.events?.map(\.rawValue), .first(at: since),
                        call.identity.clientKey))
            } catch let error as PostgresError
                where error.code == .uniqueViolation(constraint: "webhook_replays_one_running")
            {
                throw BridgeError.replayUnderWay
            }
            guard let row else { throw PostgresError(.decoding, "a replay was not stored") }
            try await transaction.commit([
                call.audit("replay_webhook", endpoint.id, hotel: endpoint.subscription.onlyHotel, row.json)
            ])
            replays.wake()
            return row.json
        }
        if let id = (try? JSONValue(parsing: answer.content))?["id"]?.string {
            answer.fields.append(.location, "/api/webhooks/\(endpoint.id)/replays/\(id)")
        }
        if let hotel = endpoint.subscription.onlyHotel { answer.concerns(hotel: hotel) }
        return answer
    }

    /// How far one has come.
    func get(_ call: Call) async throws -> Answer {
        let endpoint = try await call.endpoint(try call.endpoint, in: database)
        guard let id = call.parameter("replay_id").flatMap({ TimeOrderedID($0) }),
            let row = try await database.first(ReplayStatements.find(id, endpoint.id))
        else { throw BridgeError.unknownReplay }
        var answer = Answer.json(row.json)
        answer.fields.append(.cacheControl, "private, no-cache")
        if let hotel = endpoint.subscription.onlyHotel { answer.concerns(hotel: hotel) }
        return answer
    }

    /// What has not happened yet is sent when it does, so nothing later than now is replayed.
    private func span(of request: ReplayRequest) throws -> (since: Instant, until: Instant) {
        let now = Instant.now
        let first = Instant(microseconds: now.microseconds - Int64(eventDays) * 86_400_000_000)
        guard request.since >= first else {
            throw BridgeError.invalid([("/since", "Events are kept for \(eventDays) days")])
        }
        guard request.since < now else {
            throw BridgeError.invalid([("/since", "An instant that has gone by is expected")])
        }
        return (request.since, min(request.until ?? now, now))
    }
}

extension ReplayRecord {
    fileprivate var json: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("id", id.description)
            json.member("endpoint_id", endpoint.description)
            json.member("since", since.description)
            json.member("until", until.description)
            if let events {
                json.array("events", events) { $0.element($1) }
            } else {
                json.member("events", raw: "null")
            }
            json.member("state", state)
            json.member("reached_at", (state == "done" ? until : max(since, cursor.instant)).description)
            json.member("replayed", Int(replayed))
            json.member("created_at", createdAt.description)
            json.member("ended_at", endedAt?.description)
        }
        return json.bytes
    }
}
