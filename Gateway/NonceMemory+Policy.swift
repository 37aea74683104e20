internal import Authentication
internal import Loop
internal import Policy
internal import RateLimit

/// What clients say once, as the policy has it.
extension NonceMemory {
    /// What says when it was made, and is accepted for a while after that: the kinds of the node's table.
    fileprivate enum Kind: Int, CaseIterable {
        case signature, webhook
    }

    /// - Parameters:
    ///   - file: where the node's nonces are.
    ///   - shared: what all machines ask; nil where there is one machine.
    /// - Throws: `RateLimitError` when the table cannot be used.
    convenience init(_ policy: KeyPolicy, file: String, shared: RedisStore?) throws {
        let terms = Kind.allCases.map { kind in
            switch kind {
            case .signature: NonceTable.Terms(policy.signatures.terms)
            case .webhook: NonceTable.Terms(covering: policy.webhooks.senders)
            }
        }
        self.init(
            table: try NonceTable(path: file, capacity: policy.signatures.nonces, terms: terms), shared: shared)
    }

    /// Claims a nonce, or throws because it was claimed before or nobody knows.
    ///
    /// - Parameter madeAt: when it says it was made, in Unix seconds; nil where nothing says so.
    /// - Returns: what to give back when nothing comes of the request.
    func claimOnce(
        _ nonce: String, for purpose: Purpose, madeAt: Int64?
    ) async throws(AuthenticationError) -> ClaimedNonce {
        switch await claim(nonce, for: purpose, madeAt: madeAt) {
        case .fresh(let claimed): return claimed
        case .repeated: throw AuthenticationError(.replayed, "the request was made before")
        case .repeatedElsewhere:
            throw AuthenticationError(.replayed, "the request was made before, on another machine")
        case .unknown:
            throw AuthenticationError(.unavailable, "made before this node began to remember for so long")
        case .full: throw AuthenticationError(.unavailable, "no room to remember a nonce")
        case .unavailable: throw AuthenticationError(.unavailable, "Redis does not say whether a nonce is fresh")
        }
    }
}

extension NonceMemory.Purpose {
    /// Signatures' nonces.
    init(_ terms: SignatureTerms) {
        self.init("signature-nonce", kind: NonceMemory.Kind.signature.rawValue, NonceTable.Terms(terms))
    }

    /// What a vendor has signed.
    init(_ sender: WebhookSender) {
        let name = "webhook-nonce"
        if sender.terms.timestampField == nil {
            self.init(name, for: .seconds(sender.memoryInSeconds))
        } else {
            self.init(name, kind: NonceMemory.Kind.webhook.rawValue, NonceTable.Terms(covering: [sender]))
        }
    }
}

extension NonceTable.Terms {
    fileprivate init(_ terms: SignatureTerms) {
        self.init(reach: UInt32(terms.reachInSeconds), skew: UInt32(terms.clockSkewInSeconds))
    }

    /// Those of every sender that says when it sent.
    fileprivate init(covering senders: [WebhookSender]) {
        let terms = senders.map(\.terms).filter { $0.timestampField != nil }
        self.init(
            reach: UInt32(terms.map(\.reachInSeconds).max() ?? 0),
            skew: UInt32(terms.map(\.clockSkewInSeconds).max() ?? 0))
    }
}
