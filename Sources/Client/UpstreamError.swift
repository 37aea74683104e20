/// Why an upstream gave no answer.
public struct UpstreamError: Error, Sendable, CustomStringConvertible {
    /// The causes that a client is told apart.
    public enum Code: String, Sendable {
        /// Nobody listens, or the upstream is known to be ill; nothing was sent.
        case unavailable
        /// Every connection is busy and too many requests wait already; nothing was sent.
        case overloaded
        /// The connection broke after the request had gone out, or the answer was not acceptable HTTP.
        case broken
        /// No answer in time.
        case timedOut = "timed_out"
    }

    public let code: Code

    /// What the connection or the parser said, for the log.
    public let underlying: (any Error)?

    init(_ code: Code, _ underlying: (any Error)? = nil) {
        self.code = code
        self.underlying = underlying
    }

    public var description: String { underlying.map { "\(code.rawValue): \($0)" } ?? code.rawValue }
}
