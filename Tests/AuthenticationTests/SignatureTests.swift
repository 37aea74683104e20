import Cryptography
import Testing

@testable import Authentication

@Suite("Signed requests")
struct SignatureTests {
    private static let now: Int64 = 1_618_884_473
    private static let nonce = "b3k2pp5k7z-50gnwp.yemd"
    private static let parameters = #";created=\#(now);nonce="\#(nonce)";keyid="shop""#
    private static let covered = #"("@method" "@target-uri" "content-digest")\#(parameters)"#

    private let verifier = SignatureVerifier(
        clients: [
            SigningClient(
                keyID: "shop", key: .hmacSHA256(SignedRequest.rfcSecret), client: "web-shop", scopes: [.bookingWrite],
                hotelIDs: .of([3]))
        ], terms: SignatureTerms())

    private func refusal(
        _ request: SignedRequest, hasContent: Bool = true, now: Int64 = now
    ) -> AuthenticationError.Code? {
        do throws(AuthenticationError) {
            _ = try verifier.verify(request, hasContent: hasContent, now: now)
            return nil
        } catch { return error.code }
    }

    @Test("The example of RFC 9421 B.2.5 has the signature it should")
    func rfcVector() throws {
        let covered = #"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#
        let base = try #require(SignedRequest.rfc.base(covered))
        #expect(
            base == """
                "date": Tue, 20 Apr 2021 02:07:55 GMT
                "@authority": example.com
                "content-type": application/json
                "@signature-params": ("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"
                """)
        let secret = SignedRequest.rfcSecret
        var mac = HMACSHA256(key: secret.span)
        #expect(
            Base64.standard.encode(mac.authenticationCode(for: base)) == "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=")
    }

    @Test("Every derived component is made as RFC 9421 §2.2 says")
    func derived() {
        var request = SignedRequest(authority: "WWW.Example.com:443", path: "/path", query: "param=value")
        func value(_ component: String) -> String? {
            request.base("(\(component))").map {
                String($0.split(separator: "\n")[0].dropFirst(component.utf8.count + 2))
            }
        }
        #expect(value(#""@method""#) == "POST")
        #expect(value(#""@target-uri""#) == "https://www.example.com/path?param=value")
        #expect(value(#""@authority""#) == "www.example.com")
        #expect(value(#""@scheme""#) == "https")
        #expect(value(#""@request-target""#) == "/path?param=value")
        #expect(value(#""@path""#) == "/path")
        #expect(value(#""@query""#) == "?param=value")
        request.query = "param=value&foo=bar&baz=batman&qux="
        #expect(value(#""@query-param";name="baz""#) == "batman")
        #expect(value(#""@query-param";name="qux""#) == "")
        request.query =
            "var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something"
        #expect(value(#""@query-param";name="var""#) == "this%20is%20a%20big%0Amultiline%20value")
        #expect(value(#""@query-param";name="bar""#) == "with%20plus%20whitespace")
        #expect(value(#""@query-param";name="fa%C3%A7ade%22%3A%20""#) == "something")
        request.query = nil
        #expect(value(#""@query""#) == "?")
        request.authority = "example.com:8443"
        #expect(value(#""@authority""#) == "example.com:8443")
    }

    @Test("Field lines are joined in order, or wrapped one by one (RFC 9421 §2.1)")
    func fields() {
        let request = SignedRequest(fields: [("X-List", "a, b"), ("Empty", ""), ("x-list", "c")])
        #expect(request.base(#"("x-list" "empty")"#)?.hasPrefix("\"x-list\": a, b, c\n\"empty\": \n") == true)
        #expect(request.base(#"("x-list";bs)"#)?.hasPrefix("\"x-list\";bs: :YSwgYg==:, :Yw==:\n") == true)
    }

    @Test(
        "A component that is not there, is there twice, or that we do not know makes no base",
        arguments: [
            #"("x-missing")"#, #"("date" "date")"#, #"("@status")"#, #"("@method";req)"#, #"("date";tr)"#,
            #"("date";sf)"#, #"("date";key="a")"#, #"("Date")"#, #"("@query-param")"#, #"("@query-param";name="none")"#,
            #"("@query-param";name=1)"#, #"("@query-param";name="twice")"#, #"("@unknown")"#, #"("")"#, #"(date)"#,
            #"(1)"#,
            #"("@method" "@method")"#, #"("line")"#, #"("foreign")"#, #"("@signature-params")"#,
        ])
    func noBase(covered: String) {
        var request = SignedRequest.rfc
        request.query = "twice=1&twice=2"
        request.fields += [("Line", "a\n\"@method\": GET"), ("Foreign", "部屋")]
        #expect(request.base(covered) == nil)
    }

    @Test("A good signature proves its client, and says what is left to check")
    func good() throws {
        let signature = try verifier.verify(SignedRequest.rfc.signed(Self.covered), hasContent: true, now: Self.now)
        #expect(
            signature.identity
                == Identity(
                    issuer: "urn:drawbridge:client", subject: "signature-shop", client: "web-shop",
                    scopes: [.bookingWrite], hotelIDs: .of([3]), method: .signature))
        #expect(signature.nonce == Self.nonce && signature.keyID == "shop" && signature.created == Self.now)
        let digest = try #require(signature.contentDigest)
        let content = Array(SignedRequest.rfcContent.utf8)
        #expect(digest.matches(content))
        let other = Array(#"{"hello": "World"}"#.utf8)
        #expect(!digest.matches(other))
    }

    @Test("Whatever of the request is changed after signing is noticed")
    func tampered() {
        let good = SignedRequest.rfc.signed(
            #"("@method" "@target-uri" "content-digest" "content-type")\#(Self.parameters)"#)
        #expect(refusal(good) == nil)
        var changed: [SignedRequest] = Array(repeating: good, count: 8)
        changed[0].method = "PUT"
        changed[1].path = "/bar"
        changed[2].query = "param=value&Pet=dog"
        changed[3].query = nil
        changed[4].authority = "example.org"
        changed[5].scheme = "http"
        changed[6].fields[2].value = "text/plain"
        changed[7].fields.append(("Content-Type", "text/plain"))
        for request in changed { #expect(refusal(request) == .badSignature) }
    }

    @Test("The signature is good for its time: not before it was made, not when it is old or has expired")
    func times() {
        let request = SignedRequest.rfc.signed(Self.covered)
        #expect(refusal(request, now: Self.now - 5) == nil)
        #expect(refusal(request, now: Self.now - 6) == .notYetValid)
        #expect(refusal(request, now: Self.now + 305) == nil)
        #expect(refusal(request, now: Self.now + 306) == .expired)
        let expiring = SignedRequest.rfc.signed(Self.covered + ";expires=\(Self.now + 10)")
        #expect(refusal(expiring, now: Self.now + 14) == nil)
        #expect(refusal(expiring, now: Self.now + 15) == .expired)
        #expect(refusal(SignedRequest.rfc.signed(Self.covered + ";expires=\(Self.now)")) == .badClaim)
    }

    @Test("Without created or a nonce of some length, and without all that must be covered, it is not enough")
    func terms() {
        let long = String(repeating: "n", count: 129)
        for (covered, hasContent) in [
            (#"("@method" "@target-uri" "content-digest");created=\#(Self.now);keyid="shop""#, true),
            (#"("@method" "@target-uri" "content-digest");nonce="\#(Self.nonce)";keyid="shop""#, true),
            (#"("@method" "@target-uri" "content-digest");created=\#(Self.now);nonce="short";keyid="shop""#, true),
            (#"("@method" "@target-uri" "content-digest");created=\#(Self.now);nonce="\#(long)";keyid="shop""#, true),
            (#"("@method" "@target-uri")\#(Self.parameters)"#, true), (#"("@method")\#(Self.parameters)"#, false),
            (#"("@method" "@path" "@query")\#(Self.parameters)"#, false), (#"()\#(Self.parameters)"#, false),
            (#"("@method" "@target-uri" "content-digest";bs)\#(Self.parameters)"#, true),
        ] {
            #expect(refusal(SignedRequest.rfc.signed(covered), hasContent: hasContent) == .badClaim, "\(covered)")
        }
        #expect(
            refusal(SignedRequest.rfc.signed(#"("@method" "@target-uri")\#(Self.parameters)"#), hasContent: false)
                == nil)
    }

    @Test("Another key, another algorithm, and a key for another client prove nothing")
    func keys() {
        let other = [UInt8](repeating: 7, count: 32)
        #expect(refusal(SignedRequest.rfc.signed(Self.covered, secret: other)) == .badSignature)
        #expect(refusal(SignedRequest.rfc.signed(Self.covered, secret: [])) == .badSignature)
        #expect(refusal(SignedRequest.rfc.signed(Self.covered.replacing("shop", with: "shop2"))) == .unknownKey)
        #expect(refusal(SignedRequest.rfc.signed(Self.covered.replacing(#";keyid="shop""#, with: ""))) == .unknownKey)
        #expect(refusal(SignedRequest.rfc.signed(Self.covered + #";alg="hmac-sha256""#)) == nil)
        for name in ["rsa-v1_5-sha256", "ed25519", "none", "HMAC-SHA256", ""] {
            #expect(refusal(SignedRequest.rfc.signed(Self.covered + #";alg="\#(name)""#)) == .wrongAlgorithm)
        }
    }

    @Test("Of several signatures ours is found, and one that somebody added does not stand for it")
    func several() {
        let proxy = SignedRequest.rfc.signed(
            #"("@method");created=1;keyid="proxy""#, secret: [1, 2, 3], label: "proxy")
        #expect(refusal(proxy.signed(Self.covered)) == nil)
        #expect(refusal(proxy) == .unknownKey)
        var many = SignedRequest.rfc
        for number in 0..<5 { many = many.signed(Self.covered, label: "s\(number)") }
        #expect(refusal(many) == .malformed)
    }

    @Test("Fields that do not fit together, or are no structured fields, are refused")
    func form() {
        let good = SignedRequest.rfc.signed(Self.covered)
        let (input, value) = (good.fields[good.fields.count - 2].value, good.fields[good.fields.count - 1].value)
        for (input, value) in [
            (input, ""), ("", value), ("", ""), (input, value.replacing("sig", with: "gis")), (input, "sig"),
            (input, "sig=\"text\""), (input, "sig=:AA=A:"), (input, value + ", b=:AAAA:"), ("sig=1", value),
            ("sig", value),
            (input + ",", value), (input, value + " x"), (input + ", " + input, value + ", " + value),
            (input.replacing("created=", with: "created=\"x\";c="), value),
            (input.replacing("\"@method\"", with: "@method"), value),
            (input.replacing("nonce=\"", with: "nonce=:AAAA:;n=\""), value), (input.replacing(")", with: ""), value),
            ("sig=(" + String(repeating: "\"@method\" ", count: 70) + ")", value),
            (String(repeating: "x", count: 9000), value),
        ] {
            var request = SignedRequest.rfc
            request.fields += [("Signature-Input", input), ("Signature", value)]
            #expect(refusal(request) == .malformed, "\(input) \(value)")
        }
        #expect(refusal(SignedRequest.rfc) == .malformed)
    }

    @Test("Spaces in the field do not matter to what was signed, as the RFC serialises it anew")
    func canonical() {
        var request = SignedRequest.rfc.signed(Self.covered)
        let index = request.fields.count - 2
        request.fields[index].value = request.fields[index].value.replacing("(\"@method\" ", with: "(  \"@method\"   ")
            .replacing(";nonce", with: "; nonce")
        #expect(refusal(request) == nil)
    }
}

@Suite("Digests of content")
struct ContentDigestTests {
    private static let content = Array(SignedRequest.rfcContent.utf8)
    private static let sha256 = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
    private static let sha512 = SignedRequest.rfc.fieldValues("content-digest")[0]

    @Test("The examples of RFC 9530 and RFC 9421 match their content and no other", arguments: [sha256, sha512])
    func vectors(field: String) throws {
        let digest = try #require(ContentDigest.reading(field))
        #expect(digest.matches(Self.content))
        #expect(!digest.matches(Array(Self.content.dropLast())))
        #expect(!digest.matches([UInt8]()))
    }

    @Test("Every digest that we know has to match, others are passed over")
    func several() throws {
        #expect(try #require(ContentDigest.reading("\(Self.sha256), \(Self.sha512), md5=:AAAA:")).matches(Self.content))
        let wrong = Self.sha512.replacing("W", with: "X")
        #expect(try !#require(ContentDigest.reading("\(Self.sha256), \(wrong)")).matches(Self.content))
    }

    @Test(
        "Without an algorithm we know, or in another form, there is no digest",
        arguments: [
            "", "md5=:AAAA:", "sha-256=:AAAA:", "sha-256=\"text\"", "sha-256", "SHA-256=:AAAA:", "sha-256=AAAA", "x",
            "\(sha256),", "\(sha256) \(sha512)", "\(sha256), sha-512=:AAAA:",
        ])
    func none(field: String) { #expect(ContentDigest.reading(field) == nil) }
}

extension ContentDigest {
    /// For tests, in which fields are strings.
    static func reading(_ field: String) -> ContentDigest? { ContentDigest(field.utf8.span) }

    func matches(_ content: [UInt8]) -> Bool { matches(content.span) }
}
