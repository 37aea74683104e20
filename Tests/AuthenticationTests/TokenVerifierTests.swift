import Cryptography
import Testing

@testable import Authentication

@Suite("Tokens that are accepted")
struct AcceptedTokenTests {
    private func verifier() throws -> TokenVerifier {
        let rsa = try RSAKey.shared.get()
        return TokenVerifier(issuers: [
            TrustedIssuer(
                issuer: TokenMaker.issuer, audience: "drawbridge", clockSkewInSeconds: 5,
                keys: [
                    try TokenMaker.key("hs", .hs256, Base64.standard.encode(TokenMaker.secret)),
                    try TokenMaker.key("ec", .es256, TokenMaker.ec.publicKey.pem),
                    try TokenMaker.key("rsa", .rs256, rsa.publicKey),
                ])
        ])
    }

    @Test("A token signed with any of the three algorithms proves the identity its claims describe")
    func algorithms() throws {
        let verifier = try verifier()
        let expected = Identity(
            issuer: TokenMaker.issuer, subject: "engine", client: "web", scopes: [.availabilityRead, .bookingWrite],
            hotelIDs: .some([1, 2, 3]),
            method: .jwt)
        for token in [TokenMaker.hs256(), TokenMaker.es256(), try RSAKey.shared.get().token()] {
            #expect(try verifier.verify(token) == expected)
        }
    }

    @Test("The signatures of RFC 7515 A.1 to A.3 are valid, and not under another key")
    func rfc7515() throws {
        let secret = try #require(Base64.url.decode(RFC7515.secret))
        let keys = [
            try TokenMaker.key("a1", .hs256, Base64.standard.encode(secret)),
            try TokenMaker.key("a2", .rs256, RFC7515.rsaPublicKey),
            try TokenMaker.key("a3", .es256, RFC7515.ecPublicKey),
        ]
        let tokens = [RFC7515.hs256, RFC7515.rs256, RFC7515.es256]
        for (index, token) in tokens.enumerated() {
            for (keyIndex, key) in keys.enumerated() {
                #expect(TokenSignature.isValid(of: token, key: key) == (index == keyIndex))
            }
        }
    }

    @Test("The audience may be one of several")
    func audienceList() throws {
        _ = try verifier().verify(TokenMaker.hs256(claims: TokenMaker.claims(aud: #"["other","drawbridge"]"#)))
    }

    @Test("Times may differ by the skew and no second more")
    func skew() throws {
        let now = TokenMaker.now
        let verifier = try verifier()
        let expiring = TokenMaker.hs256(claims: TokenMaker.claims(exp: "\(now)"))
        _ = try verifier.verify(expiring, now: now + 4)
        #expect(throws: AuthenticationError.self) { try verifier.verify(expiring, now: now + 5) }
        let future = TokenMaker.hs256(claims: TokenMaker.claims(more: #""nbf":\#(now),"iat":\#(now),"#))
        _ = try verifier.verify(future, now: now - 5)
        #expect(throws: AuthenticationError.self) { try verifier.verify(future, now: now - 6) }
    }

    @Test("The word * stands for every hotel, and no claim for none")
    func hotelAccess() throws {
        func access(_ claim: String) throws -> HotelAccess {
            let claims =
                #"{"iss":"\#(TokenMaker.issuer)","aud":"drawbridge","sub":"s","exp":\#(TokenMaker.now + 1)\#(claim)}"#
            return try verifier().verify(TokenMaker.hs256(claims: claims)).hotelIDs
        }
        #expect(try access(#","hotel_ids":"*""#) == .all)
        #expect(try access("") == .none)
    }

    @Test("Without a client claim the subject acts for itself, and without scopes it may do nothing")
    func leastClaims() throws {
        let claims = #"{"iss":"\#(TokenMaker.issuer)","aud":"drawbridge","sub":"s","exp":\#(TokenMaker.now + 1).5}"#
        let identity = try verifier().verify(TokenMaker.hs256(claims: claims))
        #expect(identity.client == "s")
        #expect(identity.scopes.isEmpty)
    }

    @Test("A token is good while remembered and refused once expired")
    func remembered() throws {
        let verifier = try verifier()
        let token = TokenMaker.es256()
        let first = try verifier.verify(token)
        #expect(try verifier.verify(token) === first)
        #expect(throws: AuthenticationError(.expired, "the token has expired")) {
            try verifier.verify(token, now: TokenMaker.now + 700)
        }
    }

    @Test(
        "The scheme is Bearer in any case, and the token what follows its spaces",
        arguments: ["Bearer ", "bearer ", "BEARER  "])
    func bearer(prefix: String) throws {
        let field = prefix + TokenMaker.hs256()
        let identity = try verifier().verify(authorization: field, now: TokenMaker.now)
        #expect(identity.subject == "engine")
    }
}

@Suite("Tokens that are refused")
struct RefusedTokenTests {
    private func refusal(_ token: String, now: Int64 = TokenMaker.now) throws -> AuthenticationError.Code? {
        let verifier = TokenVerifier(issuers: [try TokenMaker.trustedIssuer()])
        do throws(AuthenticationError) {
            _ = try verifier.verify(token, now: now)
            return nil
        } catch { return error.code }
    }

    @Test("A token without signature is refused, whatever it calls its algorithm", arguments: ["none", "None", "nOnE"])
    func none(name: String) throws {
        let input = TokenMaker.signingInput(TokenMaker.header(name, kid: "hs"), TokenMaker.claims())
        #expect(try refusal(input + ".") == .malformed)
        #expect(try refusal(input + ".AAAA") == .wrongAlgorithm)
        let signed = TokenMaker.hs256(header: TokenMaker.header(name, kid: "hs"))
        #expect(try refusal(signed) == .wrongAlgorithm)
    }

    @Test("A public key is no HMAC secret")
    func confusion() throws {
        for (kid, pem) in [("rsa", RFC7515.rsaPublicKey), ("ec", TokenMaker.ec.publicKey.pem)] {
            let token = TokenMaker.hs256(header: TokenMaker.header("HS256", kid: kid), secret: Array(pem.utf8))
            #expect(try refusal(token) == .wrongAlgorithm)
        }
    }

    @Test(
        "A key serves its own algorithm only",
        arguments: [
            ("RS256", "hs"), ("ES256", "hs"), ("HS512", "hs"), ("hs256", "hs"), ("RS256", "ec"), ("PS256", "rsa"),
        ])
    func algorithm(name: String, kid: String) throws {
        #expect(try refusal(TokenMaker.hs256(header: TokenMaker.header(name, kid: kid))) == .wrongAlgorithm)
    }

    @Test("An unknown key id finds no key")
    func unknownKey() throws {
        #expect(try refusal(TokenMaker.hs256(header: TokenMaker.header("HS256", kid: "old"))) == .unknownKey)
    }

    @Test(
        "A key id that means something elsewhere is refused before it is looked up",
        arguments: [
            "", "../../dev/null", "x' or '1'='1", "a b", "hs\\u0000", "hs\\n", String(repeating: "a", count: 65),
        ])
    func keyInjection(kid: String) throws {
        #expect(try refusal(TokenMaker.hs256(header: TokenMaker.header("HS256", kid: kid))) == .malformed)
    }

    @Test(
        "A header without key id or algorithm, of another type, or with a critical extension is refused",
        arguments: [
            #"{"alg":"HS256","typ":"JWT"}"#, #"{"alg":"HS256","kid":7}"#, #"{"kid":"hs"}"#, #"{"alg":1,"kid":"hs"}"#,
            #"{"alg":"HS256","kid":"hs","typ":"dpop+jwt"}"#, #"{"alg":"HS256","kid":"hs","typ":1}"#,
            #"{"alg":"HS256","kid":"hs","crit":["exp"],"exp":1}"#, #"{"alg":"HS256","kid":"hs","crit":[]}"#,
            #"["alg"]"#, "{}", "null", "", #"{"alg":"HS256","kid":"hs"} {}"#,
        ])
    func header(header: String) throws { #expect(try refusal(TokenMaker.hs256(header: header)) == .malformed) }

    @Test(
        "A name that stands twice is refused, in the header as in the claims",
        arguments: [
            (#"{"alg":"HS256","kid":"hs","alg":"none"}"#, TokenMaker.claims()),
            (#"{"alg":"none","kid":"hs","\u0061lg":"HS256"}"#, TokenMaker.claims()),
            (TokenMaker.header("HS256", kid: "hs"), TokenMaker.claims(more: #""sub":"admin","#)),
            (TokenMaker.header("HS256", kid: "hs"), TokenMaker.claims(more: #""exp":9999999999,"#)),
        ])
    func duplicates(header: String, claims: String) throws {
        #expect(try refusal(TokenMaker.hs256(header: header, claims: claims)) == .malformed)
    }

    @Test(
        "Another issuer, or none, is unknown",
        arguments: [
            #""https://evil.example""#, #""https://issuer.example/""#, #""HTTPS://issuer.example""#, "7", "null",
        ])
    func issuer(iss: String) throws {
        #expect(try refusal(TokenMaker.hs256(claims: TokenMaker.claims(iss: iss))) == .unknownIssuer)
    }

    @Test(
        "A token for somebody else, or for nobody, is refused",
        arguments: [
            #""other""#, #""Drawbridge""#, #""drawbridge ""#, "[]", #"["other"]"#, "1", "null", #"{"drawbridge":1}"#,
        ])
    func audience(aud: String) throws {
        #expect(try refusal(TokenMaker.hs256(claims: TokenMaker.claims(aud: aud))) == .wrongAudience)
    }

    @Test("A token whose time is over, or has not come, is refused")
    func times() throws {
        let now = TokenMaker.now
        #expect(try refusal(TokenMaker.hs256(claims: TokenMaker.claims(exp: "\(now - 60)"))) == .expired)
        #expect(try refusal(TokenMaker.hs256(claims: TokenMaker.claims(more: #""nbf":\#(now + 60),"#))) == .notYetValid)
        #expect(try refusal(TokenMaker.hs256(claims: TokenMaker.claims(more: #""iat":\#(now + 60),"#))) == .notYetValid)
    }

    @Test(
        "An expiry that is no time is refused",
        arguments: [#""\#(TokenMaker.now + 60)""#, "null", "-1", "1e300", "[1]"])
    func badExpiry(exp: String) throws {
        #expect(try refusal(TokenMaker.hs256(claims: TokenMaker.claims(exp: exp))) == .badClaim)
    }

    @Test(
        "Claims that are missing or of the wrong form are refused",
        arguments: [
            #""sub":"s""#, #""exp":1800000600"#, #""exp":1800000600,"sub":"""#, #""exp":1800000600,"sub":7"#,
            #""exp":1800000600,"sub":"a\nb""#, #""exp":1800000600,"sub":"s","scope":["admin"]"#,
            #""exp":1800000600,"sub":"s","hotel_ids":"1""#, #""exp":1800000600,"sub":"s","hotel_ids":["1"]"#,
            #""exp":1800000600,"sub":"s","hotel_ids":[0]"#, #""exp":1800000600,"sub":"s","hotel_ids":[4294967297]"#,
            #""exp":1800000600,"sub":"s","hotel_ids":1"#, #""exp":1800000600,"sub":"s","client_id":null"#,
            #""exp":1800000600,"sub":"s","nbf":1800000700"#, #""exp":1800000600,"sub":"s","iat":"x""#,
        ])
    func badClaims(claims: String) throws {
        let token = TokenMaker.hs256(claims: #"{"iss":"\#(TokenMaker.issuer)","aud":"drawbridge",\#(claims)}"#)
        #expect(try refusal(token) == .badClaim)
    }

    @Test("Changed claims do not fit the signature")
    func tampered() throws {
        for token in [TokenMaker.hs256(), TokenMaker.es256()] {
            let parts = token.split(separator: ".")
            let forged = TokenMaker.claims(more: #""jti":"x","#)
            #expect(try refusal("\(parts[0]).\(Base64.url.encode(Array(forged.utf8))).\(parts[2])") == .badSignature)
        }
    }

    @Test("A signature with any bit flipped is refused")
    func flippedSignature() throws {
        for token in [TokenMaker.hs256(), TokenMaker.es256()] {
            let parts = token.split(separator: ".")
            let signature = try #require(Base64.url.decode(String(parts[2])))
            for index in signature.indices {
                var flipped = signature
                flipped[index] ^= 0x10
                #expect(try refusal("\(parts[0]).\(parts[1]).\(Base64.url.encode(flipped))") == .badSignature)
            }
        }
    }

    @Test("A signature cut short or drawn out is refused")
    func signatureLength() throws {
        for token in [TokenMaker.hs256(), TokenMaker.es256()] {
            let parts = token.split(separator: ".")
            let signature = try #require(Base64.url.decode(String(parts[2])))
            for other in [Array(signature.dropLast()), signature + [0], [0], Array(repeating: 0, count: 64)] {
                #expect(try refusal("\(parts[0]).\(parts[1]).\(Base64.url.encode(other))") == .badSignature)
            }
        }
    }

    @Test("A token cut anywhere is refused")
    func truncated() throws {
        let token = TokenMaker.es256()
        for count in 0..<token.utf8.count { #expect(try refusal(String(token.prefix(count))) != nil) }
    }

    @Test("One byte changed anywhere is noticed")
    func anyByte() throws {
        let token = Array(TokenMaker.hs256().utf8)
        for index in token.indices {
            var changed = token
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(try refusal(String(decoding: changed, as: UTF8.self)) != nil)
        }
    }

    @Test("Anything but three parts of canonical base64url is malformed")
    func form() throws {
        let token = TokenMaker.hs256()
        let parts = token.split(separator: ".").map(String.init)
        let others = [
            "", ".", "..", "...", "a.b.c", token + ".", token + ".AAAA", "." + token, token + "=", " " + token,
            token + " ", token + "\n", token + "\0", parts[0] + "." + parts[1], parts[0] + ".." + parts[2],
            token.replacing("_", with: "/"), parts[0] + "=." + parts[1] + "." + parts[2],
        ].filter { $0 != token }
        for other in others { #expect(try refusal(other) == .malformed, "\(other)") }
    }

    @Test("A last character with stray bits is malformed though it stands for the same bytes")
    func strayBits() throws {
        // 32 bytes leave two bits of the last character unused.
        let token = TokenMaker.hs256()
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let last = try #require(alphabet.firstIndex(of: token.last!))
        #expect(try refusal(token.dropLast() + String(alphabet[last + 1])) == .malformed)
    }

    @Test("A token of more than 8 KiB is not looked at")
    func oversized() throws {
        let padding = String(repeating: "x", count: 7000)
        #expect(try refusal(TokenMaker.hs256(claims: TokenMaker.claims(more: #""pad":"\#(padding)","#))) == .malformed)
    }

    @Test("Claims nested deeply are malformed")
    func nesting() throws {
        let deep = String(repeating: "[", count: 1000) + String(repeating: "]", count: 1000)
        #expect(try refusal(TokenMaker.hs256(claims: TokenMaker.claims(more: #""x":\#(deep),"#))) == .malformed)
    }

    @Test("Refused tokens push no remembered one out")
    func flood() throws {
        let verifier = TokenVerifier(issuers: [try TokenMaker.trustedIssuer()], rememberedTokens: 4)
        let token = TokenMaker.hs256()
        let identity = try verifier.verify(token)
        for number in 0..<100 {
            let garbage = TokenMaker.hs256(
                claims: TokenMaker.claims(more: #""jti":"\#(number)","#), secret: Array(repeating: 1, count: 32))
            #expect(throws: AuthenticationError.self) { try verifier.verify(garbage) }
        }
        #expect(try verifier.verify(token) === identity)
    }

    @Test(
        "A request without credentials, or with others, is told apart",
        arguments: [nil, "Basic YTpi", "Bearer", "Bearer "])
    func schemes(field: String?) throws {
        let verifier = TokenVerifier(issuers: [try TokenMaker.trustedIssuer()])
        do throws(AuthenticationError) {
            _ = try verifier.verify(authorization: field, now: 0)
            Issue.record("accepted")
        } catch { #expect(error.code == (field == nil ? .missing : .unsupportedScheme)) }
    }
}
