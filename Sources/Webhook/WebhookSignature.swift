internal import Cryptography

/// What proves to a subscriber that one attempt of a delivery is ours and is fresh: the values of the three header fields of
/// the Standard Webhooks (standard-webhooks.md 1.0.0, "Signature scheme" and "Webhook headers").
///
/// Signed is `id.timestamp.body`: the id stays the same over all attempts and is what a subscriber tells repetitions by; the
/// timestamp is the attempt's own.
public struct WebhookSignature: Sendable, Hashable {
    /// The field with the delivery's id.
    public static let idField = "webhook-id"
    /// The field with the attempt's time.
    public static let timestampField = "webhook-timestamp"
    /// The field with the signatures.
    public static let signatureField = "webhook-signature"

    /// The value of `webhook-id`.
    public let id: String
    /// The value of `webhook-timestamp`: Unix seconds.
    public let timestamp: String
    /// The value of `webhook-signature`: `v1,` and base64 for each secret, then `v1a,` and base64 for each key, with a space
    /// between them. One that is valid is enough for a subscriber.
    public let signature: String

    /// Signs one attempt.
    ///
    /// - Parameters:
    ///   - id: the event's id: letters, digits, `-` and `_` alone. With a full stop in it, what is signed would not say where
    ///     it ends.
    ///   - timestamp: when the attempt is made, in Unix seconds.
    ///   - body: the content byte for byte as it is sent.
    ///   - secrets: the endpoint's, the newest first: one, or several while they overlap.
    ///   - keys: those of an endpoint that asks for `v1a`, likewise.
    public init(
        id: String, timestamp: Int64, body: Span<UInt8>, secrets: [WebhookSecret], keys: [WebhookSigningKey] = []
    ) {
        precondition(Self.isID(id), "a webhook's id is letters, digits, - and _")
        self.id = id
        self.timestamp = String(timestamp)
        let head = Array("\(id).\(self.timestamp).".utf8)
        var signatures = ""
        // 47 bytes with `v1,` and 92 with `v1a,`, a space each.
        signatures.reserveCapacity(48 * secrets.count + 93 * keys.count)
        func append(_ version: String, _ signature: String) {
            if !signatures.isEmpty { signatures += " " }
            signatures += version
            signatures += signature
        }
        for secret in secrets {
            var authenticator = HMACSHA256(key: secret.bytes.span)
            append("v1,", Base64.standard.encode(authenticator.authenticationCode(for: head.span, body)))
        }
        if !keys.isEmpty {
            // Ed25519 reads a message twice, so it needs it in one piece (RFC 8032 §5.1.6).
            let message = body.withUnsafeBufferPointer { head + $0 }
            for key in keys { append("v1a,", Base64.standard.encode(key.signature(for: message.span))) }
        }
        signature = signatures
    }

    /// Whether a text can be the id of a webhook.
    static func isID(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }
}
