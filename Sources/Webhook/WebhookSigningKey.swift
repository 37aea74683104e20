internal import Cryptography

/// The key pair for signatures that anybody can verify and only we can make: Ed25519, `v1a` of the Standard Webhooks. Each
/// endpoint that asks for them has its own.
///
/// The private half, the 32-byte seed (RFC 8032 calls that the private key), is for storing alone; the public half, `whpk_` and
/// the base64 of its 32 bytes, is what a subscriber gets. Printed or dumped, the key shows its public half.
public struct WebhookSigningKey: Sendable {
    /// What the text of the public half begins with.
    public static let publicPrefix = "whpk_"

    /// The 32 bytes that the key is made of, for sealing and storing.
    public let seed: [UInt8]
    private let key: Ed25519PrivateKey

    /// A fresh key.
    public init() {
        guard let fresh = try? WebhookSigningKey(seed: SecureRandom.bytes(Ed25519PrivateKey.seedByteCount)) else {
            fatalError("Ed25519 is not available in the installed OpenSSL")
        }
        self = fresh
    }

    /// A key as it was stored.
    ///
    /// - Throws: `WebhookError` unless there are 32 bytes.
    public init(seed: [UInt8]) throws(WebhookError) {
        do {
            key = try Ed25519PrivateKey(seed: seed.span)
        } catch {
            throw WebhookError(.key, "a signing key has \(Ed25519PrivateKey.seedByteCount) bytes, not \(seed.count)")
        }
        self.seed = seed
    }

    /// The text of the public half, with which a subscriber verifies.
    public var publicText: String { PrefixedBase64.encode(key.publicKey.bytes, prefix: Self.publicPrefix) }

    /// The 64 bytes of the signature of a message.
    func signature(for message: Span<UInt8>) -> [UInt8] { key.signature(for: message) }
}

extension WebhookSigningKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The public half.
    public var description: String { publicText }
    /// The public half.
    public var debugDescription: String { description }
    /// Shows nothing, so that neither does `dump`.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
