import Booking
import Stay
import Testing

@Suite("Booked rooms as the PMS has them now")
struct BookedRoomTests {
    private let first = Day("2027-01-10")!
    private let plan = PlanKey("1h")!

    private func sold(_ room: Int32, type: Int32 = 1, guests: Int32 = 2) -> SoldRoom {
        SoldRoom(type: type, room: room, guests: guests, plan: plan)
    }

    private func night(
        _ offset: Int, _ room: Int32?, type: Int32 = 1, guests: Int32? = 2, price: Int64? = 100,
        isCancelled: Bool = false
    ) -> ReservationNight {
        ReservationNight(
            night: first.advanced(by: offset), room: room, type: room.map { _ in type }, number: room.map { "\($0)" },
            guests: guests, price: price, isCancelled: isCancelled)
    }

    /// Each room's number and, night by night, what it costs.
    private func rooms(
        _ sold: [SoldRoom], _ nights: [ReservationNight], today: Int = -10
    ) -> [String] {
        BookedRoom.rooms(sold, nights: nights, today: first.advanced(by: today)).map { room in
            let nights = room.nights.map { "\(first.distance(to: $0.night)):\($0.price.map { "\($0)" } ?? "-")" }
            return "\(room.number ?? "none") \(nights.joined(separator: " "))"
        }
    }

    @Test("Nights stand with the room they were sold in")
    func unmoved() {
        let nights = [night(0, 102), night(0, 101, price: 90), night(1, 101, price: 80), night(1, 102)]
        #expect(rooms([sold(101), sold(102)], nights) == ["101 0:90 1:80", "102 0:100 1:100"])
    }

    @Test("A night for which nobody knows how many guests is shown where it was sold")
    func withoutGuests() {
        let nights = [night(0, 101), night(0, 102, price: 90), night(1, 101), night(1, 102, guests: nil, price: 80)]
        #expect(rooms([sold(102), sold(101)], nights) == ["102 0:90 1:80", "101 0:100 1:100"])
    }

    @Test("A room that was moved keeps its nights and shows the number it has now")
    func moved() {
        #expect(rooms([sold(101)], [night(0, 105), night(1, 105)]) == ["105 0:100 1:100"])
    }

    @Test(
        "Of a stay moved for some nights the next night's room is told",
        arguments: [(-1, "105"), (0, "105"), (1, "101"), (2, "101"), (9, "101")])
    func partlyMoved(today: Int, number: String) {
        let nights = [night(0, 105), night(1, 101), night(2, 101)]
        #expect(rooms([sold(101)], nights, today: today) == ["\(number) 0:100 1:100 2:100"])
    }

    @Test("One of several rooms that was moved is not mistaken for another")
    func oneOfSeveral() {
        let nights = [
            night(0, 101, price: 1), night(0, 102, price: 2), night(1, 102, price: 2), night(1, 105, price: 1),
            night(2, 102, price: 2), night(2, 106, price: 1),
        ]
        #expect(rooms([sold(101), sold(102)], nights) == ["101 0:1 1:1 2:1", "102 0:2 1:2 2:2"])
    }

    @Test("Two rooms that were moved are told apart by guests, then by type")
    func bothMoved() {
        let byGuests = [night(0, 105, guests: 1, price: 1), night(0, 106, guests: 3, price: 3)]
        #expect(
            rooms([sold(101, guests: 3), sold(102, guests: 1)], byGuests) == ["106 0:3", "105 0:1"])
        let byType = [night(0, 205, type: 2, price: 2), night(0, 106, price: 1)]
        #expect(rooms([sold(101), sold(201, type: 2)], byType) == ["106 0:1", "205 0:2"])
    }

    @Test("Two rooms that were exchanged keep their guests")
    func exchanged() {
        let nights = [night(0, 102, guests: 1, price: 1), night(0, 101, guests: 2, price: 2)]
        #expect(rooms([sold(101, guests: 1), sold(102, guests: 2)], nights) == ["102 0:1", "101 0:2"])
    }

    @Test("A moved night is followed the next night")
    func followed() {
        let nights = [
            night(0, 105, price: 1), night(0, 106, price: 2), night(1, 106, price: 2), night(1, 105, price: 1),
        ]
        let both = rooms([sold(101), sold(102)], nights)
        #expect(both == ["105 0:1 1:1", "106 0:2 1:2"])
    }

    @Test("A night without a room, or with other guests, still stands")
    func withoutRoom() {
        #expect(rooms([sold(101)], [night(0, nil), night(1, 101, guests: 1, price: nil)]) == ["none 0:100 1:-"])
    }

    @Test("Cancelled nights stand only where there are no others, each night once")
    func cancelled() {
        let cancelled = [night(0, 101, isCancelled: true), night(1, 101, isCancelled: true)]
        #expect(rooms([sold(101)], cancelled) == ["101 0:100 1:100"])
        #expect(rooms([sold(101)], [cancelled[0], night(0, 105, price: 7), cancelled[1]]) == ["105 0:7"])
        #expect(rooms([sold(101)], [cancelled[0], night(0, 105, isCancelled: true)]) == ["101 0:100"])
    }

    @Test("A reservation without nights has rooms without nights")
    func none() {
        #expect(rooms([sold(101), sold(102)], []) == ["none ", "none "])
        #expect(rooms([], [night(0, 101)]) == [])
    }

    /// Type, room and guests of each room now.
    private func current(_ sold: [SoldRoom], _ nights: [ReservationNight], today: Int = -10) -> [String] {
        BookedRoom.current(sold, nights: nights, today: first.advanced(by: today)).map {
            "\($0.type) \($0.room ?? 0) \($0.guests)"
        }
    }

    @Test("A room is the one it is in on its next night")
    func nextRoom() {
        let nights = [night(0, 101), night(1, 105, type: 2, guests: 1)]
        #expect(current([sold(101)], nights) == ["1 101 2"])
        #expect(current([sold(101)], nights, today: 1) == ["2 105 1"])
        #expect(current([sold(101)], nights, today: 9) == ["2 105 1"])
    }

    @Test("What the PMS does not say stays as it was sold")
    func unknown() {
        #expect(current([sold(101)], [night(0, nil, guests: nil)]) == ["1 101 2"])
        #expect(current([sold(101)], []) == ["1 101 2"])
        #expect(current([sold(101)], [night(0, 105, isCancelled: true)]) == ["1 101 2"])
    }

    @Test("A room without nights is none any more, and one that came is one")
    func otherRooms() {
        #expect(current([sold(101), sold(102)], [night(0, 102), night(1, 102)]) == ["1 102 2"])
        let nights = [
            night(0, 101), night(0, 107, type: 3, guests: 4), night(1, 101), night(1, 107, type: 3, guests: 4),
        ]
        #expect(current([sold(101)], nights) == ["1 101 2", "3 107 4"])
    }
}
