internal import HTTP
internal import Loop
internal import Telemetry

/// One client's connection: reads requests one after the other, has each answered, keeps the time.
///
/// It is driven by one task, in `run`.
@OnLoop
final class ServerConnection {
    /// What the connection waits for, and so which deadline holds.
    private enum Phase {
        /// The next request's first byte.
        case idle
        /// The rest of a header section.
        case head
        /// More of a request's content.
        case content
        /// The handler; it keeps its own time.
        case handler
        /// The kernel, to take our bytes.
        case write
    }

    private enum ResponseState {
        case notBegun, begun, complete
    }

    /// A deadline passed while the client was to send something.
    private struct TooSlow: Error {}

    private let server: Server
    private let stream: Stream
    private let info: ConnectionInfo
    private var parser: RequestParser
    private var deadline: Deadline?
    private var phase = Phase.idle
    private var requests: UInt64 = 0
    private var mustClose = false

    // The current request and its answer.
    private var head: RequestHead?
    private var id = RequestID(sequence: 0)
    private(set) var isRequestComplete = true
    private var contentProgress = ContentProgress()
    private var response = ResponseState.notBegun

    /// Bytes of the answer that are not sent yet.
    var output: [UInt8] = []

    init(_ stream: Stream, _ server: Server) {
        self.stream = stream
        self.server = server
        info = ConnectionInfo(peerAddress: stream.peerAddress, scheme: stream.security == nil ? .http : .https)
        parser = RequestParser(limits: server.configuration.limits)
        deadline = nil
    }

    var framing: BodyFraming { head?.framing ?? .none }
    var isHeadRequest: Bool { head?.method == .head }

    /// Serves the connection until one side has had enough.
    ///
    /// The usual request waits twice: for its bytes and for its handler. Everything else here runs without suspending,
    /// because each suspension costs as much as parsing a head.
    func run() async {
        deadline = Deadline { [unowned self] in deadlinePassed() }
        defer {
            deadline?.cancel()
            deadline = nil
        }
        do {
            enter(.idle)
            serving: while true {
                switch nextHead() {
                case .request(let head):
                    begin(head)
                    try await respond(to: head)
                case .refusal(let problem):
                    refuse(problem)
                case .incomplete:
                    if mustClose, parser.isBetweenRequests { break serving }
                    do {
                        guard try await stream.fillUntilInterrupted() else { break serving }
                    } catch is TooSlow where phase == .head {
                        refuse(Problem(.requestTimeout, "request-timeout", "The request did not arrive in time"))
                    }
                    if phase == .idle { enter(.head) }
                    continue
                }
                if let rest = try sendOutput() { try await finishSending(rest) }
                guard !mustClose else { break }
                enter(.idle)
            }
            deadline?.clear()
            await stream.closeGracefully()
        } catch {
            // The client is gone, or too slow to be told so.
            stream.close()
        }
    }

    /// Ends the connection as soon as no request is open.
    func drain() {
        mustClose = true
        if phase == .idle { stream.interruptRead(CancellationError()) }
    }

    /// Ends the connection now.
    func abort() { stream.close() }

    // MARK: Reading

    /// What the received bytes hold.
    private enum NextHead {
        case request(RequestHead)
        /// No acceptable request; nothing after it can be read.
        case refusal(Problem)
        case incomplete
    }

    private func nextHead() -> NextHead {
        do {
            let step = try stream.withReadable { (input) throws(MessageError) in try parser.next(input) }
            stream.consume(step.consumed)
            if case .head(let head) = step.event { return .request(head) }
            return .incomplete
        } catch {
            return .refusal(Problem(error))
        }
    }

    /// Answers a request that could not be read; nothing else on the connection can be.
    private func refuse(_ problem: Problem) {
        begin(nil)
        server.metrics.refused.increment()
        mustClose = true
        send(problem)
    }

    private func begin(_ head: RequestHead?) {
        self.head = head
        requests += 1
        response = .notBegun
        isRequestComplete = false
        contentProgress = ContentProgress()
        id = server.nextRequestID(head)
        enter(.handler)
        if let head {
            if !head.keepAlive || requests >= server.configuration.maximumRequestsPerConnection { mustClose = true }
            // Most requests have no content: their end is seen here, so that the handler need not wait for it.
            if head.framing == .none || head.framing == .length(0) {
                var none: [UInt8] = []
                _ = try? readBufferedContent(into: &none)
            }
        }
    }

    /// Reads more of the current request's content.
    ///
    /// - Returns: false at its end.
    func readContent(into content: inout [UInt8]) async throws -> Bool {
        guard !isRequestComplete else { return false }
        if head?.expectsContinue == true, response == .notBegun, !contentProgress.hasBegun {
            try await sendContinue()
        }
        contentProgress.begin(at: Loop.monotonicNanoseconds)
        while true {
            var piece: [UInt8] = []
            do { try readBufferedContent(into: &piece) } catch { throw Problem(error) }
            if !piece.isEmpty {
                contentProgress.received += UInt64(piece.count)
                if content.isEmpty { content = piece } else { content += piece }
                return true
            }
            if isRequestComplete { return false }
            enter(.content)
            defer { enter(.handler) }
            do {
                guard try await stream.fillUntilInterrupted() else {
                    mustClose = true
                    throw Problem(.badRequest, "incomplete-content", "The content ended before its announced end")
                }
            } catch is TooSlow {
                mustClose = true
                throw Problem(.requestTimeout, "request-timeout", "The content did not arrive in time")
            }
        }
    }

    /// Takes the content that has arrived.
    private func readBufferedContent(into content: inout [UInt8]) throws(MessageError) {
        while !isRequestComplete {
            let step = try stream.withReadable { (input) throws(MessageError) in
                let step = try parser.next(input)
                if case .body(let range) = step.event {
                    input.extracting(range).withUnsafeBufferPointer { content.append(contentsOf: $0) }
                }
                return step
            }
            stream.consume(step.consumed)
            switch step.event {
            case .end: isRequestComplete = true
            case nil: return
            default: break
            }
        }
    }

    private func sendContinue() async throws {
        ResponseHead(status: .continue, framing: .none).append(to: &output)
        try await flush()
    }

    // MARK: Answering

    @inline(__always)
    private func respond(to head: RequestHead) async throws {
        let started = Loop.monotonicNanoseconds
        server.metrics.begin()
        defer { server.metrics.end(nanoseconds: Loop.monotonicNanoseconds &- started) }
        do {
            try await server.handler.respond(
                to: Request(id: id, head: head, connection: info, body: RequestBody(connection: self)),
                ResponseWriter(self))
        } catch let problem as Problem where response == .notBegun {
            send(problem)
        } catch  where response == .notBegun && !isGone {
            Log.error("handler failed", ["request_id": .init(id.description), "error": .init(error: error)])
            send(Problem(.internalServerError, "internal-error", "Something went wrong on our side"))
        }
        // An answer that was begun and not finished can only be cut short visibly.
        guard response == .complete else { throw LoopError(.closed, "respond") }
        if !isRequestComplete { try await discardContent() }
    }

    private var isGone: Bool { stream.isEnded }

    /// Reads past content that the handler left, within bounds, so that the next request can be found.
    private func discardContent() async throws {
        // A client that waits for a 100 it did not get will not send the content (RFC 9110 §10.1.1).
        if mustClose || (head?.expectsContinue == true && !contentProgress.hasBegun) {
            mustClose = true
            return
        }
        var discarded: [UInt8] = []
        var total = 0
        do {
            while try await readContent(into: &discarded) {
                total += discarded.count
                discarded.removeAll(keepingCapacity: true)
                if total > server.configuration.drainedBodyBound { break }
            }
        } catch is Problem {}
        if !isRequestComplete { mustClose = true }
    }

    func send(_ problem: Problem) {
        if problem.closesConnection { mustClose = true }
        var fields = problem.fields
        fields.append(.contentType, "application/problem+json")
        fields.append(.cacheControl, "no-store")
        send(problem.status, fields, problem.json(instance: id))
    }

    func send(_ status: Status, _ fields: Fields, _ content: [UInt8]) {
        precondition(response == .notBegun, "a request has one answer")
        response = .begun
        if mustCloseAfterUnreadContent { mustClose = true }
        let head = ResponseHead(
            status: status, fields: fields,
            framing: status.forbidsContent ? .none : .length(UInt64(content.count)), keepAlive: !mustClose)
        head.append(to: &output, answering: self.head?.version ?? .http11) { output in
            server.appendStandardLines(id, to: &output)
        }
        if !isHeadRequest, !status.forbidsContent { output += content }
        finishResponse(closes: false)
    }

    /// Puts an upstream's head into the output.
    ///
    /// - Returns: how the content has to be framed.
    func begin(forwarding upstream: ResponseHead, extra: Fields) -> ResponseFraming {
        precondition(response == .notBegun, "a request has one answer")
        response = .begun
        if mustCloseAfterUnreadContent { mustClose = true }
        guard let head else { return .none }
        var extra = extra
        var id: [UInt8] = []
        self.id.append(to: &id)
        extra.append(.xRequestID, bytes: id[...])
        return Forwarding.appendResponse(
            upstream, answering: head, keepAlive: !mustClose, context: info.forwarding, extra: extra, to: &output)
    }

    func finishResponse(closes: Bool) {
        if closes { mustClose = true }
        response = .complete
    }

    /// Sends what is in the output, as far as the kernel takes it at once.
    private func sendOutput() throws -> Stream.Remainder? {
        let rest = try stream.send(output)
        output.removeAll(keepingCapacity: output.capacity <= 16 << 10)
        return rest
    }

    private func finishSending(_ rest: Stream.Remainder) async throws {
        let phase = phase
        enter(.write)
        try await stream.write(rest)
        enter(phase)
    }

    /// Sends what is in the output.
    func flush() async throws {
        if let rest = try sendOutput() { try await finishSending(rest) }
    }

    private var mustCloseAfterUnreadContent: Bool {
        guard !isRequestComplete, let head else { return false }
        if head.expectsContinue, !contentProgress.hasBegun { return true }
        if case .length(let length) = head.framing {
            return length &- contentProgress.received > UInt64(server.configuration.drainedBodyBound)
        }
        return false
    }

    // MARK: Time

    private func enter(_ phase: Phase) {
        guard self.phase != phase || phase == .idle else { return }
        self.phase = phase
        let configuration = server.configuration
        switch phase {
        // A connection that has not asked for anything yet gets no more time than a request's head.
        case .idle: deadline?.set(requests == 0 ? configuration.headTimeout : configuration.idleTimeout)
        case .head: deadline?.set(configuration.headTimeout)
        case .content: deadline?.set(configuration.bodyRateGrace)
        case .write: deadline?.set(configuration.writeTimeout)
        case .handler: deadline?.clear()
        }
    }

    private func deadlinePassed() {
        switch phase {
        case .idle, .head: stream.interruptRead(TooSlow())
        case .content:
            let elapsed = contentProgress.elapsed(at: Loop.monotonicNanoseconds)
            if elapsed < server.configuration.bodyTimeout,
                contentProgress.received >= server.configuration.minimumBodyRate * UInt64(elapsed.components.seconds)
            {
                deadline?.set(.seconds(1))
            } else {
                stream.interruptRead(TooSlow())
            }
        case .write: stream.close()
        case .handler: break
        }
    }
}

/// How the content of one request is coming along.
private struct ContentProgress {
    var received: UInt64 = 0
    private var start: UInt64?

    var hasBegun: Bool { start != nil }

    mutating func begin(at nanoseconds: UInt64) { if start == nil { start = nanoseconds } }

    func elapsed(at nanoseconds: UInt64) -> Duration { .nanoseconds(Int64(nanoseconds &- (start ?? nanoseconds))) }
}
