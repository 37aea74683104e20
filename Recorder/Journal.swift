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
/// write; what is sure to wait for the disk is done on the thread pool. A kernel that has too much to write may hold a
/// write back, too: then the loop waits with it, and so do the workers, each up to its deadline.
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
    /// Since when the thread pool has been at it.
    private var busySince: UInt64?

    init(_ configuration: LedgerConfiguration, _ identity: LedgerIdentity) {
        self.configuration = configuration
        self.identity = identity
        metrics = JournalMetrics()
        metrics.showWaiting { [weak self] in Double(self?.groupCommit.waitingCount ?? 0) }
    }

    /// Why records cannot be written now; `nil` while they can.
    var unreadiness: String? {
        if let failure { return failure }
        guard let busySince else { return nil }
        let elapsed = Duration.nanoseconds(Int64(Loop.monotonicNanoseconds - busySince))
        return elapsed > RecorderConfiguration.commitPatience ? "the disk has not answered for a while" : nil
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
            if ledger == nil {
                guard !isStopping else { return }
                await openAgain()
            } else if let commit = groupCommit.next() {
                await perform(commit)
            } else if isStopping {
                break
            } else if isTickDue {
                isTickDue = false
                await maintain()
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

    private func perform(_ commit: GroupCommit<Ticket>.Commit) async {
        guard let ledger else { return }
        let started = Loop.monotonicNanoseconds
        do {
            let batch = commit.batch
            let sequences = try await append(batch, to: ledger)
            metrics.appended(records: batch.count, bytes: batch.byteCount)
            tell(groupCommit.appended(sequences), .written)
            if commit.needsSync {
                let start = Loop.monotonicNanoseconds
                try await offload { () throws(LedgerError) in try ledger.sync() }
                metrics.synced(nanoseconds: Loop.monotonicNanoseconds - start)
                tell(groupCommit.synced(), .synced)
            }
            succeeded()
            look(ledger)
        } catch {
            refuse(groupCommit.failed())
            failed(error)
        }
        metrics.committed(nanoseconds: Loop.monotonicNanoseconds - started)
    }

    private func append(_ batch: RecordBatch, to ledger: OpenLedger) async throws(LedgerError) -> Range<UInt64> {
        guard ledger.isMaintenanceDue else { return try ledger.append(batch) }
        return try await offload { () throws(LedgerError) in try ledger.append(batch) }
    }

    /// Does what has come due; when the last attempt to write failed, looks whether it would succeed now.
    private func maintain() async {
        guard let ledger else { return }
        do {
            try await offload { () throws(LedgerError) in try ledger.tick() }
            look(ledger)
        } catch {
            return failed(error)
        }
        if failure != nil, await (try? offload({ () throws(LedgerError) in OpenLedger.probe() })) == true {
            succeeded()
        }
    }

    private func offload<Output: Sendable>(
        _ work: @escaping @Sendable () throws(LedgerError) -> Output
    ) async throws(LedgerError) -> Output {
        busySince = Loop.monotonicNanoseconds
        defer { busySince = nil }
        // The typed error passes through a queue that knows none.
        let result: Result<Output, LedgerError>
        do {
            result = try await Loop.offload { () -> Result<Output, LedgerError> in
                do throws(LedgerError) { return .success(try work()) } catch { return .failure(error) }
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
        // Only opening again shows what the disk holds.
        if error.code == .failed || !error.isPassing { ledger = nil }
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
