import Availability
import Stay
import Testing

@Suite("Hotel index")
struct HotelIndexTests {
    private let first = Day("2027-01-01")!

    private func stay(_ offset: Int, nights: Int) -> Stay {
        Stay(arrival: first.advanced(by: offset), departure: first.advanced(by: offset + nights))!
    }

    private func nights(_ offsets: Range<Int>) -> Range<Day> {
        first.advanced(by: offsets.lowerBound)..<first.advanced(by: offsets.upperBound)
    }

    private func index(rooms: [SellableRoom], types: [Int32] = [1], taken: [TakenNight] = []) -> HotelIndex {
        HotelIndex(firstNight: first, nightCount: 100, types: types, rooms: rooms, taken: taken)
    }

    @Test("A stay needs one room that is free on every night, though each night has a free room")
    func sameRoomThroughout() {
        let rooms = [SellableRoom(id: 11, type: 1, capacity: 2), SellableRoom(id: 12, type: 1, capacity: 2)]
        let index = index(
            rooms: rooms,
            taken: [TakenNight(room: 11, night: first), TakenNight(room: 12, night: first.advanced(by: 1))])
        var answer = AvailabilityAnswer()
        #expect(index.query(stay(0, nights: 2), into: &answer))
        #expect(answer.types.map(\.available) == [0])
        #expect(Array(answer.nights(ofTypeAt: 0)) == [1, 1])
    }

    @Test("A room-night taken twice is free after both are given back")
    func takenTwice() {
        var index = index(rooms: [SellableRoom(id: 11, type: 1, capacity: 2)])
        #expect(index.take(room: 11, nights: nights(3..<4)).flipped == 1)
        #expect(index.take(room: 11, nights: nights(3..<4)).flipped == 0)
        #expect(index.takenCount(room: 11, night: first.advanced(by: 3)) == 2)
        #expect(index.release(room: 11, nights: nights(3..<4)).flipped == 0)
        #expect(index.availability(ofType: 1, stay: stay(3, nights: 1)) == 0)
        #expect(index.release(room: 11, nights: nights(3..<4)).flipped == 1)
        #expect(index.availability(ofType: 1, stay: stay(3, nights: 1)) == 1)
        #expect(index.release(room: 11, nights: nights(3..<4)) == IndexChange(ignored: 1))
    }

    @Test("Only rooms that take the guests count")
    func capacity() {
        let rooms = [1, 2, 2, 4].enumerated().map { SellableRoom(id: Int32($0), type: 1, capacity: $1) }
        var index = index(rooms: rooms)
        _ = index.take(room: 3, nights: nights(1..<2))
        var answer = AvailabilityAnswer()
        #expect(index.query(stay(0, nights: 2), guests: 2, into: &answer))
        #expect(answer.types == [TypeAvailability(type: 1, capacity: 4, total: 4, available: 2)])
        #expect(Array(answer.nights(ofTypeAt: 0)) == [3, 2])
        #expect(index.availability(ofType: 1, stay: stay(0, nights: 1), guests: 3) == 1)
        #expect(index.availability(ofType: 1, stay: stay(0, nights: 1), guests: 5) == 0)
    }

    @Test("A closed room counts as one of its type's, and is free on no night")
    func closed() {
        var index = index(rooms: [
            SellableRoom(id: 1, type: 1, capacity: 2), SellableRoom(id: 2, type: 1, capacity: 4, isClosed: true),
        ])
        var answer = AvailabilityAnswer()
        for offset in [70, 120] {
            #expect(index.query(stay(offset, nights: 2), into: &answer))
            #expect(answer.types == [TypeAvailability(type: 1, capacity: 4, total: 2, available: 1)])
            #expect(Array(answer.nights(ofTypeAt: 0)) == [1, 1])
            #expect(index.query(stay(offset, nights: 2), guests: 3, into: &answer))
            #expect(answer.types.map(\.available) == [0])
            #expect(Array(answer.nights(ofTypeAt: 0)) == [0, 0])
            #expect(index.release(room: 2, nights: nights(offset..<offset + 2)) == .unknownRoom)
            // Nights that come into the window later are no different.
            index.advance(to: first.advanced(by: 65))
        }
    }

    @Test("A hotel without rooms and a type without rooms have nothing free")
    func empty() {
        var answer = AvailabilityAnswer()
        #expect(index(rooms: [], types: []).query(stay(0, nights: 1), into: &answer))
        #expect(answer.types.isEmpty)
        let index = index(rooms: [SellableRoom(id: 1, type: 2, capacity: 2)], types: [1, 2])
        #expect(index.query(stay(0, nights: 2), into: &answer))
        #expect(answer.types.map(\.available) == [0, 1])
        #expect(Array(answer.nights(ofTypeAt: 0)) == [0, 0])
    }

    @Test("Unknown rooms, past nights and unknown types are reported, and change nothing")
    func unknown() {
        var index = index(rooms: [SellableRoom(id: 1, type: 1, capacity: 2)])
        #expect(index.take(room: 99, nights: nights(0..<3)) == .unknownRoom)
        #expect(index.release(room: 99, nights: nights(0..<3)) == .unknownRoom)
        #expect(index.take(room: 1, nights: nights(-2..<1)) == IndexChange(flipped: 1, ignored: 2))
        #expect(index.availability(ofType: 7, stay: stay(0, nights: 1)) == nil)
        var answer = AvailabilityAnswer()
        #expect(!index.query(stay(0, nights: 1), type: 7, into: &answer))
        #expect(index.takenCount(room: 99, night: first) == nil)
    }

    @Test("The index answers up to its window's edges and for at most 64 nights")
    func edges() {
        let index = index(rooms: [SellableRoom(id: 1, type: 1, capacity: 2)])
        #expect(index.availability(ofType: 1, stay: stay(36, nights: 64)) == 1)
        #expect(index.availability(ofType: 1, stay: stay(0, nights: 65)) == nil)
        #expect(index.availability(ofType: 1, stay: stay(99, nights: 1)) == 1)
        #expect(index.availability(ofType: 1, stay: stay(99, nights: 2)) == nil)
        #expect(index.availability(ofType: 1, stay: stay(-1, nights: 1)) == nil)
        #expect(index.availability(ofType: 1, stay: Stay(arrival: .first, departure: .last)!) == nil)
    }

    @Test("A stay over a word's boundary sees both sides of it", arguments: [62, 63, 64, 65])
    func wordBoundary(takenNight: Int) {
        var index = index(rooms: [SellableRoom(id: 1, type: 1, capacity: 2)])
        _ = index.take(room: 1, nights: nights(takenNight..<takenNight + 1))
        for arrival in 50..<80 {
            let isFree = !(arrival..<arrival + 7).contains(takenNight)
            #expect(index.availability(ofType: 1, stay: stay(arrival, nights: 7)) == (isFree ? 1 : 0))
        }
    }

    @Test("Nights taken beyond the window count once they have come into it")
    func beyondTheWindow() {
        var index = index(rooms: [SellableRoom(id: 1, type: 1, capacity: 2)])
        _ = index.take(room: 1, nights: nights(99..<102))
        _ = index.take(room: 1, nights: nights(101..<102))
        index.advance(to: first.advanced(by: 5))
        #expect(index.availability(ofType: 1, stay: stay(100, nights: 1)) == 0)
        #expect(index.availability(ofType: 1, stay: stay(102, nights: 1)) == 1)
        #expect(index.release(room: 1, nights: nights(101..<102)).flipped == 0)
        #expect(index.release(room: 1, nights: nights(101..<102)).flipped == 1)
    }

    @Test("Nights without a room are counted by night, and forgotten when past")
    func unassigned() {
        var index = index(rooms: [], taken: [TakenNight(room: nil, night: first), TakenNight(room: nil, night: first)])
        index.takeUnassigned(on: first.advanced(by: 200))
        index.takeUnassigned(on: first.advanced(by: -1))
        #expect(index.unassigned(on: first) == 2)
        #expect(index.unassigned(on: first.advanced(by: -1)) == 0)
        let wasCounted = index.releaseUnassigned(on: first)
        #expect(wasCounted)
        #expect(index.unassigned(on: first) == 1)
        index.advance(to: first.advanced(by: 150))
        #expect(index.unassigned(on: first) == 0)
        #expect(index.unassigned(on: first.advanced(by: 200)) == 1)
        let isStillCounted = index.releaseUnassigned(on: first)
        #expect(!isStillCounted)
    }

    @Test("Of two rooms with one id the first counts")
    func duplicateRoom() {
        let index = index(
            rooms: [SellableRoom(id: 1, type: 1, capacity: 2), SellableRoom(id: 1, type: 2, capacity: 4)],
            types: [1, 2])
        #expect(index.availability(ofType: 1, stay: stay(0, nights: 1)) == 1)
        #expect(index.availability(ofType: 2, stay: stay(0, nights: 1)) == 0)
    }

    @Test("A number of rooms suffices if that many are available")
    func suffices() {
        let two = TypeAvailability(type: 1, capacity: 2, total: 5, available: 2)
        #expect(two.suffices(forRooms: 2))
        #expect(!two.suffices(forRooms: 3))
    }
}
