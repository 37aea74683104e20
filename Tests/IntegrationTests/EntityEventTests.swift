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
}
