import Glibc
import JSONText
import Loop
import Stay
import Testing

/// Triggers and restarts while the PMS is slow, locked, unreadable or away.
@Suite("The catalogue while the PMS cannot be read", .serialized)
struct CatalogueFaultTests {
    init() { Loop.runInBackground() }

    /// With a deadline that a test can wait for, or one that it does not come to.
    @OnLoop private func node(statementDeadline: String = "1 s") async throws -> Node {
        let node = try Node(ownsPolicies: true)
        try Files.change(
            "\(node.policies)/bridge.yaml", "statement_deadline: 5 s", to: "statement_deadline: \(statementDeadline)")
        try await node.start()
        return node
    }

    private static let catalogueTables =
        "hotels, room_types, rooms, plans_global, plans_hotel, plans_rates, hotel_plan_exclusions, addons_hotel, "
        + "addons_global"

    @Test("Who asks while it is read shares the next reading, however many they are", .timeLimit(.minutes(5)))
    @OnLoop func shared() async throws {
        let node = try await node(statementDeadline: "25 s")
        for (what, cache, table, json) in [
            ("update-hotels", "hotels", "hotels", "{}"),
            ("update-room-types", "room_types", "room_types", #"{"hotel_ids":[1,2]}"#),
            ("refresh-availability", "availability", "reservation_details", #"{"hotel_id":1}"#),
        ] {
            let before = try await node.fetches(cache)
            let locker = try await node.lock(table)
            let first = Task { try await node.trigger(what, json) }
            try await wait("the first one reads") { try await node.fetches(cache) == before + 1 }
            let others = Task { try await concurrently(Array(1...10)) { _ in try await node.trigger(what, json) } }
            try await wait("the others wait") {
                try await node.value(
                    "SELECT count(*) FROM booking_engine_cache_triggers WHERE status = 'pending'") == "10"
            }
            try await node.unlock(locker)
            let answers = try await [first.value] + others.value
            #expect(answers.map(\.status) == Array(repeating: 200, count: 11), "\(answers.map(\.text))")
            #expect(Set(answers.compactMap { $0.integer("trigger_id") }).count == 11)
            #expect(try await node.fetches(cache) == before + 2)
        }
        #expect(
            try await node.value(
                "SELECT count(*) FROM booking_engine_cache_triggers WHERE status <> 'completed'") == "0")
        #expect(try await node.stop().isSuccess)
    }

    @Test("A trigger that cannot read leaves what was there, is recorded, and says so", .timeLimit(.minutes(5)))
    @OnLoop func failing() async throws {
        let node = try await node()
        let stay = TestStay.next()
        let paths = ["hotels/2", "room-types/2", "plans/2", "amenities/2"]
        var before: [[UInt8]] = []
        for path in paths { before.append(try await node.ask(path).content) }
        let free = try await node.available(2, 21, stay)
        _ = try await node.rows(
            "UPDATE hotels SET name = 'changed'; UPDATE room_types SET name = 'changed ' || id")
        for (what, table, json) in [
            ("update-hotels", "hotels", "{}"), ("update-room-types", "room_types", "{}"),
            ("refresh-availability", "reservation_details", #"{"hotel_id":2}"#),
        ] {
            let locker = try await node.lock(table)
            let answer = try await node.trigger(what, json)
            expectProblem(answer, 503, "refresh-failed")
            #expect(answer["Retry-After"] != nil)
            #expect(answer.string("detail")?.contains("did not answer in time") == true, "\(answer.text)")
            for (path, content) in zip(paths, before) { #expect(try await node.ask(path).content == content) }
            #expect(try await node.available(2, 21, stay) == free)
            let record = try await node.ask("cache/triggers/\(answer.integer("trigger_id") ?? 0)")
            #expect(record.string("status") == "failed", "\(record.text)")
            #expect(record.string("reason") == "the property management system did not answer in time")
            try await node.unlock(locker)
        }
        // A right that is missing, and rows that nobody can read.
        _ = try await node.rows("REVOKE SELECT ON room_types FROM CURRENT_USER")
        let refused = try await node.trigger("update-room-types")
        expectProblem(refused, 503, "refresh-failed")
        _ = try await node.rows(
            """
            GRANT SELECT ON room_types TO CURRENT_USER;
            UPDATE room_types SET created_at = '294276-12-31' WHERE hotel_id = 2
            """)
        let unreadable = try await node.trigger("update-room-types", #"{"hotel_ids":[2]}"#)
        expectProblem(unreadable, 503, "refresh-failed")
        #expect(unreadable.string("detail")?.contains("hotel 2: the rows in room_types cannot be read") == true)
        for (path, content) in zip(paths, before) { #expect(try await node.ask(path).content == content) }
        // The others are read all the same, and it is said which is not.
        let some = try await node.trigger("update-room-types")
        #expect(some.status == 200, "\(some.text)")
        #expect(some.integer("failed") == 1)
        #expect(some.integer("failures.0.hotel_id") == 2)
        #expect(try await node.ask("room-types/1").string("room_types.0.name") == "changed 11")
        #expect(try await node.ask("room-types/2").content == before[1])
        #expect(try await node.available(2, 21, stay) == free)
        #expect(try await node.book(BookingBody(stay)).status == 201)
        _ = try await node.rows("UPDATE room_types SET created_at = now() WHERE hotel_id = 2")
        #expect(try await node.trigger("update-room-types").integer("failed") == 0)
        #expect(try await node.ask("room-types/2").string("room_types.0.name") == "changed 21")
        #expect(try await node.stop().isSuccess)
    }

    @Test(
        "While the database stands still triggers get 503, and everything that is known is told",
        .timeLimit(.minutes(5)))
    @OnLoop func frozen() async throws {
        let node = try await node()
        let servers =
            node.processes.filter { Files.text("/proc/\($0)/cmdline").contains("postgres") }
            + Files.names(in: "/proc").compactMap { Int32($0) }.filter {
                Files.text("/proc/\($0)/cmdline").hasPrefix("postgres:")
                    && Files.link("/proc/\($0)/cwd")?
                        .contains(node.directory) == true
            }
        try #require(servers.count > 3)
        for server in Set(servers) { kill(server, SIGSTOP) }
        let answer = try await node.trigger("update-hotels")
        let told = try await node.ask("hotels/1")
        let prices = try await node.ask("hotels/1/pricing?start_date=2027-05-10&end_date=2027-05-11")
        for server in Set(servers) { kill(server, SIGCONT) }
        expectProblem(answer, 503)
        #expect(told.status == 200)
        #expect(prices.status == 200)
        try await wait("triggers work again", for: .seconds(60)) {
            try await node.trigger("update-hotels").status == 200
        }
        #expect(try await node.stop().isSuccess)
    }

    @Test("A bridge that starts while the PMS's tables are locked knows what was written down", .timeLimit(.minutes(5)))
    @OnLoop func lockedRestart() async throws {
        let node = try await node()
        let stay = TestStay.next()
        let paths = ["hotels", "hotels/2", "room-types/2", "plans/2", "amenities/2"]
        #expect(try await node.put("hotels/2/images", #"{"images":[{"url":"https://a/"}]}"#).status == 200)
        var before: [[UInt8]] = []
        for path in paths { before.append(try await node.ask(path).content) }
        let free = try await node.available(2, 21, stay)
        try await wait("it is written down what is free") {
            try await node.value("SELECT count(*) FROM drawbridge.availability_cache") == "3"
        }
        // It must not write it down once more.
        let bridge = try node.processID("bridge")
        kill(bridge, SIGSTOP)
        _ = try await node.rows("DELETE FROM drawbridge.availability_cache WHERE hotel_id = 3")
        // Of another reading, an hour before the last one that was noted.
        let readAt = try await node.value(
            """
            UPDATE drawbridge.availability_cache SET written_at = date_trunc('second', now()) - INTERVAL '1 hour'
            WHERE hotel_id = 2 RETURNING to_char(written_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            """)
        let locker = try await node.lock("\(Self.catalogueTables), reservations, reservation_details")
        kill(bridge, SIGKILL)
        try await wait("another bridge is ready", for: .seconds(60)) { try node.processID("bridge") != bridge }
        try await node.waitUntilGatewaysAreReady()
        for (path, content) in zip(paths, before) { #expect(try await node.ask(path).content == content, "\(path)") }
        #expect(try await node.ask("hotels/2/images").string("images.0.url") == "https://a/")
        #expect(
            try await node.ask("hotels/2/pricing?start_date=2027-05-10&end_date=2027-05-11").elements("plans").count > 3
        )
        // What was free when it was written down is told, and that it may be so no longer.
        let last = try await node.get("\(stay.availability(2))&room_type_id=21")
        #expect(last.status == 200, "\(last.text)")
        #expect(last.value("is_stale") == .bool(true))
        #expect(last.integer("room_types.0.available") == free)
        #expect(last["Cache-Status"]?.contains("detail=restored") == true)
        #expect(last.string("last_updated") == readAt)
        #expect(last["Age"].flatMap { Int($0) } ?? 0 >= 3600)
        let missing = try await node.get(stay.availability(3))
        expectProblem(missing, 503, "unavailable")
        #expect(missing["Retry-After"] != nil)
        expectProblem(try await node.book(BookingBody(stay)), 503)
        try await node.unlock(locker)
        try await wait("it is known what is free", for: .seconds(120)) {
            let answer = try await node.get(stay.availability(2))
            return answer.value("is_stale") == .bool(false)
        }
        #expect(try await node.available(2, 21, stay) == free)
        #expect(try await node.book(BookingBody(stay)).status == 201)
        #expect(try await node.stop().isSuccess)
    }
}
