public import Cryptography

/// A key that signs our tokens, with its name.
public struct SigningKey: Sendable {
    /// The `kid` of the tokens that it signs.
    public let id: String
    /// The key.
    public let privateKey: P256PrivateKey

    /// Names a key that is there.
    public init(id: String, privateKey: P256PrivateKey) {
        self.id = id
        self.privateKey = privateKey
    }

    /// Makes a key. Its name is of its public half (as RFC 7638 has it), so no two keys have one name.
    public init() {
        privateKey = P256PrivateKey()
        id = Self.id(of: privateKey.publicKey)
    }

    /// The JWK thumbprint of a public key (RFC 7638), which is its key id.
    public static func id(of key: PublicKey) -> String {
        guard let jwk = JSONWebKey(id: "", key) else { preconditionFailure("a key that is not on P-256") }
        return Base64.url.encode(SHA256.hash(#"{"crv":"P-256","kty":"EC","x":"\#(jwk.x)","y":"\#(jwk.y)"}"#))
    }
}

/// The public half of a key on P-256 as a JWK (RFC 7517).
public struct JSONWebKey: Sendable, Equatable {
    /// Its `kid`.
    public let id: String
    /// The point's coordinates, in base64url.
    public let x: String
    /// See ``x``.
    public let y: String

    /// - Returns: `nil` for a key that is not on P-256.
    public init?(id: String, _ key: PublicKey) {
        guard let (x, y) = key.p256Coordinates else { return nil }
        self.id = id
        self.x = Base64.url.encode(x)
        self.y = Base64.url.encode(y)
    }

    /// A JWK Set of keys for checking ES256 signatures. Key ids have no characters that JSON would escape.
    public static func set(_ keys: [JSONWebKey]) -> String {
        let members = keys.map { key in
            #"{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"\#(key.id)","x":"\#(key.x)","y":"\#(key.y)"}"#
        }
        return #"{"keys":[\#(members.joined(separator: ","))]}"#
    }
}
