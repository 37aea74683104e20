internal import Availability
public import Booking
internal import Loop
internal import Postgres
internal import Stay

extension RhtHotel: ReservationAdapter {
    /// In whose name the PMS records what the bridge does.
    public struct Writer: Sendable {
        /// What stands under `agent`.
        public let agent: String
        /// The PMS's user.
        public let user: Int32

        /// A writer.
        public init(agent: String, user: Int32) {
            self.agent = agent
            self.user = user
        }
    }

    public func begin(deadline: Duration) async throws -> any ReservationWork {
        try await work(deadline: deadline)
    }

    func work(deadline: Duration) async throws -> RhtReservationWork {
        RhtReservationWork(try await database.begin(deadline: deadline), writer)
    }

    public func reservation(_ id: BookingID, hotel: Int32) async throws -> Reservation? {
        try await reservations([id], hotels: [hotel])[id]
    }

    public func reservations(_ ids: [BookingID], hotels: Set<Int32>) async throws -> [BookingID: Reservation] {
        let rows = try await database.query(ReservationStatements.reservations(hotels.sorted(), ids))
        return Dictionary(grouping: rows, by: \.head.id).compactMapValues { Reservation($0) }
    }

    /// Lets no other booking of ours change the hotel's rooms until the transaction ends.
    ///
    /// The PMS's own writers do not take it: they are kept out of the rooms alone, which are locked as well, and what they
    /// have seen free before, they may still book afterwards.
    static func lock(hotel: Int32) -> Query<Void> { ReservationStatements.lock(hotel) }
}

/// A transaction in the PMS's database, where the bridge's own tables are too, unless it is one half of a `RemoteRhtWork`: one
/// round trip to read, one to write and commit, the bridge's own statements in both.
@OnLoop
final class RhtReservationWork: ReservationWork {
    private let transaction: HotelTransaction
    private let writer: RhtHotel.Writer

    init(_ transaction: consuming Transaction, _ writer: RhtHotel.Writer) {
        self.transaction = HotelTransaction(transaction)
        self.writer = writer
    }

    func read(
        _ question: ReservationQuestion, first: Batch, then: Batch, deadline: Duration?
    ) async throws -> (facts: ReservationFacts, first: Batch.Rows, then: Batch.Rows) {
        let end = deadline.map { Loop.monotonicNanoseconds + $0.nanoseconds }
        let (batch, places) = FactPlaces.batch(question)
        let (before, lock) = HotelTransaction.beginning(question.hotel)
        // Each statement sees what was committed before it began, so after those before it have got their locks.
        let rows = try await transaction.use { transaction in
            try await transaction.run([before, first, lock, then, batch], deadline: deadline)
        }
        let reservation = try await reservation(
            question, try places.locked(rows[4]), deadline: end.map { .until($0) })
        return (try places.facts(rows[4], question, reservation), rows[1], rows[3])
    }

    /// Where the locks do not say all of it (only cancelled nights, somebody works on it, it is gone, its client was made this
    /// very moment), it is looked for once more, for what costs much to plan and is seldom needed.
    private func reservation(
        _ question: ReservationQuestion, _ locked: FactPlaces.Locked, deadline: Duration?
    ) async throws -> ReservationFacts.Found {
        guard let id = question.reservation else { return .gone }
        if let reservation = locked.whole { return .locked(reservation) }
        var batch = Batch()
        let place = batch.add(ReservationStatements.reservations([question.hotel], [id]))
        guard var reservation = Reservation(try await transaction.more(batch, deadline: deadline).of(place)) else {
            return .gone
        }
        reservation.taking = locked.taking
        // Nights whose cancellation was taken back meanwhile are in somebody's hands, too.
        let active = Set(reservation.nights.lazy.filter { !$0.isCancelled }.map(\.id))
        return locked.isAll && active.isSubset(of: locked.taking.map(\.id)) ? .locked(reservation) : .busy
    }

    func more(_ own: Batch, deadline: Duration?) async throws -> Batch.Rows {
        try await transaction.more(own, deadline: deadline)
    }

    func commit(_ writes: [ReservationWrite], with own: [Query<Void>]) async throws {
        try await transaction.commit(statements(writes) + own)
    }

    /// Writes without committing.
    ///
    /// - Returns: the number of the transaction.
    func write(_ writes: [ReservationWrite], deadline: Duration) async throws -> Int64 {
        var batch = Batch()
        for statement in statements(writes) { _ = batch.add(statement) }
        let number = batch.add(RhtHotel.ownTransaction())
        guard let number = try await transaction.more(batch, deadline: deadline).of(number).first else {
            throw PostgresError(.decoding, "the transaction has no number")
        }
        return number
    }

    /// Commits what was written.
    func commit() async throws { try await transaction.commit([]) }

    func rollback() { transaction.rollback() }

    private func statements(_ writes: [ReservationWrite]) -> [Query<Void>] {
        let statements = writes.map { $0.statements(writer) }
        return statements.flatMap(\.updates) + [ReservationStatements.beforeInserts()] + statements.flatMap(\.inserts)
    }
}

/// Where the answers to a question are found.
@OnLoop
private struct FactPlaces {
    let reservation: Batch.Place<ReservationHead>?
    let nights: Batch.Place<ReservationDetail>?
    let nightCount: Batch.Place<Int64>?
    let rooms: Batch.Place<LockedRoom>?
    let taken: Batch.Place<OtherNight>?
    let plans: Batch.Place<OfferedPlan>?
    let rates: Batch.Place<PlanRate>?
    let client: Batch.Place<BookingID>?
    let shared: Batch.Place<TakenNight>?
    let now: Batch.Place<Instant>

    /// The reservation is locked before rooms and nights, and all of them before what they decide is read.
    static func batch(_ question: ReservationQuestion) -> (Batch, FactPlaces) {
        typealias SQL = ReservationStatements
        var batch = Batch()
        _ = batch.add(SQL.planAnew())
        let hotel = question.hotel
        let reservation = question.reservation.map { batch.add(SQL.lockReservation(hotel, $0)) }
        let nights = question.reservation.map { batch.add(SQL.lockNights(hotel, $0)) }
        let types = question.wanted.map { Set($0.rooms.map(\.type)) } ?? question.candidates?.types
        let rooms = types.map { batch.add(SQL.lockRooms(hotel, Array($0))) }
        // A reservation that is changed may take what it has; one that is moved is in its other rooms all the same.
        let taken =
            question.wanted.map {
                batch.add(SQL.takenNights(hotel, $0.stay.arrival, $0.stay.departure, question.reservation))
            }
            ?? question.candidates.map {
                batch.add(SQL.takenNights(hotel, $0.nights.lowerBound, $0.nights.upperBound, nil))
            }
        let plans = question.wanted.map { _ in batch.add(RhtHotel.offeredPlans(hotel: hotel)) }
        let rates = question.wanted.map { batch.add(RhtHotel.rates(hotel: hotel, plans: $0.rooms.map(\.plan))) }
        let client = question.guest.map { batch.add(SQL.client($0.email, $0.name, $0.nameKana, $0.phone)) }
        let shared =
            question.looksForShared ? question.reservation.map { batch.add(SQL.sharedNights(hotel, $0)) } : nil
        // Last, when the rooms were waited for: somebody may have taken back that a night was cancelled.
        let nightCount = question.reservation.map { batch.add(SQL.nightCount(hotel, $0)) }
        let places = FactPlaces(
            reservation: reservation, nights: nights, nightCount: nightCount, rooms: rooms, taken: taken,
            plans: plans, rates: rates, client: client, shared: shared, now: batch.add(SQL.now()))
        return (batch, places)
    }

    /// What was locked of the reservation.
    struct Locked {
        let head: ReservationHead?
        let nights: [ReservationDetail]
        /// How many nights there are to be locked.
        let nightCount: Int64

        var taking: [Reservation.TakingNight] {
            nights.compactMap { night in night.id.map { .init(id: $0, room: night.room, night: night.night?.night) } }
        }

        /// Whether nobody else has a row of it in hand: those were passed over.
        var isAll: Bool { head != nil && nights.count == nightCount }

        /// The reservation, if that is all of it.
        var whole: Reservation? {
            guard isAll, let head, let guest = head.guest else { return nil }
            var reservation = Reservation(head, guest, nights: nights.compactMap(\.night))
            reservation.taking = taking
            return reservation.nights.isEmpty ? nil : reservation
        }
    }

    func locked(_ rows: Batch.Rows) throws -> Locked {
        Locked(
            head: try reservation.flatMap { try rows.of($0).first },
            nights: try nights.map { try rows.of($0) } ?? [],
            nightCount: try nightCount.map { try rows.of($0)[0] } ?? 0)
    }

    func facts(
        _ rows: Batch.Rows, _ question: ReservationQuestion, _ reservation: ReservationFacts.Found
    ) throws -> ReservationFacts {
        func all<Row>(_ place: Batch.Place<Row>?) throws -> [Row] { try place.map { try rows.of($0) } ?? [] }
        let offered = try all(plans)
        let rates = try all(rates)
        let others = try all(taken)
        return ReservationFacts(
            rooms: try all(rooms), takenNights: others.map(\.night),
            unassigned: others.compactMap { other in
                other.reservation.map { UnassignedNight(reservation: $0, night: other.night.night) }
            },
            plans: { RhtHotel.plans(offered, rates, $0) }, client: try all(client).first, reservation: reservation,
            sharedNights: try all(shared), now: try rows.of(now)[0])
    }
}

extension Reservation {
    /// Nil for no rows: the reservation is gone.
    fileprivate init?(_ rows: [ReservationRow]) {
        guard let head = rows.first?.head else { return nil }
        let nobody = Guest(name: "", nameKana: nil, email: nil, phone: nil)
        self.init(head, head.guest ?? nobody, nights: rows.compactMap(\.detail.night))
    }

    fileprivate init(_ head: ReservationHead, _ guest: Guest, nights: [Night]) {
        self.init(
            id: head.id, status: head.status, stay: head.stay, guest: guest, client: head.client, nights: nights)
    }
}

extension ReservationStatus {
    /// By the PMS's word.
    init(word: String) {
        switch word {
        case "hold": self = .hold
        case "cancelled": self = .cancelled
        case "checked_in": self = .checkedIn
        case "checked_out": self = .checkedOut
        default: self = .confirmed
        }
    }
}

// MARK: - Writing

/// The statements of a write, in an order that the PMS's foreign keys allow: those that look for rows in the hotel's
/// partitions, and those that only add some.
private typealias WriteStatements = (updates: [Query<Void>], inserts: [Query<Void>])

extension ReservationWrite {
    fileprivate func statements(_ writer: RhtHotel.Writer) -> WriteStatements {
        switch self {
        case .create(let new): new.statements(writer)
        case .change(let change): change.statements(writer)
        case .cancel(let cancellation): cancellation.statements(writer)
        case .move(let moves): moves.statements(writer)
        }
    }
}

extension NewReservation {
    fileprivate func statements(_ writer: RhtHotel.Writer) -> WriteStatements {
        typealias SQL = ReservationStatements
        let (client, insertion) = request.guest.record(client, orMake: newClient, writer)
        let reservation = [
            SQL.insertReservation(
                id, request.hotel, client, request.stay.arrival, request.stay.departure,
                rooms.reduce(0) { $0 + $1.guests }, request.holdMinutes == nil ? "confirmed" : "hold", writer.agent,
                request.engineID, request.paymentTiming.rawValue, request.comment, writer.user)
        ]
        let nights = NightColumns(rooms.flatMap { room in room.quote.nights.map { (room, $0) } })
            .insertion(hotel: request.hotel, reservation: id, client: client, writer)
        return ([], insertion + reservation + nights)
    }
}

extension ReservationChange {
    fileprivate func statements(_ writer: RhtHotel.Writer) -> WriteStatements {
        typealias SQL = ReservationStatements
        var statements: [Query<Void>] = []
        var client = reservation.client
        if let guest {
            let (found, insertion) = guest.guest.record(guest.client, orMake: guest.newClient, writer)
            statements += insertion
            client = found
        }
        statements.append(
            SQL.changeReservation(
                hotel, reservation.id, arrangement?.stay.arrival, arrangement?.stay.departure,
                arrangement?.rooms.reduce(0) { $0 + $1.guests }, client, confirms ? "confirmed" : nil,
                paymentTiming?.rawValue, comment, writer.user))
        let nights = nights()
        if let nights, !nights.dropped.isEmpty {
            statements.append(SQL.cancelNights(hotel, nights.dropped.map(\.id), writer.user, false))
        }
        if client != reservation.client {
            let dropped = Set(nights?.dropped.map(\.id) ?? [])
            let kept = reservation.taking.map(\.id).filter { !dropped.contains($0) }
            statements.append(SQL.changeGuest(hotel, kept, reservation.client, client, writer.user))
        }
        guard let nights, !nights.entered.isEmpty else { return (statements, []) }
        return (
            statements,
            NightColumns(nights.entered).insertion(hotel: hotel, reservation: reservation.id, client: client, writer)
        )
    }
}

extension ReservationCancellation {
    fileprivate func statements(_ writer: RhtHotel.Writer) -> WriteStatements {
        let updates = [
            ReservationStatements.cancelReservation(hotel, reservation.id, writer.user),
            ReservationStatements.cancelNights(hotel, reservation.taking.map(\.id), writer.user, chargesInFull),
        ]
        return (updates, [])
    }
}

extension ReservationMoves {
    fileprivate func statements(_ writer: RhtHotel.Writer) -> WriteStatements {
        let updates = moves.map { move in
            ReservationStatements.moveNights(hotel, rows(of: move).map(\.id), move.to, writer.user)
        }
        return (updates, [])
    }
}

extension Guest {
    /// The guest's record, and what makes it where there is none.
    fileprivate func record(
        _ found: BookingID?, orMake id: BookingID, _ writer: RhtHotel.Writer
    ) -> (BookingID, [Query<Void>]) {
        if let found { return (found, []) }
        return (id, [ReservationStatements.insertClient(id, name, nameKana, email, phone, writer.user)])
    }
}

/// The columns of rows of `reservation_details`, one element a row, and of their `reservation_rates`.
private struct NightColumns {
    var ids: [BookingID] = []
    var days: [Day] = []
    var rooms: [Int32?] = []
    var globalPlans: [Int32?] = []
    var hotelPlans: [Int32?] = []
    var planNames: [String] = []
    var planTypes: [String] = []
    var guests: [Int32] = []
    var prices: [Int64] = []
    var rates = RateColumns()

    struct RateColumns {
        var nights: [BookingID] = []
        var adjustments: [String] = []
        var prices: [Int64] = []
        var taxes: [Int32?] = []
        var taxRates: [String?] = []
        var counts: [Bool] = []
    }

    init(_ nights: [(room: ReservedRoom, night: RoomQuote.Night)]) {
        for (room, night) in nights { append(night, of: room) }
    }

    private mutating func append(_ night: RoomQuote.Night, of room: ReservedRoom) {
        let id = BookingID.random()
        ids.append(id)
        days.append(night.night)
        rooms.append(room.room)
        globalPlans.append(room.plan.key.globalPlan)
        hotelPlans.append(room.plan.key.hotelPlan)
        planNames.append(room.plan.name)
        planTypes.append(room.plan.type.rawValue)
        guests.append(room.guests)
        prices.append(night.storedPrice)
        // One row says it all, unless a part of the price counts for a cancellation fee and a part does not.
        let counting = night.storedChargeable
        let tax = room.plan.tax(of: night.night)
        rate(id, "base_rate", counting > 0 ? counting : night.storedPrice, tax, counts: counting > 0)
        if counting > 0, counting < night.storedPrice {
            rate(id, "flat_fee", night.storedPrice - counting, tax, counts: false)
        }
    }

    private mutating func rate(_ id: BookingID, _ adjustment: String, _ price: Int64, _ tax: Tax?, counts: Bool) {
        rates.nights.append(id)
        rates.adjustments.append(adjustment)
        rates.prices.append(price)
        rates.taxes.append(tax?.id)
        rates.taxRates.append(tax?.rate?.decimalText)
        rates.counts.append(counts)
    }

    func insertion(
        hotel: Int32, reservation: BookingID, client: BookingID, _ writer: RhtHotel.Writer
    ) -> [Query<Void>] {
        typealias SQL = ReservationStatements
        return [
            SQL.insertDetails(
                hotel, reservation, ids, days, rooms, globalPlans, hotelPlans, planNames, planTypes, guests, prices,
                writer.user),
            SQL.insertClients(hotel, ids, client, writer.user),
            SQL.insertRates(
                hotel, rates.nights, rates.adjustments, rates.prices, rates.taxes, rates.taxRates, rates.counts,
                writer.user),
        ]
    }
}
