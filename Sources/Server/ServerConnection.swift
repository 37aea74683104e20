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
        /// The client, to hang up after the last answer.
        case closing
    }

    private enum ResponseState {
        case notBegun, begun, complete
    }

    /// What of a request's head is asked for while it is answered, also by those who no longer have the request.
    private struct CurrentRequest {
        var method = Method.get
        var version = Version.http11
        var framing = BodyFraming.none
        var expectsContinue = false

        /// Before the first request.
        init() {}

        /// For a request that could not be read but for its method, perhaps.
        init(refused method: Method?) { self.method = method ?? .get }

        init(_ head: borrowing RequestHead) {
            method = head.method
            version = head.version
            framing = head.framing
            expectsContinue = head.expectsContinue
        }
    }

    /// What stands in each answer already.
    private static let ownFields: FieldNameSet = [.xRequestID]

    /// A deadline passed while the client was to send something, or nothing more is wanted of it.
    private struct Interruption: Error {}

    private let server: Server
    private let stream: Stream
    private let info: ConnectionInfo
    private var parser: RequestParser
    private var deadline: Deadline?
    private var phase = Phase.idle
    /// Whether the phase's deadline has passed.
    private var isOverdue = false
    private var requests: UInt64 = 0
    /// Whether the answer that is being given is the last; its head says so if that is known by then.
    private var mustClose = false
    /// Whether the next answer is to be the last: one that was announced as another keeps that promise.
    private var isDraining = false

    /// Whether reading or writing has failed.
    private var isBroken = false

    // The current request and its answer.
    private var request = CurrentRequest()
    private var id = RequestID(sequence: 0)
    private(set) var isRequestComplete = true
    private var contentProgress = ContentProgress()
    private var response = ResponseState.notBegun
    /// How long the client may still take for what waits of the answer.
    private var writeTimeLeft = Duration.zero
    /// Field lines that the answer has besides, and which fields these are.
    var answerLines = AnswerLines()

    /// Bytes of the answer that are not sent yet.
    var output: [UInt8] = []

    /// As what its client is counted, where it is.
    let address: AddressBlock?

    init(_ stream: Stream, _ server: Server, address: AddressBlock? = nil) {
        self.address = address
        self.stream = stream
        self.server = server
        info = ConnectionInfo(
            peerAddress: stream.peerAddress, listener: server.name, scheme: stream.security == nil ? .http : .https)
        parser = RequestParser(limits: server.configuration.limits)
        deadline = nil
    }

    var protocolVersion: String? { stream.security?.protocolVersion }
    var framing: BodyFraming { request.framing }
    var isHeadRequest: Bool { request.method == .head }

    /// Serves the connection until one side has had enough.
    ///
    /// The usual request waits twice: for its bytes and for its handler. Everything else here runs without suspending,
    /// because each suspension costs as much as parsing a head.
    func run() async {
        await stream.closingOnCancellation(isCut: { self.isAnswerCut }, { await serveUntilClosed() })
    }

    private func serveUntilClosed() async {
        deadline = Deadline { [unowned self] in deadlinePassed() }
        defer {
            deadline?.cancel()
            deadline = nil
        }
        do {
            enter(.idle)
            serving: while true {
                switch nextRequest() {
                case .request(let request):
                    try await respond(to: request)
                case .refusal(let problem):
                    await refuse(problem)
                case .incomplete:
                    let isBetweenRequests = stream.readableCount == 0
                    if phase == .idle, !isBetweenRequests { enter(.head) }
                    do {
                        // The deadline found nobody to interrupt if bytes had just come; these were not enough.
                        if isOverdue { throw Interruption() }
                        let isOpen =
                            if isBetweenRequests {
                                try await withUnsafeThrowingContinuation { stream.fill(resuming: $0) }
                            } else {
                                try await fillHead()
                            }
                        guard isOpen else { break serving }
                        continue serving
                    } catch is Interruption {
                        if phase == .idle { break serving }
                        await refuse(Problem(.requestTimeout, "request-timeout", "The request did not arrive in time"))
                    } catch let problem as Problem {
                        await refuse(problem)
                    }
                }
                if let rest = try sendOutput() { try await finishSending(rest) }
                guard !mustClose else { break }
                enter(.idle)
            }
            enter(.closing)
            await stream.closeGracefully(patience: server.configuration.closeTimeout)
        } catch {
            // The client is gone, or too slow to be told so.
            if isAnswerCut { stream.abort() } else { stream.close() }
        }
    }

    /// Whether the client has a part of an answer, which it must not take for all.
    private var isAnswerCut: Bool { response == .begun || phase == .write }

    /// Ends the connection with the next answer that can say so, or if no request comes soon.
    func drain() {
        isDraining = true
        // A request may be on its way, and no other worker will see it.
        if phase == .idle { deadline?.set(idleTimeout) }
    }

    // MARK: Reading

    /// What the received bytes hold.
    private enum NextRequest {
        case request(Request)
        /// No acceptable request; nothing after it can be read.
        case refusal(Problem)
        case incomplete
    }

    /// Begins the next request, if it is here.
    private func nextRequest() -> NextRequest {
        do {
            let step = try stream.withReadable { (input) throws(MessageError) in try parser.next(input) }
            stream.consume(step.consumed)
            guard case .head = step.event else { return .incomplete }
            let request = Request(
                parser.takeHead(), connection: info, body: RequestBody(connection: self), on: server)
            begin(CurrentRequest(request.head), request.id, keepAlive: request.head.keepAlive)
            return .request(request)
        } catch {
            return .refusal(Problem(error))
        }
    }

    /// Waits for more of a head. What is here of it counts for its address meanwhile; a head that comes whole never
    /// does.
    private func fillHead() async throws -> Bool {
        let byteCount = stream.readableCount
        if let address, server.addresses?.holdHead(byteCount, address) == false {
            throw Problem(
                .requestHeaderFieldsTooLarge, "unfinished-headers",
                "Too much of headers that are not complete has come from this address")
        }
        defer { if let address { server.addresses?.releaseHead(byteCount, address) } }
        return try await withUnsafeThrowingContinuation { stream.fill(resuming: $0) }
    }

    /// Answers a request that could not be read; nothing else on the connection can be.
    private func refuse(_ problem: Problem) async {
        stream.consume(stream.readableCount)
        begin(CurrentRequest(refused: parser.openMethod), server.nextRequestID(), keepAlive: false)
        // The parser is not asked again: it does not know that its input is gone.
        isRequestComplete = true
        server.metrics.refused.increment()
        send(
            await server.handler.refuse(
                problem, to: UnreadRequest(id: id, connection: info, tlsVersion: protocolVersion)))
    }

    private func begin(_ request: CurrentRequest, _ id: RequestID, keepAlive: Bool) {
        requests += 1
        self.request = request
        self.id = id
        response = .notBegun
        answerLines = AnswerLines()
        writeTimeLeft = server.configuration.answerTimeout
        // Most requests have no content, and the handler need not wait for its end.
        isRequestComplete = parser.endsWithHead()
        contentProgress = ContentProgress()
        enter(.handler)
        if !keepAlive || requests >= server.configuration.maximumRequestsPerConnection { mustClose = true }
    }

    /// Gives the content less time than the configuration does.
    func limitContent(to duration: Duration) { contentProgress.limit = duration }

    /// Reads more of the current request's content.
    ///
    /// - Returns: false at its end.
    func readContent(into content: inout [UInt8]) async throws -> Bool {
        guard !isRequestComplete else { return false }
        if request.expectsContinue, response == .notBegun, !contentProgress.hasBegun {
            try await sendContinue()
        }
        contentProgress.begin(at: Loop.monotonicNanoseconds)
        while true {
            let before = content.count
            do {
                try readBufferedContent { piece in
                    piece.withUnsafeBufferPointer { content.append(contentsOf: $0) }
                }
            } catch {
                throw Problem(error)
            }
            if content.count > before {
                contentProgress.received += UInt64(content.count - before)
                return true
            }
            if isRequestComplete { return false }
            enter(.content)
            defer { enter(.handler) }
            do {
                guard try await withUnsafeThrowingContinuation({ stream.fill(resuming: $0) }) else {
                    mustClose = true
                    throw Problem(.badRequest, "incomplete-content", "The content ended before its announced end")
                }
            } catch is Interruption {
                mustClose = true
                throw Problem(.requestTimeout, "request-timeout", "The content did not arrive in time")
            } catch {
                isBroken = true
                throw error
            }
        }
    }

    /// Takes the content that has arrived.
    private func readBufferedContent(_ take: (Span<UInt8>) -> Void) throws(MessageError) {
        while !isRequestComplete {
            let step = try stream.withReadable { (input) throws(MessageError) in
                let step = try parser.next(input)
                if case .body(let range) = step.event { take(input.extracting(range)) }
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

    /// Passes over content that has arrived and that nobody will read.
    private func skipBufferedContent() {
        do { try readBufferedContent { contentProgress.received += UInt64($0.count) } } catch { mustClose = true }
    }

    private func sendContinue() async throws {
        takeOutput()
        ResponseHead(status: .continue, framing: .none).append(to: &output)
        try await flush()
    }

    // MARK: Answering

    @inline(__always)
    private func respond(to request: Request) async throws {
        let started = Loop.monotonicNanoseconds
        server.metrics.begin()
        defer { server.metrics.end(nanoseconds: Loop.monotonicNanoseconds &- started) }
        do {
            try await server.handler.respond(to: request, ResponseWriter(self))
        } catch let problem as Problem where response == .notBegun {
            send(problem)
        } catch {
            // The client is gone or the server is: nobody is to be told.
            if isBroken || Task.isCancelled { throw error }
            server.log(error, of: id)
            guard response == .notBegun else { throw error }
            sendInternalError()
        }
        if response == .notBegun {
            Log.error("handler gave no answer", ["request_id": .init(id.description)])
            // Whoever holds the writer still must not get to answer the next request.
            mustClose = true
            sendInternalError()
        }
        // An answer that was begun and not finished can only be cut short visibly.
        guard response == .complete else { throw LoopError(.closed, "respond") }
        if !isRequestComplete {
            // The client may be waiting for the answer before it sends the rest.
            try await flush()
            try await discardContent()
        }
    }

    private func sendInternalError() {
        send(Problem(.internalServerError, "internal-error", "Something went wrong on our side"))
    }

    /// Reads past content that the handler left, so that the next request can be found.
    private func discardContent() async throws {
        skipBufferedContent()
        if mustCloseAfterUnreadContent { mustClose = true }
        var discarded: [UInt8] = []
        do {
            while !mustClose, try await readContent(into: &discarded) { discarded.removeAll(keepingCapacity: true) }
        } catch is Problem {
            mustClose = true
        }
    }

    func send(_ problem: Problem) {
        if problem.closesConnection { mustClose = true }
        var fields = problem.fields
        fields.append(.contentType, "application/problem+json")
        fields.append(.cacheControl, "no-store")
        send(problem.status, fields, problem.json(instance: id))
    }

    func send(_ status: Status, _ fields: Fields, _ content: [UInt8]) {
        beginResponse()
        if !isRequestComplete {
            skipBufferedContent()
            if mustCloseAfterUnreadContent { mustClose = true }
        }
        takeOutput()
        let head = ResponseHead(
            status: status, fields: fields,
            framing: status.forbidsContent ? .none : .length(UInt64(content.count)), keepAlive: !mustClose)
        head.append(to: &output, answering: request.version, moreLines: answerLines.bytes.count) { output in
            appendLines(withDate: true, to: &output)
        }
        if !isHeadRequest, !status.forbidsContent { output += content }
        finishResponse(closes: false)
    }

    /// Puts an upstream's head into the output.
    ///
    /// - Returns: how the content has to be framed.
    func begin(forwarding upstream: ResponseHead) -> ResponseFraming {
        beginResponse()
        if mustCloseAfterUnreadContent { mustClose = true }
        takeOutput()
        // RFC 9110 §6.6.1: whoever forwards an answer without a date adds one.
        let hasDate = upstream.fields.contains(.date)
        return Forwarding.appendResponse(
            upstream, answering: request.version, keepAlive: !mustClose, context: info.forwarding,
            replacing: answerLines.names.union(Self.ownFields), to: &output,
            moreLines: answerLines.bytes.count
        ) { output in appendLines(withDate: !hasDate, to: &output) }
    }

    private func beginResponse() {
        precondition(response == .notBegun, "a request has one answer")
        response = .begun
        if isDraining { mustClose = true }
    }

    private func appendLines(withDate: Bool, to output: inout OutputSpan<UInt8>) {
        server.appendStandardLines(id, withDate: withDate, to: &output)
        let lines = answerLines.bytes
        output.append(lines.span)
    }

    func finishResponse(closes: Bool) {
        if closes { mustClose = true }
        response = .complete
    }

    private func takeOutput() {
        if output.isEmpty { output = server.spareOutputs.take() }
    }

    /// Sends what is in the output, as far as the kernel takes it at once.
    private func sendOutput() throws -> Stream.Remainder? {
        let rest = try stream.send(output)
        var sent: [UInt8] = []
        swap(&sent, &output)
        // What the kernel has not taken is still needed there.
        if rest == nil { server.spareOutputs.giveBack(sent) }
        return rest
    }

    private func finishSending(_ rest: Stream.Remainder) async throws {
        let (phase, began) = (phase, Loop.monotonicNanoseconds)
        enter(.write)
        try await stream.write(rest)
        writeTimeLeft -= .nanoseconds(Int64(clamping: Loop.monotonicNanoseconds - began))
        enter(phase)
    }

    /// Sends what is in the output.
    func flush() async throws {
        do {
            if let rest = try sendOutput() { try await finishSending(rest) }
            takeOutput()
        } catch {
            isBroken = true
            throw error
        }
    }

    /// Whether content that nobody will read is not worth waiting for.
    private var mustCloseAfterUnreadContent: Bool {
        guard !isRequestComplete else { return false }
        switch request.framing {
        // A client that waits for a 100 it did not get will not send the content (RFC 9110 §10.1.1).
        case _ where request.expectsContinue && !contentProgress.hasBegun: return true
        case .length(let length):
            return length - contentProgress.received > UInt64(server.configuration.drainedBodyBound)
        case .chunked: return true
        case .none: return false
        }
    }

    // MARK: Time

    private func enter(_ phase: Phase) {
        guard self.phase != phase || phase == .idle else { return }
        self.phase = phase
        isOverdue = false
        let configuration = server.configuration
        switch phase {
        case .idle: deadline?.set(idleTimeout)
        case .head: deadline?.set(configuration.headTimeout)
        case .content: deadline?.set(contentProgress.timeLeft(at: Loop.monotonicNanoseconds, configuration))
        case .write: deadline?.set(min(configuration.writeTimeout, writeTimeLeft))
        case .handler, .closing: deadline?.clear()
        }
    }

    /// How long the next request may take to begin.
    private var idleTimeout: Duration {
        let configuration = server.configuration
        // A connection that has not asked for anything yet gets no more time than a request's head.
        if requests == 0 { return isDraining ? configuration.firstRequestGrace : configuration.headTimeout }
        return isDraining ? configuration.idleGrace : configuration.idleTimeout
    }

    private func deadlinePassed() {
        isOverdue = true
        switch phase {
        case .idle, .head, .content: stream.interruptRead(Interruption())
        case .write: stream.abort()
        case .handler, .closing: break
        }
    }
}
