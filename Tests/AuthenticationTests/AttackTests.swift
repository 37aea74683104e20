import Cryptography
import Testing

@testable import Authentication

/// What RFC 8725 warns of, and the attacks that libraries have fallen for, beside those in `RefusedTokenTests`.
@Suite("Attacks on tokens")
struct AttackTests {
    private func refusal(_ token: String, _ issuers: [TrustedIssuer]) -> AuthenticationError.Code? {
        do throws(AuthenticationError) {
            _ = try TokenVerifier(issuers: issuers).verify(token)
            return nil
        } catch { return error.code }
    }

    private func refusal(_ token: String) throws -> AuthenticationError.Code? {
        refusal(token, [try TokenMaker.trustedIssuer()])
    }

    @Test(
        "A key that a token brings along, or says where to find, is not even looked at (RFC 8725 §3.10)",
        arguments: [
            #""jku":"https://evil.example/keys""#, #""x5u":"https://evil.example/chain""#, #""jwk":{"kty":"oct"}"#,
            #""x5c":["MIIB"]"#, #""x5t":"abc""#,
        ])
    func broughtKey(parameter: String) throws {
        let header = #"{"alg":"ES256","kid":"ec",\#(parameter)}"#
        #expect(try refusal(TokenMaker.es256(header: header, key: P256PrivateKey())) == .badSignature)
        // With the issuer's own key it is an ordinary token.
        #expect(try refusal(TokenMaker.es256(header: header)) == nil)
    }

    @Test("One issuer's key does not sign for another, even under the same key id (RFC 8725 §3.8)")
    func crossIssuer() throws {
        let other = P256PrivateKey()
        let issuers = [
            try TokenMaker.trustedIssuer(),
            TrustedIssuer(
                issuer: "https://other.example", audience: "drawbridge", clockSkewInSeconds: 0,
                keys: [try TokenMaker.key("ec", .es256, other.publicKey.pem)]),
        ]
        #expect(refusal(TokenMaker.es256(key: other), issuers) == .badSignature)
        let claims = TokenMaker.claims(iss: #""https://other.example""#)
        #expect(refusal(TokenMaker.es256(claims: claims), issuers) == .badSignature)
        #expect(refusal(TokenMaker.es256(claims: claims, key: other), issuers) == nil)
    }

    @Test("A token meant for another service of the same issuer is refused (RFC 8725 §3.9)")
    func substitution() throws {
        #expect(
            try refusal(TokenMaker.es256(claims: TokenMaker.claims(aud: #""drawbridge.example""#))) == .wrongAudience)
        let claims = #"{"iss":"\#(TokenMaker.issuer)","sub":"s","exp":\#(TokenMaker.now + 60)}"#
        #expect(try refusal(TokenMaker.es256(claims: claims)) == .wrongAudience)
    }

    @Test("A signature of zeros, or one in DER, is none (CVE-2022-21449)")
    func psychicSignature() throws {
        let input = TokenMaker.signingInput(TokenMaker.header("ES256", kid: "ec"), TokenMaker.claims())
        let order = Hexadecimal.decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")!
        let der: [UInt8] = [0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01]
        for signature in [
            [UInt8](repeating: 0, count: 64), order + order, order + [UInt8](repeating: 0, count: 32), der,
        ] {
            #expect(try refusal("\(input).\(Base64.url.encode(signature))") == .badSignature)
        }
    }

    @Test("An encrypted token, and one in JSON, is no compact signed one (RFC 7516, RFC 7515 §7.2)")
    func otherSerialisations() throws {
        let header = Base64.url.encode(Array(#"{"alg":"RSA-OAEP","enc":"A256GCM","kid":"rsa"}"#.utf8))
        #expect(try refusal("\(header).AAAA.AAAA.AAAA.AAAA") == .malformed)
        let parts = TokenMaker.es256().split(separator: ".")
        #expect(
            try refusal(#"{"protected":"\#(parts[0])","payload":"\#(parts[1])","signature":"\#(parts[2])"}"#)
                == .malformed)
    }

    @Test("A detached or unencoded payload is refused (RFC 7797)")
    func unencoded() throws {
        let header = #"{"alg":"ES256","kid":"ec","b64":false,"crit":["b64"]}"#
        #expect(try refusal(TokenMaker.es256(header: header)) == .malformed)
        let parts = TokenMaker.es256().split(separator: ".")
        #expect(try refusal("\(parts[0])..\(parts[2])") == .malformed)
    }

    @Test(
        "A secret of the wrong length or kind signs nothing: empty, the key id, the public key in other forms",
        arguments: ["", "hs", "ec", "secret", "your-256-bit-secret"])
    func guessedSecret(text: String) throws {
        #expect(try refusal(TokenMaker.hs256(secret: Array(text.utf8))) == .badSignature)
        let pem = TokenMaker.ec.publicKey.pem
        for form in [pem, String(pem.dropLast()), pem.replacing("\n", with: "\r\n"), pem.replacing("\n", with: "")] {
            #expect(try refusal(TokenMaker.hs256(secret: Array(form.utf8))) == .badSignature)
        }
    }

    @Test("An issuer whose tokens have a type of their own gives no others, and nobody else gives that type")
    func types() throws {
        func issuer(_ type: String?) throws -> TrustedIssuer {
            TrustedIssuer(
                issuer: TokenMaker.issuer, audience: "drawbridge", clockSkewInSeconds: 0, tokenType: type,
                keys: [try TokenMaker.key("ec", .es256, TokenMaker.ec.publicKey.pem)])
        }
        func token(_ type: String) -> String {
            TokenMaker.es256(header: #"{"alg":"ES256","kid":"ec"\#(type)}"#)
        }
        for accepted in ["", #","typ":"JWT""#, #","typ":"jwt""#, #","typ":"application/JWT""#] {
            #expect(refusal(token(accepted), [try issuer(nil)]) == nil)
            #expect(refusal(token(accepted), [try issuer("at+jwt")]) == .malformed)
        }
        for type in [#","typ":"at+jwt""#, #","typ":"application/AT+JWT""#] {
            #expect(refusal(token(type), [try issuer("at+JWT")]) == nil)
            #expect(refusal(token(type), [try issuer(nil)]) == .malformed)
        }
        #expect(refusal(token(#","typ":"dpop+jwt""#), [try issuer("at+jwt")]) == .malformed)
    }

    @Test("A key id of another issuer's key finds nothing, and one that is a path or a query never gets that far")
    func keyIDs() throws {
        for kid in ["/dev/null", "..", "hs'--", "hs\\u0000", "hs%00", "https://evil.example", "\\u4e00", " hs", "hs "] {
            let token = TokenMaker.hs256(header: #"{"alg":"HS256","kid":"\#(kid)"}"#, secret: [])
            #expect(try refusal(token) == (kid == ".." ? .unknownKey : .malformed), "\(kid)")
        }
    }

    @Test("Times that overflow, are huge, or come before their beginning are refused")
    func times() throws {
        let now = TokenMaker.now
        for exp in ["9223372036854775807", "9223372036854775808", "1e18", "1e400", "253402300800", "true", "{}", "NaN"]
        {
            let code = try refusal(TokenMaker.es256(claims: TokenMaker.claims(exp: exp)))
            #expect(code == .badClaim || code == .malformed, "\(exp)")
        }
        #expect(try refusal(TokenMaker.es256(claims: TokenMaker.claims(more: #""nbf":"\#(now)","#))) == .badClaim)
        #expect(
            try refusal(TokenMaker.es256(claims: TokenMaker.claims(more: #""nbf":\#(now + 700),"iat":1,"#)))
                == .badClaim)
    }

    @Test("A token that was accepted is refused as soon as one byte of it differs")
    func rememberedNeighbour() throws {
        let verifier = TokenVerifier(issuers: [try TokenMaker.trustedIssuer()])
        let token = TokenMaker.hs256()
        _ = try verifier.verify(token)
        for other in [token + "A", String(token.dropLast()), token.uppercased(), " " + token] {
            #expect(throws: AuthenticationError.self) { try verifier.verify(other) }
        }
    }
}
