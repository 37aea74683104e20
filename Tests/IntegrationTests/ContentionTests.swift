import JSONText
import Loop
import Stay
import Testing

@Suite("Many who want the same rooms")
struct ContentionTests {
    init() { Loop.runInBackground() }

    /// Sends all at the same moment, each on a connection of its own that is open already.
    @OnLoop private func sendAtOnce(_ node: Node, _ bodies: [BookingBody]) async throws -> [Answer] {
        let gateway = try node.gateway
        let prepared = try await concurrently(bodies) { (try await gateway.connect(), try node.request($0)) }
        defer { for (connection, _) in prepared { connection.close() } }
        return try await concurrently(prepared) { connection, request in try await connection.send(request) }
    }

    @Test("Of 200 who want the last room of a type one gets it and 199 are told which nights lack rooms")
    @OnLoop func lastRoom() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(2)
        #expect(try await node.book(BookingBody(stay, hotel: 1, type: 11, rooms: 5)).status == 201)
        #expect(try await node.available(1, 11, stay) == 1)

        let name = "last-room-\(UInt64.random(in: 0 ... .max))"
        let bodies = (0..<200).map { number in
            var body = BookingBody(stay, hotel: 1, type: 11)
            body.engineID = "\(name)-\(number)"
            body.guestName = "\(name) \(number)"
            return body
        }
        let answers = try await sendAtOnce(node, bodies)
        #expect(answers.count { $0.status == 201 } == 1)
        let refused = answers.filter { $0.status != 201 }
        #expect(refused.count == 199)
        for answer in refused {
            expectProblem(answer, 409, "no-availability")
            let nights = answer.elements("shortages.0.nights").compactMap(\.string)
            #expect(nights == stay.nights.map(\.description))
            #expect(answer.integer("shortages.0.room_type_id") == 11)
        }

        // Nothing of the others has come into the PMS.
        let like = "LIKE '\(name)%'"
        let winner = try #require(answers.first { $0.status == 201 }?.string("booking_id"))
        #expect(
            try await node.rows("SELECT id FROM reservations WHERE hotel_id = 1 AND ota_reservation_id \(like)")
                == [[winner]])
        #expect(try await node.value("SELECT count(*) FROM clients WHERE name \(like)") == "1")
        #expect(
            try await node.value("SELECT count(*) FROM drawbridge.bookings WHERE booking_engine_id \(like)") == "1")
        #expect(
            try await node.value("SELECT count(*) FROM booking_sync_status WHERE booking_engine_id \(like)") == "1")
        #expect(try await node.available(1, 11, stay) == 0)
        try await expectAgreement(node, hotel: 1, stay)
    }

    @Test("Overlapping stays never share a room on a night, and the index says what the database says")
    @OnLoop func overlapping() async throws {
        let node = try await Node.shared()
        let window = TestStay.next(8)
        var random = SystemRandomNumberGenerator()
        let bodies = (0..<60).map { _ in
            let start = Int.random(in: 0..<6, using: &random)
            let nights = Int.random(in: 1...2, using: &random)
            let stay = TestStay(arrival: window.arrival.advanced(by: start), nights: nights)
            return BookingBody(stay, hotel: 1, type: 13, rooms: Int.random(in: 1...3, using: &random))
        }
        let answers = try await sendAtOnce(node, bodies)
        #expect(answers.allSatisfy { $0.status == 201 || $0.problem == "no-availability" })
        #expect(answers.contains { $0.status == 201 })
        #expect(
            try await node.rows(
                """
                SELECT room_id, date FROM reservation_details
                WHERE hotel_id = 1 AND \(window.sql) AND cancelled IS NULL GROUP BY 1, 2 HAVING count(*) > 1
                """) == [])
        let booked = answers.filter { $0.status == 201 }.reduce(0) { nights, answer in
            nights + answer.elements("rooms").reduce(0) { $0 + Self.nights(of: $1) }
        }
        #expect(
            try await node.value(
                """
                SELECT count(*) FROM reservation_details JOIN rooms ON rooms.hotel_id = 1 AND rooms.id = room_id
                WHERE reservation_details.hotel_id = 1 AND room_type_id = 13 AND \(window.sql) AND cancelled IS NULL
                """) == String(booked))
        try await expectAgreement(node, hotel: 1, window)
    }

    private static func nights(of room: JSONValue) -> Int {
        if case .array(let nights)? = room["nights"] { nights.count } else { 0 }
    }

    @Test("A booking of several rooms is made whole or not at all")
    @OnLoop func allOrNothing() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(2)
        // One single room is left, and none on the second night.
        #expect(try await node.book(BookingBody(stay, hotel: 1, type: 12, rooms: 5)).status == 201)
        let second = TestStay(arrival: stay.nights[1], nights: 1)
        #expect(try await node.book(BookingBody(second, hotel: 1, type: 12)).status == 201)

        var body = BookingBody(stay, hotel: 1, type: 14)
        body.rooms.append(.init(type: 12))
        let answer = try await node.book(body)
        expectProblem(answer, 409, "no-availability")
        #expect(answer.integer("shortages.0.room_type_id") == 12)
        #expect(answer.elements("shortages.0.nights").compactMap(\.string) == [stay.nights[1].description])
        #expect(answer.elements("shortages").count == 1)
        #expect(
            try await node.value("SELECT count(*) FROM reservations WHERE ota_reservation_id = '\(body.engineID)'")
                == "0")
        #expect(try await node.available(1, 14, stay) == 6)
    }

    @Test("Several rooms of one booking are different rooms")
    @OnLoop func severalRooms() async throws {
        let node = try await Node.shared()
        let answer = try await node.book(BookingBody(.next(), hotel: 2, type: 22, rooms: 10))
        #expect(answer.status == 201)
        #expect(Set(answer.elements("rooms").compactMap { $0["room_number"]?.string }).count == 10)
    }

    /// Availability counts, night by night and for the whole stay, what the PMS's rows say.
    @OnLoop private func expectAgreement(_ node: Node, hotel: Int, _ stay: TestStay) async throws {
        let found = try await node.nightlyCounts(hotel, stay)
        #expect(try await node.nightlyCountsInDatabase(hotel, stay) == found)
    }
}
