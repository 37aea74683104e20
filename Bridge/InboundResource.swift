internal import Authentication
internal import HTTP
internal import Inbound
internal import JSONText
internal import Loop
internal import Policy
internal import Postgres
internal import Server
internal import Telemetry

/// Webhooks that others send to us: kept as they come and answered, in one statement, and acted on after that. For
/// administrators, what has become of them; of some hotels, those of which it is known that they are about these. What they say is
/// told to nobody here: guests' data may be in it.
@OnLoop
final class InboundResource {
    private static let pageSizes = 1...500
    private static let standardPage = 100
    /// Bytes that are kept of a field.
    private static let fieldBound = 1024

    private let database: Database
    private let queue: InboundQueue
    private let answers: IdempotentAnswers
    private var sources: [String: InboundSource]
    private var counters: [String: Counter] = [:]

    init(
        _ policy: InboundPolicy, _ database: Database, _ queue: InboundQueue, _ answers: IdempotentAnswers
    ) {
        self.database = database
        self.queue = queue
        self.answers = answers
        sources = policy.sourcesByName
    }

    /// Goes by other sources from the next message on.
    func replace(_ policy: InboundPolicy) { sources = policy.sourcesByName }

    /// Keeps a message, and says by which number; of one that came before, that it did.
    func receive(_ call: Call) async throws -> Answer {
        let name = call.parameter(Route.sourceParameter) ?? ""
        guard call.identity.method == .inbound, call.identity.subject == InboundSender.subject(name) else {
            throw AuthenticationError(.badHop, "not the identity of the source in the path")
        }
        guard let source = sources[name] else { throw BridgeError.unknownSource }
        let fields = call.request.head.fields
        func values(_ name: String) -> [String] {
            fields.filter { $0.nameText.lowercased() == name }.map(\.value)
        }
        let kept = Self.json(source.keptFields.map { ($0, values($0)) })
        let contentType = fields[.contentType].map { Self.bounded($0) }
        let query =
            if let key = source.key(of: call.content, values) {
                InboundStatements.keep(name, key, call.content, contentType, kept)
            } else {
                InboundStatements.keepUnrecognised(name, call.content, contentType, kept)
            }
        guard let receipt = try await database.first(query) else {
            throw PostgresError(.misuse, "no message was kept")
        }
        count(name, receipt.isRepetition ? "repeated" : "received")
        if !receipt.isRepetition { queue.wake() }
        var json = JSONWriter()
        json.object { json in
            json.member("id", Int(receipt.id))
            json.member("duplicate", receipt.isRepetition)
        }
        var answer = Answer.json(json.bytes, status: .accepted)
        answer.fields.append(.cacheControl, "no-store")
        return answer
    }

    // MARK: Looking at them

    /// The newest first, a page at a time.
    func list(_ call: Call) async throws -> Answer {
        var query = QueryParameters(call.request.head.target.query ?? "")
        let source = query.value("source", "source's name") { InboundSource.isName($0) ? $0 : nil }
        let status = query.value("status", "status of a message") { InboundMessage.Status(rawValue: $0) }
        let before = query.integer("before", in: 1...Int(Int64.max)).map { Int64($0) }
        let limit = query.integer("limit", in: Self.pageSizes) ?? Self.standardPage
        query.refuseOthers()
        guard query.mistakes.isEmpty else { throw BridgeError.malformed(query.mistakes) }
        let rows = try await database.query(
            InboundStatements.list(
                call.identity.hotelIDs.ids, source, status?.rawValue, before ?? .max, Int32(limit + 1)))
        var json = JSONWriter(capacity: 512 * (rows.count + 1))
        json.object { json in
            json.array("messages", rows.prefix(limit)) { json, row in json.object { row.write(to: &$0) } }
            json.member("next", rows.count > limit ? Int(rows[limit - 1].id) : nil)
        }
        return Self.answer(json.bytes)
    }

    func get(_ call: Call) async throws -> Answer {
        let row = try await find(call)
        var answer = Self.answer(row.json)
        if let hotel = row.hotel { answer.concerns(hotel: hotel) }
        return answer
    }

    /// Lets one that was rejected, or is a dead letter, be tried anew. One that is tried already is answered as it stands.
    func retry(_ call: Call) async throws -> Answer {
        let found = try await find(call)
        var answer = try await answers.answer(call) {
            let transaction = try await database.begin()
            guard try await transaction.first(InboundStatements.retry(found.id)) != nil,
                let retried = try await transaction.first(InboundStatements.find(found.id, nil))
            else {
                transaction.rollback()
                let row = try await find(call)
                guard let status = InboundMessage.Status(rawValue: row.status), status.isOpen else {
                    throw BridgeError.notRetried(row.status)
                }
                return row.json
            }
            try await transaction.commit([
                InboundStatements.insertAudit(
                    retried.hotel, String(retried.id), JSON(retried.json), call.request.id.description,
                    call.identity.clientKey)
            ])
            queue.wake()
            return retried.json
        }
        if let hotel = found.hotel { answer.concerns(hotel: hotel) }
        return answer
    }

    /// One that the administrator may see.
    private func find(_ call: Call) async throws -> InboundRecord {
        guard let id = call.parameter("message_id").flatMap({ Int64($0) }),
            let row = try await database.first(InboundStatements.find(id, call.identity.hotelIDs.ids))
        else { throw BridgeError.unknownMessage }
        return row
    }

    // MARK: Parts

    private static func answer(_ content: [UInt8]) -> Answer {
        var answer = Answer.json(content)
        answer.fields.append(.cacheControl, "private, no-cache")
        return answer
    }

    /// The fields that are there, several of one name as one (RFC 9110 §5.3).
    private static func json(_ fields: [(name: String, values: [String])]) -> JSON {
        var json = JSONWriter()
        json.object { json in
            for (name, values) in fields where !values.isEmpty {
                json.member(named: name, bounded(values.joined(separator: ", ")))
            }
        }
        return JSON(json.bytes)
    }

    private static func bounded(_ value: String) -> String {
        String(decoding: value.utf8.prefix(fieldBound), as: UTF8.self)
    }

    private func count(_ source: String, _ outcome: String) {
        let series = "\(source) \(outcome)"
        let counter =
            counters[series]
            ?? Metrics.counter(
                "drawbridge_bridge_inbound_messages_total",
                "Webhooks that others have sent to us, by source, and whether they had come before.",
                [("source", source), ("outcome", outcome)])
        counters[series] = counter
        counter.increment()
    }
}

extension InboundPolicy {
    var sourcesByName: [String: InboundSource] { Dictionary(uniqueKeysWithValues: sources.map { ($0.name, $0) }) }
}

extension InboundRecord {
    fileprivate var json: [UInt8] {
        var json = JSONWriter()
        json.object { write(to: &$0) }
        return json.bytes
    }
}
