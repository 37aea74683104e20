internal import Authentication
internal import Loop
internal import Policy

/// Judges tokens as the gateways do, for clients that ask about one: by the same rules, keys and revocations.
@OnLoop
final class TokenExaminer {
    /// What there is to say.
    enum Finding {
        case good(Identity, expiresAt: Int64)
        case bad(Reason)
    }

    /// Why a token is not good. All that does not concern who asks is unknown to him.
    enum Reason: String {
        case expired, revoked, unknown
        case notYetValid = "not_yet_valid"
    }

    private let issuerKeys: IssuerKeyDirectory
    private let revocations: TokenRevocationDirectory
    private var policy: IssuerPolicy
    private var verifier: TokenVerifier
    private var keyVersion: Int64?

    init(_ policy: IssuerPolicy, _ issuerKeys: IssuerKeyDirectory, _ revocations: TokenRevocationDirectory) {
        self.policy = policy
        self.issuerKeys = issuerKeys
        self.revocations = revocations
        verifier = Self.verifier(policy)
    }

    /// Goes by another policy.
    func replace(_ policy: IssuerPolicy) {
        self.policy = policy
        verifier = Self.verifier(policy)
        keyVersion = nil
    }

    /// Examines a token for a client: its own client's, or one that it may administer.
    ///
    /// - Throws: `BridgeError.revocationsUnknown` where it is not known which tokens are revoked.
    func examine(_ token: String, for caller: Identity) throws -> Finding {
        bringUpToDate()
        guard verifier.revocations.isFresh(at: Loop.monotonicNanoseconds) else { throw BridgeError.revocationsUnknown }
        guard let examination = try? verifier.examine(token.utf8.span, now: Int64(Loop.unixTime)),
            caller.mayAsk(about: examination.identity)
        else { return .bad(.unknown) }
        switch examination.fault?.code {
        case nil: return .good(examination.identity, expiresAt: examination.expiresAt)
        case .expired: return .bad(.expired)
        case .notYetValid: return .bad(.notYetValid)
        case .revoked: return .bad(.revoked)
        default: return .bad(.unknown)
        }
    }

    /// Whom a token that is good now stands for.
    ///
    /// - Throws: `BridgeError.revocationsUnknown`.
    func identity(of token: Span<UInt8>) throws -> Identity? {
        bringUpToDate()
        guard verifier.revocations.isFresh(at: Loop.monotonicNanoseconds) else { throw BridgeError.revocationsUnknown }
        return try? verifier.verify(token, now: Int64(Loop.unixTime))
    }

    private func bringUpToDate() {
        revocations.bring(verifier)
        guard keyVersion != issuerKeys.version else { return }
        keyVersion = issuerKeys.version
        let published = Dictionary(issuerKeys.keySets.map { ($0.issuer, $0.keySets) }, uniquingKeysWith: { $1 })
        for issuer in policy.believed where !issuer.keySetAlgorithms.isEmpty {
            let keys = (published[issuer.issuer] ?? []).flatMap { keySet in
                (try? KeySet(json: Array(keySet.utf8), algorithms: issuer.keySetAlgorithms))?.keys ?? []
            }
            verifier.replaceKeys(of: issuer.issuer, with: keys)
        }
    }

    private static func verifier(_ policy: IssuerPolicy) -> TokenVerifier {
        TokenVerifier(
            issuers: policy.believed,
            revocations: TokenRevocations(maximumStaleness: policy.revocations.maximumStaleness), rememberedTokens: 1)
    }
}

extension Identity {
    /// Whether it may know what there is to say about a token that stands for somebody.
    fileprivate func mayAsk(about other: Identity) -> Bool {
        clientKey == other.clientKey || scopes.contains(.admin) && hotelIDs.covers(other.hotelIDs)
    }
}
