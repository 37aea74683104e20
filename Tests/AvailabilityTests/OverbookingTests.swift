import Availability
import Stay
import Testing

@Suite("Overbooking")
struct OverbookingTests {
    private let first = Day("2027-01-01")!

    private func day(_ offset: Int) -> Day { first.advanced(by: offset) }

    private func stay(_ arrival: Int, nights: Int) -> Stay {
        Stay(arrival: day(arrival), departure: day(arrival + nights))!
    }

    @Test("What is sold without a room takes from the allowance on each of its nights, and then from the free rooms")
    func allowance() {
        var overbooking = Overbooking()
        #expect(overbooking.isEmpty)
        #expect(overbooking.balance(ofType: 1, stay: stay(0, nights: 3)) == 0)
        overbooking.allow([1: 2, 2: 0])
        #expect(overbooking.balance(ofType: 1, stay: stay(0, nights: 3)) == 2)
        #expect(overbooking.balance(ofType: 2, stay: stay(0, nights: 3)) == 0)
        overbooking.take(type: 1, nights: stay(2, nights: 2).nights)
        overbooking.take(type: 1, nights: stay(3, nights: 1).nights)
        #expect(overbooking.balance(ofType: 1, stay: stay(0, nights: 2)) == 2)
        #expect(overbooking.balance(ofType: 1, stay: stay(0, nights: 3)) == 1)
        #expect(overbooking.balance(ofType: 1, stay: stay(0, nights: 4)) == 0)
        overbooking.allow([1: 1])
        #expect(overbooking.balance(ofType: 1, stay: stay(0, nights: 4)) == -1)
        #expect(overbooking.known(on: day(3)) == 2)
        overbooking.advance(to: day(3))
        #expect(overbooking.balance(ofType: 1, stay: stay(2, nights: 1)) == 1)
        #expect(overbooking.balance(ofType: 1, stay: stay(3, nights: 1)) == -1)
    }

    @Test("Where nobody knows which of its rooms a reservation lacks, each type is counted that it may be")
    func mixed() {
        var overbooking = Overbooking()
        overbooking.replaceSold(with: [
            .init(night: first, count: 2, types: [1: 1, 2: 3]), .init(night: first, count: 1, types: [2: 1]),
            .init(night: day(1), count: 1, types: [:]), .init(night: day(2), count: 0, types: [1: 1]),
        ])
        #expect(overbooking.balance(ofType: 1, on: first) == -1)
        #expect(overbooking.balance(ofType: 2, on: first) == -3)
        #expect(overbooking.known(on: first) == 3)
        #expect(overbooking.known(on: day(1)) == 0)
        #expect(overbooking.balance(ofType: 1, on: day(2)) == 0)
    }

    @Test("What two know to be sold is the larger of both; what is given up is not counted, if it was")
    func merged() {
        var one = Overbooking()
        one.allow([1: 3])
        one.take(type: 1, nights: stay(0, nights: 2).nights)
        var other = Overbooking()
        other.take(type: 1, nights: stay(1, nights: 1).nights)
        other.take(type: 1, nights: stay(1, nights: 1).nights)
        other.take(type: 2, nights: stay(1, nights: 1).nights)
        one.raiseSold(to: other)
        #expect((0..<3).map { one.balance(ofType: 1, on: day($0)) } == [2, 1, 3])
        #expect(one.balance(ofType: 2, on: day(1)) == -1)
        #expect(one.known(on: day(1)) == 3)
        one.release(type: 1, on: day(0))
        one.release(type: 1, on: day(0))
        one.release(type: 1, on: day(1))
        #expect((0..<3).map { one.balance(ofType: 1, on: day($0)) } == [3, 2, 3])
        #expect((0..<2).map { one.known(on: day($0)) } == [0, 2])
        other.release(type: 2, on: day(1))
        #expect(other.balance(ofType: 2, on: day(1)) == 0)
    }
}

@Suite("Why rooms cannot be booked")
struct ObstacleTests {
    private let first = Day("2027-01-01")!

    private func day(_ offset: Int) -> Day { first.advanced(by: offset) }

    private func stay(_ arrival: Int, nights: Int) -> Stay {
        Stay(arrival: day(arrival), departure: day(arrival + nights))!
    }

    private func obstacles(
        _ rooms: [SellableRoom], _ taken: [(room: Int32, night: Int)], guests: Int32 = 1, count: Int32 = 1,
        allowance: Int32 = 0, sold: [Int] = [], rules: [StayRule] = []
    ) -> [Obstacle] {
        var availability = HotelAvailability(
            rooms: HotelIndex(
                firstNight: first, nightCount: 100, types: [1], rooms: rooms,
                taken: taken.map { TakenNight(room: $0.room, night: day($0.night)) }))
        availability.overbooking.allow([1: allowance])
        for night in sold { availability.overbooking.take(type: 1, nights: day(night)..<day(night + 1)) }
        availability.follow(rules)
        return availability.obstacles(ofType: 1, stay: stay(0, nights: 2), guests: guests, rooms: count)
    }

    @Test("Each reason is told as what it is, and none where rooms can be booked")
    func reasons() {
        let two = [SellableRoom(id: 1, type: 1, capacity: 2), SellableRoom(id: 2, type: 1, capacity: 4)]
        #expect(obstacles([], []) == [.noRooms])
        #expect(obstacles([], [], allowance: 3) == [.noRooms])
        #expect(obstacles(two, []) == [])
        #expect(obstacles(two, [], count: 2) == [])
        #expect(obstacles(two, [], count: 3) == [.tooFewRooms(available: 2)])
        #expect(obstacles(two, [], guests: 5, allowance: 3) == [.capacity(most: 4)])
        #expect(obstacles(two, [(1, 0), (2, 1)]) == [.noRoomThroughout])
        #expect(obstacles(two, [(1, 1), (2, 1)]) == [.soldOut(nights: [day(1)])])
        #expect(obstacles(two, [(2, 0)], guests: 3) == [.soldOut(nights: [day(0)])])
        let closed = [SellableRoom(id: 1, type: 1, capacity: 2, isClosed: true)]
        #expect(obstacles(closed, []) == [.soldOut(nights: [day(0), day(1)]), .notCounted(rooms: 1)])
    }

    @Test("What may be sold beyond the free rooms is no obstacle, and what is promised of them is one")
    func overbooking() {
        let one = [SellableRoom(id: 1, type: 1, capacity: 2)]
        #expect(obstacles(one, [(1, 0), (1, 1)], allowance: 1) == [])
        #expect(obstacles(one, [(1, 0), (1, 1)], count: 2, allowance: 1) == [.tooFewRooms(available: 1)])
        #expect(obstacles(one, [(1, 0), (1, 1)], allowance: 1, sold: [1]) == [.soldOut(nights: [day(1)])])
        #expect(obstacles(one, [], sold: [0]) == [.soldOut(nights: [day(0)])])
    }

    @Test("Rules are told beside what the rooms say, and make no night sold out")
    func rules() {
        let one = [SellableRoom(id: 1, type: 1, capacity: 2)]
        let stopped = StayRule(dates: day(1)...day(1), minimumNights: 3, isStopped: true)
        #expect(obstacles(one, [], rules: [stopped]) == [.stopSell(nights: [day(1)])])
        #expect(
            obstacles(one, [(1, 0)], rules: [stopped, StayRule(type: 1, dates: first...first, minimumNights: 3)])
                == [.soldOut(nights: [day(0)]), .minimumStay(nights: 3), .stopSell(nights: [day(1)])])
        #expect(obstacles(one, [], rules: [StayRule(type: 2, dates: first...first, isClosedToArrival: true)]) == [])
    }

    @Test("A stay outside the window and an unknown type have no reason here")
    func elsewhere() {
        let availability = HotelAvailability(
            rooms: HotelIndex(firstNight: first, nightCount: 10, types: [1], rooms: [], taken: []))
        #expect(availability.obstacles(ofType: 2, stay: stay(0, nights: 1)) == [])
        #expect(availability.obstacles(ofType: 1, stay: stay(9, nights: 2)) == [])
    }
}
