internal import Authentication
internal import Booking
internal import Loop
internal import Policy
internal import Postgres
internal import Telemetry
internal import Webhook

/// Stores the secrets of webhooks' endpoints, sealed under the master key.
@OnLoop
final class WebhookSecrets {
    /// What signs for an endpoint, by its name in `webhook_secrets.kind`.
    private enum Kind: String {
        case shared = "hmac-sha256"
        case keyPair = "ed25519"
    }

    private var masterKey: MasterKeySource
    private var failures = LogThrottle()

    init(_ policy: OwnTokenPolicy) { masterKey = MasterKeySource(file: policy.masterKeyFile) }

    /// Goes by another policy.
    func replace(_ policy: OwnTokenPolicy) { masterKey = MasterKeySource(file: policy.masterKeyFile) }

    /// The master key as it is now, for `store`.
    ///
    /// - Throws: `BridgeError.sealingUnavailable`.
    func readMasterKey() async throws -> MasterKey {
        do { return try await masterKey.read() } catch let error as MasterKeySource.Missing {
            throw unavailable(error.description)
        }
    }

    /// Keeps the master key as it is until the transaction ends. To be called before any secret is stored, changed or removed.
    func hold(_ transaction: borrowing Transaction) async throws {
        _ = try await transaction.first(WebhookStatements.holdMasterKey())
    }

    /// Stores a secret as the current one of an endpoint, and with it a fresh key pair where one is wanted, after `hold`; those
    /// before must have been given their end.
    ///
    /// - Parameter secret: nil for a key pair alone.
    /// - Throws: `BridgeError.sealingUnavailable`, `PostgresError`.
    func store(
        _ secret: WebhookSecret?, keyPair wantsKeyPair: Bool, of endpoint: EndpointID, under master: MasterKey,
        _ transaction: borrowing Transaction
    ) async throws {
        // A master key that is being changed is another one in the database before it is in its file.
        guard try await transaction.first(WebhookStatements.isMasterKey(master.id)) == true else {
            throw unavailable("keys in the database are stored under another master key than \(master.id)")
        }
        var rows: [Query<Void>] = []
        if let secret { rows.append(row(.shared, secret.bytes, publicKey: nil, of: endpoint, master)) }
        if wantsKeyPair {
            let key = WebhookSigningKey()
            rows.append(row(.keyPair, key.seed, publicKey: key.publicText, of: endpoint, master))
        }
        _ = try await transaction.execute(rows)
    }

    /// Makes the first secret of an endpoint that others have made, unless somebody has.
    ///
    /// - Throws: `BridgeError.sealingUnavailable`, `PostgresError`.
    func makeFirst(of endpoint: EndpointID, _ database: Database) async throws {
        let master = try await readMasterKey()
        let transaction = try await database.begin()
        try await hold(transaction)
        do {
            try await store(WebhookSecret(), keyPair: false, of: endpoint, under: master, transaction)
        } catch let error as PostgresError {
            switch error.code {
            // It has one by now, or is gone.
            case .uniqueViolation, .foreignKeyViolation: return transaction.rollback()
            default: throw error
            }
        }
        try await transaction.commit([WebhookStatements.touch(endpoint)])
    }

    /// What signs for some endpoints now, opened.
    ///
    /// - Returns: nothing of those of which a secret cannot be opened.
    /// - Throws: `BridgeError.sealingUnavailable`, `PostgresError`.
    func keys(of endpoints: [EndpointID], _ database: Database) async throws -> [EndpointID: EndpointKeys] {
        let rows = try await database.query(WebhookStatements.secrets(endpoints.map(\.uuid)))
        let master = try await readMasterKey()
        var keys: [EndpointID: EndpointKeys] = [:]
        var unopened: Set<EndpointID> = []
        for row in rows {
            let until = row.until.map { $0.microseconds / 1_000_000 } ?? .max
            do {
                let bytes = try master.open(
                    webhookSecret: row.sealed, endpoint: row.endpoint.description, id: row.id.description)
                switch Kind(rawValue: row.kind) {
                case .shared:
                    keys[row.endpoint, default: EndpointKeys()].secrets.append((try WebhookSecret(bytes: bytes), until))
                case .keyPair:
                    keys[row.endpoint, default: EndpointKeys()].keyPairs.append(
                        (try WebhookSigningKey(seed: bytes), until))
                case nil: break
                }
            } catch {
                unopened.insert(row.endpoint)
                _ = unavailable("a secret of endpoint \(row.endpoint) cannot be opened: \(error)")
            }
        }
        return keys.filter { !unopened.contains($0.key) }
    }

    /// Lets the secrets that there are be good for so many hours more at most.
    func shorten(of endpoint: EndpointID, hours: Int, _ transaction: borrowing Transaction) async throws {
        _ = try await transaction.execute([
            WebhookStatements.shortenSecrets(endpoint, Int32(hours)), WebhookStatements.removeExpiredOf(endpoint),
        ])
    }

    /// Removes all key pairs of an endpoint.
    func removeKeyPairs(of endpoint: EndpointID, _ transaction: borrowing Transaction) async throws {
        _ = try await transaction.execute(WebhookStatements.removeSecrets(endpoint, Kind.keyPair.rawValue))
    }

    private func row(
        _ kind: Kind, _ secret: [UInt8], publicKey: String?, of endpoint: EndpointID, _ master: MasterKey
    ) -> Query<Void> {
        let id = BookingID.random()
        let sealed = master.seal(webhookSecret: secret, endpoint: endpoint.description, id: id.description)
        return WebhookStatements.insertSecret(
            id, endpoint, kind.rawValue, sealed, master.id, publicKey)
    }

    private func unavailable(_ reason: String) -> BridgeError {
        if let omitted = failures.admit(at: Loop.monotonicNanoseconds) {
            Log.error(
                "secrets of webhooks cannot be stored or used",
                ["error": .init(reason), "lines_omitted": .init(omitted)])
        }
        return .sealingUnavailable
    }
}
