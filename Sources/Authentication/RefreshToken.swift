public import Cryptography

/// A refresh token: `dbr_` and 70 characters of base64url, which stand for 16 bytes that name its family, 32 that are its
/// secret, and 4 of a checksum.
///
/// Whoever has any token of a family knows its name, and nobody else: it is random, and in no access token. So what names a
/// family that there is, with another secret than the last one given, was given before, and a row for each family tells a
/// spent token from a made-up one, however often it was refreshed. The checksum keeps a token that was damaged on its way
/// from looking like a spent one. Of both parts only SHA-256 hashes are stored; each is of random bytes enough that no salt
/// or stretching is needed.
public struct RefreshToken: Sendable, CustomStringConvertible {
    /// How every refresh token begins.
    public static let prefix = "dbr_"
    /// The number of characters of every refresh token.
    public static let characterCount = 74
    private static let familyByteCount = 16
    private static let secretByteCount = 32
    private static let checksumByteCount = 4

    /// The token itself; whoever gets it is told it once.
    public let text: String
    private let family: [UInt8]
    private let secret: [UInt8]

    /// The first token of a new family.
    public init() { self.init(family: SecureRandom.bytes(Self.familyByteCount)) }

    private init(family: [UInt8]) {
        self.family = family
        secret = SecureRandom.bytes(Self.secretByteCount)
        let content = family + secret
        text = Self.prefix + Base64.url.encode(content + Self.checksum(of: content))
    }

    /// Takes a text that has the form of a refresh token; `nil` for any other.
    public init?(_ text: String) {
        guard text.utf8.count == Self.characterCount, text.hasPrefix(Self.prefix),
            let bytes = Base64.url.decode(String(text.dropFirst(Self.prefix.utf8.count))),
            bytes.count == Self.familyByteCount + Self.secretByteCount + Self.checksumByteCount
        else { return nil }
        let content = Array(bytes.dropLast(Self.checksumByteCount))
        guard bytes.suffix(Self.checksumByteCount).elementsEqual(Self.checksum(of: content)) else { return nil }
        self.text = text
        family = Array(content.prefix(Self.familyByteCount))
        secret = Array(content.dropFirst(Self.familyByteCount))
    }

    /// A fresh token that takes this one's place in its family.
    public func successor() -> RefreshToken { RefreshToken(family: family) }

    /// What is stored of the family's name.
    public var familyHash: Digest256 { SHA256.hash(family.span) }

    /// What is stored of the secret.
    public var secretHash: Digest256 { SHA256.hash(secret.span) }

    /// No more than the prefix, so that a token printed by mistake is none.
    public var description: String { "\(Self.prefix)…" }

    private static func checksum(of content: [UInt8]) -> ArraySlice<UInt8> {
        SHA256.hash(content.span).bytes.prefix(checksumByteCount)
    }
}
