internal import Ledger
internal import Lifecycle
internal import Loop
internal import Telemetry

/// Whose record it is, and its number among that worker's.
struct Ticket: Sendable {
    let connection: UInt64
    let number: UInt64
}

/// The ledger as the loop sees it: takes records in, writes and syncs them together, says who may rely on what, and
/// opens the ledger again when it cannot be written any more.
///
/// Giving records to the kernel is done here, because handing them to another thread and back costs more than the
/// write. What is sure to wait for the disk is done on the thread pool, beside which records go on being taken in and
/// written: who waits for no disk is held up by none, but while a segment begins. A kernel that has too much to write may
/// hold a write back all the same: then the loop waits with it, and so do the workers, each up to its deadline.
@OnLoop
final class Journal {
    /// Told what became of records.
    @OnLoop
    protocol Listener: AnyObject {
        /// Every record of that connection up to the ticket which asked for the durability has it.
        func acknowledged(_ connection: UInt64, _ durability: Durability, through ticket: UInt64)
        /// These records of that connection are refused, as far as they were not acknowledged.
        func refused(_ connection: UInt64, _ tickets: ClosedRange<UInt64>, _ reason: RefusalReason)
        /// Records can be written again.
        func recovered()
        /// A checkpoint was signed.
        func signed(_ note: String)
    }

    private static let tickInterval = Duration.seconds(1)

    private let configuration: LedgerConfiguration
    private let identity: LedgerIdentity
    /// Who is told.
    weak var listener: (any Listener)?
    private let metrics: JournalMetrics
    private var groupCommit = GroupCommit<Ticket>(
        recordBound: RecorderConfiguration.recordBound, byteBound: RecorderConfiguration.byteBound)
    private var ledger: OpenLedger?
    private var state: OpenLedger.State?
    private var backoff = Backoff(initial: .milliseconds(100), maximum: .seconds(5), stablePeriod: .seconds(10))
    private let work = Signal()
    private var isTickDue = false
    private var isStopping = false
    /// Why the last attempt to write failed; nil when it did not.
    private var failure: String?
    /// Since when the thread pool has been at it; one call at a time.
    private var busySince: UInt64?
    /// Whether a flush is under way beside the loop.
    private var isFlushing = false
    /// Whether nothing may be appended: the ledger is in the hands of the thread pool.
    private var isHeld = false
    /// Whether what was due could not be done. Then it is tried again before anything is appended: a ledger that cannot
    /// be signed for takes nothing in.
    private var isOverdue = false

    init(_ configuration: LedgerConfiguration, _ identity: LedgerIdentity) {
        self.configuration = configuration
        self.identity = identity
        metrics = JournalMetrics()
        metrics.showWaiting { [weak self] in Double(self?.groupCommit.waitingCount ?? 0) }
    }

    /// Why records cannot be written now; `nil` while they can.
    var unreadiness: String? {
        if let failure { return failure }
        return isHanging ? "the disk has not answered for a while" : nil
    }

    /// Whether the disk has been silent for so long that nothing more is to be put before it.
    private var isHanging: Bool {
        guard let busySince else { return false }
        let elapsed = Duration.nanoseconds(Int64(Loop.monotonicNanoseconds - busySince))
        return elapsed > RecorderConfiguration.diskPatience
    }

    // MARK: Taking records in

    /// Whether a record can be taken in.
    var hasRoom: Bool { groupCommit.hasRoom }

    /// Takes a record in; `nil`, or why it is refused.
    func submit(_ record: Span<UInt8>, _ durability: Durability, _ ticket: Ticket) -> RefusalReason? {
        guard ledger != nil else { return refusal(.unwritable) }
        guard !isStopping else { return refusal(.stopping) }
        do throws(LedgerError) {
            try groupCommit.submit(record, durability: durability, ticket: ticket)
        } catch {
            return refusal(error.code == .overloaded ? .overloaded : .invalid)
        }
        work.fire()
        return nil
    }

    private func refusal(_ reason: RefusalReason) -> RefusalReason {
        metrics.refused(reason)
        return reason
    }

    // MARK: Writing them

    /// Writes until `stop`; then writes what has been taken in, and signs for everything.
    ///
    /// - Parameter ready: called when it is known whether the ledger can be written.
    /// - Throws: `LedgerError` when what is there is no ledger that this process may continue.
    func run(ready: @OnLoop () -> Void) async throws {
        do { try await open() } catch let error where !error.isPassing { throw error } catch { report(error) }
        ready()
        let ticker = Deadline { [unowned self] in tick() }
        self.ticker = ticker
        defer { ticker.cancel() }
        ticker.set(Self.tickInterval)
        while true {
            if ledger != nil, !isHeld, !isHanging, !(isOverdue && isFlushing), let batch = groupCommit.next() {
                if isOverdue { await flush() }
                append(batch)
            } else if let ledger, !isFlushing, isFlushWanted(ledger) {
                beginFlush()
            } else if isFlushing {
                try await work.wait()
            } else if isStopping {
                break
            } else if ledger == nil {
                await openAgain()
            } else {
                try await work.wait()
            }
        }
        guard let ledger else { return }
        do {
            try await offload { () throws(LedgerError) in try ledger.checkpoint() }
            look(ledger)
            Log.info("ledger closed", ["records": .init(ledger.state.size)])
        } catch {
            report(error)
        }
    }

    private func isFlushWanted(_ ledger: OpenLedger) -> Bool {
        groupCommit.awaitsSync || isTickDue && !isStopping || ledger.due != nil && !isOverdue
    }

    /// Asks `run` to return when everything taken in is written.
    func stop() {
        isStopping = true
        work.fire()
    }

    private var ticker: Deadline?

    private func tick() {
        isTickDue = true
        work.fire()
        ticker?.set(Self.tickInterval)
    }

    private func append(_ batch: RecordBatch) {
        guard let ledger, !isOverdue else { return refuse(groupCommit.refuseBatch()) }
        let started = Loop.monotonicNanoseconds
        do {
            let sequences = try ledger.append(batch)
            metrics.appended(records: batch.count, bytes: batch.byteCount)
            tell(groupCommit.appended(sequences), .written)
            succeeded()
            look(ledger)
        } catch {
            refuse(groupCommit.refuseBatch())
            failed(error)
        }
        metrics.committed(nanoseconds: Loop.monotonicNanoseconds - started)
    }

    private func beginFlush() {
        isFlushing = true
        Task {
            await flush()
            isFlushing = false
            work.fire()
        }
    }

    /// Brings what was appended to the disk, and does what has come due.
    private func flush() async {
        guard let ledger else { return }
        let isTick = isTickDue
        isTickDue = false
        do {
            try await flush(ledger, signing: ledger.due != nil)
            if ledger.due == .segment {
                // Nearly all of it is on the disk by now; the others wait for what has come meanwhile.
                isHeld = true
                defer {
                    isHeld = false
                    work.fire()
                }
                try await offload { () throws(LedgerError) in try ledger.beginSegment() }
                look(ledger)
                tell(groupCommit.synced(ledger.state.syncedSize), .synced)
            }
            if isTick { try await removeOldSegments(ledger) }
            isOverdue = false
            look(ledger)
        } catch {
            isOverdue = true
            return failed(error)
        }
        guard isTick, failure != nil else { return }
        // The last attempt to write failed: would it succeed now?
        if await (try? offload({ () throws(LedgerError) in OpenLedger.probe() })) == true { succeeded() }
    }

    private func flush(_ ledger: OpenLedger, signing: Bool) async throws(LedgerError) {
        let flush = try ledger.beginFlush(signing: signing)
        do throws(Flush.Failure) {
            if !flush.isSynced {
                let start = Loop.monotonicNanoseconds
                try await offload { () throws(Flush.Failure) in try flush.sync() }
                metrics.synced(nanoseconds: Loop.monotonicNanoseconds - start)
                ledger.synced(flush)
                // What is told now must be there when the ledger is opened again.
                look(ledger)
            }
            tell(groupCommit.synced(flush.size), .synced)
            guard flush.isSigning else { return }
            let note = try await offload { () throws(Flush.Failure) in try flush.sign() }
            ledger.signed(flush, note)
            look(ledger)
            if ledger.due == .segment { try await offload { () throws(Flush.Failure) in try flush.syncHashes() } }
        } catch {
            throw ledger.failed(error)
        }
    }

    private func removeOldSegments(_ ledger: OpenLedger) async throws(LedgerError) {
        let retention = ledger.retention
        guard let kept = try await offload({ () throws(LedgerError) in try retention.firstKept() }) else { return }
        try ledger.appendRemoval(before: kept)
        try await flush(ledger, signing: true)
        try await offload { () throws(LedgerError) in try retention.remove(before: kept) }
    }

    private func offload<Output: Sendable, Failure: Error>(
        _ work: @escaping @Sendable () throws(Failure) -> Output
    ) async throws(Failure) -> Output {
        busySince = Loop.monotonicNanoseconds
        defer {
            busySince = nil
            // What was held back may go on.
            self.work.fire()
        }
        // The typed error passes through a queue that knows none.
        let result: Result<Output, Failure>
        do {
            result = try await Loop.offload { () -> Result<Output, Failure> in
                do throws(Failure) { return .success(try work()) } catch { return .failure(error) }
            }
        } catch {
            preconditionFailure("libuv refuses work: \(error)")
        }
        return try result.get()
    }

    // MARK: Telling

    /// Tickets of one connection grow, so the last of a run stands for all of it.
    private func tell(_ acknowledgements: [GroupCommit<Ticket>.Acknowledgement], _ durability: Durability) {
        var last: Ticket?
        for acknowledgement in acknowledgements {
            if let last, last.connection != acknowledgement.ticket.connection {
                listener?.acknowledged(last.connection, durability, through: last.number)
            }
            last = acknowledgement.ticket
        }
        if let last { listener?.acknowledged(last.connection, durability, through: last.number) }
    }

    private func refuse(_ tickets: [Ticket]) {
        var run: (connection: UInt64, first: UInt64, last: UInt64)?
        for ticket in tickets {
            metrics.refused(.unwritable)
            if let open = run, open.connection == ticket.connection {
                run?.last = ticket.number
            } else {
                if let run { listener?.refused(run.connection, run.first...run.last, .unwritable) }
                run = (ticket.connection, ticket.number, ticket.number)
            }
        }
        if let run { listener?.refused(run.connection, run.first...run.last, .unwritable) }
    }

    private func look(_ ledger: OpenLedger) {
        let now = ledger.state
        if let note = now.lastNote, now.checkpointSize != state?.checkpointSize { listener?.signed(note) }
        state = now
        metrics.show(now)
    }

    // MARK: Opening

    private func open() async throws(LedgerError) {
        let minimumSize = state?.syncedSize ?? 0
        let ledger = try await offload { [configuration, identity] () throws(LedgerError) in
            try OpenLedger(configuration, identity.signer, minimumSize: minimumSize)
        }
        self.ledger = ledger
        isOverdue = false
        let found = ledger.state
        Log.info(
            "ledger opened",
            [
                "origin": .init(identity.signer.verifier.name), "records": .init(found.size),
                "unsigned": .init(found.size - found.checkpointSize), "cut_bytes": .init(ledger.cutByteCount),
            ])
        look(ledger)
        succeeded()
    }

    private func openAgain() async {
        let delay = backoff.delay(afterRunningFor: .zero, chance: .random(in: 0..<1))
        do {
            try await Loop.sleep(for: delay)
            try await open()
            backoff = Backoff(initial: .milliseconds(100), maximum: .seconds(5), stablePeriod: .seconds(10))
        } catch let error as LedgerError {
            report(error)
        } catch {
            isStopping = true
        }
    }

    private func failed(_ error: LedgerError) {
        if !error.isPassing || ledger?.isIntact == false {
            // Nothing can be appended before it is opened again.
            ledger = nil
            refuse(groupCommit.refuseUnsynced())
        }
        report(error)
    }

    private func report(_ error: LedgerError) {
        failure = "the ledger cannot be written"
        metrics.writable.value = 0
        if let omitted = lines.admit(at: Loop.monotonicNanoseconds) {
            Log.error("ledger cannot be written", ["error": .init(error: error), "lines_omitted": .init(omitted)])
        }
    }

    private var lines = LogThrottle()

    private func succeeded() {
        metrics.writable.value = 1
        guard failure != nil else { return }
        failure = nil
        Log.info("ledger can be written again")
        listener?.recovered()
    }
}

extension LedgerError {
    /// Whether it may go away by itself: what the system refuses now, it may allow later.
    var isPassing: Bool {
        switch code {
        case .system, .failed, .overloaded, .invalidRecord: true
        case .locked, .damaged, .outOfRange, .invalidNote: false
        }
    }
}
