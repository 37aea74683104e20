/// Why a request's credentials were refused. For the log: a client learns only that they were (RFC 6750 §3.1).
public struct AuthenticationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What was wrong, one word per reason, fit for a metric's label.
    public enum Code: String, Sendable, CaseIterable {
        /// No credentials were sent.
        case missing
        /// An `Authorization` field that is not a bearer token.
        case unsupportedScheme = "unsupported_scheme"
        /// Not a compact JWS, or not one this gateway accepts the form of.
        case malformed
        /// The issuer is not configured.
        case unknownIssuer = "unknown_issuer"
        /// The issuer has no key with that key id.
        case unknownKey = "unknown_key"
        /// The key exists, for another algorithm than the token names.
        case wrongAlgorithm = "wrong_algorithm"
        /// The signature does not belong to the token.
        case badSignature = "bad_signature"
        /// Meant for somebody else.
        case wrongAudience = "wrong_audience"
        /// No longer valid.
        case expired
        /// Not valid yet, or issued in the future.
        case notYetValid = "not_yet_valid"
        /// Revoked by its id, before its time.
        case revoked
        /// A claim is missing or has the wrong form.
        case badClaim = "bad_claim"
        /// A request that was accepted before.
        case replayed
        /// The content is not what was signed.
        case badDigest = "bad_digest"
        /// What would have to be known to decide is not known at the moment; nothing is said about the credentials.
        case unavailable
        /// The header between gateway and bridge is absent, altered, too old or belongs to another request.
        case badHop = "bad_hop"
    }

    /// What was wrong.
    public let code: Code
    /// A constant sentence for the log.
    public let reason: String

    /// Names what was wrong.
    public init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    /// Code and reason on one line.
    public var description: String { "\(code.rawValue): \(reason)" }
}
