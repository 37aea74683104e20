import Cryptography
import Testing

@testable import Authentication

/// Counts instead of stopping the time: what costs time is the check of a signature.
@Suite("Refusals cost the same whatever the reason")
struct UniformRefusalTests {
    private static let stranger = P256PrivateKey()

    private func tokens(_ algorithm: String, _ kid: String) -> [AuthenticationError.Code: String] {
        func token(_ kid: String, _ issuer: String = #""https://issuer.example""#, type: String = "JWT") -> String {
            let header = #"{"alg":"\#(algorithm)","typ":"\#(type)","kid":"\#(kid)"}"#
            let claims = TokenMaker.claims(iss: issuer)
            switch algorithm {
            case "HS256":
                return TokenMaker.hs256(header: header, claims: claims, secret: [UInt8](repeating: 1, count: 32))
            case "RS256":
                let signature = [UInt8](repeating: 7, count: 256)
                return TokenMaker.signingInput(header, claims) + "." + Base64.url.encode(signature)
            default: return TokenMaker.es256(header: header, claims: claims, key: Self.stranger)
            }
        }
        return [
            .badSignature: token(kid), .unknownKey: token("nobody"),
            .unknownIssuer: token(kid, #""https://nobody.example""#), .malformed: token(kid, type: "dpop+jwt"),
            .wrongAlgorithm: token(kid == "hs" ? "ec" : "hs"),
        ]
    }

    @Test("One signature is checked for each, by a key of the algorithm that the token names")
    func oneCheck() throws {
        for (algorithm, kid) in [("ES256", "ec"), ("HS256", "hs"), ("RS256", "rsa")] {
            for (code, token) in tokens(algorithm, kid) {
                let verifier = TokenVerifier(issuers: [try TokenMaker.trustedIssuer()])
                do throws(AuthenticationError) {
                    _ = try verifier.verify(token)
                    Issue.record("accepted: \(algorithm) \(code)")
                } catch { #expect(error.code == code, "\(algorithm)") }
                #expect(verifier.checkedSignatures == 1, "\(algorithm) \(code)")
            }
        }
    }

    @Test("A token signed with another issuer's key proves nothing, although a signature was checked with that key")
    func decoyProvesNothing() throws {
        let other = TrustedIssuer(
            issuer: "https://other.example", audience: "drawbridge", clockSkewInSeconds: 0,
            keys: [try TokenMaker.key("rsa", .rs256, RFC7515.rsaPublicKey)])
        let verifier = TokenVerifier(issuers: [try TokenMaker.trustedIssuer(), other])
        for (token, code) in [
            (TokenMaker.es256(claims: TokenMaker.claims(iss: #""https://other.example""#)), .unknownKey),
            (TokenMaker.es256(claims: TokenMaker.claims(iss: #""https://none.example""#)), .unknownIssuer),
            (TokenMaker.es256(header: TokenMaker.header("ES256", kid: "nobody")), .unknownKey),
            (TokenMaker.es256(header: TokenMaker.header("ES256", kid: "rsa")), .wrongAlgorithm),
        ] as [(String, AuthenticationError.Code)] {
            do throws(AuthenticationError) {
                _ = try verifier.verify(token)
                Issue.record("accepted: \(code)")
            } catch { #expect(error.code == code) }
            #expect(verifier.checkedSignatures > 0)
        }
    }

    @Test("A signature as long as only another's key makes is checked with that, and is not good for it")
    func lengths() throws {
        let large = try RSAKey(bits: 3072)
        let other = TrustedIssuer(
            issuer: "https://other.example", audience: "drawbridge", clockSkewInSeconds: 0,
            keys: [try TokenMaker.key("large", .rs256, large.publicKey)])
        let verifier = TokenVerifier(issuers: [try TokenMaker.trustedIssuer(), other])
        // Signed by `large`, which is not this issuer's, in the name of a key that is.
        let header = TokenMaker.header("RS256", kid: "rsa")
        let token = try large.token(header: header, claims: TokenMaker.claims())
        do throws(AuthenticationError) {
            _ = try verifier.verify(token)
            Issue.record("accepted")
        } catch { #expect(error.code == .badSignature) }
        #expect(verifier.checkedSignatures == 1)
    }

    @Test("Keys that are published count as well, and what nobody has a key for costs nothing, whoever is named")
    func published() throws {
        let issuer = TrustedIssuer(
            issuer: TokenMaker.issuer, audience: "drawbridge", clockSkewInSeconds: 0, keys: [],
            keySetAlgorithms: [.es256])
        let verifier = TokenVerifier(issuers: [issuer])
        let unknown = TokenMaker.es256(claims: TokenMaker.claims(iss: #""https://none.example""#))
        func check(_ token: String) -> Int {
            let before = verifier.checkedSignatures
            #expect(throws: AuthenticationError.self) { try verifier.verify(token) }
            return verifier.checkedSignatures - before
        }
        #expect(check(unknown) == 0 && check(TokenMaker.es256()) == 0)
        verifier.replaceKeys(
            of: TokenMaker.issuer, with: [try TokenMaker.key("new", .es256, Self.stranger.publicKey.pem)])
        #expect(check(unknown) == 1 && check(TokenMaker.es256()) == 1)
        #expect(check(TokenMaker.hs256()) == 0)
    }
}
