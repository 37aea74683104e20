public import HTTP

/// Bounds and timeouts of a server; each keeps one kind of slow or greedy client from holding on to a connection.
public struct ServerConfiguration: Sendable {
    /// Bounds on the messages themselves.
    public var limits = MessageLimits()

    /// How long a connection may wait for the next request.
    public var idleTimeout: Duration = .seconds(60)

    /// From the first byte of a request to the end of its header section; also for the TLS handshake.
    public var headTimeout: Duration = .seconds(10)

    /// How long a request's content may take altogether, from when it is first asked for.
    public var bodyTimeout: Duration = .seconds(60)

    /// Bytes that buy a request's content one more second, up to `bodyTimeout`; 0 for no minimum.
    public var minimumBodyRate: UInt64 = 500

    /// How long a request's content may take before it has to keep to `minimumBodyRate`.
    public var bodyRateGrace: Duration = .seconds(5)

    /// How long a client may take to accept what the kernel cannot buffer.
    public var writeTimeout: Duration = .seconds(30)

    /// How long an answer may wait for its client in all, `writeTimeout` at a time.
    public var answerTimeout: Duration = .seconds(120)

    /// How long a client may take to hang up after its last answer; what it still sends meanwhile is thrown away,
    /// because a connection closed with bytes unread is reset, and the answer may be lost with it (RFC 9112 §9.6).
    public var closeTimeout: Duration = .seconds(2)

    /// How long a connection that is still to send its first request may take when the server drains.
    public var firstRequestGrace: Duration = .seconds(1)

    /// How long a connection between two requests may take to send the next one when the server drains. Without, it is
    /// closed at once, and a request that is on its way just then is lost.
    public var idleGrace: Duration = .zero

    /// Connections open at once; further ones wait in the kernel's queue.
    public var maximumConnections = 10_000

    /// Field lines that every answer carries, each with its line end; at most 128 bytes.
    public var answerLines: [UInt8] = []

    /// Requests after which a connection is closed, so that load spreads over workers again.
    public var maximumRequestsPerConnection: UInt64 = 1_000_000

    /// Bytes of an unread body that are waited for and thrown away to keep the connection; with more to come, or an
    /// unknown number, it is closed.
    public var drainedBodyBound = 64 << 10

    /// Whether the peer is a process of ours whose `X-Request-Id` is taken over.
    public var trustsRequestID = false

    public init() {}
}
