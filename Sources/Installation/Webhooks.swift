internal import Authentication
internal import Booking
internal import Cryptography
public import Loop
internal import Policy
public import Webhook

/// The endpoints of webhooks in the installation's database: what `drawbridge webhook` does. Each change stands in the audit log.
@OnLoop
public struct Webhooks {
    /// An endpoint's secret that has just been made. Its text is nowhere else.
    public struct Made: Sendable {
        /// Whose it is.
        public let id: EndpointID
        /// The secret.
        public let secret: WebhookSecret
    }

    private let database: Database
    private let home: Home
    /// Whether receivers on this machine need no certificate: in the demo.
    private let allowsPlainLoopback: Bool

    /// Finds the database: `$DATABASE_URL`, or the private one of a running installation.
    ///
    /// - Throws: `InstallationError` when neither is there.
    public init(_ home: Home, _ settings: Settings, tools: Tools) throws {
        database = try Database(of: home, settings, tools: tools)
        self.home = home
        allowsPlainLoopback = settings.databaseURL == nil && settings.pmsDatabaseURL == nil
    }

    // MARK: Reading

    /// The newest first: id, client, address, events, hotels, state, since when it is so, description.
    ///
    /// - Parameter client: only this one's, by its name at whoever vouches for it; nil for everybody's.
    public func list(client: String?) async throws -> [[String]] {
        try await database.rows(
            """
            SELECT id, translate(client, '|', '¦'), regexp_replace(url, '[?].*', '?***'), array_to_string(events, ' '),
                   COALESCE(array_to_string(hotel_ids, ' '), 'every hotel'), COALESCE(disabled_reason, 'enabled'),
                   \(Database.instant("COALESCE(disabled_at, created_at)")),
                   COALESCE(translate(description, '|', '¦'), '')
            FROM drawbridge.webhook_endpoints
            WHERE :'client' = '' OR substring(client FROM '[^ ]*$') = :'client' ORDER BY position DESC;
            """, ["client": client ?? ""])
    }

    /// Everything about one, by the columns' names, and its secrets, without what they are.
    public func show(_ id: EndpointID) async throws -> [(name: String, value: String)] {
        let rows = try await database.rows(
            """
            SELECT member.key, translate(member.value, '|', '¦')
            FROM drawbridge.webhook_endpoints AS endpoint,
                 jsonb_each_text(to_jsonb(endpoint)) WITH ORDINALITY AS member (key, value, n)
            WHERE endpoint.id = :'id'::UUID AND member.value IS NOT NULL ORDER BY n;
            SELECT kind, concat_ws(', ', public_key, 'made ' || \(Database.instant("created_at")),
                                   'good until ' || \(Database.instant("expires_at")),
                                   'stored under the master key ' || master_key_id)
            FROM drawbridge.webhook_secrets
            WHERE endpoint_id = :'id'::UUID AND (expires_at IS NULL OR expires_at > now())
            ORDER BY kind DESC, expires_at DESC NULLS FIRST;
            """, ["id": id.description])
        guard !rows.isEmpty else { throw Self.noSuchWebhook(id) }
        return rows.map { ($0[0], $0.dropFirst().joined(separator: "|")) }
    }

    // MARK: Changing

    /// Makes an endpoint.
    ///
    /// - Parameters:
    ///   - client: whose it is to be, by its name.
    ///   - issuer: who vouches for that name; nil for the installation itself.
    ///   - json: what is asked for, as `POST /api/webhooks/subscribe` has it.
    public func add(client: String, issuer: String?, json: [UInt8]) async throws -> Made {
        let request = try Self.valid { () throws(InvalidRequest) in
            try SubscriptionRequest(json: json, allowsPlainLoopback: allowsPlainLoopback)
        }
        let subscription = request.subscription(orHotels: nil)
        let (id, secret) = (EndpointID.random(), request.secret ?? WebhookSecret())
        let owner = Identity.clientKey(issuer: issuer ?? Identity.ownClients, client: client)
        let stored = Stored(id, secret, withKeyPair: subscription.isAsymmetric, under: try masterKey())
        var variables = Self.variables(of: subscription, id)
        variables.merge(stored.variables) { $1 }
        variables.merge(try rights(of: owner)) { $1 }
        variables["client"] = owner
        try await run(
            """
            INSERT INTO drawbridge.webhook_endpoints (id, client, url, events, hotel_ids, description, payload, is_ordered,
                                                      is_asymmetric, backoff, maximum_retries, maximum_in_flight,
                                                      maximum_rate)
            VALUES (:'id', :'client', :'url', string_to_array(:'events', ' '), \(Self.hotels), NULLIF(:'description', ''),
                    :'payload', :'ordered', :'asymmetric', :'backoff', :'retries', :'in_flight', :'rate');
            \(Stored.insertion)
            """, "create_webhook", id, variables, checks: [Self.checkMasterKey, Self.checkHotels, Self.checkRights])
        return Made(id: id, secret: secret)
    }

    /// Changes what is named.
    ///
    /// - Parameter json: as `PATCH /api/webhooks/{webhook_id}` has it.
    public func change(_ id: EndpointID, json: [UInt8]) async throws {
        let change = try Self.valid { () throws(InvalidRequest) in
            try SubscriptionChange(json: json, allowsPlainLoopback: allowsPlainLoopback)
        }
        var variables = try rights(of: try await owner(of: id))
        // What is not named goes by what there is; two who change one at once both are heeded.
        var named: Set<String> = []
        func set(_ name: String, _ value: String?) {
            variables[name] = value ?? ""
            if value != nil { named.insert(name) }
        }
        set("url", change.url)
        set("events", change.events?.map(\.rawValue).joined(separator: " "))
        set("payload", change.payload?.rawValue)
        set("ordered", change.isOrdered.map { $0 ? "t" : "f" })
        set("asymmetric", change.isAsymmetric.map { $0 ? "t" : "f" })
        set("backoff", change.retryPolicy?.backoff.rawValue)
        set("retries", change.retryPolicy.map { String($0.maximumRetries) })
        set("in_flight", change.maximumInFlight.map { String($0) })
        set("rate", change.maximumRate.map { String($0) })
        set("hotels", change.hotels.map { Self.text(of: $0.value) })
        set("description", change.description.map { $0.value ?? "" })
        let stored = try change.isAsymmetric == true ? Stored(id, nil, withKeyPair: true, under: masterKey()) : nil
        if let stored { variables.merge(stored.variables) { $1 } }
        try await run(
            """
            UPDATE drawbridge.webhook_endpoints
            SET url = COALESCE(NULLIF(:'url', ''), url),
                events = COALESCE(NULLIF(string_to_array(:'events', ' '), '{}'), events),
                payload = COALESCE(NULLIF(:'payload', ''), payload),
                is_ordered = COALESCE(NULLIF(:'ordered', '')::BOOLEAN, is_ordered),
                is_asymmetric = COALESCE(NULLIF(:'asymmetric', '')::BOOLEAN, is_asymmetric),
                backoff = COALESCE(NULLIF(:'backoff', ''), backoff),
                maximum_retries = COALESCE(NULLIF(:'retries', '')::SMALLINT, maximum_retries),
                maximum_in_flight = COALESCE(NULLIF(:'in_flight', '')::SMALLINT, maximum_in_flight),
                maximum_rate = COALESCE(NULLIF(:'rate', '')::SMALLINT, maximum_rate)
                \(named.contains("hotels") ? ", hotel_ids = \(Self.hotels)" : "")
                \(named.contains("description") ? ", description = NULLIF(:'description', '')" : ""),
                version = version + 1, updated_at = now()
            WHERE id = :'id';
            DELETE FROM drawbridge.webhook_secrets WHERE endpoint_id = :'id' AND kind = 'ed25519' AND :'asymmetric' = 'f';
            \(stored == nil ? "" : Stored.insertionWhereNone)
            """, "change_webhook", id, variables,
            checks: (stored == nil ? [] : [Self.checkMasterKey])
                + (named.contains("hotels") ? [Self.checkHotels] : []) + [Self.checkRights])
    }

    /// Lets it be sent events again.
    public func enable(_ id: EndpointID) async throws {
        let rights = try rights(of: try await owner(of: id))
        try await run(
            """
            UPDATE drawbridge.webhook_endpoints
            SET disabled_at = NULL, disabled_reason = NULL, version = version + 1, updated_at = now()
            WHERE id = :'id' AND disabled_at IS NOT NULL;
            """, "enable_webhook", id, rights, checks: [Self.checkChange, Self.checkRights])
    }

    /// Lets it be sent nothing.
    public func disable(_ id: EndpointID) async throws {
        try await run(
            """
            UPDATE drawbridge.webhook_endpoints
            SET disabled_at = now(), disabled_reason = 'requested', version = version + 1, updated_at = now()
            WHERE id = :'id' AND disabled_at IS NULL;
            """, "disable_webhook", id, [:], checks: [Self.checkChange])
    }

    /// Removes it with its secrets.
    public func remove(_ id: EndpointID) async throws {
        try await run(
            "", "remove_webhook", id, [:], after: "DELETE FROM drawbridge.webhook_endpoints WHERE id = :'id';")
    }

    /// Makes another secret; those before it go on being good for so many hours at most.
    public func rotateSecret(_ id: EndpointID, overlapInHours: Int) async throws -> Made {
        let rows = try await database.rows(
            "SELECT is_asymmetric FROM drawbridge.webhook_endpoints WHERE id = :'id'::UUID;", ["id": id.description])
        guard let row = rows.first else { throw Self.noSuchWebhook(id) }
        let secret = WebhookSecret()
        let stored = Stored(id, secret, withKeyPair: row == ["t"], under: try masterKey())
        var variables = stored.variables
        variables["overlap"] = String(overlapInHours)
        try await run(
            """
            UPDATE drawbridge.webhook_secrets
            SET expires_at = LEAST(expires_at, now() + make_interval(hours => :'overlap')) WHERE endpoint_id = :'id';
            DELETE FROM drawbridge.webhook_secrets WHERE endpoint_id = :'id' AND expires_at <= now();
            \(Stored.insertion)
            UPDATE drawbridge.webhook_endpoints SET version = version + 1, updated_at = now() WHERE id = :'id';
            """, "rotate_webhook_secret", id, variables, checks: [Self.checkMasterKey])
        return Made(id: id, secret: secret)
    }

    // MARK: Parts

    /// Runs a script in a transaction, between looking at the endpoint and writing into the audit log what it is then.
    ///
    /// - Parameters:
    ///   - checks: each selects a word for what is in the way, or nothing.
    ///   - after: what is done after that.
    private func run(
        _ script: String, _ action: String, _ id: EndpointID, _ variables: [String: String], checks: [String] = [],
        after: String = ""
    ) async throws {
        let guards = ([Self.checkPresence] + checks).map { check in
            """
            SELECT COALESCE(max(obstacle), '') AS obstacle, count(obstacle) > 0 AS is_obstructed FROM (\(check)) AS found \\gset
            \\if :is_obstructed
            SELECT :'obstacle';
            \\quit
            \\endif
            """
        }
        let rows = try await database.rows(
            """
            BEGIN;
            SELECT id FROM drawbridge.webhook_endpoints WHERE id = :'id' FOR UPDATE \\g /dev/null
            SELECT version FROM drawbridge.signing_key_state FOR SHARE \\g /dev/null
            \(script)
            \(guards.joined(separator: "\n"))
            INSERT INTO booking_engine_audit_log (hotel_id, action, entity_type, entity_id, response_data, status, actor)
            SELECT CASE WHEN cardinality(hotel_ids) = 1 THEN hotel_ids[1] END, :'action', 'webhook_endpoint', id::TEXT,
                   to_jsonb(endpoint) || jsonb_build_object('url', regexp_replace(url, '[?].*', '?***')), 'success',
                   'command line: ' || session_user
            FROM drawbridge.webhook_endpoints AS endpoint WHERE id = :'id'
            RETURNING 'done' AS outcome \\gset
            \(after)
            COMMIT;
            SELECT :'outcome';
            """, variables.merging(["id": id.description, "action": action]) { $1 })
        switch rows.first?.first {
        case "done": return
        case "same":
            throw InstallationError("it stands so already", remedy: "see drawbridge webhook show \(id)")
        case "master":
            throw InstallationError(
                "the keys in the database are stored under another master key", remedy: "see drawbridge doctor")
        case "rights":
            throw InstallationError(
                "its client has no API key that is good for these hotels, nor do the policies give them to it",
                remedy: "see drawbridge key list")
        case let hotel? where Int32(hotel) != nil:
            throw InstallationError("there is no hotel \(hotel)", remedy: "see hotels.id")
        default: throw Self.noSuchWebhook(id)
        }
    }

    private static let checkPresence = """
        SELECT 'missing' AS obstacle WHERE NOT EXISTS (SELECT FROM drawbridge.webhook_endpoints WHERE id = :'id')
        """

    private static let checkChange = """
        SELECT 'same' AS obstacle FROM drawbridge.webhook_endpoints WHERE id = :'id' AND updated_at <> now()
        """

    private static let checkMasterKey = """
        SELECT 'master' AS obstacle FROM drawbridge.signing_keys WHERE state <> 'previous' AND master_key_id <> :'master'
        """

    private static let checkHotels = """
        SELECT wanted::TEXT AS obstacle FROM drawbridge.webhook_endpoints AS endpoint, unnest(hotel_ids) AS wanted
        WHERE endpoint.id = :'id' AND NOT EXISTS (SELECT FROM hotels WHERE hotels.id = wanted)
        """

    /// As the bridges look at it every few seconds, so that nothing is made that they disable.
    private static let checkRights = """
        SELECT 'rights' AS obstacle FROM drawbridge.webhook_endpoints AS endpoint
        WHERE id = :'id' AND disabled_at IS NULL AND starts_with(client, :'own') AND NOT :'registered_all'::BOOLEAN
          AND EXISTS (
              SELECT FROM unnest(string_to_array(:'told', ' '), string_to_array(:'scopes', ' ')) AS told (event, scope)
              CROSS JOIN unnest(COALESCE(hotel_ids, ARRAY[NULL::INTEGER])) AS wanted (id)
              WHERE told.event = ANY (endpoint.events)
                AND (wanted.id IS NULL OR wanted.id <> ALL (string_to_array(:'registered', ' ')::INTEGER[]))
                AND NOT EXISTS (
                    SELECT FROM booking_engine_api_keys AS key
                    WHERE :'own' || key.client = endpoint.client AND is_active AND expires_at > now()
                      AND (hotel_id IS NULL OR hotel_id = wanted.id) AND told.scope = ANY (key.scopes)))
        """

    /// What the policies say of a client of the installation's own.
    private func rights(of owner: String) throws -> [String: String] {
        let own = "\(Identity.ownClients) "
        var access = HotelAccess.none
        if owner.hasPrefix(own) {
            let policies = PolicyDirectory(path: try PolicyLocation.find(nil, home: home), installation: home.path)
            access = try policies.registeredClients()[String(owner.dropFirst(own.count))] ?? HotelAccess.none
        }
        return [
            "own": own, "registered_all": access == .all ? "t" : "f", "registered": Self.text(of: access.ids ?? []),
            "told": EventType.allCases.map(\.rawValue).joined(separator: " "),
            "scopes": EventType.allCases.map(\.scope.rawValue).joined(separator: " "),
        ]
    }

    private func owner(of id: EndpointID) async throws -> String {
        let rows = try await database.rows(
            "SELECT client FROM drawbridge.webhook_endpoints WHERE id = :'id'::UUID;", ["id": id.description])
        guard let row = rows.first else { throw Self.noSuchWebhook(id) }
        return row.joined(separator: "|")
    }

    private func masterKey() throws -> MasterKey { try SigningKeys.readMasterKey(home) }

    /// The column from the variable: blank for every hotel.
    private static let hotels = "NULLIF(string_to_array(:'hotels', ' '), '{}')::INTEGER[]"

    private static func text(of hotels: [Int32]?) -> String {
        (hotels ?? []).map { String($0) }.joined(separator: " ")
    }

    private static func variables(of subscription: Subscription, _ id: EndpointID) -> [String: String] {
        [
            "url": subscription.url, "events": subscription.events.map(\.rawValue).joined(separator: " "),
            "hotels": text(of: subscription.hotels), "description": subscription.description ?? "",
            "payload": subscription.payload.rawValue, "ordered": subscription.isOrdered ? "t" : "f",
            "asymmetric": subscription.isAsymmetric ? "t" : "f", "backoff": subscription.retryPolicy.backoff.rawValue,
            "retries": String(subscription.retryPolicy.maximumRetries),
            "in_flight": String(subscription.maximumInFlight), "rate": String(subscription.maximumRate),
        ]
    }

    static func valid<Request>(_ read: () throws(InvalidRequest) -> Request) throws -> Request {
        do { return try read() } catch {
            let first = error.errors.first
            throw InstallationError("\(first?.pointer.dropFirst() ?? ""): \(first?.detail ?? "cannot be read")")
        }
    }

    static func noSuchWebhook(_ id: EndpointID) -> InstallationError {
        InstallationError(
            "there is no webhook \(id)", remedy: "see which there are: drawbridge webhook list")
    }
}

/// Secrets of an endpoint, sealed for the database.
@OnLoop
private struct Stored {
    let variables: [String: String]

    /// - Parameter secret: nil for a key pair alone.
    init(
        _ endpoint: EndpointID, _ secret: WebhookSecret?, withKeyPair: Bool, under master: MasterKey
    ) {
        func sealed(_ bytes: [UInt8], _ id: EndpointID) -> String {
            Hexadecimal.encode(
                master.seal(webhookSecret: bytes, endpoint: endpoint.description, id: id.description))
        }
        let (secretID, keyID, key) = (EndpointID.random(), EndpointID.random(), WebhookSigningKey())
        variables = [
            "master": master.id, "secret_id": secretID.description, "key_id": keyID.description,
            "secret": secret.map { sealed($0.bytes, secretID) } ?? "",
            "key": withKeyPair ? sealed(key.seed, keyID) : "",
            "public_key": key.publicText,
        ]
    }

    static let insertion = """
        INSERT INTO drawbridge.webhook_secrets (id, endpoint_id, kind, sealed, master_key_id, public_key)
        SELECT id::UUID, :'id'::UUID, kind, decode(sealed, 'hex'), :'master', public_key
        FROM (VALUES (:'secret_id', 'hmac-sha256', :'secret', NULL), (:'key_id', 'ed25519', :'key', :'public_key'))
             AS fresh (id, kind, sealed, public_key)
        WHERE sealed <> '';
        """

    /// The same of a key pair, where the endpoint has none.
    static let insertionWhereNone = """
        SELECT NOT EXISTS (SELECT FROM drawbridge.webhook_secrets
                           WHERE endpoint_id = :'id' AND kind = 'ed25519' AND expires_at IS NULL) AS has_none \\gset
        \\if :has_none
        \(insertion)
        \\endif
        """
}
