internal import Authentication
internal import HTTP
internal import Loop

/// Finds the one kind of credentials that a request brings, and has them checked if its route accepts that kind.
@OnLoop
struct CredentialVerifier {
    let tokens: TokenVerifier
    let apiKeys: APIKeyRing

    func verify(_ head: RequestHead, accepted: [Identity.Method]) throws(AuthenticationError) -> Identity {
        let fields = head.fields
        guard fields.count(of: .authorization) == 1, let field = fields.bytes(of: .authorization) else {
            throw AuthenticationError(.missing, "not exactly one Authorization field")
        }
        let credentials = try BearerCredentials(field.span)
        guard accepted.contains(credentials.method) else {
            throw AuthenticationError(.unsupportedScheme, "the route does not accept this way in")
        }
        let now = Int64(Loop.unixTime)
        let bytes = field.span.extracting(credentials.range)
        return switch credentials.method {
        case .apiKey: try apiKeys.verify(bytes, now: now, instant: Loop.monotonicNanoseconds)
        case .jwt: try tokens.verify(bytes, now: now)
        }
    }
}
