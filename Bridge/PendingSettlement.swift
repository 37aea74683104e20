internal import Availability
internal import Booking
internal import Catalogue
internal import Loop
internal import PMS
internal import Postgres
internal import Stay
internal import Telemetry

/// Writes reservations into the PMS that were taken while it could not be reached, in the order in which they were taken, and
/// says of those that do not fit any more that they are in conflict.
@OnLoop
final class PendingSettlement {
    /// How long one may wait for connections.
    private static let patience = Duration.seconds(5)

    private let bookings: BookingService
    private let pms: RemoteRhtHotel
    private let hotels: HotelDirectory
    private let settled = Metrics.counter(
        "drawbridge_bridge_bookings_settled_total",
        "Bookings that were taken while the PMS could not be reached and are in it now.")
    private let lost = Metrics.counter(
        "drawbridge_bridge_bookings_lost_total",
        "Bookings that were taken while the PMS could not be reached, and for which it had no room then.")

    init(_ bookings: BookingService, _ pms: RemoteRhtHotel, _ hotels: HotelDirectory, _ writes: PMSWriteQueue) {
        self.bookings = bookings
        self.pms = pms
        self.hotels = hotels
        writes.perform(.settleBooking) { [unowned self] write, hotel in try await settle(write, hotel) }
    }

    private func settle(_ write: ClaimedWrite, _ entry: HotelEntry?) async throws -> BackgroundWrite.Outcome {
        let rows = try await bookings.database.query(PendingStatements.find([write.booking]))
        // It was given up by its client.
        guard let seen = rows.first else { return .done }
        var question = ReservationQuestion(hotel: write.hotel)
        question.reservation = write.booking
        question.wanted = seen.content.wanted
        question.guest = seen.content.guest
        var own = Batch()
        let claim = own.add(write.holds)
        let place = own.add(BookingStatements.booking(write.booking))
        let row = own.add(PendingStatements.find([write.booking]))
        let known = hotels.entries[write.hotel]?.terms.version ?? 0
        let terms = own.add(RestrictionStatements.current(write.hotel, known))
        let earlier = own.add(
            PendingStatements.nightsBefore(
                [write.hotel], seen.content.wanted.stay.arrival, seen.content.wanted.stay.departure, write.id))
        let work = try await pms.begin(deadline: Self.patience)
        let found = try await work.read(question, first: Batch(), then: own, deadline: nil)
        guard let stored = try found.then.of(place).first, try !found.then.of(claim).isEmpty,
            let pending = try found.then.of(row).first
        else {
            work.rollback()
            return .done
        }
        // Changed since it was looked at: what was asked is not what matters now.
        guard pending.content.wanted.stay == seen.content.wanted.stay,
            pending.content.wanted.rooms == seen.content.wanted.rooms
        else {
            work.rollback()
            return .notYet
        }
        // Somebody at the front desk works on it, who has made it by hand.
        if case .busy = found.facts.reservation {
            work.rollback()
            return .notYet
        }
        let facts = found.facts.taking(pending: try found.then.of(earlier))
        var overbooking = Overbooking()
        if let entry {
            overbooking = try await bookings.terms(
                of: entry, try found.then.of(terms).first, facts, work, CommandDeadline()
            ).overbooking
        }
        return try await settle(write, stored, pending, facts, entry, overbooking, work)
    }

    private func settle(
        _ write: ClaimedWrite, _ stored: StoredBooking, _ pending: PendingRow, _ facts: ReservationFacts,
        _ entry: HotelEntry?, _ overbooking: Overbooking, _ work: any ReservationWork
    ) async throws -> BackgroundWrite.Outcome {
        let new = arrange(pending, stored, facts, entry, overbooking)
        let finding: PendingBooking.Finding =
            switch facts.reservation {
            case .locked(let reservation): .there(reservation.status)
            case .busy, .gone: new == nil ? .impossible : .possible
            }
        // Whoever claims it tries, whatever was said of it before.
        let before = PendingBooking(life: stored.life, sync: .pending)
        let step: PendingBooking.Step
        do { step = try before.after(.settle(finding), at: facts.now) } catch {
            work.rollback()
            throw error
        }
        let today = hotels.today(stored.hotel)
        let shown = new.map { pending.content.inRooms($0.rooms, facts) } ?? pending.content
        let reservation = shown.reservation(stored.id, stored.total.currency)
        var booking = stored.booking(after: step.booking.life, reservation, at: facts.now, today: today)
        booking.sync =
            step.booking.sync == .conflict
            ? SyncState(
                status: .conflict, lastAttempt: facts.now,
                error: "The hotel had no room for it any more when its system could be reached again")
            : SyncState(status: step.booking.sync, lastAttempt: facts.now)
        let isWritten = step.work == .write
        var own = stored.update(to: booking, told: isWritten ? new?.content.hash : nil)
        if let new, isWritten { own += stored.replacement(ofRooms: new.soldRooms) }
        // A booking in conflict is shown as it was asked for, until its client gives it up or changes it.
        if step.booking.sync == .synced { own.append(PendingStatements.remove(stored.id)) }
        if let event = step.event {
            let journal = BookingJournal(action: .settle, actor: BookingJournal.drawbridge)
            let isGuestNew = isWritten && facts.client == nil
            own += journal.entries(event, booking, newGuest: isGuestNew ? new?.newClient : nil)
        }
        try await work.commit(writes(step.work, new, facts, stored.hotel), with: own + [write.resolution])
        hotels.distrust(stored.hotel)
        if isWritten { settled.increment() }
        if step.booking.sync == .conflict { lost.increment() }
        return .done
    }

    private func writes(
        _ work: PendingBooking.Work, _ new: NewReservation?, _ facts: ReservationFacts, _ hotel: Int32
    ) -> [ReservationWrite] {
        switch work {
        case .nothing: return []
        case .write: return new.map { [.create($0)] } ?? []
        case .cancel:
            guard let reservation = facts.reservation.found else { return [] }
            return [.cancel(ReservationCancellation(reservation, hotel: hotel, chargesInFull: false))]
        }
    }

    /// What is to be written; nil where there is no room for it, or it is not sold any more.
    private func arrange(
        _ pending: PendingRow, _ stored: StoredBooking, _ facts: ReservationFacts, _ entry: HotelEntry?,
        _ overbooking: Overbooking
    ) -> NewReservation? {
        let (stay, rooms) = pending.content.wanted
        let choice = RoomChoice(
            for: rooms, stay: stay, among: facts.candidates(but: entry?.closedRooms ?? []),
            kept: pending.content.chosenRooms
        ) { type, night in overbooking.balance(ofType: type, on: night) }
        guard case .chosen(let chosen) = choice else { return nil }
        return pending.content.new(
            stored.id, hotel: stored.hotel, in: chosen, facts.plans(stored.total.currency), client: facts.client,
            stored.total.currency)
    }
}

extension NewReservation {
    /// Its rooms as they were sold.
    fileprivate var soldRooms: [SoldRoom] {
        rooms.map { SoldRoom(type: $0.type, room: $0.room, guests: $0.guests, plan: $0.plan.key) }
    }
}
