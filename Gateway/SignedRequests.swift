internal import Authentication
internal import HTTP
internal import Loop
internal import Policy
internal import RateLimit
internal import Server

/// Checks signed requests (RFC 9421). Each is accepted once.
@OnLoop
final class SignedRequests {
    private let verifier: SignatureVerifier
    private let nonces: NonceMemory
    private let purpose: NonceMemory.Purpose

    init(_ policy: KeyPolicy.Signatures, _ nonces: NonceMemory) {
        verifier = SignatureVerifier(clients: policy.clients, terms: policy.terms)
        self.nonces = nonces
        purpose = NonceMemory.Purpose(policy.terms)
    }

    /// Whether a request is meant to be signed.
    static func areMeant(by fields: Fields) -> Bool { fields.count(of: "signature-input") > 0 }

    /// What a request proves by its signature, with what its content must hash to, and the nonce it is accepted once
    /// by.
    func verify(_ request: Request) async throws(AuthenticationError) -> (Proof, ClaimedNonce) {
        let now = Int64(Loop.unixTime)
        let signature = try verifier.verify(
            RequestMessage(request), hasContent: !request.body.isEmpty, now: now)
        // A client may be called what a vendor is, and nobody is to claim what is another's.
        let nonce = try await nonces.claimOnce(
            "signature \(signature.keyID) \(signature.nonce)", for: purpose, madeAt: signature.created)
        return (Proof(identity: signature.identity, contentDigest: signature.contentDigest), nonce)
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
