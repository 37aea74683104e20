internal import Authentication
internal import Cryptography
internal import Loop
internal import Policy
internal import Postgres
internal import Telemetry

/// Exchanges API keys for tokens, and refresh tokens for their successors.
@OnLoop
final class TokenService {
    /// What a client gets, this once.
    struct Grant {
        let accessToken: String
        /// Seconds from now.
        let expiresIn: Int64
        let scopes: Scopes
        let refreshToken: RefreshToken
        /// Seconds from now, unless it is used before.
        let refreshExpiresIn: Int64
        /// What is written down of it.
        let credential: IssuedCredential
    }

    /// Why a refresh token was of no use.
    private enum Refusal: Hashable, CaseIterable {
        /// It names no family.
        case unknown
        /// It was given to another client.
        case foreign
        case of(RefreshFamily.Refusal)

        static let allCases = [unknown, foreign] + RefreshFamily.Refusal.allCases.map { .of($0) }

        var name: String {
            switch self {
            case .unknown: "unknown"
            case .foreign: "foreign"
            case .of(let refusal): refusal.rawValue
            }
        }
    }

    private static let countInterval = Duration.seconds(60)

    private let database: Database
    private let keys: SigningKeyDirectory
    private var policy: OwnTokenPolicy
    private var living: Int64 = 0
    private var reuses = LogThrottle()
    private let issued = Metrics.counter(
        "drawbridge_bridge_tokens_issued_total", "Access tokens for which an API key was exchanged.")
    private let refreshed = Metrics.counter(
        "drawbridge_bridge_tokens_refreshed_total", "Access tokens for which a refresh token was exchanged.")
    private let reused = Metrics.counter(
        "drawbridge_bridge_refresh_reuse_total", "Refresh tokens that came again after they were spent.")
    private let refused = Dictionary(
        uniqueKeysWithValues: Refusal.allCases.map { refusal in
            (
                refusal,
                Metrics.counter(
                    "drawbridge_bridge_refresh_refused_total", "Refresh tokens that were of no use for other reasons.",
                    [("reason", refusal.name)])
            )
        })

    init(_ policy: OwnTokenPolicy, _ database: Database, _ keys: SigningKeyDirectory) {
        self.policy = policy
        self.database = database
        self.keys = keys
        Metrics.gauge("drawbridge_bridge_token_families", "Families of refresh tokens that can be used.") {
            [weak self] in Double(self?.living ?? 0)
        }
    }

    /// Goes by another policy.
    func replace(_ policy: OwnTokenPolicy) { self.policy = policy }

    // MARK: Issuing

    /// Exchanges an API key for tokens.
    ///
    /// - Parameters:
    ///   - wanted: nil for all that the key grants.
    ///   - clientKey: who asks.
    ///   - idempotencyKey: the client's name for the request.
    /// - Throws: `BridgeError`, `PostgresError`.
    func issue(
        apiKey id: Int32, scopes wanted: Scopes?, _ clientKey: String, _ idempotencyKey: IdempotencyKey?
    ) async throws -> Grant {
        let signer = try await keys.signer()
        let transaction = try await database.begin()
        try await Self.check(idempotencyKey, clientKey, transaction)
        guard let apiKey = try await transaction.first(TokenStatements.key(id)), apiKey.isGood else {
            throw BridgeError.grantRefused(.invalidGrant, "The API key is not good any more")
        }
        let granted = apiKey.granted
        let scopes = wanted ?? granted
        guard scopes.isSubset(of: granted) else { throw Self.scopesRefused }
        let refreshToken = RefreshToken()
        let family = AccessToken.freshID()
        let end = min(apiKey.now + policy.refreshTokenLife.components.seconds, apiKey.expiresAt)
        let idleEnd = min(apiKey.now + policy.refreshTokenIdle.components.seconds, end)
        let token = accessToken(of: apiKey, family, scopes)
        let grant = Grant(
            accessToken: token.signed(with: signer), expiresIn: token.expiresAt - token.issuedAt, scopes: scopes,
            refreshToken: refreshToken, refreshExpiresIn: idleEnd - apiKey.now,
            credential: IssuedCredential(apiKey.id, apiKey.client, token: token.tokenID, family: family))
        var statements = [
            TokenStatements.insertFamily(
                family, apiKey.id, refreshToken.familyHash.bytes, refreshToken.secretHash.bytes,
                scopes.members.map(\.rawValue), policy.issuer, end, idleEnd, token.expiresAt),
            TokenStatements.endExcess(apiKey.id, Int64(policy.familiesPerKey)),
        ]
        statements += Self.record(idempotencyKey, clientKey)
        try await transaction.commit(statements)
        issued.increment()
        return grant
    }

    /// Exchanges a refresh token for its successor and a fresh access token.
    ///
    /// Of several that bring the same token at once one is served. The others come later, so theirs is spent, and ends
    /// the family, also where they repeat the request that was served: if nobody has its answer nothing is lost by
    /// that, and if a thief has it, nobody else would notice.
    ///
    /// - Parameters:
    ///   - wanted: for the access token; nil for all that the family has.
    ///   - identity: who asks; anonymous where he brings nothing but the token.
    func refresh(
        _ token: RefreshToken, scopes wanted: Scopes?, _ identity: Identity, _ idempotencyKey: IdempotencyKey?
    ) async throws -> Grant {
        let familyHash = token.familyHash.bytes
        // Anybody can make up tokens; those cost no transaction, and wait for no key.
        guard try await database.first(TokenStatements.isFamily(familyHash)) == true else { throw refusal(.unknown) }
        let signer = try await keys.signer()
        let transaction = try await database.begin()
        let (apiKeys, families) = try await transaction.query(
            TokenStatements.keyOfFamily(familyHash), TokenStatements.family(familyHash))
        guard let apiKey = apiKeys.first, let stored = families.first, var family = RefreshFamily(stored) else {
            throw refusal(.unknown)
        }
        let clientKey = apiKey.identity.clientKey
        // What belongs to somebody else is not there.
        guard identity.method == .anonymous || identity.clientKey == clientKey else { throw refusal(.foreign) }
        var isRepetition = false
        do { try await Self.check(idempotencyKey, clientKey, transaction) } catch BridgeError.answerNotKept {
            isRepetition = true
        }
        let successor = token.successor()
        let verdict = family.present(
            token.secretHash, successor: successor.secretHash, idle: policy.refreshTokenIdle.components.seconds,
            keyEnd: apiKey.isGood ? apiKey.expiresAt : nil, now: apiKey.now)
        switch verdict {
        case .reused:
            try await transaction.commit([TokenStatements.endReused(stored.id)])
            let credential = IssuedCredential(apiKey.id, apiKey.client, family: stored.id)
            noteReuse(credential)
            throw isRepetition
                ? BridgeError.answerNotKept(nil, credential)
                : BridgeError.grantRefused(.invalidGrant, Self.useless, credential)
        case _ where isRepetition: throw BridgeError.answerNotKept(nil)
        case .refused(let reason): throw refusal(.of(reason))
        case .renewed:
            let familyScopes = Scopes(stored.scopes.compactMap(Scope.init)).intersection(apiKey.granted)
            let scopes = wanted ?? familyScopes
            guard scopes.isSubset(of: familyScopes) else { throw Self.scopesRefused }
            let access = accessToken(of: apiKey, stored.id, scopes)
            let grant = Grant(
                accessToken: access.signed(with: signer), expiresIn: access.expiresAt - access.issuedAt,
                scopes: scopes, refreshToken: successor,
                refreshExpiresIn: min(family.idleExpiresAt, apiKey.expiresAt) - apiKey.now,
                credential: IssuedCredential(apiKey.id, apiKey.client, token: access.tokenID, family: stored.id))
            try await transaction.commit(
                [
                    TokenStatements.renewFamily(
                        stored.id, successor.secretHash.bytes, family.idleExpiresAt, access.expiresAt, access.issuer)
                ] + Self.record(idempotencyKey, clientKey))
            refreshed.increment()
            return grant
        }
    }

    /// A token of now. Its times are this machine's, by whose clock the gateways judge it.
    private func accessToken(of key: TokenKeyRow, _ family: String, _ scopes: Scopes) -> AccessToken {
        let now = Loop.unixSeconds
        let lifetime = min(policy.accessToken.components.seconds, key.expiresAt - key.now)
        return AccessToken(
            issuer: policy.issuer, audience: policy.audience, subject: Identity.apiKeySubject(key.id),
            client: key.client, scopes: scopes, hotelIDs: key.hotelIDs, tokenID: AccessToken.freshID(),
            familyID: family, issuedAt: now, expiresAt: now + lifetime)
    }

    // MARK: Refusing

    private static let scopesRefused = BridgeError.grantRefused(
        .invalidScope, "More is asked for than the credentials grant")

    /// One text for every token that is of no use: why is nobody's business who has come by it.
    private static let useless = "The refresh token is not good, or not any more"

    private func refusal(_ reason: Refusal) -> BridgeError {
        refused[reason]?.increment()
        return .grantRefused(.invalidGrant, Self.useless)
    }

    private func noteReuse(_ credential: IssuedCredential) {
        reused.increment()
        if let omitted = reuses.admit(at: Loop.monotonicNanoseconds) {
            Log.warning(
                "spent refresh token came again; its family has ended",
                [
                    "family": .init(credential.family ?? ""), "api_key": .init(credential.apiKey),
                    "client": .init(credential.client), "lines_omitted": .init(omitted),
                ])
        }
    }

    // MARK: Repetitions

    /// Refuses what was carried out before: its answer held a secret and is not kept.
    static func check(
        _ idempotencyKey: IdempotencyKey?, _ clientKey: String, _ transaction: borrowing Transaction
    ) async throws {
        guard let idempotencyKey else { return }
        let (claimed, records) = try await transaction.query(
            IdempotencyStatements.claim(clientKey, idempotencyKey.key),
            IdempotencyStatements.record(clientKey, idempotencyKey.key))
        guard claimed == [true] else { throw BridgeError.requestUnderWay }
        guard let record = records.first else { return }
        let content = String(decoding: try record.outcome(for: idempotencyKey).content, as: UTF8.self)
        throw BridgeError.answerNotKept(RequestProduct(content))
    }

    /// Notes that a request was carried out.
    ///
    /// - Parameter product: what it made.
    static func record(
        _ idempotencyKey: IdempotencyKey?, _ clientKey: String, made product: RequestProduct? = nil
    ) -> [Query<Void>] {
        guard let idempotencyKey else { return [] }
        let content = product.map { Array($0.text.utf8) } ?? []
        return [
            IdempotencyStatements.insertRecord(
                clientKey, idempotencyKey.key, idempotencyKey.requestHash, 200, nil, 0, content)
        ]
    }

    // MARK: Keeping count

    /// What has been kept long enough, for whoever removes such things.
    var outlived: [(what: String, batch: Query<Void>)] {
        [
            ("families of tokens", TokenStatements.removeFamilies(policy.endedFamiliesKept.components.seconds)),
            ("families of tokens that made room", TokenStatements.removeExcessFamilies()),
            ("API keys", TokenStatements.removeKeys(policy.endedKeysKept.components.seconds)),
        ]
    }

    /// Counts the families that live until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            do { living = try await database.first(TokenStatements.livingFamilies()) ?? 0 } catch {
                Log.debug("families of tokens not counted", ["error": .init(error: error)])
            }
            do { try await Loop.sleep(for: Self.countInterval) } catch { return }
        }
    }
}

extension TokenKeyRow {
    var granted: Scopes { Scopes(scopes.compactMap(Scope.init)) }
    var hotelIDs: HotelAccess { hotel.map { .of([$0]) } ?? .all }
    var identity: Identity {
        Identity(
            issuer: Identity.ownClients, subject: Identity.apiKeySubject(id), client: client, scopes: granted,
            hotelIDs: hotelIDs, method: .apiKey)
    }
}

extension RefreshFamily {
    /// A family as stored; nil where a row breaks the schema's own rules.
    fileprivate init?(_ row: TokenFamilyRow) {
        guard let secret = Digest256(row.secretHash.span) else { return nil }
        let end = row.endedBy.map { End(rawValue: $0) }
        if case .some(nil) = end { return nil }
        self.init(secret: secret, expiresAt: row.expiresAt, idleExpiresAt: row.idleExpiresAt, end: end ?? nil)
    }
}
