internal import Authentication
internal import Booking
internal import HTTP
internal import JSONText
internal import Loop
internal import PMS
internal import Postgres
internal import Server
internal import Webhook

/// Endpoints of webhooks: who is told of what. A client sees and changes its own, an administrator everybody's, and both no
/// endpoint for a hotel that their credentials do not cover; that one is not there for them. Each change stands in the audit
/// log.
@OnLoop
final class WebhookResource {
    private static let standardPage = 50
    private static let pageSizes = 1...100
    /// Hotels that are quoted back to whoever has named one that there is not.
    private static let namedHotels = 20

    /// What is done, as the audit log calls it.
    private enum Action: String {
        case create = "create_webhook"
        case change = "change_webhook"
        case enable = "enable_webhook"
        case disable = "disable_webhook"
        case remove = "remove_webhook"
        case rotateSecret = "rotate_webhook_secret"
    }

    private let database: Database
    private let credentials: CredentialCheck
    private let answers: IdempotentAnswers
    private let secrets: WebhookSecrets
    private let ownership: OwnershipCheck
    /// Whether receivers on this machine need no certificate: in the demo.
    private let allowsPlainLoopback: Bool

    init(
        _ database: Database, _ credentials: CredentialCheck, _ answers: IdempotentAnswers, _ secrets: WebhookSecrets,
        _ ownership: OwnershipCheck, allowsPlainLoopback: Bool
    ) {
        self.database = database
        self.credentials = credentials
        self.answers = answers
        self.secrets = secrets
        self.ownership = ownership
        self.allowsPlainLoopback = allowsPlainLoopback
    }

    // MARK: Reading

    /// What can be subscribed to.
    func eventTypes(_ call: Call) -> Answer { Self.answer(EventType.catalogue) }

    /// The endpoints that are there for whoever asks, the newest first, a page at a time.
    func list(_ call: Call) async throws -> Answer {
        var query = QueryParameters(call.request.head.target.query ?? "")
        let before = query.integer("before", in: 1...Int(Int64.max)).map { Int64($0) }
        let limit = query.integer("limit", in: Self.pageSizes) ?? Self.standardPage
        query.refuseOthers()
        guard query.mistakes.isEmpty else { throw BridgeError.malformed(query.mistakes) }
        let rows = try await database.query(
            WebhookStatements.list(call.owner, call.identity.hotelIDs.ids, before ?? .max, Int32(limit + 1)))
        var json = JSONWriter(capacity: 1024 * (rows.count + 1))
        json.object { json in
            json.array("webhooks", rows.prefix(limit)) { json, row in json.object { row.write(to: &$0) } }
            json.member("next", rows.count > limit ? Int(rows[limit - 1].position) : nil)
        }
        return Self.answer(json.bytes)
    }

    func get(_ call: Call) async throws -> Answer {
        Self.answer(try await call.endpoint(try call.endpoint, in: database))
    }

    // MARK: Changing

    /// Makes an endpoint; its secret is in the answer, and in no other. Whether it meets its challenge, where it has to, is seen by
    /// whether it is enabled.
    func subscribe(_ call: Call) async throws -> Answer {
        let request = try SubscriptionRequest(json: call.content, allowsPlainLoopback: allowsPlainLoopback)
        let subscription = try subscription(of: request, for: call.identity)
        try await credentials.check(call)
        let (id, secret) = (EndpointID.random(), request.secret ?? WebhookSecret())
        let master = try await secrets.readMasterKey()
        let key = try call.idempotencyKey()
        let client = call.identity.clientKey
        let transaction = try await database.begin()
        try await TokenService.check(key, client, transaction)
        try await requireHotels(subscription.hotels, transaction)
        try await secrets.hold(transaction)
        do {
            let reason = subscription.verifiesOwnership ? EndpointRecord.unverified : nil
            _ = try await transaction.execute(
                WebhookStatements.insert(id, client: client, subscription, disabled: reason))
        } catch let error as PostgresError where error.isBound("webhook_endpoints_bound") {
            throw BridgeError.tooManyWebhooks
        }
        try await secrets.store(
            secret, keyPair: subscription.isAsymmetric, of: id, under: master, transaction)
        let row = try await stored(id, transaction)
        try await transaction.commit(
            [audit(.create, row, call)] + TokenService.record(key, client, made: .endpoint(id)))
        // It is made, and its secret in no other answer: whatever comes of the challenge.
        let outcome = try? await verified(row, call)
        var answer = Self.answer(outcome?.row ?? row, secret: secret)
        answer.fields.append(.location, "/api/webhooks/\(id)")
        return answer
    }

    /// Changes what its request names, all of it or nothing. A new address that has to meet a challenge meets it before; until
    /// then events go on to where they went.
    func change(_ call: Call) async throws -> Answer {
        guard call.entityCondition != nil else { throw BridgeError.preconditionRequired }
        let change = try SubscriptionChange(json: call.content, allowsPlainLoopback: allowsPlainLoopback)
        try await credentials.check(call)
        let master = change.isAsymmetric == true ? try await secrets.readMasterKey() : nil
        let verified = try await addressVerified(for: change, call)
        let transaction = try await database.begin()
        let old = try await lock(call, transaction)
        var (next, reason) = try outcome(of: change, on: old, for: call.identity)
        if reason == EndpointRecord.unverified, next.url == verified { reason = nil }
        guard next != old.subscription || reason != old.disabledReason else {
            transaction.rollback()
            return Self.answer(old)
        }
        if next.hotels != old.subscription.hotels { try await requireHotels(next.hotels, transaction) }
        if next.isAsymmetric != old.subscription.isAsymmetric { try await secrets.hold(transaction) }
        if let master, !old.subscription.isAsymmetric {
            try await secrets.store(nil, keyPair: true, of: old.id, under: master, transaction)
        } else if !next.isAsymmetric, old.subscription.isAsymmetric {
            try await secrets.removeKeyPairs(of: old.id, transaction)
        }
        _ = try await transaction.execute(WebhookStatements.update(old.id, to: next, disabled: reason))
        let row = try await stored(old.id, transaction)
        let action: Action = reason == old.disabledReason ? .change : reason == nil ? .enable : .disable
        try await transaction.commit([audit(action, row, call)])
        return Self.answer(row)
    }

    /// What a change makes of an endpoint, and why it is disabled then.
    private func outcome(
        of change: SubscriptionChange, on old: EndpointRecord, for identity: Identity
    ) throws -> (next: Subscription, reason: String?) {
        var next = change.applied(to: old.subscription)
        if ownership.isRequired, old.subscription.verifiesOwnership || next.url != old.subscription.url {
            next.verifiesOwnership = true
        }
        try permit(next, to: identity)
        return (next, old.disabledReason(enabling: change.isEnabled, as: next))
    }

    /// The address that an endpoint is to have, if it has a challenge to meet for this change and has met it.
    private func addressVerified(for change: SubscriptionChange, _ call: Call) async throws -> String? {
        let old = try await call.endpoint(try call.endpoint, in: database)
        let (next, reason) = try outcome(of: change, on: old, for: call.identity)
        let isWanted = old.disabledReason == nil || change.isEnabled == true
        let isCurrent = call.entityCondition?.admits(version: old.version) ?? true
        guard reason == EndpointRecord.unverified, isWanted, isCurrent else { return nil }
        return await ownership.fault(of: old.id, at: next.url) == nil ? next.url : nil
    }

    /// Lets it be sent events again; one that is sent them already is answered as it stands.
    ///
    /// - Throws: `BridgeError.webhookUnverified` where it has a challenge to meet, and has not.
    func enable(_ call: Call) async throws -> Answer {
        try await credentials.check(call)
        return try await answer(call) { row, transaction in
            let subscription = row.subscription
            guard row.disabledReason != nil else { return nil }
            try self.permit(subscription, to: call.identity)
            let reason = row.disabledReason(enabling: true, as: subscription)
            guard reason != row.disabledReason else { return nil }
            _ = try await transaction.execute(WebhookStatements.update(row.id, to: subscription, disabled: reason))
            return (reason == nil ? .enable : .change, try await self.stored(row.id, transaction))
        } then: { row in
            let (row, fault) = try await self.verified(row, call)
            if let fault { throw BridgeError.webhookUnverified(fault) }
            return row
        }
    }

    /// Sends an endpoint its challenge, if it has one to meet, and lets it be sent events if it does.
    ///
    /// - Returns: how it is then, and what was wrong where it has not met it.
    private func verified(_ row: EndpointRecord, _ call: Call) async throws -> (row: EndpointRecord, fault: String?) {
        guard row.disabledReason == EndpointRecord.unverified else { return (row, nil) }
        if let fault = await ownership.fault(of: row.id, at: row.subscription.url) { return (row, fault) }
        let transaction = try await database.begin()
        guard try await transaction.first(WebhookStatements.enableVerified(row.id, row.version)) != nil else {
            transaction.rollback()
            return (row, "it was changed meanwhile")
        }
        let enabled = try await stored(row.id, transaction)
        try await transaction.commit([audit(.enable, enabled, call)])
        return (enabled, nil)
    }

    /// Removes it with its secrets: it is sent nothing more.
    func remove(_ call: Call) async throws -> Answer {
        try await credentials.check(call)
        return try await answer(call) { row, transaction in
            try await self.secrets.hold(transaction)
            _ = try await transaction.execute(WebhookStatements.remove(row.id))
            return (.remove, row)
        }
    }

    /// Makes another secret, which is in the answer, and in no other; those before it go on being good for a while.
    func rotateSecret(_ call: Call) async throws -> Answer {
        let rotation = try SecretRotation(json: call.content)
        try await credentials.check(call)
        let secret = rotation.secret ?? WebhookSecret()
        let master = try await secrets.readMasterKey()
        let (key, client) = (try call.idempotencyKey(), call.identity.clientKey)
        let transaction = try await database.begin()
        try await TokenService.check(key, client, transaction)
        let old = try await lock(call, transaction)
        try await secrets.hold(transaction)
        // First what ends: it may make room.
        try await secrets.shorten(of: old.id, hours: rotation.overlapInHours, transaction)
        do {
            try await secrets.store(
                secret, keyPair: old.subscription.isAsymmetric, of: old.id, under: master, transaction)
        } catch let error as PostgresError where error.isBound("webhook_secrets_bound") {
            throw BridgeError.tooManySecrets
        }
        _ = try await transaction.execute(WebhookStatements.touch(old.id))
        let row = try await stored(old.id, transaction)
        try await transaction.commit(
            [audit(.rotateSecret, row, call)] + TokenService.record(key, client, made: .endpoint(row.id)))
        return Self.answer(row, secret: secret)
    }

    /// The answer to a request whose answer may be kept for its `Idempotency-Key`.
    ///
    /// - Parameters:
    ///   - decide: what is done to an endpoint that nobody else changes meanwhile; nil where nothing is to be.
    ///   - then: what comes after that; gives the endpoint as it is answered.
    private func answer(
        _ call: Call,
        _ decide: @OnLoop (EndpointRecord, borrowing Transaction) async throws -> (Action, EndpointRecord)?,
        then: @OnLoop (EndpointRecord) async throws -> EndpointRecord = { $0 }
    ) async throws -> Answer {
        var answer = try await answers.answer(call) {
            let transaction = try await database.begin()
            let row = try await lock(call, transaction)
            guard let (action, changed) = try await decide(row, transaction) else {
                transaction.rollback()
                return try await then(row).json
            }
            try await transaction.commit([audit(action, changed, call)])
            return try await then(changed).json
        }
        // What was kept has the version that it had then.
        let content = try? JSONValue(parsing: answer.content)
        if let version = content?["version"]?.integer { answer.fields.append(.etag, "\"\(version)\"") }
        if case .array(let hotels)? = content?["hotel_ids"], hotels.count == 1, let hotel = hotels[0].integer {
            answer.concerns(hotel: Int32(hotel))
        }
        return answer
    }

    // MARK: Parts

    /// What a request asks for: where it names no hotels, those of whoever asks.
    private func subscription(
        of request: SubscriptionRequest, for identity: Identity
    ) throws -> Subscription {
        var subscription = request.subscription(orHotels: identity.hotelIDs.ids)
        subscription.verifiesOwnership = subscription.verifiesOwnership || ownership.isRequired
        try permit(subscription, to: identity)
        // Whoever has none has nothing to be told of.
        guard let hotels = subscription.hotels, !Subscription.Limit.hotels.contains(hotels.count) else {
            return subscription
        }
        guard !hotels.isEmpty else { throw BridgeError.foreignHotel }
        throw BridgeError.invalid([
            (
                "/hotel_ids",
                "The credentials are for more than \(Subscription.Limit.hotels.upperBound) hotels; name some"
            )
        ])
    }

    /// Nobody is told what he may not read.
    private func permit(_ subscription: Subscription, to identity: Identity) throws {
        guard identity.hotelIDs.covers(subscription.access) else { throw BridgeError.foreignHotel }
        let missing = Scopes(subscription.events.map(\.scope)).subtracting(identity.scopes)
        guard missing.isEmpty else { throw BridgeError.unreadableEvents(missing.members) }
    }

    private func requireHotels(_ hotels: [Int32]?, _ transaction: borrowing Transaction) async throws {
        guard let hotels else { return }
        let unknown: [Int32] = try await transaction.query(WebhookStatements.unknownHotels(hotels))
        guard unknown.isEmpty else {
            let some = unknown.prefix(Self.namedHotels).map { String($0) }.joined(separator: ", ")
            throw BridgeError.invalid([("/hotel_ids", "There is no hotel \(some)")])
        }
    }

    /// The endpoint of a request, which stays as it is until the transaction ends.
    ///
    /// - Throws: `BridgeError` where it is not there for whoever asks, or not the version that `If-Match` names.
    private func lock(_ call: Call, _ transaction: borrowing Transaction) async throws -> EndpointRecord {
        let found = WebhookStatements.lock(try call.endpoint, call.owner, call.identity.hotelIDs.ids)
        guard let row = try await transaction.first(found) else { throw BridgeError.unknownWebhook }
        if let condition = call.entityCondition {
            guard condition.admits(version: row.version) else { throw BridgeError.preconditionFailed }
        }
        // Anew: where it was waited for, its secrets were read before it was.
        return try await stored(row.id, transaction)
    }

    private func stored(_ id: EndpointID, _ transaction: borrowing Transaction) async throws -> EndpointRecord {
        guard let row = try await transaction.first(WebhookStatements.find(id, nil, nil)) else {
            throw PostgresError(.decoding, "an endpoint of webhooks was not stored")
        }
        return row
    }

    private func audit(_ action: Action, _ row: EndpointRecord, _ call: Call) -> Query<Void> {
        call.audit(action.rawValue, row.id, hotel: row.subscription.onlyHotel, row.summary)
    }

    // MARK: Answers

    private static func answer(_ content: [UInt8]) -> Answer {
        var answer = Answer.json(content)
        answer.fields.append(.cacheControl, "private, no-cache")
        return answer
    }

    private static func answer(_ row: EndpointRecord) -> Answer {
        var answer = answer(row.json)
        answer.fields.append(.etag, "\"\(row.version)\"")
        if let hotel = row.subscription.onlyHotel { answer.concerns(hotel: hotel) }
        return answer
    }

    private static func answer(_ row: EndpointRecord, secret: WebhookSecret) -> Answer {
        var json = JSONWriter(capacity: 1024)
        json.object { json in
            json.member("secret", secret.text)
            row.write(to: &json)
        }
        var answer = Answer.json(json.bytes, status: .created)
        answer.fields.append(.cacheControl, "no-store")
        answer.fields.append(.etag, "\"\(row.version)\"")
        if let hotel = row.subscription.onlyHotel { answer.concerns(hotel: hotel) }
        return answer
    }
}

extension Call {
    /// Whose endpoints are there for whoever asks; nil for everybody's.
    var owner: String? { identity.scopes.contains(.admin) ? nil : identity.clientKey }

    /// The endpoint that the path names.
    var endpoint: EndpointID {
        get throws {
            guard let id = parameter("webhook_id").flatMap({ EndpointID($0) }) else { throw BridgeError.unknownWebhook }
            return id
        }
    }

    /// An endpoint, if it is there for whoever asks.
    func endpoint(_ id: EndpointID, in database: Database) async throws -> EndpointRecord {
        let found = WebhookStatements.find(id, owner, identity.hotelIDs.ids)
        guard let row = try await database.first(found) else { throw BridgeError.unknownWebhook }
        return row
    }

    /// A line of the audit log: what was done to an endpoint, or with its deliveries.
    ///
    /// - Parameter summary: what it is then, as JSON.
    func audit(_ action: String, _ endpoint: EndpointID, hotel: Int32?, _ summary: [UInt8]) -> Query<Void> {
        WebhookStatements.insertAudit(
            hotel, action, endpoint.description, JSON(summary), request.id.description, identity.clientKey)
    }
}

extension Subscription {
    fileprivate var access: HotelAccess { hotels.map { .of($0) } ?? .all }

    /// The hotel it is for, where it is one.
    var onlyHotel: Int32? { hotels?.count == 1 ? hotels?.first : nil }
}

extension EndpointRecord {
    /// Why an endpoint is disabled that has a challenge to meet.
    fileprivate static let unverified = "unverified"

    /// Why it is disabled once it was asked to be enabled or disabled, or is to be another one; nil where it is enabled.
    fileprivate func disabledReason(enabling isEnabled: Bool?, as next: Subscription) -> String? {
        // Whatever else has disabled it has done so before.
        if isEnabled == false { return disabledReason ?? "requested" }
        if isEnabled == nil, let disabledReason { return disabledReason }
        // What is enabled and goes on to be sent to where it was has met it, if it had to.
        let isKnown = disabledReason == nil && next.url == subscription.url
        let hasToShow = next.verifiesOwnership && !(isKnown && subscription.verifiesOwnership)
        return hasToShow ? Self.unverified : nil
    }

    fileprivate var json: [UInt8] {
        var json = JSONWriter(capacity: 1024)
        json.object { write(to: &$0) }
        return json.bytes
    }

    /// For the audit log: what it is now.
    fileprivate var summary: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("client", client)
            json.member("url", subscription.maskedURL)
            writeSettings(to: &json)
        }
        return json.bytes
    }

    fileprivate func write(to json: inout JSONWriter) {
        json.member("id", id.description)
        json.member("client", client)
        json.member("url", subscription.url)
        writeSettings(to: &json)
        json.array("public_keys", publicKeys) { $0.element($1) }
        json.member("earlier_secret_expires_at", earlierSecretExpiresAt?.description)
        json.member("created_at", createdAt.description)
        json.member("updated_at", updatedAt.description)
    }

    private func writeSettings(to json: inout JSONWriter) {
        json.array("events", subscription.events) { $0.element($1.rawValue) }
        if let hotels = subscription.hotels {
            json.array("hotel_ids", hotels) { $0.element(Int($1)) }
        } else {
            json.member("hotel_ids", raw: "null")
        }
        json.member("description", subscription.description)
        json.member("payload", subscription.payload.rawValue)
        json.member("in_order", subscription.isOrdered)
        json.member("asymmetric", subscription.isAsymmetric)
        json.member("verify_ownership", subscription.verifiesOwnership)
        json.object("retryPolicy") { json in
            json.member("maxRetries", subscription.retryPolicy.maximumRetries)
            json.member("backoff", subscription.retryPolicy.backoff.rawValue)
        }
        json.member("max_in_flight", subscription.maximumInFlight)
        json.member("max_per_second", subscription.maximumRate)
        json.member("enabled", disabledAt == nil)
        json.member("disabled_at", disabledAt?.description)
        json.member("disabled_reason", disabledReason)
        json.member("version", Int(version))
    }
}

extension PostgresError {
    /// Whether a bound of the schema's was reached.
    fileprivate func isBound(_ name: String) -> Bool { code == .checkViolation(constraint: name) }
}
