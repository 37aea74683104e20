internal import HTTP
public import Loop
internal import Telemetry

/// Answers requests.
@OnLoop
public protocol Handler: AnyObject {
    /// Answers one request through `writer`.
    ///
    /// - Throws: a `Problem` to have that sent, if no answer has begun; any other error is answered 500 and logged.
    func respond(to request: Request, _ writer: consuming ResponseWriter) async throws

    /// Told of a request that could not be read, before it is answered.
    ///
    /// - Returns: the answer; `problem` where there is no reason for another.
    func refuse(_ problem: Problem, to request: UnreadRequest) async -> Problem
}

extension Handler {
    /// Answers with the problem.
    public func refuse(_ problem: Problem, to request: UnreadRequest) async -> Problem { problem }
}

/// Serves HTTP/1.1 on one listening socket.
@OnLoop
public final class Server {
    let name: String
    let configuration: ServerConfiguration
    let handler: any Handler
    let metrics: ServerMetrics
    let addresses: (any AddressBounds)?
    private let makeSecurity: (@OnLoop () throws -> any StreamSecurity)?

    /// A connection has memory for output only while it has an answer to send.
    var spareOutputs = SpareArrays()

    private var listener: Listener?
    private var connections: [ObjectIdentifier: ServerConnection] = [:]
    private let placeFreed = Signal()
    private let allEnded = Signal()
    /// Fired when connections that are left are to be cut, or none is.
    private let drained = Signal()
    private var sequence: UInt64 = 0
    private var isDraining = false
    private var failures = LogThrottle()

    /// - Parameters:
    ///   - name: what the listener is called in metrics.
    ///   - addresses: asked about each client; nil for no bounds by address.
    ///   - makeSecurity: makes each connection's TLS session; nil for plain HTTP.
    public init(
        name: String, configuration: ServerConfiguration, handler: any Handler,
        addresses: (any AddressBounds)? = nil, makeSecurity: (@OnLoop () throws -> any StreamSecurity)? = nil
    ) {
        precondition(configuration.answerLines.count <= 128, "more than the room that each answer has for it")
        self.name = name
        self.configuration = configuration
        self.addresses = addresses
        self.makeSecurity = makeSecurity
        self.handler = handler
        metrics = ServerMetrics(listener: name)
    }

    /// Accepts and serves connections until `drain`, and returns when all have ended.
    public func run(_ listener: Listener) async {
        self.listener = listener
        defer { listener.close() }
        await withDiscardingTaskGroup { group in
            while let stream = await nextConnection(listener) {
                // Counted at once, not when the task gets its turn, so that neither the bound nor a drain misses it.
                guard let connection = admit(stream) else { continue }
                group.addTask { await self.serve(connection) }
            }
            // A handler that waits for somebody else does not see that its client was cut off; its task's end it does.
            try? await drained.wait()
            group.cancelAll()
        }
    }

    /// Stops accepting; ends idle connections when their grace is over, busy ones after their current answer, or after the next
    /// where that one has promised another, and what is left after `patience` without one. To be called once.
    public func drain(patience: Duration) async {
        isDraining = true
        listener?.close()
        for connection in connections.values { connection.drain() }
        let deadline = Deadline { self.drained.fire() }
        deadline.set(patience)
        defer { deadline.cancel() }
        while !connections.isEmpty {
            do { try await allEnded.wait() } catch { break }
        }
        drained.fire()
    }

    private func nextConnection(_ listener: Listener) async -> Stream? {
        while !isDraining {
            do {
                while connections.count >= configuration.maximumConnections { try await placeFreed.wait() }
                return try await listener.next()
            } catch let error as LoopError where error.code != .closed {
                Log.error("connection not accepted", ["error": .init(error: error)])
                try? await Loop.sleep(for: Self.restAfterFailure)
            } catch {
                break
            }
        }
        return nil
    }

    /// Says that a handler has failed.
    func log(_ error: any Error, of request: RequestID) {
        guard let omitted = failures.admit(at: Loop.monotonicNanoseconds) else { return }
        Log.error(
            "handler failed",
            [
                "request_id": .init(request.description), "error": .init(error: error), "lines_omitted": .init(omitted),
            ])
    }

    /// How long accepting rests after a failure, which may go on for a while.
    private static let restAfterFailure: Duration = .milliseconds(100)

    private func admit(_ stream: Stream) -> ServerConnection? {
        let address = addresses == nil ? nil : AddressBlock(stream.peerAddress)
        if let address, addresses?.holdConnection(address) == false {
            metrics.rejected.increment()
            stream.close()
            return nil
        }
        if let makeSecurity {
            do {
                stream.security = try makeSecurity()
            } catch {
                Log.error("no TLS session", ["error": .init(error: error)])
                if let address { addresses?.releaseConnection(address) }
                stream.close()
                return nil
            }
        }
        let connection = ServerConnection(stream, self, address: address)
        connections[ObjectIdentifier(connection)] = connection
        metrics.connections.value = Double(connections.count)
        if isDraining { connection.drain() }
        return connection
    }

    private func serve(_ connection: ServerConnection) async {
        await connection.run()
        connections[ObjectIdentifier(connection)] = nil
        if let address = connection.address { addresses?.releaseConnection(address) }
        metrics.connections.value = Double(connections.count)
        placeFreed.fire()
        if connections.isEmpty { allEnded.fire() }
    }

    /// The id of a request that has just begun.
    func nextRequestID(for head: borrowing RequestHead) -> RequestID {
        if configuration.trustsRequestID, let text = head.fields.bytes(of: .xRequestID), let id = RequestID(text.span) {
            return id
        }
        return nextRequestID()
    }

    /// A new id.
    func nextRequestID() -> RequestID {
        sequence &+= 1
        return RequestID(sequence: sequence)
    }

    /// Appends the field lines that every answer of ours has, `Date` only where it is not there already.
    func appendStandardLines(_ id: RequestID, withDate: Bool, to output: inout OutputSpan<UInt8>) {
        if withDate {
            let now = Loop.unixSeconds
            if now != dateSecond {
                dateSecond = now
                dateLine = Array("Date: ".utf8)
                HTTPDate.append(unixSeconds: now, to: &dateLine)
                dateLine += "\r\n".utf8
            }
            let line = dateLine
            output.append(line.span)
        }
        output.append("X-Request-Id: " as StaticString)
        id.append(to: &output)
        output.append("\r\n" as StaticString)
        let lines = configuration.answerLines
        output.append(lines.span)
    }

    /// The `Date` field's line, made anew each second.
    private var dateLine: [UInt8] = []
    private var dateSecond: Int64 = 0
}

/// What a server counts.
@OnLoop
final class ServerMetrics {
    let connections: Gauge
    let refused: Counter
    let rejected: Counter
    private let requests: Counter
    private let active: Gauge
    private let duration: Histogram

    init(listener: String) {
        let labels: Metrics.Labels = [("listener", listener)]
        connections = Metrics.gauge("drawbridge_server_connections", "Open client connections.", labels)
        refused = Metrics.counter(
            "drawbridge_server_refused_total", "Requests that broke HTTP or a bound.", labels)
        rejected = Metrics.counter(
            "drawbridge_server_rejected_connections_total", "Connections closed because their address had too many.",
            labels)
        requests = Metrics.counter("drawbridge_server_requests_total", "Requests read.", labels)
        active = Metrics.gauge("drawbridge_server_active_requests", "Requests being answered.", labels)
        duration = Metrics.histogram(
            "drawbridge_server_request_duration_seconds", "From a request's head to its answer's last byte.", labels)
    }

    func begin() {
        requests.increment()
        active.value += 1
    }

    func end(nanoseconds: UInt64) {
        active.value -= 1
        duration.record(nanoseconds: nanoseconds)
    }
}
