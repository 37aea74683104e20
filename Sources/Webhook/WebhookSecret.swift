internal import Cryptography

/// The secret that a subscriber shares with us, by which it tells that a webhook is ours: 24 to 64 bytes, as the Standard
/// Webhooks have it (standard-webhooks.md 1.0.0, "Signature scheme").
///
/// Its text form, `whsec_` and base64, is shown to its subscriber once. Nothing else shows it: printed, dumped or put into a
/// string it is hidden, and it is compared in a time that says nothing of it.
public struct WebhookSecret: Sendable {
    /// The number of bytes a secret may have.
    public static let byteCounts = 24...64
    /// What its text begins with.
    public static let prefix = "whsec_"

    private static let generatedByteCount = 32

    /// The bytes themselves, for sealing and storing.
    public let bytes: [UInt8]

    /// A fresh secret of 32 random bytes.
    public init() { bytes = SecureRandom.bytes(Self.generatedByteCount) }

    /// A secret as it was stored.
    ///
    /// - Throws: `WebhookError` unless there are 24 to 64 bytes.
    public init(bytes: [UInt8]) throws(WebhookError) {
        guard Self.byteCounts.contains(bytes.count) else {
            throw WebhookError(
                .secret,
                "a secret has \(Self.byteCounts.lowerBound) to \(Self.byteCounts.upperBound) bytes, not \(bytes.count)")
        }
        self.bytes = bytes
    }

    /// Reads `whsec_` and base64 with its padding.
    ///
    /// - Throws: `WebhookError` that says which of prefix, base64 and length is wrong, and repeats nothing of the text.
    public init(parsing text: String) throws(WebhookError) {
        try self.init(bytes: try PrefixedBase64.decode(text, prefix: Self.prefix, .secret, "a secret"))
    }

    /// The text form. For the one answer in which the subscriber gets it; whoever else calls this gives it away.
    public var text: String { PrefixedBase64.encode(bytes, prefix: Self.prefix) }
}

extension WebhookSecret: Equatable {
    /// Compares in a time that depends on the lengths only.
    public static func == (left: WebhookSecret, right: WebhookSecret) -> Bool {
        equalInConstantTime(left.bytes.span, right.bytes.span)
    }
}

extension WebhookSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Hides the secret.
    public var description: String { "whsec_***" }
    /// Hides the secret.
    public var debugDescription: String { description }
    /// Shows nothing, so that neither does `dump`.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
