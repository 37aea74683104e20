import Authentication
import Cryptography
import Testing

@Suite("Keys of an issuer")
struct VerificationKeyTests {
    @Test("A short HS256 secret is refused", arguments: [0, 1, 31])
    func shortSecret(count: Int) {
        let text = Base64.standard.encode([UInt8](repeating: 7, count: count))
        #expect(throws: KeyRefusal.self) { try TokenMaker.key("k", .hs256, text) }
    }

    @Test("A secret may end in a line break, as editors leave it")
    func lineBreak() throws {
        _ = try TokenMaker.key("k", .hs256, Base64.standard.encode(TokenMaker.secret) + "\r\n")
    }

    @Test("Raw bytes are no secret file")
    func rawSecret() {
        #expect(throws: KeyRefusal.self) {
            try TokenMaker.key("k", .hs256, "this secret is long enough, but it is not base64 text")
        }
    }

    @Test("An RSA key of 1024 bits is refused")
    func weakRSA() throws {
        let weak = try RSAKey(bits: 1024)
        #expect(throws: KeyRefusal(found: "RSA with 1024 bits", expected: "RSA with 2048 to 8192 bits for RS256")) {
            try TokenMaker.key("k", .rs256, weak.publicKey)
        }
    }

    @Test("A key of another kind than its algorithm is refused")
    func otherKind() {
        #expect(throws: KeyRefusal.self) { try TokenMaker.key("k", .es256, RFC7515.rsaPublicKey) }
        #expect(throws: KeyRefusal.self) { try TokenMaker.key("k", .rs256, RFC7515.ecPublicKey) }
        #expect(throws: KeyRefusal.self) { try TokenMaker.key("k", .hs256, RFC7515.ecPublicKey) }
    }

    @Test("A private key has no business at the gateway")
    func privateKey() {
        #expect(throws: KeyRefusal.self) { try TokenMaker.key("k", .es256, TokenMaker.ec.pem) }
    }
}
