public import Egress

/// What a receiver answered.
public struct Reply: Sendable {
    /// The status of its answer.
    public var status: Int
    /// The content, as much of it as is kept and has come.
    public var content: [UInt8]
    /// What became of the rest.
    public var ending: Ending
    /// The value of `Retry-After`, as it came.
    public var retryAfter: String?
    /// In which version of HTTP it came.
    public var version: Version
    /// The address at which it, or the proxy, was reached.
    public var address: IPAddress
    /// Whether the connection had been used before.
    public var isConnectionReused: Bool
    /// Whether a new connection could go on with an earlier one's TLS session.
    public var isSessionResumed: Bool
    /// How long it took.
    public var timings: Timings

    /// What became of an answer's content. The status counts whatever became of it: it is there from the beginning.
    public enum Ending: String, Sendable, CaseIterable {
        /// It came to its end.
        case whole
        /// More than is kept was not read.
        case cut
        /// The deadline passed before it had come.
        case timedOut = "timed_out"
        /// The connection broke, or what came was not what had been announced.
        case broken
    }

    /// Versions of HTTP.
    public enum Version: String, Sendable, CaseIterable {
        case http10 = "1.0"
        case http11 = "1.1"
        case http2 = "2"
    }
}

/// How long the parts of a transfer took, each counted from its beginning; zero for what did not happen, and for what an
/// earlier transfer had done already for its connection.
public struct Timings: Sendable, Equatable {
    /// Until the name was resolved.
    public var name = Duration.zero
    /// Until the connection stood.
    public var connect = Duration.zero
    /// Until TLS was agreed upon.
    public var tls = Duration.zero
    /// Until the answer's first byte.
    public var firstByte = Duration.zero
    /// Until the end.
    public var total = Duration.zero
}
