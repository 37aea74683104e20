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
