internal import Authentication
internal import HTTP
internal import Loop

/// Finds the one kind of credentials that a request brings, and has them checked if its route accepts that kind.
@OnLoop
struct CredentialVerifier {
    let tokens: TokenVerifier
    let issuers: IssuerKeySync
    let apiKeys: APIKeyRing

    /// - Throws: `AuthenticationError`, whatever is wrong with the credentials.
    func verify(
        _ head: RequestHead, accepted: [Identity.Method]
    ) async throws(AuthenticationError) -> Identity {
        let fields = head.fields
        guard fields.count(of: .authorization) == 1, let field = fields.bytes(of: .authorization) else {
            throw AuthenticationError(.missing, "not exactly one Authorization field")
        }
        let credentials = try BearerCredentials(field.span)
        guard accepted.contains(credentials.method) else {
            throw AuthenticationError(.unsupportedScheme, "the route does not accept this way in")
        }
        let now = Int64(Loop.unixTime)
        if credentials.method == .apiKey {
            let key = field.span.extracting(credentials.range)
            return try apiKeys.verify(key, now: now, instant: Loop.monotonicNanoseconds)
        }
        do {
            return try tokens.verify(field.span.extracting(credentials.range), now: now)
        } catch  where error.code == .unknownKey {
            // The issuer may have begun to sign with a key that it has published since we looked.
            guard let wanted = tokens.unknownKey(of: field.span.extracting(credentials.range)),
                await issuers.look(for: wanted.keyID, of: wanted.issuer)
            else { throw error }
            return try tokens.verify(field.span.extracting(credentials.range), now: now)
        }
    }
}
