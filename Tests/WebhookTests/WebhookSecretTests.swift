import Cryptography
import TestSupport
import Testing

@testable import Webhook

@Suite struct WebhookSecretTests {
    /// The secret of the Standard Webhooks' own tests.
    private static let published = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    private static func text(_ byteCount: Int) -> String {
        "whsec_" + Base64.standard.encode([UInt8](repeating: 7, count: byteCount))
    }

    @Test("The published secret is read, and written as it was") func published() throws {
        let secret = try WebhookSecret(parsing: Self.published)
        #expect(secret.bytes.count == 24 && secret.text == Self.published)
    }

    @Test("Any secret of 24 to 64 bytes is read back from its text", arguments: 0..<40)
    func roundTrip(seed: UInt64) throws {
        var random = SeededNumbers(seed: seed)
        let bytes = (0..<Int.random(in: 24...64, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        let secret = try WebhookSecret(bytes: bytes)
        #expect(try WebhookSecret(parsing: secret.text) == secret)
        #expect(secret.bytes == bytes)
    }

    @Test("A fresh secret has 32 bytes, and no two are the same") func fresh() {
        let secrets = (0..<100).map { _ in WebhookSecret() }
        #expect(secrets.allSatisfy { $0.bytes.count == 32 })
        #expect(Set(secrets.map(\.bytes)).count == 100)
    }

    @Test(
        "What is wrong with a secret is said",
        arguments: [
            ("", "a secret begins with whsec_"), ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a secret begins with whsec_"),
            ("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a secret begins with whsec_"),
            ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a secret begins with whsec_"),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "a secret is whsec_ and base64 with its padding"),
            ("whsec_ MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a secret is whsec_ and base64 with its padding"),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "a secret is whsec_ and base64 with its padding"),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_", "a secret is whsec_ and base64 with its padding"),
            ("whsec_\u{301}MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a secret is whsec_ and base64 with its padding"),
            ("whsec_パスワード", "a secret is whsec_ and base64 with its padding"),
            ("whsec_", "a secret has 24 to 64 bytes, not 0"),
            (text(23), "a secret has 24 to 64 bytes, not 23"), (text(65), "a secret has 24 to 64 bytes, not 65"),
            (text(100_000), "a secret has 24 to 64 bytes, not 100000"),
        ])
    func refused(text: String, message: String) {
        #expect { try WebhookSecret(parsing: text) } throws: { error in
            let error = error as? WebhookError
            return error?.code == .secret && error?.message == message
        }
    }

    @Test("The bounds themselves are allowed", arguments: [24, 64]) func bounds(byteCount: Int) throws {
        #expect(try WebhookSecret(parsing: Self.text(byteCount)).bytes.count == byteCount)
    }

    @Test("Secrets are equal when every byte is") func equality() throws {
        let bytes = [UInt8](0..<32)
        for index in bytes.indices {
            var other = bytes
            other[index] ^= 1 << UInt8(index % 8)
            #expect(try WebhookSecret(bytes: bytes) != WebhookSecret(bytes: other))
        }
        #expect(try WebhookSecret(bytes: bytes) == WebhookSecret(bytes: bytes))
        #expect(try WebhookSecret(bytes: bytes) != WebhookSecret(bytes: bytes + [0]))
    }

    @Test("However it is printed, nothing of it is seen") func hidden() throws {
        struct Holder { let secret: WebhookSecret }
        let secret = try WebhookSecret(bytes: [UInt8](repeating: 201, count: 32))
        var texts = ["\(secret)", String(describing: secret), String(reflecting: secret), "\([secret])"]
        texts += ["\(Holder(secret: secret))", "\(Optional(secret) as Any)"]
        for subject in [secret as Any, Holder(secret: secret), [secret]] {
            var dumped = ""
            dump(subject, to: &dumped)
            texts.append(dumped)
        }
        for text in texts {
            #expect(!text.contains("201") && !text.contains(secret.text.dropFirst(6).prefix(8)), "\(text)")
        }
        #expect("\(secret)" == "whsec_***")
    }
}
