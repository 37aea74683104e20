public import HTTP
public import Loop

/// One connection to an upstream, and on it one request and its answer at a time.
///
/// Whoever is given one reads the answer's content with `next` and `fill`, and must call `end` at last.
@OnLoop
public final class Exchange {
    /// A part of an answer's content.
    public enum Part: Sendable {
        /// Content was handed over.
        case content
        case trailers(Fields)
        /// The answer is complete.
        case end
        /// More bytes are needed: `fill`.
        case incomplete
    }

    /// The answer's status and fields.
    public private(set) var head = ResponseHead(status: .badGateway)

    private let stream: Stream
    /// Kept alive by its connections, the resting ones too, until they are closed; nil for one that is not pooled.
    private let pool: Upstream?
    private var parser: ResponseParser
    private var deadline: Deadline?
    private var state = State.idle
    private var isRequestSent = true
    /// What is left for the answer after the deadline that is set.
    private var timeLeft = Duration.zero
    /// Since when its reader has been busy elsewhere, which does not count; nil while it is not.
    private var pausedSince: UInt64?

    private enum State {
        /// In the pool.
        case idle
        /// A request was sent, its answer is not complete.
        case open
        /// The answer is complete.
        case complete
        /// A deadline passed; the stream is closed.
        case timedOut
        case closed
    }

    init(_ stream: Stream, limits: MessageLimits, pool: Upstream?) {
        self.stream = stream
        self.pool = pool
        parser = ResponseParser(limits: limits)
        deadline = Deadline { [unowned self] in deadlinePassed() }
        // Of an end in the middle of an exchange, reading and `end` will tell.
        stream.onHangUp = { [unowned self] in if state == .idle { pool?.discard(self) } }
    }

    /// Makes one exchange on a connection outside of any pool, and closes it afterwards.
    ///
    /// - Parameters:
    ///   - request: head and content, as they go out.
    ///   - timeout: for connecting, and again until the answer is complete.
    ///   - read: given the exchange when the answer's head is there.
    /// - Throws: `LoopError` when there is no connection, `UpstreamError`, and what `read` throws.
    public static func single<Output>(
        _ request: [UInt8], method: Method, to endpoint: Endpoint, limits: MessageLimits = MessageLimits(),
        timeout: Duration, _ read: @OnLoop (Exchange) async throws -> Output
    ) async throws -> Output {
        let stream = try await Stream.connect(to: endpoint, timeout: timeout)
        let exchange = Exchange(stream, limits: limits, pool: nil)
        defer { exchange.close() }
        return try await stream.closingOnCancellation {
            var hasBegun = false
            try await exchange.begin(request, method, timeout: timeout, hasBegun: &hasBegun)
            return try await read(exchange)
        }
    }

    // MARK: The answer's content

    /// Takes the next part of the answer from what has arrived, calling `take` with content.
    ///
    /// - Throws: `UpstreamError` `broken` when the upstream breaks HTTP, `timedOut` when its time is up.
    public func next(_ take: (Span<UInt8>) -> Void) throws(UpstreamError) -> Part {
        switch state {
        case .open: break
        case .complete: return .end
        // While the reader was busy elsewhere the answer was given up: what is here of it is not all of it.
        case .idle, .timedOut, .closed: throw failure(LoopError(.closed, "read"))
        }
        if parser.endsWithContent() {
            state = .complete
            return .end
        }
        do {
            while true {
                let step = try stream.withReadable { (input) throws(MessageError) in
                    let step = try parser.next(input)
                    if case .body(let range) = step.event { take(input.extracting(range)) }
                    return step
                }
                stream.consume(step.consumed)
                switch step.event {
                case .body: return .content
                case .trailers: return .trailers(parser.takeTrailers())
                case .end:
                    state = .complete
                    return .end
                case nil: return .incomplete
                case .head: head = parser.takeHead()
                case .interim: continue
                }
            }
        } catch {
            throw UpstreamError(.broken, error)
        }
    }

    /// Waits for more of the answer to arrive.
    ///
    /// - Throws: `UpstreamError` when the connection breaks or the answer takes too long.
    @inline(__always)
    public func fill() async throws(UpstreamError) {
        waiting: while true {
            do {
                if try await withUnsafeThrowingContinuation({ stream.fill(resuming: $0) }) { return }
                break waiting
            } catch is Glance {
                if Task.isCancelled { throw UpstreamError(.broken, CancellationError()) }
            } catch {
                throw failure(error)
            }
        }
        do {
            if case .end = try parser.endOfInput() { state = .complete }
        } catch {
            throw UpstreamError(.broken, error)
        }
        if state != .complete { throw UpstreamError(.broken, LoopError(.unreachable, "read")) }
    }

    /// Stops its clock while the reader is busy elsewhere, until `goOn`: whoever is slow to take the answer is not the upstream.
    public func pause() { pausedSince = Loop.monotonicNanoseconds }

    /// Lets its clock run again.
    public func goOn() {
        guard let since = pausedSince.take() else { return }
        timeLeft += .nanoseconds(Int64(clamping: Loop.monotonicNanoseconds - since))
    }

    /// Reads the rest of the answer's content.
    ///
    /// - Throws: as `fill` does; `broken` when it has more than `bound` bytes, which content that only the end of the
    ///   connection delimits may have whatever the limits are.
    public func content(upTo bound: Int) async throws(UpstreamError) -> [UInt8] {
        var content: [UInt8] = []
        while true {
            switch try next({ $0.withUnsafeBufferPointer { content.append(contentsOf: $0) } }) {
            case .content:
                guard content.count <= bound else { throw UpstreamError(.broken, LoopError(.tooLarge, "read")) }
            case .incomplete: try await fill()
            case .trailers: break
            case .end: return content
            }
        }
    }

    /// Gives the connection back: to be used again when the answer was complete, closed otherwise.
    public func end() {
        pausedSince = nil
        deadline?.clear()
        if let pool, state == .complete, isRequestSent, head.keepAlive, !stream.isEnded, stream.readableCount == 0 {
            state = .idle
            stream.startReading()
            pool.release(self)
        } else if state != .closed {
            close()
        }
    }

    // MARK: For the pool

    /// Whether a connection that waited in the pool can still take a request.
    var isUsable: Bool { state == .idle && !stream.isEnded && stream.readableCount == 0 }

    /// Sends a request and waits for the answer's head.
    ///
    /// - Parameter hasBegun: set once bytes may have reached the upstream.
    @inline(__always)
    func begin(
        _ request: [UInt8], _ method: Method, timeout: Duration, hasBegun: inout Bool
    ) async throws(UpstreamError) {
        // Between its leaving the pool and now it may have been closed, or got bytes that nobody asked for.
        guard isUsable else { throw UpstreamError(.broken, LoopError(.unreachable, "send")) }
        state = .open
        parser.expect(responseTo: method)
        timeLeft = timeout
        setDeadline()
        do {
            let rest = try stream.send(request)
            hasBegun = true
            if let rest { try await finishSending(rest) }
        } catch {
            throw failure(error)
        }
        while true {
            do {
                let step = try stream.withReadable { (input) throws(MessageError) in try parser.next(input) }
                stream.consume(step.consumed)
                switch step.event {
                case .head:
                    head = parser.takeHead()
                    return
                case nil: break
                default: continue
                }
            } catch {
                throw UpstreamError(.broken, error)
            }
            try await fill()
        }
    }

    private func finishSending(_ rest: Stream.Remainder) async throws {
        stream.startReading()
        isRequestSent = false
        do {
            try await stream.write(rest)
            isRequestSent = true
        } catch  where state == .open && stream.readableCount > 0 {
            // An upstream may refuse a request without reading all of it, and hang up (RFC 9112 §9.5): its answer is
            // here, and worth more than the error.
        }
    }

    /// Puts it to rest until it is used again, for at most the pool's idle time.
    func rest(for time: Duration) { deadline?.set(time) }

    /// Whether anything of an answer has arrived.
    var hasReceived: Bool { stream.readableCount > 0 }

    /// - Parameter keepsPlace: whether its place in the pool is the caller's now.
    func close(keepsPlace: Bool = false) {
        guard state != .closed else { return }
        state = .closed
        deadline?.cancel()
        deadline = nil
        stream.close()
        if !keepsPlace { pool?.giveUpPlace() }
    }

    /// Wakes the reader for it to see whether its task was cancelled. Watching for that costs a good part of what an
    /// exchange costs; a look now and then costs nothing, because most exchanges end before the first.
    private struct Glance: Error {}

    private static let glanceInterval: Duration = .seconds(1)

    /// Lets the next glance's time pass, or what is left until the answer must be complete.
    private func setDeadline() {
        let step = min(timeLeft, Self.glanceInterval)
        timeLeft -= step
        deadline?.set(step)
    }

    private func deadlinePassed() {
        if state == .idle {
            pool?.discard(self)
        } else if pausedSince != nil {
            // What passes now is given back when it goes on.
            timeLeft -= Self.glanceInterval
            deadline?.set(Self.glanceInterval)
        } else if timeLeft > .zero {
            setDeadline()
            stream.interruptRead(Glance())
        } else {
            state = .timedOut
            stream.close()
        }
    }

    private func failure(_ error: any Error) -> UpstreamError {
        UpstreamError(state == .timedOut ? .timedOut : .broken, error)
    }
}
