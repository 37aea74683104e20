internal import Booking
internal import PMS
internal import Postgres
internal import Webhook

/// An endpoint as it is stored, with what may be shown of its secrets.
struct EndpointRecord: Sendable {
    let id: EndpointID
    /// Greater than that of every endpoint made before it.
    let position: Int64
    /// Whose it is.
    let client: String
    let subscription: Subscription
    /// Since when it is sent nothing; nil where it is.
    let disabledAt: Instant?
    /// Why, in the words of `webhook_endpoints.disabled_reason`.
    let disabledReason: String?
    let version: Int32
    let createdAt: Instant
    let updatedAt: Instant
    /// By which what is sent to it can be verified, the current one first.
    let publicKeys: [String]
    /// Until when a secret before the current one is good as well.
    let earlierSecretExpiresAt: Instant?

    fileprivate init(_ row: inout RowDecoder) throws {
        id = try row.next()
        position = try row.next()
        client = try row.next()
        subscription = try Subscription(&row)
        disabledAt = try row.next()
        disabledReason = try row.next()
        version = try row.next()
        createdAt = try row.next()
        updatedAt = try row.next()
        publicKeys = try row.next()
        earlierSecretExpiresAt = try row.next()
    }
}

extension Subscription {
    fileprivate init(_ row: inout RowDecoder) throws {
        let (url, events, hotels): (String, [String], [Int32]?) = (try row.next(), try row.next(), try row.next())
        self.init(url: url, events: events.compactMap(EventType.init), hotels: hotels)
        description = try row.next()
        let (payload, isOrdered, isAsymmetric, verifiesOwnership): (String, Bool, Bool, Bool) = (
            try row.next(), try row.next(), try row.next(), try row.next()
        )
        let (backoff, retries): (String, Int16) = (try row.next(), try row.next())
        let (inFlight, rate): (Int16, Int16) = (try row.next(), try row.next())
        // What breaks the schema's own rules cannot be gone on with.
        guard let payload = PayloadForm(rawValue: payload), let backoff = WebhookRetryPolicy.Backoff(rawValue: backoff)
        else { throw PostgresError(.decoding, "an endpoint of webhooks of another kind") }
        self.payload = payload
        self.isOrdered = isOrdered
        self.isAsymmetric = isAsymmetric
        self.verifiesOwnership = verifiesOwnership
        retryPolicy = try WebhookRetryPolicy(maximumRetries: Int(retries), backoff: backoff)
        maximumInFlight = Int(inFlight)
        maximumRate = Int(rate)
    }
}

/// The statements on `drawbridge.webhook_endpoints` and `drawbridge.webhook_secrets`; `drawbridge webhook` writes them, too.
enum WebhookStatements {
    /// The columns of `EndpointRecord`.
    private static let columns: StaticString = """
        SELECT endpoint.id, position, client, url, events, hotel_ids, description, payload, is_ordered, is_asymmetric,
               verifies_ownership, backoff, maximum_retries, maximum_in_flight, maximum_rate, disabled_at, disabled_reason,
               version, created_at, updated_at,
               ARRAY(SELECT public_key FROM drawbridge.webhook_secrets AS secret
                     WHERE secret.endpoint_id = endpoint.id AND kind = 'ed25519'
                       AND (expires_at IS NULL OR expires_at > now())
                     ORDER BY expires_at DESC NULLS FIRST),
               (SELECT max(expires_at) FROM drawbridge.webhook_secrets AS secret
                WHERE secret.endpoint_id = endpoint.id AND expires_at > now())
        FROM drawbridge.webhook_endpoints AS endpoint
        """

    /// One that belongs to a client, or to any where none is named, and is for no other hotels than these, or any.
    static let find = Statement<EndpointRecord, EndpointID, String?, [Int32]?>(
        "bridge.find_webhook", columns,
        """
        WHERE id = $1 AND ($2::text IS NULL OR client = $2) AND ($3::int4[] IS NULL OR hotel_ids <@ $3)
        """
    ) { row in try EndpointRecord(&row) }

    /// The same, which stays as it is until the transaction ends.
    static let lock = Statement<EndpointRecord, EndpointID, String?, [Int32]?>(
        "bridge.lock_webhook", columns,
        """
        WHERE id = $1 AND ($2::text IS NULL OR client = $2) AND ($3::int4[] IS NULL OR hotel_ids <@ $3)
        FOR UPDATE OF endpoint
        """
    ) { row in try EndpointRecord(&row) }

    /// Several by their ids.
    static let several = Statement<EndpointRecord, [BookingID]>(
        "bridge.several_webhooks", columns, "WHERE id = ANY ($1)"
    ) { row in try EndpointRecord(&row) }

    /// Those of a client, or of any, that are for no other hotels than these; the newest first, behind a position.
    static let list = Statement<EndpointRecord, String?, [Int32]?, Int64, Int32>(
        "bridge.list_webhooks", columns,
        """
        WHERE ($1::text IS NULL OR client = $1) AND ($2::int4[] IS NULL OR hotel_ids <@ $2) AND position < $3
        ORDER BY position DESC LIMIT $4
        """
    ) { row in try EndpointRecord(&row) }

    private static let insertEndpoint = Statement<
        Void, EndpointID, String, String, [String], [Int32]?, String?, String, Bool, Bool, Bool, String, Int16, Int16,
        Int16, String?
    >(
        "bridge.insert_webhook",
        """
        INSERT INTO drawbridge.webhook_endpoints (id, client, url, events, hotel_ids, description, payload, is_ordered,
                                                  is_asymmetric, verifies_ownership, backoff, maximum_retries,
                                                  maximum_in_flight, maximum_rate, disabled_reason, disabled_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::text,
                CASE WHEN $15 IS NOT NULL THEN now() END)
        """)

    /// - Parameter reason: why it is sent nothing; nil where it is to be.
    static func insert(
        _ id: EndpointID, client: String, _ subscription: Subscription, disabled reason: String?
    ) -> Query<Void> {
        let policy = subscription.retryPolicy
        return insertEndpoint(
            id, client, subscription.url, subscription.events.map(\.rawValue), subscription.hotels,
            subscription.description, subscription.payload.rawValue, subscription.isOrdered, subscription.isAsymmetric,
            subscription.verifiesOwnership, policy.backoff.rawValue, Int16(policy.maximumRetries),
            Int16(subscription.maximumInFlight), Int16(subscription.maximumRate), reason)
    }

    private static let updateEndpoint = Statement<
        Void, EndpointID, String, [String], [Int32]?, String?, String, Bool, Bool, Bool, String, Int16, Int16, Int16,
        String?
    >(
        "bridge.update_webhook",
        """
        UPDATE drawbridge.webhook_endpoints
        SET url = $2, events = $3, hotel_ids = $4, description = $5, payload = $6, is_ordered = $7, is_asymmetric = $8,
            verifies_ownership = $9, backoff = $10, maximum_retries = $11, maximum_in_flight = $12, maximum_rate = $13,
            disabled_reason = $14, disabled_at = CASE WHEN $14::text IS NOT NULL THEN COALESCE(disabled_at, now()) END,
            version = version + 1, updated_at = now()
        WHERE id = $1
        """)

    /// - Parameter reason: why it is sent nothing; nil where it is to be.
    static func update(_ id: EndpointID, to subscription: Subscription, disabled reason: String?) -> Query<Void> {
        let policy = subscription.retryPolicy
        return updateEndpoint(
            id, subscription.url, subscription.events.map(\.rawValue), subscription.hotels, subscription.description,
            subscription.payload.rawValue, subscription.isOrdered, subscription.isAsymmetric,
            subscription.verifiesOwnership, policy.backoff.rawValue, Int16(policy.maximumRetries),
            Int16(subscription.maximumInFlight), Int16(subscription.maximumRate), reason)
    }

    /// Lets one be sent events that has answered its challenge, if it is as it was then; gives its version.
    static let enableVerified = Statement<Int32, EndpointID, Int32>(
        "bridge.enable_verified_webhook",
        """
        UPDATE drawbridge.webhook_endpoints
        SET disabled_at = NULL, disabled_reason = NULL, version = version + 1, updated_at = now()
        WHERE id = $1 AND version = $2 AND disabled_reason = 'unverified' RETURNING version
        """
    ) { row in try row.next() }

    /// Something about it has changed that is not in its own row.
    static let touch = Statement<Void, EndpointID>(
        "bridge.touch_webhook",
        "UPDATE drawbridge.webhook_endpoints SET version = version + 1, updated_at = now() WHERE id = $1")

    static let remove = Statement<Void, EndpointID>(
        "bridge.remove_webhook", "DELETE FROM drawbridge.webhook_endpoints WHERE id = $1")

    // MARK: Secrets

    /// Until the transaction ends nobody changes the master key: whoever does holds this row. To be locked before any row of
    /// `webhook_secrets`, as they do.
    static let holdMasterKey = Statement<Int64>(
        "bridge.hold_master_key", "SELECT version::BIGINT FROM drawbridge.signing_key_state FOR SHARE"
    ) { row in try row.next() }

    /// Whether the keys that sign tokens are stored under this master key. A statement of its own, after the row is held: the
    /// one that has waited for it still sees what was before.
    static let isMasterKey = Statement<Bool, String>(
        "bridge.is_master_key",
        "SELECT NOT EXISTS (SELECT FROM drawbridge.signing_keys WHERE state <> 'previous' AND master_key_id <> $1)"
    ) { row in try row.next() }

    static let insertSecret = Statement<Void, BookingID, EndpointID, String, [UInt8], String, String?>(
        "bridge.insert_webhook_secret",
        """
        INSERT INTO drawbridge.webhook_secrets (id, endpoint_id, kind, sealed, master_key_id, public_key)
        VALUES ($1, $2, $3, $4, $5, $6)
        """)

    /// The secrets of some endpoints that are good, the current ones first: whose, its own id, its kind, as it is sealed, until
    /// when.
    static let secrets = Statement<
        (endpoint: EndpointID, id: BookingID, kind: String, sealed: [UInt8], until: Instant?), [BookingID]
    >(
        "bridge.webhook_secrets",
        """
        SELECT endpoint_id, id, kind, sealed, expires_at FROM drawbridge.webhook_secrets
        WHERE endpoint_id = ANY ($1) AND (expires_at IS NULL OR expires_at > now())
        ORDER BY expires_at DESC NULLS FIRST
        """
    ) { row in (try row.next(), try row.next(), try row.next(), try row.next(), try row.next()) }

    /// Lets all secrets of an endpoint be good for no longer than so many hours.
    static let shortenSecrets = Statement<Void, EndpointID, Int32>(
        "bridge.shorten_webhook_secrets",
        """
        UPDATE drawbridge.webhook_secrets
        SET expires_at = LEAST(expires_at, now() + make_interval(hours => $2)) WHERE endpoint_id = $1
        """)

    static let removeSecrets = Statement<Void, EndpointID, String>(
        "bridge.remove_webhook_secrets", "DELETE FROM drawbridge.webhook_secrets WHERE endpoint_id = $1 AND kind = $2")

    /// Those of an endpoint that are good no more.
    static let removeExpiredOf = Statement<Void, EndpointID>(
        "bridge.remove_expired_webhook_secrets_of",
        "DELETE FROM drawbridge.webhook_secrets WHERE endpoint_id = $1 AND expires_at <= now()")

    /// Secrets that are good no more, so many at a time.
    static let removeExpired = Statement<Void>(
        "bridge.remove_expired_webhook_secrets",
        """
        DELETE FROM drawbridge.webhook_secrets WHERE id IN (
            SELECT id FROM drawbridge.webhook_secrets WHERE expires_at <= now() ORDER BY expires_at LIMIT 1000
            FOR UPDATE SKIP LOCKED)
        """)

    /// Some endpoints that have never had a secret: those that were made by others than the API and the command.
    static let withoutSecret = Statement<EndpointID>(
        "bridge.webhooks_without_secret",
        """
        SELECT id FROM drawbridge.webhook_endpoints AS endpoint
        WHERE NOT EXISTS (SELECT FROM drawbridge.webhook_secrets AS secret WHERE secret.endpoint_id = endpoint.id)
        ORDER BY position LIMIT 50
        """
    ) { row in try row.next() }

    // MARK: Hotels and rights

    /// Those of some hotels that there are not.
    static let unknownHotels = Statement<Int32, [Int32]>(
        "bridge.unknown_hotels",
        "SELECT id FROM unnest($1::int4[]) AS wanted (id) WHERE NOT EXISTS (SELECT FROM hotels WHERE hotels.id = wanted.id)"
    ) { row in try row.next() }

    /// Disables, and says so in the audit log, what a client of the installation's own may not be told any more: endpoints
    /// for hotels, or with events, that none of its good API keys lets it read, nor what the policies say of it.
    ///
    /// Its parameters are what the policies say, a client's name and a hotel, or null for every hotel, at a time; what the
    /// owners of such endpoints begin with; who says so; and events, each with the scope that it takes.
    static let disableUncovered = Statement<Void, [String], [Int32?], String, String, [String], [String]>(
        "bridge.disable_uncovered_webhooks",
        """
        WITH rights AS (
            SELECT $3 || client AS client, hotel_id, scopes FROM booking_engine_api_keys
            WHERE is_active AND expires_at > now()
            UNION ALL
            SELECT $3 || client, hotel_id, NULL FROM unnest($1::text[], $2::int4[]) AS registered (client, hotel_id)
        ), disabled AS (
            UPDATE drawbridge.webhook_endpoints AS endpoint
            SET disabled_at = now(), disabled_reason = 'rights', version = version + 1, updated_at = now()
            WHERE disabled_at IS NULL AND starts_with(client, $3)
              AND EXISTS (
                  SELECT FROM unnest($5::text[], $6::text[]) AS told (event, scope)
                  CROSS JOIN unnest(COALESCE(hotel_ids, ARRAY[NULL::int4])) AS wanted (id)
                  WHERE told.event = ANY (endpoint.events) AND NOT EXISTS (
                      SELECT FROM rights WHERE rights.client = endpoint.client
                         AND (rights.hotel_id IS NULL OR rights.hotel_id = wanted.id)
                         AND (rights.scopes IS NULL OR told.scope = ANY (rights.scopes))))
            RETURNING id, version, client
        )
        INSERT INTO booking_engine_audit_log (action, entity_type, entity_id, response_data, status, actor)
        SELECT 'disable_webhook', 'webhook_endpoint', id::TEXT,
               jsonb_build_object('client', client, 'disabled_reason', 'rights', 'version', version), 'success', $4
        FROM disabled
        """)

    // MARK: Records

    /// Hotel, action, endpoint, what it is then, request, actor.
    static let insertAudit = Statement<Void, Int32?, String, String, JSON, String, String>(
        "bridge.insert_webhook_audit",
        """
        INSERT INTO booking_engine_audit_log (hotel_id, action, entity_type, entity_id, response_data, status, request_id,
                                              actor)
        VALUES ($1, $2, 'webhook_endpoint', $3, $4, 'success', $5, $6)
        """)
}
