internal import Booking
internal import Egress
internal import Loop
internal import Webhook

/// What one endpoint is sent by this process: its deliveries in hand, and when they may go.
@OnLoop
final class EndpointLane {
    /// How it is sent to; made anew when the endpoint changes.
    struct Target: Sendable {
        let version: Int32
        let subscription: Subscription
        /// Whether it is one of `booking_engine_config`.
        let isBookingEngine: Bool
        /// Whether it is sent nothing at all.
        let isDisabled: Bool
        /// Where to; or why nothing is sent there.
        let destination: Result<Destination, EgressRefusal>
        let keys: EndpointKeys
    }

    let id: EndpointID
    private(set) var target: Target?
    var gate: EndpointGate
    /// Claimed, and not begun; the longest claimed first.
    private(set) var queue: ArraySlice<ClaimedDelivery> = []
    /// Begun, and not ended.
    var underWay = 0
    /// Whether how it is sent to is to be read anew, although the endpoint is as it was.
    var isToBeLoaded = false
    /// How long it has done nothing but fail.
    var streak = FailureStreak()
    /// When something that waits in the database may be claimed, on the monotonic clock; nil where nothing is known of any.
    var nextDue: UInt64?
    /// Lets it be looked at again.
    let timer: Deadline

    init(_ id: EndpointID, _ limits: EndpointGate.Limits, onTimer: @escaping @OnLoop () -> Void) {
        self.id = id
        gate = EndpointGate(limits)
        timer = Deadline(onExpiry: onTimer)
    }

    /// How many more deliveries it can take in hand: as many as it may have under way, and as many again to follow them.
    func room(at now: UInt64) -> Int {
        guard let target else { return max(0, 1 - queue.count) }
        if target.isDisabled || gate.parked(at: now) != nil { return 0 }
        let most = gate.condition == .open || gate.condition == .halfOpen ? 1 : gate.limits.inFlight * 2
        return max(0, most - queue.count - underWay)
    }

    func append(_ delivery: ClaimedDelivery) { queue.append(delivery) }

    func next() -> ClaimedDelivery? { queue.popFirst() }

    /// Takes everything that has not begun.
    func takeAll() -> ArraySlice<ClaimedDelivery> {
        defer { queue = [] }
        return queue
    }

    /// Goes by the endpoint as it is now.
    func aim(_ target: Target) {
        self.target = target
        gate.limits.inFlight = target.subscription.maximumInFlight
        gate.limits.perSecond = target.subscription.maximumRate
    }

    /// Notes that something may be claimed from then on.
    func expect(at instant: UInt64) { nextDue = min(nextDue ?? .max, instant) }
}

/// What signs for an endpoint.
struct EndpointKeys: Sendable {
    /// The current one first; each until when it is good, in Unix seconds.
    var secrets: [(secret: WebhookSecret, until: Int64)] = []
    var keyPairs: [(key: WebhookSigningKey, until: Int64)] = []

    /// The header's three fields for an attempt.
    ///
    /// - Returns: nil where no secret is good any more.
    func signature(_ id: String, _ body: [UInt8], at now: Int64) -> WebhookSignature? {
        let good = secrets.filter { $0.until > now }.map(\.secret)
        guard !good.isEmpty else { return nil }
        return WebhookSignature(
            id: id, timestamp: now, body: body.span, secrets: good,
            keys: keyPairs.filter { $0.until > now }.map(\.key))
    }
}
