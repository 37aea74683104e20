internal import Authentication
internal import Booking
internal import HTTP
internal import Loop
internal import Postgres
internal import Server
internal import Webhook

/// Lets a request that changes something be sent again without being carried out again: what was answered to its
/// `Idempotency-Key` is kept for 24 hours.
///
/// It knows which keys are under way in this process, whatever their requests ask for. What must not be carried out twice
/// commits with its record, and holds its key in the database too: see `BookingService`. What may be, should two bridges get
/// the same key at the same moment or one end before it has written the answer down, is answered here.
@OnLoop
final class IdempotentAnswers {
    private let database: Database
    /// Client and key of each request that is not answered yet.
    private var underWay: Set<String> = []

    init(_ database: Database) { self.database = database }

    /// Runs `body` while no other request with the key is under way; at once where there is no key.
    ///
    /// - Throws: `BridgeError.requestUnderWay`; what `body` throws.
    func holding<Output>(
        _ key: IdempotencyKey?, of client: String, _ body: @OnLoop () async throws -> Output
    ) async throws -> Output {
        guard let key else { return try await body() }
        let claim = "\(client)\n\(key.key)"
        guard underWay.insert(claim).inserted else { throw BridgeError.requestUnderWay }
        defer { underWay.remove(claim) }
        return try await body()
    }

    /// What was answered to the same request before; nil when nothing was.
    ///
    /// - Throws: `BridgeError.keyUsedOtherwise`, `PostgresError`.
    func kept(_ key: IdempotencyKey, of client: String) async throws -> BookingOutcome? {
        try await database.first(IdempotencyStatements.record(client, key.key))?.outcome(for: key)
    }

    /// The answer to a request: the one that its key got before, or else what `carryOut` gives, as JSON.
    ///
    /// - Parameter status: of what `carryOut` gives.
    /// - Throws: `BridgeError` for a key that is none, was used otherwise, or whose request is under way; what `carryOut`
    ///   throws, which is not kept.
    func answer(
        _ call: Call, status: Status = .ok, _ carryOut: @OnLoop () async throws -> [UInt8]
    ) async throws -> Answer {
        let client = call.identity.clientKey
        let key = try call.idempotencyKey()
        return try await holding(key, of: client) {
            guard let key else { return Self.answer(try await carryOut(), status: status) }
            if let kept = try await self.kept(key, of: client) {
                return Self.answer(kept.content, status: Status(rawValue: kept.status))
            }
            let content = try await carryOut()
            try await database.execute(
                IdempotencyStatements.insertRecord(
                    client, key.key, key.requestHash, Int32(status.rawValue), nil, 0, content))
            return Self.answer(content, status: status)
        }
    }

    private static func answer(_ content: [UInt8], status: Status) -> Answer {
        var answer = Answer.json(content, status: status)
        answer.fields.append(.cacheControl, "no-store")
        return answer
    }
}

/// What a request has made whose answer held a secret and is not kept: enough to name it when the request comes again.
enum RequestProduct {
    case apiKey(Int32)
    case endpoint(EndpointID)

    /// Reads its text; nil for any other, as where nothing was made that has a name.
    init?(_ text: String) {
        if let id = Int32(text) {
            self = .apiKey(id)
        } else if let id = EndpointID(text) {
            self = .endpoint(id)
        } else {
            return nil
        }
    }

    /// What a record holds in the place of the answer.
    var text: String {
        switch self {
        case .apiKey(let id): String(id)
        case .endpoint(let id): id.description
        }
    }
}

/// The statements on `drawbridge.idempotency_records`.
enum IdempotencyStatements {
    /// Says whether no other request with the key is under way; holds the key until the transaction ends.
    static let claim = Statement<Bool, String, String>(
        "bridge.claim_key", "SELECT pg_try_advisory_xact_lock(hashtextextended($1 || chr(10) || $2, 0))"
    ) { row in try row.next() }

    static let record = Statement<IdempotencyRecord, String, String>(
        "bridge.record",
        """
        SELECT request_hash, status, booking_id, response_body, version
        FROM drawbridge.idempotency_records
        WHERE client = $1 AND key = $2 AND created_at > now() - INTERVAL '24 hours'
        """
    ) { row in
        IdempotencyRecord(
            requestHash: try row.next(), status: try row.next(), booking: try row.next(), content: try row.next(),
            version: try row.next())
    }

    /// A record that has outlived its day gives way; another one stays.
    static let insertRecord = Statement<Void, String, String, [UInt8], Int32, BookingID?, Int32, [UInt8]>(
        "bridge.insert_record",
        """
        INSERT INTO drawbridge.idempotency_records (client, key, request_hash, status, booking_id, version,
                                                    response_body)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (client, key) DO UPDATE
        SET request_hash = EXCLUDED.request_hash, status = EXCLUDED.status, booking_id = EXCLUDED.booking_id,
            version = EXCLUDED.version, response_body = EXCLUDED.response_body, created_at = now()
        WHERE idempotency_records.created_at <= now() - INTERVAL '24 hours'
        """)

    /// Records past their day, so many at a time.
    static let deleteOldRecords = Statement<Void>(
        "bridge.delete_old_records",
        """
        DELETE FROM drawbridge.idempotency_records WHERE (client, key) IN (
            SELECT client, key FROM drawbridge.idempotency_records
            WHERE created_at < now() - INTERVAL '24 hours' ORDER BY created_at LIMIT 1000)
        """)
}

/// An answer that was given for a key.
struct IdempotencyRecord: Sendable {
    let requestHash: [UInt8]
    let status: Int32
    let booking: BookingID?
    let content: [UInt8]
    let version: Int32

    /// The answer, if it was given to the same request.
    ///
    /// - Throws: `BridgeError.keyUsedOtherwise`.
    func outcome(for key: IdempotencyKey) throws -> BookingOutcome {
        guard requestHash == key.requestHash else { throw BridgeError.keyUsedOtherwise }
        return BookingOutcome(status: UInt16(status), booking: booking, version: version, content: content)
    }
}
