internal import Postgres

/// The statements on `drawbridge.token_families` and the API keys that they come of. A key's row is locked before its
/// families', here as where keys are revoked, so that neither waits for the other.
enum TokenStatements {
    /// The API key that a token is asked with, for one request at a time.
    static let key = Statement<TokenKeyRow, Int32>(
        "bridge.token_key",
        """
        SELECT id, client, scopes, hotel_id, is_active,
               floor(extract(epoch FROM expires_at))::int8, floor(extract(epoch FROM now()))::int8
        FROM booking_engine_api_keys WHERE id = $1 FOR NO KEY UPDATE
        """
    ) { row in try TokenKeyRow(&row) }

    /// The API key with a hash.
    static let keyByHash = Statement<TokenKeyRow, String>(
        "bridge.token_key_by_hash",
        """
        SELECT id, client, scopes, hotel_id, is_active,
               floor(extract(epoch FROM expires_at))::int8, floor(extract(epoch FROM now()))::int8
        FROM booking_engine_api_keys WHERE api_key_hash = $1
        """
    ) { row in try TokenKeyRow(&row) }

    /// The API key of a family. It stays as it is until the transaction ends.
    static let keyOfFamily = Statement<TokenKeyRow, [UInt8]>(
        "bridge.token_key_of_family",
        """
        SELECT id, client, scopes, hotel_id, is_active,
               floor(extract(epoch FROM expires_at))::int8, floor(extract(epoch FROM now()))::int8
        FROM booking_engine_api_keys
        WHERE id = (SELECT api_key_id FROM drawbridge.token_families WHERE family_hash = $1) FOR SHARE
        """
    ) { row in try TokenKeyRow(&row) }

    /// Whether there is a family of that name.
    static let isFamily = Statement<Bool, [UInt8]>(
        "bridge.is_token_family", "SELECT EXISTS (SELECT FROM drawbridge.token_families WHERE family_hash = $1)"
    ) { row in try row.next() }

    /// A family, for one request at a time.
    static let family = Statement<TokenFamilyRow, [UInt8]>(
        "bridge.token_family",
        """
        SELECT id, secret_hash, scopes, floor(extract(epoch FROM expires_at))::int8,
               floor(extract(epoch FROM idle_expires_at))::int8, ended_by
        FROM drawbridge.token_families WHERE family_hash = $1 FOR UPDATE
        """
    ) { row in
        TokenFamilyRow(
            id: try row.next(), secretHash: try row.next(), scopes: try row.next(), expiresAt: try row.next(),
            idleExpiresAt: try row.next(), endedBy: try row.next())
    }

    static let insertFamily = Statement<
        Void, String, Int32, [UInt8], [UInt8], [String], String, Int64, Int64, Int64
    >(
        "bridge.insert_token_family",
        """
        INSERT INTO drawbridge.token_families (id, api_key_id, family_hash, secret_hash, scopes, issuer, expires_at,
                                               idle_expires_at, access_expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, to_timestamp($7), to_timestamp($8), to_timestamp($9))
        """)

    /// Ends those that were not used for longest, where a key has more than it may. Their access tokens run out.
    static let endExcess = Statement<Void, Int32, Int64>(
        "bridge.end_excess_token_families",
        """
        UPDATE drawbridge.token_families SET ended_at = now(), ended_by = 'limit'
        WHERE ended_at IS NULL AND id IN (
            SELECT id FROM drawbridge.token_families WHERE api_key_id = $1 AND ended_at IS NULL
            ORDER BY used_at DESC, created_at DESC, id OFFSET $2)
        """)

    /// Its access tokens have this issuer from now on: those of another one, whose name was changed, nobody believes.
    static let renewFamily = Statement<Void, String, [UInt8], Int64, Int64, String>(
        "bridge.renew_token_family",
        """
        UPDATE drawbridge.token_families
        SET secret_hash = $2, used_at = now(), idle_expires_at = to_timestamp($3),
            access_expires_at = GREATEST(access_expires_at, to_timestamp($4)), issuer = $5
        WHERE id = $1
        """)

    /// Ends a family because a spent token of it came again, and all access tokens that came of it.
    static let endReused = Statement<Void, String>(
        "bridge.end_reused_token_family",
        """
        UPDATE drawbridge.token_families SET ended_at = COALESCE(ended_at, now()), ended_by = 'reuse' WHERE id = $1
        """)

    static let livingFamilies = Statement<Int64>(
        "bridge.living_token_families",
        "SELECT count(*) FROM drawbridge.token_families WHERE ended_at IS NULL AND idle_expires_at > now()"
    ) { row in try row.next() }

    /// Families that ended so many seconds ago, so many at a time.
    static let removeFamilies = Statement<Void, Int64>(
        "bridge.remove_token_families",
        """
        DELETE FROM drawbridge.token_families WHERE id IN (
            SELECT id FROM drawbridge.token_families
            WHERE LEAST(idle_expires_at, ended_at) < now() - $1 * INTERVAL '1 second'
            ORDER BY LEAST(idle_expires_at, ended_at) LIMIT 1000)
        """)

    /// Families that made room for others and whose last access token ended an hour ago, so many at a time. A client
    /// that asks for tokens with each of its requests makes thousands of them.
    static let removeExcessFamilies = Statement<Void>(
        "bridge.remove_excess_token_families",
        """
        DELETE FROM drawbridge.token_families WHERE id IN (
            SELECT id FROM drawbridge.token_families
            WHERE ended_by = 'limit' AND access_expires_at < now() - INTERVAL '1 hour'
            ORDER BY access_expires_at LIMIT 1000)
        """)

    /// API keys that ended so many seconds ago, so many at a time.
    static let removeKeys = Statement<Void, Int64>(
        "bridge.remove_api_keys",
        """
        DELETE FROM booking_engine_api_keys WHERE id IN (
            SELECT id FROM booking_engine_api_keys
            WHERE LEAST(expires_at, revoked_at) < now() - $1 * INTERVAL '1 second' ORDER BY id LIMIT 1000)
        """)
}

/// An API key as far as tokens are concerned.
struct TokenKeyRow: Sendable {
    let id: Int32
    let client: String
    let scopes: [String]
    let hotel: Int32?
    private let isActive: Bool
    let expiresAt: Int64
    /// The database's time.
    let now: Int64

    /// Whether a token that comes of it has any time left, in whole seconds as tokens have it.
    var isGood: Bool { isActive && now < expiresAt }

    fileprivate init(_ row: inout RowDecoder) throws {
        id = try row.next()
        client = try row.next()
        scopes = try row.next()
        hotel = try row.next()
        isActive = try row.next()
        expiresAt = try row.next()
        now = try row.next()
    }
}

/// A family as stored.
struct TokenFamilyRow: Sendable {
    let id: String
    let secretHash: [UInt8]
    let scopes: [String]
    let expiresAt: Int64
    let idleExpiresAt: Int64
    let endedBy: String?
}
