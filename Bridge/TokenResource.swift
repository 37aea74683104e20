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

/// The Access table of the contract: tokens, what they say, whom they speak for, and by which keys they are believed.
@OnLoop
struct TokenResource {
    private let tokens: TokenService
    private let examiner: TokenExaminer
    private let credentials: CredentialCheck
    private let keys: SigningKeyDirectory
    private let database: Database
    private let pms: RhtHotel
    private let writer: BridgePolicy.PMSWriter

    init(
        _ tokens: TokenService, _ examiner: TokenExaminer, _ keys: SigningKeyDirectory, _ database: Database,
        _ pms: RhtHotel, _ writer: BridgePolicy.PMSWriter
    ) {
        self.tokens = tokens
        self.examiner = examiner
        credentials = CredentialCheck(database, examiner)
        self.keys = keys
        self.database = database
        self.pms = pms
        self.writer = writer
    }

    /// An API key for tokens (RFC 6749 §4.4).
    func issue(_ call: Call) async throws -> Answer {
        let body = try Self.body(of: call)
        if let type = body?["grant_type"]?.string, type != "client_credentials" {
            throw BridgeError.grantRefused(.unsupportedGrantType, "An API key is exchanged as client_credentials")
        }
        guard let id = call.identity.apiKeyID, call.identity.method == .apiKey else {
            throw BridgeError.grantRefused(.invalidGrant, "An API key is needed")
        }
        let scopes = try Self.scopes(body)
        try await credentials.check(call)
        return answer(
            try await tokens.issue(
                apiKey: id, scopes: scopes, call.identity.clientKey, try call.idempotencyKey()))
    }

    /// A refresh token for its successor (RFC 6749 §6).
    func refresh(_ call: Call) async throws -> Answer {
        let body = try Self.body(of: call)
        if let type = body?["grant_type"]?.string, type != "refresh_token" {
            throw BridgeError.grantRefused(.unsupportedGrantType, "A refresh token is exchanged as refresh_token")
        }
        guard let text = body?["refresh_token"]?.string else {
            throw BridgeError.malformed([("/refresh_token", "A refresh token is needed")])
        }
        let (scopes, idempotencyKey) = (try Self.scopes(body), try call.idempotencyKey())
        guard let token = RefreshToken(text) else {
            throw BridgeError.grantRefused(.invalidGrant, "This is no refresh token")
        }
        return answer(try await tokens.refresh(token, scopes: scopes, call.identity, idempotencyKey))
    }

    /// What there is to say about a token, to those whom it concerns.
    func validate(_ call: Call) throws -> Answer {
        guard let text = try Self.body(of: call)?["token"]?.string else {
            throw BridgeError.malformed([("/token", "A token is needed")])
        }
        var json = JSONWriter()
        switch try examiner.examine(text, for: call.identity) {
        case .good(let identity, let expiresAt):
            json.object { json in
                json.member("valid", true)
                json.member("subject", identity.subject)
                json.member("client_id", identity.client)
                json.array("scopes", identity.scopes.members) { $0.element($1.rawValue) }
                identity.hotelIDs.write("hotel_ids", to: &json)
                json.member("expires_at", Instant(microseconds: expiresAt * 1_000_000).description)
            }
        case .bad(let reason):
            json.object { json in
                json.member("valid", false)
                json.member("reason", reason.rawValue)
            }
        }
        return Self.unstored(json.bytes)
    }

    /// The user of the PMS whom a client speaks for; whoever administers all hotels may see any.
    func user(_ call: Call) async throws -> Answer {
        guard let id = call.parameter("user_id").flatMap({ Int32($0) }) else { throw BridgeError.unknownUser }
        let seesAll = call.identity.scopes.contains(.admin) && call.identity.hotelIDs == .all
        if !seesAll, try await user(of: call.identity) != id {
            throw BridgeError.unknownUser
        }
        guard let user = try await pms.user(id) else { throw BridgeError.unknownUser }
        var json = JSONWriter()
        json.object { json in
            json.member("user_id", Int(user.id))
            json.member("name", user.name)
            json.member("role", user.role)
        }
        var answer = Answer.json(json.bytes)
        answer.fields.append(.cacheControl, "private, no-cache")
        return answer
    }

    /// The keys by which our tokens are believed, for everybody (RFC 7517).
    func keySet(_ call: Call) async throws -> Answer {
        guard let keySet = try await keys.keySet() else {
            // That none counts is true at once for whoever has others in mind, and soon is not any more.
            var answer = Answer.json(Array(JSONWebKey.set([]).utf8))
            answer.fields.append(.cacheControl, "no-cache")
            return answer
        }
        let content = Array(keySet.utf8)
        var answer = Answer.json(content)
        answer.fields.append(.etag, "\"\(Hexadecimal.encode(SHA256.hash(content.span).bytes.prefix(12)))\"")
        answer.isValidated = true
        answer.fields.append(.cacheControl, "public, max-age=\(OwnTokenPolicy.keySetMaximumAgeInSeconds)")
        return answer
    }

    private func user(of identity: Identity) async throws -> Int32 {
        guard let key = identity.apiKeyID else { return writer.userID }
        return try await database.first(APIKeyAdministrationStatements.user(key)).flatMap { $0 } ?? writer.userID
    }

    private func answer(_ grant: TokenService.Grant) -> Answer {
        var json = JSONWriter(capacity: 1024)
        json.object { json in
            json.member("access_token", grant.accessToken)
            json.member("token_type", "Bearer")
            json.member("expires_in", Int(grant.expiresIn))
            json.member("scope", grant.scopes.members.map(\.rawValue).joined(separator: " "))
            json.member("refresh_token", grant.refreshToken.text)
            json.member("refresh_expires_in", Int(grant.refreshExpiresIn))
        }
        var answer = Self.unstored(json.bytes)
        answer.fields.append(.drawbridgeCredential, grant.credential.text)
        return answer
    }

    private static func unstored(_ content: [UInt8]) -> Answer {
        var answer = Answer.json(content)
        answer.fields.append(.cacheControl, "no-store")
        return answer
    }

    /// The content, which may be missing.
    private static func body(of call: Call) throws -> JSONValue? {
        guard !call.content.isEmpty else { return nil }
        guard let body = try? JSONValue(parsing: call.content), body.members != nil else {
            throw BridgeError.malformed([("", "A JSON object is needed")])
        }
        return body
    }

    /// The scopes asked for; nil where none are named.
    private static func scopes(_ body: JSONValue?) throws -> Scopes? {
        guard let text = body?["scope"]?.string else { return nil }
        var scopes: Scopes = []
        for word in text.split(separator: " ") {
            guard let scope = Scope(rawValue: String(word)) else {
                throw BridgeError.grantRefused(.invalidScope, "A scope that there is not")
            }
            scopes.insert(scope)
        }
        guard !scopes.isEmpty else { throw BridgeError.grantRefused(.invalidScope, "No scope is named") }
        return scopes
    }
}

extension HotelAccess {
    /// `"*"` or a list, as tokens have it.
    func write(_ name: StaticString, to json: inout JSONWriter) {
        switch self {
        case .all: json.member(name, "*")
        case .some(let ids): json.array(name, ids) { $0.element(Int($1)) }
        }
    }
}
