/// What cannot be used for webhooks, and why.
public struct WebhookError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What it is that cannot be used.
    public enum Code: Sendable, Hashable {
        /// The secret of a subscription.
        case secret
        /// A key for signatures that anybody can verify.
        case key
        /// How often, or by which delays, a subscription asks for retries.
        case retryPolicy
        /// The event as it was stored.
        case payload
    }

    public let code: Code

    /// A phrase such as "a secret begins with whsec_", fit for answers and logs: it holds nothing of what was given.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
}
