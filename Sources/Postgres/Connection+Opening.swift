internal import CLibPQ
internal import Loop

extension Connection {
    /// Opens a session and gives it its settings.
    ///
    /// Every step of libpq's runs on the thread pool, because each may resolve a host's name, which blocks, or compute
    /// a password's hash, which takes milliseconds. A resolver that hangs holds one of the pool's threads for that
    /// long; a pool opens one connection at a time, so never more. Unix sockets and `hostaddr` need no resolver.
    ///
    /// - Throws: `PostgresError` `unavailable` or, after `connectDeadline`, `timedOut`.
    static func open(_ configuration: DatabaseConfiguration, rotation: Int = 0) async throws -> Connection {
        let parameters = try ConnectionParameters(configuration.connectionString).rotated(by: rotation)
        let expires = Loop.monotonicNanoseconds + configuration.connectDeadline.nanoseconds
        let attempt = ConnectionAttempt(configuration.connectDeadline)
        defer { attempt.end() }
        let connection = try await attempt.connect(parameters)
        do {
            try await connection.setUp(configuration, expires: expires)
        } catch {
            connection.close(nil)
            throw error
        }
        return connection
    }

    /// As `open`, beginning with each host in turn until one answers in time: for whoever does not try again later.
    static func openAny(_ configuration: DatabaseConfiguration) async throws -> Connection {
        let hosts = try ConnectionParameters(configuration.connectionString).hostCount
        for rotation in 0..<hosts - 1 {
            do { return try await open(configuration, rotation: rotation) } catch let error as PostgresError {
                guard error.code == .timedOut else { throw error }
            }
        }
        return try await open(configuration, rotation: hosts - 1)
    }

    private func setUp(_ configuration: DatabaseConfiguration, expires: UInt64) async throws {
        var settings = configuration.sessionSettings
        settings["statement_timeout"] = "\(configuration.statementTimeout.nanoseconds / 1_000_000)ms"
        settings["idle_in_transaction_session_timeout"] =
            "\(configuration.idleTransactionTimeout.nanoseconds / 1_000_000)ms"
        let query = Self.setSettings(Array(settings.keys), Array(settings.values))
        let unit = Unit([.statement(query.text, query.arguments)], expires: expires)
        send(unit)
        _ = try await unit.answer()
    }

    private static let setSettings = Statement<Void, [String], [String]>(
        "postgres.set_settings",
        "SELECT set_config(name, value, false) FROM unnest($1, $2) AS setting (name, value)")
}

/// Drives libpq until a connection stands.
@OnLoop
private final class ConnectionAttempt {
    private let ready = Signal()
    private var deadline: Deadline?
    private var isExpired = false

    init(_ patience: Duration) {
        deadline = Deadline { [self] in
            isExpired = true
            ready.fire()
        }
        deadline?.set(patience)
    }

    func end() {
        deadline?.cancel()
        deadline = nil
    }

    func connect(_ parameters: ConnectionParameters) async throws -> Connection {
        let started = try await Loop.offload { parameters.start().map(ConnectionHandle.init) }
        guard let handle = started else { throw PostgresError(.unavailable, "libpq is out of memory") }
        do {
            PQsetNoticeReceiver(handle.pointer, receiveNotice, nil)
            try await poll(handle)
            return try Connection(handle.pointer)
        } catch {
            PQfinish(handle.pointer)
            throw error
        }
    }

    private func poll(_ handle: ConnectionHandle) async throws {
        // To be treated as if a poll had asked for it (libpq's manual, PQconnectStartParams).
        var wanted = Poller.Events.writable
        while true {
            guard PQstatus(handle.pointer) != CONNECTION_BAD else { throw failure(handle) }
            try await wait(for: wanted, of: handle)
            switch try await Loop.offload({ PQconnectPoll(handle.pointer) }) {
            case PGRES_POLLING_OK: return
            case PGRES_POLLING_READING: wanted = .readable
            case PGRES_POLLING_WRITING: wanted = .writable
            default: throw failure(handle)
            }
        }
    }

    /// The poller lives for one step only: between steps libpq may go to another host with another socket, even one of
    /// the same number.
    private func wait(for events: Poller.Events, of handle: ConnectionHandle) async throws {
        let ready = self.ready
        let poller = try Poller(descriptor: PQsocket(handle.pointer)) { _ in ready.fire() }
        defer { poller.close() }
        poller.watch(events)
        do { try await ready.wait() } catch { throw PostgresError(.cancelled, "the calling task was cancelled") }
        if isExpired { throw PostgresError(.timedOut, "no host answered in time") }
    }

    private func failure(_ handle: ConnectionHandle) -> PostgresError {
        PostgresError(.unavailable, ServerReport.firstLine(PQerrorMessage(handle.pointer)))
    }
}
