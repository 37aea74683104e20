internal import Booking
internal import Egress
internal import Loop
internal import PMS
internal import Policy
internal import Postgres
internal import Telemetry
internal import Webhook

/// Asks endpoints whether they take webhooks of ours.
@OnLoop
final class OwnershipCheck {
    /// Whoever has asked for it waits meanwhile.
    private static let deadline = Duration.seconds(4)

    private let database: Database
    private let secrets: WebhookSecrets
    private let sender: DeliverySender
    private var failures = LogThrottle()
    /// Whether every endpoint has to show it that clients make or change, and not only those that ask to.
    let isRequired: Bool

    init(_ database: Database, _ secrets: WebhookSecrets, _ egress: EgressPolicy, _ policy: DeliveryPolicy) {
        self.database = database
        self.secrets = secrets
        sender = DeliverySender(egress, longestRetryAfter: policy.longestRetryAfter)
        isRequired = policy.requiresOwnership
    }

    /// Goes by another policy from the next challenge on.
    func replace(_ egress: EgressPolicy) { _ = sender.replace(egress) }

    /// To be called for good.
    func close() { sender.close() }

    /// Sends a challenge to what is, or is to be, an endpoint's address.
    ///
    /// - Returns: nil where it has met it; otherwise what was wrong, for its owner.
    func fault(of endpoint: EndpointID, at url: String) async -> String? {
        do { return try await challenge(endpoint, at: url) } catch {
            if let omitted = failures.admit(at: Loop.monotonicNanoseconds) {
                Log.warning(
                    "a webhook's endpoint was sent no challenge",
                    ["error": .init(error: error), "lines_omitted": .init(omitted)])
            }
            return "it could not be sent one"
        }
    }

    private func challenge(_ endpoint: EndpointID, at url: String) async throws -> String? {
        guard let keys = try await secrets.keys(of: [endpoint], database)[endpoint] else {
            throw BridgeError.sealingUnavailable
        }
        let challenge = OwnershipChallenge()
        let attempt = try await sender.send(
            challenge.content(for: endpoint, timestamp: Instant.now.description), id: BookingID.random().description,
            to: sender.destination(of: endpoint, at: url), signedBy: keys, deadline: Self.deadline)
        guard attempt.outcome.isSuccess else {
            let record = attempt.record
            return record.status.map { "it has answered \($0)" } ?? record.message ?? "it has not answered"
        }
        return challenge.isMet(by: attempt.record.answer) ? nil : "its answer does not say the challenge back"
    }
}
