/// How a request's content is delimited (RFC 9112 §6).
public enum BodyFraming: Sendable, Hashable {
    /// No content, and none announced.
    case none
    /// Content of this many bytes, perhaps zero, announced by `Content-Length`.
    case length(UInt64)
    /// Content in chunks.
    case chunked
}

/// How a response's content is delimited (RFC 9112 §6.3).
public enum ResponseFraming: Sendable, Hashable {
    /// No content: an answer to HEAD, or a 1xx, 204 or 304.
    case none
    /// Content of this many bytes, perhaps zero.
    case length(UInt64)
    /// Content in chunks.
    case chunked
    /// Content until the sender closes the connection.
    case untilClose
}

/// All of a request but its content.
public struct RequestHead: Sendable {
    /// What to do.
    public var method: Method
    /// With what, and on which host.
    public var target: RequestTarget
    /// The version the sender speaks.
    public var version: Version
    /// The header fields as sent, those about framing and the connection included.
    public var fields: Fields
    /// How the content is delimited. Where it differs from `fields`, this is what is written.
    public var framing: BodyFraming
    /// Whether the sender wants to use the connection again (RFC 9112 §9.3).
    public var keepAlive: Bool
    /// Whether the sender holds its content back until it gets a 100 (RFC 9110 §10.1.1).
    public var expectsContinue: Bool

    /// A request, by default an HTTP/1.1 one without content.
    public init(
        method: Method, target: RequestTarget, version: Version = .http11, fields: Fields = Fields(),
        framing: BodyFraming = .none, keepAlive: Bool = true, expectsContinue: Bool = false
    ) {
        self.method = method
        self.target = target
        self.version = version
        self.fields = fields
        self.framing = framing
        self.keepAlive = keepAlive
        self.expectsContinue = expectsContinue
    }
}

/// All of a response but its content.
public struct ResponseHead: Sendable {
    /// The outcome.
    public var status: Status
    /// The version the sender speaks.
    public var version: Version
    /// The header fields as sent, those about framing and the connection included.
    public var fields: Fields
    /// How the content is delimited. Where it differs from `fields`, this is what is written.
    public var framing: ResponseFraming
    /// Whether the connection can be used again after this response.
    public var keepAlive: Bool

    /// A response, by default an HTTP/1.1 one with no bytes of content.
    public init(
        status: Status, version: Version = .http11, fields: Fields = Fields(), framing: ResponseFraming = .length(0),
        keepAlive: Bool = true
    ) {
        self.status = status
        self.version = version
        self.fields = fields
        self.framing = framing
        self.keepAlive = keepAlive
    }
}

/// What a parser found at the start of its input.
public struct Step<Event: Sendable>: Sendable {
    /// What was found; nil when more bytes are needed.
    public let event: Event?
    /// How many bytes at the start of the input are done with; may be more than zero even without an event.
    public let consumed: Int

    init(_ event: Event?, consumed: Int) {
        self.event = event
        self.consumed = consumed
    }
}

/// A part of a request. One request is a head, any number of body parts, perhaps trailers, and an end.
///
/// Events are plain values, because they are passed on so often: what they tell of is taken from the parser.
public enum RequestEvent: Sendable {
    /// The head is complete: `takeHead`.
    case head
    /// Content, at this range of the input just given.
    case body(Range<Int>)
    /// There are trailers: `takeTrailers`.
    case trailers
    /// The request is complete; the next one may follow.
    case end
}

/// A part of a response. One response is any number of interim heads, a head, any number of body parts, perhaps
/// trailers, and an end. As with requests, what they tell of is taken from the parser.
public enum ResponseEvent: Sendable {
    /// A 1xx response, such as 100 or 103, never 101: `takeHead`.
    case interim
    /// The head is complete: `takeHead`.
    case head
    /// Content, at this range of the input just given.
    case body(Range<Int>)
    /// There are trailers: `takeTrailers`.
    case trailers
    /// The response is complete.
    case end
}
