public import Cryptography

/// The key under which secrets are stored that we must be able to use again, such as the keys that sign our tokens: 32 bytes
/// that are never in the database.
public struct MasterKey: Sendable {
    /// The environment variable that may hold it, as base64 text, in the place of a file.
    public static let variable = "DRAWBRIDGE_MASTER_KEY"
    /// The file, in the installation, where nothing else is said.
    public static let standardFile = "keys/master.key"

    /// Names the key, so that it can be said under which one something was sealed; nothing about the key follows from it.
    public let id: String
    private let cipher: AES256GCM

    /// Takes 32 bytes as base64 text.
    public init(text: String) throws(CryptographyError) {
        guard let key = Base64.standard.decode(text.filter { !$0.isWhitespace }), key.count == AES256GCM.keyByteCount
        else { throw CryptographyError("not 32 bytes as base64 text") }
        cipher = try AES256GCM(key: key.span)
        var mac = HMACSHA256(key: key.span)
        id = Hexadecimal.encode(mac.authenticationCode(for: "drawbridge master key id").bytes.prefix(8))
    }

    /// The text of a fresh key.
    public static func makeText() -> String { Base64.standard.encode(SecureRandom.bytes(AES256GCM.keyByteCount)) }

    /// Seals a signing key: its PKCS #8 PEM, bound to its name and to being a signing key.
    public func seal(_ key: SigningKey) -> [UInt8] {
        cipher.seal(key.privateKey.pem.utf8.span, authenticating: Self.purpose(key.id).utf8.span)
    }

    /// Opens what `seal` gave.
    ///
    /// - Throws: where it was sealed under another master key or for another name, or was changed.
    public func open(_ sealed: [UInt8], id: String) throws(CryptographyError) -> SigningKey {
        let pem = try cipher.open(sealed.span, authenticating: Self.purpose(id).utf8.span)
        let key = SigningKey(id: id, privateKey: try P256PrivateKey(pem: pem.span))
        guard SigningKey.id(of: key.privateKey.publicKey) == id else {
            throw CryptographyError("a signing key of another name")
        }
        return key
    }

    /// Seals a secret by which an endpoint of webhooks knows us, bound to the row that holds it.
    ///
    /// - Parameters:
    ///   - endpoint: whose it is; so that it signs nothing for another.
    ///   - id: its own.
    public func seal(webhookSecret secret: [UInt8], endpoint: String, id: String) -> [UInt8] {
        cipher.seal(secret.span, authenticating: Self.purpose(endpoint: endpoint, id).utf8.span)
    }

    /// Opens what `seal` gave.
    ///
    /// - Throws: where it was sealed under another master key or for another row, or was changed.
    public func open(
        webhookSecret sealed: [UInt8], endpoint: String, id: String
    ) throws(CryptographyError) -> [UInt8] {
        try cipher.open(sealed.span, authenticating: Self.purpose(endpoint: endpoint, id).utf8.span)
    }

    private static func purpose(_ id: String) -> String { "drawbridge signing key 1\n\(id)" }

    private static func purpose(endpoint: String, _ id: String) -> String {
        "drawbridge webhook secret 1\n\(endpoint) \(id)"
    }
}
