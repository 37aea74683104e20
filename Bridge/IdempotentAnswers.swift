internal import Authentication
internal import HTTP
internal import Loop
internal import Postgres
internal import Server

/// Lets a request that changes something be sent again without being carried out again: what was answered to its
/// `Idempotency-Key` is kept for 24 hours.
///
/// For what may be carried out twice without harm, should two bridges get the same key at the same moment or one end before
/// it has written the answer down. What must not be commits with its record: see `BookingService`.
@OnLoop
final class IdempotentAnswers {
    private let database: Database
    /// Client and key of each request that is not answered yet.
    private var underWay: Set<String> = []

    init(_ database: Database) { self.database = database }

    /// The answer to a request: the one that its key got before, or else what `carryOut` gives, as JSON.
    ///
    /// - Throws: `BridgeError` for a key that is none, was used otherwise, or whose request is under way; what `carryOut`
    ///   throws, which is not kept.
    func answer(_ call: Call, _ carryOut: @OnLoop () async throws -> [UInt8]) async throws -> Answer {
        guard let key = try call.idempotencyKey() else { return Self.answer(try await carryOut()) }
        let client = call.identity.clientKey
        let claim = "\(client)\n\(key.key)"
        guard underWay.insert(claim).inserted else { throw BridgeError.requestUnderWay }
        defer { underWay.remove(claim) }
        if let kept = try await database.first(IdempotentAnswerStatements.kept(client, key.key)) {
            guard kept.requestHash == key.requestHash else { throw BridgeError.keyUsedOtherwise }
            return Self.answer(kept.content, status: Status(rawValue: UInt16(clamping: kept.status)))
        }
        let content = try await carryOut()
        try await database.execute(
            IdempotentAnswerStatements.keep(
                client, key.key, key.requestHash, Int32(Status.ok.rawValue), content))
        return Self.answer(content)
    }

    private static func answer(_ content: [UInt8], status: Status = .ok) -> Answer {
        var answer = Answer.json(content, status: status)
        answer.fields.append(.cacheControl, "no-store")
        return answer
    }
}

/// The statements on `drawbridge.idempotency_records` for answers that are about no booking.
private enum IdempotentAnswerStatements {
    struct Kept: Sendable {
        let requestHash: [UInt8]
        let status: Int32
        let content: [UInt8]
    }

    static let kept = Statement<Kept, String, String>(
        "answers.kept",
        """
        SELECT request_hash, status, response_body FROM drawbridge.idempotency_records
        WHERE client = $1 AND key = $2 AND created_at > now() - INTERVAL '24 hours'
        """
    ) { row in Kept(requestHash: try row.next(), status: try row.next(), content: try row.next()) }

    static let keep = Statement<Void, String, String, [UInt8], Int32, [UInt8]>(
        "answers.keep",
        """
        INSERT INTO drawbridge.idempotency_records (client, key, request_hash, status, version, response_body)
        VALUES ($1, $2, $3, $4, 0, $5)
        ON CONFLICT (client, key) DO UPDATE
        SET request_hash = EXCLUDED.request_hash, status = EXCLUDED.status, booking_id = NULL, version = 0,
            response_body = EXCLUDED.response_body, created_at = now()
        """)
}
