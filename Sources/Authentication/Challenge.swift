/// What a 401 says: which ways in a route accepts, and nothing more (RFC 9110 §11.6.1).
public enum Challenge {
    private static let realm = "realm=\"drawbridge\""

    /// The values of `WWW-Authenticate`, one for each scheme.
    public static func fields(_ accepted: [Identity.Method]) -> [String] {
        var fields: [String] = []
        for method in accepted {
            let scheme: String? =
                switch method {
                // Tokens and keys are both bearer credentials (RFC 6750); which of them is the client's own business.
                case .jwt, .apiKey: "Bearer"
                case .signature: "Signature"
                case .webhook, .inbound: "Webhook"
                // Whoever brings nothing needs no scheme for it.
                case .anonymous: nil
                }
            guard let field = scheme.map({ "\($0) \(realm)" }), !fields.contains(field) else { continue }
            fields.append(field)
        }
        return fields
    }
}
