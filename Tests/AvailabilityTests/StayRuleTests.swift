import Availability
import Stay
import Testing

@Suite("Rules about stays")
struct StayRuleTests {
    private let first = Day("2027-01-01")!

    private func day(_ offset: Int) -> Day { first.advanced(by: offset) }

    private func dates(_ offsets: ClosedRange<Int>) -> ClosedRange<Day> {
        day(offsets.lowerBound)...day(offsets.upperBound)
    }

    private func stay(_ arrival: Int, nights: Int) -> Stay {
        Stay(arrival: day(arrival), departure: day(arrival + nights))!
    }

    private func rules(_ rules: [StayRule]) -> StayRules { StayRules(rules, dates: first..<day(100)) }

    @Test("A minimum and a maximum hold for stays that arrive on their dates, whenever these end")
    func lengths() {
        let rules = rules([StayRule(dates: dates(10...11), minimumNights: 3, maximumNights: 5)])
        #expect(rules.obstacles(to: stay(9, nights: 1), type: 1) == [])
        #expect(rules.obstacles(to: stay(10, nights: 2), type: 1) == [.minimumStay(nights: 3)])
        #expect(rules.obstacles(to: stay(11, nights: 3), type: 1) == [])
        #expect(rules.obstacles(to: stay(11, nights: 5), type: 1) == [])
        #expect(rules.obstacles(to: stay(11, nights: 6), type: 1) == [.maximumStay(nights: 5)])
        #expect(rules.obstacles(to: stay(12, nights: 1), type: 1) == [])
        #expect(rules.obstacles(to: stay(8, nights: 10), type: 1) == [])
    }

    @Test("Arrival and departure are closed on the date itself; a stay may pass over it")
    func closed() {
        let rules = rules([
            StayRule(dates: dates(10...10), isClosedToArrival: true),
            StayRule(dates: dates(20...20), isClosedToDeparture: true),
        ])
        #expect(rules.obstacles(to: stay(10, nights: 1), type: 1) == [.closedToArrival])
        #expect(rules.obstacles(to: stay(9, nights: 1), type: 1) == [])
        #expect(rules.obstacles(to: stay(9, nights: 3), type: 1) == [])
        #expect(rules.obstacles(to: stay(19, nights: 1), type: 1) == [.closedToDeparture])
        #expect(rules.obstacles(to: stay(20, nights: 1), type: 1) == [])
        #expect(rules.obstacles(to: stay(10, nights: 10), type: 1) == [.closedToArrival, .closedToDeparture])
    }

    @Test("A stopped night is in no stay; the day it ends on is free to arrive")
    func stopped() {
        let rules = rules([StayRule(dates: dates(10...11), isStopped: true)])
        #expect(rules.obstacles(to: stay(9, nights: 1), type: 1) == [])
        #expect(rules.obstacles(to: stay(9, nights: 2), type: 1) == [.stopSell(nights: [day(10)])])
        #expect(rules.obstacles(to: stay(8, nights: 9), type: 1) == [.stopSell(nights: [day(10), day(11)])])
        #expect(rules.obstacles(to: stay(12, nights: 3), type: 1) == [])
    }

    @Test("A type has its own rules and those of all types, the strictest of each kind; others have only the latter")
    func types() {
        let rules = rules([
            StayRule(type: 7, dates: dates(5...9), minimumNights: 2, maximumNights: 9),
            StayRule(dates: dates(0...99), minimumNights: 4, maximumNights: 20),
            StayRule(type: 7, dates: dates(5...5), minimumNights: 6),
        ])
        #expect(rules.obstacles(to: stay(5, nights: 5), type: 7) == [.minimumStay(nights: 6)])
        #expect(rules.obstacles(to: stay(6, nights: 3), type: 7) == [.minimumStay(nights: 4)])
        #expect(rules.obstacles(to: stay(6, nights: 10), type: 7) == [.maximumStay(nights: 9)])
        #expect(rules.obstacles(to: stay(6, nights: 10), type: 8) == [])
        #expect(rules.obstacles(to: stay(6, nights: 3), type: 8) == [.minimumStay(nights: 4)])
    }

    @Test("A rule for some weekdays holds on no other")
    func weekdays() {
        let rules = rules([StayRule(dates: dates(0...99), weekdays: [.saturday], isClosedToArrival: true)])
        for offset in 0..<14 {
            let isSaturday = day(offset).weekday == .saturday
            #expect(rules.allow(stay(offset, nights: 1), type: 1) == !isSaturday)
        }
    }

    @Test("Dates that the rules do not know about have none, and rules that reach beyond hold within")
    func window() {
        let rules = rules([StayRule(dates: Day.first...Day.last, minimumNights: 1000, isClosedToDeparture: true)])
        #expect(rules.obstacles(to: stay(-3, nights: 2), type: 1) == [])
        #expect(rules.obstacles(to: stay(0, nights: 64), type: 1) == [.minimumStay(nights: 255), .closedToDeparture])
        #expect(rules.obstacles(to: stay(99, nights: 1), type: 1) == [.minimumStay(nights: 255)])
        #expect(rules.obstacles(to: stay(100, nights: 1), type: 1) == [])
        #expect(StayRules(dates: first..<first).allow(stay(0, nights: 1), type: 1))
        #expect(
            StayRules([StayRule(dates: dates(3...4), isStopped: true)], dates: day(5)..<day(9)).allow(
                stay(5, nights: 2), type: 1))
    }
}

@Suite("Overbooking")
struct OverbookingTests {
    private let first = Day("2027-01-01")!

    private func stay(_ arrival: Int, nights: Int) -> Stay {
        Stay(arrival: first.advanced(by: arrival), departure: first.advanced(by: arrival + nights))!
    }

    @Test("No more rooms than allowed are sold without there being one, on any night")
    func allowance() {
        var overbooking = Overbooking()
        #expect(overbooking.left(ofType: 1, stay: stay(0, nights: 3)) == 0)
        overbooking.allow([1: 2, 2: 0])
        #expect(overbooking.left(ofType: 1, stay: stay(0, nights: 3)) == 2)
        #expect(overbooking.left(ofType: 2, stay: stay(0, nights: 3)) == 0)
        overbooking.take(type: 1, nights: stay(2, nights: 2).nights)
        overbooking.take(type: 1, nights: stay(3, nights: 1).nights)
        #expect(overbooking.left(ofType: 1, stay: stay(0, nights: 2)) == 2)
        #expect(overbooking.left(ofType: 1, stay: stay(0, nights: 3)) == 1)
        #expect(overbooking.left(ofType: 1, stay: stay(0, nights: 4)) == 0)
        #expect(overbooking.release(type: 1, nights: stay(2, nights: 3).nights) == 1)
        #expect(overbooking.left(ofType: 1, stay: stay(0, nights: 5)) == 1)
    }

    @Test("A smaller allowance leaves what is sold, and past nights are forgotten")
    func smaller() {
        var overbooking = Overbooking()
        overbooking.allow([1: 3])
        for _ in 0..<3 { overbooking.take(type: 1, nights: stay(0, nights: 2).nights) }
        overbooking.allow([1: 1])
        #expect(overbooking.left(ofType: 1, stay: stay(0, nights: 1)) == 0)
        overbooking.advance(to: first.advanced(by: 1))
        #expect(overbooking.release(type: 1, nights: stay(0, nights: 2).nights) == 1)
        #expect(overbooking.left(ofType: 1, stay: stay(1, nights: 1)) == 0)
        #expect(overbooking.left(ofType: 1, stay: stay(2, nights: 1)) == 1)
    }
}

@Suite("Why rooms cannot be booked")
struct ObstacleTests {
    private let first = Day("2027-01-01")!

    private func stay(_ arrival: Int, nights: Int) -> Stay {
        Stay(arrival: first.advanced(by: arrival), departure: first.advanced(by: arrival + nights))!
    }

    private func obstacles(
        _ rooms: [SellableRoom], _ taken: [(room: Int32, night: Int)], guests: Int32 = 1, count: Int32 = 1
    ) -> [Obstacle] {
        HotelIndex(
            firstNight: first, nightCount: 100, types: [1], rooms: rooms,
            taken: taken.map { TakenNight(room: $0.room, night: first.advanced(by: $0.night)) }
        ).obstacles(ofType: 1, stay: stay(0, nights: 2), guests: guests, rooms: count)
    }

    @Test("Each reason is told as what it is, and none where rooms can be booked")
    func reasons() {
        let two = [SellableRoom(id: 1, type: 1, capacity: 2), SellableRoom(id: 2, type: 1, capacity: 4)]
        #expect(obstacles([], []) == [.noRooms])
        #expect(obstacles(two, []) == [])
        #expect(obstacles(two, [], count: 2) == [])
        #expect(obstacles(two, [], count: 3) == [.tooFewRooms(available: 2)])
        #expect(obstacles(two, [], guests: 5) == [.capacity(most: 4)])
        #expect(obstacles(two, [(1, 0), (2, 1)]) == [.noRoomThroughout])
        #expect(obstacles(two, [(1, 1), (2, 1)]) == [.soldOut(nights: [first.advanced(by: 1)])])
        #expect(obstacles(two, [(2, 0)], guests: 3) == [.soldOut(nights: [first])])
    }

    @Test("A stay outside the window and an unknown type have no reason here")
    func elsewhere() {
        let index = HotelIndex(firstNight: first, nightCount: 10, types: [1], rooms: [], taken: [])
        #expect(index.obstacles(ofType: 2, stay: stay(0, nights: 1)) == [])
        #expect(index.obstacles(ofType: 1, stay: stay(9, nights: 2)) == [])
    }
}
