import JSONText
import Loop
import Stay
import Testing

@Suite("The main job: see what is free, book it, read it back")
struct MainJobTests {
    init() { Loop.runInBackground() }

    @Test("A room is booked, read back, gone from availability, and stands in the PMS", .timeLimit(.minutes(3)))
    @OnLoop func mainJob() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(3)
        let free = try await node.available(2, 21, stay)
        #expect(free == 11)

        var body = BookingBody(stay)
        body.rooms[0].guests = 2
        body.guestName = "Main Job"
        body.more = #","payment_timing":"prepaid","comment":"late arrival""#
        let booked = try await node.book(body)
        #expect(booked.status == 201, "\(booked.text)")
        let id = try #require(booked.string("booking_id"))
        #expect(booked["Location"] == "/api/booking-engine/bookings/\(id)")
        #expect(booked["ETag"] == "\"1\"")
        #expect(booked.string("status") == "confirmed")
        #expect(booked.string("check_in") == stay.arrival.description)
        #expect(booked.string("guest.name") == "Main Job")
        #expect(booked.elements("rooms.0.nights").count == 3)
        #expect(booked.string("sync.status") == "synced")
        // The demo's own reckoning of the PMS's formula.
        let price = try await node.value(
            "SELECT sum(price)::INT FROM demo_prices('\(stay.arrival)', '\(stay.nights.last!)') WHERE plan_id = 1")
        #expect(booked.integer("total.amount") == Int(price))
        #expect(booked.string("total.currency") == "JPY")

        let read = try await node.get("/api/booking-engine/bookings/\(id)")
        #expect(read.status == 200)
        #expect(read.content == booked.content)
        #expect(read["ETag"] == "\"1\"")
        #expect(try await node.available(2, 21, stay) == free - 1)
        try await expectRows(node, id, body, price: price)
    }

    /// The PMS and the bridge's own tables agree about a booking of one room.
    @OnLoop private func expectRows(_ node: Node, _ id: String, _ body: BookingBody, price: String) async throws {
        let reservation = try await node.rows(
            """
            SELECT status, type, agent, ota_reservation_id, payment_timing, reservations.comment, check_in, check_out,
                   number_of_people, reservations.created_by, name, email
            FROM reservations JOIN clients ON clients.id = reservation_client_id
            WHERE hotel_id = 2 AND reservations.id = '\(id)'
            """)
        #expect(
            reservation == [
                [
                    "confirmed", "web", "Drawbridge", body.engineID, "prepaid", "late arrival",
                    "\(body.stay.arrival)", "\(body.stay.departure)", "2", "2", "Main Job",
                    "integration.guest@example.com",
                ]
            ])
        let details = try await node.rows(
            """
            SELECT count(*), count(DISTINCT date), count(DISTINCT room_id), bool_and(billable), bool_and(cancelled IS NULL),
                   sum(price)::INT, min(plans_global_id), bool_and(number_of_people = 2),
                   bool_and((SELECT room_type_id = 21 AND for_sale FROM rooms WHERE rooms.id = room_id))
            FROM reservation_details WHERE hotel_id = 2 AND reservation_id = '\(id)'
            """)
        #expect(details == [["3", "3", "1", "t", "t", price, "1", "t", "t"]])
        let parts = try await node.rows(
            """
            SELECT count(DISTINCT client.id), count(DISTINCT rate.id), bool_and(rate.adjustment_type = 'base_rate'),
                   bool_and(rate.price = detail.price), bool_and(client_id = reservation_client_id)
            FROM reservation_details AS detail
            JOIN reservations ON reservations.hotel_id = 2 AND reservations.id = reservation_id
            JOIN reservation_clients AS client ON client.hotel_id = 2 AND client.reservation_details_id = detail.id
            JOIN reservation_rates AS rate ON rate.hotel_id = 2 AND rate.reservation_details_id = detail.id
            WHERE detail.hotel_id = 2 AND reservation_id = '\(id)'
            """)
        #expect(parts == [["3", "3", "t", "t", "t"]])
        #expect(
            try await node.rows(
                "SELECT booking_engine_id, sync_status FROM booking_sync_status WHERE booking_id = '\(id)'")
                == [[body.engineID, "synced"]])
        #expect(
            try await node.rows(
                "SELECT hotel_id, status, version, total, client FROM drawbridge.bookings WHERE booking_id = '\(id)'")
                == [["2", "confirmed", "1", price, "https://demo.drawbridge.example integration-tests"]])
        // One line for the reservation, one for each night, its guest and its rate; all by the bridge's user.
        #expect(
            try await node.rows(
                """
                SELECT user_id, count(*) FROM logs_reservation
                WHERE record_id = '\(id)' OR changes ->> 'reservation_id' = '\(id)'
                   OR changes ->> 'reservation_details_id' IN (
                        SELECT id::TEXT FROM reservation_details WHERE hotel_id = 2 AND reservation_id = '\(id)')
                GROUP BY user_id
                """) == [["2", "10"]])
    }

    @Test("Numbers may come as strings, as PMS clients send them", .timeLimit(.minutes(3)))
    @OnLoop func numericStrings() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next()
        let json = BookingBody(stay).json
            .replacing(#""hotel_id":2"#, with: #""hotel_id":"2""#)
            .replacing(#""room_type_id":21"#, with: #""room_type_id":"21""#)
        let answer = try await node.gateway.send(.post("/api/booking-engine/bookings", try node.token(), json: json))
        #expect(answer.status == 201, "\(answer.text)")
    }

    @Test("A plan per person is stored per person and billed for each", .timeLimit(.minutes(3)))
    @OnLoop func perPerson() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(2)
        var body = BookingBody(stay)
        body.rooms[0].guests = 2
        body.rooms[0].plan = "2h"
        let booked = try await node.book(body)
        let id = try #require(booked.string("booking_id"), "\(booked.text)")
        let single = try await node.value(
            "SELECT sum(price)::INT FROM reservation_details WHERE hotel_id = 2 AND reservation_id = '\(id)'")
        #expect(
            try await node.value(
                "SELECT sum(price)::INT FROM demo_prices('\(stay.arrival)', '\(stay.nights[1])') WHERE plan_id = 2")
                == single)
        #expect(booked.integer("total.amount") == Int(single)! * 2)
        #expect(try await node.get("/api/booking-engine/bookings/\(id)").content == booked.content)
    }

    @Test("Rooms of one booking under different plans cost what each costs alone", .timeLimit(.minutes(3)))
    @OnLoop func plans() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next(1)
        let plans = ["1h", "2h", "3h", "1h22", "h21"]
        var prices: [Int] = []
        for plan in plans {
            var body = BookingBody(stay)
            body.rooms[0].plan = plan
            prices.append(try #require(try await node.book(body).integer("rooms.0.nights.0.price")))
        }
        // The demo's own reckoning of the PMS's formula; 1h22 has no rates of its own.
        for (plan, position) in [(1, 0), (2, 1), (3, 2), (1, 3)] {
            let price = try await node.value(
                "SELECT price::INT FROM demo_prices('\(stay.arrival)', '\(stay.arrival)') WHERE plan_id = \(plan)")
            #expect(prices[position] == Int(price), "\(plans[position])")
        }
        var body = BookingBody(stay)
        body.rooms = plans.map { BookingBody.Room(type: 21, plan: $0) }
        let booked = try await node.book(body)
        #expect(plans.indices.map { booked.integer("rooms.\($0).nights.0.price") } == prices)
    }

    @Test("The same guest is the same client of the PMS", .timeLimit(.minutes(3)))
    @OnLoop func sameGuest() async throws {
        let node = try await Node.shared()
        for _ in 0..<2 {
            var body = BookingBody(.next())
            body.guestName = "Same Guest"
            #expect(try await node.book(body).status == 201)
        }
        #expect(try await node.value("SELECT count(*) FROM clients WHERE name = 'Same Guest'") == "1")
    }

    @Test("Hotels and room types are those of the PMS", .timeLimit(.minutes(3)))
    @OnLoop func hotels() async throws {
        let node = try await Node.shared()
        let hotels = try await node.get("/api/booking-engine/hotels")
        #expect(hotels.elements("hotels").compactMap { $0["hotel_id"]?.integer } == [1, 2, 3])
        let hotel = try await node.get("/api/booking-engine/hotels/3")
        #expect(hotel.string("formal_name") == "Yukitsubaki Hotel No. 3")
        #expect(hotel.integer("total_rooms") == 41)
        let types = try await node.get("/api/booking-engine/room-types/2")
        #expect(types.elements("room_types").compactMap { $0["id"]?.integer } == [21, 22, 23])
        #expect(types.elements("room_types").compactMap { $0["capacity"]?.integer } == [2, 1, 3])
    }

    @Test("Availability agrees with the PMS's own rows on every night of two months", .timeLimit(.minutes(3)))
    @OnLoop func agreesWithDatabase() async throws {
        let node = try await Node.shared()
        for start in [0, 30] {
            let stay = TestStay(arrival: TestStay.today.advanced(by: start), nights: 30)
            let answer = try await node.get(stay.availability(1))
            let expected = try await node.rows(
                """
                SELECT room_type_id, count(*) FILTER (WHERE NOT EXISTS (
                    SELECT FROM reservation_details AS detail
                    WHERE detail.hotel_id = 1 AND room_id = rooms.id AND \(stay.sql) AND cancelled IS NULL))
                FROM rooms WHERE hotel_id = 1 AND for_sale AND NOT is_staff_room GROUP BY 1 ORDER BY 1
                """)
            let found = answer.elements("room_types").map { type in
                [type["room_type_id"], type["available"]].map { String($0?.integer ?? -1) }
            }
            #expect(found == expected)
        }
    }

    @Test("A client that has an answer already gets 304 and no content", .timeLimit(.minutes(3)))
    @OnLoop func notModified() async throws {
        let node = try await Node.shared()
        for target in ["/api/booking-engine/hotels/1", "/api/booking-engine/room-types/1"] {
            let first = try await node.get(target)
            let tag = try #require(first["ETag"])
            for condition in [tag, "\"other\", W/\(tag)", "*"] {
                let again = try await node.gateway.send(
                    .get(target, try node.token()).with("If-None-Match", condition))
                #expect(again.status == 304)
                #expect(again["ETag"] == tag)
                #expect(again.content.isEmpty)
            }
            let other = try await node.gateway.send(
                .get(target, try node.token()).with("If-None-Match", "\"other\""))
            #expect(other.content == first.content)
        }
    }

    @Test("HEAD answers as GET does, without the content", .timeLimit(.minutes(3)))
    @OnLoop func head() async throws {
        let node = try await Node.shared()
        let target = "/api/booking-engine/hotels/1"
        let connection = try await node.gateway.connect()
        defer { connection.close() }
        let get = try await connection.send(.get(target, try node.token()))
        var request = TestRequest.get(target, try node.token())
        request.method = "HEAD"
        let head = try await connection.send(request)
        #expect(head.status == 200)
        #expect(head["Content-Length"] == String(get.content.count))
        #expect(head["ETag"] == get["ETag"])
        #expect(head.content.isEmpty)
        // The connection is still in step.
        #expect(try await connection.send(.get(target, try node.token())).content == get.content)
    }
}
