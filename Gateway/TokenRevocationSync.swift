internal import Authentication
internal import HTTP
internal import JSONText
internal import Loop
internal import Telemetry

/// Keeps what a worker knows of revoked tokens what the database says: asks the bridge for changes, one request waiting
/// for the next one all the time.
@OnLoop
final class TokenRevocationSync {
    private static let path = "/drawbridge/revoked-tokens"

    private let tokens: TokenVerifier
    private let bridge: BridgeCalls

    init(_ tokens: TokenVerifier, _ bridge: BridgeCalls) {
        self.tokens = tokens
        self.bridge = bridge
        let revocations = tokens.revocations
        Metrics.gauge("drawbridge_gateway_revoked_tokens", "Revoked tokens held.") { Double(revocations.count) }
        Metrics.gauge("drawbridge_gateway_revoked_tokens_fresh", "1 while the revoked tokens held may be believed.") {
            revocations.isFresh(at: Loop.monotonicNanoseconds) ? 1 : 0
        }
    }

    /// Works until the task is cancelled.
    func run() async {
        await bridge.follow(Self.path, version: { self.tokens.revocations.version }, take: self.take)
    }

    /// Asks now; for a worker that starts.
    func begin() async {
        // What fails now is tried again while it runs.
        try? await take(try await bridge.ask(.get, Self.path))
    }

    private func take(_ answer: [UInt8]) async throws {
        let received = Loop.monotonicNanoseconds
        let state = try await Loop.offload {
            try FollowedState(json: answer, member: "revoked", TokenRevocations.Entry.init(json:))
        }
        let confirmedAt = state.confirmedAt(received: received)
        if let entries = state.rows {
            tokens.replaceRevocations(with: entries, version: state.version, confirmedAt: confirmedAt)
            Log.info(
                "revoked tokens taken over",
                ["tokens": .init(tokens.revocations.count), "version": .init(state.version)])
        } else if state.version == tokens.revocations.version {
            tokens.revocations.confirm(at: confirmedAt)
        }
    }
}

extension TokenRevocations.Entry {
    /// Reads the revoked tokens of one issuer as the bridge writes them.
    fileprivate init(json: JSONValue) throws {
        guard case .array(let tokenIDs)? = json["jti"] else { throw FollowedState<Self>.Malformed() }
        let issuer: String?
        switch json["issuer"] {
        case .null?: issuer = nil
        case .string(let name)?: issuer = name
        default: throw FollowedState<Self>.Malformed()
        }
        self.init(
            issuer: issuer,
            tokenIDs: try tokenIDs.map { tokenID in
                // One that cannot be read is one that would be let in.
                guard let tokenID = tokenID.string else { throw FollowedState<Self>.Malformed() }
                return tokenID
            })
    }
}
