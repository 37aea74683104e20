public import HTTP
public import Loop
internal import Telemetry

/// The processes behind one address, reached over a bounded pool of kept-alive connections.
@OnLoop
public final class Upstream {
    /// Bounds and timeouts.
    public struct Configuration: Sendable {
        /// Connections open at once.
        public var maximumConnections = 64
        /// Requests that may wait for a connection; one more is refused.
        public var maximumWaiting = 1000
        /// How long connecting may take, and waiting for a free connection.
        public var connectTimeout: Duration = .seconds(1)
        /// From sending a request to the end of its answer, where the request does not say otherwise.
        public var responseTimeout: Duration = .seconds(10)
        /// How long an unused connection is kept.
        public var idleTimeout: Duration = .seconds(30)
        /// How often health is checked; one check may take as long as connecting may, and then as long again.
        public var healthCheckInterval: Duration = .seconds(1)
        /// Bounds on the answers.
        public var limits = MessageLimits()

        public init() {}
    }

    let configuration: Configuration
    private let endpoint: Endpoint
    private let metrics: UpstreamMetrics

    /// Connections that wait for a request; the one used last is used next, so that surplus ones go idle and away.
    private var idle: [Exchange] = []
    private var openConnections = 0
    private var waiting: [Waiting] = []
    private var failedChecks = 0
    private var breaker = CircuitBreaker()

    /// Checks in a row that have to fail before requests are refused without trying.
    private static let toleratedFailures = 2

    public init(name: String, endpoint: Endpoint, configuration: Configuration) {
        self.endpoint = endpoint
        self.configuration = configuration
        metrics = UpstreamMetrics(name)
        metrics.observe(self)
    }

    /// Whether the last checks went well; while not, requests are refused at once.
    public var isHealthy: Bool { failedChecks < Self.toleratedFailures }

    var connectionCounts: (open: Int, idle: Int, waiting: Int) { (openConnections, idle.count, waiting.count) }

    /// Sends a request and waits for the head of its answer.
    ///
    /// A request that may not have been processed is sent once more on a fresh connection: when nothing of it was sent,
    /// or when its method is idempotent and the connection, an old one, broke before any answer (RFC 9110 §9.2.2).
    ///
    /// - Parameters:
    ///   - request: head and content, as they go out.
    ///   - timeout: until the answer is complete; nil for the configured one.
    /// - Returns: the exchange, to be read to its end and then ended.
    public func send(
        _ request: [UInt8], method: Method, timeout: Duration? = nil
    ) async throws(UpstreamError) -> Exchange {
        guard isHealthy, !breaker.isOpen || breaker.admit(at: Loop.monotonicNanoseconds) == .probe else {
            metrics.failed(.unavailable)
            throw UpstreamError(.unavailable)
        }
        do {
            let exchange = try await attempt(request, method, timeout ?? configuration.responseTimeout)
            if !breaker.isSettled { breaker.succeeded(at: Loop.monotonicNanoseconds) }
            return exchange
        } catch {
            metrics.failed(error.code)
            judge(error)
            throw error
        }
    }

    /// Tells the circuit breaker of a failure that says something about the upstream.
    private func judge(_ error: UpstreamError) {
        let now = Loop.monotonicNanoseconds
        if Task.isCancelled || error.code == .overloaded {
            breaker.forgotten(at: now)
        } else {
            let wasOpen = breaker.isOpen
            breaker.failed(at: now)
            if !wasOpen, breaker.isOpen {
                Log.warning("upstream is left alone for a while", ["upstream": .init(endpoint.description)])
            }
        }
    }

    /// How many connections may be open now.
    private var connectionBound: Int {
        breaker.isSettled
            ? configuration.maximumConnections
            : breaker.share(of: configuration.maximumConnections, at: Loop.monotonicNanoseconds)
    }

    /// Whether the circuit breaker lets nothing but a probe pass.
    var isLeftAlone: Bool { breaker.isOpen }

    @inline(__always)
    private func attempt(
        _ request: [UInt8], _ method: Method, _ timeout: Duration
    ) async throws(UpstreamError) -> Exchange {
        var (exchange, isReused) = try await acquire()
        while true {
            var hasBegun = false
            do {
                try await exchange.begin(request, method, timeout: timeout, hasBegun: &hasBegun)
                return exchange
            } catch {
                let isSafe = !hasBegun || (method.isIdempotent && error.code == .broken && !exchange.hasReceived)
                guard isReused, isSafe else {
                    exchange.close()
                    throw error
                }
                exchange.close(keepsPlace: true)
                metrics.retries.increment()
                // What broke this connection broke the others that rested beside it.
                for other in idle { other.close() }
                idle = []
                exchange = try await connect()
                isReused = false
            }
        }
    }

    // MARK: The pool

    private func takeIdle() -> Exchange? {
        while let exchange = idle.popLast() {
            if exchange.isUsable { return exchange }
            exchange.close()
        }
        return nil
    }

    @inline(__always)
    private func acquire() async throws(UpstreamError) -> (Exchange, isReused: Bool) {
        if let exchange = takeIdle() { return (exchange, true) }
        if openConnections < connectionBound {
            openConnections += 1
        } else if let exchange = try await waitForConnection() {
            return (exchange, true)
        }
        return (try await connect(), false)
    }

    /// Makes a new connection in a place that the caller has.
    private func connect() async throws(UpstreamError) -> Exchange {
        do {
            let stream = try await Stream.connect(to: endpoint, timeout: configuration.connectTimeout)
            return Exchange(stream, limits: configuration.limits, pool: self)
        } catch {
            giveUpPlace()
            let isTimeout = (error as? LoopError)?.code == .timedOut
            throw UpstreamError(isTimeout ? .timedOut : .unavailable, error)
        }
    }

    /// Waits for another request to finish.
    ///
    /// - Returns: its connection, or nil where one was closed and its place is the caller's.
    private func waitForConnection() async throws(UpstreamError) -> Exchange? {
        guard waiting.count < configuration.maximumWaiting else { throw UpstreamError(.overloaded) }
        let place = Waiting()
        waiting.append(place)
        let deadline = Deadline { place.signal.fire() }
        deadline.set(configuration.connectTimeout)
        defer {
            deadline.cancel()
            waiting.removeAll { $0 === place }
        }
        // Cancelled or not: what was handed over meanwhile must not be lost.
        try? await place.signal.wait()
        guard place.isServed else { throw UpstreamError(.overloaded) }
        return place.exchange
    }

    @OnLoop
    private final class Waiting {
        let signal = Signal()
        var exchange: Exchange?
        var isServed = false
    }

    func release(_ exchange: Exchange) {
        if let next = nextWaiting() {
            next.exchange = exchange
            next.signal.fire()
        } else {
            idle.append(exchange)
            exchange.rest(for: configuration.idleTimeout)
        }
    }

    func discard(_ exchange: Exchange) {
        idle.removeAll { $0 === exchange }
        exchange.close()
    }

    /// A connection is gone; its place goes to whoever waits longest.
    func giveUpPlace() {
        if let next = nextWaiting() { next.signal.fire() } else { openConnections -= 1 }
    }

    private func nextWaiting() -> Waiting? {
        guard let next = waiting.first else { return nil }
        waiting.removeFirst()
        next.isServed = true
        return next
    }

    // MARK: Health

    /// Asks the upstream for `path` again and again, until the task is cancelled.
    public func checkHealth(path: String) async {
        guard let target = RequestTarget(path, authority: "upstream") else { return }
        var request: [UInt8] = []
        RequestHead(method: .get, target: target, keepAlive: false).append(to: &request)
        while !Task.isCancelled {
            let failure = await check(request)
            if Task.isCancelled { return }
            note(failure)
            do { try await Loop.sleep(for: configuration.healthCheckInterval) } catch { return }
        }
    }

    /// Makes one check, on a connection of its own: a pool that is busy says nothing about the upstream's health.
    ///
    /// - Returns: why the upstream is not well.
    private func check(_ request: [UInt8]) async -> (any Error)? {
        do {
            return try await Exchange.single(
                request, method: .get, to: endpoint, limits: configuration.limits,
                timeout: configuration.connectTimeout
            ) { exchange in exchange.head.status == .ok ? nil : UnhealthyStatus(status: exchange.head.status) }
        } catch {
            return error
        }
    }

    private func note(_ failure: (any Error)?) {
        let wasHealthy = isHealthy
        failedChecks = failure == nil ? 0 : failedChecks + 1
        if failure == nil, breaker.isOpen { breaker.succeeded(at: Loop.monotonicNanoseconds) }
        if wasHealthy, !isHealthy, let failure {
            Log.warning("upstream is ill", ["upstream": .init(endpoint.description), "error": .init(error: failure)])
        } else if !wasHealthy, isHealthy {
            Log.info("upstream is well again", ["upstream": .init(endpoint.description)])
        }
    }

    /// The upstream itself says that it is not well.
    private struct UnhealthyStatus: Error {
        let status: Status
    }
}

/// What an upstream's pool counts.
@OnLoop
private final class UpstreamMetrics {
    let retries: Counter
    private let labels: Metrics.Labels
    private let failures: [UpstreamError.Code: Counter]

    init(_ name: String) {
        let labels: Metrics.Labels = [("upstream", name)]
        self.labels = labels
        retries = Metrics.counter(
            "drawbridge_upstream_retries_total", "Requests sent again on a fresh connection.", labels)
        let codes: [UpstreamError.Code] = [.unavailable, .overloaded, .broken, .timedOut]
        failures = Dictionary(
            uniqueKeysWithValues: codes.map { code in
                let labels = labels + [(name: "cause" as StaticString, value: code.rawValue)]
                return (
                    code,
                    Metrics.counter(
                        "drawbridge_upstream_failures_total", "Requests the upstream did not answer.", labels)
                )
            })
    }

    func failed(_ code: UpstreamError.Code) { failures[code]?.increment() }

    func observe(_ upstream: Upstream) {
        Metrics.gauge("drawbridge_upstream_connections", "Open connections.", labels) { [weak upstream] in
            Double(upstream?.connectionCounts.open ?? 0)
        }
        Metrics.gauge("drawbridge_upstream_idle_connections", "Connections without a request.", labels) {
            [weak upstream] in Double(upstream?.connectionCounts.idle ?? 0)
        }
        Metrics.gauge("drawbridge_upstream_waiting_requests", "Requests waiting for a connection.", labels) {
            [weak upstream] in Double(upstream?.connectionCounts.waiting ?? 0)
        }
        Metrics.gauge(
            "drawbridge_upstream_circuit_open", "1 while requests are refused after failures in a row.", labels
        ) { [weak upstream] in upstream?.isLeftAlone == true ? 1 : 0 }
        Metrics.gauge("drawbridge_upstream_healthy", "1 while health checks succeed.", labels) { [weak upstream] in
            upstream?.isHealthy == true ? 1 : 0
        }
    }
}
