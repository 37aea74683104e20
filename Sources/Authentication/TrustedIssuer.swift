public import Cryptography

/// A party whose tokens are believed, and what its tokens must look like.
public struct TrustedIssuer: Sendable {
    /// The claims that carry what the gateway needs beyond the registered ones.
    public struct ClaimNames: Sendable, Equatable {
        /// A string of scopes separated by spaces (RFC 8693 §4.2).
        public var scopes = "scope"
        /// A list of hotel numbers, or the string `*` for every hotel.
        public var hotelIDs = "hotel_ids"
        /// The application acting for the subject (RFC 8693 §4.3); the subject itself where it is absent.
        public var client = "client_id"

        /// The usual names.
        public init() {}
    }

    /// The most that issuer's and gateway's clocks may be assumed to differ.
    public static let maximumClockSkewInSeconds: Int64 = 60

    /// The `iss` claim, compared byte by byte.
    public let issuer: String
    /// The name under which tokens are meant for this installation: one of the token's `aud`.
    public let audience: String
    /// How many seconds the clocks may differ.
    public let clockSkewInSeconds: Int64
    /// Where the gateway finds its claims.
    public let claimNames: ClaimNames
    /// What `typ` its tokens have (RFC 8725 §3.11), such as `at+jwt`; `nil` for `JWT` or none at all.
    public let tokenType: String?
    /// The algorithms it may sign with by the keys that it publishes in a key set.
    public let keySetAlgorithms: Set<SignatureAlgorithm>
    /// In whose name space its subjects and clients are, where that is not its own.
    public let vouchesFor: String?
    /// A claim by which several of its tokens are revoked together, beside their own `jti`.
    public let familyClaim: String?
    /// The keys that the policy names, by their id.
    let keys: [String: VerificationKey]

    /// Describes an issuer; of two keys with one id the first counts, and the skew is held within its bound.
    public init(
        issuer: String, audience: String, clockSkewInSeconds: Int64, claimNames: ClaimNames = ClaimNames(),
        tokenType: String? = nil, keys: [VerificationKey], keySetAlgorithms: Set<SignatureAlgorithm> = [],
        vouchesFor: String? = nil, familyClaim: String? = nil
    ) {
        self.issuer = issuer
        self.audience = audience
        self.clockSkewInSeconds = min(max(clockSkewInSeconds, 0), Self.maximumClockSkewInSeconds)
        self.claimNames = claimNames
        self.tokenType = tokenType?.lowercased()
        self.keySetAlgorithms = keySetAlgorithms
        self.vouchesFor = vouchesFor
        self.familyClaim = familyClaim
        self.keys = Dictionary(keys.map { ($0.keyID, $0) }, uniquingKeysWith: { first, _ in first })
    }
}

extension TrustedIssuer {
    /// Whether its tokens have this type, given in lower case.
    func expects(type: String?) -> Bool {
        if let tokenType { type == tokenType } else { type == nil || type == "jwt" }
    }
}

/// The signature algorithms accepted (RFC 7518 §3.1). `none` is not among them and never will be.
public enum SignatureAlgorithm: String, Sendable, CaseIterable {
    case hs256 = "HS256"
    case rs256 = "RS256"
    case es256 = "ES256"
}

/// One key of an issuer, tied to the one algorithm it may be used with, which is what prevents key confusion.
public struct VerificationKey: Sendable, Equatable {
    /// The least number of bytes of an HS256 secret (RFC 7518 §3.2).
    public static let minimumSecretByteCount = 32
    /// The least number of bits of an RS256 key (RFC 7518 §3.3).
    public static let minimumRSABitCount = 2048
    /// The most, so that a key cannot make verification slow on purpose.
    public static let maximumRSABitCount = 8192

    /// The `kid` that selects the key within its issuer.
    public let keyID: String
    /// The only algorithm the key is used with.
    public let algorithm: SignatureAlgorithm
    /// The key itself, as its algorithm takes it.
    let material: Material

    enum Material: Sendable, Equatable {
        case secret([UInt8])
        case rsa(PublicKey)
        case p256(PublicKey)
    }

    /// Takes a key from the contents of its file: base64 text of a secret for HS256, a PEM public key otherwise.
    ///
    /// - Throws: ``KeyRefusal`` when the contents are not a key that is strong enough for the algorithm.
    public init(
        keyID: String, algorithm: SignatureAlgorithm, contents: Span<UInt8>
    ) throws(KeyRefusal) {
        self.keyID = keyID
        self.algorithm = algorithm
        material =
            switch algorithm {
            case .hs256: .secret(try Self.secret(contents))
            case .rs256, .es256: try Self.publicKey(contents, for: algorithm)
            }
    }

    /// Takes a public key that was read elsewhere.
    ///
    /// - Throws: ``KeyRefusal`` when it is not one for the algorithm, or not strong enough.
    public init(keyID: String, algorithm: SignatureAlgorithm, publicKey: PublicKey) throws(KeyRefusal) {
        self.keyID = keyID
        self.algorithm = algorithm
        material = try Self.checked(publicKey, for: algorithm)
    }

    /// Whether a key id has the only form accepted: 1 to 64 letters, digits, dots, hyphens and underscores.
    ///
    /// A key id reaches logs and lookups, so nothing that means something to a file system or a database gets by.
    public static func isKeyID(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
                case UInt8(ascii: "0")...UInt8(ascii: "9"): true
                case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"): true
                default: false
                }
            }
    }

    private static func secret(_ contents: Span<UInt8>) throws(KeyRefusal) -> [UInt8] {
        var count = contents.count
        while count > 0, contents[count - 1] == UInt8(ascii: "\n") || contents[count - 1] == UInt8(ascii: "\r") {
            count -= 1
        }
        guard let secret = Base64.standard.decode(contents.extracting(first: count)) else {
            throw KeyRefusal(found: "something else", expected: "a secret written as base64 text")
        }
        guard secret.count >= minimumSecretByteCount else {
            throw KeyRefusal(
                found: "a secret of \(secret.count) bytes", expected: "at least \(minimumSecretByteCount) bytes")
        }
        return secret
    }

    private static func publicKey(
        _ contents: Span<UInt8>, for algorithm: SignatureAlgorithm
    ) throws(KeyRefusal) -> Material {
        let key: PublicKey
        do { key = try PublicKey(pem: contents) } catch {
            throw KeyRefusal(found: error.message, expected: "a PEM public key (BEGIN PUBLIC KEY)")
        }
        return try checked(key, for: algorithm)
    }

    private static func checked(
        _ key: PublicKey, for algorithm: SignatureAlgorithm
    ) throws(KeyRefusal) -> Material {
        switch (algorithm, key.kind) {
        case (.rs256, .rsa(minimumRSABitCount...maximumRSABitCount)): return .rsa(key)
        case (.es256, .p256): return .p256(key)
        case (.rs256, let kind):
            throw KeyRefusal(
                found: "\(kind)", expected: "RSA with \(minimumRSABitCount) to \(maximumRSABitCount) bits for RS256")
        case (.es256, let kind):
            throw KeyRefusal(found: "\(kind)", expected: "elliptic curve P-256 for ES256")
        case (.hs256, let kind):
            throw KeyRefusal(found: "\(kind)", expected: "a secret for HS256")
        }
    }
}

/// Why the contents of a key file are not a usable key; never with the contents themselves.
public struct KeyRefusal: Error, Sendable, Equatable {
    /// What the file holds.
    public let found: String
    /// What it should hold.
    public let expected: String

    /// Says what was found and what was expected.
    public init(found: String, expected: String) {
        self.found = found
        self.expected = expected
    }
}
