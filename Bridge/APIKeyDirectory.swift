internal import Authentication
internal import JSONText
internal import Loop
internal import Postgres
internal import Telemetry

/// The API keys that are good now, for the gateways, which keep their hashes in memory.
@OnLoop
final class APIKeyDirectory {
    private let database: Database
    private let keys: FollowedRows<APIKeyRow>

    init(_ database: Database) {
        self.database = database
        keys = FollowedRows(
            database,
            .init(
                name: "API keys", version: APIKeyStatements.version(),
                rows: APIKeyStatements.keys(Int32(APIKeyRing.maximumCount + 1))))
        Metrics.gauge("drawbridge_bridge_api_keys", "API keys that are good now.") { [weak self] in
            Double(min(self?.keys.rows.count ?? 0, APIKeyRing.maximumCount))
        }
    }

    /// Follows the keys until the task is cancelled.
    func run() async { await keys.run() }

    /// Lets nobody wait any more; the bridge drains.
    func close() { keys.close() }

    /// The state of the keys as JSON: at once when it is not the one named, otherwise when it changes or patience ends.
    func state(unlike known: Int64?) async throws -> [UInt8] {
        try await keys.state(unlike: known) { json, keys in
            if keys.count > APIKeyRing.maximumCount {
                // Revocations must go on reaching the gateways, so the oldest are left out rather than all refused.
                Log.error("more API keys than gateways hold", ["bound": .init(APIKeyRing.maximumCount)])
            }
            json.array("keys", keys.prefix(APIKeyRing.maximumCount)) { json, key in
                json.object { json in
                    json.member("id", Int(key.id))
                    json.member("hash", key.hash)
                    json.member("client", key.client)
                    json.array("scopes", key.scopes) { $0.element($1) }
                    json.member("hotel_id", key.hotelID.map { Int($0) })
                    json.member("expires_at", Int(key.expiresAt))
                }
            }
        }
    }

    /// Writes down when keys were used.
    ///
    /// - Parameter uses: Unix seconds by the keys' numbers.
    func note(uses: [Int32: Int64]) async throws {
        try await database.execute(APIKeyStatements.noteUses(Array(uses.keys), Array(uses.values)))
    }
}

/// One key as the database has it.
struct APIKeyRow: Sendable {
    let id: Int32
    let hash: String
    let client: String
    let scopes: [String]
    let hotelID: Int32?
    let expiresAt: Int64
}

/// The statements on `booking_engine_api_keys`; its keys are made and revoked by `drawbridge key`.
private enum APIKeyStatements {
    static let version = Statement<Int64>(
        "bridge.api_key_version", "SELECT version FROM drawbridge.api_key_state"
    ) { row in try row.next() }

    /// The newest keys that are good, and in the same look the version they are of; one row without a key where none
    /// is.
    static let keys = Statement<(version: Int64, row: APIKeyRow?), Int32>(
        "bridge.api_keys",
        """
        SELECT state.version, key.id, key.api_key_hash, key.client, key.scopes, key.hotel_id,
               floor(extract(epoch FROM key.expires_at))::int8
        FROM drawbridge.api_key_state AS state
        LEFT JOIN booking_engine_api_keys AS key ON key.is_active AND key.expires_at > now()
        ORDER BY key.id DESC LIMIT $1
        """
    ) { row in
        let version: Int64 = try row.next()
        let (id, hash, client): (Int32?, String?, String?) = (try row.next(), try row.next(), try row.next())
        let (scopes, hotelID, expiresAt): ([String]?, Int32?, Int64?) = (
            try row.next(), try row.next(), try row.next()
        )
        guard let id, let hash, let client, let scopes, let expiresAt else { return (version, nil) }
        return (
            version,
            APIKeyRow(id: id, hash: hash, client: client, scopes: scopes, hotelID: hotelID, expiresAt: expiresAt)
        )
    }

    static let noteUses = Statement<Void, [Int32], [Int64]>(
        "bridge.note_api_key_uses",
        """
        UPDATE booking_engine_api_keys AS key SET last_used_at = GREATEST(key.last_used_at, to_timestamp(used.at))
        FROM unnest($1, $2) AS used (id, at) WHERE key.id = used.id
        """)
}
