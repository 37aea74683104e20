import Booking
import Stay
import Testing

@Suite("Room choice")
struct RoomChoiceTests {
    private let first = Day("2027-01-10")!
    private var stay: Stay { Stay(arrival: first, departure: first.advanced(by: 3))! }

    private func room(
        _ id: Int32, type: Int32 = 1, capacity: Int32 = 2, priority: Int32? = nil, taken: [Int] = []
    ) -> CandidateRoom {
        CandidateRoom(
            id: id, type: type, capacity: capacity, priority: priority,
            takenNights: taken.map { first.advanced(by: $0) })
    }

    private func request(type: Int32 = 1, guests: Int32 = 2) -> BookingRequest.Room {
        BookingRequest.Room(type: type, guests: guests, plan: PlanKey("1h")!)
    }

    private func choose(_ requests: [BookingRequest.Room], _ rooms: [CandidateRoom]) -> RoomChoice {
        RoomChoice(for: requests, stay: stay, among: rooms)
    }

    @Test("The first free room by priority is chosen, rooms without priority last, then by id")
    func order() {
        let rooms = [room(5), room(4), room(9, priority: 2), room(8, priority: 2), room(7, priority: 1, taken: [1])]
        #expect(choose([request()], rooms) == .chosen([8]))
        #expect(choose([request(), request(), request()], rooms) == .chosen([8, 9, 4]))
        #expect(choose([request()], [room(1), room(2, priority: .max)]) == .chosen([2]))
    }

    @Test("Whoever keeps a room takes none from guests without one, but on nights for which he had none")
    func promised() {
        func choose(_ held: Range<Day>?, _ rooms: [CandidateRoom]) -> RoomChoice {
            // One free room is promised to a guest who has none yet.
            RoomChoice(for: [request()], stay: stay, among: rooms, kept: [1], held: held) { _, _ in -1 }
        }
        let nights = stay.nights
        let lacking = RoomChoice.lacking([Shortage(type: 1, nights: Array(nights))])
        for held in [nil, nights, nights.lowerBound..<nights.upperBound.advanced(by: 9)] {
            #expect(choose(held, [room(1)]) == .chosen([1]))
        }
        let later = nights.upperBound..<nights.upperBound.advanced(by: 3)
        for held in [later, nights.lowerBound..<nights.upperBound.advanced(by: -1)] {
            #expect(choose(held, [room(1)]) == lacking)
            #expect(choose(held, [room(1), room(2)]) == .chosen([1]))
        }
    }

    @Test("Whoever has a room keeps it if it is free, suits and is of the type")
    func kept() {
        func choose(_ requests: [BookingRequest.Room], _ rooms: [CandidateRoom], _ kept: [Int32?]) -> RoomChoice {
            RoomChoice(for: requests, stay: stay, among: rooms, kept: kept)
        }
        let rooms = [room(1), room(2), room(3, taken: [1]), room(4, type: 2)]
        #expect(choose([request()], rooms, [2]) == .chosen([2]))
        #expect(choose([request(), request()], rooms, [nil, 1]) == .chosen([2, 1]))
        #expect(choose([request()], rooms, [3]) == .chosen([1]))
        #expect(choose([request()], rooms, [4]) == .chosen([1]))
        #expect(choose([request(guests: 3)], [room(1), room(2, capacity: 3)], [1]) == .chosen([2]))
        #expect(choose([request()], rooms, [2, 1]) == .chosen([2]))
    }

    @Test("Rooms are given up rather than that somebody has none")
    func keptInVain() {
        let rooms = [room(1, capacity: 2), room(2, capacity: 4)]
        let choice = RoomChoice(
            for: [request(guests: 1), request(guests: 4)], stay: stay, among: rooms, kept: [2, nil])
        #expect(choice == .chosen([1, 2]))
    }

    @Test("A room must be free on every night, and the day of departure does not matter")
    func everyNight() {
        #expect(choose([request()], [room(1, taken: [2])]) == .lacking([shortage(1, [2])]))
        #expect(choose([request()], [room(1, taken: [-1, 3])]) == .chosen([1]))
    }

    @Test("A room must take the guests")
    func capacity() {
        #expect(choose([request(guests: 3)], [room(1), room(2, capacity: 3)]) == .chosen([2]))
        #expect(choose([request(guests: 4)], [room(1)]) == .lacking([shortage(1, [0, 1, 2])]))
    }

    @Test("Small parties leave the large rooms to large ones")
    func largestFirst() {
        let rooms = [room(1, capacity: 4, priority: 1), room(2, capacity: 2, priority: 2)]
        #expect(choose([request(guests: 1), request(guests: 4)], rooms) == .chosen([2, 1]))
    }

    @Test("Rooms of several types are chosen together or not at all")
    func severalTypes() {
        let rooms = [room(1), room(2, type: 2, taken: [0]), room(3, type: 3)]
        #expect(choose([request(), request(type: 3)], rooms) == .chosen([1, 3]))
        #expect(
            choose([request(type: 2), request(), request(type: 4), request(type: 2)], rooms)
                == .lacking([shortage(2, [0, 1, 2]), shortage(4, [0, 1, 2])]))
    }

    @Test("A shortage names the nights on which too few rooms are free")
    func nights() {
        let rooms = [room(1, taken: [1]), room(2)]
        #expect(choose([request(), request()], rooms) == .lacking([shortage(1, [1])]))
    }

    @Test("When no single night is short but no room is free throughout, every night is named")
    func fragmented() {
        let rooms = [room(1, taken: [0]), room(2, taken: [2])]
        #expect(choose([request()], rooms) == .lacking([shortage(1, [0, 1, 2])]))
    }

    private func shortage(_ type: Int32, _ nights: [Int]) -> Shortage {
        Shortage(type: type, nights: nights.map { first.advanced(by: $0) })
    }
}
