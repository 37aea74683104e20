public import Loop
internal import Synchronization
internal import Telemetry

/// A transaction with a connection to itself. BEGIN travels with its first statements.
///
/// Used exactly once: it ends by `commit` or `rollback`, each of which consumes it; one that is dropped is rolled back.
@OnLoop
public struct Transaction: ~Copyable {
    public enum Isolation: Sendable {
        case readCommitted, repeatableRead, serializable
        /// Sees one state of the database and changes nothing.
        case readOnly
    }

    let session: TransactionSession

    init(_ session: TransactionSession) { self.session = session }

    deinit {
        guard !session.hasEnded.load(ordering: .relaxed) else { return }
        // `deinit` may run on any thread; the session is the loop's.
        Task { [session] in await session.rollBack() }
    }

    /// Runs statements in one round trip and returns the rows of each.
    ///
    /// When one fails the others have had no effect and the transaction can only be rolled back.
    ///
    /// - Throws: `PostgresError`.
    public borrowing func query<each Row>(
        _ query: repeat Query<each Row>, deadline: Duration? = nil
    ) async throws -> (repeat [each Row]) {
        let results = try await session.run(Self.commands(repeat each query), deadline)
        var index = -1
        func next() -> QueryResult {
            index += 1
            return results[index]
        }
        return (repeat try (each query).rows(of: next()))
    }

    /// Runs one statement and returns its only row; nil when there is none.
    ///
    /// - Throws: `PostgresError`; `decoding` when there are several rows.
    public borrowing func first<Row>(_ query: Query<Row>, deadline: Duration? = nil) async throws -> Row? {
        try query.onlyRow(of: try await session.run(Self.commands(query), deadline)[0])
    }

    /// Runs a statement and returns the number of rows that it changed.
    ///
    /// - Throws: `PostgresError`.
    @discardableResult
    public borrowing func execute<Row>(_ query: Query<Row>, deadline: Duration? = nil) async throws -> Int {
        try await session.run(Self.commands(query), deadline)[0].affectedRowCount
    }

    /// Runs any number of statements in one round trip and returns the number of rows that each changed.
    ///
    /// - Throws: `PostgresError`.
    @discardableResult
    public borrowing func execute<Row>(_ queries: [Query<Row>], deadline: Duration? = nil) async throws -> [Int] {
        try await session.run(queries.map { .statement($0.text, $0.arguments) }, deadline).map(\.affectedRowCount)
    }

    /// Runs the last statements and COMMIT in one round trip.
    ///
    /// - Returns: the rows of each statement.
    /// - Throws: `PostgresError`: the transaction is rolled back, unless `leavesDoubt` says that it is unknown whether it was
    ///   committed.
    public consuming func commit<each Row>(
        _ query: repeat Query<each Row>, deadline: Duration? = nil
    ) async throws -> (repeat [each Row]) {
        let results = try await session.commit(Self.commands(repeat each query), deadline)
        var index = -1
        func next() -> QueryResult {
            index += 1
            return results[index]
        }
        return (repeat try (each query).rows(of: next()))
    }

    /// Runs any number of last statements and COMMIT in one round trip.
    ///
    /// - Throws: as the other `commit`.
    public consuming func commit<Row>(_ queries: [Query<Row>], deadline: Duration? = nil) async throws {
        try await session.commit(queries.map { .statement($0.text, $0.arguments) }, deadline)
    }

    /// Undoes everything, without waiting for the server to have done so.
    public consuming func rollback() { session.rollBack() }

    private static func commands<each Row>(_ query: repeat Query<each Row>) -> [Unit.Command] {
        var commands: [Unit.Command] = []
        repeat commands.append(.statement((each query).text, (each query).arguments))
        return commands
    }
}

extension Database {
    /// Begins a transaction: waits for a connection, but sends nothing yet.
    ///
    /// - Throws: `PostgresError`.
    public func begin(
        _ isolation: Transaction.Isolation = .readCommitted, deadline: Duration? = nil
    ) async throws -> Transaction {
        let connection = try await lease(expires: instant(after: deadline))
        return Transaction(TransactionSession(self, connection, isolation))
    }

    /// Runs `body` in a transaction and commits; rolls back when it throws.
    ///
    /// - Throws: what `body` throws, or `PostgresError`.
    public func transaction<Output>(
        _ isolation: Transaction.Isolation = .readCommitted, deadline: Duration? = nil,
        _ body: @OnLoop (borrowing Transaction) async throws -> Output
    ) async throws -> Output {
        let transaction = try await begin(isolation, deadline: deadline)
        do {
            let output = try await body(transaction)
            try await transaction.session.commit([], nil)
            return output
        } catch {
            transaction.session.rollBack()
            throw error
        }
    }
}

/// A transaction's state on its connection.
@OnLoop
final class TransactionSession {
    private enum State {
        /// Nothing was sent. May begin or end.
        case idle
        /// BEGIN was sent. May go on, end or fail.
        case open
        /// The connection was given back. Final.
        case ended
    }

    private let database: Database
    let connection: Connection
    private let isolation: Transaction.Isolation
    private var state = State.idle
    /// What a transaction's `deinit`, on whatever thread, sees of the state.
    nonisolated let hasEnded = Atomic(false)

    init(_ database: Database, _ connection: Connection, _ isolation: Transaction.Isolation) {
        self.database = database
        self.connection = connection
        self.isolation = isolation
    }

    func run(_ commands: [Unit.Command], _ deadline: Duration?) async throws -> [QueryResult] {
        guard state != .ended else { throw PostgresError(.misuse, "the transaction has ended") }
        guard !commands.isEmpty else { return [] }
        let begins = state == .idle
        state = .open
        let unit = Unit(
            (begins ? [.plain(isolation.begin)] : []) + commands, expires: database.instant(after: deadline))
        connection.send(unit)
        defer { database.metrics.duration.record(nanoseconds: Loop.monotonicNanoseconds - unit.began) }
        let results = try await unit.answer()
        return begins ? Array(results.dropFirst()) : results
    }

    func instant(after deadline: Duration?) -> UInt64 { database.instant(after: deadline) }

    /// Sends BEGIN by itself, for what cannot travel with it.
    func beginIfNeeded() async throws {
        guard state == .idle else { return }
        state = .open
        let unit = Unit([.plain(isolation.begin)], expires: instant(after: nil))
        connection.send(unit)
        _ = try await unit.answer()
    }

    @discardableResult
    func commit(_ commands: [Unit.Command], _ deadline: Duration?) async throws -> [QueryResult] {
        guard state != .idle || !commands.isEmpty else {
            end()
            return []
        }
        return try await end(commands, by: .plain("COMMIT"), tag: "COMMIT", deadline)
    }

    /// Runs the last statements and the command that ends the transaction.
    @discardableResult
    func end(
        _ commands: [Unit.Command], by ending: Unit.Command, tag: String, _ deadline: Duration?
    ) async throws -> [QueryResult] {
        do {
            var results = try await run(commands + [ending], deadline)
            // A transaction in which something has failed answers with ROLLBACK and no error.
            guard results.popLast()?.commandTag == tag else {
                throw PostgresError(.misuse, "the transaction was rolled back, because a statement in it had failed")
            }
            end()
            return results
        } catch var error as PostgresError {
            rollBack()
            switch error.code {
            case .connectionLost, .timedOut, .cancelled: error.leavesDoubt = true
            default: break
            }
            throw error
        } catch {
            rollBack()
            throw error
        }
    }

    /// Rolls back, after which the connection is given back; one that is still busy is discarded.
    func rollBack() {
        guard state != .ended else { return }
        guard state == .open, connection.isUsable, connection.unitCount == 0 else { return end() }
        markEnded()
        let unit = Unit([.plain("ROLLBACK")], expires: database.instant(after: nil))
        unit.onEnd = { [database, connection] in database.giveBack(connection) }
        connection.send(unit)
    }

    private func end() {
        markEnded()
        database.giveBack(connection)
    }

    private func markEnded() {
        state = .ended
        hasEnded.store(true, ordering: .relaxed)
    }
}

extension Transaction.Isolation {
    fileprivate var begin: StaticString {
        switch self {
        case .readCommitted: "BEGIN ISOLATION LEVEL READ COMMITTED"
        case .repeatableRead: "BEGIN ISOLATION LEVEL REPEATABLE READ"
        case .serializable: "BEGIN ISOLATION LEVEL SERIALIZABLE"
        case .readOnly: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        }
    }
}
