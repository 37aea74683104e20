internal import Cryptography

/// Turns bearer tokens (RFC 6750) into identities, by the rules of RFC 7519 and RFC 8725.
///
/// One instance per process, on its loop: it has no lock and reads no clock. Tokens that proved genuine are remembered
/// until they expire, because checking a signature costs a hundred times what finding the token again does; refused
/// ones never are, so a flood of garbage pushes nothing out.
public final class TokenVerifier {
    private struct Remembered {
        let identity: Identity
        /// The instants between which the token is good, skew included.
        let validity: Range<Int64>
        let keyID: String
        let issuer: String
        let revocationIDs: [String]
    }

    /// What there is to say about a token that one of the issuers has made for us.
    public struct Examination: Sendable {
        /// Who it stands for.
        public let identity: Identity
        /// From when on it is not good any more, in Unix seconds, skew not included.
        public let expiresAt: Int64
        /// Why it is not good now; `nil` where it is.
        public let fault: AuthenticationError?
    }

    /// What is known of revoked tokens. Whether it may still be believed is the caller's question.
    public let revocations: TokenRevocations
    private let issuers: [String: TrustedIssuer]
    /// The keys each issuer has published, by their id, beside those that the policy names.
    private var published: [String: [String: VerificationKey]] = [:]
    private var remembered: BoundedCache<Digest256, Remembered>
    /// What signatures are checked with for nothing, where there is no key to check them with.
    private var decoys: [SignatureForm: VerificationKey]
    /// How many signatures were checked, for nothing or not.
    private(set) var checkedSignatures = 0

    /// A verifier for the tokens of these issuers that remembers up to so many of them.
    public init(
        issuers: [TrustedIssuer], revocations: TokenRevocations = TokenRevocations(maximumStaleness: .zero),
        rememberedTokens: Int = 4096
    ) {
        self.revocations = revocations
        self.issuers = Dictionary(issuers.map { ($0.issuer, $0) }, uniquingKeysWith: { first, _ in first })
        remembered = BoundedCache(capacity: rememberedTokens)
        decoys = Self.decoys(issuers.flatMap(\.keys.values))
    }

    /// Takes over the keys that an issuer publishes now, in the place of those it published before. Tokens signed with
    /// a key that has gone, or is another one now, are forgotten. Of two keys with one id the first counts, and the
    /// policy's before any other.
    public func replaceKeys(of issuer: String, with keys: [VerificationKey]) {
        let before = published[issuer] ?? [:]
        let after = Dictionary(keys.map { ($0.keyID, $0) }, uniquingKeysWith: { first, _ in first })
        published[issuer] = after
        decoys = Self.decoys(issuers.values.flatMap(\.keys.values) + published.values.flatMap(\.values))
        remembered.removeAll { token in
            token.issuer == issuer && before[token.keyID] != nil && before[token.keyID] != after[token.keyID]
        }
    }

    /// Takes over which tokens are revoked now, in the place of what was known before; those of them that are
    /// remembered are forgotten.
    ///
    /// - Parameters:
    ///   - version: which state of the database that is.
    ///   - confirmedAt: when the database had it, on the monotonic clock, in nanoseconds.
    public func replaceRevocations(with entries: [TokenRevocations.Entry], version: Int64, confirmedAt: UInt64) {
        revocations.replace(with: entries, version: version, confirmedAt: confirmedAt)
        remembered.removeAll { revocations.includes($0.revocationIDs, of: $0.issuer) }
    }

    /// The issuer and key id by which a token asks for a key that the issuer may have published since we last looked;
    /// `nil` for every other token.
    public func unknownKey(of token: Span<UInt8>) -> (issuer: String, keyID: String)? {
        guard let token = try? UnverifiedToken(token), let issuer = token.issuer.flatMap({ issuers[$0] }),
            !issuer.keySetAlgorithms.isEmpty, key(token.keyID, of: issuer) == nil
        else { return nil }
        return (issuer.issuer, token.keyID)
    }

    /// Whether a configured issuer has a key of that id.
    public func hasKey(_ keyID: String, of issuer: String) -> Bool {
        issuers[issuer].map { key(keyID, of: $0) != nil } ?? false
    }

    private func key(_ keyID: String, of issuer: TrustedIssuer) -> VerificationKey? {
        issuer.keys[keyID] ?? published[issuer.issuer]?[keyID]
    }

    /// The identity an `Authorization` field proves at `now` (Unix seconds).
    ///
    /// - Parameter field: the field's value as received; `nil` where the request has none.
    public func verify(authorization field: String?, now: Int64) throws(AuthenticationError) -> Identity {
        guard let field else { throw AuthenticationError(.missing, "no Authorization field") }
        return try verify(authorization: field.utf8.span, now: now)
    }

    /// The identity an `Authorization` field's value, as received, proves at `now` (Unix seconds).
    public func verify(authorization field: Span<UInt8>, now: Int64) throws(AuthenticationError) -> Identity {
        guard let start = BearerScheme.credentialsStart(in: field) else {
            throw AuthenticationError(.unsupportedScheme, "not a bearer token")
        }
        return try verify(field.extracting(start..<field.count), now: now)
    }

    /// The identity a token proves at `now` (Unix seconds).
    public func verify(_ token: Span<UInt8>, now: Int64) throws(AuthenticationError) -> Identity {
        guard token.count <= UnverifiedToken.maximumByteCount else {
            throw AuthenticationError(.malformed, "the token is longer than 8 KiB")
        }
        let digest = SHA256.hash(token)
        if let known = remembered.value(for: digest), known.validity.contains(now) { return known.identity }
        let unverified = try UnverifiedToken(token)
        let issuer = try issuer(of: unverified, signedAs: token)
        let claims = try Claims(unverified.claims, issuer: issuer)
        try check(claims, of: issuer, now: now)
        remembered.insert(
            Remembered(
                identity: claims.identity, validity: claims.validity, keyID: unverified.keyID, issuer: issuer.issuer,
                revocationIDs: claims.revocationIDs),
            for: digest)
        return claims.identity
    }

    /// What there is to say about a token at `now` (Unix seconds), also when it is not good any more.
    ///
    /// - Throws: where it is not proven that an issuer has made it for us.
    public func examine(_ token: Span<UInt8>, now: Int64) throws(AuthenticationError) -> Examination {
        let unverified = try UnverifiedToken(token)
        let issuer = try issuer(of: unverified, signedAs: token)
        let claims = try Claims(unverified.claims, issuer: issuer)
        var fault: AuthenticationError?
        do throws(AuthenticationError) { try check(claims, of: issuer, now: now) } catch { fault = error }
        return Examination(
            identity: claims.identity, expiresAt: claims.validity.upperBound - issuer.clockSkewInSeconds, fault: fault)
    }

    /// Refuses a token that is genuine and not good now.
    private func check(_ claims: Claims, of issuer: TrustedIssuer, now: Int64) throws(AuthenticationError) {
        try claims.checkTimes(now: now)
        guard !revocations.includes(claims.revocationIDs, of: issuer.issuer) else {
            throw AuthenticationError(.revoked, "the token has been revoked")
        }
    }

    /// The issuer, once its key has proven that it made the token.
    ///
    /// One signature is checked whatever is wrong with a token: how long that takes depends on nothing but the token
    /// itself, so that nobody learns by it which issuers and key ids there are. A token of another form was not looked
    /// up anywhere, and its quicker refusal says no more than its sender knows. What still shows is an issuer with a
    /// key set: whoever asks `unknownKey` waits for a look at it.
    private func issuer(
        of token: UnverifiedToken, signedAs bytes: Span<UInt8>
    ) throws(AuthenticationError) -> TrustedIssuer {
        let issuer = token.issuer.flatMap { issuers[$0] }
        let key = issuer.flatMap { self.key(token.keyID, of: $0) }
        let form = SignatureForm(of: token)
        // A key that cannot have made the signature would refuse it without looking at it.
        let canBeSigner = key.map { SignatureForm(of: $0) == form } ?? false
        let isGood = isSigned(bytes, with: canBeSigner ? key : decoys[form]) && canBeSigner
        guard let issuer else { throw AuthenticationError(.unknownIssuer, "the issuer is not configured") }
        guard issuer.expects(type: token.type) else {
            // A type of its own (`dpop+jwt` and the like) marks a token made for another purpose (RFC 8725 §3.11).
            throw AuthenticationError(.malformed, "a token of another type than its issuer's")
        }
        guard let key else { throw AuthenticationError(.unknownKey, "the issuer has no key of that id") }
        guard token.algorithm == key.algorithm.rawValue else {
            throw AuthenticationError(.wrongAlgorithm, "the key is not for the algorithm the token names")
        }
        guard isGood else {
            throw AuthenticationError(.badSignature, "the signature does not belong to the token")
        }
        return issuer
    }

    private func isSigned(_ token: Span<UInt8>, with key: VerificationKey?) -> Bool {
        // Nobody has a key for such a signature, so nothing that could be told apart by its time exists.
        guard let key else { return false }
        checkedSignatures += 1
        return TokenSignature.isValid(of: token, key: key)
    }

    private static func decoys(_ keys: some Sequence<VerificationKey>) -> [SignatureForm: VerificationKey] {
        Dictionary(keys.map { (SignatureForm(of: $0), $0) }, uniquingKeysWith: { first, _ in first })
    }
}

/// What the time depends on that checking a signature takes: its algorithm, and for RSA the size of the key.
private struct SignatureForm: Hashable {
    let algorithm: String
    let byteCount: Int?

    init(of token: UnverifiedToken) {
        algorithm = token.algorithm
        byteCount = algorithm == SignatureAlgorithm.rs256.rawValue ? token.signatureByteCount : nil
    }

    init(of key: VerificationKey) {
        algorithm = key.algorithm.rawValue
        byteCount = if case .rsa(let key) = key.material, case .rsa(let bits) = key.kind { (bits + 7) / 8 } else { nil }
    }
}

/// `Authorization: Bearer …` (RFC 6750 §2.1).
enum BearerScheme {
    private static let name = Array("bearer".utf8)

    /// Where the token starts; `nil` for any other scheme. Scheme names know no case (RFC 9110 §11.1).
    static func credentialsStart(in field: Span<UInt8>) -> Int? {
        guard field.count > name.count, field[name.count] == UInt8(ascii: " ") else { return nil }
        for index in name.indices where field[index] | 0x20 != name[index] { return nil }
        var start = name.count
        while start < field.count, field[start] == UInt8(ascii: " ") { start += 1 }
        return start < field.count ? start : nil
    }
}
