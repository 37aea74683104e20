import Glibc
import JSONText
import Loop
import Stay
import Testing

/// What changes in the PMS, and when the bridge knows.
@Suite("The catalogue changes by triggers alone", .serialized)
struct CatalogueChangeTests {
    init() { Loop.runInBackground() }

    @Test("A hotel that changes is seen after its trigger, not before and not by a restart", .timeLimit(.minutes(5)))
    @OnLoop func trigger() async throws {
        let node = try Node()
        try await node.start()
        let first = try await node.ask("hotels/1")
        _ = try await node.rows(
            """
            UPDATE hotels SET name = 'Ünïcode ☃ 新しい \\ "name"' WHERE id = 1;
            UPDATE plans_rates SET adjustment_value = 20000 WHERE plans_hotel_id = 11 AND adjustment_type = 'base_rate'
            """)
        // A Monday in May 2027: the base and the fee of 150.
        let price = "hotels/1/pricing?start_date=2027-05-10&end_date=2027-05-11&plan_key=h11"
        #expect(try await node.ask(price).integer("plans.0.total.amount") == 14_100)
        try await node.restartBridge()
        #expect(try await node.ask("hotels/1").content == first.content)
        #expect(try await node.ask(price).integer("plans.0.total.amount") == 14_100)

        let updated = try await node.trigger("update-hotels")
        #expect(updated.integer("updated") == 1 && updated.integer("unchanged") == 2, "\(updated.text)")
        let second = try await node.ask("hotels/1")
        #expect(second.string("name") == #"Ünïcode ☃ 新しい \ "name""#)
        #expect(second["ETag"] != first["ETag"])
        #expect(try #require(second.string("updated_at")) > second.string("created_at")!)
        #expect(try await node.ask("hotels").string("hotels.0.name") == second.string("name"))
        #expect(try await node.ask(price).integer("plans.0.total.amount") == 14_100)
        let repriced = try await node.trigger("update-room-types", #"{"hotel_ids":[1]}"#)
        #expect(repriced.integer("updated") == 1, "\(repriced.text)")
        #expect(try await node.ask(price).integer("plans.0.total.amount") == 20_100)
        try await node.restartBridge()
        #expect(try await node.ask("hotels/1").content == second.content)
        #expect(try await node.ask(price).integer("plans.0.total.amount") == 20_100)
        // The first start alone has asked the PMS what there is.
        #expect(
            try await node.value(
                "SELECT count(*) FROM booking_engine_cache_triggers WHERE triggered_by = 'system'") == "2")
        #expect(try await node.stop().isSuccess)
    }

    @Test("Rooms that come and go are sold, or not, from the trigger's answer on", .timeLimit(.minutes(5)))
    @OnLoop func rooms() async throws {
        let node = try Node()
        try await node.start()
        let stay = TestStay.next()
        let before = try await node.available(2, 21, stay)
        _ = try await node.rows(
            """
            UPDATE rooms SET for_sale = FALSE WHERE hotel_id = 2 AND id IN (
                SELECT id FROM rooms WHERE hotel_id = 2 AND room_type_id = 21 AND for_sale AND NOT is_staff_room LIMIT 3);
            INSERT INTO rooms (id, hotel_id, room_type_id, room_number, capacity) VALUES (29001, 2, 21, 'new', 6);
            INSERT INTO room_types (id, hotel_id, name) VALUES (290, 2, 'Brand new');
            INSERT INTO rooms (id, hotel_id, room_type_id, room_number, capacity) VALUES (29002, 2, 290, 'newer', 1)
            """)
        #expect(try await node.available(2, 21, stay) == before)
        var body = BookingBody(stay)
        body.rooms[0].guests = 6
        expectProblem(try await node.book(body), 422)
        #expect(try await node.trigger("update-room-types").status == 200)
        #expect(try await node.available(2, 21, stay) == before - 2)
        #expect(try await node.available(2, 290, stay) == 1)
        #expect(try await node.book(body).status == 201)
        #expect(try await node.available(2, 21, stay) == before - 3)
        #expect(try await node.book(BookingBody(stay, type: 290)).status == 201)
        expectProblem(try await node.book(BookingBody(stay, type: 290)), 409, "no-availability")
        #expect(try await node.available(2, 290, stay) == 0)

        // A type that goes while a booking names it stays known, and is not sold.
        _ = try await node.rows(
            """
            DELETE FROM reservations WHERE hotel_id = 2 AND id IN (
                SELECT reservation_id FROM reservation_details WHERE hotel_id = 2 AND room_id = 29002);
            DELETE FROM rooms WHERE id = 29002; DELETE FROM room_types WHERE id = 290
            """)
        #expect(try await node.trigger("update-room-types", #"{"hotel_ids":[2]}"#).integer("updated") == 1)
        let kept = try await node.ask("room-types/2").elements("room_types").first { $0["id"]?.integer == 290 }
        #expect(kept?["is_active"] == .bool(false))
        #expect(kept?["capacity"]?.integer == 0)
        expectProblem(try await node.book(BookingBody(.next(), type: 290)), 422)
        expectProblem(try await node.get("\(stay.availability(2))&room_type_id=290"), 422)
        _ = try await node.rows("DELETE FROM drawbridge.bookings WHERE hotel_id = 2")
        #expect(try await node.trigger("update-room-types", #"{"hotel_ids":[2]}"#).integer("removed") == 1)
        #expect(!(try await node.ask("room-types/2").text.contains("Brand new")))
        #expect(try await node.stop().isSuccess)
    }

    @Test("Hotels come with all they sell, and go unless a booking names them", .timeLimit(.minutes(5)))
    @OnLoop func hotels() async throws {
        let node = try Node()
        try await node.start()
        _ = try await node.rows("SELECT demo_load_hotels(50, 51)")
        expectProblem(try await node.ask("hotels/50"), 404)
        let came = try await node.trigger("update-hotels")
        #expect(came.integer("updated") == 2, "\(came.text)")
        #expect(try await node.ask("hotels").elements("hotels").count == 5)
        #expect(try await node.ask("plans/51").elements("plans").count > 3)
        let stay = TestStay.next()
        #expect(try await node.available(50, 501, stay) > 0)
        let booked = try await node.book(BookingBody(stay, hotel: 50, type: 501))
        #expect(booked.status == 201)
        #expect(try await node.put("hotels/51/images", #"{"images":[{"url":"https://a/"}]}"#).status == 200)

        _ = try await node.rows(
            """
            DELETE FROM reservation_details WHERE hotel_id IN (50, 51);
            DELETE FROM reservations WHERE hotel_id IN (50, 51);
            DELETE FROM hotels WHERE id IN (50, 51)
            """)
        let went = try await node.trigger("update-hotels")
        #expect(went.integer("removed") == 1 && went.integer("updated") == 1, "\(went.text)")
        expectProblem(try await node.ask("hotels/51"), 404, "hotel-not-found")
        let kept = try await node.ask("hotels/50")
        #expect(kept.value("is_active") == .bool(false), "\(kept.text)")
        let types = try await node.ask("room-types/50").elements("room_types").map { $0["id"]?.integer }
        #expect(types == [501])
        #expect(try await node.ask("hotels").elements("hotels").count == 3)
        #expect(try await node.get(stay.availability(50)).elements("room_types").isEmpty)
        expectProblem(try await node.book(BookingBody(stay, hotel: 50, type: 501)), 422)
        try await node.restartBridge()
        #expect(try await node.ask("hotels/50").content == kept.content)
        #expect(try await node.ask("hotels").elements("hotels").count == 3)
        #expect(try await node.trigger("update-hotels").integer("unchanged") == 4)
        // Its bookings are found, also by the booking engine's id in those of all hotels.
        let engineID = try #require(booked.string("booking_engine_id"))
        #expect(
            try await node.get("/api/booking-engine/bookings?booking_engine_id=\(engineID)").elements("bookings").count
                == 1)
        // A start that reads everything anew keeps it just the same.
        _ = try await node.rows("UPDATE drawbridge.catalogue_state SET format = NULL")
        try await node.restartBridge()
        #expect(try await node.ask("hotels/50").content == kept.content)
        _ = try await node.rows("DELETE FROM drawbridge.bookings WHERE hotel_id = 50")
        #expect(try await node.trigger("update-hotels").integer("removed") == 1)
        expectProblem(try await node.ask("hotels/50"), 404)

        // What the PMS lacked for a while comes back with its pictures.
        _ = try await node.rows("INSERT INTO hotels (id, name) VALUES (51, 'back')")
        #expect(try await node.trigger("update-hotels").integer("updated") == 1)
        #expect(try await node.ask("hotels/51/images").string("images.0.url") == "https://a/")
        try await node.restartBridge()
        #expect(try await node.ask("hotels/51/images").string("images.0.url") == "https://a/")
        #expect(try await node.stop().isSuccess)
    }

    @Test("What the front desk sells shows after a refresh of just that, and no further", .timeLimit(.minutes(5)))
    @OnLoop func availability() async throws {
        let node = try Node()
        try await node.start()
        let stays = [TestStay.next(), TestStay.next(), TestStay.next()]
        func free(_ type: Int) async throws -> [Int] {
            var free: [Int] = []
            for stay in stays { free.append(try await node.available(2, type, stay)) }
            return free
        }
        let (before21, before22) = (try await free(21), try await free(22))
        for type in [21, 22] {
            for stay in stays {
                // Without the PMS's log, which would tell of it by itself.
                _ = try await node.rows(
                    """
                    ALTER TABLE reservation_details DISABLE TRIGGER log_reservation_details;
                    INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people, updated_by)
                    SELECT 2, reservation.id, night::DATE, room.id, 1, 1
                    FROM (SELECT id FROM reservations WHERE hotel_id = 2 LIMIT 1) AS reservation,
                         (SELECT min(id) AS id FROM rooms WHERE hotel_id = 2 AND room_type_id = \(type) AND for_sale
                              AND NOT is_staff_room) AS room,
                         generate_series(DATE '\(stay.arrival)', DATE '\(stay.departure)' - 1, '1 day') AS night;
                    ALTER TABLE reservation_details ENABLE TRIGGER log_reservation_details
                    """)
            }
        }
        #expect(try await free(21) == before21)
        let part = try await node.trigger(
            "refresh-availability",
            #"{"hotel_id":2,"room_type_id":21,"start_date":"\#(stays[1].arrival)","end_date":"\#(stays[1].departure)"}"#
        )
        #expect(part.integer("updated") == 2, "\(part.text)")
        #expect(try await free(21) == [before21[0], before21[1] - 1, before21[2]])
        #expect(try await free(22) == before22)
        let type = try await node.trigger("refresh-availability", #"{"hotel_id":"2","room_type_id":"22"}"#)
        #expect(type.integer("updated") == 6, "\(type.text)")
        #expect(try await free(22) == before22.map { $0 - 1 })
        #expect(try await free(21) == [before21[0], before21[1] - 1, before21[2]])
        let rest = try await node.trigger("refresh-availability", #"{"hotel_id":2}"#)
        #expect(rest.integer("updated") == 4, "\(rest.text)")
        #expect(try await free(21) == before21.map { $0 - 1 })
        #expect(try await node.stop().isSuccess)
    }

    @Test("What another bridge has read is taken over; so are its pictures", .timeLimit(.minutes(5)))
    @OnLoop func following() async throws {
        let node = try Node()
        try await node.start()
        // As another bridge would write it.
        _ = try await node.rows(
            """
            WITH state AS (UPDATE drawbridge.catalogue_state SET version = version + 1 RETURNING version)
            UPDATE drawbridge.catalogue_hotels AS known
            SET hotel = jsonb_set(hotel, '{hotel,name}', '"Read by the other one"'), version = state.version FROM state
            WHERE hotel_id = 2;
            INSERT INTO drawbridge.hotel_images (hotel_id, position, url) VALUES (2, 0, 'https://img.example/1')
            """)
        try await wait("the name is known") {
            try await node.ask("hotels/2").string("name") == "Read by the other one"
        }
        _ = try await node.rows(
            """
            WITH state AS (UPDATE drawbridge.catalogue_state SET version = version + 1 RETURNING version)
            UPDATE drawbridge.catalogue_hotels SET version = state.version FROM state WHERE hotel_id = 2
            """)
        try await wait("the picture is known") {
            try await node.ask("hotels/2/images").string("images.0.url") == "https://img.example/1"
        }
        // Rooms that are sold no longer, and availability that somebody asked to be read anew.
        let stay = TestStay.next()
        let before = try await node.available(2, 21, stay)
        _ = try await node.rows(
            """
            INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people, updated_by)
            SELECT 2, (SELECT id FROM reservations WHERE hotel_id = 2 LIMIT 1), '\(stay.arrival)', min(id), 1, 1
            FROM rooms WHERE hotel_id = 2 AND room_type_id = 21 AND for_sale AND NOT is_staff_room;
            WITH state AS (UPDATE drawbridge.catalogue_state SET version = version + 1 RETURNING version)
            UPDATE drawbridge.catalogue_hotels SET availability_version = state.version FROM state WHERE hotel_id = 2
            """)
        try await wait("the night is taken") { try await node.available(2, 21, stay) == before - 1 }
        _ = try await node.rows(
            """
            WITH state AS (UPDATE drawbridge.catalogue_state SET version = version + 1 RETURNING version)
            UPDATE drawbridge.catalogue_hotels SET offer = jsonb_set(offer, '{rooms}', '[]'), version = state.version
            FROM state WHERE hotel_id = 2
            """)
        try await wait("no room is sold") {
            let answer = try await node.get(stay.availability(2))
            return answer.status == 200 && answer.elements("room_types").isEmpty
        }
        _ = try await node.rows(
            """
            DELETE FROM drawbridge.catalogue_hotels WHERE hotel_id = 2;
            UPDATE drawbridge.catalogue_state SET version = version + 1
            """)
        try await wait("the hotel is gone") { try await node.ask("hotels/2").status == 404 }
        #expect(try await node.stop().isSuccess)
    }

    @Test(
        "A reading that another bridge's has overtaken is made again, and never written over it",
        .timeLimit(.minutes(5)))
    @OnLoop func overtaken() async throws {
        let node = try Node()
        try await node.start()
        func stored(_ hotel: Int) async throws -> String {
            try await node.value("SELECT offer::text FROM drawbridge.catalogue_hotels WHERE hotel_id = \(hotel)")
        }
        func call(_ hotel: Int, _ name: String) -> String {
            "UPDATE room_types SET name = '\(name)' WHERE hotel_id = \(hotel) AND id = \(hotel)1;"
        }
        _ = try await node.rows(call(1, "Oldest") + call(2, "Oldest"))
        #expect(try await node.trigger("update-room-types").integer("updated") == 2)

        // A booking that is under way at the second hotel holds up what was read of it.
        let locks = "pg_locks WHERE locktype = 'advisory' AND classid = 17474 AND objid = 2"
        let locker = try ChildProcess(
            "/usr/bin/env",
            [
                "psql", "-X", "-q", "-d", try node.variable("DATABASE_URL"), "-c",
                "BEGIN; SELECT pg_advisory_xact_lock(17474, 2); SELECT pg_sleep(60)",
            ], environment: ["PATH": "/usr/bin:/bin"], descriptors: [.null, .null, .null])
        defer { locker.send(signal: SIGKILL) }
        try await wait("the hotel is locked") { try await node.value("SELECT count(*) FROM \(locks)") == "1" }
        let booking = Task { try await node.book(BookingBody(.next())) }
        try await wait("a booking waits") {
            try await node.value("SELECT count(*) FROM \(locks) AND NOT granted") == "1"
        }
        _ = try await node.rows(call(1, "Older") + call(2, "Older"))
        let trigger = Task { try await node.trigger("update-room-types", #"{"hotel_ids":[1,2]}"#) }
        // Hotels are written down in their order, when all are read.
        try await wait("both are read") { try await stored(1).contains("Older") }

        // As another bridge would read and write it.
        _ = try await node.rows(
            """
            \(call(2, "Newest"))
            WITH state AS (UPDATE drawbridge.catalogue_state SET version = version + 1 RETURNING version)
            UPDATE drawbridge.catalogue_hotels
            SET offer = replace(offer::text, '"Oldest"', '"Newest"')::jsonb, version = state.version
            FROM state WHERE hotel_id = 2
            """)
        _ = try await node.rows(
            "SELECT pg_terminate_backend(pid) FROM \(locks) AND granted AND pid <> pg_backend_pid()")
        #expect(try await booking.value.status == 201)
        let answer = try await trigger.value
        #expect(answer.status == 200, "\(answer.text)")
        #expect(try await stored(2).contains("Newest"))
        try await wait("the newest is told") { try await node.ask("room-types/2").text.contains("Newest") }
        #expect(try await stored(2).contains("Newest"))
        #expect(try await node.stop().isSuccess)
    }
}
