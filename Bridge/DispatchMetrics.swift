internal import Fetch
internal import Loop
internal import Telemetry
internal import Webhook

/// What dispatching shows of itself. Counters are kept as things happen; no table is ever counted for them.
@OnLoop
final class DispatchMetrics {
    /// Endpoints that have series of their own; the others share one, so that there are never more.
    private static let namedEndpoints = 100

    let events = Metrics.counter(
        "drawbridge_bridge_webhook_events_total", "Events taken from the outbox.")
    let deliveries = Metrics.counter(
        "drawbridge_bridge_webhook_deliveries_total", "Deliveries made of events.")
    let lostClaims = Metrics.counter(
        "drawbridge_bridge_webhook_lost_claims_total",
        "Deliveries that another dispatcher had taken over before it was said what became of them.")
    let sessions = Metrics.counter(
        "drawbridge_bridge_webhook_sessions_total", "Times that this dispatcher had to begin anew.")
    let statements = Metrics.counter(
        "drawbridge_bridge_webhook_statements_total",
        "Statements by which events are taken and deliveries claimed and settled.")
    private let latency = Metrics.histogram(
        "drawbridge_bridge_webhook_latency_seconds",
        "From an event to the answer that it was received, where the first attempt succeeded.")
    private let attempt = Metrics.histogram(
        "drawbridge_bridge_webhook_attempt_seconds", "How long attempts took.")
    private let fresh = Metrics.counter(
        "drawbridge_bridge_webhook_connections_total", "Attempts by whether their connection was new.",
        [("connection", "new")])
    private let reused = Metrics.counter(
        "drawbridge_bridge_webhook_connections_total", "Attempts by whether their connection was new.",
        [("connection", "reused")])
    private var attempts: [String: [String: Counter]] = [:]
    private var named: Set<String> = []

    /// What all dispatchers together have before them, as last read; nil before that.
    var figures: (depth: Int64, deadLetters: Int64, age: Double)?

    init() {
        Metrics.gauge("drawbridge_bridge_webhook_depth", "Deliveries that have not ended, of all processes.") {
            [weak self] in self?.figures.map { Double($0.depth) }
        }
        Metrics.gauge("drawbridge_bridge_webhook_dead_letters", "Deliveries that nobody makes until somebody decides.")
        {
            [weak self] in self?.figures.map { Double($0.deadLetters) }
        }
        Metrics.gauge(
            "drawbridge_bridge_webhook_oldest_due_seconds",
            "For how long the event or delivery has been due that has been longest."
        ) { [weak self] in self?.figures?.age }
    }

    /// Shows what others know.
    ///
    /// - Parameters:
    ///   - inHand: how many deliveries this process has claimed.
    ///   - conditions: how many of its endpoints are how.
    func watch(inHand: @escaping @OnLoop () -> Int, conditions: @escaping @OnLoop (EndpointGate.Condition) -> Int) {
        Metrics.gauge("drawbridge_bridge_webhook_claimed", "Deliveries that this process has in its hands.") {
            Double(inHand())
        }
        for condition in EndpointGate.Condition.allCases {
            Metrics.gauge(
                "drawbridge_bridge_webhook_endpoints",
                "Endpoints that this process sends to, by how their circuit stands.",
                [("circuit", condition.rawValue)]
            ) { Double(conditions(condition)) }
        }
    }

    /// Counts an attempt at an endpoint.
    ///
    /// - Parameters:
    ///   - result: what became of its delivery.
    ///   - nanoseconds: how long it took.
    func count(_ endpoint: EndpointID, _ result: Settlement.Result, nanoseconds: UInt64, isReused: Bool?) {
        let name = name(of: endpoint)
        let counter =
            attempts[name]?[result.rawValue]
            ?? Metrics.counter(
                "drawbridge_bridge_webhook_attempts_total", "Attempts, by endpoint and by what became of the delivery.",
                [("endpoint", name), ("result", result.rawValue)])
        attempts[name, default: [:]][result.rawValue] = counter
        counter.increment()
        attempt.record(nanoseconds: nanoseconds)
        if let isReused { (isReused ? reused : fresh).increment() }
    }

    /// Records that an event was received, so long after it had happened.
    func recordLatency(microseconds: Int64) { latency.record(nanoseconds: UInt64(max(0, microseconds)) * 1000) }

    private func name(of endpoint: EndpointID) -> String {
        let name = endpoint.description
        if named.contains(name) { return name }
        guard named.count < Self.namedEndpoints else { return "others" }
        named.insert(name)
        return name
    }
}
