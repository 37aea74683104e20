internal import Authentication
internal import Cryptography
internal import HTTP
internal import Loop
internal import Policy
internal import RateLimit
internal import Server

/// Checks webhooks that vendors have signed with the secret they share with us. Each is accepted once.
///
/// A vendor's code is over the content, so the content is read before anybody has proven who he is: no more of it than
/// the route takes, for a few seconds at most, after the address's limit, and only where everything else about the
/// request could be a sender's.
@OnLoop
final class SignedWebhooks {
    private struct Sender {
        let sender: WebhookSender
        let verifier: WebhookVerifier
        let purpose: NonceMemory.Purpose
    }

    private let senders: [Sender]
    private let contentTimeout: Duration
    private let nonces: NonceMemory

    init(_ policy: KeyPolicy.Webhooks, _ nonces: NonceMemory) {
        senders = policy.senders.map { sender in
            Sender(
                sender: sender, verifier: WebhookVerifier(sender.terms),
                purpose: NonceMemory.Purpose(sender))
        }
        contentTimeout = policy.contentTimeout
        self.nonces = nonces
    }

    /// Whether a request has the field in which some sender signs.
    func areMeant(by fields: Fields) -> Bool { senders.contains { fields.count(of: $0.sender.terms.field) > 0 } }

    /// What a webhook proves, with its content, which has been read, and the nonce it is accepted once by.
    ///
    /// - Parameter bound: bytes that the route takes.
    /// - Throws: `AuthenticationError`; `Problem` when the content cannot be read.
    func verify(_ request: Request, upTo bound: Int) async throws -> (Proof, ClaimedNonce) {
        let claims = try claims(request)
        let content = try await request.body.collect(upTo: bound, within: contentTimeout)
        let (sender, claim, digest) = try Self.sender(of: content, claims)
        let nonce = try await nonces.claimOnce(
            "\(sender.sender.identity.subject) \(Hexadecimal.encode(digest.bytes))", for: sender.purpose,
            madeAt: claim.sentAt)
        return (Proof(identity: sender.sender.identity, content: content.isEmpty ? nil : content), nonce)
    }

    private typealias Claimed = (sender: Sender, claim: WebhookVerifier.Claim)

    /// What the request claims, by each sender whose it could be.
    private func claims(_ request: Request) throws(AuthenticationError) -> [Claimed] {
        let fields = request.head.fields
        let now = Int64(Loop.unixTime)
        var claims: [Claimed] = []
        var refusal = AuthenticationError(.missing, "not exactly one of a webhook's fields")
        for sender in senders where fields.count(of: sender.sender.terms.field) > 0 {
            do throws(AuthenticationError) {
                let claim = try sender.verifier.claim(
                    { name in fields.filter { $0.nameText.lowercased() == name }.map(\.value) }, now: now)
                claims.append((sender, claim))
            } catch { refusal = error }
        }
        if claims.isEmpty { throw refusal }
        return claims
    }

    /// Whose secret made the code. Every sender's is tried whoever it is, so that the time does not tell.
    private static func sender(
        of content: [UInt8], _ claims: [Claimed]
    ) throws(AuthenticationError) -> (Sender, WebhookVerifier.Claim, Digest256) {
        var found: (Sender, WebhookVerifier.Claim, Digest256)?
        var refusal = AuthenticationError(.badSignature, "the code does not belong to the content")
        for (sender, claim) in claims {
            do throws(AuthenticationError) {
                let digest = try sender.verifier.check(claim, content.span)
                if found == nil { found = (sender, claim, digest) }
            } catch { refusal = error }
        }
        guard let found else { throw refusal }
        return found
    }
}
