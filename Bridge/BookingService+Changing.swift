internal import Authentication
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

extension BookingService {
    /// A booking of the caller's own, before it is looked at under its hotel's lock.
    ///
    /// - Throws: `BridgeError.unknownBooking`, `foreignBooking`.
    func own(_ id: BookingID, _ visible: HotelAccess, _ caller: Caller) async throws -> StoredBooking {
        guard let stored = try await database.first(BookingStatements.booking(id)), visible.includes(stored.hotel)
        else { throw BridgeError.unknownBooking }
        guard stored.client == caller.client else { throw BridgeError.foreignBooking }
        return stored
    }

    /// Changes a booking or confirms a hold, or says why not.
    ///
    /// - Parameter seen: the booking that the change was checked against; it must not have changed since.
    /// - Throws: `BridgeError`, `PostgresError`, `LoopError` when the hotel is too busy.
    func change(_ seen: StoredBooking, _ change: BookingChange, for caller: Caller) async throws -> BookingOutcome {
        try await carryOut(at: seen.hotel, for: caller) { [self] hotel, deadline in
            guard let hotel else { throw BridgeError.unknownBooking }
            var question = ReservationQuestion(hotel: seen.hotel)
            question.reservation = seen.id
            question.wanted = change.arrangement.map { ($0.stay, $0.rooms) }
            question.guest = change.guest
            switch try await find(seen.id, question, for: caller, until: deadline) {
            case .answered(let outcome): return outcome
            // Whether this very request had changed it before the front desk did cannot be told from the two together.
            case .noted: throw deadline.followsDoubt ? BridgeError.outcomeUnknown : .preconditionFailed
            case .found(let found):
                guard found.stored.life.version == seen.life.version else {
                    found.work.rollback()
                    // It may be this very request that has changed it.
                    if deadline.followsDoubt, let done = try await done(found, for: caller) { return done }
                    throw BridgeError.preconditionFailed
                }
                return try await self.change(found, change, at: hotel, for: caller, until: deadline)
            }
        }
    }

    private func change(
        _ found: Found, _ change: BookingChange, at hotel: HotelEntry, for caller: Caller,
        until deadline: CommandDeadline
    ) async throws -> BookingOutcome {
        let (stored, facts, reservation) = (found.stored, found.facts, found.reservation)
        let confirms = change.confirms && stored.life.status == .hold
        let step = try step(found, change.changesBooking && !confirms ? .change : .confirm)
        var journal = BookingJournal(
            action: confirms ? .confirm : .update, actor: caller.client, requestID: caller.requestID)
        journal.request = change.masked
        var arranged: RoomArrangement.Arranged?
        if let arrangement = change.arrangement {
            let terms = try await terms(of: hotel, found.terms, facts, found.work, deadline)
            let outcome = try arrange(
                arrangement.stay, arrangement.rooms, at: hotel, facts, terms,
                agreed: stored.agreedRooms(for: arrangement.stay),
                keeping: stored.roomsToKeep(arrangement.rooms, reservation, facts), for: stored.stay.nights,
                expecting: change.expectedTotal)
            switch outcome {
            case .refused(let problem):
                return try await refuse(problem, stored.hotel, stored.id, caller, journal, found.work)
            case .arranged(let rooms): arranged = rooms
            }
        } else if let expected = change.expectedTotal, expected != stored.total {
            let problem = Refusals.priceChanged(stored.total, [])
            return try await refuse(problem, stored.hotel, stored.id, caller, journal, found.work)
        }
        guard let event = step.event else {
            // It is confirmed already, and nothing else was asked for.
            let outcome = BookingOutcome(.ok, stored.booking(reservation, today: hotel.today))
            try await found.work.commit([], with: caller.record(outcome))
            return outcome
        }
        var booking = stored.booking(after: step.life, reservation, at: facts.now, today: hotel.today)
        if let guest = change.guest { booking.guest = guest }
        var write = ReservationChange(reservation, hotel: stored.hotel)
        if let arranged, let arrangement = change.arrangement {
            booking.stay = arrangement.stay
            booking.rooms = arranged.bookedRooms(facts)
            booking.total = arranged.total
            write.arrangement = (arrangement.stay, arranged.rooms)
            // Whoever else had its rooms, these are its own.
            booking.sync.endConflict(at: facts.now)
        }
        // What is not in the PMS yet is to be written there as it is now, whatever has become of it before.
        if found.work.isPending { booking.sync = SyncState(status: .pending) }
        let takesRooms = found.takesRooms
        let newGuest = change.guest == nil || facts.client != nil || found.work.isPending ? nil : BookingID.random()
        write.guest = change.guest.map { ($0, facts.client, newGuest ?? .random()) }
        write.paymentTiming = change.paymentTiming
        write.comment = change.comment
        write.confirms = confirms
        let outcome = BookingOutcome(.ok, booking)
        var own = stored.update(
            to: booking, chargeable: arranged?.chargeable, told: write.content(stored.total.currency).hash)
        if let arranged { own += [BookingStatements.deleteRooms(stored.id), arranged.insertion(stored.id)] }
        // The last moment to give up: from here on only the database knows whether it is changed.
        _ = try deadline.timeLeft
        try await found.work.commit(
            [.change(write)],
            with: own + journal.entries(event, booking, newGuest: newGuest) + caller.record(outcome))
        let effect = write.effect
        if takesRooms { free(effect.released, in: hotel, stored.hotel) }
        let types = facts.roomTypes
        for (room, night) in effect.taken {
            if let room {
                hotel.take([(room, types[room] ?? 0)], nights: night..<night.advanced(by: 1))
            } else {
                // Of which type says the whole hotel.
                hotels.distrust(stored.hotel)
            }
        }
        changed.increment()
        return outcome
    }

    /// The booking as it stands, if the request has changed it: the line in the audit log committed with the change.
    private func done(_ found: Found, for caller: Caller) async throws -> BookingOutcome? {
        let (stored, id) = (found.stored, caller.requestID.description)
        guard try await database.first(BookingStatements.wasDone(stored.id.description, id)) == true else { return nil }
        return BookingOutcome(.ok, stored.booking(found.reservation, today: hotels.today(stored.hotel)))
    }

    /// Cancels a booking, or says why not. One that is cancelled already is answered as it is.
    ///
    /// - Parameter precondition: what the caller takes it for.
    /// - Throws: as `change`.
    func cancel(
        _ seen: StoredBooking, _ precondition: EntityCondition?, for caller: Caller
    ) async throws -> BookingOutcome {
        try await carryOut(at: seen.hotel, for: caller) { [self] entry, deadline in
            var question = ReservationQuestion(hotel: seen.hotel)
            question.reservation = seen.id
            // What the front desk did is noted first, and then there may be something left to do.
            for _ in 0..<2 {
                switch try await find(seen.id, question, for: caller, until: deadline) {
                case .answered(let outcome): return outcome
                case .noted(let booking) where booking.status == .cancelled: return BookingOutcome(.ok, booking)
                case .noted: continue
                case .found(let found):
                    let isDone = found.stored.life.status == .cancelled
                    guard isDone || precondition?.admits(version: found.stored.life.version) ?? true else {
                        found.work.rollback()
                        throw BridgeError.preconditionFailed
                    }
                    return try await cancel(found, entry, for: caller, until: deadline)
                }
            }
            throw BridgeError.preconditionFailed
        }
    }

    private func cancel(
        _ found: Found, _ entry: HotelEntry?, for caller: Caller, until deadline: CommandDeadline
    ) async throws -> BookingOutcome {
        let (stored, reservation) = (found.stored, found.reservation)
        let today = hotels.today(stored.hotel)
        let step = try step(found, .cancel)
        guard let event = step.event else {
            let outcome = BookingOutcome(.ok, stored.booking(reservation, today: today))
            try await found.work.commit([], with: caller.record(outcome))
            return outcome
        }
        let terms = policy.hotel(stored.hotel).cancellationTerms
        let free = Money(minorUnits: 0, currency: stored.total.currency)
        let fee =
            stored.life.status == .hold
            ? free : terms.fee(of: stored.chargeable, arrival: stored.stay.arrival, today: today)
        let booking = stored.booking(after: step.life, reservation, fee: fee, at: found.facts.now, today: today)
        let outcome = BookingOutcome(.ok, booking)
        let journal = BookingJournal(action: .cancel, actor: caller.client, requestID: caller.requestID)
        let write = ReservationCancellation(
            reservation, hotel: stored.hotel, chargesInFull: fee.minorUnits > 0 && terms.percentage == 100)
        let takesRooms = found.takesRooms
        _ = try deadline.timeLeft
        try await found.work.commit(
            [.cancel(write)],
            with: stored.update(to: booking) + journal.entries(event, booking) + caller.record(outcome))
        if takesRooms { self.free(reservation.released, in: entry, stored.hotel) }
        cancelled.increment()
        return outcome
    }

    // MARK: What both do

    /// A booking under its hotel's lock, and its reservation, which stands as the booking says.
    @OnLoop
    struct Found {
        let stored: StoredBooking
        let facts: ReservationFacts
        let reservation: Reservation
        let work: any ReservationWork
        /// What the hotel has decided about its sales, without what memory has already.
        let terms: StoredTerms?

        /// As of the booking.
        var takesRooms: Bool { stored.takesRooms(work) }
    }

    /// What became of looking for one.
    enum Finding {
        case found(Found)
        /// The front desk has confirmed or cancelled it, which is noted now.
        case noted(Booking)
        /// The same request was carried out before.
        case answered(BookingOutcome)
    }

    private func find(
        _ id: BookingID, _ question: ReservationQuestion, for caller: Caller, until deadline: CommandDeadline
    ) async throws -> Finding {
        var own = Batch()
        let place = own.add(BookingStatements.booking(id))
        let known = hotels.entries[question.hotel]?.terms.version ?? 0
        let terms = question.wanted.map { _ in own.add(RestrictionStatements.current(question.hotel, known)) }
        let work = try await pms.begin(deadline: try deadline.timeLeft)
        let before: (facts: ReservationFacts, record: IdempotencyRecord?, own: Batch.Rows)
        do {
            before = try await read(work, question, own, for: caller, until: deadline)
        } catch {
            throw blame(question.hotel, for: error)
        }
        if let record = before.record, let key = caller.key {
            return .answered(try await repeated(record, key, work))
        }
        guard let stored = try before.own.of(place).first else {
            work.rollback()
            throw BridgeError.unknownBooking
        }
        if case .busy = before.facts.reservation {
            work.rollback()
            throw BridgeError.bookingInUse
        }
        if stored.isChanged(by: before.facts.reservation.found) {
            return .noted(try await note(stored, before.facts, work))
        }
        guard let reservation = before.facts.reservation.found else {
            // It has ended, and the front desk has deleted it since.
            work.rollback()
            if stored.life.status == .cancelled {
                return .answered(BookingOutcome(.ok, stored.booking(nil, today: hotels.today(stored.hotel))))
            }
            throw BridgeError.bookingEnded(stored.life.status.rawValue)
        }
        let storedTerms = try terms.flatMap { try before.own.of($0).first }
        return .found(
            Found(stored: stored, facts: before.facts, reservation: reservation, work: work, terms: storedTerms))
    }

    /// What a command makes of a booking.
    ///
    /// - Throws: `BridgeError.bookingEnded`, `bookingStarted`: from the day after the arrival on, and once the guest is
    ///   there, only the front desk knows what can still be changed.
    private func step(_ found: Found, _ command: BookingLife.Command) throws -> BookingLife.Step {
        do {
            let step = try found.stored.life.after(command, at: found.facts.now)
            let hasStarted =
                found.reservation.status.hasCome
                || found.stored.stay.arrival < hotels.today(found.stored.hotel)
            if step.event != nil, hasStarted { throw BridgeError.bookingStarted }
            return step
        } catch {
            found.work.rollback()
            if case .ended(let status)? = error as? BookingLife.Refusal {
                throw BridgeError.bookingEnded(status.rawValue)
            }
            throw error
        }
    }

    /// Frees nights in the hotel's index.
    func free(_ released: [ReleasedNight], in entry: HotelEntry?, _ hotel: Int32) {
        for released in released {
            if let night = released.night {
                entry?.release(released.room, on: night)
            } else {
                // It kept its room from being sold at all, and maybe another one still does.
                hotels.distrust(hotel)
            }
        }
    }
}

extension StoredBooking {
    /// Whether its rooms count as taken, before the work on it has ended: one that the PMS had no room for takes none.
    @OnLoop
    func takesRooms(_ work: any ReservationWork) -> Bool { !work.isPending || sync.status != .conflict }

    /// For each room asked for the one that the guest has now and should keep: the one sold in that place, wherever the front
    /// desk has not moved the guest, or else another of the reservation's of the same type.
    func roomsToKeep(
        _ asked: [BookingRequest.Room], _ reservation: Reservation, _ facts: ReservationFacts
    ) -> [Int32?] {
        var held = facts.rooms.filter { reservation.roomsTaken.contains($0.id) }
        func take(_ isMeant: (LockedRoom) -> Bool) -> Int32? {
            held.firstIndex(where: isMeant).map { held.remove(at: $0).id }
        }
        var kept: [Int32?] = asked.indices.map { position in
            guard rooms.indices.contains(position) else { return nil }
            return take { $0.id == rooms[position].room && $0.type == asked[position].type }
        }
        for position in asked.indices where kept[position] == nil {
            kept[position] = take { $0.type == asked[position].type && $0.capacity >= asked[position].guests }
        }
        return kept
    }

    /// What it has for a stay already, by type: nothing unless these are its nights.
    func agreedRooms(for stay: Stay) -> [Int32: Int] {
        stay == self.stay ? Dictionary(grouping: rooms, by: \.type).mapValues(\.count) : [:]
    }

    /// What a change is checked against.
    var agreed: BookingChangeBody.Agreed {
        BookingChangeBody.Agreed(engineID: engineID, hotel: hotel, stay: stay, rooms: rooms)
    }
}

/// Which version of a booking a request is about (`If-Match`, RFC 9110 §13.1.1).
struct EntityCondition: Sendable {
    private let tags: [Substring]

    /// - Parameter field: the field's value; several fields are one list.
    init(_ field: String) {
        tags = field.split(separator: ",").map { $0.trimmingBlanks }
    }

    /// Whether it names the version. Weak tags never do.
    func admits(version: Int32) -> Bool { tags.contains { $0 == "*" || $0 == "\"\(version)\"" } }
}

extension Substring {
    fileprivate var trimmingBlanks: Substring {
        var text = self
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}

extension BridgePolicy.Hotel {
    fileprivate var cancellationTerms: CancellationTerms {
        CancellationTerms(freeUntilDays: freeCancellationDays, percentage: cancellationPercentage)
    }
}
