internal import Authentication
internal import HTTP
internal import Loop
internal import Policy
internal import RateLimit
internal import Server

/// What a request's credentials prove.
struct Proof {
    let identity: Identity
    /// What the content must hash to, where a signature says so.
    var contentDigest: ContentDigest?
    /// The content, where it had to be read for the proof; nil where there is none, too.
    var content: [UInt8]?
}

/// Finds the one kind of credentials that a request brings, and has them checked if its route accepts that kind.
@OnLoop
struct CredentialVerifier {
    let tokens: TokenVerifier
    let issuers: IssuerKeySync
    let apiKeys: APIKeyRing
    let signedRequests: SignedRequests
    let webhooks: SignedWebhooks
    let sources: InboundSources

    /// Checks what can be checked at once, which is nearly everything: an asynchronous call would cost as much as
    /// finding a known token again.
    ///
    /// - Returns: nil where something has to be waited for: then ask `verifyPatiently`.
    func verify(_ request: Request, accepted: [Identity.Method]) throws(AuthenticationError) -> Proof? {
        // Judged by what its source proves itself with and nothing else that it may bring.
        if accepted == [.inbound] { return nil }
        let fields = request.head.fields
        let count = fields.count(of: .authorization)
        if count == 0, signedWay(fields, accepted) != nil { return nil }
        // Whoever brings credentials is judged by them, unless they could not matter.
        if count == 0 || accepted.count == 1, accepted.contains(.anonymous) { return Proof(identity: .anonymous) }
        guard count == 1, let field = fields.bytes(of: .authorization) else {
            throw AuthenticationError(.missing, "not exactly one Authorization field")
        }
        let credentials = try BearerCredentials(field.span)
        guard accepted.contains(credentials.method) else {
            throw AuthenticationError(.unsupportedScheme, "the route does not accept this way in")
        }
        let bytes = field.span.extracting(credentials.range)
        let now = Int64(Loop.unixTime)
        if credentials.method == .apiKey {
            return Proof(identity: try apiKeys.verify(bytes, now: now, instant: Loop.monotonicNanoseconds))
        }
        do {
            return Proof(identity: try verify(token: bytes, now: now))
        } catch {
            if error.code == .unknownKey, tokens.unknownKey(of: bytes) != nil { return nil }
            throw error
        }
    }

    /// Checks what `verify` could not: signatures, which others may have to be asked about, webhooks, whose content has
    /// to be read, and tokens by a key that the issuer may have published since we looked.
    ///
    /// - Returns: the proof, and the nonce that is spent by it where it is good for one request.
    /// - Throws: `AuthenticationError`; `Problem` where content cannot be read.
    func verifyPatiently(_ request: Request, _ match: RouteMatch) async throws -> (Proof, ClaimedNonce?) {
        let terms = match.route.terms
        if terms.authentication == [.inbound] {
            let source = match.value(of: Route.sourceParameter, in: request.head.target.pathBytes.span) ?? ""
            return (try await sources.verify(request, of: source, upTo: terms.bodyLimit.bytes), nil)
        }
        guard let field = request.head.fields.bytes(of: .authorization) else {
            guard signedWay(request.head.fields, terms.authentication) == .signature else {
                return try await webhooks.verify(request, upTo: terms.bodyLimit.bytes)
            }
            return try await signedRequests.verify(request)
        }
        let credentials = try BearerCredentials(field.span)
        if let wanted = tokens.unknownKey(of: field.span.extracting(credentials.range)) {
            await issuers.look(for: wanted.keyID, of: wanted.issuer)
        }
        let token = field.span.extracting(credentials.range)
        return (Proof(identity: try verify(token: token, now: Int64(Loop.unixTime))), nil)
    }

    private func verify(token: Span<UInt8>, now: Int64) throws(AuthenticationError) -> Identity {
        guard tokens.revocations.isFresh(at: Loop.monotonicNanoseconds) else {
            throw AuthenticationError(.unavailable, "which tokens are revoked is not known now")
        }
        return try tokens.verify(token, now: now)
    }

    /// Which of the ways without an `Authorization` field a request means to take.
    private func signedWay(_ fields: Fields, _ accepted: [Identity.Method]) -> Identity.Method? {
        if accepted.contains(.signature), SignedRequests.areMeant(by: fields) { return .signature }
        if accepted.contains(.webhook), webhooks.areMeant(by: fields) { return .webhook }
        return nil
    }
}
