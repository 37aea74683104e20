import Booking
import Stay
import TestSupport
import Testing

@Suite("A booking that is taken while the PMS cannot be reached")
struct PendingBookingTests {
    private static let made = Instant(microseconds: 1_800_000_000_000_000)
    private static let end = Instant(microseconds: made.microseconds + 60_000_000)

    private func booking(_ status: Booking.Status, _ sync: SyncState.Status, version: Int32 = 1) -> PendingBooking {
        PendingBooking(
            life: BookingLife(status: status, version: version, holdExpiresAt: status == .hold ? Self.end : nil),
            sync: sync)
    }

    @Test("It begins as pending, is told as made, and its rooms count as taken")
    func beginning() {
        let step = PendingBooking.taken(holdExpiresAt: nil)
        #expect(step.booking == booking(.confirmed, .pending) && step.event == .created && step.work == .nothing)
        #expect(step.booking.takesRooms)
        #expect(PendingBooking.taken(holdExpiresAt: Self.end).booking.life.status == .hold)
    }

    @Test("With rooms for it, it is written and synced; without, it is a conflict that others are told of")
    func settled() throws {
        let won = try booking(.confirmed, .pending).after(.settle(.possible), at: Self.made)
        #expect(won.booking == booking(.confirmed, .synced, version: 2) && won.work == .write && won.event == .updated)
        let lost = try booking(.confirmed, .pending).after(.settle(.impossible), at: Self.made)
        #expect(lost.booking == booking(.confirmed, .conflict, version: 2))
        #expect(lost.work == .nothing && lost.event == .conflict && !lost.booking.takesRooms)
    }

    @Test("One that an attempt has written already is not written again, and is what the front desk has made of it")
    func alreadyThere() throws {
        let same = try booking(.confirmed, .pending).after(.settle(.there(.confirmed)), at: Self.made)
        #expect(same.booking == booking(.confirmed, .synced, version: 2) && same.work == .nothing)
        let gone = try booking(.confirmed, .pending).after(.settle(.there(.cancelled)), at: Self.made)
        #expect(gone.booking.life.status == .cancelled && gone.booking.sync == .synced && gone.event == .cancelled)
        #expect(gone.work == .nothing)
    }

    @Test("One that was cancelled meanwhile is taken out of the PMS if an attempt has written it")
    func cancelled() throws {
        let cancelled = try booking(.confirmed, .pending).after(.cancel, at: Self.made)
        #expect(cancelled.booking.life.status == .cancelled && cancelled.booking.sync == .pending)
        #expect(cancelled.event == .cancelled && !cancelled.booking.takesRooms)
        let there = try cancelled.booking.after(.settle(.there(.confirmed)), at: Self.made)
        #expect(there.booking.sync == .synced && there.work == .cancel && there.event == nil)
        for finding in [PendingBooking.Finding.possible, .impossible, .there(.cancelled)] {
            let none = try cancelled.booking.after(.settle(finding), at: Self.made)
            #expect(none.booking.sync == .synced && none.work == .nothing && none.event == nil)
        }
    }

    @Test("A hold whose time is over when the PMS returns has expired")
    func expired() throws {
        let none = try booking(.hold, .pending).after(.settle(.possible), at: Self.end)
        #expect(none.booking.life.status == .expired && none.work == .nothing && none.event == .cancelled)
        let there = try booking(.hold, .pending).after(.settle(.there(.hold)), at: Self.end)
        #expect(there.booking.life.status == .expired && there.work == .cancel && there.booking.sync == .synced)
        let inTime = try booking(.hold, .pending).after(.settle(.possible), at: Self.made)
        #expect(inTime.booking.life.status == .hold && inTime.work == .write)
    }

    @Test("A conflict ends when its client cancels, and is tried again with other dates, or when somebody says so")
    func conflict() throws {
        let conflict = booking(.confirmed, .conflict)
        #expect(try conflict.after(.cancel, at: Self.made).booking.sync == .synced)
        #expect(try conflict.after(.change, at: Self.made).booking == booking(.confirmed, .pending, version: 2))
        #expect(try conflict.after(.retry, at: Self.made).booking == booking(.confirmed, .pending))
        #expect(try conflict.after(.settle(.possible), at: Self.made).booking == conflict)
    }

    @Test("One that is given up keeps its rooms until somebody decides")
    func givenUp() throws {
        let failed = try booking(.confirmed, .pending).after(.giveUp, at: Self.made).booking
        #expect(failed == booking(.confirmed, .failed) && failed.takesRooms)
        #expect(try failed.after(.settle(.possible), at: Self.made).work == .nothing)
        #expect(try failed.after(.retry, at: Self.made).booking == booking(.confirmed, .pending))
    }

    @Test("Random histories: one event a version, at most one reservation, none of a booking that has ended")
    func histories() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededNumbers(seed: seed)
        for _ in 0..<5_000 {
            var now = Self.made
            let first = PendingBooking.taken(holdExpiresAt: Bool.random(using: &random) ? Self.end : nil)
            var (booking, events, reservations) = (first.booking, [first.event!], 0)
            for _ in 0..<Int.random(in: 1...20, using: &random) {
                now = Instant(microseconds: now.microseconds + .random(in: 0...20_000_000, using: &random))
                // An attempt that took effect without a word: the reservation is there, and we do not know.
                if booking.sync == .pending, reservations == 0, Int.random(in: 0..<8, using: &random) == 0 {
                    reservations = 1
                }
                let finding: PendingBooking.Finding =
                    reservations > 0 ? .there(.confirmed) : Bool.random(using: &random) ? .possible : .impossible
                let command = [PendingBooking.Command.settle(finding), .cancel, .expire, .change, .giveUp, .retry]
                    .randomElement(using: &random)!
                guard let step = try? booking.after(command, at: now) else { continue }
                if booking.sync == .synced { #expect(step.booking == booking && step.work == .nothing, "seed \(seed)") }
                switch step.work {
                case .write: reservations += 1
                case .cancel: reservations -= 1
                case .nothing: break
                }
                #expect((0...1).contains(reservations), "seed \(seed)")
                #expect(step.booking.life.version == booking.life.version + (step.event == nil ? 0 : 1), "seed \(seed)")
                if let event = step.event { events.append(event) }
                let isActive = step.booking.life.status == .hold || step.booking.life.status == .confirmed
                if step.booking.sync == .synced { #expect((reservations == 1) == isActive, "seed \(seed)") }
                if step.booking.sync == .conflict { #expect(isActive && reservations == 0, "seed \(seed)") }
                booking = step.booking
            }
            #expect(events.count == Int(booking.life.version), "seed \(seed)")
            #expect(events.count { $0 == .cancelled } <= 1, "seed \(seed)")
        }
    }

    @Test(
        "Random returns: in the order of taking nobody gets a room twice, and without a front desk in between nobody loses"
    )
    func returns() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededNumbers(seed: seed)
        let first = Day("2027-01-10")!
        let nights = (0..<6).map { first.advanced(by: $0) }
        for round in 0..<300 {
            var taken: [Int32: Set<Day>] = [:]
            for room in 1...3 {
                taken[Int32(room)] = Set(nights.filter { _ in Int.random(in: 0..<4, using: &random) == 0 })
            }
            func rooms(_ taken: [Int32: Set<Day>]) -> [CandidateRoom] {
                taken.keys.sorted().map {
                    CandidateRoom(id: $0, type: 1, capacity: 2, priority: nil, takenNights: Array(taken[$0]!))
                }
            }
            // Taken against what was known last, each counted for those after it.
            var known = taken
            var pending: [(stay: Stay, rooms: [Int32])] = []
            for _ in 0..<10 {
                let start = Int.random(in: 0..<5, using: &random)
                let stay = Stay(
                    arrival: nights[start],
                    departure: nights[start].advanced(by: .random(in: 1...(6 - start), using: &random)))!
                let asked = [BookingRequest.Room](
                    repeating: .init(type: 1, guests: 1, plan: PlanKey("1h")!),
                    count: .random(in: 1...2, using: &random))
                guard case .chosen(let found) = RoomChoice(for: asked, stay: stay, among: rooms(known)) else {
                    continue
                }
                let chosen = found.compactMap { $0 }
                for room in chosen { known[room]!.formUnion(stay.nights) }
                pending.append((stay, chosen))
            }
            // Half of the time the front desk was busy while we were not looking.
            let isBusy = round % 2 == 1
            var count = 0
            if isBusy {
                for room in taken.keys.sorted() {
                    taken[room]!.formUnion(nights.filter { _ in Int.random(in: 0..<6, using: &random) == 0 })
                }
            }
            for (stay, chosen) in pending {
                let asked = chosen.map { _ in BookingRequest.Room(type: 1, guests: 1, plan: PlanKey("1h")!) }
                let choice = RoomChoice(for: asked, stay: stay, among: rooms(taken), kept: chosen.map { $0 })
                let finding: PendingBooking.Finding = if case .chosen = choice { .possible } else { .impossible }
                let step = try? PendingBooking.taken(holdExpiresAt: nil).booking.after(.settle(finding), at: Self.made)
                guard step?.work == .write, case .chosen(let found) = choice else {
                    #expect(isBusy && step?.event == .conflict, "seed \(seed): nobody was in between")
                    continue
                }
                count += 1
                let given = found.compactMap { $0 }
                #expect(Set(given).count == given.count, "seed \(seed)")
                for room in given {
                    #expect(taken[room]!.isDisjoint(with: stay.nights), "seed \(seed): a room-night twice")
                    taken[room]!.formUnion(stay.nights)
                }
            }
            if !isBusy { #expect(count == pending.count, "seed \(seed)") }
        }
    }
}
