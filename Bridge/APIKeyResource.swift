internal import Authentication
internal import Booking
internal import Cryptography
internal import HTTP
internal import JSONText
internal import Loop
internal import PMS
internal import Policy
internal import Postgres
internal import Server

/// API keys, for administrators: of all hotels, or of some, who see those hotels' keys only. Nobody makes a key that may more
/// than he may himself, nor one by which he would become a client that is not his.
@OnLoop
final class APIKeyResource {
    private static let standardDays: Int64 = 90
    private static let standardOverlapDays: Int64 = 7
    private static let standardPage = 100
    private static let longestPage = 500
    /// Good keys of one hotel, for administrators who have not all: a few of them must not use up what gateways hold.
    private static let hotelBound = 500

    private let database: Database
    private let pms: RhtHotel
    private let credentials: CredentialCheck
    /// Clients that the policies register, which sign their requests, each with its hotels.
    private var registered: [String: HotelAccess]

    init(
        _ database: Database, _ pms: RhtHotel, _ credentials: CredentialCheck, registered: [String: HotelAccess]
    ) {
        self.database = database
        self.pms = pms
        self.credentials = credentials
        self.registered = registered
    }

    /// Goes by other policies.
    func replace(registered: [String: HotelAccess]) { self.registered = registered }

    /// Makes a key; its text is in the answer, and nowhere else.
    func create(_ call: Call) async throws -> Answer {
        let wanted = try NewAPIKey(call.content)
        let hotel = wanted.hotel
        guard call.identity.hotelIDs.covers(hotel.map { .of([$0]) } ?? .all) else { throw BridgeError.foreignHotel }
        guard wanted.scopes.isSubset(of: call.identity.scopes) else { throw BridgeError.exceedsRights }
        try await credentials.check(call)
        // Whose name and role a key may ask for is no affair of one hotel.
        if wanted.user != nil, call.identity.hotelIDs != .all { throw BridgeError.exceedsRights }
        let (key, idempotencyKey) = (APIKey(), try call.idempotencyKey())
        // Before a transaction waits for it.
        var hasUser = true
        if let user = wanted.user { hasUser = try await pms.user(user) != nil }
        let transaction = try await database.begin()
        try await TokenService.check(idempotencyKey, call.identity.clientKey, transaction)
        guard hasUser else { throw BridgeError.invalid([("/pms_user_id", "There is no such user")]) }
        if let hotel, try await transaction.first(APIKeyAdministrationStatements.hasHotel(hotel)) != true {
            throw BridgeError.invalid([("/hotel_id", "There is no such hotel")])
        }
        let row: APIKeyRecord?
        do {
            row = try await transaction.first(
                APIKeyAdministrationStatements.create(
                    hotel, Hexadecimal.encode(key.hash.bytes), wanted.client, wanted.description,
                    wanted.scopes.members.map(\.rawValue), wanted.days ?? Self.standardDays, wanted.user))
        } catch let error as PostgresError {
            guard case .foreignKeyViolation = error.code else { throw error }
            throw BridgeError.invalid([("/hotel_id", "There is no such hotel")])
        }
        guard let row else { throw PostgresError(.decoding, "an API key was not made") }
        try await permit(row, to: call.identity, transaction)
        try await transaction.commit(
            TokenService.record(idempotencyKey, call.identity.clientKey, made: .apiKey(row.id)))
        return made(row, key)
    }

    /// The keys that the administrator may see, the newest first, a page at a time.
    func list(_ call: Call) async throws -> Answer {
        var query = QueryParameters(call.request.head.target.query ?? "")
        let client = query.value("client", "name of a client") { Identity.isClientName($0) ? $0 : nil }
        let before = query.integer("before", in: 1...Int(Int32.max)) ?? Int(Int32.max)
        let limit = query.integer("limit", in: 1...Self.longestPage) ?? Self.standardPage
        query.refuseOthers()
        guard query.mistakes.isEmpty else { throw BridgeError.malformed(query.mistakes) }
        let rows = try await database.query(
            APIKeyAdministrationStatements.list(
                call.identity.hotelIDs.ids, client, Int32(before), Int32(limit + 1)))
        var json = JSONWriter()
        json.object { json in
            json.array("keys", rows.prefix(limit)) { json, row in json.object { row.write(to: &$0) } }
            json.member("next", rows.count > limit ? Int(rows[limit - 1].id) : nil)
        }
        var answer = Answer.json(json.bytes)
        answer.fields.append(.cacheControl, "private, no-cache")
        return answer
    }

    /// Makes a key that takes another's place; the old one goes on working for a while.
    func rotate(_ call: Call) async throws -> Answer {
        let id = try id(of: call)
        try await credentials.check(call)
        let (overlap, days) = try APIKeyRotation.read(call.content)
        let (key, idempotencyKey) = (APIKey(), try call.idempotencyKey())
        let transaction = try await database.begin()
        try await TokenService.check(idempotencyKey, call.identity.clientKey, transaction)
        guard
            let old = try await transaction.first(
                APIKeyAdministrationStatements.find(id, call.identity.hotelIDs.ids)), old.state == "good"
        else { throw BridgeError.unknownAPIKey }
        guard Scopes(old.scopes.compactMap(Scope.init)).isSubset(of: call.identity.scopes) else {
            throw BridgeError.exceedsRights
        }
        // First what ends the old one: it makes room, and its locks are taken in the order in which revoking takes
        // them.
        try await transaction.execute(
            APIKeyAdministrationStatements.shorten(id, overlap ?? Self.standardOverlapDays))
        let row = try await transaction.first(
            APIKeyAdministrationStatements.succeed(id, Hexadecimal.encode(key.hash.bytes), days ?? Self.standardDays))
        guard let row else { throw PostgresError(.decoding, "an API key was not made") }
        try await permit(row, to: call.identity, transaction)
        try await transaction.commit(
            TokenService.record(idempotencyKey, call.identity.clientKey, made: .apiKey(row.id)))
        return made(row, key)
    }

    /// Revokes a key, and with it all tokens that it was exchanged for.
    func revoke(_ call: Call) async throws -> Answer {
        let id = try id(of: call)
        try await credentials.check(call)
        let row = try await database.first(APIKeyAdministrationStatements.revoke(id, call.identity.hotelIDs.ids))
        guard let row else { throw BridgeError.unknownAPIKey }
        var json = JSONWriter()
        json.object { row.write(to: &$0) }
        return answer(json.bytes, row)
    }

    /// Refuses a key that has just been made where there is no place for it, or where whoever makes it would become
    /// somebody else's client by it. By then nobody else can make one until the transaction ends, so what is seen stays
    /// so.
    private func permit(
        _ made: APIKeyRecord, to identity: Identity, _ transaction: borrowing Transaction
    ) async throws {
        let mine = identity.hotelIDs.ids
        let (elsewhere, counts) = try await transaction.query(
            APIKeyAdministrationStatements.isElsewhere(made.client, mine ?? []),
            APIKeyAdministrationStatements.count(made.hotel))
        let isRegisteredElsewhere = registered[made.client].map { !identity.hotelIDs.covers($0) } ?? false
        if mine != nil, elsewhere == [true] || isRegisteredElsewhere { throw BridgeError.foreignClient }
        guard let count = counts.first, count.all <= APIKeyRing.maximumCount else {
            throw BridgeError.tooManyKeys(APIKeyRing.maximumCount, ofHotel: false)
        }
        if mine != nil, count.ofHotel > Self.hotelBound {
            throw BridgeError.tooManyKeys(Self.hotelBound, ofHotel: true)
        }
    }

    private func id(of call: Call) throws -> Int32 {
        guard let id = call.parameter("key_id").flatMap({ Int32($0) }) else { throw BridgeError.unknownAPIKey }
        return id
    }

    private func made(_ row: APIKeyRecord, _ key: APIKey) -> Answer {
        var json = JSONWriter()
        json.object { json in
            json.member("key", key.text)
            row.write(to: &json)
        }
        var answer = answer(json.bytes, row)
        answer.status = .created
        return answer
    }

    private func answer(_ content: [UInt8], _ row: APIKeyRecord) -> Answer {
        var answer = Answer.json(content)
        answer.fields.append(.cacheControl, "no-store")
        answer.fields.append(.drawbridgeCredential, IssuedCredential(row.id, row.client).text)
        if let hotel = row.hotel { answer.concerns(hotel: hotel) }
        return answer
    }
}

/// What a key is asked for. The gateway has compared it with its description; what that cannot say is looked at here.
private struct NewAPIKey {
    let client: String
    let scopes: Scopes
    let hotel: Int32?
    let days: Int64?
    let description: String?
    let user: Int32?

    init(_ content: [UInt8]) throws {
        guard let body = try? JSONValue(parsing: content), let client = body["client"]?.string,
            Identity.isClientName(client), case .array(let words)? = body["scopes"], let hotel = body["hotel_id"]
        else { throw BridgeError.malformed([("", "client, scopes and hotel_id are needed")]) }
        let scopes = words.compactMap { $0.string.flatMap(Scope.init) }
        guard !scopes.isEmpty, scopes.count == words.count else {
            throw BridgeError.invalid([("/scopes", "A scope that there is not")])
        }
        self.client = client
        self.scopes = Scopes(scopes)
        switch hotel {
        case .null: self.hotel = nil
        default:
            guard let id = hotel.integer ?? hotel.string.flatMap({ Int64($0) }), let id = Int32(exactly: id) else {
                throw BridgeError.invalid([("/hotel_id", "There is no such hotel")])
            }
            self.hotel = id
        }
        days = body["expires_in_days"]?.integer
        description = body["description"]?.string
        user = body["pms_user_id"]?.integer.flatMap { Int32(exactly: $0) }
    }
}

private enum APIKeyRotation {
    static func read(_ content: [UInt8]) throws -> (overlap: Int64?, days: Int64?) {
        guard !content.isEmpty else { return (nil, nil) }
        guard let body = try? JSONValue(parsing: content), body.members != nil else {
            throw BridgeError.malformed([("", "A JSON object is needed")])
        }
        return (body["overlap_days"]?.integer, body["expires_in_days"]?.integer)
    }
}

/// An API key as it is shown.
struct APIKeyRecord: Sendable {
    let id: Int32
    let client: String
    let hotel: Int32?
    let scopes: [String]
    let state: String
    let createdAt: Instant
    let expiresAt: Instant
    let lastUsedAt: Instant?
    let revokedAt: Instant?
    let description: String?
    let user: Int32?
    let replaces: Int32?

    fileprivate init(_ row: inout RowDecoder) throws {
        id = try row.next()
        client = try row.next()
        hotel = try row.next()
        scopes = try row.next()
        state = try row.next()
        createdAt = try row.next()
        expiresAt = try row.next()
        lastUsedAt = try row.next()
        revokedAt = try row.next()
        description = try row.next()
        user = try row.next()
        replaces = try row.next()
    }

    fileprivate func write(to json: inout JSONWriter) {
        json.member("id", Int(id))
        json.member("client", client)
        json.member("hotel_id", hotel.map { Int($0) })
        json.array("scopes", scopes) { $0.element($1) }
        json.member("state", state)
        json.member("created_at", createdAt.description)
        json.member("expires_at", expiresAt.description)
        json.member("last_used_at", lastUsedAt?.description)
        json.member("revoked_at", revokedAt?.description)
        json.member("description", description)
        json.member("pms_user_id", user.map { Int($0) })
        json.member("replaces", replaces.map { Int($0) })
    }
}

/// The statements by which API keys are administered.
enum APIKeyAdministrationStatements {
    /// The user of the PMS whom a key speaks for, where it names one.
    static let user = Statement<Int32?, Int32>(
        "bridge.api_key_user", "SELECT pms_user_id FROM booking_engine_api_keys WHERE id = $1"
    ) { row in try row.next() }

    static let hasHotel = Statement<Bool, Int32>(
        "bridge.has_hotel", "SELECT EXISTS (SELECT FROM hotels WHERE id = $1)"
    ) { row in try row.next() }

    /// How many good keys there are, and how many of them a hotel has.
    fileprivate static let count = Statement<(all: Int64, ofHotel: Int64), Int32?>(
        "bridge.count_api_keys",
        """
        SELECT count(*), count(*) FILTER (WHERE hotel_id = $1)
        FROM booking_engine_api_keys WHERE is_active AND expires_at > now()
        """
    ) { row in (try row.next(), try row.next()) }

    /// Whether a client has keys beyond some hotels: who administers those must not make himself that client.
    fileprivate static let isElsewhere = Statement<Bool, String, [Int32]>(
        "bridge.is_client_elsewhere",
        """
        SELECT EXISTS (SELECT FROM booking_engine_api_keys
                       WHERE client = $1 AND (hotel_id IS NULL OR hotel_id <> ALL ($2)))
        """
    ) { row in try row.next() }

    fileprivate static let create = Statement<
        APIKeyRecord, Int32?, String, String, String?, [String], Int64, Int32?
    >(
        "bridge.create_api_key",
        """
        INSERT INTO booking_engine_api_keys (hotel_id, api_key_hash, client, description, scopes, expires_at, pms_user_id)
        VALUES ($1, $2, $3, $4, $5, now() + $6 * INTERVAL '1 day', $7)
        RETURNING id, client, hotel_id, scopes, 'good', created_at, expires_at, last_used_at, revoked_at, description,
                  pms_user_id, replaces
        """
    ) { row in try APIKeyRecord(&row) }

    fileprivate static let list = Statement<APIKeyRecord, [Int32]?, String?, Int32, Int32>(
        "bridge.list_api_keys",
        """
        SELECT id, client, hotel_id, scopes,
               CASE WHEN NOT is_active THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'good' END,
               created_at, expires_at, last_used_at, revoked_at, description, pms_user_id, replaces
        FROM booking_engine_api_keys
        WHERE ($1::int4[] IS NULL OR hotel_id = ANY ($1)) AND ($2::text IS NULL OR client = $2) AND id < $3
        ORDER BY id DESC LIMIT $4
        """
    ) { row in try APIKeyRecord(&row) }

    /// One key, which stays as it is until the transaction ends.
    fileprivate static let find = Statement<APIKeyRecord, Int32, [Int32]?>(
        "bridge.find_api_key",
        """
        SELECT id, client, hotel_id, scopes,
               CASE WHEN NOT is_active THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'good' END,
               created_at, expires_at, last_used_at, revoked_at, description, pms_user_id, replaces
        FROM booking_engine_api_keys WHERE id = $1 AND ($2::int4[] IS NULL OR hotel_id = ANY ($2))
        FOR NO KEY UPDATE
        """
    ) { row in try APIKeyRecord(&row) }

    fileprivate static let succeed = Statement<APIKeyRecord, Int32, String, Int64>(
        "bridge.succeed_api_key",
        """
        INSERT INTO booking_engine_api_keys (hotel_id, api_key_hash, client, description, scopes, expires_at, pms_user_id,
                                             replaces)
        SELECT hotel_id, $2, client, description, scopes, now() + $3 * INTERVAL '1 day', pms_user_id, id
        FROM booking_engine_api_keys WHERE id = $1
        RETURNING id, client, hotel_id, scopes, 'good', created_at, expires_at, last_used_at, revoked_at, description,
                  pms_user_id, replaces
        """
    ) { row in try APIKeyRecord(&row) }

    /// Lets a key work for no longer than so many days; none ends it at once.
    fileprivate static let shorten = Statement<Void, Int32, Int64>(
        "bridge.shorten_api_key",
        """
        UPDATE booking_engine_api_keys
        SET expires_at = LEAST(expires_at, now() + $2 * INTERVAL '1 day'), is_active = $2 > 0 WHERE id = $1
        """)

    /// Revokes a key, or says that it is.
    fileprivate static let revoke = Statement<APIKeyRecord, Int32, [Int32]?>(
        "bridge.revoke_api_key",
        """
        UPDATE booking_engine_api_keys SET is_active = FALSE
        WHERE id = $1 AND ($2::int4[] IS NULL OR hotel_id = ANY ($2))
        RETURNING id, client, hotel_id, scopes, 'revoked', created_at, expires_at, last_used_at, revoked_at, description,
                  pms_user_id, replaces
        """
    ) { row in try APIKeyRecord(&row) }
}
