public import Cryptography

/// A client's API key: `dbk_` and 48 characters of base64url, which stand for 32 random bytes and 4 of a checksum.
///
/// The prefix makes a key that leaked into a repository or a log easy to find, the checksum lets whoever finds one, and
/// the gateway, tell a key from noise without asking anybody. No JWT begins with `dbk_` (its header would have to begin
/// with `{`, in base64url `ey`) and no key has a dot, so neither can be taken for the other.
public struct APIKey: Sendable, CustomStringConvertible {
    /// How every key begins.
    public static let prefix = "dbk_"
    /// The random bytes in a key: 256 bits, so that finding one by trial is no danger and a plain SHA-256 of it,
    /// without salt or stretching, can be stored.
    static let secretByteCount = 32
    private static let checksumByteCount = 4
    /// The number of characters of every key.
    public static let characterCount = 52

    /// The key itself; it is shown to its owner once.
    public let text: String

    /// Makes a fresh key.
    public init() {
        let secret = SecureRandom.bytes(Self.secretByteCount)
        text = Self.prefix + Base64.url.encode(secret + Self.checksum(of: secret.span))
    }

    /// Takes a text that has the form of a key; `nil` for any other.
    public init?(_ text: String) {
        guard Self.hasForm(text.utf8.span) else { return nil }
        self.text = text
    }

    /// What is stored of the key: the SHA-256 of its text.
    public var hash: Digest256 { SHA256.hash(text) }

    /// No more than the prefix, so that a key printed by mistake is none.
    public var description: String { "\(Self.prefix)…" }

    /// Whether credentials are meant to be an API key.
    static func isMeant(by credentials: Span<UInt8>) -> Bool {
        let prefix = prefix.utf8
        guard credentials.count >= prefix.count else { return false }
        for (index, byte) in prefix.enumerated() where credentials[index] != byte { return false }
        return true
    }

    /// Whether some bytes have the form of a key, the checksum included.
    static func hasForm(_ bytes: Span<UInt8>) -> Bool {
        guard bytes.count == characterCount, isMeant(by: bytes),
            let decoded = Base64.url.decode(bytes.extracting(prefix.utf8.count..<bytes.count))
        else { return false }
        return decoded[secretByteCount...].elementsEqual(checksum(of: decoded.span.extracting(first: secretByteCount)))
    }

    private static func checksum(of secret: Span<UInt8>) -> ArraySlice<UInt8> {
        SHA256.hash(secret).bytes.prefix(checksumByteCount)
    }
}
