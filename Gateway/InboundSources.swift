internal import Authentication
internal import HTTP
internal import Loop
internal import Policy
internal import Server

/// Checks messages of those who send us webhooks: each is judged by the one proof that the source in its path has. A message that
/// comes again is not refused: the bridge recognises it, and gives the sender the answer that it had.
@OnLoop
final class InboundSources {
    private let senders: [String: InboundSender]
    private let contentTimeout: Duration

    init(_ policy: InboundPolicy) {
        senders = Dictionary(uniqueKeysWithValues: policy.senders.map { ($0.name, $0) })
        contentTimeout = policy.contentTimeout
    }

    /// Whom a message proves, with its content, which has been read. Content is read only where everything else about the
    /// message could be the source's, no more of it than the source may send, and for a few seconds at most.
    ///
    /// - Parameters:
    ///   - name: the source that the path names.
    ///   - bound: bytes that the route takes.
    /// - Throws: `AuthenticationError`, of which the client learns the same whatever was wrong; `Problem` when the content cannot
    ///   be read.
    func verify(_ request: Request, of name: String, upTo bound: Int) async throws -> Proof {
        guard let sender = senders[name] else { throw AuthenticationError(.unknownIssuer, "there is no such source") }
        let bound = min(bound, sender.maximumBody ?? bound)
        let content: [UInt8]
        switch sender.proof {
        case .urlSecret(let secret):
            try secret.check(request.head.target.queryBytes)
            content = try await request.body.collect(upTo: bound, within: contentTimeout)
        case .code(let terms):
            let verifier = WebhookVerifier(terms)
            let fields = request.head.fields
            let claim = try verifier.claim(
                { name in fields.filter { $0.nameText.lowercased() == name }.map(\.value) },
                now: Int64(Loop.unixTime))
            let read = try await request.body.collect(upTo: bound, within: contentTimeout)
            try verifier.check(claim, read.span)
            content = read
        }
        return Proof(identity: sender.identity, content: content.isEmpty ? nil : content)
    }
}
