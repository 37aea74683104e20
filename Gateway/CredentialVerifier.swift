internal import Authentication
internal import HTTP
internal import Loop
internal import Server

/// What a request's credentials prove.
struct Proof {
    let identity: Identity
    /// What the content must hash to, where a signature says so.
    var contentDigest: ContentDigest?
}

/// Finds the one kind of credentials that a request brings, and has them checked if its route accepts that kind.
@OnLoop
struct CredentialVerifier {
    let tokens: TokenVerifier
    let issuers: IssuerKeySync
    let apiKeys: APIKeyRing
    let signedRequests: SignedRequests

    /// - Throws: `AuthenticationError`, whatever is wrong with the credentials.
    func verify(
        _ request: Request, accepted: [Identity.Method]
    ) async throws(AuthenticationError) -> Proof {
        let fields = request.head.fields
        let bearers = fields.count(of: .authorization)
        if bearers == 0, accepted.contains(.signature), SignedRequests.areMeant(by: fields) {
            let (identity, digest) = try await signedRequests.verify(request)
            return Proof(identity: identity, contentDigest: digest)
        }
        guard bearers == 1, let field = fields.bytes(of: .authorization) else {
            throw AuthenticationError(.missing, "not exactly one Authorization field")
        }
        return Proof(identity: try await verify(field, accepted: accepted))
    }

    private func verify(
        _ field: ArraySlice<UInt8>, accepted: [Identity.Method]
    ) async throws(AuthenticationError) -> Identity {
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
