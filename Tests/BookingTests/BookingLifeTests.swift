import Booking
import Testing

@Suite("The life of a booking")
struct BookingLifeTests {
    private static let made = Instant(microseconds: 1_800_000_000_000_000)
    private static let end = Instant(microseconds: made.microseconds + 60_000_000)

    /// A life that stands so, as it came to.
    private func life(_ status: Booking.Status, version: Int32 = 1, wasHold: Bool = true) -> BookingLife {
        BookingLife(status: status, version: version, holdExpiresAt: wasHold ? Self.end : nil)
    }

    @Test("A booking begins with version 1 and says that it was made")
    func beginning() {
        let confirmed = BookingLife.created(holdExpiresAt: nil)
        #expect(confirmed.life == BookingLife(status: .confirmed, version: 1, holdExpiresAt: nil))
        #expect(confirmed.event == .created)
        #expect(BookingLife.created(holdExpiresAt: Self.end).life.status == .hold)
    }

    @Test("A hold can be confirmed until the moment it ends, and expire from then on")
    func holdEnds() throws {
        let before = Instant(microseconds: Self.end.microseconds - 1)
        #expect(try life(.hold).after(.confirm, at: before).life.status == .confirmed)
        #expect(throws: BookingLife.Refusal.notDue) { try life(.hold).after(.expire, at: before) }
        #expect(throws: BookingLife.Refusal.ended(.expired)) { try life(.hold).after(.confirm, at: Self.end) }
        #expect(throws: BookingLife.Refusal.ended(.expired)) { try life(.hold).after(.change, at: Self.end) }
        let expired = try life(.hold).after(.expire, at: Self.end)
        #expect(expired.life == life(.expired, version: 2))
        #expect(expired.event == .cancelled)
    }

    @Test("What is confirmed or cancelled already is not done again")
    func again() throws {
        for command in [BookingLife.Command.confirm, .frontDesk(.confirmed), .frontDesk(.hold), .frontDesk(.checkedIn)]
        {
            let step = try life(.confirmed).after(command, at: Self.made)
            #expect(step.event == nil)
            #expect(step.life == life(.confirmed))
        }
        #expect(try life(.cancelled).after(.cancel, at: Self.made).event == nil)
    }

    @Test("Nothing is done to what has ended", arguments: [Booking.Status.cancelled, .expired])
    func ended(status: Booking.Status) {
        for command in [BookingLife.Command.change, .confirm] {
            #expect(throws: BookingLife.Refusal.ended(status)) { try life(status).after(command, at: Self.made) }
        }
        #expect(throws: BookingLife.Refusal.notDue) { try life(status).after(.expire, at: Self.end) }
        for reservation in ReservationStatus.allCases { #expect(life(status).afterFrontDesk(reservation).event == nil) }
    }

    @Test("A hold that has expired cannot be cancelled any more")
    func cancelExpired() {
        #expect(throws: BookingLife.Refusal.ended(.expired)) { try life(.expired).after(.cancel, at: Self.end) }
    }

    @Test(
        "What the front desk changes is a version of what takes rooms, whatever it is",
        arguments: [Booking.Status.hold, .confirmed])
    func changedByFrontDesk(status: Booking.Status) {
        for reservation in ReservationStatus.allCases {
            let step = life(status).afterFrontDesk(reservation, isChanged: true)
            #expect(step.life.version == 2)
            #expect(step.event == (reservation == .cancelled ? .cancelled : .updated))
        }
        #expect(life(.expired).afterFrontDesk(.confirmed, isChanged: true).event == nil)
        #expect(life(.cancelled).afterFrontDesk(.confirmed, isChanged: true).event == nil)
    }

    @Test("A conflict has an event of its own, and its end is a change")
    func conflict() throws {
        #expect(try life(.confirmed).after(.conflict, at: Self.made).event == .conflict)
        for command in [BookingLife.Command.move, .settle] {
            let step = try life(.hold).after(command, at: Self.end)
            #expect(step.event == .updated)
            #expect(step.life == life(.hold, version: 2))
        }
        #expect(throws: BookingLife.Refusal.ended(.cancelled)) { try life(.cancelled).after(.move, at: Self.made) }
    }

    @Test("Random histories: versions have no gaps, each has one event, and an end is an end")
    func histories() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = Numbers(state: seed)
        let commands =
            [BookingLife.Command.change, .confirm, .cancel, .expire, .move, .conflict, .settle]
            + ReservationStatus.allCases.map { .frontDesk($0) }
        for _ in 0..<5_000 {
            var now = Self.made
            var step = BookingLife.created(holdExpiresAt: Bool.random(using: &random) ? Self.end : nil)
            var life = step.life
            var events: [BookingEvent.Kind] = [.created]
            for _ in 0..<Int.random(in: 1...20, using: &random) {
                now = Instant(microseconds: now.microseconds + .random(in: 0...30_000_000, using: &random))
                let command = commands.randomElement(using: &random)!
                let before = life
                do { step = try life.after(command, at: now) } catch {
                    #expect(before == life, "seed \(seed)")
                    if case .ended(let status) = error {
                        let isOver = before.status == .hold && now >= Self.end
                        #expect(status == before.status || isOver && status == .expired, "seed \(seed)")
                    }
                    continue
                }
                life = step.life
                guard let event = step.event else {
                    #expect(life == before, "seed \(seed)")
                    continue
                }
                events.append(event)
                #expect(life.version == before.version + 1, "seed \(seed)")
                #expect(before.status == .hold || before.status == .confirmed, "seed \(seed): \(before) \(command)")
                #expect(life.holdExpiresAt == before.holdExpiresAt, "seed \(seed)")
                // Nobody gets rooms again whose time is over, unless the front desk gives them.
                if command == .confirm, before.status == .hold { #expect(now < Self.end, "seed \(seed)") }
                #expect((life.status == .cancelled || life.status == .expired) == (event == .cancelled), "seed \(seed)")
            }
            #expect(events.count == Int(life.version), "seed \(seed)")
            #expect(events.count { $0 == .created } == 1 && events.count { $0 == .cancelled } <= 1, "seed \(seed)")
            #expect(
                events.contains(.cancelled) == [.cancelled, .expired].contains(life.status), "seed \(seed): \(events)")
        }
    }

    /// The same numbers for the same seed (SplitMix64: Steele, Lea, Flood 2014).
    private struct Numbers: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }
}
