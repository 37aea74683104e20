import Cryptography
import FoundationEssentials

@testable import Authentication

/// Makes tokens the way an issuer, or an attacker, would.
enum TokenMaker {
    static let issuer = "https://issuer.example"
    static let now: Int64 = 1_800_000_000
    static let secret = [UInt8](32..<80)
    static let ec = P256PrivateKey()

    /// Header and claims that are accepted as they stand.
    static func header(_ algorithm: String, kid: String) -> String {
        #"{"alg":"\#(algorithm)","typ":"JWT","kid":"\#(kid)"}"#
    }

    static func claims(
        iss: String = #""https://issuer.example""#, aud: String = #""drawbridge""#, exp: String = "\(now + 600)",
        more: String = ""
    ) -> String {
        #"{"iss":\#(iss),"aud":\#(aud),"sub":"engine","exp":\#(exp),"# + more
            + #""client_id":"web","scope":"availability:read booking:write other","hotel_ids":[3,1,2,3]}"#
    }

    static func hs256(
        header: String = header("HS256", kid: "hs"), claims: String = claims(), secret: [UInt8] = secret
    ) -> String {
        var mac = HMACSHA256(key: secret.span)
        let input = signingInput(header, claims)
        return input + "." + Base64.url.encode(mac.authenticationCode(for: input))
    }

    static func es256(
        header: String = header("ES256", kid: "ec"), claims: String = claims(), key: P256PrivateKey = ec
    ) -> String {
        let input = signingInput(header, claims)
        return input + "." + Base64.url.encode(key.signature(for: input))
    }

    static func signingInput(_ header: String, _ claims: String) -> String {
        Base64.url.encode(Array(header.utf8)) + "." + Base64.url.encode(Array(claims.utf8))
    }

    static func key(_ kid: String, _ algorithm: SignatureAlgorithm, _ contents: String) throws -> VerificationKey {
        try VerificationKey(keyID: kid, algorithm: algorithm, contents: contents.utf8.span)
    }

    /// An issuer with one key of each algorithm; RS256 with the key of RFC 7515 A.2.
    static func trustedIssuer(skew: Int64 = 5) throws -> TrustedIssuer {
        TrustedIssuer(
            issuer: issuer, audience: "drawbridge", clockSkewInSeconds: skew,
            keys: [
                try key("hs", .hs256, Base64.standard.encode(secret)),
                try key("ec", .es256, ec.publicKey.pem),
                try key("rsa", .rs256, RFC7515.rsaPublicKey),
            ])
    }
}

extension TokenVerifier {
    /// For tests, in which tokens are strings.
    func verify(_ token: String, now: Int64 = TokenMaker.now) throws(AuthenticationError) -> Identity {
        try verify(token.utf8.span, now: now)
    }
}

extension TokenSignature {
    static func isValid(of token: String, key: VerificationKey) -> Bool { isValid(of: token.utf8.span, key: key) }
}
