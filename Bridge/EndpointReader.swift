internal import Booking
internal import Loop
internal import Postgres
internal import Webhook

/// Reads what has to be known of endpoints to send to them.
@OnLoop
struct EndpointReader {
    let database: Database
    let secrets: WebhookSecrets
    let sender: DeliverySender

    /// An endpoint as it is now.
    struct State {
        let id: EndpointID
        let target: EndpointLane.Target
        let streak: FailureStreak
        /// Without them nothing can be sent.
        let hasKeys: Bool
    }

    /// Reads some endpoints; those that are not there any more are left out.
    func read(_ ids: [EndpointID]) async throws -> [State] {
        let uuids = ids.map(\.uuid)
        let records = try await database.query(WebhookStatements.several(uuids))
        let failures = Dictionary(
            uniqueKeysWithValues: try await database.query(DispatchStatements.failures(uuids)).map {
                ($0.0, FailureStreak(since: $0.since.microseconds / 1_000_000, reached: .init(rawValue: Int($0.told))))
            })
        let keys: [EndpointID: EndpointKeys]
        do { keys = try await secrets.keys(of: ids, database) } catch is BridgeError { keys = [:] }
        return records.map { record in
            let target = EndpointLane.Target(
                version: record.version, subscription: record.subscription,
                isBookingEngine: record.client.hasPrefix(DispatchStatements.bookingEngineOwner),
                isDisabled: record.disabledReason != nil,
                destination: sender.destination(of: record.id, at: record.subscription.url),
                keys: keys[record.id] ?? EndpointKeys())
            return State(
                id: record.id, target: target, streak: failures[record.id] ?? FailureStreak(),
                hasKeys: keys[record.id] != nil)
        }
    }
}
