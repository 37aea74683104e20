import Cryptography
import Testing

@Suite("Ed25519 and repeated SHA-256")
struct Ed25519Tests {
    /// RFC 8032 §7.1, TEST 2.
    private let seed = Hexadecimal.decode("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")!
    private let publicKey = Hexadecimal.decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")!
    private let signature = Hexadecimal.decode(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")!

    private func sign(_ key: Ed25519PrivateKey, _ message: [UInt8]) -> [UInt8] { key.signature(for: message.span) }

    private func holds(_ key: Ed25519PublicKey, _ signature: [UInt8], _ message: [UInt8]) -> Bool {
        key.isValid(signature.span, for: message.span)
    }

    @Test("The signature is the one of RFC 8032")
    func signs() throws {
        let key = try Ed25519PrivateKey(seed: seed.span)
        #expect(key.publicKey.bytes == publicKey)
        #expect(sign(key, [0x72]) == signature)
    }

    @Test("A signature holds for its message and key only")
    func verifies() throws {
        let key = try Ed25519PublicKey(bytes: publicKey.span)
        #expect(holds(key, signature, [0x72]))
        #expect(!holds(key, signature, [0x73]))
        #expect(!holds(key, signature.dropLast(), [0x72]))
        #expect(!holds(Ed25519PrivateKey().publicKey, signature, [0x72]))
        #expect(!hasPendingOpenSSLErrors())
    }

    @Test("A private key writes itself as PEM and reads itself back; a key of another kind is refused")
    func pem() throws {
        let key = Ed25519PrivateKey()
        #expect(try Ed25519PrivateKey(pem: key.pem.utf8.span).publicKey.bytes == key.publicKey.bytes)
        #expect(throws: CryptographyError.self) { try Ed25519PrivateKey(pem: P256PrivateKey().pem.utf8.span) }
        #expect(throws: CryptographyError.self) { try Ed25519PublicKey(bytes: [1, 2, 3].span) }
        #expect(throws: CryptographyError.self) { try Ed25519PrivateKey(seed: [1, 2, 3].span) }
    }

    @Test("The reused hasher agrees with the hash of the joined parts, message after message")
    func hasher() {
        var hasher = SHA256Hasher()
        for count in [0, 1, 55, 56, 64, 1000] {
            let message = [UInt8](repeating: 7, count: count)
            let prefixed = [0] + message
            let (parts, whole) = (hasher.hash(prefix: 0, message.span), SHA256.hash(prefixed.span))
            #expect(parts == whole)
            let joined = [1] + whole.bytes + parts.bytes
            let (node, joint) = (hasher.hash(prefix: 1, whole, parts), SHA256.hash(joined.span))
            #expect(node == joint)
        }
    }
}
