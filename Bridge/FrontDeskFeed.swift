internal import Booking
internal import Loop
internal import PMS
internal import Postgres
internal import Telemetry

/// Notes what the front desk does to bookings of ours: the PMS's log says which to look at, and each is compared with the PMS
/// under its hotel's lock. One bridge does it, the one that leads.
///
/// How far the log has been read is written down together with what is to be looked at, in one transaction: so what the front
/// desk does is found, whenever a bridge comes to look, and a check that fails is tried again, by whoever leads then.
@OnLoop
final class FrontDeskFeed {
    /// How long after a reading the next one waits, so that a busy hour costs a bounded number of them.
    private static let pause = Duration.milliseconds(20)

    /// How often it looks without being told to.
    private static let interval = Duration.seconds(1)

    /// Hotels at which bookings are compared at once: each takes one of the bridge's few connections.
    private static let hotelBound = 3

    /// How often it is counted what waits: that reads all of it.
    private static let countingInterval = Duration.seconds(5)

    /// Bookings of which one statement asks for those that are to be compared, where all are.
    private static let pageSize: Int32 = 2000

    private let pms: RhtHotel
    private let bookings: BookingService
    private let database: Database
    /// Whether the PMS's transactions are the bridge's own: otherwise it cannot be told who has changed something.
    private let sharesDatabase: Bool
    /// A transaction that there is none of.
    private static let nobody: Int64 = -1
    private let growth = Signal()
    private let work = Signal()
    /// Hotels at which bookings are being compared.
    private var underWay: Set<Int32> = []
    private var waiting: Int64 = 0
    private var failures = LogThrottle()
    private let outcomes = [BookingCheck.Outcome.agrees, .noted, .moved, .conflict, .settled, .busy].map { outcome in
        (
            outcome,
            Metrics.counter(
                "drawbridge_bridge_booking_checks_total",
                "Bookings compared with the PMS because something changed there, by what was found.",
                [("outcome", outcome.rawValue)])
        )
    }
    private let failed = Metrics.counter(
        "drawbridge_bridge_booking_check_failures_total", "Comparisons that failed and are tried again.")

    init(_ pms: RhtHotel, _ bookings: BookingService, _ database: Database, sharesDatabase: Bool) {
        self.pms = pms
        self.bookings = bookings
        self.database = database
        self.sharesDatabase = sharesDatabase
        Metrics.gauge(
            "drawbridge_bridge_booking_checks_waiting",
            "Bookings to be compared with the PMS, those in conflict among them; known to the bridge that leads."
        ) { [weak self] in Double(self?.waiting ?? 0) }
    }

    /// Works while this bridge leads, which is until the task is cancelled.
    func run(term: Int64) async {
        let notifications = pms.notifications()
        await withDiscardingTaskGroup { group in
            group.addTask { await self.listen(notifications) }
            group.addTask { await self.compare(term) }
            group.addTask { await self.count() }
            await follow(term)
            group.cancelAll()
        }
        notifications.close()
        underWay = []
        waiting = 0
    }

    // MARK: Following the log

    private func listen(_ notifications: Notifications) async {
        while (try? await notifications.next()) != nil { growth.fire() }
    }

    private func follow(_ term: Int64) async {
        var position: ChangeLogPosition?
        while !Task.isCancelled {
            do {
                position = try await readOn(from: position, term)
                let deadline = Deadline { self.growth.fire() }
                deadline.set(Self.interval)
                defer { deadline.cancel() }
                try await growth.wait()
                try await Loop.sleep(for: Self.pause)
            } catch {
                // What was read and not written down is read once more.
                position = nil
                note(error)
                do { try await Loop.sleep(for: Self.interval) } catch { return }
            }
        }
    }

    private func note(_ error: any Error) {
        guard !Task.isCancelled, let omitted = failures.admit(at: Loop.monotonicNanoseconds) else { return }
        Log.warning(
            "what the front desk does to bookings not followed",
            ["error": .init(error: error), "lines_omitted": .init(omitted)])
    }

    /// Reads to the end of the log.
    ///
    /// - Parameter position: nil for where it was read to last, by whichever bridge.
    private func readOn(from position: ChangeLogPosition?, _ term: Int64) async throws -> ChangeLogPosition {
        var position = if let position { position } else { try await begin(term) }
        while true {
            let page = try await pms.reservationChanges(after: position)
            guard page.isContinued else {
                position = try await beginAnew(term)
                continue
            }
            if page.next != position { try await take(page, term) }
            position = page.next
            if page.isComplete { return position }
        }
    }

    private func begin(_ term: Int64) async throws -> ChangeLogPosition {
        guard let known = try await database.first(CheckStatements.position()) else { return try await beginAnew(term) }
        var newest = ChangeLogPosition(after: known.newest)
        newest.mark = known.mark
        guard try await pms.logHas(newest) else { return try await beginAnew(term) }
        return known.resumePoint == known.newest ? newest : ChangeLogPosition(after: known.resumePoint)
    }

    /// Where nothing says what has changed, every booking is looked at. They are asked for in pages; the position is written
    /// down after the last one, so that what is cut off begins anew.
    private func beginAnew(_ term: Int64) async throws -> ChangeLogPosition {
        Log.info("bookings are compared with the PMS, all of them")
        let position = try await pms.startOfChanges()
        var last = BookingID(high: 0, low: 0)
        while true {
            // In one round trip: nothing is locked while this process is not heard of.
            let (_, ends) = try await database.begin().commit(
                CheckStatements.requireTerm(term), CheckStatements.askForSome(last, Self.pageSize))
            guard let end = ends.first else { break }
            last = end
            work.fire()
        }
        try await write([], position, term)
        return position
    }

    private func take(_ page: ReservationChangePage<ChangeLogPosition>, _ term: Int64) async throws {
        struct Author: Hashable {
            let reservation: BookingID
            let writer: Int64
        }
        let authors = Set(page.changes.map { Author(reservation: $0.reservation, writer: $0.writer) })
        var ours: Set<Author> = []
        var asked: Set<BookingID> = []
        if !authors.isEmpty {
            let whose = try await database.query(
                CheckStatements.whose(
                    authors.map(\.reservation), authors.map { sharesDatabase ? $0.writer : Self.nobody }))
            for change in whose {
                if change.isOurs {
                    ours.insert(Author(reservation: change.booking, writer: change.writer))
                } else {
                    asked.insert(change.booking)
                }
            }
        }
        let foreign = page.changes.filter { !ours.contains(Author(reservation: $0.reservation, writer: $0.writer)) }
        // Where we have taken a room, too: the front desk may have taken it after we looked, and before we were done. Its row
        // was read then, when there was nothing yet to share a room with, and ours is the only one to tell.
        let places = Set(page.changes.compactMap(\.taken))
        if !places.isEmpty { asked.formUnion(try await pms.reservations(sharing: Array(places))) }
        let hotels = Set(foreign.compactMap(\.hotel))
        var statements: [Query<Void>] = []
        if !hotels.isEmpty { statements.append(CheckStatements.hurry(hotels.sorted())) }
        if !asked.isEmpty { statements.append(CheckStatements.ask(Array(asked))) }
        try await write(statements, page.next, term)
    }

    private func write(_ statements: [Query<Void>], _ position: ChangeLogPosition, _ term: Int64) async throws {
        let transaction = try await database.begin()
        // In one round trip: nothing is locked while this process is not heard of.
        try await transaction.commit(
            [CheckStatements.requireTerm(term)] + statements
                + [CheckStatements.setPosition(position.resumePoint, position.highest, position.mark)])
        if !statements.isEmpty { work.fire() }
    }

    /// Room-nights that the index has found taken twice: one of them may be a booking's. The log has told of it already,
    /// unless the front desk was writing while we were.
    func suspect(_ places: [RoomNight]) async {
        do {
            let asked = try await pms.reservations(sharing: places)
            guard !asked.isEmpty else { return }
            try await database.execute(CheckStatements.ask(asked))
            work.fire()
        } catch { note(error) }
    }

    // MARK: Comparing

    private func compare(_ term: Int64) async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                do {
                    let due = try await database.query(CheckStatements.due(underWay.sorted()))
                    for (hotel, checks) in Dictionary(grouping: due, by: \.hotel)
                    where underWay.count < Self.hotelBound {
                        underWay.insert(hotel)
                        group.addTask { await self.compare(checks, at: hotel, term) }
                    }
                } catch {
                    note(error)
                }
                let deadline = Deadline { self.work.fire() }
                deadline.set(Self.interval)
                defer { deadline.cancel() }
                do { try await work.wait() } catch { return }
            }
        }
    }

    private func count() async {
        while !Task.isCancelled {
            do { waiting = try await database.first(CheckStatements.waiting()) ?? 0 } catch { note(error) }
            do { try await Loop.sleep(for: Self.countingInterval) } catch { return }
        }
    }

    private func compare(_ checks: [BookingCheck], at hotel: Int32, _ term: Int64) async {
        for var check in checks where !Task.isCancelled {
            check.term = term
            do {
                let outcome = try await bookings.check(check)
                outcomes.first { $0.0 == outcome }?.1.increment()
                if outcome == .conflict || outcome == .busy { try await postpone(check) }
            } catch {
                if Task.isCancelled { break }
                failed.increment()
                note(error)
                try? await postpone(check)
                // The line there is too long, or the database is away: the others would fare no better.
                break
            }
        }
        underWay.remove(hotel)
        work.fire()
    }

    private func postpone(_ check: BookingCheck) async throws {
        guard let asked = check.asked else { return }
        try await database.execute(CheckStatements.postpone(check.booking, asked))
    }
}
