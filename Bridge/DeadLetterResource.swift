internal import Authentication
internal import Booking
internal import HTTP
internal import JSONText
internal import Loop
internal import PMS
internal import Postgres
internal import Server

/// Dead letters, for administrators: of all hotels, or of some, who see those hotels' only. What they decide stands in the audit
/// log.
@OnLoop
struct DeadLetterResource {
    private static let pageSizes = 1...500
    private static let standardPage = 100

    private let database: Database
    private let writes: PMSWriteQueue
    private let answers: IdempotentAnswers

    init(_ database: Database, _ writes: PMSWriteQueue, _ answers: IdempotentAnswers) {
        self.database = database
        self.writes = writes
        self.answers = answers
    }

    /// Those that wait for somebody to decide, or what stands otherwise, the newest first, a page at a time.
    func list(_ call: Call) async throws -> Answer {
        var query = QueryParameters(call.request.head.target.query ?? "")
        let hotel = query.integer("hotel_id", in: 1...Int(Int32.max)).map { Int32($0) }
        let status = query.value("status", "status of a write") { BackgroundWrite.Status(rawValue: $0) }
        let operation = query.value("operation", "operation") { BackgroundWrite.Operation(rawValue: $0) }
        let before = query.integer("before", in: 1...Int(Int64.max)).map { Int64($0) }
        let limit = query.integer("limit", in: Self.pageSizes) ?? Self.standardPage
        query.refuseOthers()
        if !query.mistakes.isEmpty { throw BridgeError.malformed(query.mistakes) }
        var hotels = call.identity.hotelIDs.ids
        if let hotel {
            guard call.identity.hotelIDs.includes(hotel) else { throw BridgeError.foreignHotel }
            hotels = [hotel]
        }
        let rows = try await database.query(
            PMSWriteStatements.list(
                hotels, (status ?? .dead).rawValue, operation?.rawValue, before ?? .max, Int32(limit + 1)))
        var json = JSONWriter()
        json.object { json in
            json.array("dead_letters", rows.prefix(limit)) { json, row in json.object { row.write(to: &$0) } }
            json.member("next", rows.count > limit ? Int(rows[limit - 1].id) : nil)
        }
        return Self.answer(json.bytes)
    }

    func get(_ call: Call) async throws -> Answer {
        let row = try await find(try id(of: call), call)
        var answer = Self.answer(row.json)
        answer.concerns(hotel: row.hotel)
        return answer
    }

    /// Lets it be tried anew, by the policy and at once. One that is tried already is answered as it stands.
    func retry(_ call: Call) async throws -> Answer {
        try await decide(call, "retry_write", [.pending, .retrying]) { id, actor in PMSWriteStatements.retry(id, actor)
        }
    }

    /// Lets it never be done. One that is abandoned already is answered as it stands.
    func abandon(_ call: Call) async throws -> Answer {
        let reason = try Self.reason(call.content)
        return try await decide(call, "abandon_write", [.abandoned]) { id, actor in
            PMSWriteStatements.abandon(id, actor, reason)
        } then: {
            [BookingStatements.noteSyncFailureEnded($0.hotel, $0.booking)]
        }
    }

    /// - Parameters:
    ///   - done: where it stands if this was decided before.
    ///   - decision: gives a row where it was a dead letter.
    ///   - then: what else is written.
    private func decide(
        _ call: Call, _ action: String, _ done: Set<BackgroundWrite.Status>,
        _ decision: (Int64, String) -> Query<WriteRecord>, then: (WriteRecord) -> [Query<Void>] = { _ in [] }
    ) async throws -> Answer {
        let (id, actor) = (try id(of: call), call.identity.clientKey)
        let (row, query) = (try await find(id, call), decision(id, actor))
        var answer = try await answers.answer(call) {
            let transaction = try await database.begin()
            guard let decided = try await transaction.first(query) else {
                transaction.rollback()
                let row = try await find(id, call)
                guard let status = BackgroundWrite.Status(rawValue: row.status), done.contains(status) else {
                    throw BridgeError.noDeadLetter(row.status)
                }
                return row.json
            }
            try await transaction.commit(
                then(decided) + [
                    BookingStatements.insertAudit(
                        row.hotel, action, row.booking.description, decided.notes.map { Self.noted($0) },
                        JSON(decided.summary), "success", nil, call.request.id.description, actor)
                ])
            writes.wake()
            return decided.json
        }
        answer.concerns(hotel: row.hotel)
        return answer
    }

    /// One that the administrator may see.
    private func find(_ id: Int64, _ call: Call) async throws -> WriteRecord {
        let row = try await database.first(PMSWriteStatements.find(id, call.identity.hotelIDs.ids))
        guard let row else { throw BridgeError.unknownDeadLetter }
        return row
    }

    private func id(of call: Call) throws -> Int64 {
        guard let id = call.parameter("dead_letter_id").flatMap({ Int64($0) }) else {
            throw BridgeError.unknownDeadLetter
        }
        return id
    }

    /// The gateway has compared the content with its description.
    private static func reason(_ content: [UInt8]) throws -> String {
        guard let body = try? JSONValue(parsing: content), let reason = body["reason"]?.string,
            (1...1000).contains(reason.unicodeScalars.count), !reason.unicodeScalars.contains("\0")
        else { throw BridgeError.invalid([("/reason", "A reason of 1 to 1000 characters is needed")]) }
        return reason
    }

    private static func noted(_ reason: String) -> JSON {
        var json = JSONWriter()
        json.object { $0.member("reason", reason) }
        return JSON(json.bytes)
    }

    private static func answer(_ content: [UInt8]) -> Answer {
        var answer = Answer.json(content)
        answer.fields.append(.cacheControl, "private, no-cache")
        return answer
    }
}

extension WriteRecord {
    fileprivate var json: [UInt8] {
        var json = JSONWriter()
        json.object { write(to: &$0) }
        return json.bytes
    }

    /// For the audit log.
    fileprivate var summary: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("dead_letter_id", Int(id))
            json.member("operation", operation)
            json.member("status", status)
        }
        return json.bytes
    }

    fileprivate func write(to json: inout JSONWriter) {
        json.member("id", Int(id))
        json.member("operation", operation)
        json.member("hotel_id", Int(hotel))
        json.member("booking_id", booking.description)
        json.member("payload", raw: payload.text)
        json.member("status", status)
        json.member("attempts", Int(attempts))
        json.object("error") { json in
            json.member("code", errorCode)
            json.member("message", errorMessage)
        }
        json.member("created_at", createdAt.description)
        json.member("first_attempt_at", firstAttemptAt?.description)
        json.member("last_attempt_at", lastAttemptAt?.description)
        json.member("next_attempt_at", nextAttemptAt?.description)
        json.member("dead_at", deadAt?.description)
        json.member("resolved_at", resolvedAt?.description)
        json.member("resolved_by", resolvedBy)
        json.member("notes", notes)
    }
}
