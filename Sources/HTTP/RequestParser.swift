/// Reads HTTP/1.1 requests from one connection, one after the other (RFC 9112).
///
/// Give `next` all bytes that are not consumed yet, drop what it says is consumed, and go on until it has no event;
/// then add bytes and ask again. How the bytes were cut makes no difference to what comes out. A head stays in the
/// input until it is complete, so the caller's buffer must hold `limits.startLine` and `limits.fieldSection` bytes.
public struct RequestParser: Sendable {
    /// The bounds it keeps.
    public let limits: MessageLimits

    private enum State {
        /// A head is to come, perhaps after one empty line.
        case head
        /// Content, trailers and the end are to come.
        case body
        /// The input was refused; nothing after it can be trusted.
        case failed(MessageError)
    }

    private var state = State.head
    private var skippedEmptyLine = false
    private var requestLine: RequestLine?
    private var section = FieldSection()
    private var body = BodyDecoder(.none)
    private var head: RequestHead?
    private var trailers: Fields?

    /// A parser at the start of a connection.
    public init(limits: MessageLimits = MessageLimits()) {
        self.limits = limits
    }

    /// Whether no request is open: none has begun, or the last one has ended.
    public var isBetweenRequests: Bool {
        if case .head = state { section.lines.isAtStart } else { false }
    }

    /// The method of a request whose head is not complete, or was refused, as far as its first line could be read.
    public var openMethod: Method? { requestLine?.method }

    /// The next event in the input.
    /// - Parameter input: every byte received and not consumed.
    /// - Throws: why the request is refused, and again at every later call.
    public mutating func next(_ input: Span<UInt8>) throws(MessageError) -> Step<RequestEvent> {
        do throws(MessageError) {
            switch state {
            case .head: return try readHead(input)
            case .body: return try readBody(input)
            case .failed(let error): throw error
            }
        } catch {
            state = .failed(error)
            throw error
        }
    }

    /// The head that was just found; may be asked for once after each `head`.
    public mutating func takeHead() -> RequestHead {
        guard let head = head.take() else { preconditionFailure("no head was found") }
        return head
    }

    /// Whether the request whose head was just found has no content. If so it has ended, and no `end` is told of.
    @inline(__always)
    public mutating func endsWithHead() -> Bool {
        guard case .body = state, body.isFinished else { return false }
        state = .head
        return true
    }

    /// The trailers that were just found; may be asked for once after each `trailers`.
    public mutating func takeTrailers() -> Fields {
        guard let trailers = trailers.take() else { preconditionFailure("no trailers were found") }
        return trailers
    }

    private mutating func readBody(_ input: Span<UInt8>) throws(MessageError) -> Step<RequestEvent> {
        var position = 0
        switch try body.next(input, at: &position, limits: limits) {
        case nil: return Step(nil, consumed: position)
        case .body(let range): return Step(.body(range), consumed: position)
        case .trailers(let fields):
            trailers = fields
            return Step(.trailers, consumed: position)
        case .end:
            state = .head
            return Step(.end, consumed: position)
        }
    }

    private mutating func readHead(_ input: Span<UInt8>) throws(MessageError) -> Step<RequestEvent> {
        var position = 0
        guard try skipEmptyLine(input, &position) else { return Step(nil, consumed: position) }
        let rest = input.extracting(position..<input.count)
        guard try readHead(rest, &position) else { return Step(nil, consumed: position) }
        state = .body
        return Step(.head, consumed: position)
    }

    /// Skips the one empty line an old client may send after the content of the request before (RFC 9112 §2.2).
    /// Returns false when more bytes are needed to know.
    private mutating func skipEmptyLine(_ input: Span<UInt8>, _ position: inout Int) throws(MessageError) -> Bool {
        guard section.lines.isAtStart else { return true }
        while position < input.count, input[position] == .carriageReturn {
            guard position + 1 < input.count else { return false }
            guard !skippedEmptyLine, input[position + 1] == .lineFeed else {
                throw MessageError(.malformedRequestLine)
            }
            skippedEmptyLine = true
            position += 2
        }
        return true
    }

    private mutating func readHead(_ input: Span<UInt8>, _ position: inout Int) throws(MessageError) -> Bool {
        if requestLine == nil {
            guard let line = try section.lines.next(in: input, endingBy: limits.startLine, or: .startLineTooLong)
            else { return false }
            requestLine = try RequestLine(input, line)
            section.begin()
        }
        guard let line = requestLine, try section.read(input, limits: limits) else { return false }
        let framing = try FramingFields(input, section.entries, version: line.version, limits: limits)
        let authority = try line.authority(input, host: framing.host)
        let bodyFraming = try bodyFraming(framing)
        let length = section.lines.lineStart
        let arena = input.copy(0..<length)
        position += length
        requestLine = nil
        skippedEmptyLine = false
        head = RequestHead(
            method: line.method, target: RequestTarget(line.target, authority: authority, arena: arena),
            version: line.version, fields: section.take(arena: arena), framing: bodyFraming,
            keepAlive: framing.keepAlive(line.version),
            // An HTTP/1.0 sender cannot be answered 100 (RFC 9110 §10.1.1), and without content there is no need.
            expectsContinue: framing.expectsContinue && line.version == .http11 && bodyFraming.hasContent)
        body = BodyDecoder(ResponseFraming(bodyFraming))
        return true
    }

    private func bodyFraming(_ framing: FramingFields) throws(MessageError) -> BodyFraming {
        if framing.isChunked { return .chunked }
        guard let length = framing.contentLength else { return .none }
        guard length <= limits.body ?? .max else { throw MessageError(.bodyTooLarge) }
        return .length(length)
    }
}

extension BodyFraming {
    var hasContent: Bool { self != .none && self != .length(0) }
}

extension ResponseFraming {
    init(_ framing: BodyFraming) {
        self =
            switch framing {
            case .none: .none
            case .length(let length): .length(length)
            case .chunked: .chunked
            }
    }
}

/// `method SP request-target SP HTTP-version` (RFC 9112 §3), with one space each.
private struct RequestLine: Sendable {
    let method: Method
    let target: TargetLine
    let version: Version

    init(_ input: Span<UInt8>, _ line: Range<Int>) throws(MessageError) {
        guard let methodEnd = input.first(.space, in: line),
            let targetEnd = input.first(.space, in: methodEnd + 1..<line.upperBound)
        else { throw MessageError(.malformedRequestLine) }
        let name = line.lowerBound..<methodEnd
        let method = Method(input, name)
        guard method != nil || input.isToken(name) else { throw MessageError(.invalidMethod) }
        version = try Version(input, targetEnd + 1..<line.upperBound)
        guard let method else { throw MessageError(.unknownMethod) }
        self.method = method
        target = try TargetLine(input, methodEnd + 1..<targetEnd)
        guard target.form != .asterisk || method == .options else { throw MessageError(.invalidTarget) }
    }

    /// The authority the request is meant for (RFC 9112 §3.2.2, §3.3). `Host` must be valid even where an absolute
    /// target makes it irrelevant.
    func authority(_ input: Span<UInt8>, host: Range<Int>?) throws(MessageError) -> Range<Int> {
        if let host {
            guard Authority.isValid(input, host) else { throw MessageError(.invalidHost) }
        } else if version == .http11 {
            throw MessageError(.missingHost)
        }
        return target.form == .absolute ? target.authority : host ?? target.authority
    }
}
