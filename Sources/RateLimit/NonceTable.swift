internal import CAtomicCell
internal import Loop

/// What has been said once and must not be said again for a while: a table in memory that all processes of a node map.
///
/// Unlike a limit, a nonce is never forgotten to make room for another: when no cell is free, nothing is claimed. There
/// are no locks; when two processes claim one nonce at the same instant, at most one of them succeeds.
public final class NonceTable: @unchecked Sendable {
    // Sendable, because what is not constant is changed by atomic operations only.

    /// What comes of a claim.
    public enum Claim: Sendable, Equatable {
        /// It was not said before.
        case fresh(Place)
        /// It was, or is being said by somebody else right now.
        case repeated
        /// There is no room to remember it.
        case full
    }

    /// Where a claim stands, for whoever made it to give back.
    public struct Place: Sendable, Equatable {
        fileprivate let cell: Int
        fileprivate let key: UInt64
        fileprivate let until: UInt64
    }

    /// For how long what is remembered of one kind can be said again.
    public struct Terms: Sendable, Equatable {
        /// Seconds in which something is accepted, after the time at which it says it was made.
        public var reach: UInt32
        /// Seconds by which its maker's clock may be ahead.
        public var skew: UInt32

        /// Puts the terms together.
        public init(reach: UInt32, skew: UInt32) {
            self.reach = reach
            self.skew = skew
        }

        fileprivate init(_ word: UInt64) {
            reach = UInt32(truncatingIfNeeded: word >> 32)
            skew = UInt32(truncatingIfNeeded: word)
        }

        fileprivate var word: UInt64 { UInt64(reach) << 32 | UInt64(skew) }
    }

    /// How many kinds there can be.
    public static let maximumKindCount = probeCount
    /// Cells in which a nonce is looked for: four cache lines.
    private static let probeCount = 16
    /// No cell's instant is further ahead: more is damage.
    private static let longestLifetime: UInt64 = 4 * 3_600_000_000_000

    private let file: TableFile
    /// For each kind the longest terms that anybody has opened the table with, and since when what they ask is
    /// remembered.
    private let kinds: UnsafeMutablePointer<atomic_cell>
    private let cells: UnsafeMutablePointer<atomic_cell>
    private let mask: Int
    private let hash: SipHash
    private let clock: @Sendable () -> UInt64
    /// Since when, by kind, on the machine's monotonic clock in nanoseconds: whatever says it was made later, by a
    /// clock within the terms, is remembered if it was claimed. Of what was made earlier nothing is known.
    public let since: [UInt64]

    /// Opens the table at `path`, made if need be; what stands there and is no such table is replaced.
    ///
    /// - Parameters:
    ///   - capacity: cells, rounded up to a power of two between 64 and 2^26, of 16 bytes each.
    ///   - terms: what is remembered for longer than any caller's lifetime asks, by kind; at most `maximumKindCount`.
    ///     The longest that anybody asks of a kind holds for all who claim, from then on and as long as the file lives.
    ///   - clock: nanoseconds of a clock that never goes back and that all processes share; by default the machine's.
    public init(
        path: String, capacity: Int, terms: [Terms] = [], clock: (@Sendable () -> UInt64)? = nil
    ) throws(RateLimitError) {
        precondition(terms.count <= Self.maximumKindCount)
        var count = 64
        while count < min(capacity, 1 << 26) { count *= 2 }
        file = try TableFile.open(path, byteCount: (count + Self.probeCount) * MemoryLayout<atomic_cell>.stride)
        // The first cells are the kinds'.
        let kinds = (file.base + TableFile.headSize).bindMemory(to: atomic_cell.self, capacity: count + Self.probeCount)
        self.kinds = kinds
        cells = kinds + Self.maximumKindCount
        mask = count - 1
        hash = SipHash(key: file.hashKey)
        let clock = clock ?? { Loop.monotonicNanoseconds }
        self.clock = clock
        since = terms.enumerated().map { Self.agree(on: $0.element, kinds + $0.offset, clock) }
    }

    deinit { file.close() }

    /// Sees to it that at least these terms hold for a kind, and says since when they do.
    ///
    /// What was claimed under shorter terms may be forgotten before longer ones are over. So with a longer reach the
    /// kind begins anew: first everybody claims for longer, and only then the time is taken.
    private static func agree(
        on terms: Terms, _ kind: UnsafeMutablePointer<atomic_cell>, _ clock: () -> UInt64
    ) -> UInt64 {
        while true {
            let (word, since) = read(kind)
            let known = Terms(word)
            let agreed = Terms(reach: max(known.reach, terms.reach), skew: max(known.skew, terms.skew))
            if agreed.reach > known.reach {
                _ = atomic_cell_exchange(kind, word, since, agreed.word, 0)
            } else if since == 0 {
                // What was claimed before may say that it was made by a clock ahead of ours.
                _ = atomic_cell_exchange(kind, word, 0, word, clock() + UInt64(known.skew) * 1_000_000_000)
            } else if agreed != known {
                _ = atomic_cell_exchange(kind, word, since, agreed.word, since)
            } else {
                return since
            }
        }
    }

    /// Claims a nonce of a kind for as long as it can be said again, by the longest terms that anybody has.
    ///
    /// - Parameter skew: seconds by which its maker's clock was allowed to be ahead.
    public func claim(_ nonce: [UInt8], of kind: Int, skew: UInt32) -> Claim {
        precondition(since.indices.contains(kind))
        let reach = Terms(atomic_cell_key(kinds + kind)).reach
        return claim(nonce, for: .seconds(Int64(reach) + Int64(skew)))
    }

    /// Claims a nonce for so long; afterwards it may be claimed again.
    public func claim(_ nonce: [UInt8], for lifetime: Duration) -> Claim {
        let key = max(2, hash(nonce))
        let now = clock()
        let (seconds, attoseconds) = lifetime.components
        let nanoseconds = UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds)) / 1_000_000_000
        let until = now + min(nanoseconds, Self.longestLifetime)
        while true {
            var free: (index: Int, key: UInt64, instant: UInt64)?
            for index in 0..<Self.probeCount {
                let (owner, instant) = read(key, index)
                if isLive(instant, at: now) {
                    if owner == key { return .repeated }
                } else if free == nil {
                    free = (index, owner, instant)
                }
            }
            guard let free else { return .full }
            guard atomic_cell_exchange(cell(key, free.index), free.key, free.instant, key, until) else { continue }
            let place = Place(cell: free.index, key: key, until: until)
            // Somebody else may have claimed it in another cell meanwhile. Of two such at least one sees the other
            // here, and whoever does gives up; both may, and then nobody has it, which harms less than both having it.
            for index in 0..<Self.probeCount where index != free.index {
                let (owner, instant) = read(key, index)
                guard owner != key || !isLive(instant, at: now) else {
                    giveBack(place)
                    return .repeated
                }
            }
            return .fresh(place)
        }
    }

    /// Takes a claim back, by whoever made it: its nonce may be said once more. Nothing changes where its time is over.
    public func giveBack(_ place: Place) {
        // Whoever claims it after its time does so for longer, so no claim but this one is taken back. The key stays:
        // with another one a cell that is claimed again could look as before to somebody who reads its words one by
        // one.
        _ = atomic_cell_exchange(cell(place.key, place.cell), place.key, place.until, place.key, 0)
    }

    private func isLive(_ instant: UInt64, at now: UInt64) -> Bool {
        instant > now && instant - now <= Self.longestLifetime
    }

    /// A cell's two words as they stood at one time.
    private func read(_ key: UInt64, _ index: Int) -> (key: UInt64, instant: UInt64) { Self.read(cell(key, index)) }

    private static func read(_ cell: UnsafeMutablePointer<atomic_cell>) -> (key: UInt64, instant: UInt64) {
        while true {
            let (key, instant) = (atomic_cell_key(cell), atomic_cell_instant(cell))
            if atomic_cell_key(cell) == key, atomic_cell_instant(cell) == instant { return (key, instant) }
        }
    }

    private func cell(_ key: UInt64, _ index: Int) -> UnsafeMutablePointer<atomic_cell> {
        cells + (Int(truncatingIfNeeded: key >> 1) + index) & mask
    }
}
