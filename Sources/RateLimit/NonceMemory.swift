public import Loop

/// Sees to it that what may be said once is: to any process of this node, and to any machine where Redis is shared.
///
/// The node remembers in a table that its processes map: no hop, no lock, and the death of any of them forgets nothing.
/// Redis alone would make everybody wait for it even on a single machine.
///
/// The table outlives reloads and restarts, and with them the terms under which it was filled: see `NonceTable.Terms`.
/// In Redis a nonce lives as long as the node that claimed it had to remember it.
@OnLoop
public final class NonceMemory {
    /// What is remembered for one purpose, and for how long.
    public struct Purpose: Sendable {
        fileprivate enum Lifetime {
            /// As long as the table's terms for a kind ask, and its maker's clock may be ahead.
            case kind(Int, skew: UInt32)
            case fixed(Duration)
        }

        fileprivate let name: String
        fileprivate let lifetime: Lifetime
        /// How long Redis remembers it.
        fileprivate let duration: Duration

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
            precondition(duration > .zero, "what is forgotten at once is not remembered")
            self.name = name
            self.lifetime = lifetime
            self.duration = duration
        }

        /// No name contains the zero, so what is said for one purpose is never what is said for another.
        fileprivate func key(_ nonce: String) -> [UInt8] { Array(name.utf8) + [0] + Array(nonce.utf8) }
    }

    /// What comes of a claim.
    public enum Claim: Sendable, Equatable {
        /// It was not said before.
        case fresh(ClaimedNonce)
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
    /// - Parameter madeAt: when it says it was made, in Unix seconds; nil where nothing says so, and then it is of no
    ///   kind.
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
        case .fresh(let place): return await share(purpose.key(nonce), for: purpose.duration, at: place)
        case .repeated: return .repeated
        case .full: return .full
        }
    }

    /// Claims for all machines what is claimed for this one. What is not got there is given back here: whoever has it
    /// may give it back, and then this node must not be the one that refuses it.
    private func share(_ key: [UInt8], for duration: Duration, at place: NonceTable.Place) async -> Claim {
        guard let shared else { return .fresh(ClaimedNonce(table, place)) }
        let owner = String(UInt64.random(in: .min ... .max), radix: 36)
        do {
            if try await shared.claim(key, as: owner, for: duration) {
                return .fresh(ClaimedNonce(table, place, (shared, key, owner)))
            }
            table.giveBack(place)
            return .repeatedElsewhere
        } catch {
            table.giveBack(place)
            return .unavailable
        }
    }

    /// Whether this node would know if it had accepted what was made then. Not in whole seconds: a request is too old
    /// from the first, or never.
    private func isRemembered(_ kind: Int, madeAt: Int64) -> Bool {
        let age = Double(Int64(Loop.monotonicNanoseconds) - Int64(table.since[kind])) / 1e9
        return Double(madeAt) >= Loop.unixTime - age
    }
}

/// A nonce that was fresh, and is spent unless it is given back.
@OnLoop
public final class ClaimedNonce {
    private let table: NonceTable
    private let place: NonceTable.Place
    private let shared: (store: RedisStore, key: [UInt8], owner: String)?

    fileprivate init(
        _ table: NonceTable, _ place: NonceTable.Place, _ shared: (RedisStore, [UInt8], String)? = nil
    ) {
        self.table = table
        self.place = place
        self.shared = shared
    }

    /// Lets it be said once more, because nothing came of it. Where Redis does not answer now, it stays spent there.
    public func giveBack() async {
        // First there: somebody who had it from this node again and not yet from Redis would be refused for nothing.
        if let shared { try? await shared.store.giveBack(shared.key, of: shared.owner) }
        table.giveBack(place)
    }
}

extension ClaimedNonce: Equatable {
    public nonisolated static func == (one: ClaimedNonce, other: ClaimedNonce) -> Bool { one === other }
}
