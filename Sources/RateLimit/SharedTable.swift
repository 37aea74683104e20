internal import CAtomicCell
internal import Loop

/// The limits of one node: a table in memory that all its processes map.
///
/// A cell is a key's hash and the instant of its quota, always changed as one. There are no locks and no steps that a
/// killed process could leave half done: at worst one request is counted that was not let through, and given back as
/// time passes. A cell whose instant has passed says nothing any more, and whoever needs it may take it.
///
/// A request under several limits looks at all of them first, then charges one after the other; when one has become
/// exceeded in between, what was charged is taken back. Only in that moment can another request see less than is left.
public final class SharedTable: @unchecked Sendable {
    // Sendable, because what is not constant is changed by atomic operations only.

    /// Cells in which a key is looked for: two cache lines.
    static let probeCount = 8
    private static let lineCells = 4

    private let file: TableFile
    private let cells: UnsafeMutablePointer<atomic_cell>
    private let lineMask: Int
    private let hash: SipHash
    private let clock: @Sendable () -> UInt64
    private let evicted: UnsafeMutablePointer<UInt64>
    /// Tells this process's claims from others' of the same instant.
    private let salt = UInt64.random(in: .min ... .max)

    /// Opens the table at `path`, made if need be; what stands there and is no such table is replaced.
    ///
    /// - Parameters:
    ///   - capacity: cells, rounded up to a power of two between 8 and 2^26. Each is 16 bytes and holds one key of one
    ///     class while its quota is not whole. Processes that share a table must agree on it.
    ///   - clock: nanoseconds of a clock that never goes back and that all processes share; by default the machine's.
    public init(
        path: String, capacity: Int, clock: (@Sendable () -> UInt64)? = nil
    ) throws(RateLimitError) {
        var count = Self.probeCount
        while count < min(capacity, 1 << 26) { count *= 2 }
        file = try TableFile.open(path, byteCount: count * MemoryLayout<atomic_cell>.stride)
        cells = (file.base + TableFile.headSize).bindMemory(to: atomic_cell.self, capacity: count)
        lineMask = count / Self.lineCells - 1
        hash = SipHash(key: file.hashKey)
        self.clock = clock ?? { Loop.monotonicNanoseconds }
        evicted = .allocate(capacity: 1)
        evicted.initialize(to: 0)
    }

    deinit {
        file.close()
        evicted.deallocate()
    }

    /// Cells of other keys that this process took before their time, because a line was full. Each forgets what one key
    /// has used; more than a few mean that the table is too small. To be read on the thread that checks.
    public var evictions: UInt64 { evicted.pointee }

    /// Decides on one request, and charges it to all limits or to none.
    public func check(_ charges: [Charge]) -> Verdict {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2 * charges.count) { words in
            words.initialize(repeating: 0)
            var keys = UnsafeMutableBufferPointer(rebasing: words[..<charges.count]).mutableSpan
            var backlogs = UnsafeMutableBufferPointer(rebasing: words[charges.count...]).mutableSpan
            return check(charges, &keys, &backlogs)
        }
    }

    /// - Parameters:
    ///   - keys: room for the key of each.
    ///   - backlogs: room for what each quota said.
    private func check(
        _ charges: [Charge], _ keys: inout MutableSpan<UInt64>, _ backlogs: inout MutableSpan<UInt64>
    ) -> Verdict {
        let begin = clock()
        var isAllowed = true
        for index in charges.indices {
            // Zero is the key of empty cells.
            keys[index] = max(1, hash(charges[index].key))
            let decision = look(keys[index], charges[index].limitClass.quota, at: begin)
            isAllowed = isAllowed && decision.isAllowed
            backlogs[index] = decision.backlog
        }
        guard isAllowed else { return .make(charges, backlogs: backlogs.span) }
        for index in charges.indices {
            let decision = take(keys[index], charges[index].limitClass.quota, at: begin)
            backlogs[index] = decision.backlog
            guard decision.isAllowed else {
                for earlier in 0..<index { takeBack(keys[earlier], charges[earlier].limitClass.quota, begin: begin) }
                break
            }
        }
        return .make(charges, backlogs: backlogs.span)
    }

    // MARK: One limit

    /// What is said of a request, without charging it.
    private func look(_ key: UInt64, _ quota: Quota, at now: UInt64) -> Quota.Decision {
        while true {
            guard let (cell, instant) = find(key, at: now) else { return quota.decide(0, at: now) }
            let decision = quota.decide(instant, at: now)
            // A yes is checked again when it is charged. For a no, the cell is compared as a whole: its two words may
            // have been read from different owners. A damaged instant is put right by the way.
            if decision.isAllowed || atomic_cell_exchange(cell, key, instant, key, decision.next) { return decision }
        }
    }

    /// Charges a request, if the limit allows it.
    private func take(_ key: UInt64, _ quota: Quota, at now: UInt64) -> Quota.Decision {
        while true {
            let cell: UnsafeMutablePointer<atomic_cell>
            let instant: UInt64
            if let found = find(key, at: now) {
                (cell, instant) = found
            } else if let new = claim(key, at: now) {
                (cell, instant) = new
            } else {
                continue
            }
            // The first charge since the quota was whole: see to it that no other cell is charged for the same key.
            if instant <= now, !removeOthers(key, than: cell, at: now) { continue }
            let decision = quota.decide(instant, at: now)
            if atomic_cell_exchange(cell, key, instant, key, decision.next) { return decision }
        }
    }

    private func takeBack(_ key: UInt64, _ quota: Quota, begin: UInt64) {
        while let (cell, instant) = find(key, at: begin) {
            // After the look at the cell: all charges that it contains were made before.
            let rest = quota.takeBack(instant, begin: begin, at: clock())
            if rest == instant || atomic_cell_exchange(cell, key, instant, key, rest) { return }
        }
    }

    // MARK: Cells

    /// The cell at which a key's probing begins, and those after it.
    @inline(__always)
    private func cell(_ key: UInt64, _ step: Int) -> UnsafeMutablePointer<atomic_cell> {
        let home = Int(truncatingIfNeeded: key) & lineMask
        let line = step < Self.lineCells ? home : (home + 1) & lineMask
        return cells + line * Self.lineCells + step % Self.lineCells
    }

    /// The key's cell and its instant: the one that is charged, or else the first that is not.
    private func find(_ key: UInt64, at now: UInt64) -> (UnsafeMutablePointer<atomic_cell>, UInt64)? {
        var idle: (UnsafeMutablePointer<atomic_cell>, UInt64)?
        for step in 0..<Self.probeCount {
            let cell = cell(key, step)
            guard atomic_cell_key(cell) == key else { continue }
            let instant = atomic_cell_instant(cell)
            if instant > now { return (cell, instant) }
            if idle == nil { idle = (cell, instant) }
        }
        return idle
    }

    /// Gives the key a cell that nothing is charged to yet, and the instant that says so; nil if somebody else was
    /// faster.
    ///
    /// Without a free one it takes that which would be free first, so those who have used the most are kept.
    private func claim(_ key: UInt64, at now: UInt64) -> (UnsafeMutablePointer<atomic_cell>, UInt64)? {
        let claimed = passedInstant(at: now)
        var best = (cell: cell(key, 0), key: UInt64(0), instant: UInt64.max)
        for step in 0..<Self.probeCount {
            let cell = cell(key, step)
            let owner = atomic_cell_key(cell)
            var instant = atomic_cell_instant(cell)
            let read = instant
            // No quota reaches that far: damage.
            if Quota.isDamaged(instant, at: now) { instant = 0 }
            if instant <= now {
                return atomic_cell_exchange(cell, owner, read, key, claimed) ? (cell, claimed) : nil
            }
            if instant < best.instant { best = (cell, owner, instant) }
        }
        guard atomic_cell_exchange(best.cell, best.key, best.instant, key, claimed) else { return nil }
        evicted.pointee &+= 1
        return (best.cell, claimed)
    }

    /// An instant that has passed for everybody, and that no other claim has.
    ///
    /// Were it the same for all, a cell that was removed and claimed again would look as before: a charge prepared
    /// before the removal would succeed beside one to the cell that had taken its place.
    private func passedInstant(at now: UInt64) -> UInt64 {
        // The mixing step of SplitMix64 (Steele, Lea, Flood 2014).
        var mixed = clock() &+ salt
        mixed = (mixed ^ mixed &>> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed &>> 27) &* 0x94D0_49BB_1331_11EB
        return 1 + (mixed ^ mixed &>> 31) % max(1, now / 2)
    }

    /// Removes the key's other cells before the first charge to `own`; false if one of them is charged, and then the
    /// one to use.
    ///
    /// Two processes may have claimed a cell each. Whoever charges first to one has, after that cell got its key,
    /// looked at all others and removed them by an exchange, which either makes the charge that the other prepared
    /// fail, or fails itself; a cell that is claimed again is another one by its instant. So never are two cells of one
    /// key charged.
    private func removeOthers(_ key: UInt64, than own: UnsafeMutablePointer<atomic_cell>, at now: UInt64) -> Bool {
        for step in 0..<Self.probeCount {
            let other = cell(key, step)
            guard other != own, atomic_cell_key(other) == key else { continue }
            let instant = atomic_cell_instant(other)
            guard instant <= now, atomic_cell_exchange(other, key, instant, 0, 0) else { return false }
        }
        return true
    }
}
