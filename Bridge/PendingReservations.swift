internal import Availability
internal import Booking
internal import Catalogue
internal import FoundationEssentials
internal import Loop
internal import PMS
internal import Policy
internal import Postgres
internal import Stay
internal import Telemetry

/// The reservations of a PMS that may be away while the bridge's own database is there, and beside them those that are taken
/// meanwhile, where the policy says so (`when_unreachable: pending`).
///
/// A reservation that is taken meanwhile is a row of `drawbridge.pending_reservations`, chosen from what was known of the hotel last,
/// and a write of `PMSWriteQueue`. Until that is done the row stands in for the reservation: it is read, changed and cancelled like
/// one, without the PMS, and its rooms count as taken.
@OnLoop
final class PendingReservations: ReservationAdapter {
    /// How long the PMS may take to say what a command needs where there is something to be done without it.
    fileprivate static let patience = Duration.seconds(3)
    /// After how long it is asked again once it did not answer in time.
    private static let pause = UInt64(5_000_000_000)

    let pms: RemoteRhtHotel
    private let database: Database
    private let hotels: HotelDirectory
    private let policy: BridgePolicy
    /// Until when the PMS is not waited for, by hotel, on the monotonic clock: it may be one hotel's rows that somebody keeps locked.
    private var silentUntil: [Int32: UInt64] = [:]
    private let taken = Metrics.counter(
        "drawbridge_bridge_bookings_pending_total", "Bookings taken while the PMS could not be reached.")

    init(_ pms: RemoteRhtHotel, _ database: Database, _ hotels: HotelDirectory, _ policy: BridgePolicy) {
        self.pms = pms
        self.database = database
        self.hotels = hotels
        self.policy = policy
    }

    func begin(deadline: Duration) async throws -> any ReservationWork { PendingWork(self, deadline) }

    func reservation(_ id: BookingID, hotel: Int32) async throws -> Reservation? {
        try await reservations([id], hotels: [hotel])[id]
    }

    func reservations(_ ids: [BookingID], hotels: Set<Int32>) async throws -> [BookingID: Reservation] {
        var found: [BookingID: Reservation] = [:]
        for row in try await database.query(PendingStatements.find(ids)) { found[row.id] = row.reservation(policy) }
        let rest = ids.filter { found[$0] == nil }
        guard !rest.isEmpty else { return found }
        return found.merging(try await pms.reservations(rest, hotels: hotels)) { pending, _ in pending }
    }

    /// Whether bookings of a hotel are taken while the PMS is away.
    fileprivate func takesPending(_ hotel: Int32) -> Bool { policy.hotel(hotel).whenUnreachable == .pending }

    fileprivate func tookPending() { taken.increment() }

    fileprivate func isPending(_ id: BookingID) async throws -> Bool {
        try await !database.query(PendingStatements.find([id])).isEmpty
    }

    // MARK: The two ways to work

    fileprivate func beginHere(_ deadline: Duration) async throws -> HotelTransaction {
        HotelTransaction(try await database.begin(deadline: deadline))
    }

    /// Whether the PMS was silent about a hotel a moment ago, so that it is better not waited for.
    fileprivate func isSilent(about hotel: Int32) -> Bool {
        silentUntil[hotel].map { Loop.monotonicNanoseconds < $0 } ?? false
    }

    /// The PMS was away when it was asked about a hotel; what did not answer in time is not asked at once again.
    fileprivate func noteAbsence(_ error: any Error, of hotel: Int32) {
        guard WriteFailure(error)?.kind == .timedOut else { return }
        silentUntil[hotel] = Loop.monotonicNanoseconds + Self.pause
    }

    /// What was known last of what a command asks for; nil where that is too little to give rooms away.
    fileprivate func lastKnown(
        _ question: ReservationQuestion, _ pending: PendingRow?, now: Instant
    ) -> ReservationFacts? {
        let reservation = pending?.reservation(policy)
        guard let stay = question.wanted?.stay else {
            return ReservationFacts(
                lastKnown: [], takenNights: [], sold: Overbooking(), plans: { _ in [:] }, reservation: reservation,
                now: now)
        }
        guard let entry = try? hotels.hotel(question.hotel), entry.isCounted,
            Loop.unixTime - entry.readAt(nil) <= policy.availability.maximumAge / .seconds(1)
        else { return nil }
        let types = Set((question.wanted?.rooms ?? []).map(\.type))
        let rooms = entry.offer.rooms.filter { types.contains($0.type) }
        var own: [TakenNight: Int] = [:]
        // What it takes itself is free for it, if it is counted.
        for night in pending?.takesRooms == true ? reservation?.released ?? [] : [] {
            if let room = night.room, let night = night.night {
                own[TakenNight(room: room, night: night), default: 0] += 1
            }
        }
        var taken: [TakenNight] = []
        for night in stay.nights {
            for room in rooms {
                let place = TakenNight(room: room.id, night: night)
                let count = entry.availability.rooms.takenCount(room: room.id, night: night) ?? 1
                if count > own[place] ?? 0 { taken.append(place) }
            }
        }
        // The same of its nights without a room.
        var sold = entry.availability.overbooking
        for night in pending?.takesRooms == true ? reservation?.nights(policy.currency(question.hotel)) ?? [] : [] {
            if night.room == nil, let type = night.type { sold.release(type: type, on: night.night) }
        }
        let plans = Dictionary(entry.plans.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
        return ReservationFacts(
            lastKnown: rooms.map { LockedRoom(lastKnown: $0.id, type: $0.type, capacity: $0.capacity) },
            takenNights: taken, sold: sold, plans: { _ in plans }, reservation: reservation, now: now)
    }
}

/// One piece of work, in the PMS where it can be reached, and without it otherwise.
@OnLoop
private final class PendingWork: ReservationWork {
    private enum Way {
        case undecided
        case there(any ReservationWork)
        case here(HotelTransaction, PendingRow?, ReservationFacts)
        case ended
    }

    private let adapter: PendingReservations
    private let deadline: Duration
    private var way = Way.undecided
    private var hotel: Int32 = 0

    init(_ adapter: PendingReservations, _ deadline: Duration) {
        self.adapter = adapter
        self.deadline = deadline
    }

    var isPending: Bool { if case .here = way { true } else { false } }

    func read(
        _ question: ReservationQuestion, first: Batch, then: Batch, deadline: Duration?
    ) async throws -> (facts: ReservationFacts, first: Batch.Rows, then: Batch.Rows) {
        hotel = question.hotel
        if let id = question.reservation, try await adapter.isPending(id) {
            guard let found = try await readHere(question, first, then, deadline, isNew: false) else {
                throw PostgresError(.unavailable, "too little is known of the hotel while the PMS is away")
            }
            return found
        }
        // A new booking can be taken without the PMS.
        let isForgiving = question.reservation == nil && adapter.takesPending(question.hotel)
        let absences = adapter.pms.absences
        do {
            if isForgiving, adapter.isSilent(about: question.hotel) {
                throw PostgresError(.unavailable, "the PMS has not answered a moment ago")
            }
            return try await readThere(question, first, then, deadline, isForgiving)
        } catch  where isForgiving && (absences != adapter.pms.absences || adapter.isSilent(about: question.hotel)) {
            adapter.noteAbsence(error, of: question.hotel)
            guard let found = try await readHere(question, first, then, deadline, isNew: true) else { throw error }
            return found
        }
    }

    /// - Parameter isForgiving: whether there is something to be done without the PMS, so that it is not waited for as long.
    private func readThere(
        _ question: ReservationQuestion, _ first: Batch, _ then: Batch, _ deadline: Duration?, _ isForgiving: Bool
    ) async throws -> (facts: ReservationFacts, first: Batch.Rows, then: Batch.Rows) {
        let patience = PendingReservations.patience
        let work = try await adapter.pms.begin(deadline: isForgiving ? min(self.deadline, patience) : self.deadline)
        var own = then
        let nights = question.nights.map {
            own.add(PendingStatements.nights([question.hotel], $0.lowerBound, $0.upperBound, question.reservation))
        }
        do {
            let found = try await work.read(
                question, first: first, then: own,
                deadline: isForgiving ? min(deadline ?? patience, patience) : deadline)
            way = .there(work)
            return (
                found.facts.taking(pending: try nights.map { try found.then.of($0) } ?? []), found.first, found.then
            )
        } catch {
            work.rollback()
            throw error
        }
    }

    /// - Returns: nil for a hotel of which too little is known.
    /// - Throws: `BridgeError.bookingInUse` for a reservation that does not wait any more.
    private func readHere(
        _ question: ReservationQuestion, _ first: Batch, _ then: Batch, _ deadline: Duration?, isNew: Bool
    ) async throws -> (facts: ReservationFacts, first: Batch.Rows, then: Batch.Rows)? {
        let transaction = try await adapter.beginHere(self.deadline)
        var own = then
        let row = question.reservation.map { own.add(PendingStatements.find([$0])) }
        let nights = question.nights.map {
            own.add(PendingStatements.nights([question.hotel], $0.lowerBound, $0.upperBound, question.reservation))
        }
        let clock = own.add(BookingStatements.now())
        let rows = try await transaction.read(hotel: question.hotel, first: first, then: own, deadline: deadline)
        let pending = try row.flatMap { try rows.then.of($0).first }
        guard isNew || pending != nil else {
            transaction.rollback()
            // It has just been written into the PMS, where it is looked for next.
            throw BridgeError.bookingInUse
        }
        guard let known = adapter.lastKnown(question, pending, now: try rows.then.of(clock)[0])
        else {
            transaction.rollback()
            return nil
        }
        let facts = known.taking(pending: try nights.map { try rows.then.of($0) } ?? [])
        way = .here(transaction, pending, facts)
        return (facts, rows.first, rows.then)
    }

    func more(_ own: Batch, deadline: Duration?) async throws -> Batch.Rows {
        switch way {
        case .there(let work): try await work.more(own, deadline: deadline)
        case .here(let transaction, _, _): try await transaction.more(own, deadline: deadline)
        case .undecided, .ended: throw Self.ended
        }
    }

    func commit(_ writes: [ReservationWrite], with own: [Query<Void>]) async throws {
        defer { way = .ended }
        switch way {
        case .there(let work):
            let absences = adapter.pms.absences
            do { try await work.commit(writes, with: own) } catch {
                // The next attempt does without the PMS where it did not answer.
                if absences != adapter.pms.absences { adapter.noteAbsence(error, of: hotel) }
                throw error
            }
        case .here(let transaction, let pending, let facts):
            let kept = try writes.flatMap { try statements($0, pending, facts) }
            // The booking's row comes first, which the others point at.
            try await transaction.commit(own + kept)
            if pending == nil, !writes.isEmpty { adapter.tookPending() }
        case .undecided, .ended: throw Self.ended
        }
    }

    private func statements(
        _ write: ReservationWrite, _ pending: PendingRow?, _ facts: ReservationFacts
    ) throws -> [Query<Void>] {
        switch write {
        case .create(let new):
            return try PendingStatements.put(PendingReservation(new, facts), new.id, new.request.hotel)
        case .change(let change):
            guard var content = pending?.content else { throw Self.ended }
            content.apply(change, facts)
            return try PendingStatements.put(content, change.reservation.id, change.hotel)
        case .cancel(let cancellation):
            // The PMS has never heard of it.
            let id = cancellation.reservation.id
            return [PendingStatements.remove(id), PMSWriteStatements.endSettlement(id)]
        case .move: throw Self.ended
        }
    }

    func rollback() {
        switch way {
        case .there(let work): work.rollback()
        case .here(let transaction, _, _): transaction.rollback()
        case .undecided, .ended: break
        }
        way = .ended
    }

    private static var ended: PostgresError { PostgresError(.misuse, "the work on the hotel has ended") }
}

extension ReservationQuestion {
    /// The nights whose rooms it asks about.
    fileprivate var nights: Range<Day>? { wanted?.stay.nights ?? candidates?.nights }
}

extension ReservationFacts {
    /// With what others wait for.
    func taking(pending nights: [WaitingNight]) -> ReservationFacts {
        taking(
            nights.filter { $0.room != nil }.map { TakenNight(room: $0.room, night: $0.night) },
            nights.filter { $0.room == nil }.map { UnassignedNight(reservation: $0.reservation, night: $0.night) })
    }
}

/// A row of `drawbridge.pending_reservations`.
struct PendingRow: Sendable {
    let id: BookingID
    let hotel: Int32
    let content: PendingReservation
    /// Whether its rooms are kept for it: somebody may still write it into the PMS.
    let takesRooms: Bool

    func reservation(_ policy: BridgePolicy) -> Reservation { content.reservation(id, policy.currency(hotel)) }
}

extension BridgePolicy {
    /// What a hotel's prices are in; the configuration was checked.
    fileprivate func currency(_ hotel: Int32) -> Currency { Currency(self.hotel(hotel).currency)! }
}

extension WaitingNight {
    fileprivate init(_ row: inout RowDecoder) throws {
        self.init(
            hotel: try row.next(), reservation: try row.next(), room: try row.next(), night: try row.next())
    }
}

enum PendingStatements {
    static let find = Statement<PendingRow, [BookingID]>(
        "pending.find",
        """
        SELECT booking_id, hotel_id, content, EXISTS (
            SELECT FROM drawbridge.pms_writes AS write
            WHERE write.booking_id = pending.booking_id AND operation = 'settle_booking'
              AND status IN ('pending', 'retrying', 'dead'))
        FROM drawbridge.pending_reservations AS pending WHERE booking_id = ANY ($1)
        """
    ) { row in
        PendingRow(
            id: try row.next(), hotel: try row.next(),
            content: try content(try row.next()), takesRooms: try row.next())
    }

    /// What cannot be read is said without what stands there: it is a guest's.
    private static func content(_ json: JSON) throws -> PendingReservation {
        guard let content = try? JSONDecoder().decode(PendingReservation.self, from: Data(json.bytes)),
            content.hasStay
        else { throw PostgresError(.decoding, "the content of a pending reservation cannot be read") }
        return content
    }

    /// The nights within a part of the calendar for which others wait, but for one booking; not of those that nobody tries to
    /// write any more.
    static let nights = Statement<WaitingNight, [Int32], Day, Day, BookingID?>(
        "pending.nights", nightsOfWaiting, "AND booking_id IS DISTINCT FROM $4"
    ) { row in try WaitingNight(&row) }

    /// Those for which bookings wait that were taken before one.
    ///
    /// - Parameter write: the number of the one's write.
    static let nightsBefore = Statement<WaitingNight, [Int32], Day, Day, Int64>(
        "pending.nights_before", nightsOfWaiting, "AND write.id < $4"
    ) { row in try WaitingNight(&row) }

    private static let nightsOfWaiting: StaticString = """
        SELECT pending.hotel_id, booking_id, room.room_id, GREATEST(booking.arrival, $2) + step
        FROM drawbridge.pms_writes AS write
        JOIN drawbridge.pending_reservations AS pending USING (booking_id)
        JOIN drawbridge.bookings AS booking USING (booking_id)
        JOIN drawbridge.booking_rooms AS room USING (booking_id)
        CROSS JOIN generate_series(
            0, LEAST(booking.departure, $3) - GREATEST(booking.arrival, $2) - 1) AS step
        WHERE pending.hotel_id = ANY ($1) AND write.operation = 'settle_booking'
          AND write.status IN ('pending', 'retrying', 'dead')
        """

    private static let keep = Statement<Void, BookingID, Int32, JSON>(
        "pending.keep",
        """
        INSERT INTO drawbridge.pending_reservations (booking_id, hotel_id, content) VALUES ($1, $2, $3)
        ON CONFLICT (booking_id) DO UPDATE SET content = EXCLUDED.content
        """)

    static let remove = Statement<Void, BookingID>(
        "pending.remove", "DELETE FROM drawbridge.pending_reservations WHERE booking_id = $1")

    /// Those of bookings that have ended, or whose guests have left, so many at a time.
    static let deleteOld = Statement<Void>(
        "pending.delete_old",
        """
        DELETE FROM drawbridge.pending_reservations WHERE booking_id IN (
            SELECT pending.booking_id FROM drawbridge.pending_reservations AS pending
            JOIN drawbridge.bookings AS booking USING (booking_id)
            WHERE (booking.departure < current_date - 2 OR booking.status IN ('cancelled', 'expired'))
              AND NOT EXISTS (SELECT FROM drawbridge.pms_writes AS write
                              WHERE write.booking_id = pending.booking_id AND operation = 'settle_booking'
                                AND write.status IN ('pending', 'retrying', 'dead'))
            LIMIT 1000)
        """)

    /// Writes it down, and that it is to be written into the PMS.
    static func put(_ content: PendingReservation, _ id: BookingID, _ hotel: Int32) throws -> [Query<Void>] {
        let json = JSON([UInt8](try JSONEncoder().encode(content)))
        return [
            keep(id, hotel, json),
            PMSWriteStatements.insert(BackgroundWrite.Operation.settleBooking.rawValue, hotel, id),
        ]
    }
}
