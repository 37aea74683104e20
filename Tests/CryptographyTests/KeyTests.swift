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

@Suite("Public keys from their numbers")
struct ComponentTests {
    private static let modulus = [UInt8](repeating: 0xC5, count: 255) + [0xC7]

    @Test("An RSA key has as many bits as its modulus, whether the first bit is set or not")
    func rsa() throws {
        #expect(try PublicKey(rsaModulus: Self.modulus, exponent: [1, 0, 1]).kind == .rsa(bits: 2048))
        #expect(try PublicKey(rsaModulus: [0x45] + Self.modulus.dropFirst(), exponent: [3]).kind == .rsa(bits: 2047))
    }

    @Test(
        "An exponent that would make any signature good, or is no odd number, is refused",
        arguments: [[], [0], [1], [2], [0, 3], [UInt8](repeating: 1, count: 9)] as [[UInt8]])
    func exponent(bytes: [UInt8]) {
        #expect(throws: CryptographyError.self) { try PublicKey(rsaModulus: Self.modulus, exponent: bytes) }
    }

    @Test("A point is one of the curve, or no key")
    func point() throws {
        let key = P256PrivateKey()
        let pem = key.publicKey.pem.split(separator: "\n").filter { !$0.hasPrefix("-") }.joined()
        let point = Array(try #require(Base64.standard.decode(pem)).suffix(64))
        let (x, y) = (Array(point.prefix(32)), Array(point.suffix(32)))
        #expect(try PublicKey(p256X: x, y: y) == key.publicKey)
        #expect(try PublicKey(p256X: x, y: y) != P256PrivateKey().publicKey)
        for (x, y) in [(y, x), (x, x), (x, Array(y.dropLast())), ([UInt8](repeating: 0, count: 32), y)] {
            #expect(throws: CryptographyError.self) { try PublicKey(p256X: x, y: y) }
        }
        #expect(!hasPendingOpenSSLErrors())
    }

    @Test("A signature is checked by the key it was made with, and leaves no errors behind")
    func signature() {
        let key = P256PrivateKey()
        let message = Array("message".utf8)
        let signature = key.signature(for: message.span)
        let isOwn = key.publicKey.isES256(signature.span, of: message.span)
        let isOther = P256PrivateKey().publicKey.isES256(signature.span, of: message.span)
        let isRSA = key.publicKey.isRS256(signature.span, of: message.span)
        #expect(isOwn && !isOther && !isRSA && !hasPendingOpenSSLErrors())
    }
}

@Suite("SHA-512")
struct SHA512Tests {
    @Test("The examples of FIPS 180-4 have the hash they should")
    func vectors() {
        let abc = Array("abc".utf8)
        #expect(
            Hexadecimal.encode(SHA512.hash(abc.span))
                == "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f")
        let empty: [UInt8] = []
        #expect(Hexadecimal.encode(SHA512.hash(empty.span)).hasPrefix("cf83e1357eefb8bdf1542850d66d8007"))
    }
}
