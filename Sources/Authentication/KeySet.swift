internal import Cryptography

/// The keys of an issuer as it publishes them: a JWK Set (RFC 7517 §5).
///
/// A key is taken over if it is for checking signatures with one of the algorithms the policy expects of the issuer,
/// and left out otherwise, as the RFC wants it: sets hold keys for other readers, too. Secrets are never taken from a
/// set.
public struct KeySet: Sendable {
    /// The largest set read.
    public static let maximumByteCount = 256 << 10
    /// The most keys looked at.
    public static let maximumKeyCount = 100

    /// The keys that can be used, each key id once.
    public let keys: [VerificationKey]
    /// How many keys were left out.
    public let omittedCount: Int

    /// Reads a set.
    ///
    /// - Parameter algorithms: those the issuer may sign with; HS256 among them means nothing here.
    /// - Throws: ``KeyRefusal`` when it is no JWK Set, too large, or has no key that can be used.
    public init(json: [UInt8], algorithms: Set<SignatureAlgorithm>) throws(KeyRefusal) {
        guard json.count <= Self.maximumByteCount else {
            throw KeyRefusal(found: "\(json.count) bytes", expected: "at most \(Self.maximumByteCount) bytes")
        }
        guard case .array(let entries)? = JSONValue.object(json)?["keys"] else {
            throw KeyRefusal(found: "something else", expected: "a JWK Set: an object with a list of keys")
        }
        guard entries.count <= Self.maximumKeyCount else {
            throw KeyRefusal(found: "\(entries.count) keys", expected: "at most \(Self.maximumKeyCount) keys")
        }
        var keys: [VerificationKey] = []
        for entry in entries {
            guard let key = Self.key(entry, algorithms), !keys.contains(where: { $0.keyID == key.keyID }) else {
                continue
            }
            keys.append(key)
        }
        guard !keys.isEmpty else {
            throw KeyRefusal(
                found: "none among \(entries.count) keys",
                expected: "a key with a kid for " + algorithms.map(\.rawValue).sorted().joined(separator: ", "))
        }
        self.keys = keys
        omittedCount = entries.count - keys.count
    }

    private static func key(_ entry: JSONValue, _ algorithms: Set<SignatureAlgorithm>) -> VerificationKey? {
        guard case .object(let members) = entry, isForChecking(members),
            // Without a key id no token could name it; with a private part it is nobody's proof of anything any more.
            case .string(let keyID)? = members["kid"], VerificationKey.isKeyID(keyID), members["d"] == nil,
            let (algorithm, publicKey) = publicKey(members), algorithms.contains(algorithm),
            members["alg"] == nil || members["alg"] == .string(algorithm.rawValue)
        else { return nil }
        return try? VerificationKey(keyID: keyID, algorithm: algorithm, publicKey: publicKey)
    }

    /// Whether the key's `use` and `key_ops` (RFC 7517 §4.2, §4.3) allow checking signatures with it.
    private static func isForChecking(_ members: [String: JSONValue]) -> Bool {
        if let use = members["use"], use != .string("sig") { return false }
        guard let operations = members["key_ops"] else { return true }
        guard case .array(let operations) = operations else { return false }
        return operations.contains(.string("verify"))
    }

    /// The kind of key decides the algorithm: RS256 for RSA, ES256 for P-256 (RFC 7518 §3.3, §3.4).
    private static func publicKey(_ members: [String: JSONValue]) -> (SignatureAlgorithm, PublicKey)? {
        switch members["kty"] {
        case .string("RSA")?:
            guard let modulus = bytes(members["n"]), let exponent = bytes(members["e"]),
                let key = try? PublicKey(rsaModulus: modulus, exponent: exponent)
            else { return nil }
            return (.rs256, key)
        case .string("EC")?:
            guard members["crv"] == .string("P-256"), let x = bytes(members["x"]), let y = bytes(members["y"]),
                let key = try? PublicKey(p256X: x, y: y)
            else { return nil }
            return (.es256, key)
        default: return nil
        }
    }

    private static func bytes(_ value: JSONValue?) -> [UInt8]? {
        guard case .string(let text)? = value else { return nil }
        return Base64.url.decode(text)
    }
}
