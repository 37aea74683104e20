public import Authentication
internal import Cryptography
public import Loop

/// The API keys in the installation's database: what `drawbridge key` does. The gateways know of a change within a
/// second.
@OnLoop
public struct APIKeys {
    /// How long a key lives where nothing else is said, as the contract has it.
    public nonisolated static let standardLifetimeInDays = 90
    /// The longest life a key can be given.
    public nonisolated static let maximumLifetimeInDays = 366
    /// How long an old key goes on working beside the one that takes its place.
    public nonisolated static let standardOverlapInDays = 7

    private let database: Database

    /// Finds the database: `$DATABASE_URL`, or the private one of a running installation.
    ///
    /// - Throws: `InstallationError` when neither is there.
    public init(_ home: Home, _ settings: Settings, tools: Tools) throws {
        database = try Database(of: home, settings, tools: tools)
    }

    /// Who a new key is for, and what its holder may do.
    public struct Grant: Sendable, Equatable {
        /// The client: 1 to 64 letters, digits, dots, hyphens, underscores.
        public var client: String
        /// What it may do; at least one.
        public var scopes: [Scope]
        /// Its hotel; `nil` is every hotel.
        public var hotelID: Int32?
        /// What it is for, for whoever reads the list.
        public var description: String?
        /// The PMS's user for whom it speaks; `nil` is the one in whose name the bridge writes.
        public var userID: Int32?

        /// Puts a grant together.
        public init(
            client: String, scopes: [Scope], hotelID: Int32?, description: String? = nil, userID: Int32? = nil
        ) {
            self.client = client
            self.scopes = scopes
            self.hotelID = hotelID
            self.description = description
            self.userID = userID
        }
    }

    /// A key that has just been made. Its text is nowhere else.
    public struct Made: Sendable {
        /// Its number.
        public let id: String
        /// The key.
        public let key: APIKey
        /// Until when it is good.
        public let expiresAt: String
    }

    /// Makes a key.
    public func create(_ grant: Grant, lifetimeInDays: Int = standardLifetimeInDays) async throws -> Made {
        let key = APIKey()
        let rows = try await database.rows(
            """
            BEGIN;
            SELECT :'hotel' = '' OR EXISTS (SELECT FROM hotels WHERE id = NULLIF(:'hotel', '')::INTEGER) AS has_hotel,
                   :'user' <> '' AND to_regclass('users') IS NOT NULL AS knows_users, TRUE AS has_user \\gset
            -- A PMS with a database of its own is not asked from here: /auth/user/{id} says so where it has no such user.
            \\if :knows_users
            SELECT EXISTS (SELECT FROM users WHERE id = NULLIF(:'user', '')::INTEGER) AS has_user \\gset
            \\endif
            \\if :has_hotel
            \\else
            SELECT 'hotel';
            \\quit
            \\endif
            \\if :has_user
            \\else
            SELECT 'user';
            \\quit
            \\endif
            INSERT INTO booking_engine_api_keys (hotel_id, api_key_hash, client, description, scopes, expires_at, pms_user_id)
            VALUES (NULLIF(:'hotel', '')::INTEGER, :'hash', :'client', NULLIF(:'description', ''),
                    string_to_array(:'scopes', ' '), now() + :'days'::INTEGER * INTERVAL '1 day',
                    NULLIF(:'user', '')::INTEGER)
            \(Self.commitIfItFits)
            """,
            [
                "hotel": grant.hotelID.map { String($0) } ?? "", "user": grant.userID.map { String($0) } ?? "",
                "hash": Hexadecimal.encode(key.hash.bytes),
                "client": grant.client, "description": grant.description ?? "",
                "scopes": grant.scopes.map(\.rawValue).joined(separator: " "), "days": String(lifetimeInDays),
                "bound": String(APIKeyRing.maximumCount),
            ])
        switch rows.first {
        case ["hotel"]: throw InstallationError("the PMS has no hotel \(grant.hotelID ?? 0)", remedy: "see hotels.id")
        case ["user"]: throw InstallationError("the PMS has no user \(grant.userID ?? 0)", remedy: "see users.id")
        default: return try Self.made(rows, key)
        }
    }

    /// Makes a key that takes another's place, for the same client with the same rights; the old one works on for the
    /// overlap, so that both sides can change over without haste.
    public func rotate(
        _ id: Int32, overlapInDays: Int = standardOverlapInDays, lifetimeInDays: Int = standardLifetimeInDays
    ) async throws -> Made {
        let key = APIKey()
        // The old one first, as the API does it: what ends makes room, and locks are taken in one order by all.
        let rows = try await database.rows(
            """
            BEGIN;
            SELECT count(*) AS found FROM (
                SELECT FROM booking_engine_api_keys WHERE id = :'id'::INTEGER AND is_active AND expires_at > now()
                FOR NO KEY UPDATE
            ) AS old \\gset
            \\if :found
            UPDATE booking_engine_api_keys
            SET expires_at = LEAST(expires_at, now() + :'overlap'::INTEGER * INTERVAL '1 day'),
                is_active = :'overlap'::INTEGER > 0
            WHERE id = :'id'::INTEGER;
            INSERT INTO booking_engine_api_keys (hotel_id, api_key_hash, client, description, scopes, expires_at, pms_user_id,
                                                 replaces)
            SELECT hotel_id, :'hash', client, description, scopes, now() + :'days'::INTEGER * INTERVAL '1 day',
                   pms_user_id, id
            FROM booking_engine_api_keys WHERE id = :'id'::INTEGER
            \(Self.commitIfItFits)
            \\endif
            """,
            [
                "id": String(id), "hash": Hexadecimal.encode(key.hash.bytes), "overlap": String(overlapInDays),
                "days": String(lifetimeInDays), "bound": String(APIKeyRing.maximumCount),
            ])
        guard !rows.isEmpty else { throw Self.noSuchKey(id) }
        return try Self.made(rows, key)
    }

    /// Revokes a key.
    public func revoke(_ id: Int32) async throws {
        let rows = try await database.rows(
            """
            UPDATE booking_engine_api_keys SET is_active = FALSE WHERE id = :'id'::INTEGER AND is_active RETURNING id;
            """, ["id": String(id)])
        guard !rows.isEmpty else { throw Self.noSuchKey(id) }
    }

    /// Revokes every key of a client; how many there were.
    public func revokeAll(ofClient client: String) async throws -> Int {
        try await database.rows(
            """
            BEGIN;
            -- All rows before any lock that revoking the first of them takes: others take these in the same order.
            SELECT count(*) AS held FROM (
                SELECT FROM booking_engine_api_keys WHERE client = :'client' AND is_active ORDER BY id FOR NO KEY UPDATE
            ) AS keys \\gset
            UPDATE booking_engine_api_keys SET is_active = FALSE WHERE client = :'client' AND is_active RETURNING id;
            COMMIT;
            """, ["client": client]
        ).count
    }

    /// All keys, newest first: number, client, hotel, scopes, state, end, last use, description.
    public func list() async throws -> [[String]] {
        try await database.rows(
            """
            SELECT id, client, COALESCE(hotel_id::TEXT, 'every hotel'), array_to_string(scopes, ' '),
                   CASE WHEN NOT is_active THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'good' END,
                   \(Database.instant("expires_at")), COALESCE(\(Database.instant("last_used_at")), 'never'),
                   COALESCE(translate(description, E'|\\n\\t', '   '), '')
            FROM booking_engine_api_keys ORDER BY id DESC;
            """)
    }

    /// What ends a script after its INSERT: commits, and selects the key's number and its end, unless there are more
    /// keys now than gateways hold. Whoever has made one lets nobody else make one until the transaction ends.
    private static let commitIfItFits = """
        RETURNING id AS made, \(Database.instant("expires_at")) AS until \\gset
        SELECT count(*) <= :bound AS fits FROM booking_engine_api_keys WHERE is_active AND expires_at > now() \\gset
        \\if :fits
        COMMIT;
        SELECT :'made', :'until';
        \\else
        ROLLBACK;
        SELECT 'too many';
        \\endif
        """

    private static func made(_ rows: [[String]], _ key: APIKey) throws -> Made {
        guard let row = rows.first, row.count == 2 else {
            throw InstallationError(
                "there are \(APIKeyRing.maximumCount) keys already, the most that gateways hold",
                remedy: "revoke those that nobody uses: drawbridge key list")
        }
        return Made(id: row[0], key: key, expiresAt: row[1])
    }

    private static func noSuchKey(_ id: Int32) -> InstallationError {
        InstallationError("no key \(id) that is good", remedy: "see which there are: drawbridge key list")
    }
}
