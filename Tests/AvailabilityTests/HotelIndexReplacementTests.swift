import Availability
import Stay
import Testing

@Suite("Part of the calendar read anew")
struct HotelIndexReplacementTests {
    private let today = Day("2027-12-20")!

    private func randomNights(_ generator: inout SystemRandomNumberGenerator) -> [TakenNight] {
        (0..<Int.random(in: 0...60, using: &generator)).map { _ in
            let room: Int32? = [nil, 1, 2, 3, 4, 9].randomElement(using: &generator)!
            return TakenNight(room: room, night: today.advanced(by: .random(in: -3...45, using: &generator)))
        }
    }

    @Test("It is then as if the index had been made of what was read there and what was known elsewhere")
    func replacement() {
        var generator = SystemRandomNumberGenerator()
        let rooms = [(1, 1), (2, 1), (3, 2), (4, 2)].map {
            SellableRoom(id: Int32($0.0), type: Int32($0.1), capacity: 2)
        }
        func index(_ taken: [TakenNight]) -> HotelIndex {
            HotelIndex(firstNight: today, nightCount: 30, types: [1, 2], rooms: rooms, taken: taken)
        }
        for _ in 0..<500 {
            let (old, new) = (randomNights(&generator), randomNights(&generator))
            let first = today.advanced(by: .random(in: -5...40, using: &generator))
            let nights = first..<first.advanced(by: .random(in: 0...20, using: &generator))
            let asked: [Int32]? = [nil, [1, 2], [3], []].randomElement(using: &generator)!
            func isAsked(_ night: TakenNight) -> Bool {
                guard nights.contains(night.night) else { return false }
                guard let asked else { return true }
                return night.room.map(asked.contains) ?? false
            }
            let read = new.filter(isAsked)
            let expected = index(old.filter { !isAsked($0) } + read)
            var replaced = index(old)
            let flipped = replaced.replace(rooms: asked, nights: nights, with: read)
            for offset in 0..<45 {
                let night = today.advanced(by: offset)
                #expect(replaced.unassigned(on: night) == expected.unassigned(on: night), "\(old) \(new) \(nights)")
                for room in rooms {
                    #expect(
                        replaced.takenCount(room: room.id, night: night)
                            == expected.takenCount(room: room.id, night: night),
                        "\(old) \(new) \(nights)")
                }
            }
            // What lies behind the window flips nothing.
            #expect(flipped == replaced.difference(from: index(old)))
            #expect(replaced.difference(from: expected) == 0)
        }
    }
}
