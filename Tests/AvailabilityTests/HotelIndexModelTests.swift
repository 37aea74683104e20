import Availability
import Stay
import TestSupport
import Testing

/// The index as anyone would write it without a thought for speed: how often each room-night is taken.
private struct Model {
    struct Key: Hashable {
        let room: Int32
        let night: Int
    }

    let rooms: [SellableRoom]
    let nightCount: Int
    var first = 0
    var taken: [Key: Int] = [:]

    func isFree(_ room: SellableRoom, _ night: Int) -> Bool { taken[Key(room: room.id, night: night), default: 0] == 0 }

    func available(type: Int32, nights: Range<Int>, guests: Int32) -> Int32 {
        Int32(
            rooms.count { room in
                room.type == type && room.capacity >= guests && nights.allSatisfy { isFree(room, $0) }
            })
    }

    mutating func change(room: Int32, nights: Range<Int>, by step: Int) {
        guard rooms.contains(where: { $0.id == room }) else { return }
        for night in nights where night >= first {
            let key = Key(room: room, night: night)
            taken[key] = max(0, taken[key, default: 0] + step)
        }
    }

    mutating func set(room: Int32, night: Int, count: Int) {
        guard rooms.contains(where: { $0.id == room }), night >= first else { return }
        taken[Key(room: room, night: night)] = max(0, count)
    }

    mutating func advance(to night: Int) {
        first = max(first, night)
        taken = taken.filter { $0.key.night >= first }
    }
}

@Suite("Hotel index against a model")
struct HotelIndexModelTests {
    private let epoch = Day("2026-12-20")!

    private func day(_ night: Int) -> Day { epoch.advanced(by: night) }

    @Test("Random histories give the same answers as a brute-force model", arguments: 1...60 as ClosedRange<UInt64>)
    func histories(seed: UInt64) {
        var generator = SeededNumbers(seed: seed)
        let types = (1...Int32.random(in: 1...4, using: &generator)).map { $0 * 10 }
        let rooms = (0..<Int32.random(in: 0...12, using: &generator)).map { number in
            SellableRoom(
                id: 100 + number, type: types.randomElement(using: &generator)!,
                capacity: .random(in: 1...4, using: &generator))
        }
        let nightCount = Int.random(in: 1...200, using: &generator)
        var model = Model(rooms: rooms, nightCount: nightCount)
        var index = HotelIndex(firstNight: epoch, nightCount: nightCount, types: types, rooms: rooms, taken: [])
        for _ in 0..<120 {
            mutate(&index, &model, using: &generator)
            guard agree(index, model, types: types, using: &generator) else { return }
        }
    }

    private func mutate(
        _ index: inout HotelIndex, _ model: inout Model, using generator: inout some RandomNumberGenerator
    ) {
        let room = Int32.random(in: 99...113, using: &generator)
        let start = model.first + Int.random(in: -5...(model.nightCount + 20), using: &generator)
        let nights = start..<start + Int.random(in: 1...40, using: &generator)
        switch Int.random(in: 0..<20, using: &generator) {
        case 0..<11:
            _ = index.take(room: room, nights: day(nights.lowerBound)..<day(nights.upperBound))
            model.change(room: room, nights: nights, by: 1)
        case 11..<14:
            let night = nights.lowerBound
            let count = Int32.random(in: -1...3, using: &generator)
            _ = index.set(room: room, night: day(night), takenCount: count)
            model.set(room: room, night: night, count: Int(count))
        case 14..<19:
            _ = index.release(room: room, nights: day(nights.lowerBound)..<day(nights.upperBound))
            model.change(room: room, nights: nights, by: -1)
        default:
            let steps = [0, 1, 1, 1, 2, 63, 64, 65, model.nightCount, model.nightCount + 3, -1]
            let target = model.first + steps.randomElement(using: &generator)!
            index.advance(to: day(target))
            model.advance(to: target)
        }
    }

    private func agree(
        _ index: HotelIndex, _ model: Model, types: [Int32], using generator: inout some RandomNumberGenerator
    ) -> Bool {
        let length = Int.random(in: 1...min(64, model.nightCount), using: &generator)
        let start = model.first + Int.random(in: 0...(model.nightCount - length), using: &generator)
        let guests = Int32.random(in: 1...5, using: &generator)
        let stay = Stay(arrival: day(start), departure: day(start + length))!
        var answer = AvailabilityAnswer()
        #expect(index.query(stay, guests: guests, into: &answer))
        let expected = types.map { model.available(type: $0, nights: start..<start + length, guests: guests) }
        let expectedNights = types.flatMap { type in
            (start..<start + length).map { model.available(type: type, nights: $0..<$0 + 1, guests: guests) }
        }
        #expect(index.firstNight == day(model.first))
        #expect(answer.types.map(\.available) == expected)
        #expect(answer.nights == expectedNights)
        #expect(types.map { index.availability(ofType: $0, stay: stay, guests: guests) } == expected)
        return answer.types.map(\.available) == expected && answer.nights == expectedNights
    }
}
