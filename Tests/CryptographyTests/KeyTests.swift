import Cryptography
import Testing

@Suite("Keys")
struct KeyTests {
    private func publicKey(_ pem: String) throws -> PublicKey { try PublicKey(pem: pem.utf8.span) }

    @Test("A fresh P-256 key writes both halves as PEM and reads them back")
    func roundTrip() throws {
        let key = P256PrivateKey()
        #expect(key.pem.hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
        #expect(key.publicKey.pem.hasPrefix("-----BEGIN PUBLIC KEY-----\n"))
        let read = try P256PrivateKey(pem: key.pem.utf8.span)
        #expect(read.publicKey.pem == key.publicKey.pem)
        #expect(try publicKey(key.publicKey.pem).kind == .p256)
    }

    @Test("No two fresh keys are the same")
    func fresh() { #expect(P256PrivateKey().publicKey.pem != P256PrivateKey().publicKey.pem) }

    @Test("An ES256 signature is r and s in 64 bytes, whatever their leading zeros")
    func signatureLength() {
        let key = P256PrivateKey()
        for _ in 0..<600 { #expect(key.signature(for: "message").count == 64) }
    }

    @Test("A private key, a certificate or noise is no public key")
    func refusesOthers() {
        for text in [
            "", "noise", P256PrivateKey().pem, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            #expect(throws: CryptographyError.self) { try publicKey(text) }
        }
    }

    @Test("A public key is no private key")
    func refusesPublic() {
        let pem = P256PrivateKey().publicKey.pem
        #expect(throws: CryptographyError.self) { try P256PrivateKey(pem: pem.utf8.span) }
    }

    @Test("Text around the PEM block is dropped when the key is written again")
    func normalises() throws {
        let pem = P256PrivateKey().publicKey.pem
        #expect(try publicKey("# our issuer\n\(pem)\ntrailing words").pem == pem)
    }
}
