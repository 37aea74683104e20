public import Ledger
internal import Lifecycle
public import Loop
internal import Telemetry

/// A worker's way into the ledger: one connection to its process, over which records go out and acknowledgements come
/// back. What several requests record in one turn of the loop goes out by one send; what nobody waits for goes along
/// with it, or alone a little later.
///
/// While the ledger is away records wait here, and are sent when it is back; who waits for one does so until the
/// deadline.
@OnLoop
public final class AuditLog {
    /// How to reach the ledger, and how long to wait for it.
    public struct Configuration: Sendable {
        /// The ledger's socket.
        public var socketPath: String
        /// This process's name, such as `gateway-0`; letters, digits and hyphens.
        public var worker: String
        /// How long a request waits for its record to be acknowledged.
        public var deadline = Duration.seconds(2)
        /// How long a record that nobody waits for may wait for one that somebody does: each send wakes the ledger.
        public var noteDelay = Duration.milliseconds(5)
        /// The key for what must be found and not read.
        public var hashKey: [UInt8]
        /// The most records that wait for an acknowledgement.
        public var recordBound = 16_384
        /// The most bytes they may have together.
        public var byteBound = 16 << 20

        /// How to reach the ledger.
        public init(socketPath: String, worker: String, hashKey: [UInt8]) {
            self.socketPath = socketPath
            self.worker = worker
            self.hashKey = hashKey
        }
    }

    private static let connectTimeout = Duration.seconds(1)

    private let configuration: Configuration
    private let worker: [UInt8]
    private let deadlineNanoseconds: UInt64
    private var hash: KeyedHash
    private var pending: PendingRecords<Receipt>
    private let metrics = AuditMetrics()
    /// Fired when there is something to send.
    private let work = Signal()
    /// Fired when everything was settled.
    private let settled = Signal()
    private var deadline: Deadline?
    /// Whether the deadline is set, for the oldest record that somebody waits for or one before it.
    private var isTimed = false
    /// Passes when what nobody waits for has waited long enough.
    private var noteDeadline: Deadline?
    private var isNoteTimed = false
    private var isConnected = false
    private var isRefused = false
    private var lastRefused: UInt64 = 0
    private var isStopping = false
    private var failures = LogThrottle()

    /// - Throws: `AuditError` when the key is too short.
    public init(_ configuration: Configuration) throws {
        self.configuration = configuration
        worker = Array(configuration.worker.utf8)
        deadlineNanoseconds = configuration.deadline.nanoseconds
        hash = try KeyedHash.make(key: configuration.hashKey.span)
        pending = PendingRecords(recordBound: configuration.recordBound, byteBound: configuration.byteBound)
        metrics.showPending { [weak self] in Double(self?.pending.count ?? 0) }
    }

    /// Why requests cannot be recorded now; `nil` while they can.
    public var unreadiness: String? {
        if !isConnected { return "the ledger does not answer" }
        return isRefused ? "the ledger cannot be written" : nil
    }

    // MARK: Recording

    /// Sends a record on its way. Wait for the receipt before anything is done that the record is about.
    ///
    /// - Throws: `AuditError` `overloaded`, `stopping`.
    @inline(__always)
    public func submit(_ record: some AuditRecord, _ durability: Durability) throws(AuditError) -> Receipt {
        guard !isStopping else { throw AuditError(.stopping) }
        guard pending.hasRoom else {
            metrics.failed(.overloaded)
            throw AuditError(.overloaded)
        }
        let now = Loop.monotonicNanoseconds
        let receipt = Receipt()
        pending.add(durability, tag: receipt, time: now) { record.append(worker: worker, &hash, to: &$0) }
        metrics.decisions.increment()
        if !isTimed, let deadline {
            isTimed = true
            deadline.set(configuration.deadline)
        }
        work.fire()
        return receipt
    }

    /// Sends a record on its way that nobody waits for: with the next one that somebody does, or after `noteDelay`. One
    /// that is lost is counted.
    @inline(__always)
    public func note(_ record: some AuditRecord) {
        guard pending.hasRoom, !isStopping else { return metrics.lost(1) }
        pending.add(.written, tag: nil, time: 0) { record.append(worker: worker, &hash, to: &$0) }
        metrics.outcomes.increment()
        if !isNoteTimed, let noteDeadline {
            isNoteTimed = true
            noteDeadline.set(configuration.noteDelay)
        }
    }

    // MARK: Running

    /// Keeps the connection until the task is cancelled.
    public func run() async {
        let deadline = Deadline { [unowned self] in deadlinePassed() }
        let noteDeadline = Deadline { [unowned self] in noteDeadlinePassed() }
        (self.deadline, self.noteDeadline) = (deadline, noteDeadline)
        defer {
            deadline.cancel()
            noteDeadline.cancel()
            (self.deadline, self.noteDeadline) = (nil, nil)
        }
        var backoff = Backoff(initial: .milliseconds(10), maximum: .milliseconds(500), stablePeriod: .seconds(1))
        while !Task.isCancelled {
            let start = Loop.monotonicNanoseconds
            do {
                let stream = try await Stream.connect(
                    to: .unix(path: configuration.socketPath), timeout: Self.connectTimeout)
                defer { stream.close() }
                try await serve(stream)
            } catch {
                report(error)
            }
            isConnected = false
            metrics.connected.value = 0
            let uptime = Duration.nanoseconds(Int64(Loop.monotonicNanoseconds - start))
            do {
                try await Loop.sleep(for: backoff.delay(afterRunningFor: uptime, chance: .random(in: 0..<1)))
            } catch { break }
        }
        metrics.lost(pending.abandon { $0.settle(AuditError(.stopping)) })
    }

    /// Waits until everything is settled; to be called when no request is open any more.
    ///
    /// - Parameter patience: what is left after that time is lost, and counted.
    public func drain(patience: Duration) async {
        let end = Deadline { [settled] in settled.fire() }
        defer { end.cancel() }
        end.set(patience)
        work.fire()
        let until = Loop.monotonicNanoseconds + patience.nanoseconds
        while !pending.isEmpty, Loop.monotonicNanoseconds < until {
            do { try await settled.wait() } catch { break }
        }
        isStopping = true
        if !pending.isEmpty { Log.error("records lost", ["records": .init(pending.count)]) }
    }

    private func serve(_ stream: Stream) async throws {
        var greeting: [UInt8] = []
        RecordFrame.appendGreeting(name: configuration.worker, to: &greeting)
        try await stream.write(greeting)
        pending.restart()
        isConnected = true
        isRefused = false
        metrics.connected.value = 1
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.send(on: stream) }
            group.addTask { try await self.receive(on: stream) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// The loop runs everything that is ready before this task gets its turn, so one send carries it all.
    private func send(on stream: Stream) async throws {
        while true {
            if pending.hasUnsent {
                let bytes = pending.takeUnsent()
                if let rest = try stream.send(bytes) { try await stream.write(rest) }
            } else {
                try await work.wait()
            }
        }
    }

    private func receive(on stream: Stream) async throws {
        while try await stream.fill() {
            while let reply = try next(stream) { try take(reply) }
            if pending.isEmpty { settled.fire() }
        }
        throw LoopError(.closed, "read")
    }

    private func next(_ stream: Stream) throws -> ReplyFrame? {
        let (reply, consumed) = try stream.withReadable { (input) throws(FrameError) in try ReplyFrame.next(input) }
        stream.consume(consumed)
        return reply
    }

    private func take(_ reply: ReplyFrame) throws {
        switch reply {
        case .acknowledged(let durability, let ticket):
            // Records before a refused one may reach the disk after it was refused.
            if durability == .written || ticket > lastRefused { isRefused = false }
            guard pending.acknowledge(durability, through: ticket, { $0.settle(nil) }) else {
                throw FrameError.emptyRange
            }
        case .refused(let tickets, let reason):
            isRefused = reason == .unwritable
            lastRefused = tickets.upperBound
            if let omitted = failures.admit(at: Loop.monotonicNanoseconds) {
                Log.error(
                    "the ledger refuses records",
                    ["reason": .init(reason.description), "lines_omitted": .init(omitted)])
            }
            var refused: [Receipt] = []
            guard let unclaimed = pending.refuse(tickets, { refused.append($0) }) else { throw FrameError.emptyRange }
            metrics.lost(unclaimed)
            for receipt in refused {
                metrics.failed(.refused)
                receipt.settle(AuditError(.refused))
            }
        }
    }

    private func deadlinePassed() {
        let now = Loop.monotonicNanoseconds
        var expired: [Receipt] = []
        let next = pending.expire(addedBy: now - min(now, deadlineNanoseconds)) { expired.append($0) }
        for receipt in expired {
            metrics.failed(.timedOut)
            receipt.settle(AuditError(.timedOut))
        }
        if !expired.isEmpty, let omitted = failures.admit(at: now) {
            Log.error(
                "the ledger did not acknowledge in time",
                ["records": .init(expired.count), "lines_omitted": .init(omitted)])
        }
        isTimed = next != nil
        guard let next else { return }
        // At least a millisecond, the clock of deadlines; its "now" may be a little behind.
        let left = next + deadlineNanoseconds - min(now, next + deadlineNanoseconds)
        deadline?.set(.nanoseconds(Int64(left)) + .milliseconds(1))
    }

    private func noteDeadlinePassed() {
        isNoteTimed = false
        if pending.hasUnsent { work.fire() }
    }

    private func report(_ error: any Error) {
        if error is CancellationError || Task.isCancelled { return }
        guard let omitted = failures.admit(at: Loop.monotonicNanoseconds) else { return }
        Log.warning(
            "connection to the ledger ended", ["error": .init(error: error), "lines_omitted": .init(omitted)])
    }
}
