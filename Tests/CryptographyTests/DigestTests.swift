import Cryptography
import Testing

@Suite("Hashes and authentication codes")
struct DigestTests {
    @Test(
        "SHA-256 gives the digests of FIPS 180-4's examples",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ])
    func sha256(message: String, digest: String) {
        #expect(Hexadecimal.encode(SHA256.hash(message).bytes) == digest)
    }

    /// RFC 4231 §4.2 to §4.8; case 5 is about truncation, which we do not do.
    static let rfc4231: [(key: [UInt8], message: [UInt8], code: String)] = [
        (
            .init(repeating: 0x0B, count: 20), Array("Hi There".utf8),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            .init(repeating: 0xAA, count: 20), .init(repeating: 0xDD, count: 50),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
        ),
        (
            Array(1...25), .init(repeating: 0xCD, count: 50),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
        ),
        (
            .init(repeating: 0xAA, count: 131), Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
        (
            .init(repeating: 0xAA, count: 131),
            Array(
                ("This is a test using a larger than block-size key and a larger than block-size data. "
                    + "The key needs to be hashed before being used by the HMAC algorithm.").utf8),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
        ),
    ]

    @Test("HMAC-SHA256 gives the codes of RFC 4231", arguments: rfc4231)
    func hmac(key: [UInt8], message: [UInt8], code: String) {
        var mac = HMACSHA256(key: key.span)
        let computed = mac.authenticationCode(for: message.span)
        #expect(Hexadecimal.encode(computed.bytes) == code)
    }

    @Test("One prepared key gives the right code for message after message")
    func reuse() {
        for (key, message, code) in Self.rfc4231 {
            var mac = HMACSHA256(key: key.span)
            _ = mac.authenticationCode(for: "something else")
            _ = mac.authenticationCode(for: "")
            let computed = mac.authenticationCode(for: message.span)
            #expect(Hexadecimal.encode(computed.bytes) == code)
        }
    }

    @Test("A message in two parts has the code of the whole, wherever it is parted", arguments: rfc4231)
    func parts(key: [UInt8], message: [UInt8], code: String) {
        var mac = HMACSHA256(key: key.span)
        for end in 0...message.count {
            let computed = mac.authenticationCode(
                for: message.span.extracting(first: end), message.span.extracting(droppingFirst: end))
            #expect(Hexadecimal.encode(computed.bytes) == code)
        }
    }

    @Test("An empty key is a key")
    func emptyKey() {
        let key: [UInt8] = []
        var mac = HMACSHA256(key: key.span)
        let code = mac.authenticationCode(for: "")
        #expect(
            Hexadecimal.encode(code.bytes) == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    }

    @Test("Digests differ as soon as one bit does")
    func digestEquality() {
        let bytes = SHA256.hash("abc").bytes
        let same = Digest256(bytes.span)
        #expect(same == SHA256.hash("abc"))
        for bit in 0..<256 {
            var other = bytes
            other[bit / 8] ^= 1 << UInt8(bit % 8)
            let altered = Digest256(other.span)
            #expect(altered != same)
        }
    }

    @Test("A digest is made of exactly 32 bytes", arguments: [0, 31, 33])
    func digestLength(count: Int) {
        let digest = Digest256([UInt8](repeating: 0, count: count).span)
        #expect(digest == nil)
    }

    @Test("Byte strings compare equal only when all bytes and the lengths do")
    func constantTimeComparison() {
        func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool { equalInConstantTime(left.span, right.span) }
        #expect(areEqual([1, 2, 3], [1, 2, 3]))
        #expect(!areEqual([1, 2, 3], [1, 2, 4]))
        #expect(!areEqual([1, 2, 3], [1, 2]))
    }

    @Test("Random bytes come in the count asked for and never twice the same")
    func random() {
        #expect(SecureRandom.bytes(0).isEmpty)
        #expect(SecureRandom.bytes(32).count == 32)
        #expect(SecureRandom.bytes(32) != SecureRandom.bytes(32))
    }
}
