internal import CLibJWT
internal import Cryptography

/// Checks the signature of a compact JWS with libjwt.
///
/// libjwt 1.10 takes the algorithm from the token, accepts unsigned tokens where no key is given, and keeps the last
/// of two equal names. So the caller settles form and algorithm first (``UnverifiedToken``), a key is always given,
/// and the algorithm libjwt went by is asked for once more afterwards.
enum TokenSignature {
    /// Whether `token` is signed with `key` by `key`'s algorithm.
    static func isValid(of token: String, key: VerificationKey) -> Bool {
        // A bad signature leaves entries in OpenSSL's error queue for this thread.
        defer { discardOpenSSLErrors() }
        var decoded: OpaquePointer?
        let result = key.material.withUnsafeBufferPointer { material in
            jwt_decode(&decoded, token, material.baseAddress, Int32(material.count))
        }
        guard result == 0, let decoded else { return false }
        defer { jwt_free(decoded) }
        return jwt_get_alg(decoded) == key.algorithm.identifier
    }
}

extension SignatureAlgorithm {
    fileprivate var identifier: jwt_alg_t {
        switch self {
        case .hs256: JWT_ALG_HS256
        case .rs256: JWT_ALG_RS256
        case .es256: JWT_ALG_ES256
        }
    }
}
