internal import Availability
internal import Booking
internal import Cryptography
internal import Loop
internal import PMS
internal import Postgres
internal import Stay

// What the front desk does to bookings is noted here, whoever finds it: somebody who reads or changes a booking, the log of
// the PMS, or `drawbridge reconcile`.
extension BookingService {
    /// Notes what the front desk did to a booking, in its hotel's turn; the booking as it stands then.
    func noteFrontDesk(_ seen: StoredBooking) async throws -> Booking? {
        let deadline = CommandDeadline()
        let (work, stored, facts) = try await look(at: seen.id, hotel: seen.hotel, deadline)
        guard let stored else {
            work.rollback()
            return nil
        }
        if case .busy = facts.reservation {
            // The front desk is not done yet; whoever reads it next will see what it did.
            work.rollback()
            return stored.booking(
                try await pms.reservation(seen.id, hotel: seen.hotel), today: hotels.today(seen.hotel))
        }
        return try await note(stored, facts, work)
    }

    /// Notes what the front desk did to a booking that is locked, if it did anything, and ends the work.
    ///
    /// - Parameters:
    ///   - writes: what is left to do in the PMS.
    ///   - end: `conflict` where its rooms are known to be its own, `failed` where what had failed is done with it.
    ///   - more: what is written besides, by whoever follows the PMS's log.
    func note(
        _ stored: StoredBooking, _ facts: ReservationFacts, _ work: any ReservationWork,
        with writes: [ReservationWrite] = [], ending end: SyncState.Status? = nil, _ more: [Query<Void>] = []
    ) async throws -> Booking {
        let today = hotels.today(stored.hotel)
        let reservation = facts.reservation.found
        let step = stored.afterFrontDesk(reservation)
        guard let event = step.event else {
            work.rollback()
            return stored.booking(reservation, today: today)
        }
        let current = stored.following(reservation, today: today)
        var booking = current.booking(after: step.life, reservation, at: facts.now, today: today)
        if booking.sync.status == end { booking.sync = SyncState(status: .synced, lastAttempt: facts.now) }
        let journal = BookingJournal(action: .frontDesk, actor: BookingJournal.frontDesk)
        let told = step.life.isActive ? reservation?.content(stored.total.currency).hash : nil
        try await work.commit(
            writes,
            with: stored.update(to: booking, chargeable: current.chargeable, told: told)
                + stored.replacement(ofRooms: current.rooms) + journal.entries(event, booking) + more)
        // What the front desk has freed is not known here; whoever follows its log, and so has more to write, knows.
        if more.isEmpty { hotels.distrust(stored.hotel) }
        return booking
    }

    private func look(
        at id: BookingID, hotel: Int32, _ deadline: CommandDeadline,
        _ ask: (inout ReservationQuestion) -> Void = { _ in }
    ) async throws -> (work: any ReservationWork, stored: StoredBooking?, facts: ReservationFacts) {
        var question = ReservationQuestion(hotel: hotel)
        question.reservation = id
        ask(&question)
        var own = Batch()
        let place = own.add(BookingStatements.booking(id))
        let work = try await pms.begin(deadline: try deadline.timeLeft)
        let found = try await work.read(question, first: Batch(), then: own, deadline: try deadline.timeLeft)
        return (work, try found.then.of(place).first, found.facts)
    }

    // MARK: Comparing

    /// Compares a booking with the PMS: notes what the front desk did, and sees to it that its rooms are its own.
    ///
    /// - Returns: the last of what was found and done.
    /// - Throws: `PostgresError`, `LoopError` when the hotel is too busy.
    func check(_ check: BookingCheck) async throws -> BookingCheck.Outcome {
        do {
            return try await hotels.inTurn(check.hotel) { [self] entry in
                let deadline = CommandDeadline()
                let (work, stored, facts) = try await look(at: check.booking, hotel: check.hotel, deadline) {
                    $0.looksForShared = true
                }
                guard let stored else {
                    try await work.commit([], with: check.end)
                    return .agrees
                }
                if case .busy = facts.reservation {
                    work.rollback()
                    return .busy
                }
                if work.isPending {
                    // There is nothing to compare it with yet.
                    try await work.commit([], with: check.end)
                    return .agrees
                }
                let isShared = !shared(stored, facts).isEmpty
                var outcome = BookingCheck.Outcome.agrees
                if stored.isChanged(by: facts.reservation.found) {
                    _ = try await note(
                        stored, facts, work, ending: isShared ? nil : .conflict, isShared ? check.step : check.end)
                    outcome = .noted
                } else if !isShared {
                    return try await settle(stored, facts, check, work)
                } else {
                    work.rollback()
                }
                guard isShared else { return outcome }
                return try await resolve(check, entry, deadline) ?? outcome
            }
        } catch {
            if WriteFailure(error)?.isDoubtful == true { hotels.distrust(check.hotel) }
            throw error
        }
    }

    /// The nights to come on which somebody else has the booking's room, too.
    private func shared(_ stored: StoredBooking, _ facts: ReservationFacts) -> [(room: Int32, night: Day)] {
        let today = hotels.today(stored.hotel)
        guard stored.life.isActive, let reservation = facts.reservation.found, reservation.status != .cancelled else {
            return []
        }
        return facts.sharedNights.compactMap { night in
            night.night >= today ? night.room.map { ($0, night.night) } : nil
        }
    }

    /// A booking that is as others were told, with rooms of its own: that is told where they had not been.
    private func settle(
        _ stored: StoredBooking, _ facts: ReservationFacts, _ check: BookingCheck, _ work: any ReservationWork
    ) async throws -> BookingCheck.Outcome {
        let reservation = facts.reservation.found
        guard let reservation, stored.sync.status == .conflict, stored.life.isActive else {
            var writes: [Query<Void>] = []
            if stored.toldHash == nil, stored.life.isActive, let reservation {
                writes.append(CheckStatements.tell(stored.id, reservation.content(stored.total.currency).hash))
            }
            try await work.commit([], with: writes + check.end)
            return .agrees
        }
        let step = try stored.life.after(.settle, at: facts.now)
        var booking = stored.booking(
            after: step.life, reservation, at: facts.now, today: hotels.today(stored.hotel))
        booking.sync = SyncState(status: .synced, lastAttempt: facts.now)
        let journal = BookingJournal(action: .settle, actor: BookingJournal.drawbridge)
        try await work.commit(
            [],
            with: stored.update(to: booking, told: stored.toldHash) + journal.entries(.updated, booking) + check.end)
        return .settled
    }

    /// Gives a booking other rooms where somebody else has its own, too; where there are none, that is told, once.
    ///
    /// - Returns: nil where things are different by now: it is to be looked at again.
    private func resolve(
        _ check: BookingCheck, _ entry: HotelEntry?, _ deadline: CommandDeadline
    ) async throws -> BookingCheck.Outcome? {
        // Which rooms could take it is known when it is known what it has.
        guard let before = try await pms.reservation(check.booking, hotel: check.hotel),
            let nights = before.activeNights, let types = before.activeTypes
        else { return nil }
        let closedRooms = try await hotels.closedRooms(of: check.hotel)
        let (work, stored, facts) = try await look(at: check.booking, hotel: check.hotel, deadline) {
            $0.looksForShared = true
            $0.candidates = (types, nights)
        }
        guard let stored, let reservation = facts.reservation.found, !stored.isChanged(by: reservation),
            reservation.activeNights == nights, reservation.activeTypes == types
        else {
            work.rollback()
            return nil
        }
        let shared = shared(stored, facts)
        guard !shared.isEmpty else {
            work.rollback()
            return nil
        }
        let today = hotels.today(stored.hotel)
        // Whoever has moved in is not moved but by people.
        let isMovable = !reservation.status.hasCome && nights.lowerBound >= today
        let parts = reservation.parts(in: Set(shared.map(\.room)))
        if isMovable, let moves = RoomMove.moves(of: parts, among: facts.candidates(but: closedRooms)) {
            return try await move(stored, reservation, moves, facts, check, entry, work)
        }
        guard stored.sync.status != .conflict else {
            work.rollback()
            return .conflict
        }
        let step = try stored.life.after(.conflict, at: facts.now)
        var booking = stored.booking(after: step.life, reservation, at: facts.now, today: today)
        let days = Set(shared.map(\.night)).sorted().prefix(10).map(\.description).joined(separator: ", ")
        booking.sync = SyncState(
            status: .conflict, lastAttempt: facts.now,
            error: "Another reservation has the same room (\(days)), and no other room of its type is free")
        let journal = BookingJournal(action: .conflict, actor: BookingJournal.drawbridge)
        try await work.commit(
            [],
            with: stored.update(to: booking, told: stored.toldHash) + journal.entries(.conflict, booking) + check.step
                // Whoever leads looks for its end.
                + (check.asked == nil ? [CheckStatements.ask([check.booking])] : []))
        return .conflict
    }

    private func move(
        _ stored: StoredBooking, _ reservation: Reservation, _ moves: [RoomMove], _ facts: ReservationFacts,
        _ check: BookingCheck, _ entry: HotelEntry?, _ work: any ReservationWork
    ) async throws -> BookingCheck.Outcome {
        let today = hotels.today(stored.hotel)
        let step = try stored.life.after(.move, at: facts.now)
        let moved = reservation.after(moves, among: facts.rooms)
        let current = stored.following(moved, today: today)
        var booking = current.booking(after: step.life, moved, at: facts.now, today: today)
        booking.sync.endConflict(at: facts.now)
        let write = ReservationMoves(reservation, hotel: stored.hotel, moves)
        let journal = BookingJournal(action: .move, actor: BookingJournal.drawbridge)
        let own = stored.update(
            to: booking, chargeable: current.chargeable, told: moved.content(stored.total.currency).hash)
        try await work.commit(
            [.move(write)],
            with: own + stored.replacement(ofRooms: current.rooms) + journal.entries(.updated, booking) + check.end)
        let effect = write.effect
        free(effect.released, in: entry, stored.hotel)
        let types = facts.roomTypes
        for (room, night) in effect.taken {
            guard let type = types[room] else { continue }
            entry?.take([(room, type)], nights: night..<night.advanced(by: 1))
        }
        return .moved
    }
}

extension StoredBooking {
    /// What the PMS says about it makes of it.
    func afterFrontDesk(_ reservation: Reservation?) -> BookingLife.Step {
        guard let reservation else { return life.afterFrontDesk(.cancelled) }
        return life.afterFrontDesk(reservation.status, isChanged: differs(from: reservation))
    }

    func isChanged(by reservation: Reservation?) -> Bool { afterFrontDesk(reservation).event != nil }

    private func differs(from reservation: Reservation) -> Bool {
        if let toldHash { return reservation.content(total.currency).hash != toldHash }
        // From before that was kept: what we have written down ourselves tells.
        return reservation.stay.map { $0 != stay } ?? false
    }

    /// The booking with the dates, rooms and prices that the front desk has given it.
    ///
    /// What the PMS does not say, or says in a form that is none, stays as it was agreed.
    func following(_ reservation: Reservation?, today: Day) -> StoredBooking {
        guard let reservation, reservation.status != .cancelled else { return self }
        var booking = self
        booking.stay = reservation.stay ?? stay
        let nights = reservation.nights(total.currency)
        booking.rooms = BookedRoom.current(rooms, nights: nights, today: today)
        let prices = nights.filter { !$0.isCancelled }.map(\.price)
        let sum = prices.reduce(Int64?(0)) { sum, price in
            guard let sum, let price, price >= 0 else { return nil }
            let (next, isOver) = sum.addingReportingOverflow(price)
            return isOver ? nil : next
        }
        if let sum, !prices.isEmpty {
            booking.total = Money(minorUnits: sum, currency: total.currency)
            booking.chargeable = Money(
                minorUnits: min(chargeable.minorUnits, sum), currency: total.currency)
        }
        return booking
    }

    /// Writes its rooms down where they are others.
    func replacement(ofRooms rooms: [SoldRoom]) -> [Query<Void>] {
        guard rooms != self.rooms else { return [] }
        // One that came without a plan that can be read has none that could be told.
        let known = rooms.filter { $0.plan != nil }
        return [
            BookingStatements.deleteRooms(id),
            BookingStatements.insertRooms(
                id, known.indices.map { Int16($0) }, known.map(\.type), known.map(\.room),
                known.map { Int16($0.guests) }, known.map { $0.plan!.description }),
        ]
    }
}

extension ReservationContent {
    /// A hash of it: who the guest is cannot be read from it.
    var hash: [UInt8] { SHA256.hash(bytes.span).bytes }
}

extension ReservationFacts.Found {
    /// The reservation, where it is there and nobody else works on it.
    var found: Reservation? { if case .locked(let reservation) = self { reservation } else { nil } }
}
