internal import Cryptography

/// The demo booking engine's access token (RFC 7519): signed by the installation's own issuer, which the demo policy
/// trusts.
enum DemoToken {
    static let issuer = "https://demo.drawbridge.example"
    static let lifetimeInSeconds = 30 * 86_400

    /// - Parameter unixTime: when it is issued, in seconds since 1970.
    static func make(_ key: P256PrivateKey, unixTime: Int) -> String {
        let header = #"{"alg":"ES256","typ":"JWT","kid":"demo-1"}"#
        let claims =
            #"{"iss":"\#(issuer)","aud":"drawbridge","sub":"booking-engine","#
            + #""client_id":"booking-engine","scope":"availability:read hotel:read booking:read booking:write","#
            + #""hotel_ids":"*","iat":\#(unixTime),"exp":\#(unixTime + lifetimeInSeconds),"#
            + #""jti":"\#(Hexadecimal.encode(SecureRandom.bytes(16)))"}"#
        let input = Base64.url.encode(Array(header.utf8)) + "." + Base64.url.encode(Array(claims.utf8))
        return input + "." + Base64.url.encode(key.signature(for: input))
    }
}
