import Testing

@testable import Cryptography

@Suite("AES-256-GCM")
struct AES256GCMTests {
    /// Test cases 13 to 16 of "The Galois/Counter Mode of Operation (GCM)" by D. McGrew and J. Viega, the submission to NIST
    /// of which SP 800-38D came, appendix B: those for keys of 256 bits and nonces of 96.
    struct Vector: CustomTestStringConvertible, Sendable {
        let number: Int
        let key: String
        let nonce: String
        let text: String
        var data = ""
        let encrypted: String
        let tag: String

        var testDescription: String { "test case \(number)" }
    }

    private static let zeroes = String(repeating: "0", count: 64)
    private static let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
    private static let text =
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
    private static let encrypted =
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"

    static let vectors = [
        Vector(
            number: 13, key: zeroes, nonce: String(zeroes.prefix(24)), text: "", encrypted: "",
            tag: "530f8afbc74536b9a963b4f1c4cb738b"),
        Vector(
            number: 14, key: zeroes, nonce: String(zeroes.prefix(24)), text: String(zeroes.prefix(32)),
            encrypted: "cea7403d4d606b6e074ec5d3baf39d18", tag: "d0d1c8a799996bf0265b98b5d48ab919"),
        Vector(
            number: 15, key: key, nonce: "cafebabefacedbaddecaf888", text: text, encrypted: encrypted,
            tag: "b094dac5d93471bdec1a502270e3cc6c"),
        Vector(
            number: 16, key: key, nonce: "cafebabefacedbaddecaf888", text: String(text.prefix(120)),
            data: "feedfacedeadbeeffeedfacedeadbeefabaddad2", encrypted: String(encrypted.prefix(120)),
            tag: "76fc6ece0f4e1768cddf8853bb2d551b"),
    ]

    private func bytes(_ text: String) -> [UInt8] { Hexadecimal.decode(text)! }

    @Test("The published vectors come out, and open again", arguments: vectors)
    func published(vector: Vector) throws {
        let cipher = try AES256GCM(key: bytes(vector.key).span)
        let (text, data) = (bytes(vector.text), bytes(vector.data))
        let sealed = cipher.seal(text.span, authenticating: data.span, nonce: bytes(vector.nonce))
        #expect(Hexadecimal.encode(sealed) == vector.nonce + vector.encrypted + vector.tag)
        #expect(try cipher.open(sealed.span, authenticating: data.span) == text)
    }

    @Test("One bit that is another, anywhere, and it is refused; nothing stays in OpenSSL's queue of errors")
    func tampered() throws {
        let cipher = try AES256GCM(key: SecureRandom.bytes(32).span)
        let (text, data) = (Array("a private key".utf8), Array("for this purpose".utf8))
        let sealed = cipher.seal(text.span, authenticating: data.span)
        for index in sealed.indices {
            var other = sealed
            other[index] ^= 1 << UInt8.random(in: 0..<8)
            #expect(throws: CryptographyError.self) { try cipher.open(other.span, authenticating: data.span) }
        }
        for count in 0..<sealed.count {
            let cut = Array(sealed.prefix(count))
            #expect(throws: CryptographyError.self) { try cipher.open(cut.span, authenticating: data.span) }
        }
        let others = Array("for another purpose".utf8)
        #expect(throws: CryptographyError.self) { try cipher.open(sealed.span, authenticating: others.span) }
        let stranger = try AES256GCM(key: SecureRandom.bytes(32).span)
        #expect(throws: CryptographyError.self) { try stranger.open(sealed.span, authenticating: data.span) }
        #expect(!hasPendingOpenSSLErrors())
        #expect(try cipher.open(sealed.span, authenticating: data.span) == text)
    }

    @Test("No two sealings of one text are the same, and a key has 32 bytes")
    func fresh() throws {
        let cipher = try AES256GCM(key: SecureRandom.bytes(32).span)
        let text: [UInt8] = [1, 2, 3]
        let sealings = (0..<2).map { _ in cipher.seal(text.span, authenticating: text.span) }
        #expect(sealings[0] != sealings[1])
        for count in [0, 16, 31, 33] {
            #expect(throws: CryptographyError.self) { try AES256GCM(key: SecureRandom.bytes(count).span) }
        }
    }

    @Test("The coordinates of a key's point are those that make it again")
    func coordinates() throws {
        for _ in 0..<300 {
            let key = P256PrivateKey().publicKey
            let (x, y) = try #require(key.p256Coordinates)
            #expect(x.count == 32 && y.count == 32)
            #expect(try PublicKey(p256X: x, y: y) == key)
        }
    }
}
