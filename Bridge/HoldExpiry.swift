internal import Booking
internal import Loop
internal import PMS
internal import Postgres
internal import Telemetry

/// Gives the rooms of holds back when their time is up. Looking for them is its own; each end is a write like others that nobody
/// waits for.
@OnLoop
final class HoldExpiry {
    /// How often it looks.
    private static let interval = Duration.seconds(1)

    /// Holds that one look takes.
    private static let batch: Int32 = 1000

    /// How long an end may wait for a connection.
    private static let patience = Duration.seconds(5)

    private let database: Database
    private let hotels: HotelDirectory
    private let bookings: BookingService
    private let writes: PMSWriteQueue
    private let expired = Metrics.counter("drawbridge_bridge_holds_expired_total", "Holds whose time ran out.")

    init(_ database: Database, _ hotels: HotelDirectory, _ bookings: BookingService, _ writes: PMSWriteQueue) {
        self.database = database
        self.hotels = hotels
        self.bookings = bookings
        self.writes = writes
        writes.perform(.expireHold) { [unowned self] write, hotel in try await end(write, of: hotel) }
    }

    /// Looks until the task is cancelled. What fails is tried again at the next look.
    func run() async {
        while !Task.isCancelled {
            do {
                try await Loop.sleep(for: Self.interval)
                if try await database.execute(PMSWriteStatements.expireHolds(Self.batch)) > 0 { writes.wake() }
            } catch {
                // The database is away, which its own log says; the holds wait for its return.
                Log.debug("holds not looked for", ["error": .init(error: error)])
            }
        }
    }

    private func end(_ write: ClaimedWrite, of hotel: HotelEntry?) async throws -> BackgroundWrite.Outcome {
        var question = ReservationQuestion(hotel: write.hotel)
        question.reservation = write.booking
        var own = Batch()
        let claim = own.add(write.holds)
        let place = own.add(BookingStatements.booking(write.booking))
        let work = try await bookings.pms.begin(deadline: Self.patience)
        let found = try await work.read(question, first: Batch(), then: own, deadline: nil)
        guard let stored = try found.then.of(place).first, try !found.then.of(claim).isEmpty else {
            work.rollback()
            return .done
        }
        // In somebody's hands at the front desk.
        if case .busy = found.facts.reservation {
            work.rollback()
            return .notYet
        }
        // What the PMS says decides, as it does for whoever reads the booking.
        if stored.isChanged(by: found.facts.reservation.found) {
            // Of a reservation that the front desk has cancelled, the nights that it has left go, too.
            let left = found.facts.reservation.found.flatMap { reservation -> ReservationWrite? in
                guard reservation.status == .cancelled, !reservation.released.isEmpty else { return nil }
                return .cancel(ReservationCancellation(reservation, hotel: write.hotel, chargesInFull: false))
            }
            _ = try await bookings.note(
                stored, found.facts, work, with: left.map { [$0] } ?? [], ending: .failed, [write.resolution])
            hotels.distrust(write.hotel)
            return .done
        }
        guard let reservation = found.facts.reservation.found,
            let step = try? stored.life.after(.expire, at: found.facts.now), let event = step.event
        else {
            // Ended or confirmed meanwhile.
            work.rollback()
            return .done
        }
        let booking = stored.booking(
            after: step.life, reservation, at: found.facts.now, today: hotels.today(write.hotel))
        let journal = BookingJournal(action: .expire, actor: BookingJournal.drawbridge)
        let takesRooms = stored.takesRooms(work)
        try await work.commit(
            [.cancel(ReservationCancellation(reservation, hotel: write.hotel, chargesInFull: false))],
            with: stored.update(to: booking) + journal.entries(event, booking) + [write.resolution])
        expired.increment()
        if takesRooms { bookings.free(reservation.released, in: hotel, write.hotel) }
        return .done
    }
}
