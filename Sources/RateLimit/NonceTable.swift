internal import CAtomicCell
internal import Loop

/// What has been said once and must not be said again for a while: a table in memory that all processes of a node map.
///
/// Unlike a limit, a nonce is never forgotten to make room for another: when no cell is free, nothing is claimed. There are
/// no locks; when two processes claim one nonce at the same instant, at most one of them succeeds.
public final class NonceTable: @unchecked Sendable {
    // Sendable, because what is not constant is changed by atomic operations only.

    /// What comes of a claim.
    public enum Claim: Sendable, Equatable {
        /// It was not said before.
        case fresh
        /// It was, or is being said by somebody else right now.
        case repeated
        /// There is no room to remember it.
        case full
    }

    /// Cells in which a nonce is looked for: four cache lines.
    private static let probeCount = 16
    /// No cell's instant is further ahead: more is damage.
    private static let longestLifetime: UInt64 = 4 * 3_600_000_000_000
    /// Where it is written down since when the table remembers; no nonce's place.
    private static let markKey: UInt64 = 1

    private let file: TableFile
    private let cells: UnsafeMutablePointer<atomic_cell>
    private let mask: Int
    private let hash: SipHash
    private let clock: @Sendable () -> UInt64
    /// Since when, on the machine's monotonic clock in nanoseconds, everything claimed is remembered. What may have been
    /// claimed earlier is unknown.
    public let since: UInt64

    /// Opens the table at `path`, made if need be; what stands there and is no such table is replaced.
    ///
    /// - Parameters:
    ///   - capacity: cells, rounded up to a power of two between 64 and 2^26, of 16 bytes each.
    ///   - clock: nanoseconds of a clock that never goes back and that all processes share; by default the machine's.
    public init(path: String, capacity: Int, clock: (@Sendable () -> UInt64)? = nil) throws(RateLimitError) {
        var count = 64
        while count < min(capacity, 1 << 26) { count *= 2 }
        file = try TableFile.open(path, cellCount: count + Self.probeCount)
        // The first line holds the mark.
        let mark = (file.base + TableFile.headSize).bindMemory(to: atomic_cell.self, capacity: count + Self.probeCount)
        cells = mark + Self.probeCount
        mask = count - 1
        hash = SipHash(key: file.hashKey)
        let clock = clock ?? { Loop.monotonicNanoseconds }
        self.clock = clock
        // Whoever comes first writes it.
        _ = atomic_cell_exchange(mark, 0, 0, Self.markKey, max(1, clock()))
        since = atomic_cell_instant(mark)
    }

    deinit { file.unmap() }

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
            // Somebody else may have claimed it in another cell meanwhile. Of two such at least one sees the other here, and
            // whoever does gives up; both may, and then nobody has it, which harms less than both having it.
            for index in 0..<Self.probeCount where index != free.index {
                let (owner, instant) = read(key, index)
                if owner == key, isLive(instant, at: now) { return .repeated }
            }
            return .fresh
        }
    }

    private func isLive(_ instant: UInt64, at now: UInt64) -> Bool {
        instant > now && instant - now <= Self.longestLifetime
    }

    /// A cell's two words as they stood at one time.
    private func read(_ key: UInt64, _ index: Int) -> (owner: UInt64, instant: UInt64) {
        let cell = cell(key, index)
        while true {
            let (owner, instant) = (atomic_cell_key(cell), atomic_cell_instant(cell))
            if atomic_cell_key(cell) == owner, atomic_cell_instant(cell) == instant { return (owner, instant) }
        }
    }

    private func cell(_ key: UInt64, _ index: Int) -> UnsafeMutablePointer<atomic_cell> {
        cells + (Int(truncatingIfNeeded: key >> 1) + index) & mask
    }
}
