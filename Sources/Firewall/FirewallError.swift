/// Rules that cannot be loaded, or an inspection that cannot be made.
public struct FirewallError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What went wrong, in the terms a caller decides by.
    public enum Code: Sendable, Equatable {
        /// A rule file is missing or wrong; the message names file and line.
        case rules
        /// As many inspections wait as may, or one has waited as long as it may: a 503.
        case overloaded
        /// The engine broke down over a request: a 500, for nothing is known of the request.
        case failed
    }

    public let code: Code

    /// For logs; nothing of any request stands in it.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { "firewall: \(message)" }
}
