import Cryptography
import TestSupport
import Testing

@testable import Webhook

@Suite struct WebhookSignatureTests {
    private static let body = Array(#"{"test": 2432232314}"#.utf8)

    private func signature(
        id: String = "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: Int64 = 1_614_265_330, body: [UInt8] = body,
        _ secrets: [WebhookSecret], _ keys: [WebhookSigningKey] = []
    ) -> WebhookSignature {
        WebhookSignature(id: id, timestamp: timestamp, body: body.span, secrets: secrets, keys: keys)
    }

    @Test("v1 is what the Standard Webhooks' own libraries are tested with") func published() throws {
        let secret = try WebhookSecret(parsing: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        let signature = signature([secret])
        #expect(signature.id == "msg_p5jXN8AQM9LWM0D4loKWxJek" && signature.timestamp == "1614265330")
        #expect(signature.signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    @Test("v1a is what the Standard Webhooks' Go library is tested with") func publishedKey() throws {
        // There it is written "whsk_" and the seed's base64.
        let seed = try #require(Base64.standard.decode("VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk="))
        let key = try WebhookSigningKey(seed: seed)
        #expect(
            signature([], [key]).signature
                == "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==")
    }

    @Test("Several secrets and keys sign each on its own, in order, with a space between") func several() {
        let (secrets, keys) = ((0..<3).map { _ in WebhookSecret() }, (0..<2).map { _ in WebhookSigningKey() })
        let alone = secrets.map { signature([$0]).signature } + keys.map { signature([], [$0]).signature }
        let together = signature(secrets, keys).signature
        #expect(together == alone.joined(separator: " "))
        #expect(Set(alone).count == 5)
    }

    @Test("What is signed is id, timestamp and body, whatever the body holds and however long it is", arguments: 0..<20)
    func message(seed: UInt64) {
        var random = SeededNumbers(seed: seed)
        let body = (0..<Int.random(in: 0...300_000, using: &random)).map { _ in
            UInt8.random(in: 0...255, using: &random)
        }
        let (secret, key) = (WebhookSecret(), WebhookSigningKey())
        let message = Array("evt-1.-5.".utf8) + body
        var authenticator = HMACSHA256(key: secret.bytes.span)
        let code = Base64.standard.encode(authenticator.authenticationCode(for: message.span))
        let signed = Base64.standard.encode(key.signature(for: message.span))
        #expect(
            signature(id: "evt-1", timestamp: -5, body: body, [secret], [key]).signature == "v1,\(code) v1a,\(signed)")
    }

    @Test(
        "An id that is read otherwise, or ends a field, is none",
        arguments: ["", "a.b", "a b", "a\r\n", "é", "a,b", "a\u{301}"])
    func ids(id: String) {
        #expect(!WebhookSignature.isID(id))
        #expect(WebhookSignature.isID("0b4f6c1e-0000-4000-8000-00000000000a") && WebhookSignature.isID("msg_2KWPBg"))
    }
}

@Suite struct WebhookSigningKeyTests {
    @Test("A key is read back from its seed") func roundTrip() throws {
        let key = WebhookSigningKey()
        #expect(try WebhookSigningKey(seed: key.seed).publicText == key.publicText)
        #expect(key.publicText.hasPrefix("whpk_"))
        #expect(WebhookSigningKey().publicText != key.publicText)
    }

    @Test("The public half is that of RFC 8032's first test") func publicHalf() throws {
        let seed = Hexadecimal.decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")!
        let key = Hexadecimal.decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")!
        #expect(try WebhookSigningKey(seed: seed).publicText == "whpk_" + Base64.standard.encode(key))
    }

    @Test("A seed of another length is none", arguments: [0, 31, 33])
    func refused(count: Int) {
        #expect(throws: WebhookError.self) { try WebhookSigningKey(seed: [UInt8](repeating: 1, count: count)) }
        #expect(!hasPendingOpenSSLErrors())
    }

    @Test("However it is printed, its private half is not seen") func hidden() throws {
        let key = try WebhookSigningKey(seed: [UInt8](repeating: 201, count: 32))
        var dumped = ""
        dump([key], to: &dumped)
        for text in ["\(key)", String(reflecting: key), "\([key])", dumped] {
            #expect(!text.contains("201") && !text.contains(Base64.standard.encode(key.seed).prefix(8)), "\(text)")
        }
    }
}
