/// Where the shared Redis is, and how long it is waited for.
///
/// One primary that all gateways use; not a Redis cluster, whose keys are spread over servers that no script sees
/// together.
public struct RedisConfiguration: Sendable {
    /// How it is reached.
    public enum Endpoint: Sendable, Hashable {
        /// A path of a socket.
        case unix(String)
        /// An address in numbers (a name would have to be looked up, which blocks) and a port.
        case tcp(String, port: UInt16)
    }

    /// Where it listens.
    public var endpoint: Endpoint
    /// The password, and the user it is of where Redis has several.
    public var password: String?
    public var user: String?
    /// What the names of keys begin with.
    public var prefix = "drawbridge:limit:"
    /// Hides what keys stand for from who reads Redis; the same for all gateways.
    public var secret: [UInt8]
    /// How long one call may take; a call that takes longer ends the connection.
    public var callDeadline = Duration.milliseconds(50)
    /// How long connecting may take.
    public var connectDeadline = Duration.seconds(2)
    /// Calls that may be under way.
    public var maximumPending = 4096
    /// The first and the longest pause before connecting again; each is twice the one before, with jitter.
    public var firstPause = Duration.milliseconds(50)
    public var longestPause = Duration.seconds(5)

    /// The defaults, for this Redis.
    public init(_ endpoint: Endpoint, secret: [UInt8] = []) {
        self.endpoint = endpoint
        self.secret = secret
    }
}
