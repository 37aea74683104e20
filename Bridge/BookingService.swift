internal import Authentication
internal import Availability
internal import Booking
internal import Catalogue
internal import HTTP
internal import Loop
internal import PMS
internal import Policy
internal import Postgres
internal import Server
internal import Stay
internal import Telemetry

/// Makes bookings, changes and ends them: the PMS's rows, our own state, its event, its line in the audit log and the answer
/// to be repeated commit together or not at all.
///
/// What is done to the bookings of one hotel follows one after the other, in this process by the hotel's turnstile and between
/// processes by a lock in the database; what is free, and what there is to change, is read under that lock, never taken from
/// memory.
@OnLoop
final class BookingService {
    let database: Database
    let pms: any ReservationAdapter
    let hotels: HotelDirectory
    let policy: BridgePolicy
    private let answers: IdempotentAnswers
    /// Whether the PMS's transactions are the bridge's own.
    private let sharesDatabase: Bool
    /// Commands that wait for their next attempt.
    private var waitingCount = 0
    private let retries: RetryPolicy
    private let arrangements = RoomArrangement()
    private var unreadable = LogThrottle()
    private let created = Metrics.counter("drawbridge_bridge_bookings_total", "Bookings made.")
    let changed = Metrics.counter("drawbridge_bridge_bookings_changed_total", "Bookings changed, confirmed holds too.")
    let cancelled = Metrics.counter("drawbridge_bridge_bookings_cancelled_total", "Bookings cancelled by clients.")
    private let lost = Metrics.counter(
        "drawbridge_bridge_bookings_refused_total",
        "Bookings and changes refused because rooms were lacking or prices had changed.")
    private let retried = Metrics.counter(
        "drawbridge_bridge_commands_retried_total",
        "Times that a booking, change or cancellation was tried again because the PMS did not take it.")

    init(
        _ database: Database, _ pms: any ReservationAdapter, _ hotels: HotelDirectory, _ answers: IdempotentAnswers,
        _ policy: BridgePolicy, sharesDatabase: Bool
    ) {
        self.database = database
        self.pms = pms
        self.hotels = hotels
        self.answers = answers
        self.policy = policy
        self.sharesDatabase = sharesDatabase
        retries = RetryPolicy(policy.pmsWrites)
    }

    // MARK: Creating

    /// Books, or says why not.
    ///
    /// - Throws: `BridgeError`, `PostgresError`, `LoopError` when the hotel is too busy.
    func create(_ request: BookingRequest, for caller: Caller) async throws -> BookingOutcome {
        try await carryOut(at: request.hotel, for: caller) { [self] hotel, deadline in
            guard let hotel else { throw BridgeError.invalid([("/hotel_id", "There is no such hotel")]) }
            return try await create(request, at: hotel, for: caller, until: deadline)
        }
    }

    private func create(
        _ request: BookingRequest, at hotel: HotelEntry, for caller: Caller, until deadline: CommandDeadline
    ) async throws -> BookingOutcome {
        var question = ReservationQuestion(hotel: hotel.id)
        question.wanted = (request.stay, request.rooms)
        question.guest = request.guest
        var own = Batch()
        let earlier = own.add(BookingStatements.byEngineID(hotel.id, request.engineID))
        let terms = own.add(RestrictionStatements.current(hotel.id, hotel.terms.version))
        let work = try await pms.begin(deadline: try deadline.timeLeft)
        let before: (facts: ReservationFacts, record: IdempotencyRecord?, own: Batch.Rows)
        do {
            before = try await read(work, question, own, for: caller, until: deadline)
        } catch {
            throw blame(hotel.id, for: error)
        }
        if let record = before.record, let key = caller.key { return try await repeated(record, key, work) }
        if let earlier = try before.own.of(earlier).first {
            // The end is waited for, so that a further repetition does not find the key in use.
            try await work.commit([], with: [])
            return try await repeated(earlier, for: caller)
        }
        let journal = BookingJournal(
            action: .create, actor: caller.client, requestID: caller.requestID, request: request.masked)
        let termsNow = try await self.terms(of: hotel, try before.own.of(terms).first, before.facts, work, deadline)
        let outcome = try arrange(
            request.stay, request.rooms, at: hotel, before.facts, termsNow, expecting: request.expectedTotal)
        switch outcome {
        case .refused(let problem): return try await refuse(problem, hotel.id, nil, caller, journal, work)
        case .arranged(let arranged):
            // The last moment to give up: from here on only the database knows whether there is a booking.
            _ = try deadline.timeLeft
            let outcome = try await write(request, arranged, before.facts, caller, journal, work)
            hotel.take(
                zip(arranged.rooms, arranged.asked).map { ($0.room, $1.type) }, nights: request.stay.nights)
            created.increment()
            return outcome
        }
    }

    private func write(
        _ request: BookingRequest, _ arranged: RoomArrangement.Arranged, _ facts: ReservationFacts, _ caller: Caller,
        _ journal: BookingJournal, _ work: any ReservationWork
    ) async throws -> BookingOutcome {
        let holdExpiresAt = request.holdMinutes.map { facts.now.advanced(byMinutes: $0) }
        let life = BookingLife.created(holdExpiresAt: holdExpiresAt).life
        // As it will stand in the database.
        let booking = Booking(
            id: .random(), engineID: request.engineID, hotel: request.hotel, status: life.status, stay: request.stay,
            rooms: arranged.bookedRooms(facts), guest: request.guest, total: arranged.total,
            sync: work.isPending ? SyncState(status: .pending) : SyncState(status: .synced, lastAttempt: facts.now),
            version: life.version, createdAt: facts.now,
            updatedAt: facts.now, holdExpiresAt: holdExpiresAt)
        let outcome = BookingOutcome(.created, booking)
        let reservation = NewReservation(
            id: booking.id, request: request, client: facts.client, rooms: arranged.rooms)
        let own =
            [
                BookingStatements.insertBooking(
                    booking.id, request.hotel, request.engineID, caller.client, booking.status.rawValue,
                    request.stay.arrival, request.stay.departure, arranged.total.minorUnits,
                    arranged.total.currency.code, arranged.chargeable.minorUnits, holdExpiresAt,
                    reservation.content.hash),
                arranged.insertion(booking.id),
                BookingStatements.insertSync(
                    request.hotel, booking.id, request.engineID, booking.sync.status.rawValue, !work.isPending),
            ]
            + journal.entries(
                .created, booking,
                newGuest: facts.client == nil && !work.isPending ? reservation.newClient : nil)
        // What the front desk does to it, or with its rooms, may be read when the PMS has it and we do not yet, which lasts
        // until a commit left half done is settled. So it is asked for here, and comes into view with the booking.
        let checks = sharesDatabase || work.isPending ? [] : [CheckStatements.ask([booking.id])]
        try await work.commit([.create(reservation)], with: own + checks + caller.record(outcome))
        return outcome
    }

    /// The answer to a booking that was made before under the same `booking_engine_id`.
    ///
    /// It goes only to the client that made it: another one would learn a guest's particulars from a guessed id. One
    /// that has ended is no booking, and a status of success would say that it is. The answer is kept for the request's key,
    /// which must not book something else the next time.
    private func repeated(_ earlier: EarlierBooking, for caller: Caller) async throws -> BookingOutcome {
        guard earlier.client == caller.client else { throw BridgeError.engineIDTaken }
        guard earlier.status == "hold" || earlier.status == "confirmed" else {
            throw BridgeError.bookingEnded(earlier.status)
        }
        guard let stored = try await database.first(BookingStatements.booking(earlier.id)) else {
            throw BridgeError.unknownBooking
        }
        // We have our turn at the hotel already where this is asked for in its course, so what the front desk did is not
        // noted here, but told: whoever reads the booking notes it.
        let booking = try await shown(stored)
        guard booking.status == .hold || booking.status == .confirmed else {
            throw BridgeError.bookingEnded(booking.status.rawValue)
        }
        let outcome = BookingOutcome(.ok, booking)
        for query in caller.record(outcome) { try await database.execute(query) }
        return outcome
    }

    /// The answer to a request to book that was carried out before; nil when it was not.
    ///
    /// It is asked for requests that would be refused now: what was valid when it was carried out (an arrival that is
    /// past, a plan that is gone) stays carried out.
    func earlier(hotel: Int32, engineID: String?, _ caller: Caller) async throws -> BookingOutcome? {
        if let outcome = try await earlier(caller) { return outcome }
        guard let engineID, let booking = try await database.first(BookingStatements.byEngineID(hotel, engineID)) else {
            return nil
        }
        return try await answers.holding(caller.key, of: caller.client) { try await repeated(booking, for: caller) }
    }

    /// The answer that was given for the same key; nil when none was.
    func earlier(_ caller: Caller) async throws -> BookingOutcome? {
        guard let key = caller.key else { return nil }
        return try await answers.kept(key, of: caller.client)
    }

    // MARK: What every command does

    /// How long a command waits for a front desk that works on its booking, and looks again: most are done by then. The others
    /// at the hotel have their turns meanwhile.
    private static let frontDeskPauses: [Duration] = [.milliseconds(50), .milliseconds(150), .milliseconds(300)]

    /// The most commands that may wait for their next attempt. With the PMS away, more would only hold up connections that
    /// those need who can be answered from memory.
    private static let maximumWaiting = 64

    /// Runs a command when it is its turn at the hotel; again, by the retry policy, where the PMS did not take it, while its
    /// client waits. Others have their turns in between.
    ///
    /// Each attempt begins by looking, under the hotel's lock, for what an earlier one may have done: a commit whose end is
    /// unknown holds that lock until it has ended.
    ///
    /// - Parameter body: is given the hotel, if it is in memory, and by when it must be done. It is run again where it throws
    ///   `BridgeError.bookingInUse`.
    /// - Throws: `BridgeError.outcomeUnknown` where it may have taken effect.
    func carryOut(
        at hotel: Int32, for caller: Caller,
        _ body: @OnLoop (HotelEntry?, CommandDeadline) async throws -> BookingOutcome
    ) async throws -> BookingOutcome {
        try await answers.holding(caller.key, of: caller.client) {
            var deadline = CommandDeadline()
            var pauses = Self.frontDeskPauses[...]
            while true {
                do {
                    let attempt = deadline
                    return try await hotels.inTurn(hotel, patience: { try attempt.patience }) { entry in
                        try await body(entry, attempt)
                    }
                } catch BridgeError.bookingInUse where !pauses.isEmpty {
                    try await Loop.sleep(for: pauses.removeFirst())
                } catch {
                    let failure = failure(error, deadline)
                    if failure?.isDoubtful == true {
                        hotels.distrust(hotel)
                        deadline.followsDoubt = true
                    }
                    guard let failure, let wait = wait(after: failure, deadline) else {
                        // A refusal was decided by looking; what failed, or could not look, was not.
                        if deadline.followsDoubt, failure != nil || error is LoopError || error.couldNotLook {
                            throw BridgeError.outcomeUnknown
                        }
                        throw error
                    }
                    retried.increment()
                    deadline.attempt += 1
                    waitingCount += 1
                    defer { waitingCount -= 1 }
                    try await Loop.sleep(for: wait)
                }
            }
        }
    }

    /// What an attempt failed by; nil for a refusal.
    private func failure(_ error: any Error, _ deadline: CommandDeadline) -> WriteFailure? {
        // The attempt before has not ended in the database.
        if deadline.attempt > 1, case .requestUnderWay? = error as? BridgeError {
            return WriteFailure(.collision, isDoubtful: deadline.followsDoubt, "the attempt before is under way")
        }
        return WriteFailure(error)
    }

    /// How long to wait before the next attempt; nil when there is none.
    private func wait(after failure: WriteFailure, _ deadline: CommandDeadline) -> Duration? {
        guard waitingCount < Self.maximumWaiting, let timeLeft = try? deadline.timeLeft,
            let wait = retries.wait(after: deadline.attempt, failure, random: .random(in: 0...1)), wait < timeLeft
        else { return nil }
        return wait
    }

    /// Reads what a command needs in one round trip, the answer to an earlier request with the same key first.
    ///
    /// - Parameter own: statements that see what others did at the hotel before.
    /// - Throws: `BridgeError.requestUnderWay`, also of another process.
    func read(
        _ work: any ReservationWork, _ question: ReservationQuestion, _ own: Batch, for caller: Caller,
        until deadline: CommandDeadline
    ) async throws -> (facts: ReservationFacts, record: IdempotencyRecord?, own: Batch.Rows) {
        var first = Batch()
        let places = caller.key.map { key in
            (
                claim: first.add(IdempotencyStatements.claim(caller.client, key.key)),
                record: first.add(IdempotencyStatements.record(caller.client, key.key))
            )
        }
        let found = try await work.read(question, first: first, then: own, deadline: try deadline.timeLeft)
        guard let places else { return (found.facts, nil, found.then) }
        if try found.first.of(places.claim) == [false] {
            work.rollback()
            throw BridgeError.requestUnderWay
        }
        return (found.facts, try found.first.of(places.record).first, found.then)
    }

    /// Gives an answer once more.
    func repeated(
        _ record: IdempotencyRecord, _ key: IdempotencyKey, _ work: any ReservationWork
    ) async throws -> BookingOutcome {
        // The end is waited for, so that a further repetition does not find the key in use.
        try await work.commit([], with: [])
        return try record.outcome(for: key)
    }

    /// Rooms and prices for a stay.
    func arrange(
        _ stay: Stay, _ rooms: [BookingRequest.Room], at hotel: HotelEntry, _ facts: ReservationFacts,
        _ terms: RoomArrangement.Terms, agreed: [Int32: Int] = [:], keeping kept: [Int32?] = [],
        for held: Range<Day>? = nil,
        expecting expected: Money?
    ) throws -> RoomArrangement.Outcome {
        try arrangements.arrange(
            stay, rooms, at: hotel, facts, terms, agreed: agreed, keeping: kept, for: held, expecting: expected)
    }

    /// What a hotel has decided about its sales, as it is under the hotel's lock.
    ///
    /// - Parameter stored: what the database says, without what memory has already; nil where nothing was ever set.
    func terms(
        of hotel: HotelEntry, _ stored: StoredTerms?, _ facts: ReservationFacts, _ work: any ReservationWork,
        _ deadline: CommandDeadline
    ) async throws -> RoomArrangement.Terms {
        let terms: SaleTerms = try stored.map { try $0.terms() ?? hotel.terms } ?? SaleTerms.none
        guard !facts.unassigned.isEmpty else {
            return RoomArrangement.Terms(terms, [], lastKnown: facts.lastKnownSold)
        }
        // Nights without a room, which are rare: those that we have sold are of a type that is known.
        var own = Batch()
        let sold = own.add(RestrictionStatements.soldTypes(Array(Set(facts.unassigned.map(\.reservation)))))
        let rows = try await work.more(own, deadline: try deadline.timeLeft)
        let roomless = facts.unassigned.roomless(SoldType.counts(try rows.of(sold)))
        return RoomArrangement.Terms(terms, roomless, lastKnown: facts.lastKnownSold)
    }

    /// A refusal changes nothing, but is kept for the same key, and in the audit log.
    ///
    /// It is made in the hotel's turn, so one that waited for the disk would hold up all others: of hundreds who want the last
    /// room, the last would be answered too late. Whether it outlives a crash harms nobody: asked again, it is decided anew.
    func refuse(
        _ problem: Problem, _ hotel: Int32, _ booking: BookingID?, _ caller: Caller, _ journal: BookingJournal,
        _ work: any ReservationWork
    ) async throws -> BookingOutcome {
        lost.increment()
        let outcome = BookingOutcome(
            status: problem.status.rawValue, booking: nil, version: 0,
            content: problem.json(instance: caller.requestID))
        let entry = journal.refusal(problem, outcome.content, hotel: hotel, booking: booking)
        try await work.commit([], with: [BookingStatements.doNotWaitForDisk(), entry] + caller.record(outcome))
        return outcome
    }

    /// What to throw when a command could not read what it needs: what the PMS has of the hotel could be read when it was
    /// loaded, and maybe cannot any more.
    func blame(_ hotel: Int32, for error: any Error) -> any Error {
        guard let error = error as? PostgresError, Fault(inBooking: error, hotel: hotel) != nil else { return error }
        if let omitted = unreadable.admit(at: Loop.monotonicNanoseconds) {
            Log.warning(
                "hotel cannot be booked",
                ["hotel_id": .init(hotel), "error": .init(error: error), "lines_omitted": .init(omitted)])
        }
        return BridgeError.unreadableHotel(retryAfter: 30)
    }

}

/// By when a command must be done, with all its attempts: well before the gateway gives up. Nobody is answered that it took
/// too long and then has a booking.
struct CommandDeadline {
    static let patience = Duration.seconds(8)
    private let end = Loop.monotonicNanoseconds + Self.patience.nanoseconds
    /// Which attempt it is, from 1.
    fileprivate(set) var attempt = 1
    /// Whether an attempt before may have taken effect.
    fileprivate(set) var followsDoubt = false

    /// - Throws: `LoopError` when there is none.
    var timeLeft: Duration {
        get throws {
            let now = Loop.monotonicNanoseconds
            guard now < end else { throw LoopError(.timedOut, "book") }
            return .nanoseconds(Int64(end - now))
        }
    }

    /// How long it may wait for its turn at the hotel; a second is left for what is done in it.
    ///
    /// - Throws: `LoopError` when there is no time at all.
    var patience: Duration { get throws { max(try timeLeft - .seconds(1), .zero) } }
}

/// Who asks for something to be done.
struct Caller: Sendable {
    /// Whose bookings these are.
    let client: String
    let key: IdempotencyKey?
    let requestID: RequestID

    /// Keeps an outcome for the same key.
    func record(_ outcome: BookingOutcome) -> [Query<Void>] {
        guard let key else { return [] }
        return [
            IdempotencyStatements.insertRecord(
                client, key.key, key.requestHash, Int32(outcome.status), outcome.booking, outcome.version,
                outcome.content)
        ]
    }
}

extension Instant {
    fileprivate func advanced(byMinutes minutes: Int32) -> Instant {
        Instant(microseconds: microseconds + Int64(minutes) * 60_000_000)
    }
}

extension RetryPolicy {
    /// As the policy's file says. Its words for failures are ours.
    init(_ policy: BridgePolicy.PMSWrites) {
        self.init()
        attempts = policy.attempts
        initialDelay = policy.initialDelay
        multiplier = policy.multiplier
        longestDelay = policy.longestDelay
        jitterPercentage = policy.jitterPercentage
        retryable = Set(policy.retryableErrors.compactMap { WriteFailure.Kind(rawValue: $0.rawValue) })
    }
}

extension Error {
    /// Whether a command was refused before it could see what there is.
    fileprivate var couldNotLook: Bool {
        switch self as? BridgeError {
        case .bookingInUse, .unreadableHotel: true
        default: false
        }
    }
}
