/// By what a token can be named to be revoked, read from the token itself. Nobody has vouched for any of it.
public struct TokenReference: Sendable, Equatable {
    /// The `iss` claim.
    public let issuer: String
    /// The `jti` claim.
    public let tokenID: String
    /// The `exp` claim in whole seconds, up; `nil` where there is none.
    public let expiry: Int64?

    /// Reads a token.
    ///
    /// - Throws: when it is none, or has no issuer or id.
    public init(_ token: String) throws(AuthenticationError) {
        let claims = try UnverifiedToken(token.utf8.span).claims
        guard case .string(let issuer)? = claims["iss"], case .string(let tokenID)? = claims["jti"] else {
            throw AuthenticationError(.badClaim, "a token without iss or jti")
        }
        self.issuer = issuer
        self.tokenID = tokenID
        expiry =
            switch claims["exp"] {
            case .integer(let seconds)?: seconds
            case .number(let seconds)?: Int64(exactly: seconds.rounded(.up))
            default: nil
            }
    }
}
