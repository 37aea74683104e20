internal import Ledger

/// Records on their way to the ledger, in order, until they are acknowledged: what is to be sent, what may be sent
/// again on a new connection, and who is told. No I/O, no clock.
///
/// `Tag` is what somebody waits with; a record may have none.
struct PendingRecords<Tag> {
    private struct Entry {
        /// Where its frame stands, counted from the first byte ever.
        var frame: Range<Int>
        let durability: Durability
        let time: UInt64
        var tag: Tag?
        /// Whether the ledger has answered.
        var isSettled = false
    }

    private let recordBound: Int
    private let byteBound: Int
    private var entries: [Entry] = []
    /// The index of the first entry that counts, whose ticket is `firstTicket`.
    private var head = 0
    private var firstTicket: UInt64 = 1
    private var bytes: [UInt8] = []
    /// What of all bytes ever stands before `bytes`.
    private var base = 0
    /// Up to where bytes were sent on this connection.
    private var sent = 0
    private var sentTicket: UInt64 = 0
    private var acknowledged: (written: UInt64, synced: UInt64) = (0, 0)
    private var expiredBefore: UInt64 = 0

    /// - Parameters:
    ///   - recordBound: the most records that wait.
    ///   - byteBound: the most bytes they may have together.
    init(recordBound: Int, byteBound: Int) {
        self.recordBound = recordBound
        self.byteBound = byteBound
    }

    /// Records that are not settled, and settled ones behind them.
    var count: Int { entries.count - head }
    var isEmpty: Bool { count == 0 }
    /// Whether one more may be added.
    var hasRoom: Bool { count < recordBound && bytes.count < byteBound }
    /// Whether there is something to send.
    var hasUnsent: Bool { sent < base + bytes.count }

    private var nextTicket: UInt64 { firstTicket + UInt64(count) }

    // MARK: To the ledger

    /// Adds a record, whose object `write` appends. `time` is since when somebody waits; without a tag it says nothing.
    @inline(__always)
    mutating func add(_ durability: Durability, tag: Tag?, time: UInt64, _ write: (inout [UInt8]) -> Void) {
        let start = base + bytes.count
        RecordFrame.appendRecord(ticket: nextTicket, durability, to: &bytes, write)
        entries.append(Entry(frame: start..<base + bytes.count, durability: durability, time: time, tag: tag))
    }

    /// What has not been sent yet; it counts as sent from now on.
    mutating func takeUnsent() -> [UInt8] {
        let start = sent
        sent = base + bytes.count
        sentTicket = nextTicket - 1
        // The usual case: everything before was acknowledged.
        return start == base ? bytes : Array(bytes[(start - base)...])
    }

    /// A new connection: all that is not settled is to be sent, some of it again. The ledger may then have a record
    /// twice, under the same request id; it never misses one that was acknowledged.
    mutating func restart() {
        var remaining: [UInt8] = []
        for index in head..<entries.count {
            let frame = entries[index].frame
            let start = remaining.count
            if !entries[index].isSettled { remaining += bytes[frame.lowerBound - base..<frame.upperBound - base] }
            entries[index].frame = start..<remaining.count
        }
        bytes = remaining
        base = 0
        sent = 0
        sentTicket = firstTicket - 1
    }

    // MARK: From the ledger

    /// Settles what an acknowledgement covers.
    ///
    /// - Returns: false when it covers what was never sent.
    mutating func acknowledge(_ durability: Durability, through ticket: UInt64, _ settle: (Tag) -> Void) -> Bool {
        guard ticket <= sentTicket else { return false }
        let from = durability == .written ? acknowledged.written : acknowledged.synced
        var next = max(from + 1, firstTicket)
        while next <= ticket {
            let index = head + Int(next - firstTicket)
            if entries[index].durability == durability, !entries[index].isSettled {
                entries[index].isSettled = true
                if let tag = entries[index].tag { settle(tag) }
                entries[index].tag = nil
            }
            next += 1
        }
        if durability == .written {
            acknowledged.written = max(from, ticket)
        } else {
            acknowledged.synced = max(from, ticket)
        }
        removeSettled()
        return true
    }

    /// Settles what a refusal covers.
    ///
    /// - Returns: how many of them nobody waits for; `nil` when it covers what was never sent.
    mutating func refuse(_ tickets: ClosedRange<UInt64>, _ settle: (Tag) -> Void) -> Int? {
        guard tickets.upperBound <= sentTicket else { return nil }
        var unclaimed = 0
        var next = max(tickets.lowerBound, firstTicket)
        while next <= tickets.upperBound {
            let index = head + Int(next - firstTicket)
            if !entries[index].isSettled {
                entries[index].isSettled = true
                if let tag = entries[index].tag { settle(tag) } else { unclaimed += 1 }
                entries[index].tag = nil
            }
            next += 1
        }
        removeSettled()
        return unclaimed
    }

    // MARK: Waiting

    /// Takes the tags of records that were added at `time` or earlier. The records stay: the ledger may get them yet.
    ///
    /// - Returns: when the next one was added that has a tag; `nil` if there is none.
    mutating func expire(addedBy time: UInt64, _ settle: (Tag) -> Void) -> UInt64? {
        var ticket = max(expiredBefore, firstTicket)
        while ticket < nextTicket {
            let index = head + Int(ticket - firstTicket)
            if let tag = entries[index].tag {
                guard entries[index].time <= time else {
                    expiredBefore = ticket
                    return entries[index].time
                }
                settle(tag)
                entries[index].tag = nil
            }
            ticket += 1
        }
        expiredBefore = ticket
        return nil
    }

    /// Gives everything up.
    ///
    /// - Returns: how many of them nobody waited for.
    mutating func abandon(_ settle: (Tag) -> Void) -> Int {
        var unclaimed = 0
        for index in head..<entries.count where !entries[index].isSettled {
            if let tag = entries[index].tag { settle(tag) } else { unclaimed += 1 }
        }
        firstTicket = nextTicket
        entries.removeAll()
        head = 0
        base += bytes.count
        bytes.removeAll()
        sent = base
        return unclaimed
    }

    /// Lets go of settled entries at the front, and of their bytes.
    private mutating func removeSettled() {
        while head < entries.count, entries[head].isSettled {
            head += 1
            firstTicket += 1
        }
        if head == entries.count {
            entries.removeAll(keepingCapacity: true)
            head = 0
            // Nothing is unsent: what is settled was sent.
            base += bytes.count
            bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
        } else if head >= 64, head * 2 > entries.count {
            let start = entries[head].frame.lowerBound
            entries.removeFirst(head)
            head = 0
            bytes.removeFirst(start - base)
            base = start
        }
    }
}
