internal import Booking
internal import Loop
internal import PMS
internal import Postgres
internal import Telemetry

/// Gives the rooms of holds back when their time is up.
@OnLoop
final class HoldExpiry {
    /// How often it looks.
    private static let interval = Duration.seconds(1)

    /// How long it may wait for a connection.
    private static let patience = Duration.seconds(5)

    private let database: Database
    private let hotels: HotelDirectory
    private let bookings: BookingService
    private let expired = Metrics.counter("drawbridge_bridge_holds_expired_total", "Holds whose time ran out.")
    private let failures = Metrics.counter(
        "drawbridge_bridge_hold_failures_total", "Holds that could not be ended when their time ran out.")

    init(_ database: Database, _ hotels: HotelDirectory, _ bookings: BookingService) {
        self.database = database
        self.hotels = hotels
        self.bookings = bookings
    }

    /// Works until the task is cancelled. What fails is tried again at the next look.
    func run() async {
        while !Task.isCancelled {
            do { try await Loop.sleep(for: Self.interval) } catch { return }
            await expireAll()
        }
    }

    /// One hold after the other, each in a transaction of its own: one that somebody works on keeps no other waiting.
    private func expireAll() async {
        var passedOver: [BookingID] = []
        do {
            while let hold = try await nextHold(except: passedOver) {
                passedOver.append(hold.id)
                do {
                    try await hotels.inTurn(hold.hotel) { hotel in try await expire(hold, of: hotel) }
                } catch let error where !(error is CancellationError) {
                    failures.increment()
                    hotels.distrust(hold.hotel)
                    Log.warning(
                        "hold not ended", ["booking_id": .init(hold.id.description), "error": .init(error: error)])
                }
            }
        } catch {
            // The database is away, which its own log says; the holds wait for its return.
            Log.debug("holds not looked for", ["error": .init(error: error)])
        }
    }

    private func nextHold(except passedOver: [BookingID]) async throws -> ExpiredHold? {
        // Looks only; the lock is taken where the hold is ended.
        try await database.first(BookingStatements.expiredHold(passedOver))
    }

    private func expire(_ hold: ExpiredHold, of hotel: HotelEntry?) async throws {
        var question = ReservationQuestion(hotel: hold.hotel)
        question.reservation = hold.id
        var own = Batch()
        let place = own.add(BookingStatements.booking(hold.id))
        let work = try await bookings.pms.begin(deadline: Self.patience)
        let found = try await work.read(question, first: Batch(), then: own, deadline: nil)
        guard let stored = try found.then.of(place).first else { return work.rollback() }
        // In somebody's hands at the front desk: left for the next look.
        if case .busy = found.facts.reservation { return work.rollback() }
        // What the PMS says decides, as it does for whoever reads the booking.
        if stored.isChanged(by: found.facts.reservation.found) {
            // Of a reservation that the front desk has cancelled, the nights that it has left go, too.
            let left = found.facts.reservation.found.flatMap { reservation -> ReservationWrite? in
                guard reservation.status == .cancelled, !reservation.released.isEmpty else { return nil }
                return .cancel(ReservationCancellation(reservation, hotel: hold.hotel, chargesInFull: false))
            }
            _ = try await bookings.note(stored, found.facts, work, with: left.map { [$0] } ?? [])
            return
        }
        guard let reservation = found.facts.reservation.found,
            let step = try? stored.life.after(.expire, at: found.facts.now), let event = step.event
        else {
            // Ended or confirmed meanwhile.
            return work.rollback()
        }
        let booking = stored.booking(
            after: step.life, reservation, at: found.facts.now, today: hotels.today(hold.hotel))
        let journal = BookingJournal(action: .expire, actor: BookingJournal.drawbridge)
        try await work.commit(
            [.cancel(ReservationCancellation(reservation, hotel: hold.hotel, chargesInFull: false))],
            with: stored.update(to: booking) + journal.entries(event, booking))
        expired.increment()
        bookings.free(reservation.released, in: hotel, hold.hotel)
    }
}
