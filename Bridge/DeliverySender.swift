internal import Booking
internal import Egress
internal import Fetch
internal import HTTP
internal import Loop
internal import PMS
internal import Policy
internal import Webhook

/// Makes attempts: signs what an endpoint is told, sends it there, and says how that went.
@OnLoop
final class DeliverySender {
    /// How an attempt went that counts.
    struct Attempt {
        let outcome: DeliveryOutcome
        let record: Settlement.Attempt
        /// Nil where no answer came.
        let isConnectionReused: Bool?
    }

    /// The endpoint's last secret has just expired.
    private struct NoSecret: Error, CustomStringConvertible {
        let description = "the endpoint has no secret that is good"
    }

    /// What is kept of what is said about a failure, in bytes of UTF-8.
    private static let longestMessage = 512
    /// What is kept of an answer's content, in bytes.
    private static let longestAnswer = 16_384

    private var egress: EgressPolicy
    private var courier: Courier
    /// Those of policies before, until what they have on its way has ended.
    private var formerCouriers: [Courier] = []
    private let longestRetryAfter: Duration

    init(_ egress: EgressPolicy, longestRetryAfter: Duration) {
        self.egress = egress
        self.longestRetryAfter = longestRetryAfter
        courier = Courier(egress.egressGuard, egress.terms)
    }

    /// Goes by another policy from the next attempt on.
    ///
    /// - Returns: whether it is another one.
    func replace(_ next: EgressPolicy) -> Bool {
        guard next != egress else { return false }
        egress = next
        formerCouriers.append(courier)
        courier = Courier(next.egressGuard, next.terms)
        return true
    }

    /// Where an endpoint with this address is sent to; or why nothing is sent there.
    func destination(of endpoint: EndpointID, at url: String) -> Result<Destination, EgressRefusal> {
        Result { () throws(EgressRefusal) in
            try egress.egressGuard.destination(url, allowing: egress.allowed(for: endpoint.description))
        }
    }

    /// Makes an attempt.
    ///
    /// - Throws: where it does not count: for a reason of our own, or because the task was cancelled.
    func send(_ delivery: ClaimedDelivery, to target: EndpointLane.Target) async throws -> Attempt {
        try await send(
            target.subscription.payload.content(of: delivery.payload), id: delivery.event.description,
            to: target.destination, signedBy: target.keys)
    }

    /// Makes an attempt.
    ///
    /// - Parameters:
    ///   - content: as it is sent.
    ///   - id: what the receiver tells repetitions by.
    ///   - deadline: for all of it, where it is to be sooner than the policy says.
    /// - Throws: where it does not count: for a reason of our own, or because the task was cancelled.
    func send(
        _ content: [UInt8], id: String, to destination: Result<Destination, EgressRefusal>, signedBy keys: EndpointKeys,
        deadline: Duration? = nil
    ) async throws -> Attempt {
        defer { closeFormerCouriers() }
        let startedAt = Instant.now
        var record = Settlement.Attempt()
        record.startedAt = startedAt.microseconds
        let outcome: DeliveryOutcome
        var isConnectionReused: Bool?
        do {
            guard let signature = keys.signature(id, content, at: startedAt.microseconds / 1_000_000) else {
                throw NoSecret()
            }
            let reply = try await courier.send(
                content, to: destination.get(), fields: signature.fields, deadline: deadline)
            let pause = reply.retryAfter.flatMap {
                RetryAfter.delay($0, now: Instant.now.microseconds / 1_000_000, longest: longestRetryAfter)
            }
            outcome = .answered(status: reply.status, retryAfter: pause)
            record.take(reply, longestAnswer: Self.longestAnswer)
            isConnectionReused = reply.isConnectionReused
        } catch let error as SendError {
            guard let failure = DeliveryOutcome.TransportFailure(error.code) else { throw error }
            outcome = .failed(failure)
            record.take(error.timings)
            record.message = error.message.storable(bytes: Self.longestMessage)
        } catch let error as EgressRefusal {
            outcome = .failed(.egressRefused)
            record.message = "\(error)".storable(bytes: Self.longestMessage)
        }
        record.error = outcome.reason
        return Attempt(outcome: outcome, record: record, isConnectionReused: isConnectionReused)
    }

    /// Closes its connections in order, as far as nothing is on its way over them; to be called for good.
    func close() {
        formerCouriers.append(courier)
        closeFormerCouriers()
    }

    private func closeFormerCouriers() {
        for courier in formerCouriers where courier.underWay == 0 { courier.close() }
        formerCouriers.removeAll { $0.underWay == 0 }
    }
}

// MARK: - From one vocabulary to another

extension WebhookSignature {
    /// The header of an attempt.
    fileprivate var fields: Fields {
        var fields = Fields()
        fields.append(.contentType, "application/json")
        fields.append("user-agent", "Drawbridge")
        fields.append(Self.idField, id)
        fields.append(Self.timestampField, timestamp)
        fields.append(Self.signatureField, signature)
        return fields
    }
}

extension DeliveryOutcome.TransportFailure {
    /// Nil for what is no fault of the receiver.
    fileprivate init?(_ code: SendError.Code) {
        switch code {
        case .notBegun, .ownFault: return nil
        case .refused: self = .egressRefused
        case .nameNotFound: self = .nameNotResolved
        case .notConnected: self = .connectFailed
        case .tls: self = .tlsFailed
        case .timedOut: self = .timedOut
        case .connectionLost: self = .connectionLost
        case .malformed: self = .malformedAnswer
        }
    }
}

extension Settlement.Attempt {
    fileprivate mutating func take(_ reply: Reply, longestAnswer: Int) {
        status = Int16(clamping: reply.status)
        answer = Array(reply.content.prefix(longestAnswer))
        ending = reply.ending.rawValue
        address = reply.address.description
        version = reply.version.rawValue
        isReused = reply.isConnectionReused
        take(reply.timings)
    }

    fileprivate mutating func take(_ timings: Timings) {
        name = timings.name.microseconds
        connect = timings.connect.microseconds
        tls = timings.tls.microseconds
        firstByte = timings.firstByte.microseconds
        total = timings.total.microseconds
    }
}

extension Duration {
    fileprivate var microseconds: Int32 {
        Int32(clamping: components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000)
    }
}

extension String {
    /// As much from the beginning as fits, in whole characters, without what PostgreSQL keeps in no text.
    fileprivate func storable(bytes count: Int) -> String {
        var text = self
        text.removeAll { $0 == "\0" }
        while text.utf8.count > count { text.removeLast() }
        return text
    }
}
