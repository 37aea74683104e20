internal import CLibPQ
internal import Loop

/// What a connection tells the pool it belongs to.
@OnLoop
protocol ConnectionOwner: AnyObject {
    /// A unit has ended, or the connection is no longer to be used.
    func connectionProgressed(_ connection: Connection)
    /// The connection is gone; `wasBroken` unless we closed it.
    func connectionEnded(_ connection: Connection, wasBroken: Bool)
    /// A unit that had no effect may be sent again over another connection.
    func `repeat`(_ unit: Unit)
    func cancel(_ handle: CancelHandle)
}

/// One session with the server, in libpq's pipeline mode: units are sent as they come and answered in order.
///
/// libpq is never made to wait. A unit whose task gave up is cancelled on the server once it is the one that runs;
/// since a cancellation may hit what comes after it, the connection then takes no new units and ends when those on
/// their way have ended. The connection keeps itself alive until `close`.
@OnLoop
final class Connection {
    /// A cancelled call's statement may run for this long before it is cancelled on the server: most are over by then,
    /// and a cancellation costs the connection.
    static let cancellationGrace: UInt64 = 50_000_000

    /// How long a connection that is to end waits for the server's last answers after the last call has given up.
    static let retirementGrace: UInt64 = 5_000_000_000

    let pointer: OpaquePointer
    weak var owner: (any ConnectionOwner)?
    let opened = Loop.monotonicNanoseconds

    private var poller: Poller?
    private var deadline: Deadline?
    /// When `deadline` is set to pass.
    private var armedFor = UInt64.max
    private var expected = FIFO<Expected>()
    /// Whether a result of the first expected command has come, so that the null that ends it comes next.
    private var hasResult = false
    private var prepared: [String: StatementText] = [:]

    /// Units sent and not ended.
    private(set) var unitCount = 0
    private(set) var isClosed = false
    /// Whether it takes no new units and ends after those it has.
    private(set) var isRetiring = false
    private var closesAt = UInt64.max
    private var hasCancelled = false
    private weak var cancelled: Unit?

    /// Whether one caller has it for itself.
    var isLeased = false
    /// Whether it takes no new units because somebody waits to have it for himself.
    var isReserved = false

    /// While set, libpq belongs to one caller outside of pipeline mode; see `Connection+Direct.swift`.
    var direct: DirectAccess?
    var onNotification: (@OnLoop (Notification) -> Void)?

    /// What libpq will report next.
    private enum Expected {
        /// The answer to a PREPARE, and its own synchronisation point.
        case preparation(StatementText)
        case endOfPreparation
        case answer(Unit)
        case end(Unit)
    }

    /// - Parameter pointer: connected; owned from now on.
    init(_ pointer: OpaquePointer) throws {
        self.pointer = pointer
        // From here on whoever drops the connection without an error closes it.
        guard PQsetnonblocking(pointer, 1) == 0, PQenterPipelineMode(pointer) == 1 else {
            throw PostgresError(.unavailable, lastMessage)
        }
        poller = try Poller(descriptor: PQsocket(pointer)) { self.ready($0) }
        poller?.watch(.readable)
        deadline = Deadline { self.checkDeadlines() }
    }

    var isUsable: Bool { !isClosed && !isRetiring }

    /// Whether it is as it was after opening: nothing under way, no transaction.
    var isClean: Bool {
        isUsable && unitCount == 0 && expected.isEmpty && direct == nil
            && PQtransactionStatus(pointer) == PQTRANS_IDLE
    }

    /// Sent and not ended, in order.
    private var units: some Sequence<Unit> {
        expected.lazy.compactMap { if case .end(let unit) = $0 { unit } else { nil } }
    }

    /// Whether what it was sent first has not ended for so many nanoseconds.
    func hasWorked(longerThan time: UInt64) -> Bool {
        guard let first = units.first(where: { _ in true }) else { return false }
        return Loop.monotonicNanoseconds - first.began > time
    }

    // MARK: Sending

    func send(_ unit: Unit) {
        guard isUsable, direct == nil else {
            return unit.fail(PostgresError(.connectionLost, "the connection has ended"))
        }
        unitCount += 1
        unit.connection = self
        guard queue(unit) else {
            unit.fail(PostgresError(.connectionLost, lastMessage))
            return close(PostgresError(.connectionLost, lastMessage))
        }
        expected.append(.end(unit))
        arm(for: unit.expires)
        flush()
    }

    private func queue(_ unit: Unit) -> Bool {
        for case .statement(let text, _) in unit.commands {
            guard prepareIfNeeded(text) else { return false }
        }
        for command in unit.commands {
            let isQueued =
                switch command {
                case .statement(let text, let arguments): queue(text, arguments)
                case .plain(let sql): PQsendQueryParams(pointer, sql.cString, 0, nil, nil, nil, nil, 1) == 1
                case .prepared(let command, let transaction):
                    PQsendQueryParams(pointer, transaction.sql(command), 0, nil, nil, nil, nil, 1) == 1
                case .listen(let channel): PQsendQueryParams(pointer, channel.listen, 0, nil, nil, nil, nil, 1) == 1
                }
            guard isQueued else { return false }
            expected.append(.answer(unit))
        }
        return PQpipelineSync(pointer) == 1
    }

    /// Prepares in a unit of its own, so that neither an error in ours leaves the statement unprepared for those that
    /// were sent after it, nor a statement that cannot be prepared fails more than itself.
    private func prepareIfNeeded(_ text: StatementText) -> Bool {
        if let known = prepared[text.key] {
            precondition(known.isSame(as: text), "two statements are named \(text.key)")
            return true
        }
        prepared[text.key] = text
        let types = text.parameterTypes
        guard PQsendPrepare(pointer, text.name.cString, text.sql, CInt(types.count), types) == 1,
            PQpipelineSync(pointer) == 1
        else { return false }
        expected.append(.preparation(text))
        expected.append(.endOfPreparation)
        return true
    }

    private func queue(_ text: StatementText, _ arguments: Arguments) -> Bool {
        let count = arguments.lengths.count
        return arguments.bytes.withUnsafeBytes { bytes in
            withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: count) { values in
                // libpq only asks whether the pointer is null, even where the length is 0.
                let start = bytes.baseAddress ?? UnsafeRawPointer(text.name.utf8Start)
                var offset = 0
                for (index, length) in arguments.lengths.enumerated() {
                    let value = length < 0 ? nil : (start + offset).assumingMemoryBound(to: CChar.self)
                    values.initializeElement(at: index, to: value)
                    offset += Int(max(0, length))
                }
                return withUnsafeTemporaryAllocation(of: CInt.self, capacity: count) { formats in
                    formats.initialize(repeating: 1)
                    return PQsendQueryPrepared(
                        pointer, text.name.cString, CInt(count), values.baseAddress, arguments.lengths,
                        formats.baseAddress, 1) == 1
                }
            }
        }
    }

    /// Gives libpq's buffer to the socket; what does not fit goes when the socket is writable again.
    ///
    /// - Returns: whether the socket has taken it all.
    @discardableResult
    func flush() -> Bool {
        let status = PQflush(pointer)
        guard status >= 0 else {
            close(PostgresError(.connectionLost, lastMessage))
            return false
        }
        poller?.watch(status == 0 ? .readable : [.readable, .writable])
        return status == 0
    }

    // MARK: Receiving

    private func ready(_ events: Poller.Events) {
        guard !isClosed else { return }
        let isAlive = !events.contains(.readable) || PQconsumeInput(pointer) == 1
        if let direct {
            // Its user asks for more when it needs more; until then the server is made to wait.
            poller?.watch([])
            return direct.activity.fire()
        }
        takeResults()
        takeNotifications()
        guard isAlive, PQstatus(pointer) == CONNECTION_OK else {
            return close(PostgresError(.connectionLost, lastMessage))
        }
        flush()
        if isClosed { return }
        if isRetiring { finishRetiring() }
        owner?.connectionProgressed(self)
    }

    private func takeResults() {
        while let next = expected.first, PQisBusy(pointer) == 0 {
            guard let result = PQgetResult(pointer).map(QueryResult.init) else {
                // Null ends each command. Without a result before it the connection is broken, as the caller will see.
                guard hasResult else { return }
                hasResult = false
                _ = expected.popFirst()
                continue
            }
            take(result, for: next)
        }
    }

    private func take(_ result: QueryResult, for next: Expected) {
        switch next {
        case .preparation(let text):
            hasResult = true
            if result.isError { preparationFailed(text, result.report) }
        case .answer(let unit):
            hasResult = true
            if result.isError, result.report.meansStaleSession { retire() }
            unit.add(result, hasCancelled: hasCancelled)
        case .endOfPreparation:
            _ = expected.popFirst()
        case .end(let unit):
            _ = expected.popFirst()
            unitCount -= 1
            if unit.mayBeRepeated, !unit.isAnswered, !isLeased, let owner {
                unit.reset()
                owner.repeat(unit)
            } else {
                unit.finish()
            }
        }
    }

    private func preparationFailed(_ text: StatementText, _ report: ServerReport) {
        prepared[text.key] = nil
        var error = report.error
        error.statement = text.key
        for unit in units where unit.uses(text) { unit.add(error) }
    }

    private func takeNotifications() {
        while let notification = PQnotifies(pointer) {
            onNotification?(
                Notification(
                    channel: String(cString: notification.pointee.relname),
                    payload: String(cString: notification.pointee.extra)))
            PQfreemem(notification)
        }
    }

    // MARK: Deadlines and cancellation

    /// Sees to it that deadlines are looked at when `instant` comes, or before.
    func arm(for instant: UInt64) {
        guard instant < armedFor else { return }
        armedFor = instant
        let now = Loop.monotonicNanoseconds
        deadline?.set(.nanoseconds(instant > now ? Int64(clamping: instant - now) : 0))
    }

    private func checkDeadlines() {
        let now = Loop.monotonicNanoseconds
        armedFor = .max
        var next = closesAt
        var isOverdue = false
        for unit in units {
            if !unit.isAbandoned, unit.expires <= now {
                unit.abandon(PostgresError(.timedOut, "the deadline passed while the statement ran"), at: now)
            }
            let due = unit.isAbandoned ? unit.abandoned : unit.expires
            if due <= now { isOverdue = true } else { next = min(next, due) }
        }
        if let direct {
            if direct.expires <= now { direct.expire() } else { next = min(next, direct.expires) }
        }
        if isOverdue { retire() }
        if isRetiring { finishRetiring() }
        guard !isClosed else { return }
        if closesAt <= now { return close(PostgresError(.connectionLost, "the server does not answer")) }
        arm(for: min(next, closesAt))
        owner?.connectionProgressed(self)
    }

    /// The task that waited for `unit` was cancelled.
    func wasAbandoned(_ unit: Unit) {
        if !isClosed { arm(for: unit.abandoned) }
    }

    /// Lets the connection end once what is under way has ended; another one replaces it.
    func retire() {
        guard isUsable else { return }
        isRetiring = true
        var last = Loop.monotonicNanoseconds
        for unit in units where !unit.isAbandoned { last = max(last, unit.expires) }
        closesAt = last + Self.retirementGrace
        arm(for: closesAt)
    }

    /// Ends the connection of a caller that had it for itself and left it in a state that nobody knows.
    func discard() {
        isLeased = false
        guard !isClosed else { return }
        retire()
        finishRetiring()
    }

    private func finishRetiring() {
        if unitCount == 0, direct == nil, !isLeased { return close(nil) }
        // The first unit that has not ended is the one that runs.
        guard let running = units.first(where: { _ in true }), running.isAbandoned, running !== cancelled else {
            return
        }
        cancelled = running
        cancelRunning()
    }

    func cancelRunning() {
        hasCancelled = true
        if let handle = CancelHandle(pointer) { owner?.cancel(handle) }
    }

    // MARK: Closing

    /// Ends the session and fails what is under way with `error`. Calling it again does nothing.
    func close(_ error: PostgresError?) {
        guard !isClosed else { return }
        isClosed = true
        poller?.close()
        poller = nil
        deadline?.cancel()
        deadline = nil
        onNotification = nil
        let lost = error ?? PostgresError(.connectionLost, "the connection was closed")
        let lostUnits = Array(units)
        expected = FIFO()
        unitCount = 0
        for unit in lostUnits { unit.fail(lost) }
        direct?.activity.fire()
        PQfinish(pointer)
        owner?.connectionEnded(self, wasBroken: error != nil)
    }

    /// libpq's words for what last went wrong.
    var lastMessage: String { isClosed ? "the connection has ended" : ServerReport.firstLine(PQerrorMessage(pointer)) }
}

extension StaticString {
    /// Static strings end with a null byte.
    var cString: UnsafePointer<CChar> { UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self) }
}
