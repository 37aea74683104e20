import Glibc
import JSONText
import Loop
import Stay
import Testing

/// The PMS holds what nobody can read: it costs the hotel, the plan or the room that it is about, and nothing else.
@Suite("What cannot be read in the PMS", .serialized)
struct DamagedPMSTests {
    init() { Loop.runInBackground() }

    /// Ends the bridge, so that the one that follows reads all hotels anew: nothing is left of what was written down.
    @OnLoop func restartBridge(_ node: Node, forgets: Bool = true) async throws {
        if forgets { try await node.forgetCatalogue() }
        let bridge = try node.processID("bridge")
        kill(bridge, SIGKILL)
        try await wait("another bridge") { try node.processID("bridge") != bridge }
        try await wait("it answers") { try await node.get("/api/booking-engine/hotels").status == 200 }
        try await node.waitUntilGatewaysAreReady()
    }

    /// The lines of the log with a message, from an offset on.
    func lines(_ log: String, _ message: String) -> [JSONValue] {
        log.split(separator: "\n").compactMap { try? JSONValue(parsing: Array($0.utf8)) }
            .filter { $0["message"]?.string == message }
    }

    struct Damage: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let table: String
        let harm: String
        let remedy: String
    }

    static let damages = [
        Damage(
            testDescription: "a date without end", table: "hotels",
            harm: "UPDATE hotels SET open_date = 'infinity' WHERE id = 3",
            remedy: "UPDATE hotels SET open_date = NULL WHERE id = 3"),
        Damage(
            testDescription: "an instant beyond what 64 bits of microseconds reach", table: "room_types",
            harm: "UPDATE room_types SET created_at = '294276-12-31' WHERE hotel_id = 3",
            remedy: "UPDATE room_types SET created_at = now() WHERE hotel_id = 3"),
        Damage(
            testDescription: "a name that is missing", table: "room_types",
            harm: """
                ALTER TABLE room_types ALTER COLUMN name DROP NOT NULL;
                UPDATE room_types SET name = NULL WHERE hotel_id = 3
                """,
            remedy: "UPDATE room_types SET name = 'mended ' || id WHERE hotel_id = 3"),
        Damage(
            testDescription: "a function of the PMS that fails", table: "plans",
            harm: """
                ALTER FUNCTION get_available_plans_for_hotel RENAME TO plans_of_hotel;
                CREATE FUNCTION get_available_plans_for_hotel(INT) RETURNS TABLE (
                    plans_global_id INT, plans_hotel_id INT, plan_key TEXT, name TEXT, description TEXT, plan_type TEXT,
                    color VARCHAR(7)
                ) LANGUAGE plpgsql AS $$
                BEGIN
                    IF $1 = 3 THEN RAISE 'no plans for you'; END IF;
                    RETURN QUERY SELECT * FROM plans_of_hotel($1);
                END $$
                """,
            remedy: """
                DROP FUNCTION get_available_plans_for_hotel;
                ALTER FUNCTION plans_of_hotel RENAME TO get_available_plans_for_hotel
                """),
    ]

    @Test("A hotel that cannot be read gets 503 until it is mended; the others are served", .timeLimit(.minutes(5)))
    @OnLoop func hotel() async throws {
        let node = try Node()
        try await node.start()
        for damage in Self.damages {
            let offset = node.log.utf8.count
            _ = try await node.rows(damage.harm)
            try await restartBridge(node)
            let stay = TestStay.next()
            for path in ["hotels/3", "room-types/3"] {
                try await expectUnavailable(node.get("/api/booking-engine/\(path)"))
            }
            try await expectUnavailable(node.get(stay.availability(3)))
            try await expectUnavailable(node.book(BookingBody(stay, hotel: 3, type: 31)))
            let hotels = try await node.get("/api/booking-engine/hotels").elements("hotels")
            #expect(hotels.compactMap { $0["hotel_id"]?.integer } == [1, 2], "\(damage)")
            #expect(try await node.book(BookingBody(stay)).status == 201)
            #expect(try await node.available(1, 11, stay) == 6)
            expectProblem(try await node.get("/api/booking-engine/hotels/4"), 404)

            let log = String(decoding: node.log.utf8.dropFirst(offset), as: UTF8.self)
            let said = lines(log, "hotel cannot be read and is not sold")
            #expect(said.count == 1, "\(damage)")
            #expect(said.first?["hotel_id"]?.integer == 3)
            #expect(said.first?["table"]?.string == damage.table)
            #expect(said.first?["reason"]?.string?.isEmpty == false)

            _ = try await node.rows(damage.remedy)
            try await wait("hotel 3 is back") { try await node.get("/api/booking-engine/hotels/3").status == 200 }
            #expect(try await node.book(BookingBody(stay, hotel: 3, type: 31)).status == 201)
        }
        #expect(try await node.stop().isSuccess)
    }

    @OnLoop func expectUnavailable(_ answer: Answer) {
        expectProblem(answer, 503, "unavailable")
        #expect(answer["Retry-After"].flatMap { Int($0) } ?? 0 > 0)
    }

    /// Values of a rate of the plan h21 that leave its price unknown.
    static let rateValues = [
        "adjustment_type = 'per_moon'", "adjustment_value = 'NaN'", "adjustment_value = 0.00001",
        "adjustment_value = 1e20", "condition_type = 'moon_phase'",
        "condition_type = 'day_of_week', condition_value = 'friday'", "tax_rate = -1", "tax_rate = 'NaN'",
    ]

    /// Each half in an installation of its own: the supervisor waits longer each time before it starts the bridge
    /// again.
    @Test(
        "A rate that cannot be read makes its plan unsellable; other plans are sold", .timeLimit(.minutes(5)),
        arguments: [Array(rateValues.prefix(4)), Array(rateValues.dropFirst(4))])
    @OnLoop func rates(values: [String]) async throws {
        let node = try await nodeWithAnyRates()
        var body = BookingBody(.next())
        body.rooms[0].plan = "h21"
        #expect(try await node.book(body).status == 201)
        for value in values {
            let offset = node.log.utf8.count
            try await changeRates(
                node, "UPDATE plans_rates SET \(value) WHERE hotel_id = 2 AND adjustment_type = 'base_rate'")
            let stay = TestStay.next(1)
            var body = BookingBody(stay)
            body.rooms[0].plan = "h21"
            let refused = try await node.book(body)
            expectProblem(refused, 422, "invalid-request")
            #expect(refused.string("errors.0.pointer") == "/rooms/0/plan_key")
            #expect(try await node.available(2, 21, stay) == 11)
            #expect(try await node.book(BookingBody(stay)).status == 201, "\(value)")
            (body.hotel, body.rooms[0].type, body.rooms[0].plan) = (3, 31, "h31")
            #expect(try await node.book(body).status == 201, "\(value)")
            let log = String(decoding: node.log.utf8.dropFirst(offset), as: UTF8.self)
            let said = lines(log, "not all of the PMS can be sold")
            #expect(said.compactMap { $0["hotel_id"]?.integer } == [2], "\(value)")
            #expect(said.first?["table"]?.string == "plans_rates")
            #expect(lines(log, "a plan has no price").count == 1)
        }
        #expect(try await node.stop().isSuccess)
    }

    @Test("A rate that cannot be read costs every plan that it may be of, in all hotels", .timeLimit(.minutes(5)))
    @OnLoop func sharedRates() async throws {
        let node = try await nodeWithAnyRates()
        // Of a global plan all hotels lose it; dates without end are dates.
        try await changeRates(
            node,
            """
            UPDATE plans_rates SET adjustment_type = 'per_moon' WHERE plans_global_id = 2 AND adjustment_type = 'flat_fee';
            UPDATE plans_rates SET date_start = '-infinity', date_end = 'infinity' WHERE plans_hotel_id = 21
            """)
        for (plan, status) in [("2h", 422), ("1h", 201), ("h21", 201)] {
            var body = BookingBody(.next(1))
            body.rooms[0].plan = plan
            #expect(try await node.book(body).status == status, "\(plan)")
        }
        // A rate of a hotel's plan without the hotel may be of any plan with that id.
        let offset = node.log.utf8.count
        try await changeRates(
            node,
            "UPDATE plans_rates SET hotel_id = NULL WHERE plans_hotel_id = 21 AND adjustment_type <> 'base_rate'")
        for (plan, status) in [("1h", 201), ("h21", 422)] {
            var body = BookingBody(.next(1))
            body.rooms[0].plan = plan
            #expect(try await node.book(body).status == status, "\(plan)")
        }
        let log = String(decoding: node.log.utf8.dropFirst(offset), as: UTF8.self)
        let said = lines(log, "not all of the PMS can be sold").compactMap { $0["reason"]?.string }
        #expect(Set(said) == ["a rate of plan h21 cannot be read, and its nights are not sold: hotel_id is missing"])
        #expect(try await node.stop().isSuccess)
    }

    /// An installation whose PMS takes any rate.
    @OnLoop private func nodeWithAnyRates() async throws -> Node {
        let node = try Node()
        try await node.start()
        _ = try await node.rows(
            """
            ALTER TABLE plans_rates DROP CONSTRAINT plans_rates_adjustment_type_check;
            ALTER TABLE plans_rates DROP CONSTRAINT plans_rates_condition_type_check;
            ALTER TABLE plans_rates ALTER COLUMN adjustment_value TYPE NUMERIC, ALTER COLUMN tax_rate TYPE NUMERIC;
            CREATE TABLE saved_rates AS TABLE plans_rates
            """)
        return node
    }

    /// Changes the rates that there were at first, and has the bridge read them.
    @OnLoop private func changeRates(_ node: Node, _ change: String) async throws {
        _ = try await node.rows(
            "DELETE FROM plans_rates; INSERT INTO plans_rates SELECT * FROM saved_rates; \(change)")
        try await restartBridge(node)
    }

    @Test("Plans and prices are those of the PMS at the moment of booking", .timeLimit(.minutes(5)))
    @OnLoop func current() async throws {
        let node = try Node()
        try await node.start()
        func book(_ plan: String) async throws -> Answer {
            var body = BookingBody(.next(1))
            body.rooms[0].plan = plan
            return try await node.book(body)
        }
        let before = try await book("h21")
        #expect(before.status == 201)
        _ = try await node.rows(
            """
            UPDATE plans_rates SET adjustment_value = CASE adjustment_type WHEN 'base_rate' THEN 20000 ELSE 0 END
            WHERE plans_hotel_id = 21
            """)
        #expect(try await book("h21").integer("total.amount") == 20_000)
        // A rate that another hotel has for a global plan is none of ours.
        let amount = try #require(try await book("3h").integer("total.amount"))
        _ = try await node.rows(
            """
            INSERT INTO plans_rates (hotel_id, plans_global_id, adjustment_type, adjustment_value, condition_type, date_start)
            VALUES (1, 3, 'flat_fee', 50000, 'no_restriction', '2020-01-01')
            """)
        #expect(try #require(try await book("3h").integer("total.amount")) < amount + 10_000)
        _ = try await node.rows("INSERT INTO hotel_plan_exclusions (hotel_id, global_plan_id) VALUES (2, 3)")
        expectProblem(try await book("3h"), 422, "invalid-request")
        _ = try await node.rows(
            "INSERT INTO plans_hotel (id, hotel_id, plans_global_id, name) VALUES (29, 2, 1, 'Just opened')")
        #expect(try await book("1h29").status == 201)
        // What cannot be read any more is not sold.
        _ = try await node.rows(
            """
            ALTER TABLE plans_hotel ALTER COLUMN name DROP NOT NULL; UPDATE plans_hotel SET name = NULL WHERE id = 29
            """)
        expectProblem(try await book("1h29"), 422, "invalid-request")
        #expect(try await book("1h").status == 201)
        _ = try await node.rows(
            """
            ALTER TABLE rooms ALTER COLUMN capacity DROP NOT NULL;
            UPDATE rooms SET capacity = NULL WHERE hotel_id = 2
            """)
        try await expectUnavailable(book("1h"))
        #expect(lines(node.log, "hotel cannot be booked").count == 1)
        #expect(try await node.stop().isSuccess)
    }

    @Test(
        "A price that the PMS cannot store, and a plan of unknown type or name, are not sold", .timeLimit(.minutes(5)))
    @OnLoop func unsellable() async throws {
        let node = try Node()
        try await node.start()
        _ = try await node.rows(
            """
            ALTER TABLE plans_hotel DROP CONSTRAINT plans_hotel_plan_type_check;
            ALTER TABLE plans_hotel ALTER COLUMN plan_type DROP NOT NULL, ALTER COLUMN name DROP NOT NULL;
            UPDATE plans_hotel SET plan_type = 'per_cat' WHERE hotel_id = 2 AND id = 21;
            INSERT INTO plans_hotel (id, hotel_id, name, plan_type)
            VALUES (901, 2, NULL, 'per_room'), (902, 2, 'typeless', NULL);
            INSERT INTO plans_rates (hotel_id, plans_hotel_id, adjustment_type, adjustment_value, condition_type,
                                     date_start)
            SELECT 2, id, 'base_rate', 9000, 'no_restriction', '2020-01-01' FROM plans_hotel WHERE id IN (901, 902);
            UPDATE plans_rates SET adjustment_value = 99999999.99
            WHERE plans_global_id = 2 AND adjustment_type = 'base_rate';
            UPDATE plans_rates SET adjustment_value = 99999999
            WHERE plans_global_id = 3 AND adjustment_type = 'base_rate'
            """)
        try await restartBridge(node)
        var body = BookingBody(.next())
        for plan in ["h21", "h901", "h902", "2h"] {
            body.rooms[0].plan = plan
            let refused = try await node.book(body)
            expectProblem(refused, 422, "invalid-request")
            #expect(refused.string("errors.0.pointer") == "/rooms/0/plan_key")
        }
        #expect(lines(node.log, "a plan has no price").count == 1)
        #expect(
            lines(node.log, "not all of the PMS can be sold").compactMap { $0["reason"]?.string }.sorted() == [
                "plan h21 is of an unknown type and not sold", "plan h901 has no name and is not sold",
                "plan h902 is of an unknown type and not sold",
            ])
        // Just under the bound, with its discount.
        body.rooms[0].plan = "3h"
        let booked = try await node.book(body)
        #expect(booked.integer("rooms.0.nights.0.price") == 81_749_900, "\(booked.text)")
        #expect(try await node.stop().isSuccess)
    }

    @Test("A room with a night on no date of the calendar is not sold; all others are", .timeLimit(.minutes(5)))
    @OnLoop func undatedNight() async throws {
        let node = try Node()
        try await node.start()
        let stay = TestStay.next()
        let room = try await node.value(
            "SELECT min(id) FROM rooms WHERE hotel_id = 2 AND room_type_id = 21 AND for_sale")
        _ = try await node.rows(
            """
            INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people, updated_by)
            SELECT 2, id, day::DATE, room::INT, 1, 1
            FROM (VALUES ('infinity', '\(room)'), ('20270-01-10', NULL), ('-infinity', NULL)) AS night (day, room),
                 (SELECT id FROM reservations WHERE hotel_id = 2 LIMIT 1) AS reservation
            """)
        try await restartBridge(node)
        let found = try await node.get("\(stay.availability(2))&room_type_id=21")
        #expect(found.integer("room_types.0.available") == 10)
        // The room is there, though it is not sold.
        #expect(found.integer("room_types.0.total") == 11)
        #expect(try await node.book(BookingBody(stay, rooms: 10)).status == 201)
        expectProblem(try await node.book(BookingBody(stay)), 409, "no-availability")
        #expect(
            try await node.value(
                "SELECT count(*) FROM reservation_details WHERE hotel_id = 2 AND room_id = \(room) AND \(stay.sql)")
                == "0")
        let said = lines(node.log, "room is not sold")
        // By the bridge that heard of it and by the one that was started then.
        #expect(Set(said.map { $0["room_id"]?.integer.map { "\($0)" } }) == [room])
        #expect(try await node.stop().isSuccess)
    }
}
