/// A limiter that cannot be set up, or a store that cannot answer.
public struct RateLimitError: Error, Sendable, CustomStringConvertible {
    /// What went wrong, in the terms a caller decides by.
    public enum Code: Sendable, Equatable {
        /// The node's table cannot be made or mapped.
        case table
        /// The configuration cannot be used.
        case configuration
        /// Redis cannot be reached, or the connection broke.
        case unavailable
        /// Redis has not answered in time.
        case timedOut
        /// As many calls wait for Redis as may.
        case tooManyCalls
        /// Redis answered with an error, or with something else than it was asked for.
        case answer
    }

    public let code: Code

    /// For logs; without keys.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { "rate limit: \(message)" }
}
