// Prints what one availability query costs, in nanoseconds, on one core: `swift run -c release bench-availability`.

import Availability
import Stay

/// An index with about a third of all room-nights taken, the same in every run.
func hotel(rooms: Int32, types: Int32) -> HotelIndex {
    var state: UInt64 = 42
    let first = Day("2027-01-01")!
    var taken: [TakenNight] = []
    for room in 1...rooms {
        for night in 0..<HotelIndex.defaultNightCount {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            if state >> 33 % 3 == 0 { taken.append(TakenNight(room: room, night: first.advanced(by: night))) }
        }
    }
    return HotelIndex(
        firstNight: first, types: Array(1...types),
        rooms: (1...rooms).map { SellableRoom(id: $0, type: ($0 - 1) % types + 1, capacity: 2) }, taken: taken)
}

/// The best of several runs: what the code costs when nothing else disturbs it.
func nanoseconds(perCallOf body: (Int) -> Int32) -> Double {
    let calls = 200_000
    var best = Duration.seconds(60)
    var sink: Int32 = 0
    for _ in 0..<5 {
        let time = ContinuousClock().measure {
            for call in 0..<calls { sink &+= body(call) }
        }
        best = min(best, time)
    }
    precondition(sink != .min)
    return Double(best.components.attoseconds) / 1e9 / Double(calls) + Double(best.components.seconds) * 1e9
}

func report(rooms: Int32, types: Int32, nights: Int, bound: Int?) {
    let index = hotel(rooms: rooms, types: types)
    var answer = AvailabilityAnswer()
    let stays = (0..<450).map { offset in
        let arrival = index.firstNight.advanced(by: offset)
        return Stay(arrival: arrival, departure: arrival.advanced(by: nights))!
    }
    let whole = nanoseconds { call in
        _ = index.query(stays[call % stays.count], into: &answer)
        return answer.types[0].available
    }
    let one = nanoseconds { call in index.availability(ofType: 1, stay: stays[call % stays.count]) ?? 0 }
    let bound = bound.map { " (must stay below \($0))" } ?? ""
    print("\(rooms) rooms, \(types) types, \(nights) nights: \(Int(whole)) ns\(bound); one type's count \(Int(one)) ns")
}

report(rooms: 20, types: 3, nights: 7, bound: 2000)
report(rooms: 300, types: 4, nights: 30, bound: 20_000)
report(rooms: 1000, types: 10, nights: 30, bound: nil)

var index = hotel(rooms: 300, types: 4)
let advance = ContinuousClock().measure { index.advance(to: index.firstNight.advanced(by: 1)) }
print("300 rooms, window advanced by a night: \(advance)")
