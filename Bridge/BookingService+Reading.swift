internal import Authentication
internal import Booking
internal import Loop
internal import PMS
internal import Postgres
internal import Stay

extension BookingService {
    /// A booking by its id, as the PMS has it now; nil when there is none in these hotels.
    ///
    /// That the front desk has confirmed or cancelled it is noted when it is seen.
    func booking(_ id: BookingID, ofHotels visible: HotelAccess) async throws -> Booking? {
        guard let stored = try await database.first(BookingStatements.booking(id)), visible.includes(stored.hotel)
        else { return nil }
        let reservation = try await pms.reservation(id, hotel: stored.hotel)
        guard stored.isChanged(by: reservation) else {
            return stored.booking(reservation, today: hotels.today(stored.hotel))
        }
        return try await hotels.inTurn(stored.hotel) { entry in try await self.noteFrontDesk(stored, entry) }
    }

    /// A booking as it stands by what the PMS says now, without noting that.
    func shown(_ stored: StoredBooking) async throws -> Booking {
        let reservation = try await pms.reservation(stored.id, hotel: stored.hotel)
        var booking = stored.booking(reservation, today: hotels.today(stored.hotel))
        booking.status = stored.afterFrontDesk(reservation).life.status
        return booking
    }

    /// Notes what the front desk did to a booking, in its hotel's turn; the booking as it stands then.
    private func noteFrontDesk(_ seen: StoredBooking, _ entry: HotelEntry?) async throws -> Booking? {
        let deadline = CommandDeadline()
        var question = ReservationQuestion(hotel: seen.hotel)
        question.reservation = seen.id
        question.waitsForFrontDesk = false
        var own = Batch()
        let place = own.add(BookingStatements.booking(seen.id))
        let work = try await pms.begin(deadline: try deadline.timeLeft)
        let found = try await work.read(question, first: Batch(), then: own, deadline: try deadline.timeLeft)
        guard let stored = try found.then.of(place).first else {
            work.rollback()
            return nil
        }
        if case .busy = found.facts.reservation {
            // The front desk is not done yet; whoever reads it next will see what it did.
            work.rollback()
            return stored.booking(
                try await pms.reservation(seen.id, hotel: seen.hotel), today: hotels.today(seen.hotel))
        }
        return try await note(stored, found.facts, work)
    }

    /// Notes what the front desk did to a booking that is locked, if it did anything, and ends the work.
    ///
    /// - Parameters:
    ///   - writes: what is left to do in the PMS.
    ///   - own: what else is noted with it.
    func note(
        _ stored: StoredBooking, _ facts: ReservationFacts, _ work: any ReservationWork,
        with writes: [ReservationWrite] = [], and own: [Query<Void>] = []
    ) async throws -> Booking {
        let today = hotels.today(stored.hotel)
        let reservation = facts.reservation.found
        let step = stored.afterFrontDesk(reservation)
        guard let event = step.event else {
            work.rollback()
            return stored.booking(reservation, today: today)
        }
        let booking = stored.booking(after: step.life, reservation, at: facts.now, today: today)
        let journal = BookingJournal(action: .frontDesk, actor: BookingJournal.frontDesk)
        try await work.commit(writes, with: stored.update(to: booking) + journal.entries(event, booking) + own)
        // What the front desk has freed is not known here.
        hotels.distrust(stored.hotel)
        return booking
    }

    // MARK: Lists

    /// Which bookings are asked for.
    struct Filter: Sendable {
        var hotels: HotelAccess
        var engineID: String?
        var updatedSince: Instant?
        var cursor: BookingCursor?
        var limit: Int
    }

    /// Some bookings, in the order in which they last changed.
    struct Page: Sendable {
        var bookings: [Booking]
        var next: BookingCursor?
        /// What changed before this moment is in the list.
        var completeUntil: Instant
    }

    /// How far back a change may come into view: a transaction that began so long ago may commit still.
    private static let longestTransaction: Int64 = 30_000_000

    /// A page of the bookings of some hotels, by two statements however many they are.
    ///
    /// It shows each as it was last noted, with the guest, rooms and nights that the PMS has now.
    func page(_ filter: Filter) async throws -> Page {
        let first = filter.updatedSince.map { Instant(microseconds: $0.microseconds - 1) }
        // Nothing is older than the first moment of our calendar, nor has a smaller id than none.
        let start = filter.cursor?.updatedAt ?? first ?? Instant(microseconds: 0)
        let booking = filter.cursor?.booking ?? BookingID(high: .max, low: .max)
        // Read before the page: what is not in it then began later.
        var completeUntil = filter.cursor?.completeUntil
        if completeUntil == nil {
            let now = try await database.first(BookingStatements.now())?.microseconds ?? 0
            completeUntil = Instant(microseconds: now - Self.longestTransaction)
        }
        let count = Int32(filter.limit + 1)
        var found = try await database.query(query(filter, start, booking, count))
        let hasMore = found.count > filter.limit
        if hasMore { found.removeLast() }
        let reservations =
            found.isEmpty ? [:] : try await pms.reservations(found.map(\.id), hotels: Set(found.map(\.hotel)))
        let bookings = found.map { $0.booking(reservations[$0.id], today: hotels.today($0.hotel)) }
        let next = found.last.flatMap { last in
            hasMore
                ? BookingCursor(updatedAt: last.updatedAt, booking: last.id, completeUntil: completeUntil!) : nil
        }
        return Page(bookings: bookings, next: next, completeUntil: completeUntil!)
    }

    private func query(
        _ filter: Filter, _ start: Instant, _ booking: BookingID, _ count: Int32
    ) -> Query<StoredBooking> {
        let ids: [Int32]? = if case .some(let ids) = filter.hotels { ids.sorted() } else { nil }
        if let engineID = filter.engineID {
            return BookingStatements.pageOfEngineID(engineID, start, booking, count, ids ?? hotels.all.map(\.id))
        }
        if let ids { return BookingStatements.page(ids, start, booking, count) }
        return BookingStatements.pageOfAll(start, booking, count)
    }
}

extension StoredBooking {
    /// What the PMS says about it makes of it.
    func afterFrontDesk(_ reservation: Reservation?) -> BookingLife.Step {
        life.afterFrontDesk(reservation?.status ?? .cancelled)
    }

    func isChanged(by reservation: Reservation?) -> Bool { afterFrontDesk(reservation).event != nil }
}

extension ReservationFacts.Found {
    /// The reservation, where it is there and nobody else works on it.
    var found: Reservation? { if case .locked(let reservation) = self { reservation } else { nil } }
}
