internal import Authentication
internal import Booking
internal import Loop
internal import PMS
internal import Policy
internal import Postgres
internal import Stay

extension BookingService {
    /// A booking by its id, as the PMS has it now; nil when there is none in these hotels.
    ///
    /// What the front desk has changed about it is noted when it is seen.
    func booking(_ id: BookingID, ofHotels visible: HotelAccess) async throws -> Booking? {
        guard let stored = try await database.first(BookingStatements.booking(id)), visible.includes(stored.hotel)
        else { return nil }
        let reservation = try await pms.reservation(id, hotel: stored.hotel)
        guard stored.isChanged(by: reservation) else {
            return stored.booking(reservation, today: hotels.today(stored.hotel))
        }
        return try await hotels.inTurn(stored.hotel) { _ in try await self.noteFrontDesk(stored) }
    }

    /// A booking as it stands by what the PMS says now, without noting that.
    func shown(_ stored: StoredBooking) async throws -> Booking {
        let reservation = try await pms.reservation(stored.id, hotel: stored.hotel)
        var booking = stored.booking(reservation, today: hotels.today(stored.hotel))
        booking.status = stored.afterFrontDesk(reservation).life.status
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

    /// How far back a change may come into view, in microseconds: a transaction that began so long ago may commit still. A
    /// command has its deadline to read by and one of a statement to commit; the end of a hold two of these.
    private var longestTransaction: Int64 {
        let bound = CommandDeadline.patience + policy.database.statementDeadline * 3
        return Int64(max(bound, .seconds(30)) / .microseconds(1))
    }

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
            let bound = try await database.first(BookingStatements.listBound())?.microseconds ?? 0
            completeUntil = Instant(microseconds: bound - longestTransaction)
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
            // Also at hotels that are not sold any more, or cannot be read at the moment.
            return BookingStatements.pageOfEngineID(engineID, start, booking, count, ids ?? hotels.everyID)
        }
        if let ids { return BookingStatements.page(ids, start, booking, count) }
        return BookingStatements.pageOfAll(start, booking, count)
    }
}
