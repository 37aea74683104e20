public import Loop
internal import Telemetry

/// A process's connections to one database.
///
/// Statements that stand alone share connections: each goes to the connection with the fewest under way, as one unit of
/// its pipeline, so many tasks are served without waiting for a connection of their own and an idle connection is
/// always preferred to standing behind a slow statement. A transaction has its connection to itself. Where more than
/// one connection is kept, transactions never take the last, so single statements always go on.
///
/// `run` keeps the connections open; nothing works before it has begun.
@OnLoop
public final class Database {
    public nonisolated let configuration: DatabaseConfiguration
    let metrics: DatabaseMetrics

    private var connections: [Connection] = []
    /// Statements and transactions that wait for a connection, each in their order of arrival.
    private var units = FIFO<WaitingUnit>()
    private var leases = FIFO<LeaseRequest>()
    private var waitDeadline: Deadline?
    private var armedFor = UInt64.max

    /// Since when no connection is open, and why.
    private var awaySince: UInt64? = Loop.monotonicNanoseconds
    private var awayReason = "no connection has been opened yet"

    private let vacancy = Signal()
    private let cancellations = Signal()
    private var pendingCancellations: [CancelHandle] = []
    private var mustPause = false
    private var state = State.new

    /// Goes from each to the next.
    private enum State { case new, running, stopped }

    /// A unit that no connection has room for yet.
    private struct WaitingUnit {
        let unit: Unit
        let until: UInt64
    }

    /// - Throws: `PostgresError` `configuration`.
    public init(_ configuration: DatabaseConfiguration) throws {
        try configuration.validate()
        self.configuration = configuration
        metrics = DatabaseMetrics(configuration.name)
        metrics.watch(self)
    }

    /// Keeps the connections open until the task is cancelled; then closes them.
    ///
    /// To be called once, from a task that lives as long as the database is needed.
    public func run() async {
        precondition(state == .new, "a database is run once")
        state = .running
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.keepConnected() }
            group.addTask { await self.sendCancellations() }
        }
        stop()
    }

    /// Runs `body` while the database is kept connected.
    public static func with<Output: Sendable>(
        _ configuration: DatabaseConfiguration,
        _ body: @escaping @Sendable @OnLoop (Database) async throws -> Output
    ) async throws -> Output {
        let database = try Database(configuration)
        return try await withThrowingTaskGroup(of: Output?.self) { group in
            group.addTask {
                await database.run()
                return nil
            }
            group.addTask { try await body(database) }
            defer { group.cancelAll() }
            while let output = try await group.next() { if let output { return output } }
            throw CancellationError()
        }
    }

    private func stop() {
        state = .stopped
        waitDeadline?.cancel()
        waitDeadline = nil
        awayReason = "this process is stopping"
        for connection in connections { connection.close(nil) }
        failWaiters(until: .max)
    }

    // MARK: Keeping connections

    private func keepConnected() async {
        var backoff = configuration.backoff
        var rotation = 0
        while !Task.isCancelled {
            do {
                if mustPause {
                    mustPause = false
                    try await Loop.sleep(for: backoff.next())
                } else if connections.count < configuration.connections {
                    add(try await Connection.open(configuration, rotation: rotation))
                    backoff.reset()
                } else {
                    try await vacancy.wait()
                }
            } catch {
                guard !Task.isCancelled else { return }
                let error = error as? PostgresError ?? PostgresError(.unavailable, "\(error)")
                // A host that swallows packets must not keep us from the next one.
                if error.code == .timedOut { rotation += 1 }
                couldNotConnect(error)
            }
        }
    }

    private func add(_ connection: Connection) {
        guard !Task.isCancelled else { return connection.close(nil) }
        connection.owner = self
        connections.append(connection)
        metrics.opened.increment()
        if awaySince != nil {
            awaySince = nil
            Log.info("connected to the database", ["database": .init(configuration.name)])
        }
        serve()
    }

    private func couldNotConnect(_ error: PostgresError) {
        metrics.failures.increment()
        mustPause = true
        Log.warning(
            "cannot connect to the database",
            ["database": .init(configuration.name), "error": .init(error: error)])
        guard connections.isEmpty else { return }
        awayReason = error.message
        checkWaiters()
    }

    private func sendCancellations() async {
        while !Task.isCancelled {
            while let handle = pendingCancellations.popLast() { try? await Loop.offload { handle.cancel() } }
            do { try await cancellations.wait() } catch { return }
        }
    }

    // MARK: Taking work

    /// Lets a unit go to a connection, now or when one has room.
    func submit(_ unit: Unit) {
        if let connection = sharedConnection() { return connection.send(unit) }
        guard let until = admit(expires: unit.expires, failing: unit.fail) else { return }
        units.append(WaitingUnit(unit: unit, until: until))
    }

    /// Waits for a connection for one caller alone.
    func lease(expires: UInt64) async throws -> Connection {
        if leases.isEmpty, let connection = idleConnection() {
            connection.isLeased = true
            return connection
        }
        let request = LeaseRequest()
        if let until = admit(expires: expires, failing: request.fail) {
            request.until = until
            leases.append(request)
            serve()
        }
        do {
            return try await request.connection()
        } catch {
            // What was reserved for it is free for others.
            serve()
            throw error
        }
    }

    /// Takes a connection back.
    func giveBack(_ connection: Connection) {
        guard connection.isClean else { return connection.discard() }
        connection.isLeased = false
        serve(unitsFirst: true)
    }

    /// Until when a new call may wait; nil, and the call failed, when it may not.
    private func admit(expires: UInt64, failing fail: (PostgresError) -> Void) -> UInt64? {
        let now = Loop.monotonicNanoseconds
        let patience = configuration.waitDeadline.nanoseconds
        var until = min(expires, now + patience)
        if connections.isEmpty {
            // A short absence is waited out; once it has lasted, there is no point in holding calls up.
            let awaySince = state == .stopped ? 0 : self.awaySince ?? now
            until = min(until, awaySince &+ patience)
            if until <= now {
                fail(unavailable)
                return nil
            }
        }
        if waiterCount >= configuration.maximumWaiters { failWaiters(until: 0) }
        guard waiterCount < configuration.maximumWaiters else {
            metrics.refused.increment()
            fail(PostgresError(.tooManyWaiters, "\(configuration.maximumWaiters) calls wait for a connection"))
            return nil
        }
        arm(for: until, now: now)
        return until
    }

    private var unavailable: PostgresError {
        PostgresError(.unavailable, awayReason)
    }

    private func checkWaiters() {
        armedFor = .max
        let now = Loop.monotonicNanoseconds
        failWaiters(until: now)
        var next = UInt64.max
        for waiting in units { next = min(next, waiting.until) }
        for request in leases { next = min(next, request.until) }
        arm(for: next, now: now)
    }

    private func arm(for instant: UInt64, now: UInt64) {
        guard instant < armedFor else { return }
        armedFor = instant
        if waitDeadline == nil { waitDeadline = Deadline { [weak self] in self?.checkWaiters() } }
        waitDeadline?.set(.nanoseconds(Int64(clamping: instant - min(instant, now))))
    }

    /// Fails those whose time is over, and forgets those who have given up.
    private func failWaiters(until instant: UInt64) {
        let error =
            connections.isEmpty
            ? unavailable : PostgresError(.timedOut, "no connection was free in time")
        units.removeAll { waiting in
            guard !waiting.unit.isAnswered else { return true }
            guard waiting.until <= instant else { return false }
            waiting.unit.fail(error)
            return true
        }
        leases.removeAll { request in
            guard !request.isAnswered else { return true }
            guard request.until <= instant else { return false }
            request.fail(error)
            return true
        }
    }

    // MARK: Giving work to connections

    /// After how long a unit counts as one that waits for something, such as a lock.
    private static let slowness: UInt64 = 50_000_000

    /// The connection with the fewest units under way that may take one more; one where nothing seems to go on, only where all
    /// others are full: who is sent after a unit that waits for a lock waits along.
    private func sharedConnection() -> Connection? {
        var best: (connection: Connection, rank: Int)?
        for connection in connections
        where connection.isUsable && !connection.isLeased && !connection.isReserved
            && connection.unitCount < configuration.pipelineDepth
        {
            if connection.unitCount == 0 { return connection }
            let isSlow = connection.hasWorked(longerThan: Self.slowness)
            let rank = connection.unitCount + (isSlow ? configuration.pipelineDepth : 0)
            if rank < best?.rank ?? .max { best = (connection, rank) }
        }
        return best?.connection
    }

    private func idleConnection() -> Connection? {
        guard mayLeaseOneMore else { return nil }
        return connections.first { !$0.isLeased && $0.isClean }
    }

    private var mayLeaseOneMore: Bool {
        connections.count { $0.isLeased } < max(1, configuration.connections - 1)
    }

    /// Lets those who wait go on, as far as there is room.
    ///
    /// Who waits for a connection alone goes first, or a steady stream of statements would never let one run empty.
    /// Only when such a connection comes back do the statements have the first turn.
    private func serve(unitsFirst: Bool = false) {
        for connection in connections where connection.isReserved { connection.isReserved = false }
        if unitsFirst { serveUnits() }
        serveLeases()
        serveUnits()
    }

    private func serveUnits() {
        while let waiting = units.first {
            if !waiting.unit.isAnswered {
                guard let connection = sharedConnection() else { return }
                _ = units.popFirst()
                connection.send(waiting.unit)
            } else {
                _ = units.popFirst()
            }
        }
    }

    private func serveLeases() {
        while let request = leases.first {
            if !request.isAnswered {
                guard let connection = idleConnection() else { return reserve() }
                connection.isLeased = true
                request.give(connection)
            }
            _ = leases.popFirst()
        }
    }

    /// Lets the connections with the fewest units run empty for those who wait to have one alone.
    private func reserve() {
        let free = max(1, configuration.connections - 1) - connections.count { $0.isLeased }
        let candidates = connections.filter { $0.isUsable && !$0.isLeased }.sorted { $0.unitCount < $1.unitCount }
        for connection in candidates.prefix(max(0, min(free, leases.count))) { connection.isReserved = true }
    }

    // MARK: Figures

    var leasedCount: Int { connections.count { $0.isLeased } }
    var busyCount: Int { connections.count { !$0.isLeased && $0.unitCount > 0 } }
    var idleCount: Int { connections.count { !$0.isLeased && $0.unitCount == 0 } }
    var waiterCount: Int { units.count + leases.count }

    /// Whether a connection is open; for a process's readiness.
    public var isAvailable: Bool { connections.contains { $0.isUsable } }
}

extension Database: ConnectionOwner {
    func connectionProgressed(_ connection: Connection) {
        if !units.isEmpty || !leases.isEmpty { serve() }
    }

    func connectionEnded(_ connection: Connection, wasBroken: Bool) {
        connections.removeAll { $0 === connection }
        // A connection that breaks as soon as it stands must not be opened again and again without a pause.
        if wasBroken, Loop.monotonicNanoseconds - connection.opened < 1_000_000_000 { mustPause = true }
        if wasBroken, state == .running {
            metrics.lost.increment()
            Log.warning("a connection to the database broke", ["database": .init(configuration.name)])
        }
        if connections.isEmpty, state == .running {
            awaySince = Loop.monotonicNanoseconds
            if wasBroken { awayReason = "the connections to the database broke" }
        }
        vacancy.fire()
        serve()
    }

    func `repeat`(_ unit: Unit) { submit(unit) }

    func cancel(_ handle: CancelHandle) {
        metrics.cancellations.increment()
        pendingCancellations.append(handle)
        cancellations.fire()
    }
}

/// A caller that waits to have a connection for itself.
@OnLoop
final class LeaseRequest {
    var until = UInt64.max
    private var outcome: Result<Connection, PostgresError>?
    private var isTaken = false
    private let answered = Signal()

    var isAnswered: Bool { outcome != nil }

    func give(_ connection: Connection) { answer(.success(connection)) }

    func fail(_ error: PostgresError) { answer(.failure(error)) }

    private func answer(_ outcome: Result<Connection, PostgresError>) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        answered.fire()
    }

    func connection() async throws -> Connection {
        do {
            while outcome == nil { try await answered.wait() }
        } catch {
            // A connection that was given at the same moment is still taken; its user will find the cancellation.
            fail(PostgresError(.cancelled, "the calling task was cancelled"))
        }
        return try outcome!.get()
    }
}
