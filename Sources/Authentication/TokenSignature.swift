internal import Cryptography

/// Checks the signature of a compact JWS (RFC 7515 §5.2) with OpenSSL.
///
/// The library for tokens that Debian packages, libjwt 1.10, takes the algorithm from the token, accepts unsigned
/// tokens where no key is given, keeps the last of two equal names, and refuses the types of RFC 9068 (`at+jwt`). What
/// is left of it once form, algorithm and key are settled (``UnverifiedToken``, ``TokenVerifier``) is this.
enum TokenSignature {
    /// Whether a token, three parts of base64url, is signed with `key` by `key`'s one algorithm.
    static func isValid(of token: Span<UInt8>, key: VerificationKey) -> Bool {
        guard let dot = lastDot(in: token),
            let signature = Base64.url.decode(token.extracting(dot + 1..<token.count))
        else { return false }
        let signed = token.extracting(0..<dot)
        switch key.material {
        case .secret(let secret):
            var mac = HMACSHA256(key: secret.span)
            guard let received = Digest256(signature.span) else { return false }
            // The comparison of digests takes the same time whatever they are.
            return mac.authenticationCode(for: signed) == received
        case .rsa(let key): return key.isRS256(signature.span, of: signed)
        case .p256(let key): return key.isES256(signature.span, of: signed)
        }
    }

    private static func lastDot(in token: Span<UInt8>) -> Int? {
        var index = token.count - 1
        while index >= 0, token[index] != UInt8(ascii: ".") { index -= 1 }
        return index >= 0 ? index : nil
    }
}
