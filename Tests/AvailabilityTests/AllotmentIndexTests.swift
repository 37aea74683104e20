import Availability
import Stay
import TestSupport
import Testing

@Suite("Allotments")
struct AllotmentIndexTests {
    private let first = Day("2027-02-27")!

    private func day(_ offset: Int) -> Day { first.advanced(by: offset) }

    private func stay(_ arrival: Int, nights: Int) -> Stay {
        Stay(arrival: day(arrival), departure: day(arrival + nights))!
    }

    private func index(_ left: [Int32], nightCount: Int = 20) -> AllotmentIndex {
        AllotmentIndex(
            firstNight: first, nightCount: nightCount, types: [.init(id: 1, capacity: 2, roomCount: 9)],
            allotments: left.enumerated().map { .init(type: 1, night: day($0), left: $1) })
    }

    @Test("A stay has as many rooms as its worst night, none where it is overbooked or nothing is told")
    func worstNight() {
        let index = index([3, 5, 1, -2, 4])
        var answer = AvailabilityAnswer()
        #expect(index.query(stay(0, nights: 3), into: &answer))
        #expect(answer.types == [TypeAvailability(type: 1, capacity: 2, total: 9, available: 1)])
        #expect(Array(answer.nights(ofTypeAt: 0)) == [3, 5, 1])
        #expect(index.query(stay(2, nights: 4), into: &answer))
        #expect(answer.types.map(\.available) == [0])
        #expect(Array(answer.nights(ofTypeAt: 0)) == [1, 0, 4, 0])
        #expect(index.query(stay(0, nights: 1), guests: 3, into: &answer))
        #expect(answer.types.map(\.available) == [0])
    }

    @Test("What is unknown or outside the window is said, and changes nothing")
    func unknown() {
        var index = index([1, 1])
        let before = index.availability(ofType: 1, stay: stay(0, nights: 2))
        #expect(index.availability(ofType: 2, stay: stay(0, nights: 1)) == nil)
        #expect(index.availability(ofType: 1, stay: stay(19, nights: 2)) == nil)
        #expect(index.availability(ofType: 1, stay: stay(-1, nights: 2)) == nil)
        var answer = AvailabilityAnswer()
        #expect(!index.query(stay(0, nights: 1), type: 2, into: &answer))
        let wasSet = [
            index.set(.init(type: 2, night: first, left: 5)), index.set(.init(type: 1, night: day(20), left: 5)),
            index.set(.init(type: 1, night: day(-1), left: 5)), index.take(1, ofType: 2, nights: first..<day(1)),
        ]
        #expect(wasSet == [false, false, false, false])
        #expect(index.availability(ofType: 1, stay: stay(0, nights: 2)) == before)
    }

    @Test("Counts do not leave the range of their type")
    func extremes() {
        var index = index([.min + 1, .max - 1])
        _ = index.take(.max, ofType: 1, nights: first..<day(1))
        _ = index.take(-.max, ofType: 1, nights: day(1)..<day(2))
        #expect(index.availability(ofType: 1, stay: stay(0, nights: 1)) == 0)
        #expect(index.availability(ofType: 1, stay: stay(1, nights: 1)) == .max)
    }

    @Test("Random histories give the same answers as a plain dictionary", arguments: 1...40 as ClosedRange<UInt64>)
    func histories(seed: UInt64) {
        var generator = SeededNumbers(seed: seed)
        let types = (1...Int32.random(in: 1...4, using: &generator)).map {
            AllotmentIndex.RoomType(id: $0, capacity: .random(in: 1...4, using: &generator), roomCount: 10)
        }
        let nightCount = Int.random(in: 1...90, using: &generator)
        var index = AllotmentIndex(firstNight: first, nightCount: nightCount, types: types, allotments: [])
        var model: [[Int]: Int32] = [:]
        var start = 0
        for _ in 0..<150 {
            let type = types.randomElement(using: &generator)!
            let night = start + Int.random(in: 0..<nightCount, using: &generator)
            let length = Int.random(in: 1...min(40, start + nightCount - night), using: &generator)
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<5:
                let left = Int32.random(in: -2...9, using: &generator)
                _ = index.set(.init(type: type.id, night: day(night), left: left))
                model[[Int(type.id), night]] = left
            case 5..<9:
                let rooms = Int32.random(in: -2...2, using: &generator)
                _ = index.take(rooms, ofType: type.id, nights: day(night)..<day(night + length))
                for night in night..<night + length { model[[Int(type.id), night], default: 0] -= rooms }
            default:
                let days = [0, 1, 2, nightCount, nightCount + 2].randomElement(using: &generator)!
                start += days
                index.advance(to: day(start))
                // What came in was not told of.
                model = model.filter { $0.key[1] >= start }
            }
            let arrival = start + Int.random(in: 0..<nightCount, using: &generator)
            let nights = Int.random(in: 1...min(64, start + nightCount - arrival), using: &generator)
            let guests = Int32.random(in: 1...4, using: &generator)
            let expected = types.map { type in
                (arrival..<arrival + nights).map { night in
                    type.capacity >= guests ? max(0, model[[Int(type.id), night], default: 0]) : 0
                }
            }
            var answer = AvailabilityAnswer()
            #expect(index.query(stay(arrival, nights: nights), guests: guests, into: &answer))
            #expect(answer.nights == expected.flatMap { $0 })
            #expect(answer.types.map(\.available) == expected.map { $0.min()! })
        }
    }
}
