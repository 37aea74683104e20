internal import Authentication
internal import HTTP
internal import Loop
internal import Policy
internal import RateLimit
internal import Server

/// Checks signed requests, and sees to it that each is accepted once: by any worker of this node, and by any machine where
/// Redis is shared.
///
/// The node remembers nonces in a table that its workers map: no hop, no lock, and the death of any process forgets nothing.
/// Redis alone would make every signed request wait for it even on a single machine, and the bridge's memory would die with
/// the bridge.
@OnLoop
final class SignedRequests {
    private let verifier: SignatureVerifier
    private let terms: SignatureTerms
    private let nonces: NonceTable
    private let shared: RedisStore?
    private let sharedClass: LimitClass

    /// - Parameters:
    ///   - file: where the node's nonces are.
    ///   - shared: what all machines ask; nil where there is one machine.
    /// - Throws: `RateLimitError` when the table cannot be used.
    init(_ policy: KeyPolicy.Signatures, file: String, shared: RedisStore?) throws {
        verifier = SignatureVerifier(clients: policy.clients, terms: policy.terms)
        terms = policy.terms
        nonces = try NonceTable(path: file, capacity: policy.nonces)
        self.shared = shared
        // A nonce is a limit of one for as long as it must not be said again.
        let quota = Quota(burst: 1, requests: 1, per: .seconds(policy.terms.nonceLifetimeInSeconds))
        guard let quota, let sharedClass = LimitClass(name: "signature-nonce", quota: quota, partition: .principal)
        else {
            preconditionFailure("a lifetime between its bounds")
        }
        self.sharedClass = sharedClass
    }

    /// Whether a request is meant to be signed.
    static func areMeant(by fields: Fields) -> Bool { fields.count(of: "signature-input") > 0 }

    /// The identity a request proves by its signature, and what its content must hash to.
    func verify(_ request: Request) async throws(AuthenticationError) -> (Identity, ContentDigest?) {
        let now = Int64(Loop.unixTime)
        let signature = try verifier.verify(
            RequestMessage(request), hasContent: !request.body.isEmpty, now: now)
        try await claim(signature)
        return (signature.identity, signature.contentDigest)
    }

    private func claim(_ signature: VerifiedSignature) async throws(AuthenticationError) {
        // What was accepted before the table was made is not in it. Not in whole seconds: a request is too old from the
        // first, or never.
        let age = Double(Loop.monotonicNanoseconds - nonces.since) / 1e9
        guard Double(signature.created - terms.clockSkewInSeconds) >= Loop.unixTime - age else {
            throw AuthenticationError(.unavailable, "signed before this node began to remember nonces")
        }
        let nonce = "\(signature.keyID) \(signature.nonce)"
        switch nonces.claim(Array(nonce.utf8), for: .seconds(terms.nonceLifetimeInSeconds)) {
        case .fresh: break
        case .repeated: throw AuthenticationError(.replayed, "the request was made before")
        case .full: throw AuthenticationError(.unavailable, "no room to remember a nonce")
        }
        guard let shared, let charge = sharedClass.charge(for: Subject(principal: nonce)) else { return }
        let isFresh: Bool
        do { isFresh = try await shared.check([charge]).isAllowed } catch {
            throw AuthenticationError(.unavailable, "Redis does not say whether a nonce is fresh")
        }
        guard isFresh else { throw AuthenticationError(.replayed, "the request was made before, on another machine") }
    }
}

/// A request as its signature sees it.
private struct RequestMessage: SignedMessage {
    private let head: RequestHead
    let scheme: String

    @OnLoop
    init(_ request: Request) {
        head = request.head
        scheme = (request.head.target.scheme ?? request.connection.scheme).rawValue
    }

    var method: String { head.method.rawValue }
    var authority: String { head.target.authority }
    var path: String { head.target.path }
    var query: String? { head.target.query }
    var requestTarget: String { String(decoding: head.target.bytes, as: UTF8.self) }

    func fieldValues(_ name: String) -> [String] {
        head.fields.filter { $0.nameText.lowercased() == name }.map(\.value)
    }
}
