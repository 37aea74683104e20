import Booking
import Stay
import Testing

@Suite("Rooms for what was taken twice")
struct RoomMoveTests {
    private let first = Day("2027-01-10")!

    private func part(_ room: Int32, guests: Int32 = 1, nights: [Int] = [0, 1], type: Int32 = 1) -> RoomMove.Part {
        RoomMove.Part(room: room, type: type, guests: guests, nights: Set(nights.map { first.advanced(by: $0) }))
    }

    private func room(
        _ id: Int32, priority: Int32? = nil, capacity: Int32 = 2, type: Int32 = 1, taken: [Int] = []
    ) -> CandidateRoom {
        CandidateRoom(
            id: id, type: type, capacity: capacity, priority: priority,
            takenNights: taken.map { first.advanced(by: $0) })
    }

    @Test("The first by priority that is free on all its nights, of the type, large enough, and another one")
    func choice() {
        let rooms = [
            room(101), room(102, priority: 1, taken: [1]), room(103, type: 2), room(104, capacity: 1), room(105),
            room(106, priority: 9), room(107, priority: 2, taken: [2]),
        ]
        #expect(RoomMove.moves(of: [part(101, guests: 2)], among: rooms) == [RoomMove(from: 101, to: 107)])
        #expect(RoomMove.moves(of: [part(101, guests: 2, nights: [2])], among: rooms) == [RoomMove(from: 101, to: 102)])
    }

    @Test("Two parts get two rooms, the larger one first; or none of them moves")
    func several() {
        let parts = [part(101), part(102, guests: 2)]
        let small = room(104, priority: 1, capacity: 1)
        #expect(
            RoomMove.moves(of: parts, among: [small, room(105)])
                == [RoomMove(from: 102, to: 105), RoomMove(from: 101, to: 104)])
        #expect(RoomMove.moves(of: parts, among: [room(105)]) == nil)
        #expect(RoomMove.moves(of: parts, among: [small]) == nil)
    }
}
