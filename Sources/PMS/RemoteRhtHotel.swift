public import Booking
public import Loop
public import Postgres
internal import Telemetry

/// The reservations of an rht-hotel whose database is not the one that the bridge's own tables are in.
///
/// What happens to a reservation and what the bridge notes of it commit together all the same: the bridge's transaction is
/// prepared, which no crash undoes, then the PMS's is committed, which decides, then the bridge's. The name of what is prepared
/// has the number of the PMS's transaction, so that whoever finds it later can ask the PMS what was decided
/// (`pg_xact_status`); before, the number is seen to be on the PMS's disk, so that a crash gives it to no other. Until the
/// answer is known the hotel stays locked, and only that hotel.
@OnLoop
public final class RemoteRhtHotel: ReservationAdapter {
    private let hotel: RhtHotel
    private let own: Database
    private let doubtful = Signal()
    private var failures = LogThrottle()
    private let settled = Metrics.counter(
        "drawbridge_bridge_commits_settled_total",
        "Commits that were found half done in the PMS's database and the bridge's, and ended as the PMS had decided.")

    /// How long the PMS may take to write, and to have on disk what was written; for that it needs another connection.
    fileprivate static let patience = Duration.seconds(2)

    /// How often it is looked for commits that were left half done.
    private static let interval = Duration.seconds(1)

    /// - Parameters:
    ///   - hotel: the adapter of the PMS's database.
    ///   - own: the database with the bridge's own tables.
    public init(_ hotel: RhtHotel, own: Database) {
        self.hotel = hotel
        self.own = own
    }

    /// How often the PMS could not be reached, or did not answer in time: whoever sees it raised while something failed knows
    /// that it was not the bridge's own database, or not that alone.
    public private(set) var absences = 0

    public func begin(deadline: Duration) async throws -> any ReservationWork {
        let end = Loop.monotonicNanoseconds + deadline.nanoseconds
        // The PMS first: when it is away, that is what is to be said.
        let there = try await noting { try await hotel.work(deadline: deadline) }
        return RemoteRhtWork(there, try await own.begin(deadline: .until(end)), self)
    }

    /// Runs something that only the PMS does.
    fileprivate func noting<Output>(_ body: @OnLoop () async throws -> Output) async throws -> Output {
        do { return try await body() } catch {
            switch WriteFailure(error)?.kind {
            case .unreachable, .connectionLost, .timedOut, .serverError: absences += 1
            default: break
            }
            throw error
        }
    }

    public func reservation(_ id: BookingID, hotel: Int32) async throws -> Reservation? {
        try await self.hotel.reservation(id, hotel: hotel)
    }

    public func reservations(_ ids: [BookingID], hotels: Set<Int32>) async throws -> [BookingID: Reservation] {
        try await hotel.reservations(ids, hotels: hotels)
    }

    // MARK: Commits left half done

    /// Ends what was left half done, by whichever bridge, until the task is cancelled.
    public func settleCommits() async {
        while !Task.isCancelled {
            do {
                for name in try await own.query(CommitStatements.waiting()) {
                    // One whose end nobody knows keeps no other waiting.
                    do { try await settle(name) } catch { note(error) }
                }
                let deadline = Deadline { self.doubtful.fire() }
                deadline.set(Self.interval)
                defer { deadline.cancel() }
                try await doubtful.wait()
            } catch {
                // The bridge's own database is away, which its own log says.
                do { try await Loop.sleep(for: Self.interval) } catch { return }
            }
        }
    }

    /// Ends one whose end is known, or leaves it to others.
    fileprivate func rollback(_ name: PreparedTransaction) async {
        do { try await own.rollback(name) } catch { doubtful.fire() }
    }

    fileprivate func commit(_ name: PreparedTransaction) async throws {
        do { try await own.commit(name) } catch {
            doubtful.fire()
            throw WriteFailure(.connectionLost, isDoubtful: true, "the bridge's half of a commit waits: \(error)")
        }
    }

    /// Has the PMS take what was written there to its disk. A server that crashes gives the number of a transaction of which nothing
    /// was on disk to another one.
    fileprivate func flush() async throws {
        _ = try await hotel.database.query(CommitStatements.flush(), deadline: Self.patience)
    }

    fileprivate func leaveToSettle() { doubtful.fire() }

    private func settle(_ text: String) async throws {
        guard let name = PreparedTransaction(text), let number = RemoteCommit.number(in: text) else { return }
        switch try await hotel.database.first(CommitStatements.status(number)) ?? nil {
        case "committed":
            try await own.commit(name)
            settled.increment()
        case "aborted":
            try await own.rollback(name)
            settled.increment()
        case "in progress":
            break
        default:
            // The PMS has forgotten, after hundreds of millions of transactions: people must look.
            throw PostgresError(.decoding, "the PMS does not know any more what became of \(text)")
        }
    }

    private func note(_ error: any Error) {
        guard !Task.isCancelled, let omitted = failures.admit(at: Loop.monotonicNanoseconds) else { return }
        Log.warning(
            "commits left half done are not settled",
            ["error": .init(error: error), "lines_omitted": .init(omitted)])
    }
}

/// A commit that takes effect in the PMS's database and in the bridge's.
enum RemoteCommit {
    private static let prefix = "drawbridge/"

    /// The name of the bridge's half: that of the PMS's transaction, and something of its own, since the PMS's database may be
    /// restored and count again.
    static func name(_ number: Int64) -> PreparedTransaction {
        let tag = String(UInt64.random(in: .min ... .max), radix: 36)
        return PreparedTransaction("\(prefix)\(number)/\(tag)")!
    }

    /// The number of the PMS's transaction.
    static func number(in name: String) -> Int64? {
        guard name.hasPrefix(prefix) else { return nil }
        return name.dropFirst(prefix.count).split(separator: "/").first.flatMap { Int64($0) }
    }
}

/// Two transactions that end alike: one in the PMS's database, one in the bridge's.
@OnLoop
final class RemoteRhtWork: ReservationWork {
    private let there: RhtReservationWork
    private let here: HotelTransaction
    private let adapter: RemoteRhtHotel

    init(_ there: RhtReservationWork, _ transaction: consuming Transaction, _ adapter: RemoteRhtHotel) {
        self.there = there
        here = HotelTransaction(transaction)
        self.adapter = adapter
    }

    func read(
        _ question: ReservationQuestion, first: Batch, then: Batch, deadline: Duration?
    ) async throws -> (facts: ReservationFacts, first: Batch.Rows, then: Batch.Rows) {
        let end = deadline.map { Loop.monotonicNanoseconds + $0.nanoseconds }
        // When it is stands in the bridge's tables, so it is told by their clock.
        var own = then
        let clock = own.add(ReservationStatements.now())
        do {
            // Ours first: whoever waits for another command at the hotel holds nothing in the PMS meanwhile.
            let rows = try await here.read(hotel: question.hotel, first: first, then: own, deadline: deadline)
            let found = try await adapter.noting {
                try await there.read(question, first: Batch(), then: Batch(), deadline: end.map { .until($0) })
            }
            return (found.facts.at(try rows.then.of(clock)[0]), rows.first, rows.then)
        } catch {
            // The end is waited for, so that whoever goes on without the PMS does not find the key of the request in use.
            try? await commit([], with: [])
            throw error
        }
    }

    func more(_ own: Batch, deadline: Duration?) async throws -> Batch.Rows {
        try await here.more(own, deadline: deadline)
    }

    func commit(_ writes: [ReservationWrite], with own: [Query<Void>]) async throws {
        guard !writes.isEmpty else {
            there.rollback()
            return try await here.commit(own)
        }
        let name: PreparedTransaction
        do {
            name = RemoteCommit.name(
                try await adapter.noting {
                    let number = try await there.write(writes, deadline: RemoteRhtHotel.patience)
                    try await adapter.flush()
                    return number
                })
        } catch {
            rollback()
            throw error
        }
        do { try await here.prepare(own, as: name) } catch {
            there.rollback()
            guard let doubt = error as? PostgresError, doubt.leavesDoubt else { throw error }
            // Prepared or not, without the PMS's commit it is nothing.
            adapter.leaveToSettle()
            let failure = WriteFailure(doubt)
            throw WriteFailure(failure.kind, isDoubtful: false, failure.message)
        }
        do { try await there.commit() } catch {
            if WriteFailure(error)?.isDoubtful == false {
                await adapter.rollback(name)
            } else {
                adapter.leaveToSettle()
            }
            throw error
        }
        // It has been decided. Where the word does not get through now, it does later.
        try await adapter.commit(name)
    }

    func rollback() {
        there.rollback()
        here.rollback()
    }
}

extension Duration {
    /// What is left of a time that ends at an instant of the monotonic clock; at least a moment.
    static func until(_ end: UInt64) -> Duration {
        let now = Loop.monotonicNanoseconds
        return .nanoseconds(Int64(end > now ? end - now : 1))
    }
}

/// A transaction that waits for the others at its hotel.
@OnLoop
public final class HotelTransaction {
    private var transaction: Transaction?

    public init(_ transaction: consuming Transaction) { self.transaction = consume transaction }

    /// As `ReservationWork.read`, as far as it concerns the bridge's own tables.
    public func read(
        hotel: Int32, first: Batch, then: Batch, deadline: Duration?
    ) async throws -> (first: Batch.Rows, then: Batch.Rows) {
        let (before, lock) = Self.beginning(hotel)
        let rows = try await use { try await $0.run([before, first, lock, then], deadline: deadline) }
        return (rows[1], rows[3])
    }

    /// What comes before all other statements, and what waits for the others at the hotel.
    static func beginning(_ hotel: Int32) -> (before: Batch, lock: Batch) {
        var (before, lock) = (Batch(), Batch())
        _ = before.add(ReservationStatements.planOnce())
        _ = lock.add(RhtHotel.lock(hotel: hotel))
        return (before, lock)
    }

    public func more(_ batch: Batch, deadline: Duration?) async throws -> Batch.Rows {
        try await use { try await $0.run([batch], deadline: deadline)[0] }
    }

    public func commit(_ statements: [Query<Void>]) async throws {
        guard let transaction = transaction.take() else { throw Self.ended }
        try await transaction.commit(statements)
    }

    func prepare(_ statements: [Query<Void>], as name: PreparedTransaction) async throws {
        guard let transaction = transaction.take() else { throw Self.ended }
        try await transaction.prepare(statements, as: name)
    }

    public func rollback() { transaction.take()?.rollback() }

    /// Lends the transaction, which is whoever's turn it is.
    func use<Output>(_ body: @OnLoop (borrowing Transaction) async throws -> Output) async throws -> Output {
        guard let transaction = transaction.take() else { throw Self.ended }
        do {
            let output = try await body(transaction)
            self.transaction = consume transaction
            return output
        } catch {
            transaction.rollback()
            throw error
        }
    }

    private static var ended: PostgresError { PostgresError(.misuse, "the work on the hotel has ended") }
}

private enum CommitStatements {
    /// Its commit takes to the PMS's disk whatever was written there before, by whomever.
    static let flush = Statement<Void>(
        "rht.flush", "SELECT pg_logical_emit_message(TRUE, 'drawbridge', '') IS NOT NULL"
    ) { row in _ = try row.next(Bool.self) }

    /// Those that wait for the word; a moment is left to whoever prepared them.
    static let waiting = Statement<String>(
        "bridge.waiting_commits",
        """
        SELECT gid FROM pg_prepared_xacts
        WHERE database = current_database() AND gid LIKE 'drawbridge/%' AND prepared < now() - INTERVAL '500 ms'
        """
    ) { row in try row.next() }

    /// What became of a transaction of the PMS; null where that is too long ago.
    static let status = Statement<String?, Int64>(
        "rht.transaction_status", "SELECT pg_xact_status($1::TEXT::XID8)"
    ) { row in try row.next() }
}
