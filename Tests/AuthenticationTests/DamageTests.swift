import Cryptography
import Testing

@testable import Authentication

@Suite("Damaged tokens")
struct DamageTests {
    @Test("Noise in the place of header or claims is refused without harm")
    func noise() throws {
        let verifier = TokenVerifier(issuers: [try TokenMaker.trustedIssuer()])
        for count in 0..<200 {
            let noise = Base64.url.encode(SecureRandom.bytes(count))
            for token in ["\(noise).\(noise).\(noise)", String(decoding: SecureRandom.bytes(count), as: UTF8.self)] {
                #expect(throws: AuthenticationError.self) { try verifier.verify(token) }
            }
        }
    }

    @Test("Claims cut anywhere, though signed, are refused without harm")
    func cutClaims() throws {
        let verifier = TokenVerifier(issuers: [try TokenMaker.trustedIssuer()])
        let claims = TokenMaker.claims(more: #""x":[{"y":"\u00e9\ud83c\udfe8"},-1.5e3,true,null],"#)
        _ = try verifier.verify(TokenMaker.hs256(claims: claims))
        for count in 0..<claims.utf8.count {
            let token = TokenMaker.hs256(claims: String(claims.prefix(count)))
            #expect(throws: AuthenticationError.self) { try verifier.verify(token) }
        }
    }

    @Test("Checking bad signatures leaves no error behind for the thread's next use of OpenSSL")
    func errorQueue() throws {
        // An RSA signature of another key decrypts to noise, about which OpenSSL complains in its queue.
        let token = try RSAKey.shared.get().token()
        let verifier = TokenVerifier(issuers: [try TokenMaker.trustedIssuer()])
        #expect(throws: AuthenticationError.self) { try verifier.verify(token) }
        #expect(!hasPendingOpenSSLErrors())
    }
}
