internal import Cryptography

/// A client whose requests are signed (RFC 9421).
public struct SigningClient: Sendable {
    /// A key, tied to the one algorithm it is used with.
    public enum Key: Sendable, Equatable {
        /// `hmac-sha256` (§3.3.3), with a shared secret.
        case hmacSHA256([UInt8])

        /// The least number of bytes of a shared secret.
        public static let minimumSecretByteCount = 32

        /// The algorithm's name in the HTTP Signature Algorithms registry.
        public var algorithm: String {
            switch self {
            case .hmacSHA256: "hmac-sha256"
            }
        }
    }

    /// The `keyid` that selects the key.
    public let keyID: String
    /// The key.
    public let key: Key
    /// Whom a good signature proves.
    public let identity: Identity

    /// Describes a client.
    public init(keyID: String, key: Key, client: String, scopes: Scopes, hotelIDs: HotelAccess) {
        self.keyID = keyID
        self.key = key
        identity = Identity(
            issuer: Identity.ownClients, subject: "signature-\(keyID)", client: client, scopes: scopes,
            hotelIDs: hotelIDs, method: .signature)
    }
}

/// What a signature has to cover, and for how long it is good.
public struct SignatureTerms: Sendable, Equatable {
    /// How old a signature may be, in seconds.
    public var maximumAgeInSeconds: Int64 = 300
    /// How many seconds the clocks may differ.
    public var clockSkewInSeconds: Int64 = 5
    /// The components every signature covers. With content, `content-digest` is another one, whatever stands here.
    public var coveredComponents = ["@method", "@target-uri"]

    /// The lengths a nonce may have, in bytes.
    public static let nonceByteCounts = 16...128
    /// The field that vouches for the content.
    public static let contentDigest = "content-digest"

    /// The defaults.
    public init() {}

    /// For how many seconds after `created` a signature can be accepted. One more than the terms say, because time is
    /// told in whole seconds.
    public var reachInSeconds: Int64 { maximumAgeInSeconds + clockSkewInSeconds + 1 }
}

/// What a good signature proves, and what is left to check of it.
public struct VerifiedSignature: Sendable {
    /// Who signed.
    public let identity: Identity
    /// The key it was signed with.
    public let keyID: String
    /// What makes the request unlike any other of this key: to be claimed once, or the request is a replay.
    public let nonce: String
    /// When it was made, in Unix seconds.
    public let created: Int64
    /// What the content must hash to; `nil` where there is none.
    public let contentDigest: ContentDigest?
}

/// Checks signed requests (RFC 9421 §3.2). It has no clock, no memory and no lock: nonces and content are the caller's.
public struct SignatureVerifier: Sendable {
    /// The most signatures one request may bring; proxies may have added theirs.
    private static let maximumSignatureCount = 4
    /// Signs nothing that counts: it makes an unknown key cost what a known one does.
    private static let decoy = SigningClient.Key.hmacSHA256(SecureRandom.bytes(32))

    private let clients: [String: SigningClient]
    private let terms: SignatureTerms

    /// A verifier for these clients; of two with one key id the first counts.
    public init(clients: [SigningClient], terms: SignatureTerms) {
        self.clients = Dictionary(clients.map { ($0.keyID, $0) }, uniquingKeysWith: { first, _ in first })
        self.terms = terms
    }

    /// Checks a request.
    ///
    /// - Parameters:
    ///   - hasContent: whether content follows, which the signature must then cover.
    ///   - now: Unix seconds.
    public func verify(
        _ message: some SignedMessage, hasContent: Bool, now: Int64
    ) throws(AuthenticationError) -> VerifiedSignature {
        let candidate = try candidate(message)
        let client = candidate.parameters.keyID.flatMap { clients[$0] }
        guard let base = SignatureBase.text(candidate.covered, of: message) else {
            throw AuthenticationError(.malformed, "a covered component is not in the request, or not one we know")
        }
        let key = client?.key ?? Self.decoy
        let isGood = Self.isSignature(candidate.signature, of: base, by: key)
        guard let client else { throw AuthenticationError(.unknownKey, "no such signing key") }
        guard candidate.parameters.algorithm ?? key.algorithm == key.algorithm else {
            throw AuthenticationError(.wrongAlgorithm, "the key is not for the algorithm the signature names")
        }
        guard isGood else { throw AuthenticationError(.badSignature, "the signature does not belong to the request") }
        try check(candidate.covered, hasContent: hasContent)
        let (nonce, created) = try check(candidate.parameters, now: now)
        return VerifiedSignature(
            identity: client.identity, keyID: client.keyID, nonce: nonce, created: created,
            contentDigest: try digest(message, candidate))
    }

    private static func isSignature(_ signature: [UInt8], of base: String, by key: SigningClient.Key) -> Bool {
        switch key {
        case .hmacSHA256(let secret):
            var mac = HMACSHA256(key: secret.span)
            let expected = mac.authenticationCode(for: base)
            return Digest256(signature.span) == expected
        }
    }

    // MARK: The fields

    private struct Candidate {
        let covered: StructuredField.InnerList
        let parameters: SignatureParameters
        let signature: [UInt8]
    }

    /// The signature to check: the first by a key we know, otherwise the first.
    private func candidate(_ message: some SignedMessage) throws(AuthenticationError) -> Candidate {
        guard let inputs = Self.dictionary("signature-input", message),
            let values = Self.dictionary("signature", message),
            !inputs.isEmpty, inputs.count == values.count, inputs.count <= Self.maximumSignatureCount
        else { throw AuthenticationError(.malformed, "Signature-Input and Signature do not fit together") }
        var candidates: [Candidate] = []
        for (label, member) in inputs {
            guard case .list(let covered) = member, let parameters = SignatureParameters(covered.parameters),
                case .item(let item)? = values.first(where: { $0.name == label })?.member,
                case .bytes(let signature) = item.value
            else { throw AuthenticationError(.malformed, "a signature without its input, or of another form") }
            candidates.append(Candidate(covered: covered, parameters: parameters, signature: signature))
        }
        return candidates.first { $0.parameters.keyID.map { clients[$0] != nil } ?? false } ?? candidates[0]
    }

    private static func dictionary(
        _ name: String, _ message: some SignedMessage
    ) -> [(name: String, member: StructuredField.Member)]? {
        StructuredField.dictionary(message.fieldValues(name).joined(separator: ", ").utf8.span)
    }

    private func digest(
        _ message: some SignedMessage, _ candidate: Candidate
    ) throws(AuthenticationError) -> ContentDigest? {
        guard Self.covers(candidate.covered, SignatureTerms.contentDigest) else { return nil }
        let field = message.fieldValues(SignatureTerms.contentDigest).joined(separator: ", ")
        guard let digest = ContentDigest(field.utf8.span) else {
            throw AuthenticationError(.malformed, "a Content-Digest of another form, or by no algorithm we know")
        }
        return digest
    }

    // MARK: The terms

    private func check(_ covered: StructuredField.InnerList, hasContent: Bool) throws(AuthenticationError) {
        let wanted = terms.coveredComponents + (hasContent ? [SignatureTerms.contentDigest] : [])
        for name in wanted where !Self.covers(covered, name) {
            throw AuthenticationError(.badClaim, "the signature does not cover all it should")
        }
    }

    private static func covers(_ covered: StructuredField.InnerList, _ name: String) -> Bool {
        covered.items.contains { $0.value == .string(name) && $0.parameters.isEmpty }
    }

    /// Refuses a signature outside of its time; gives its nonce and when it was made.
    private func check(
        _ parameters: SignatureParameters, now: Int64
    ) throws(AuthenticationError) -> (nonce: String, created: Int64) {
        guard let created = parameters.created, let nonce = parameters.nonce else {
            throw AuthenticationError(.badClaim, "a signature without created or nonce")
        }
        guard SignatureTerms.nonceByteCounts.contains(nonce.utf8.count) else {
            throw AuthenticationError(.badClaim, "a nonce that is too short or too long")
        }
        let (age, skew) = (now - created, terms.clockSkewInSeconds)
        guard age >= -skew else { throw AuthenticationError(.notYetValid, "the signature was made in the future") }
        guard age <= terms.maximumAgeInSeconds + skew else {
            throw AuthenticationError(.expired, "the signature is too old")
        }
        if let expires = parameters.expires {
            guard expires > created else { throw AuthenticationError(.badClaim, "the signature's times contradict") }
            guard now < expires + skew else { throw AuthenticationError(.expired, "the signature has expired") }
        }
        return (nonce, created)
    }
}

/// The parameters of a signature (RFC 9421 §2.3); others may stand beside them and count for nothing but the base.
private struct SignatureParameters {
    var created: Int64?
    var expires: Int64?
    var nonce: String?
    var keyID: String?
    var algorithm: String?

    /// `nil` when one of them is of another type than it has to be.
    init?(_ parameters: StructuredField.Parameters) {
        for (name, value) in parameters {
            switch (name, value) {
            case ("created", .integer(let seconds)): created = seconds
            case ("expires", .integer(let seconds)): expires = seconds
            case ("nonce", .string(let text)): nonce = text
            case ("keyid", .string(let text)): keyID = text
            case ("alg", .string(let text)): algorithm = text
            case ("created", _), ("expires", _), ("nonce", _), ("keyid", _), ("alg", _): return nil
            default: break
            }
        }
    }
}
