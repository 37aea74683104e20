internal import Authentication
internal import Booking
public import Loop

/// The revoked tokens in the installation's database: what `drawbridge token` does. The gateways know of a change
/// within a second.
@OnLoop
public struct RevokedTokens {
    /// How long a token is held as revoked where it is not said when it expires: longer than any should live.
    public nonisolated static let standardDays = 366

    private let database: Database

    /// Finds the database: `$DATABASE_URL`, or the private one of a running installation.
    ///
    /// - Throws: `InstallationError` when neither is there.
    public init(_ home: Home, _ settings: Settings, tools: Tools) throws {
        database = try Database(of: home, settings, tools: tools)
    }

    /// Until when a token is held as revoked: not before its own `exp`.
    public enum End: Sendable, Equatable {
        /// Unix seconds, as in the token's `exp`.
        case seconds(Int64)
        /// A date or an instant in UTC, such as `2027-01-10` or `2027-01-10T12:00:00Z`.
        case instant(String)

        /// Reads a text of one of the two forms.
        public init?(_ text: String) {
            if let seconds = Int64(text), 0...253_402_300_799 ~= seconds {
                self = .seconds(seconds)
            } else if text.wholeMatch(of: #/\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?/#) != nil,
                Instant(text.contains("T") ? text : "\(text)T00:00:00Z") != nil
            {
                self = .instant(text)
            } else {
                return nil
            }
        }
    }

    /// Revokes a token; one that is revoked already is held as such for the longer of the two times.
    ///
    /// - Parameters:
    ///   - issuer: its `iss`; `nil` for a token with that id whichever issuer made it.
    ///   - end: `nil` for ``standardDays`` from now.
    ///   - reason: for whoever reads the list.
    /// - Returns: until when it is held as revoked.
    public func revoke(
        _ tokenID: String, issuer: String? = nil, until end: End? = nil, reason: String? = nil
    ) async throws -> String {
        let variables = [
            "jti": tokenID, "issuer": issuer ?? TokenRevocations.everyIssuer, "reason": reason ?? "",
            "days": String(Self.standardDays), "end": end?.text ?? "",
            "skew": String(TrustedIssuer.maximumClockSkewInSeconds),
        ]
        let rows = try await database.rows(
            """
            INSERT INTO drawbridge.revoked_tokens AS token (issuer, jti, expires_at, reason)
            SELECT :'issuer', :'jti', wanted.expires_at, NULLIF(:'reason', '')
            FROM (SELECT \(end?.expression ?? "now() + :'days'::INTEGER * INTERVAL '1 day'") AS expires_at) AS wanted
            -- Gateways accept a token for as long after its end as clocks may differ.
            WHERE wanted.expires_at > now() - :'skew'::INTEGER * INTERVAL '1 second'
            ON CONFLICT (issuer, jti) DO UPDATE SET
                expires_at = GREATEST(token.expires_at, EXCLUDED.expires_at),
                reason = COALESCE(EXCLUDED.reason, token.reason)
            RETURNING \(Database.instant("expires_at"));
            """, variables)
        guard let row = rows.first else {
            throw InstallationError("that time is past", remedy: "a token that has expired need not be revoked")
        }
        return row[0]
    }

    /// All revoked tokens, the newest first: id, issuer, since when, until when, by which role, reason.
    public func list() async throws -> [[String]] {
        try await database.rows(
            """
            SELECT translate(jti, '|', '¦'),
                   CASE issuer WHEN '\(TokenRevocations.everyIssuer)' THEN 'every issuer' ELSE translate(issuer, E'|\\n', '¦ ') END,
                   \(Database.instant("revoked_at")), \(Database.instant("expires_at")), revoked_by,
                   COALESCE(translate(reason, E'|\\n\\t', '   '), '')
            FROM drawbridge.revoked_tokens ORDER BY revoked_at DESC, issuer, jti;
            """)
    }
}

extension RevokedTokens.End {
    fileprivate var text: String {
        switch self {
        case .seconds(let seconds): String(seconds)
        case .instant(let text): text
        }
    }

    /// How SQL reads it.
    fileprivate var expression: String {
        switch self {
        case .seconds: "to_timestamp(:'end'::BIGINT)"
        case .instant: "(:'end'::TIMESTAMP AT TIME ZONE 'UTC')"
        }
    }
}
