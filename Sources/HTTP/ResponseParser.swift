/// Reads the responses of one upstream connection (RFC 9112), as strictly as requests are read: what an upstream can
/// be made to send must not become a second response.
///
/// Say with `expect(responseTo:)` which request was sent, then use `next` as with `RequestParser`.
public struct ResponseParser: Sendable {
    /// The bounds it keeps.
    public let limits: MessageLimits

    private enum State {
        /// No request is open; the upstream has nothing to say.
        case idle
        /// A head is to come, in answer to this method.
        case head(Method)
        /// Content, trailers and the end are to come.
        case body
        /// The input was refused; nothing after it can be trusted.
        case failed(MessageError)
    }

    private var state = State.idle
    private var statusLine: StatusLine?
    private var section = FieldSection()
    private var body = BodyDecoder(.none)
    private var interimResponses = 0
    private var head: ResponseHead?
    private var trailers: Fields?

    /// A parser at the start of a connection.
    public init(limits: MessageLimits = MessageLimits()) {
        self.limits = limits
    }

    /// Whether the last response has ended, or none was expected.
    public var isBetweenResponses: Bool {
        if case .idle = state { true } else { false }
    }

    /// A request was sent, and its response is the next to come.
    /// - Precondition: `isBetweenResponses`.
    public mutating func expect(responseTo method: Method) {
        precondition(isBetweenResponses, "one request at a time")
        state = .head(method)
        interimResponses = 0
    }

    /// The next event in the input.
    /// - Parameter input: every byte received and not consumed.
    /// - Throws: why the response is refused, and again at every later call.
    public mutating func next(_ input: Span<UInt8>) throws(MessageError) -> Step<ResponseEvent> {
        do throws(MessageError) {
            switch state {
            case .idle:
                guard input.isEmpty else { throw MessageError(.unsolicitedResponse) }
                return Step(nil, consumed: 0)
            case .head(let method): return try readHead(input, method)
            case .body: return try readBody(input)
            case .failed(let error): throw error
            }
        } catch {
            state = .failed(error.inResponse)
            throw error.inResponse
        }
    }

    /// The upstream closed its side. Call it when every byte before has been given to `next`.
    /// - Returns: `end` where the end of the input is what ends the content; nil where no response was open.
    /// - Throws: that the response is cut short.
    public mutating func endOfInput() throws(MessageError) -> ResponseEvent? {
        switch state {
        case .idle: return nil
        case .body where body.endsAtClose:
            state = .idle
            return .end
        case .failed(let error): throw error
        default:
            let error = MessageError(.truncated).inResponse
            state = .failed(error)
            throw error
        }
    }

    /// The head that was just found; may be asked for once after each `head` and `interim`.
    public mutating func takeHead() -> ResponseHead {
        guard let head = head.take() else { preconditionFailure("no head was found") }
        return head
    }

    /// Whether the response's content, with which its end is known, is all taken. If so it has ended, and no `end` is
    /// told of.
    @inline(__always)
    public mutating func endsWithContent() -> Bool {
        guard case .body = state, body.isFinished else { return false }
        state = .idle
        return true
    }

    /// The trailers that were just found; may be asked for once after each `trailers`.
    public mutating func takeTrailers() -> Fields {
        guard let trailers = trailers.take() else { preconditionFailure("no trailers were found") }
        return trailers
    }

    private mutating func readBody(_ input: Span<UInt8>) throws(MessageError) -> Step<ResponseEvent> {
        var position = 0
        switch try body.next(input, at: &position, limits: limits) {
        case nil: return Step(nil, consumed: position)
        case .body(let range): return Step(.body(range), consumed: position)
        case .trailers(let fields):
            trailers = fields
            return Step(.trailers, consumed: position)
        case .end:
            state = .idle
            return Step(.end, consumed: position)
        }
    }

    private mutating func readHead(
        _ input: Span<UInt8>, _ method: Method
    ) throws(MessageError) -> Step<ResponseEvent> {
        if statusLine == nil {
            guard let line = try section.lines.next(in: input, endingBy: limits.startLine, or: .startLineTooLong)
            else { return Step(nil, consumed: 0) }
            statusLine = try StatusLine(input, line)
            section.begin()
        }
        guard let line = statusLine, try section.read(input, limits: limits) else { return Step(nil, consumed: 0) }
        statusLine = nil
        let fields = try FramingFields(input, section.entries, version: line.version, limits: limits)
        let framing = try framing(fields, line.status, method)
        let length = section.lines.lineStart
        head = ResponseHead(
            status: line.status, version: line.version, fields: section.take(arena: input.copy(0..<length)),
            framing: framing, keepAlive: fields.keepAlive(line.version) && framing != .untilClose)
        guard !line.status.isInterim else {
            interimResponses += 1
            guard interimResponses <= limits.interimResponses else { throw MessageError(.tooManyInterimResponses) }
            return Step(.interim, consumed: length)
        }
        body = BodyDecoder(framing)
        state = .body
        return Step(.head, consumed: length)
    }

    /// How long the content is (RFC 9112 §6.3).
    private func framing(
        _ fields: FramingFields, _ status: Status, _ method: Method
    ) throws(MessageError) -> ResponseFraming {
        if status.isInterim || status == .noContent {
            // RFC 9112 §6.1, RFC 9110 §8.6: neither field may be there. A harmless zero is common and let through.
            guard !fields.isChunked, fields.contentLength ?? 0 == 0 else { throw MessageError(.contentForbidden) }
            return .none
        }
        if method == .head || status.forbidsContent { return .none }
        if fields.isChunked { return .chunked }
        guard let length = fields.contentLength else { return .untilClose }
        guard length <= limits.body ?? .max else { throw MessageError(.bodyTooLarge) }
        return .length(length)
    }
}

/// `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 §4). The phrase is forgotten.
private struct StatusLine: Sendable {
    let version: Version
    let status: Status

    init(_ input: Span<UInt8>, _ line: Range<Int>) throws(MessageError) {
        let start = line.lowerBound
        // The space before an absent phrase is left out by so many senders that we do not insist on it.
        guard line.count >= 12, input[start + 8] == .space, line.count == 12 || input[start + 12] == .space,
            let code = input.decimal(start + 9..<start + 12), (100...599).contains(code)
        else { throw MessageError(.malformedStatusLine) }
        version = try Version(input, start..<start + 8)
        status = Status(rawValue: UInt16(code))
        guard status != .switchingProtocols else { throw MessageError(.switchingProtocols) }
    }
}
