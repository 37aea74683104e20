internal import Booking
internal import JSONText
internal import Loop
internal import PMS
internal import Postgres
internal import Telemetry

/// Does the writes into the PMS that nobody waits for: claims those that are due, any bridge's share, tries them by the retry
/// policy, and leaves dead letters of those that failed as often as they are tried.
///
/// Each hotel's are done one after the other and the hotels' beside each other, so that one where much is going on holds up no
/// other.
@OnLoop
final class PMSWriteQueue {
    /// Makes an attempt, in the hotel's turn. What it does commits with `ClaimedWrite.resolution`, if `ClaimedWrite.holds`
    /// gave a row.
    ///
    /// - Throws: `PostgresError`, `WriteFailure`; anything else counts as something that will not do.
    typealias Performer = @OnLoop (ClaimedWrite, HotelEntry?) async throws -> BackgroundWrite.Outcome

    /// How often it looks without being told to.
    private static let interval = Duration.seconds(1)

    /// How often the figures are counted.
    private static let countingInterval = Duration.seconds(5)

    /// Writes of a hotel that are claimed at once, and for how long further ones of them are begun: each must be told how it
    /// ended before its claim is over.
    private static let batch: Int32 = 50
    private static let batchTime: UInt64 = 20_000_000_000

    private let database: Database
    private let hotels: HotelDirectory
    private let policy: RetryPolicy
    /// How many hotels' writes are done at once; each holds a connection while it is its turn, and clients need some, too.
    private let hotelBound: Int
    /// How long an attempt may take that nobody hears of any more: longer than any can.
    private let lease: Duration
    private var performers: [BackgroundWrite.Operation: Performer] = [:]
    private var hotelsUnderWay: Set<Int32> = []
    private let due = Signal()
    private var failures = LogThrottle()
    private var figures: [WriteFigures] = []
    private let attempted: [String: Counter]

    init(_ database: Database, _ hotels: HotelDirectory, _ policy: RetryPolicy) {
        self.database = database
        self.hotels = hotels
        self.policy = policy
        hotelBound = max(1, database.configuration.connections / 2)
        lease = .seconds(60) + database.configuration.callDeadline * 4
        attempted = Dictionary(
            uniqueKeysWithValues: ["done", "postponed", "failed", "dead"].map { outcome in
                (
                    outcome,
                    Metrics.counter(
                        "drawbridge_bridge_pms_write_attempts_total",
                        "Attempts at writes into the PMS that nobody waits for, by what came of them.",
                        [("outcome", outcome)])
                )
            })
        for operation in BackgroundWrite.Operation.allCases.map(\.rawValue) { measure(operation) }
    }

    private func measure(_ operation: String) {
        let labels: Metrics.Labels = [("operation", operation)]
        func figure(_ isDead: Bool) -> WriteFigures? {
            figures.first { $0.operation == operation && $0.isDead == isDead }
        }
        Metrics.gauge("drawbridge_bridge_dead_letters", "Writes into the PMS that wait for somebody to decide.", labels)
        {
            Double(figure(true)?.count ?? 0)
        }
        Metrics.gauge(
            "drawbridge_bridge_dead_letter_age_seconds", "For how long the oldest dead letter has been one.", labels
        ) { Double(figure(true)?.age ?? 0) }
        Metrics.gauge("drawbridge_bridge_pms_writes", "Writes into the PMS that wait to be done.", labels) {
            Double(figure(false)?.count ?? 0)
        }
        Metrics.gauge(
            "drawbridge_bridge_pms_write_age_seconds", "Age of the oldest write into the PMS that waits to be done.",
            labels
        ) { Double(figure(false)?.age ?? 0) }
    }

    /// Says who does an operation's writes. To be called before `run`.
    func perform(_ operation: BackgroundWrite.Operation, by performer: @escaping Performer) {
        performers[operation] = performer
    }

    /// Lets it look at once.
    func wake() { due.fire() }

    /// Works until the task is cancelled. What is under way then is another bridge's, or the next one's, when its lease ends.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.count() }
            while !Task.isCancelled {
                do {
                    let deadline = Deadline { self.due.fire() }
                    deadline.set(Self.interval)
                    defer { deadline.cancel() }
                    try await due.wait()
                    while hotelsUnderWay.count < hotelBound {
                        let writes = try await claim()
                        guard let hotel = writes.first?.hotel else { break }
                        hotelsUnderWay.insert(hotel)
                        group.addTask { await self.attempt(writes, at: hotel) }
                    }
                } catch {
                    // The database is away, which its own log says.
                    Log.debug("writes into the PMS not looked for", ["error": .init(error: error)])
                }
            }
        }
    }

    private func claim() async throws -> [ClaimedWrite] {
        try await database.query(
            PMSWriteStatements.claim(
                hotelsUnderWay.sorted(), Self.batch, lease.milliseconds,
                BackgroundWrite.Operation.allCases.map(\.rawValue))
        ).sorted { $0.id < $1.id }
    }

    /// Tries one hotel's writes in their order.
    private func attempt(_ writes: [ClaimedWrite], at hotel: Int32) async {
        defer {
            hotelsUnderWay.remove(hotel)
            due.fire()
        }
        var isBusy = false
        /// Operations whose writes are done in their order, of which one has to wait.
        var heldBack: Set<BackgroundWrite.Operation> = []
        let end = Loop.monotonicNanoseconds + Self.batchTime
        for write in writes {
            var outcome = BackgroundWrite.Outcome.notYet
            if !isBusy, !heldBack.contains(write.operation), Loop.monotonicNanoseconds < end {
                (outcome, isBusy) = await attempt(write)
            }
            guard !Task.isCancelled else { return }
            if write.operation.isInOrder, !outcome.isFinal { heldBack.insert(write.operation) }
            await settle(write, outcome)
        }
    }

    /// - Returns: what came of it, and whether too many wait at the hotel for another one to be tried.
    private func attempt(_ write: ClaimedWrite) async -> (BackgroundWrite.Outcome, Bool) {
        if write.state.isSpent(policy) {
            return (.failed(WriteFailure(.timedOut, isDoubtful: false, "no attempt came to an end")), false)
        }
        guard let performer = performers[write.operation] else {
            return (.failed(WriteFailure(.refused, isDoubtful: false, "this program cannot do it")), false)
        }
        do {
            return (try await hotels.inTurn(write.hotel) { hotel in try await performer(write, hotel) }, false)
        } catch is LoopError {
            return (.notYet, true)
        } catch BridgeError.bookingInUse {
            return (.notYet, false)
        } catch {
            let surprise = WriteFailure(.refused, isDoubtful: false, "the bridge failed: \(type(of: error))")
            let failure = WriteFailure(error) ?? surprise
            if failure.isDoubtful { hotels.distrust(write.hotel) }
            if !Task.isCancelled, let omitted = failures.admit(at: Loop.monotonicNanoseconds) {
                Log.warning(
                    "write into the PMS failed",
                    [
                        "operation": .init(write.operation.rawValue), "booking_id": .init(write.booking.description),
                        "hotel_id": .init(write.hotel), "attempt": .init(write.state.attempts),
                        "error": .init(failure.description), "lines_omitted": .init(omitted),
                    ])
            }
            return (.failed(failure), false)
        }
    }

    /// Writes down what came of an attempt; where that cannot be, it counts as one that ended without a word.
    private func settle(_ write: ClaimedWrite, _ outcome: BackgroundWrite.Outcome) async {
        let step = write.state.after(outcome, policy, random: .random(in: 0...1))
        let failure: WriteFailure? = if case .failed(let failure) = outcome { failure } else { nil }
        do {
            switch step.write.status {
            case .resolved:
                // It said so itself where there was anything to commit.
                try await database.begin().commit(
                    [write.resolution, BookingStatements.noteSyncFailureEnded(write.hotel, write.booking)])
            case .dead: try await bury(write, step.write, failure)
            case .pending, .retrying, .abandoned:
                _ = try await database.query(
                    PMSWriteStatements.settle(
                        write.id, write.claim, step.write.status.rawValue, Int32(step.write.attempts),
                        step.wait?.milliseconds, failure?.kind.rawValue, failure?.message))
            }
        } catch {
            Log.debug("outcome of a write into the PMS not written down", ["error": .init(error: error)])
        }
        let label =
            switch step.write.status {
            case .resolved: "done"
            case .dead: "dead"
            default: failure == nil ? "postponed" : "failed"
            }
        attempted[label]?.increment()
    }

    /// It is a dead letter: others are told that the PMS does not have what the booking says.
    private func bury(_ write: ClaimedWrite, _ dead: BackgroundWrite, _ failure: WriteFailure?) async throws {
        let code = failure?.kind.rawValue ?? WriteFailure.Kind.refused.rawValue
        let transaction = try await database.begin()
        let letter = try await transaction.first(
            PMSWriteStatements.settle(
                write.id, write.claim, dead.status.rawValue, Int32(dead.attempts), nil, code, failure?.message))
        // Somebody else has it.
        guard letter != nil else { return transaction.rollback() }
        let booking = try await transaction.first(BookingStatements.booking(write.booking))
        let event = booking.map { booking in
            BookingStatements.insert([
                BookingStatements.NewEvent(
                    type: "sync.failed", hotel: write.hotel, entity: write.booking.description,
                    version: booking.life.version, content: write.event(of: booking, code))
            ])
        }
        let words = write.operation.failureInWords
        try await transaction.commit(
            [BookingStatements.noteSyncFailure(write.hotel, write.booking, words)] + (event.map { [$0] } ?? []))
        Log.error(
            "write into the PMS given up; it is a dead letter",
            [
                "dead_letter_id": .init(write.id), "operation": .init(write.operation.rawValue),
                "booking_id": .init(write.booking.description), "hotel_id": .init(write.hotel), "error": .init(code),
            ])
    }

    /// Counts what waits, for the metrics, until the task is cancelled.
    private func count() async {
        while !Task.isCancelled {
            do { figures = try await database.query(PMSWriteStatements.figures()) } catch {
                Log.debug("dead letters not counted", ["error": .init(error: error)])
            }
            do { try await Loop.sleep(for: Self.countingInterval) } catch { return }
        }
    }
}

extension BackgroundWrite.Operation {
    /// What clients are told of a booking of which it failed.
    fileprivate var failureInWords: String {
        switch self {
        case .expireHold: "The rooms of the hold could not be given back"
        case .settleBooking: "The booking could not be made in the property management system"
        case .moveBooking: "The booking could not be moved to another room"
        }
    }
}

extension ClaimedWrite {
    /// What subscribers are told when it is given up.
    @OnLoop
    fileprivate func event(of stored: StoredBooking, _ code: String) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("type", "sync.failed")
            json.member("timestamp", Instant.now.description)
            json.object("data") { json in
                json.member("booking_id", booking.description)
                json.member("booking_engine_id", stored.engineID)
                json.member("hotel_id", Int(hotel))
                json.member("version", Int(stored.life.version))
                json.member("operation", operation.rawValue)
                json.member("error", code)
            }
        }
        return json.bytes
    }
}

extension Duration {
    var milliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }
}
