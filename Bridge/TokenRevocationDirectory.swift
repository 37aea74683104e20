internal import Authentication
internal import JSONText
internal import Loop
internal import Postgres
internal import Telemetry

/// The revoked tokens, for the gateways, which hold them all. A row is kept until its token has expired, by the
/// gateways' clocks as well as by the database's.
@OnLoop
final class TokenRevocationDirectory {
    /// How much longer than its own time says a row is kept: more than clocks may differ (`clock_skew` in
    /// issuers.yaml).
    private static let grace: Int64 = 300
    /// How often removing is tried: where the database's clock is behind, it may not think so yet.
    private static let removalInterval: UInt64 = 60_000_000_000

    private let database: Database
    private let tokens: FollowedRows<RevokedTokenRow>
    private var removedAt: UInt64?

    init(_ database: Database) {
        self.database = database
        tokens = FollowedRows(
            database,
            .init(
                name: "revoked tokens", version: TokenRevocationStatements.version(),
                rows: TokenRevocationStatements.tokens()))
        Metrics.gauge("drawbridge_bridge_revoked_tokens", "Tokens that are revoked and not expired yet.") {
            [weak self] in Double(self?.tokens.rows.count ?? 0)
        }
    }

    /// Follows the tokens, and removes those that have expired, until the task is cancelled.
    func run() async {
        await tokens.run { try await self.removeExpired() }
    }

    /// Brings a verifier of the bridge's own up to what is known.
    func bring(_ verifier: TokenVerifier) {
        guard let version = tokens.version else { return }
        guard verifier.revocations.version != version else {
            return verifier.revocations.confirm(at: tokens.confirmedAt)
        }
        let byIssuer = Dictionary(grouping: tokens.rows, by: \.issuer)
        let entries = byIssuer.map { issuer, tokens in
            TokenRevocations.Entry(
                issuer: issuer == TokenRevocations.everyIssuer ? nil : issuer, tokenIDs: tokens.map(\.tokenID))
        }
        verifier.replaceRevocations(with: entries, version: version, confirmedAt: tokens.confirmedAt)
    }

    /// Lets nobody wait any more; the bridge drains.
    func close() { tokens.close() }

    /// The state of the tokens as JSON: at once when it is not the one named, otherwise when it changes or patience
    /// ends.
    func state(unlike known: Int64?) async throws -> [UInt8] {
        try await tokens.state(unlike: known) { json, tokens in
            // The issuer, long and nearly always the same, once for all its tokens.
            let byIssuer = Dictionary(grouping: tokens, by: \.issuer)
            json.array("revoked", byIssuer.sorted { $0.key < $1.key }) { json, issuer in
                json.object { json in
                    json.member("issuer", issuer.key == TokenRevocations.everyIssuer ? nil : issuer.key)
                    json.array("jti", issuer.value) { $0.element($1.tokenID) }
                }
            }
        }
    }

    private func removeExpired() async throws {
        let now = Loop.monotonicNanoseconds
        if let removedAt, now - removedAt < Self.removalInterval { return }
        let end = Loop.unixSeconds - Self.grace
        guard tokens.rows.contains(where: { $0.expiresAt < end }) else { return }
        removedAt = now
        let removed = try await database.execute(TokenRevocationStatements.removeExpired(Self.grace))
        if removed > 0 { Log.info("expired revocations removed", ["count": .init(removed)]) }
    }
}

/// One revoked token as the database has it.
struct RevokedTokenRow: Sendable {
    let issuer: String
    let tokenID: String
    let expiresAt: Int64
}

/// The statements on `drawbridge.revoked_tokens`; `drawbridge token` writes it.
private enum TokenRevocationStatements {
    static let version = Statement<Int64>(
        "bridge.revoked_token_version", "SELECT version FROM drawbridge.revoked_token_state"
    ) { row in try row.next() }

    /// All of them, and in the same look the version they are of; one row without a token where none is. Their number
    /// is bounded where they are written.
    static let tokens = Statement<(version: Int64, row: RevokedTokenRow?)>(
        "bridge.revoked_tokens",
        """
        SELECT state.version, token.issuer, token.jti,
               greatest(0, least(extract(epoch FROM token.expires_at), 253402300799))::int8
        FROM drawbridge.revoked_token_state AS state LEFT JOIN drawbridge.revoked_tokens AS token ON TRUE
        """
    ) { row in
        let version: Int64 = try row.next()
        let (issuer, tokenID, expiresAt): (String?, String?, Int64?) = (
            try row.next(), try row.next(), try row.next()
        )
        guard let issuer, let tokenID, let expiresAt else { return (version, nil) }
        return (version, RevokedTokenRow(issuer: issuer, tokenID: tokenID, expiresAt: expiresAt))
    }

    static let removeExpired = Statement<Void, Int64>(
        "bridge.remove_expired_revocations",
        "DELETE FROM drawbridge.revoked_tokens WHERE expires_at < now() - $1 * INTERVAL '1 second'")
}
