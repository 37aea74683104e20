internal import Cryptography

/// A token whose form is in order and whose contents nobody has vouched for yet: a compact JWS (RFC 7515 §7.1).
///
/// It can be asked whose key to check it with, nothing else; ``TokenVerifier`` turns it into an ``Identity``.
struct UnverifiedToken {
    /// The longest token looked at.
    static let maximumByteCount = 8192

    let algorithm: String
    let keyID: String
    /// The header's `typ`, without the `application/` that may be left out (RFC 7515 §4.1.9), in lower case.
    let type: String?
    let claims: [String: JSONValue]
    let signatureByteCount: Int

    /// Takes a token apart: three parts of canonical base64url, header and claims each one JSON object without
    /// duplicate names, a well-formed key id and no critical extension.
    init(_ bytes: Span<UInt8>) throws(AuthenticationError) {
        guard bytes.count <= Self.maximumByteCount else {
            throw AuthenticationError(.malformed, "the token is longer than 8 KiB")
        }
        guard let dots = Self.dots(in: bytes),
            let header = Base64.url.decode(bytes.extracting(0..<dots.0)),
            let claims = Base64.url.decode(bytes.extracting(dots.0 + 1..<dots.1)),
            let signature = Base64.url.decode(bytes.extracting(dots.1 + 1..<bytes.count)), !signature.isEmpty
        else { throw AuthenticationError(.malformed, "not three parts of base64url") }
        guard let header = JSONValue.object(header), let claims = JSONValue.object(claims) else {
            throw AuthenticationError(.malformed, "header and claims are not plain JSON objects")
        }
        (algorithm, keyID, type) = try Self.check(header: header)
        self.claims = claims
        signatureByteCount = signature.count
    }

    /// The `iss` claim: who says it is.
    var issuer: String? {
        guard case .string(let issuer)? = claims["iss"] else { return nil }
        return issuer
    }

    /// The places of the dots; `nil` unless there are exactly two.
    private static func dots(in bytes: Span<UInt8>) -> (Int, Int)? {
        var first: Int?
        var second: Int?
        for index in bytes.indices where bytes[index] == UInt8(ascii: ".") {
            guard second == nil else { return nil }
            if first == nil { first = index } else { second = index }
        }
        guard let first, let second else { return nil }
        return (first, second)
    }

    private static func check(
        header: [String: JSONValue]
    ) throws(AuthenticationError) -> (algorithm: String, keyID: String, type: String?) {
        // An extension we do not know must not be ignored (RFC 7515 §4.1.11), and we know none.
        guard header["crit"] == nil else { throw AuthenticationError(.malformed, "a critical header extension") }
        guard case .string(let algorithm)? = header["alg"] else {
            throw AuthenticationError(.malformed, "no algorithm")
        }
        guard case .string(let keyID)? = header["kid"], VerificationKey.isKeyID(keyID) else {
            throw AuthenticationError(.malformed, "no key id, or one of a form not accepted")
        }
        switch header["typ"] {
        case nil: return (algorithm, keyID, nil)
        case .string(let type)?:
            let type = type.lowercased()
            return (algorithm, keyID, type.hasPrefix("application/") ? String(type.dropFirst(12)) : type)
        default: throw AuthenticationError(.malformed, "a type that is none")
        }
    }
}
