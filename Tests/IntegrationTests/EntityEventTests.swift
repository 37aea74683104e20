import JSONText
import Loop
import Testing

/// Events that are not of bookings.
@Suite("What subscribers are told besides bookings")
struct EntityEventTests {
    init() { Loop.runInBackground() }

    @Test("A hotel, a room type, a cache, a guest and what is free: each change is told once, as its schema says")
    @OnLoop func told() async throws {
        let node = try Node(workers: 1)
        try await node.start()
        // Whoever leads tells of everything once.
        try await wait("the leader tells of every hotel") {
            try await node.value(
                "SELECT count(DISTINCT hotel_id) FROM drawbridge.events WHERE type = 'availability.updated'") == "3"
        }

        _ = try await node.rows(
            "UPDATE hotels SET name = 'Renamed' WHERE id = 2; UPDATE room_types SET name = 'Suite' WHERE id = 21")
        for what in ["update-hotels", "update-room-types"] {
            let answer = try await node.trigger(what, #"{"hotel_ids":[2]}"#)
            #expect(answer.status == 200, "\(answer.text)")
        }
        try await wait("both are told") {
            let told = try await node.rows(
                """
                SELECT type, entity_id, payload->'data'->>'name' FROM drawbridge.events
                WHERE type IN ('hotel.updated', 'room_type.updated') ORDER BY type
                """)
            return told == [["hotel.updated", "hotel 2", "Renamed"], ["room_type.updated", "room type 21", "Suite"]]
        }
        try await wait("the refreshes are told of") {
            try await node.rows(
                """
                SELECT payload->'data'->>'cache_type', hotel_id, payload->'data'->>'updated' FROM drawbridge.events
                WHERE type = 'cache.refreshed' ORDER BY position
                """) == [["hotels", "2", "1"], ["room_types", "2", "1"]]
        }

        // A guest whom the PMS does not know, and then one whom it does.
        let stay = TestStay.next(2)
        for _ in 1...2 {
            var body = BookingBody(stay)
            (body.guestName, body.guestEmail) = ("Events Guest", "events.guest@example.com")
            #expect(try await node.book(body).status == 201)
        }
        let guests = try await node.rows(
            """
            SELECT guest.payload->'data'->>'name', guest.entity_id = client.id::TEXT
            FROM drawbridge.events AS guest JOIN clients AS client ON client.email = 'events.guest@example.com'
            WHERE guest.type = 'guest.created'
            """)
        #expect(guests == [["Events Guest", "t"]])
        try await wait("it is told what is free no more") {
            try await node.rows(
                """
                SELECT DISTINCT payload->'data'->>'room_type_ids', payload->'data'->>'start_date',
                       payload->'data'->>'end_date', hotel_id
                FROM drawbridge.events WHERE type = 'availability.updated' AND version > 1 AND hotel_id = 2
                  AND payload->'data'->>'start_date' = '\(stay.arrival)'
                """
            ).map { $0[0] } == ["[21]"]
        }
        // Versions of one entity go up.
        #expect(
            try await node.value(
                """
                SELECT count(*) FROM (SELECT version <= lag(version) OVER (PARTITION BY entity_id ORDER BY position)
                                      FROM drawbridge.events WHERE entity_id LIKE '% %') AS pair (isdown) WHERE isdown
                """) == "0")
        #expect(try await node.eventFaults().faults == [])
        #expect(try await node.stop().isSuccess)
    }

    @Test("Where it cannot be read at once what has changed it is told when that has been read, and not before")
    @OnLoop func doubted() async throws {
        let node = try Node(workers: 1)
        try await node.start()
        let told = "FROM drawbridge.events WHERE type = 'availability.updated'"
        try await wait("the leader tells of every hotel") {
            try await node.value("SELECT count(DISTINCT hotel_id) \(told)") == "3"
        }
        let position = try await node.value("SELECT max(position) FROM drawbridge.events")
        let looked = try await node.metric("drawbridge_bridge_change_duration_seconds_count")
        let locker = try await node.lock("reservation_details")
        // A night at one hotel, and one that nobody understands at another.
        _ = try await node.rows(
            """
            INSERT INTO logs_reservation (table_name, action, record_id, changes)
            SELECT 'reservation_details_' || hotel, 'INSERT', gen_random_uuid(),
                   jsonb_build_object('hotel_id', hotel, 'date', night)
            FROM (VALUES (2, '\(TestStay.next().arrival)'), (1, 'tomorrow')) AS change (hotel, night)
            """)
        try await wait("looking at the night fails", for: .seconds(60)) {
            try await node.metric("drawbridge_bridge_change_duration_seconds_count") > looked
        }
        let unlocked = try await node.value("SELECT now()")
        try await node.unlock(locker)
        try await wait("both hotels are told of", for: .seconds(60)) {
            try await node.rows(
                "SELECT DISTINCT hotel_id \(told) AND position > \(position) AND hotel_id <> 3 ORDER BY 1"
            ).count == 2
        }
        #expect(
            try await node.value(
                "SELECT count(*) \(told) AND position > \(position) AND created_at < '\(unlocked)'") == "0")
        // What somebody has changed without a word is told when a reading finds it.
        let stay = TestStay.next()
        let booking = try #require(try await node.book(BookingBody(stay)).string("booking_id"))
        try await wait("the booking is told of") {
            try await node.value(
                "SELECT count(*) \(told) AND payload->'data'->>'start_date' = '\(stay.arrival)'") != "0"
        }
        let last = try await node.value("SELECT max(position) \(told)")
        _ = try await node.rows(
            """
            SET session_replication_role = replica;
            UPDATE reservation_details SET cancelled = gen_random_uuid() WHERE reservation_id = '\(booking)'
            """)
        let refreshed = try await node.trigger("refresh-availability", #"{"hotel_id":2}"#)
        #expect(refreshed.status == 200, "\(refreshed.text)")
        try await wait("it is told what was found") {
            try await node.value("SELECT count(*) \(told) AND hotel_id = 2 AND position > \(last)") != "0"
        }
        #expect(try await node.stop().isSuccess)
    }
}
