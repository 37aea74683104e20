internal import Authentication
internal import Cryptography
internal import JSONText
internal import Loop
internal import Policy
internal import Postgres
internal import Telemetry

/// The keys that sign the installation's own tokens: made, replaced and removed as their schedule says, by whichever bridge
/// comes first, and told to the gateways. The private half of the one that signs is in this process's memory alone; stored,
/// each is sealed under the master key.
@OnLoop
final class SigningKeyDirectory {
    /// How often something is tried again that others may have to put right.
    private static let retryInterval: UInt64 = 2_000_000_000
    /// How long a request waits for keys that are just being made or read.
    private static let patience = Duration.seconds(2)
    /// Requests that wait for them at once; others are refused.
    private static let waiterBound = 64
    /// Steps that are taken in one go; there are never more to take.
    private static let stepBound = 16

    private let database: Database
    private let issuers: IssuerKeyDirectory
    private let rows: FollowedRows<SigningKeyRow>
    private var policy: OwnTokenPolicy
    private var masterKey: MasterKeySource
    /// Which rows have been taken over.
    private var taken: Int64?
    private var signing: SigningKey?
    private var published: String?
    /// Why there is no key to sign with.
    private var fault: String?
    /// Why what is due with the keys cannot be done.
    private var postponement: String?
    private var waiters = 0
    private var nextTry: UInt64 = 0

    init(_ policy: OwnTokenPolicy, _ database: Database, _ issuers: IssuerKeyDirectory) {
        self.policy = policy
        self.database = database
        self.issuers = issuers
        masterKey = MasterKeySource(file: policy.masterKeyFile)
        rows = FollowedRows(
            database,
            .init(
                name: "signing keys", version: SigningKeyStatements.version(), rows: SigningKeyStatements.followed()))
        Metrics.gauge("drawbridge_bridge_signing_key_usable", "1 while tokens can be signed.") { [weak self] in
            self?.signing == nil ? 0 : 1
        }
        Metrics.gauge("drawbridge_bridge_signing_key_age_seconds", "For how long the current key has signed.") {
            [weak self] in self?.schedule.current.map { Double(Loop.unixSeconds - $0.since) } ?? 0
        }
        Metrics.gauge(
            "drawbridge_bridge_signing_key_seconds_left", "Seconds until another key is to sign; negative when overdue."
        ) { [weak self] in
            guard let self else { return 0 }
            return schedule.secondsLeft(at: Loop.unixSeconds, self.policy.keyTerms).map { Double($0) } ?? 0
        }
        Metrics.gauge("drawbridge_bridge_signing_keys", "Keys that are published.") { [weak self] in
            Double(self?.rows.rows.count ?? 0)
        }
    }

    /// Follows the keys and keeps their schedule until the task is cancelled.
    func run() async { await rows.run { try await self.keep() } }

    /// Lets nobody wait any more; the bridge drains.
    func close() { rows.close() }

    /// Goes by another policy.
    func replace(_ policy: OwnTokenPolicy) {
        guard policy != self.policy else { return }
        self.policy = policy
        masterKey = MasterKeySource(file: policy.masterKeyFile)
        nextTry = 0
        if taken != nil { issuers.announceOwn(policy.issuer, published) }
    }

    /// The key to sign with now.
    ///
    /// - Throws: `BridgeError.signingUnavailable`.
    func signer() async throws -> SigningKey {
        try await wait { self.signing != nil || self.fault != nil }
        guard let signing else { throw BridgeError.signingUnavailable }
        return signing
    }

    /// The published keys as a JWK Set; nil where there is none, for which nobody waits who would wait in vain.
    ///
    /// - Throws: `BridgeError.signingUnavailable` while they are not known.
    func keySet() async throws -> String? {
        try await wait { self.published != nil || self.fault != nil }
        guard taken != nil else { throw BridgeError.signingUnavailable }
        return published
    }

    private func wait(until isSo: @escaping @OnLoop () -> Bool) async throws {
        guard !isSo() else { return }
        guard waiters < Self.waiterBound else { throw BridgeError.signingUnavailable }
        waiters += 1
        defer { waiters -= 1 }
        do {
            try await Loop.withDeadline(Self.patience, "wait for signing keys") {
                while !isSo() { try await Loop.sleep(for: .milliseconds(20)) }
            }
        } catch let error as LoopError where error.code == .timedOut {}
    }

    private var schedule: SigningKeySchedule { SigningKeySchedule(rows.rows.map(\.key)) }

    // MARK: Keeping

    /// Takes over what has changed, and does what is due.
    private func keep() async throws {
        if rows.version != taken { publish() }
        guard Loop.monotonicNanoseconds >= nextTry else { return }
        guard await unseal() else { return }
        nextTry = 0
        for _ in 0..<Self.stepBound {
            guard schedule.due(at: Loop.unixSeconds, policy.keyTerms) != nil, try await step() else { return }
            try await rows.look()
            publish()
            guard await unseal() else { return }
        }
    }

    private func publish() {
        guard taken != rows.version else { return }
        taken = rows.version
        nextTry = 0
        let keys = rows.rows.compactMap { JSONWebKey(id: $0.key.id, $0.publicKey) }
        published = keys.isEmpty ? nil : JSONWebKey.set(keys)
        issuers.announceOwn(policy.issuer, published)
        Log.info(
            "signing keys taken over",
            ["keys": .init(keys.count), "current": .init(schedule.current?.id ?? "none")])
    }

    /// Opens the key that signs, if it is another than the one that is open.
    ///
    /// - Returns: whether the keys' schedule can be kept.
    private func unseal() async -> Bool {
        guard let current = rows.rows.first(where: { $0.key.state == .current }) else {
            // One is to be made; whether that can be done is tried again. Meanwhile what is known to be wrong stays
            // known.
            signing = nil
            return true
        }
        guard signing?.id != current.key.id else { return true }
        do {
            signing = try await open(current)
            if fault != nil { Log.info("tokens can be signed again") }
            fault = nil
            return true
        } catch {
            // Keys are never replaced for want of the master key: whoever has lost it says so himself (`drawbridge token
            // rotate-keys --withdraw`).
            signing = nil
            nextTry = Loop.monotonicNanoseconds + Self.retryInterval
            if fault != "\(error)" { Log.error("tokens cannot be signed", ["error": .init(error: error)]) }
            fault = "\(error)"
            return false
        }
    }

    private struct Unopenable: Error, CustomStringConvertible {
        let description: String
    }

    private func open(_ row: SigningKeyRow) async throws -> SigningKey {
        let master = try await masterKey.read()
        guard master.id == row.masterKeyID else {
            throw Unopenable(
                description: "the signing keys in the database are sealed under the master key \(row.masterKeyID), and "
                    + "\(masterKey.description) holds \(master.id)")
        }
        do { return try master.open(row.sealed, id: row.key.id) } catch {
            throw Unopenable(description: "the signing key \(row.key.id) was changed in the database: \(error)")
        }
    }

    /// Does what is due by the database's clock, alone among all bridges.
    ///
    /// - Returns: whether something was due.
    private func step() async throws -> Bool {
        let transaction = try await database.begin()
        let (now, stored) = try await transaction.query(SigningKeyStatements.lock(), SigningKeyStatements.all())
        let schedule = SigningKeySchedule(stored.map(\.key))
        guard let now = now.first, let step = schedule.due(at: now, policy.keyTerms) else {
            // The clocks differ.
            nextTry = Loop.monotonicNanoseconds + Self.retryInterval
            transaction.rollback()
            return false
        }
        let statements: [Query<Void>]
        do { statements = try await self.statements(for: step, stored) } catch {
            transaction.rollback()
            nextTry = Loop.monotonicNanoseconds + Self.retryInterval
            if postponement != "\(error)" { Log.error("signing keys not changed", ["error": .init(error: error)]) }
            postponement = "\(error)"
            // Without any key there is none to sign with, either.
            if schedule.current == nil { fault = postponement }
            return false
        }
        try await transaction.commit(statements)
        (postponement, fault) = (nil, nil)
        Log.info("signing keys changed", ["step": .init("\(step)")])
        return true
    }

    private func statements(
        for step: SigningKeySchedule.Step, _ stored: [SigningKeyRow]
    ) async throws -> [Query<Void>] {
        switch step {
        case .drop(let id): return [SigningKeyStatements.drop(id)]
        case .rotate:
            // One that cannot be opened must not take the place of one that can.
            if let next = stored.first(where: { $0.key.state == .next }) { _ = try await open(next) }
            return [SigningKeyStatements.retire(), SigningKeyStatements.promote()]
        case .make(let state):
            let master = try await masterKey.read()
            // Keys under two master keys would be half of them lost with either.
            let others = stored.filter { $0.key.state != .previous && $0.masterKeyID != master.id }
            if let other = others.first { _ = try await open(other) }
            let key = SigningKey()
            return [
                SigningKeyStatements.insert(
                    key.id, key.privateKey.publicKey.pem, master.seal(key), master.id, state.rawValue)
            ]
        }
    }
}

/// One key as the database has it.
struct SigningKeyRow: Sendable {
    let key: SigningKeySchedule.Key
    let publicKey: PublicKey
    let sealed: [UInt8]
    let masterKeyID: String

    fileprivate init(
        id: String, publicKey: String, sealed: [UInt8], masterKeyID: String, state: String, madeAt: Int64, since: Int64
    ) throws {
        // What breaks the schema's own rules cannot be gone on with.
        guard let state = SigningKeySchedule.State(rawValue: state) else { throw CryptographyError("no such state") }
        key = SigningKeySchedule.Key(id: id, state: state, madeAt: madeAt, since: since)
        self.publicKey = try PublicKey(pem: publicKey.utf8.span)
        self.sealed = sealed
        self.masterKeyID = masterKeyID
    }
}

/// The statements on `drawbridge.signing_keys`; `drawbridge token` writes it, too.
private enum SigningKeyStatements {
    static let version = Statement<Int64>(
        "bridge.signing_key_version", "SELECT version FROM drawbridge.signing_key_state"
    ) { row in try row.next() }

    /// All of them, and in the same look the version they are of; one row without a key where none is.
    static let followed = Statement<(version: Int64, row: SigningKeyRow?)>(
        "bridge.followed_signing_keys",
        """
        SELECT state.version, key.kid, key.public_key, key.sealed_private_key, key.master_key_id, key.state,
               floor(extract(epoch FROM key.made_at))::int8, floor(extract(epoch FROM key.state_since))::int8
        FROM drawbridge.signing_key_state AS state LEFT JOIN drawbridge.signing_keys AS key ON TRUE
        ORDER BY key.made_at, key.kid LIMIT 100
        """
    ) { row in
        let version: Int64 = try row.next()
        let (id, publicKey, sealed): (String?, String?, [UInt8]?) = (try row.next(), try row.next(), try row.next())
        let (master, state): (String?, String?) = (try row.next(), try row.next())
        let (madeAt, since): (Int64?, Int64?) = (try row.next(), try row.next())
        guard let id, let publicKey, let sealed, let master, let state, let madeAt, let since else {
            return (version, nil)
        }
        let key = try SigningKeyRow(
            id: id, publicKey: publicKey, sealed: sealed, masterKeyID: master, state: state, madeAt: madeAt,
            since: since)
        return (version, key)
    }

    static let all = Statement<SigningKeyRow>(
        "bridge.signing_keys",
        """
        SELECT kid, public_key, sealed_private_key, master_key_id, state,
               floor(extract(epoch FROM made_at))::int8, floor(extract(epoch FROM state_since))::int8
        FROM drawbridge.signing_keys ORDER BY made_at, kid LIMIT 100
        """
    ) { row in
        try SigningKeyRow(
            id: try row.next(), publicKey: try row.next(), sealed: try row.next(), masterKeyID: try row.next(),
            state: try row.next(), madeAt: try row.next(), since: try row.next())
    }

    /// Keeps every other bridge from deciding until the transaction ends; the database's time.
    static let lock = Statement<Int64>(
        "bridge.lock_signing_keys",
        """
        SELECT floor(extract(epoch FROM clock_timestamp()))::int8 FROM drawbridge.signing_key_state
        FOR UPDATE
        """
    ) { row in try row.next() }

    static let insert = Statement<Void, String, String, [UInt8], String, String>(
        "bridge.insert_signing_key",
        """
        INSERT INTO drawbridge.signing_keys (kid, public_key, sealed_private_key, master_key_id, state)
        VALUES ($1, $2, $3, $4, $5)
        """)

    static let retire = Statement<Void>(
        "bridge.retire_signing_key",
        "UPDATE drawbridge.signing_keys SET state = 'previous', state_since = now() WHERE state = 'current'")

    static let promote = Statement<Void>(
        "bridge.promote_signing_key",
        "UPDATE drawbridge.signing_keys SET state = 'current', state_since = now() WHERE state = 'next'")

    static let drop = Statement<Void, String>(
        "bridge.drop_signing_key", "DELETE FROM drawbridge.signing_keys WHERE kid = $1 AND state = 'previous'")
}
