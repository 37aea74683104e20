public import Loop

/// Sees to it that what may be said once is: to any process of this node, and to any machine where Redis is shared.
///
/// The node remembers in a table that its processes map: no hop, no lock, and the death of any of them forgets nothing. Redis
/// alone would make everybody wait for it even on a single machine.
///
/// The table outlives reloads and restarts, and with them the terms under which it was filled: see `NonceTable.Terms`. In Redis
/// a nonce lives as long as the node that claimed it had to remember it.
@OnLoop
public final class NonceMemory {
    /// What is remembered for one purpose, and for how long.
    public struct Purpose: Sendable {
        fileprivate enum Lifetime {
            /// As long as the table's terms for a kind ask, and its maker's clock may be ahead.
            case kind(Int, skew: UInt32)
            case fixed(Duration)
        }

        fileprivate let lifetime: Lifetime
        /// A nonce is a limit of one for as long as it must not be said again.
        fileprivate let limit: LimitClass

        /// What says when it was made, and is accepted for a while after that.
        ///
        /// - Parameters:
        ///   - name: what all machines that share Redis call it.
        ///   - kind: the number of the table's terms that cover these.
        ///   - terms: this purpose's own.
        public init(_ name: String, kind: Int, _ terms: NonceTable.Terms) {
            self.init(name, .kind(kind, skew: terms.skew), .seconds(Int64(terms.reach) + Int64(terms.skew)))
        }

        /// What does not, and must not be said again for so long; more than nothing.
        public init(_ name: String, for duration: Duration) { self.init(name, .fixed(duration), duration) }

        private init(_ name: String, _ lifetime: Lifetime, _ duration: Duration) {
            let quota = Quota(burst: 1, requests: 1, per: duration)
            guard let quota, let limit = LimitClass(name: name, quota: quota, partition: .principal) else {
                preconditionFailure("a lifetime between its bounds")
            }
            self.lifetime = lifetime
            self.limit = limit
        }
    }

    /// What comes of a claim.
    public enum Claim: Sendable, Equatable {
        /// It was not said before.
        case fresh
        /// It was, to this node.
        case repeated
        /// It was, to another machine.
        case repeatedElsewhere
        /// It was made before this node began to remember for so long.
        case unknown
        /// There is no room to remember it.
        case full
        /// Redis does not say.
        case unavailable
    }

    private let table: NonceTable
    private let shared: RedisStore?

    /// - Parameters:
    ///   - table: the node's.
    ///   - shared: what all machines ask, run by the caller; nil where there is one machine.
    public init(table: NonceTable, shared: RedisStore?) {
        self.table = table
        self.shared = shared
    }

    /// Claims a nonce.
    ///
    /// - Parameter madeAt: when it says it was made, in Unix seconds; nil where nothing says so, and then it is of no kind.
    public func claim(_ nonce: String, for purpose: Purpose, madeAt: Int64?) async -> Claim {
        let bytes = Array(nonce.utf8)
        let claim: NonceTable.Claim
        switch purpose.lifetime {
        case .kind(let kind, let skew):
            guard let madeAt, isRemembered(kind, madeAt: madeAt) else { return .unknown }
            claim = table.claim(bytes, of: kind, skew: skew)
        case .fixed(let duration): claim = table.claim(bytes, for: duration)
        }
        switch claim {
        case .fresh: break
        case .repeated: return .repeated
        case .full: return .full
        }
        guard let shared, let charge = purpose.limit.charge(for: Subject(principal: nonce)) else { return .fresh }
        do { return try await shared.check([charge]).isAllowed ? .fresh : .repeatedElsewhere } catch {
            return .unavailable
        }
    }

    /// Whether this node would know if it had accepted what was made then. Not in whole seconds: a request is too old from the
    /// first, or never.
    private func isRemembered(_ kind: Int, madeAt: Int64) -> Bool {
        let age = Double(Int64(Loop.monotonicNanoseconds) - Int64(table.since[kind])) / 1e9
        return Double(madeAt) >= Loop.unixTime - age
    }
}
