import Cryptography
import Loop

/// Access tokens as the demo issuer would sign them, and as others would forge them.
struct Token {
    var issuer = "https://demo.drawbridge.example"
    var audience = "drawbridge"
    var client = "integration-tests"
    var scopes = "availability:read hotel:read booking:read booking:write"
    /// JSON: `"*"` or a list.
    var hotels = #""*""#
    var keyID = "demo-1"
    var algorithm = "ES256"
    /// Seconds from now.
    var expiry = 3600
    var notBefore: Int?
    var issued = 0
    var tokenID: String?

    func signed(_ key: P256PrivateKey) -> String {
        let now = Int(Loop.unixTime)
        let header = #"{"alg":"\#(algorithm)","typ":"JWT","kid":"\#(keyID)"}"#
        let begin = notBefore.map { #","nbf":\#(now + $0)"# } ?? ""
        let name = tokenID.map { #","jti":"\#($0)""# } ?? ""
        let claims =
            #"{"iss":"\#(issuer)","aud":"\#(audience)","sub":"\#(client)","client_id":"\#(client)","#
            + #""scope":"\#(scopes)","hotel_ids":\#(hotels),"iat":\#(now + issued),"exp":\#(now + expiry)\#(begin)\#(name)}"#
        let input = Base64.url.encode(Array(header.utf8)) + "." + Base64.url.encode(Array(claims.utf8))
        return input + "." + Base64.url.encode(key.signature(for: input))
    }
}
