internal import Glibc
public import Loop
internal import Telemetry

/// A slot in which one child process is kept running: started, restarted with backoff when it ends, stopped in order.
///
/// What the child inherits (its sockets above all) belongs to the slot and outlives the child, so that connections wait
/// in the kernel's queue while it is replaced.
@OnLoop
public final class SupervisedProcess: Service {
    /// What to run, and how to start and end it.
    public struct Plan {
        /// The program's path.
        public var program: String
        /// Without the program's own name.
        public var arguments: [String] = []
        /// All of it; the child inherits nothing else.
        public var environment: [String: String] = [:]
        /// The child's standard error, and its standard output too: a descriptor of this process.
        public var output: Int32 = STDERR_FILENO
        /// The file behind `output`, for whoever looks for the reason of an end.
        public var outputFile: String?
        /// Handed down from descriptor 3 on, by systemd's protocol.
        public var sockets: [HandedSocket] = []
        /// Signals that end it, each with the time it then has before the next one. SIGKILL follows the last.
        public var endings: [(signal: Int32, patience: Duration)] = [(SIGTERM, .seconds(30))]
        /// How long a start may take until the child says it is ready.
        public var startTimeout = Duration.seconds(60)
        /// Starts that may fail before the first one succeeds.
        public var firstStarts = 3
        /// How long to wait before a restart.
        public var backoff = Backoff()
        /// Asked repeatedly during a start, with the child's process number; without it the child itself reports.
        public var isReady: (@OnLoop (Int32) -> Bool)?

        /// A plan to run `program`.
        public init(program: String) { self.program = program }
    }

    /// A child that could not be brought up in the first place.
    public struct StartError: Error, CustomStringConvertible {
        /// The slot's name.
        public let name: String
        /// How the last attempt ended.
        public let reason: String

        public var description: String { "\(name) does not start: \(reason)" }
    }

    /// A child that was not replaced: the one before goes on.
    public struct ReplacementError: Error, CustomStringConvertible {
        /// The slot's name.
        public let name: String
        /// Why.
        public let reason: String

        public var description: String { "\(name) is not replaced: \(reason)" }
    }

    private static let probeInterval = Duration.milliseconds(20)

    public let name: String
    /// Starts after the first one.
    public private(set) var restarts = 0

    private var plan: Plan
    private var backoff: Backoff
    private var child: ChildProcess?
    /// Started to take the child's place, and not ready yet.
    private var successor: ChildProcess?
    /// Those that end by themselves, and finish what they have while another has their place.
    private var leaving: [ChildProcess] = []
    /// Fired when the child says that it ends.
    private var departure = Signal()
    private var wasReady = false
    private var isReady = false
    /// How often the child has said so again.
    private var repetitions: UInt64 = 0
    private var onReady: (@OnLoop () -> Void)?
    private var isStopping = false
    private var nextEnding = 0
    private let pause = Signal()
    private var patience: Deadline?

    public init(_ name: String, _ plan: Plan) {
        self.name = name
        self.plan = plan
        backoff = plan.backoff
    }

    /// The child's process number while one runs.
    public var processID: Int32? { child?.processID }

    /// Keeps a child running until `stop`.
    ///
    /// - Throws: `StartError` when not even the first one gets ready.
    public func run(ready: @escaping @OnLoop () -> Void) async throws {
        onReady = ready
        let patience = Deadline { self.patienceRanOut() }
        self.patience = patience
        defer { patience.cancel() }
        while !isStopping {
            let start = Loop.monotonicNanoseconds
            let ending = await runChild()
            patience.clear()
            guard !isStopping else { break }
            let uptime = Duration.nanoseconds(Int64(Loop.monotonicNanoseconds - start))
            let delay = backoff.delay(afterRunningFor: uptime, chance: .random(in: 0..<1))
            if !wasReady, backoff.failures >= plan.firstStarts {
                throw StartError(name: name, reason: plan.outputFile.map { "\(ending); see \($0)" } ?? ending)
            }
            restarts += 1
            Log.warning(
                "process ended; it is restarted",
                [
                    "slot": .string(name), "ending": .string(ending), "uptime_seconds": .number(uptime.seconds),
                    "delay_seconds": .number(delay.seconds), "restarts": Log.Value(restarts),
                ])
            await pause(for: delay)
        }
        for older in leaving { await retire(older) }
    }

    /// The child has said that it serves.
    public func reportReady() {
        // The child has said so before; while it has a successor, it is that who says it now.
        if isReady, successor != nil { return promote() }
        guard child != nil else { return }
        guard !isReady else {
            repetitions += 1
            return
        }
        isReady = true
        wasReady = true
        if !isStopping { patience?.clear() }
        Log.info("process is ready", ["slot": .string(name), "pid": Log.Value(processID ?? 0)])
        onReady?()
        onReady = nil
    }

    /// A child has said that it ends, which may take it a while. It is restarted as if it had ended, for connections wait.
    ///
    /// - Parameter processID: of the child that says so; one whose place was taken already is not replaced again.
    public func reportStopping(_ processID: Int32) {
        guard let child, child.processID == processID, isReady, !isStopping, successor == nil else { return }
        isReady = false
        leaving.removeAll { !$0.isRunning }
        leaving.append(child)
        departure.fire()
    }

    /// Passes a signal on to the child, if one runs.
    public func send(signal: Int32) { child?.send(signal: signal) }

    /// Sends the child SIGHUP, and waits until it says that it serves again: that it goes by what it was to read.
    ///
    /// - Returns: whether it has said so in time. Where no child serves, none has to: one that starts reads everything.
    public func reload(patience: Duration) async -> Bool {
        child?.send(signal: SIGHUP)
        guard let asked = child, isReady else { return true }
        let before = repetitions
        let end = Loop.monotonicNanoseconds + patience.nanoseconds
        while child === asked, asked.isRunning, !isStopping, repetitions == before {
            guard Loop.monotonicNanoseconds < end, await Self.rest() else { return false }
        }
        return true
    }

    /// From now on the child is ended by other signals, or with other patience.
    public func end(by endings: [(signal: Int32, patience: Duration)]) { plan.endings = endings }

    /// Starts another child beside the one that runs, on the same sockets, and ends the older when the newer is ready.
    /// Nobody is refused meanwhile: connections wait in the sockets' queues, which both take from.
    ///
    /// One replacement at a time.
    ///
    /// - Throws: `ReplacementError` when the newer one does not get ready; the older then goes on.
    public func replace() async throws {
        guard let older = child, isReady, !isStopping, successor == nil else {
            throw ReplacementError(name: name, reason: "it is not running just now")
        }
        let newer: ChildProcess
        do { newer = try start() } catch { throw ReplacementError(name: name, reason: String(describing: error)) }
        successor = newer
        let end = Loop.monotonicNanoseconds + plan.startTimeout.nanoseconds
        // The older one may end by itself meanwhile; then the newer one is the child before it is ready.
        while newer.isRunning, !isStopping, successor === newer || child === newer && !isReady {
            guard Loop.monotonicNanoseconds < end, await Self.rest() else { break }
        }
        guard child === newer, isReady, newer.isRunning else {
            if successor === newer { successor = nil }
            newer.send(signal: SIGKILL)
            throw ReplacementError(name: name, reason: "the new process does not get ready")
        }
        await retire(older)
        Log.info("process is replaced", ["slot": .string(name), "pid": Log.Value(newer.processID)])
    }

    /// Lets some time pass; false when the task is cancelled.
    private static func rest() async -> Bool {
        do { try await Loop.sleep(for: probeInterval) } catch { return false }
        return true
    }

    /// The successor is the child from now on.
    private func promote() {
        guard let newer = successor else { return }
        successor = nil
        child = newer
        Log.info("process is ready", ["slot": .string(name), "pid": Log.Value(newer.processID)])
    }

    /// Ends a child whose place was taken, as the plan says, and returns when it has ended.
    private func retire(_ older: ChildProcess) async {
        for (signal, patience) in plan.endings + [(SIGKILL, .seconds(60))] {
            guard older.isRunning else { return }
            older.send(signal: signal)
            let end = Loop.monotonicNanoseconds + patience.nanoseconds
            while older.isRunning, Loop.monotonicNanoseconds < end {
                guard await Self.rest() else { return }
            }
        }
    }

    /// Ends the child by the plan's signals; called again, by the next one at once.
    public func stop() {
        isStopping = true
        pause.fire()
        end()
    }

    /// Runs one child until it ends or says that it does, and returns which in words.
    private func runChild() async -> String {
        isReady = false
        departure = Signal()
        let child: ChildProcess
        do { child = try start() } catch { return String(describing: error) }
        self.child = child
        defer { self.child = nil }
        if isStopping { end() } else { patience?.set(plan.startTimeout) }
        do {
            if let isReady = plan.isReady { try await probe(child, isReady) }
            return try await withThrowingTaskGroup(of: String.self) { group in
                group.addTask { try await self.lastEnding(child) }
                group.addTask {
                    try await self.departure.wait()
                    return "it ends by itself"
                }
                defer { group.cancelAll() }
                return try await group.next()!
            }
        } catch {
            return String(describing: error)
        }
    }

    /// Waits for the end of a child and, where another has taken its place, of that one.
    private func lastEnding(_ first: ChildProcess) async throws -> String {
        var current = first
        while true {
            let ending = try await current.waitForExit().description
            if let newer = child, newer !== current {
                current = newer
            } else if let newer = successor {
                // The older one did not wait for it.
                successor = nil
                child = newer
                isReady = false
                current = newer
            } else {
                return ending
            }
        }
    }

    private func start() throws -> ChildProcess {
        var environment = plan.environment
        environment[Lifecycle.restartsVariable] = String(restarts)
        environment[Lifecycle.supervisorVariable] = String(getpid())
        if !plan.sockets.isEmpty {
            environment["LISTEN_FDS"] = String(plan.sockets.count)
            environment["LISTEN_FDNAMES"] = plan.sockets.map(\.name).joined(separator: ":")
        }
        return try ChildProcess(
            plan.program, plan.arguments, environment: environment,
            descriptors: [.null, .inherit(plan.output), .inherit(plan.output)]
                + plan.sockets.map { .inherit($0.descriptor) })
    }

    private func probe(_ child: ChildProcess, _ isReady: @OnLoop (Int32) -> Bool) async throws {
        while child.isRunning, !isStopping, !self.isReady {
            if isReady(child.processID) { return reportReady() }
            try await Loop.sleep(for: Self.probeInterval)
        }
    }

    /// Sends the next of the ending signals.
    private func end() {
        let children = leaving.filter(\.isRunning) + [child].compactMap { $0 }
        guard !children.isEmpty else { return }
        guard nextEnding < plan.endings.count else {
            for child in children { child.send(signal: SIGKILL) }
            return
        }
        let (signal, time) = plan.endings[nextEnding]
        nextEnding += 1
        for child in children { child.send(signal: signal) }
        patience?.set(time)
    }

    private func patienceRanOut() {
        guard isStopping else {
            Log.warning("process did not get ready in time; it is killed", ["slot": .string(name)])
            child?.send(signal: SIGKILL)
            return
        }
        Log.warning("process did not end in time", ["slot": .string(name)])
        end()
    }

    private func pause(for delay: Duration) async {
        let deadline = Deadline { [pause] in pause.fire() }
        deadline.set(delay)
        defer { deadline.cancel() }
        try? await pause.wait()
    }
}

extension Duration {
    /// In seconds, for logs.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
