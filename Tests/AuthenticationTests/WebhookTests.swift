import Cryptography
import Testing

@testable import Authentication

@Suite("Vendors' webhooks")
struct WebhookTests {
    private static let now: Int64 = 1_800_000_000
    private static let content = Array(#"{"event":"room.updated"}"#.utf8)
    private static let secret = Array("0123456789abcdef0123456789abcdef".utf8)

    private static func code(_ message: String, _ secret: [UInt8] = secret) -> [UInt8] {
        var mac = HMACSHA256(key: secret.span)
        return mac.authenticationCode(for: message).bytes
    }

    private static let hex = Hexadecimal.encode(code(String(decoding: content, as: UTF8.self)))
    private static let base64 = Base64.standard.encode(code(String(decoding: content, as: UTF8.self)))

    private func refusal(
        _ terms: WebhookTerms, _ fields: [(String, String)], content: [UInt8] = content, now: Int64 = now
    ) -> AuthenticationError.Code? {
        let verifier = WebhookVerifier(terms)
        do throws(AuthenticationError) {
            let claim = try verifier.claim({ name in fields.filter { $0.0 == name }.map(\.1) }, now: now)
            try verifier.check(claim, content.span)
            return nil
        } catch { return error.code }
    }

    @Test("GitHub's example: X-Hub-Signature-256 over the content, as its documentation has it")
    func github() {
        let terms = WebhookTerms(
            field: "x-hub-signature-256", prefix: "sha256=", encoding: .hex,
            secrets: [Array("It's a Secret to Everybody".utf8)])
        let value = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        let content = Array("Hello, World!".utf8)
        #expect(refusal(terms, [("x-hub-signature-256", value)], content: content) == nil)
        #expect(refusal(terms, [("x-hub-signature-256", value)]) == .badSignature)
    }

    @Test("Slack's example: version, time and content, as its documentation has it")
    func slack() throws {
        let terms = WebhookTerms(
            field: "x-slack-signature", prefix: "v0=", encoding: .hex,
            signed: try #require(WebhookTerms.parts("v0:{timestamp}:{body}")),
            timestampField: "x-slack-request-timestamp", clockSkewInSeconds: 5,
            secrets: [Array("8f742231b10e8888abcd99yyyzzz85a5".utf8)])
        let content = Array(
            ("token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
                + "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
                + "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
                + "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c").utf8)
        let fields = [
            ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
            ("x-slack-request-timestamp", "1531420618"),
        ]
        for now: Int64 in [1_531_420_618, 1_531_420_618 + 305, 1_531_420_618 - 5] {
            #expect(refusal(terms, fields, content: content, now: now) == nil)
        }
        #expect(refusal(terms, fields, content: content, now: 1_531_420_618 + 306) == .expired)
        #expect(refusal(terms, fields, content: content, now: 1_531_420_618 - 6) == .notYetValid)
        let later = [fields[0], ("x-slack-request-timestamp", "1531420619")]
        #expect(refusal(terms, later, content: content, now: 1_531_420_618) == .badSignature)
    }

    @Test("Time and codes may stand in one field, and one good code of several is enough")
    func combined() throws {
        let terms = WebhookTerms(
            field: "stripe-signature", prefix: "v1=", separator: ",", encoding: .hex,
            signed: try #require(WebhookTerms.parts("{timestamp}.{body}")), timestampField: "stripe-signature",
            timestampPrefix: "t=", secrets: [Self.secret])
        let text = String(decoding: Self.content, as: UTF8.self)
        let good = Hexadecimal.encode(Self.code("\(Self.now).\(text)"))
        let bad = String(repeating: "0", count: 64)
        for value in [
            "t=\(Self.now),v1=\(good)", "t=\(Self.now), v1=\(bad), v1=\(good), v0=x",
            "v1=\(good.uppercased()),t=\(Self.now)",
        ] {
            #expect(refusal(terms, [("stripe-signature", value)]) == nil)
        }
        for (value, code) in [
            ("t=\(Self.now),v1=\(bad)", AuthenticationError.Code.badSignature),
            ("t=\(Self.now),v0=\(good)", .malformed),
            ("v1=\(good)", .malformed), ("t=1,t=\(Self.now),v1=\(good)", .malformed), ("t=-1,v1=\(good)", .malformed),
            ("t=\(Self.now),v1=\(good),v1=\(bad),v1=\(bad),v1=\(bad),v1=\(bad)", .malformed), ("", .malformed),
        ] {
            #expect(refusal(terms, [("stripe-signature", value)]) == code, "\(value)")
        }
    }

    @Test("Standard Webhooks: id, time and content, base64, several signatures with spaces between")
    func standard() throws {
        let terms = WebhookTerms(
            field: "webhook-signature", prefix: "v1,", separator: " ", encoding: .base64,
            signed: try #require(WebhookTerms.parts("{field:webhook-id}.{timestamp}.{body}")),
            timestampField: "webhook-timestamp", secrets: [Self.secret])
        let text = String(decoding: Self.content, as: UTF8.self)
        let good = Base64.standard.encode(Self.code("msg_1.\(Self.now).\(text)"))
        func fields(id: String) -> [(String, String)] {
            [("webhook-id", id), ("webhook-timestamp", "\(Self.now)"), ("webhook-signature", "v1a,abc v1,\(good)")]
        }
        #expect(refusal(terms, fields(id: "msg_1")) == nil)
        #expect(refusal(terms, fields(id: "msg_2")) == .badSignature)
        #expect(refusal(terms, Array(fields(id: "msg_1").dropFirst())) == .missing)
    }

    @Test("A repetition is told whatever the form of its code and whichever secret made it")
    func repetition() throws {
        let other = [UInt8](repeating: 9, count: 32)
        let terms = WebhookTerms(field: "x-code", separator: ",", encoding: .hex, secrets: [Self.secret, other])
        let verifier = WebhookVerifier(terms)
        func digest(_ value: String, _ content: [UInt8] = Self.content) throws -> Digest256 {
            try verifier.check(try verifier.claim({ _ in [value] }, now: Self.now), content.span)
        }
        let text = String(decoding: Self.content, as: UTF8.self)
        let second = Hexadecimal.encode(Self.code(text, other))
        let first = try digest(Self.hex)
        for value in [Self.hex.uppercased(), second, "\(second),\(Self.hex)"] { #expect(try digest(value) == first) }
        #expect(try digest(Hexadecimal.encode(Self.code("x")), Array("x".utf8)) != first)
    }

    @Test("A webhook that says when it was sent is remembered for as long as it could be accepted")
    func memory() {
        func memory(_ timestampField: String?) -> Int64 {
            WebhookSender(
                name: "v",
                terms: WebhookTerms(
                    field: "x-code", encoding: .hex, timestampField: timestampField, maximumAgeInSeconds: 60,
                    clockSkewInSeconds: 7, secrets: []), memoryInSeconds: 1000, client: "c", scopes: [], hotelIDs: .none
            ).memoryInSeconds
        }
        #expect(memory("x-time") == 75 && memory(nil) == 1000)
    }

    @Test("While a secret is changed both count, and no other")
    func twoSecrets() {
        let other = [UInt8](repeating: 9, count: 32)
        for (secrets, code) in [
            ([Self.secret, other], nil), ([other, Self.secret], nil), ([other], AuthenticationError.Code.badSignature),
            ([], .badSignature),
        ] {
            let terms = WebhookTerms(field: "x-code", encoding: .base64, secrets: secrets)
            #expect(refusal(terms, [("x-code", Self.base64)]) == code)
        }
    }

    @Test("A code that is missing, there twice, or of another form is refused before the content is looked at")
    func form() {
        let terms = WebhookTerms(field: "x-code", prefix: "sha256=", encoding: .hex, secrets: [Self.secret])
        #expect(refusal(terms, []) == .missing)
        #expect(refusal(terms, [("x-code", "sha256=\(Self.hex)"), ("x-code", "sha256=\(Self.hex)")]) == .missing)
        for value in [
            "", Self.hex, "SHA256=\(Self.hex)", "sha256=", "sha256=\(Self.hex.dropLast(2))", "sha256=\(Self.hex)00",
            "sha256=\(Self.base64)", "sha1=\(Self.hex)", "sha256=\(Self.hex) ", String(repeating: "x", count: 3000),
        ] {
            #expect(refusal(terms, [("x-code", value)]) == .malformed, "\(value)")
        }
    }

    @Test(
        "A template names the content, and nothing that there is not",
        arguments: [
            "", "{timestamp}", "{body", "body}", "{}", "{field:}", "{path}{body}", "{body}}", "{timestamp}{body}",
        ])
    func templates(template: String) { #expect(WebhookTerms.parts(template) == nil) }
}
