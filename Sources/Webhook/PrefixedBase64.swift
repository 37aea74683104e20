internal import Cryptography

/// How the Standard Webhooks write keys: a prefix that says what kind of key it is, then strict base64.
enum PrefixedBase64 {
    static func encode(_ bytes: [UInt8], prefix: String) -> String { prefix + Base64.standard.encode(bytes) }

    /// - Parameter subject: what is read, for the message, such as "a secret".
    static func decode(
        _ text: String, prefix: String, _ code: WebhookError.Code, _ subject: String
    ) throws(WebhookError) -> [UInt8] {
        // By bytes: as characters, what follows the prefix may join its last one.
        guard text.utf8.starts(with: prefix.utf8) else {
            throw WebhookError(code, "\(subject) begins with \(prefix)")
        }
        guard
            let bytes = Base64.standard.decode(String(decoding: text.utf8.dropFirst(prefix.utf8.count), as: UTF8.self))
        else { throw WebhookError(code, "\(subject) is \(prefix) and base64 with its padding") }
        return bytes
    }
}
