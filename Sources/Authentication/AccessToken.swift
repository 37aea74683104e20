internal import Cryptography
internal import FoundationEssentials

/// What an access token of our own says: a JWT as RFC 9068 has it.
public struct AccessToken: Sendable, Equatable {
    /// The type in the header of every one.
    public static let type = "at+jwt"
    /// The claim with the family of refresh tokens that it came of: by it a family's tokens are revoked at once.
    public static let familyClaim = "sid"

    /// Who has made it.
    public var issuer: String
    /// For whom it is meant.
    public var audience: String
    /// The credentials that it was got with, such as `api-key-12`.
    public var subject: String
    /// The client.
    public var client: String
    /// What its holder may do.
    public var scopes: Scopes
    /// For which hotels.
    public var hotelIDs: HotelAccess
    /// Its own id.
    public var tokenID: String
    /// Its family's.
    public var familyID: String
    /// When it was made, in Unix seconds; it is good from then on.
    public var issuedAt: Int64
    /// From when on it is not good any more, in Unix seconds.
    public var expiresAt: Int64

    /// Puts a token together.
    public init(
        issuer: String, audience: String, subject: String, client: String, scopes: Scopes, hotelIDs: HotelAccess,
        tokenID: String, familyID: String, issuedAt: Int64, expiresAt: Int64
    ) {
        self.issuer = issuer
        self.audience = audience
        self.subject = subject
        self.client = client
        self.scopes = scopes
        self.hotelIDs = hotelIDs
        self.tokenID = tokenID
        self.familyID = familyID
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
    }

    /// A fresh id for a token or a family: 128 random bits in 22 characters of base64url.
    public static func freshID() -> String { Base64.url.encode(SecureRandom.bytes(16)) }

    /// The token as a compact JWS, signed with ES256.
    public func signed(with key: SigningKey) -> String {
        let header = Header(alg: SignatureAlgorithm.es256.rawValue, kid: key.id, typ: Self.type)
        let claims = Claims(
            iss: issuer, sub: subject, aud: audience, client: client,
            scope: scopes.members.map(\.rawValue).joined(separator: " "), hotelIDs: hotelIDs, jti: tokenID,
            sid: familyID, iat: issuedAt, nbf: issuedAt, exp: expiresAt)
        let input = "\(Self.part(header)).\(Self.part(claims))"
        return "\(input).\(Base64.url.encode(key.privateKey.signature(for: input)))"
    }

    private static func part(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Strings and integers always have a JSON form.
        guard let json = try? encoder.encode(value) else { preconditionFailure("a token without JSON form") }
        return Base64.url.encode([UInt8](json))
    }

    private struct Header: Encodable {
        let alg: String
        let kid: String
        let typ: String
    }

    private struct Claims: Encodable {
        let iss: String
        let sub: String
        let aud: String
        let client: String
        let scope: String
        let hotelIDs: HotelAccess
        let jti: String
        let sid: String
        let iat: Int64
        let nbf: Int64
        let exp: Int64

        enum CodingKeys: String, CodingKey {
            case iss, sub, aud, scope, jti, sid, iat, nbf, exp
            case client = "client_id"
            case hotelIDs = "hotel_ids"
        }
    }
}
