internal import Authentication
internal import Loop
internal import RateLimit

/// Sees to it that what may be said once is: to any worker of this node, and to any machine where Redis is shared.
///
/// The node remembers in a table that its workers map: no hop, no lock, and the death of any process forgets nothing. Redis
/// alone would make every signed request wait for it even on a single machine, and the bridge's memory would die with the
/// bridge.
@OnLoop
final class NonceMemory {
    /// What is remembered for one purpose: for how long.
    struct Purpose {
        fileprivate let seconds: Int64
        /// A nonce is a limit of one for as long as it must not be said again.
        fileprivate let limit: LimitClass

        /// - Parameters:
        ///   - name: what all machines that share Redis call it.
        ///   - seconds: how long a nonce is remembered; at least 1.
        init(_ name: String, seconds: Int64) {
            let quota = Quota(burst: 1, requests: 1, per: .seconds(seconds))
            guard let quota, let limit = LimitClass(name: name, quota: quota, partition: .principal) else {
                preconditionFailure("a lifetime between its bounds")
            }
            self.seconds = seconds
            self.limit = limit
        }
    }

    private let table: NonceTable
    private let shared: RedisStore?

    /// - Parameters:
    ///   - file: where the node's nonces are.
    ///   - shared: what all machines ask; nil where there is one machine.
    /// - Throws: `RateLimitError` when the table cannot be used.
    init(capacity: Int, file: String, shared: RedisStore?) throws {
        table = try NonceTable(path: file, capacity: capacity)
        self.shared = shared
    }

    /// Claims a nonce, or throws because it was claimed before or nobody knows.
    ///
    /// - Parameters:
    ///   - earliest: when it can have been claimed first, in Unix seconds; nil where nothing says so.
    func claim(_ nonce: String, for purpose: Purpose, notBefore earliest: Int64?) async throws(AuthenticationError) {
        // What was accepted before the table was made is not in it. Not in whole seconds: a request is too old from the
        // first, or never.
        let age = Double(Loop.monotonicNanoseconds - table.since) / 1e9
        if let earliest, Double(earliest) < Loop.unixTime - age {
            throw AuthenticationError(.unavailable, "signed before this node began to remember nonces")
        }
        switch table.claim(Array(nonce.utf8), for: .seconds(purpose.seconds)) {
        case .fresh: break
        case .repeated: throw AuthenticationError(.replayed, "the request was made before")
        case .full: throw AuthenticationError(.unavailable, "no room to remember a nonce")
        }
        guard let shared, let charge = purpose.limit.charge(for: Subject(principal: nonce)) else { return }
        let isFresh: Bool
        do { isFresh = try await shared.check([charge]).isAllowed } catch {
            throw AuthenticationError(.unavailable, "Redis does not say whether a nonce is fresh")
        }
        guard isFresh else { throw AuthenticationError(.replayed, "the request was made before, on another machine") }
    }
}
