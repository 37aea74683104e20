/// Why nothing was fetched.
public struct FetchError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What went wrong.
    public enum Code: String, Sendable {
        /// The address is none that may be fetched.
        case forbidden
        /// No connection, no such host, or it broke.
        case unreachable
        /// The other side's certificate is not believed.
        case untrusted
        /// It took too long.
        case timedOut = "timed_out"
        /// More content, or more redirects, than allowed.
        case tooMuch = "too_much"
        /// An answer with another status than 200.
        case status
    }

    /// What went wrong.
    public let code: Code
    /// What libcurl, or we, say about it; without the address.
    public let message: String

    /// Names what went wrong.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Code and message on one line.
    public var description: String { "\(code.rawValue): \(message)" }
}
