import Cryptography
import Testing

@Suite("Base 64 and base 16")
struct EncodingTests {
    /// RFC 4648 §10.
    static let rfc4648 = [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ]

    @Test("Base 64 writes and reads the examples of RFC 4648", arguments: rfc4648)
    func standard(plain: String, text: String) {
        #expect(Base64.standard.encode(Array(plain.utf8)) == text)
        #expect(Base64.standard.decode(text) == Array(plain.utf8))
    }

    @Test("The form for addresses has no padding", arguments: rfc4648)
    func url(plain: String, text: String) {
        let unpadded = String(text.filter { $0 != "=" })
        #expect(Base64.url.encode(Array(plain.utf8)) == unpadded)
        #expect(Base64.url.decode(unpadded) == Array(plain.utf8))
        #expect(text == unpadded || Base64.url.decode(text) == nil)
    }

    @Test("The two alphabets differ in the last two characters")
    func alphabets() {
        let bytes: [UInt8] = [0xFB, 0xEF, 0xFF]
        #expect(Base64.standard.encode(bytes) == "++//")
        #expect(Base64.url.encode(bytes) == "--__")
        #expect(Base64.standard.decode("--__") == nil)
        #expect(Base64.url.decode("++//") == nil)
    }

    @Test("Every byte string survives, whatever its length")
    func roundTrip() {
        for count in 0..<200 {
            let bytes = SecureRandom.bytes(count)
            #expect(Base64.url.decode(Base64.url.encode(bytes)) == bytes)
            #expect(Base64.standard.decode(Base64.standard.encode(bytes)) == bytes)
            #expect(Hexadecimal.decode(Hexadecimal.encode(bytes)) == bytes)
        }
    }

    @Test(
        "Base 64 refuses stray bits, wrong padding and foreign characters",
        arguments: [
            "Zh==", "Zm9=", "Zg=", "Zg", "Z", "Zg===", "Z===", "====", "Zm9v\n", "Zm 9", "Zm9v=", "Zg==Zg==", "Zmé=",
        ])
    func strictStandard(text: String) { #expect(Base64.standard.decode(text) == nil) }

    @Test(
        "Its form for addresses refuses stray bits, padding and foreign characters",
        arguments: ["Zh", "Zm9", "Z", "Zg==", "Zm9v=", "Zm9v\n", "Zm.v", "+/+/", "Zmé"])
    func strictURL(text: String) { #expect(Base64.url.decode(text) == nil) }

    @Test("Of all two-character texts, exactly those that are written back the same are read")
    func canonical() {
        var accepted = 0
        for first in UInt8.min...UInt8.max {
            for second in UInt8.min...UInt8.max {
                guard let bytes = Base64.url.decode([first, second].span) else { continue }
                accepted += 1
                #expect(Array(Base64.url.encode(bytes).utf8) == [first, second])
            }
        }
        #expect(accepted == 256)
    }

    @Test("Base 16 reads both cases and nothing else")
    func hexadecimal() {
        #expect(Hexadecimal.encode([0x00, 0xAB, 0xFF]) == "00abff")
        #expect(Hexadecimal.decode("00aBFf") == [0x00, 0xAB, 0xFF])
        for text in ["0", "0g", "+1", " 0"] { #expect(Hexadecimal.decode(text) == nil) }
    }
}
