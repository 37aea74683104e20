import Availability
import Booking
import Loop
import PMS
import Postgres
import Stay
import Testing

/// What every adapter must do with reservations, tried on rht-hotel's with the bridge's own tables beside the PMS's and in a
/// database of their own, on the demo hotels.
@Suite("An adapter's reservations")
struct ReservationConformanceTests {
    init() { Loop.runInBackground() }

    private static let hotel: Int32 = 2

    /// Where the bridge's own tables are.
    enum Place: CaseIterable {
        case withPMS, elsewhere
    }

    /// The bridge's own database, where it is another one.
    private static let elsewhere = SharedServer()

    /// Runs `body` with an adapter of its own on the shared installation's PMS; `own` asks the database of the bridge's tables.
    @OnLoop private func withAdapter(
        _ place: Place,
        _ body:
            @escaping @Sendable @OnLoop (
                any ReservationAdapter, Node, _ own: @escaping @OnLoop (String) async throws -> [[String]]
            ) async throws -> Void
    ) async throws {
        let node = try await Node.shared()
        // With indexes used that a larger hotel's nights would be found by: said where the session begins, it is what the adapter
        // goes back to.
        let url = try node.variable("DATABASE_URL")
        var configuration = DatabaseConfiguration(
            url + (url.contains("?") ? "&" : "?") + "options=-c%20enable_seqscan%3Doff", name: "pms")
        configuration.sessionSettings["my_app.user_id"] = "2"
        // As the bridge has it.
        configuration.sessionSettings["plan_cache_mode"] = "force_custom_plan"
        try await Database.with(configuration) { database in
            // A connection is opened before it is asked for.
            _ = try await database.query(Self.probe())
            let adapter = RhtHotel(
                database, writer: .init(agent: "Conformance", user: 2), statementDeadline: .seconds(5))
            guard place == .elsewhere else {
                return try await body(adapter, node) { try await node.rows($0) }
            }
            let server = try await Self.elsewhere.started()
            try await Database.with(DatabaseConfiguration(server.url, name: "bridge")) { own in
                _ = try await own.query(Self.probe())
                try await body(RemoteRhtHotel(adapter, own: own), node) { try await server.rows($0) }
                #expect(try await server.value("SELECT count(*) FROM pg_prepared_xacts") == "0")
            }
        }
    }

    private static let probe = Statement<Int32>("test.probe", "SELECT 1") { row in try row.next() }
    private static let number = Statement<Int32>("test.number", "SELECT 7") { row in try row.next() }
    private static let insert = Statement<Void, String>(
        "test.insert",
        """
        INSERT INTO drawbridge.outbox_events (event_id, type, hotel_id, entity_id, version, payload)
        VALUES (gen_random_uuid(), 'test.conformance', 2, $1, 1, '{}')
        """)
    /// How many nights of the hotel the session has looked at lately.
    private static let fetched = Statement<Int64>(
        "test.fetched",
        """
        SELECT COALESCE(sum(idx_tup_fetch + seq_tup_read), 0)::BIGINT
        FROM pg_stat_xact_user_tables WHERE relname = 'reservation_details_2'
        """
    ) { row in try row.next() }
    /// Writes down how many it has looked at since then, and one more.
    private static let noteFetched = Statement<Void, String, Int64>(
        "test.note_fetched",
        """
        INSERT INTO drawbridge.outbox_events (event_id, type, hotel_id, entity_id, version, payload)
        SELECT gen_random_uuid(), 'test.fetched', 2, $1, (1 + sum(idx_tup_fetch + seq_tup_read) - $2)::INT, '{}'
        FROM pg_stat_xact_user_tables WHERE relname = 'reservation_details_2'
        """)
    /// How many partitions of other hotels, or indexes of them, the transaction has locked: what was planned for all hotels has.
    private static let otherPartitions = Statement<Int64>(
        "test.other_partitions",
        """
        SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation
        WHERE pid = pg_backend_pid() AND relname ~ '^reservation(s|_details)_[13](_(?!to_)|$)'
        """
    ) { row in try row.next() }
    private static let fail = Statement<Void>("test.fail", "DO $$ BEGIN RAISE 'no'; END $$")

    private func request(_ stay: TestStay, rooms: Int = 1, type: Int32 = 21, guests: Int32 = 1) throws -> BookingRequest
    {
        var body = BookingBody(stay, type: Int(type), rooms: rooms)
        body.guestName = body.engineID
        body.guestEmail = "\(body.engineID)@example.com"
        let rules = BookingRules(today: TestStay.today, capacity: { _ in 4 })
        return try BookingRequestBody(json: Array(body.json.utf8)).validate(rules)
    }

    /// Rooms with their prices, the first that are free.
    private func reserved(_ request: BookingRequest, _ facts: ReservationFacts) throws -> [ReservedRoom] {
        let taken = Set(facts.takenNights.compactMap(\.room))
        let free = facts.rooms.filter { !taken.contains($0.id) }
        let plans = facts.plans(.jpy)
        return try zip(request.rooms, free).map { asked, room in
            let plan = try #require(plans[asked.plan])
            return ReservedRoom(
                room: room.id, type: asked.type, guests: asked.guests, plan: plan,
                quote: try plan.pricing.quote(request.stay, guests: Int(asked.guests)).get())
        }
    }

    @OnLoop private func ask(
        _ adapter: any ReservationAdapter, _ question: ReservationQuestion
    ) async throws -> (work: any ReservationWork, facts: ReservationFacts) {
        let work = try await adapter.begin(deadline: .seconds(5))
        return (work, try await work.read(question, first: Batch(), then: Batch(), deadline: nil).facts)
    }

    @OnLoop private func create(
        _ adapter: any ReservationAdapter, _ request: BookingRequest, with own: [Query<Void>] = []
    ) async throws -> BookingID {
        var question = ReservationQuestion(hotel: Self.hotel)
        question.wanted = (request.stay, request.rooms)
        question.guest = request.guest
        let (work, facts) = try await ask(adapter, question)
        let id = BookingID.random()
        let new = NewReservation(
            id: id, request: request, client: facts.client, rooms: try reserved(request, facts))
        try await work.commit([.create(new)], with: own)
        // What was written is what is read: nobody else has changed anything.
        #expect(try await adapter.reservation(id, hotel: Self.hotel)?.content(.jpy) == new.content)
        return id
    }

    private func locked(_ facts: ReservationFacts) throws -> Reservation {
        guard case .locked(let reservation) = facts.reservation else {
            Issue.record("not locked: \(facts.reservation)")
            throw LoopError(.unreachable, "lock")
        }
        return reservation
    }

    @Test("What is created is read as it was made, by itself and among others", arguments: Place.allCases)
    @OnLoop func created(place: Place) async throws {
        try await withAdapter(place) { adapter, _, _ in
            let request = try self.request(.next(2), rooms: 2)
            let id = try await self.create(adapter, request)
            let read = try #require(try await adapter.reservation(id, hotel: Self.hotel))
            #expect(read.status == .confirmed)
            #expect(read.guest == request.guest)
            let nights = read.nights(.jpy)
            #expect(nights.map(\.night).sorted() == request.stay.nights.flatMap { [$0, $0] })
            #expect(Set(nights.compactMap(\.room)).count == 2)
            #expect(nights.allSatisfy { !$0.isCancelled && $0.price ?? 0 > 0 && $0.guests == 1 })
            let gone = BookingID.random()
            let several = try await adapter.reservations([id, gone], hotels: [1, Self.hotel])
            #expect(Set(several.keys) == [id])
            #expect(several[id]?.nights(.jpy) == nights)
            #expect(try await adapter.reservation(gone, hotel: Self.hotel) == nil)
            #expect(try await adapter.reservation(id, hotel: 1) == nil)
        }
    }

    @Test(
        "Own statements are run where they are asked for, and commit with the reservation or not at all",
        arguments: Place.allCases)
    @OnLoop func together(place: Place) async throws {
        try await withAdapter(place) { adapter, node, own in
            let request = try self.request(.next(1))
            let name = request.engineID
            let work = try await adapter.begin(deadline: .seconds(5))
            var (first, then) = (Batch(), Batch())
            let (one, other) = (first.add(Self.number()), then.add(Self.number()))
            let read = try await work.read(
                ReservationQuestion(hotel: Self.hotel), first: first, then: then, deadline: nil)
            #expect(try read.first.of(one) == [7])
            #expect(try read.then.of(other) == [7])
            work.rollback()

            let id = try await self.create(adapter, request, with: [Self.insert(name)])
            let count = "SELECT count(*) FROM drawbridge.events WHERE entity_id ="
            #expect(try await own("\(count) '\(name)'") == [["1"]])
            // One that fails takes the reservation with it.
            let second = try self.request(.next(1))
            await #expect(throws: PostgresError.self) {
                try await self.create(adapter, second, with: [Self.insert(second.engineID), Self.fail()])
            }
            #expect(try await own("\(count) '\(second.engineID)'") == [["0"]])
            #expect(
                try await node.value(
                    "SELECT count(*) FROM reservations WHERE ota_reservation_id = '\(second.engineID)'") == "0")
            #expect(try await node.value("SELECT count(*) FROM clients WHERE name = '\(second.engineID)'") == "0")
            #expect(try await adapter.reservation(id, hotel: Self.hotel) != nil)
            _ = try await own("DELETE FROM drawbridge.outbox_events WHERE type = 'test.conformance'")
        }
    }

    @Test("A guest with the same particulars is the same record, and with others another", arguments: Place.allCases)
    @OnLoop func guests(place: Place) async throws {
        try await withAdapter(place) { adapter, node, _ in
            let request = try self.request(.next(1))
            _ = try await self.create(adapter, request)
            var question = ReservationQuestion(hotel: Self.hotel)
            question.guest = request.guest
            var (work, facts) = try await self.ask(adapter, question)
            work.rollback()
            #expect(facts.client != nil)
            question.guest = Guest(
                name: request.guest.name, nameKana: "カナ", email: request.guest.email, phone: nil)
            (work, facts) = try await self.ask(adapter, question)
            work.rollback()
            #expect(facts.client == nil)
            question.guest = Guest(name: request.guest.name, nameKana: nil, email: nil, phone: nil)
            (work, facts) = try await self.ask(adapter, question)
            work.rollback()
            #expect(facts.client == nil)
            #expect(try await node.value("SELECT count(*) FROM clients WHERE name = '\(request.guest.name)'") == "1")
        }
    }

    @Test("What a reservation itself takes is free for it and taken for others", arguments: Place.allCases)
    @OnLoop func ownNights(place: Place) async throws {
        try await withAdapter(place) { adapter, _, _ in
            let request = try self.request(.next(2))
            let id = try await self.create(adapter, request)
            var question = ReservationQuestion(hotel: Self.hotel)
            question.wanted = (request.stay, request.rooms)
            var (work, facts) = try await self.ask(adapter, question)
            work.rollback()
            #expect(facts.takenNights.count == 2)
            question.reservation = id
            (work, facts) = try await self.ask(adapter, question)
            work.rollback()
            #expect(facts.takenNights.isEmpty)
            #expect(try self.locked(facts).roomsTaken.count == 1)
        }
    }

    @Test(
        "A change has the effect it says, and a cancellation gives everything back and keeps the prices",
        arguments: Place.allCases)
    @OnLoop func changedAndCancelled(place: Place) async throws {
        try await withAdapter(place) { adapter, _, _ in
            let stay = TestStay.next(3)
            let request = try self.request(TestStay(arrival: stay.arrival, nights: 2))
            let id = try await self.create(adapter, request)
            let longer = try self.request(stay)
            var question = ReservationQuestion(hotel: Self.hotel)
            question.reservation = id
            question.wanted = (longer.stay, longer.rooms)
            var (work, facts) = try await self.ask(adapter, question)
            var change = ReservationChange(try self.locked(facts), hotel: Self.hotel)
            change.arrangement = (longer.stay, try self.reserved(longer, facts))
            try await work.commit([.change(change)], with: [])
            #expect(change.effect.released.isEmpty)
            #expect(change.effect.taken.map(\.night) == [stay.nights[2]])
            let read = try #require(try await adapter.reservation(id, hotel: Self.hotel))
            #expect(read.nights(.jpy).map(\.night) == stay.nights)
            #expect(read.content(.jpy) == change.content(.jpy))
            #expect(change.content(.jpy).bytes != change.reservation.content(.jpy).bytes)

            question.wanted = nil
            (work, facts) = try await self.ask(adapter, question)
            let reservation = try self.locked(facts)
            #expect(reservation.released.compactMap(\.night).sorted() == stay.nights)
            try await work.commit(
                [.cancel(ReservationCancellation(reservation, hotel: Self.hotel, chargesInFull: false))], with: [])
            let cancelled = try #require(try await adapter.reservation(id, hotel: Self.hotel))
            #expect(cancelled.status == .cancelled)
            #expect(cancelled.nights(.jpy).map(\.price) == read.nights(.jpy).map(\.price))
            #expect(cancelled.nights(.jpy).allSatisfy { $0.isCancelled })
        }
    }

    @Test("Work on a hotel keeps other work on it out, and none on other hotels", arguments: Place.allCases)
    @OnLoop func turns(place: Place) async throws {
        try await withAdapter(place) { adapter, _, _ in
            let (work, _) = try await self.ask(adapter, ReservationQuestion(hotel: Self.hotel))
            let elsewhere = try await self.ask(adapter, ReservationQuestion(hotel: 1))
            elsewhere.work.rollback()
            let late = try await adapter.begin(deadline: .seconds(5))
            await #expect(throws: PostgresError.self) {
                _ = try await late.read(
                    ReservationQuestion(hotel: Self.hotel), first: Batch(), then: Batch(), deadline: .milliseconds(50))
            }
            work.rollback()
            let (next, _) = try await self.ask(adapter, ReservationQuestion(hotel: Self.hotel))
            next.rollback()
        }
    }

    @Test("A reservation is read by its own rows, however many the hotel has on its nights")
    @OnLoop func ownRows() async throws {
        try await withAdapter(.withPMS) { adapter, node, _ in
            let stay = TestStay.next(1)
            let id = try await self.create(adapter, try self.request(stay))
            for _ in 0..<9 { _ = try await self.create(adapter, try self.request(stay)) }
            var question = ReservationQuestion(hotel: Self.hotel)
            question.reservation = id
            let work = try await adapter.begin(deadline: .seconds(5))
            var then = Batch()
            let before = then.add(Self.fetched())
            let found = try await work.read(question, first: Batch(), then: then, deadline: nil)
            #expect(try self.locked(found.facts).released.count == 1)
            var after = Batch()
            let others = after.add(Self.otherPartitions())
            #expect(try await work.more(after, deadline: nil).of(others) == [0])
            try await work.commit([], with: [Self.noteFetched("\(id)", try found.then.of(before)[0])])
            let fetched = try await node.value(
                "SELECT version FROM drawbridge.events WHERE entity_id = '\(id)' AND type = 'test.fetched'")
            #expect(try #require(Int(fetched)) <= 6)
        }
    }

    @Test(
        "That the front desk works on it is told, not waited for; one that is deleted is gone",
        arguments: Place.allCases)
    @OnLoop func frontDesk(place: Place) async throws {
        try await withAdapter(place) { adapter, node, _ in
            let stay = TestStay.next(2)
            let id = try await self.create(adapter, try self.request(stay))
            var question = ReservationQuestion(hotel: Self.hotel)
            question.reservation = id
            // A night on no date of the calendar is one of them, too.
            _ = try await node.rows(
                """
                INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people)
                SELECT 2, id, 'infinity', NULL, 1 FROM reservations WHERE hotel_id = 2 AND id = '\(id)'
                """)
            // The reservation, all of its nights, one of them, the one without a date.
            let nights = "reservation_details WHERE"
            let first = "\(nights) date = '\(stay.arrival)' AND reservation_id"
            let undated = "\(nights) date = 'infinity' AND reservation_id"
            for table in ["reservations WHERE id", "\(nights) reservation_id", first, undated] {
                let frontDesk = try ChildProcess(
                    "/usr/bin/env",
                    [
                        "psql", "-X", "-q", "-d", try node.variable("DATABASE_URL"), "-c",
                        "BEGIN; SELECT FROM \(table) = '\(id)' AND hotel_id = 2 FOR UPDATE; SELECT pg_sleep(60)",
                    ], environment: ["PATH": "/usr/bin:/bin"], descriptors: [.null, .null, .null])
                defer { frontDesk.send(signal: 9) }
                try await wait("the front desk works on it") {
                    let (work, facts) = try await self.ask(adapter, question)
                    work.rollback()
                    if case .busy = facts.reservation { return true }
                    return false
                }
                _ = try await node.rows(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%\(id)%pg_sleep%' AND pid <> pg_backend_pid()"
                )
                _ = try await frontDesk.waitForExit()
            }
            _ = try await node.rows("DELETE FROM reservations WHERE hotel_id = 2 AND id = '\(id)'")
            let (work, facts) = try await self.ask(adapter, question)
            work.rollback()
            guard case .gone = facts.reservation else {
                Issue.record("not gone: \(facts.reservation)")
                return
            }
        }
    }

    @Test(
        "A reservation whose room another one takes, too, is told, and moves with its prices", arguments: Place.allCases
    )
    @OnLoop func moved(place: Place) async throws {
        try await withAdapter(place) { adapter, node, _ in
            let request = try self.request(.next(2), rooms: 2)
            let id = try await self.create(adapter, request)
            var question = ReservationQuestion(hotel: Self.hotel)
            question.reservation = id
            question.looksForShared = true
            var (work, facts) = try await self.ask(adapter, question)
            work.rollback()
            #expect(facts.sharedNights.isEmpty)
            let room = try #require(try self.locked(facts).roomsTaken.sorted().first)
            let night = request.stay.nights.lowerBound
            _ = try await node.rows(
                """
                INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people)
                SELECT 2, id, '\(night)', \(room), 1 FROM reservations WHERE hotel_id = 2 AND agent IS NULL LIMIT 1
                """)
            question.candidates = ([21], request.stay.nights)
            (work, facts) = try await self.ask(adapter, question)
            #expect(facts.sharedNights.map(\.night) == [night])
            #expect(facts.sharedNights.map(\.room) == [room])
            let before = try self.locked(facts)
            // Its own nights count as taken: it stays where it is otherwise.
            #expect(facts.takenNights.count { $0.room.map(before.roomsTaken.contains) ?? false } == 5)
            let free = try #require(facts.rooms.first { room in !facts.takenNights.contains { $0.room == room.id } })
            let moves = [RoomMove(from: room, to: free.id)]
            let write = ReservationMoves(before, hotel: Self.hotel, moves)
            try await work.commit([.move(write)], with: [])
            let after = try #require(try await adapter.reservation(id, hotel: Self.hotel))
            #expect(after.content(.jpy) == before.after(moves, among: facts.rooms).content(.jpy))
            #expect(
                Set(after.nights(.jpy).compactMap(\.room)) == before.roomsTaken.subtracting([room]).union([free.id]))
            #expect(after.nights(.jpy).map(\.price) == before.nights(.jpy).map(\.price))
            #expect(write.effect.taken.map(\.night).sorted() == Array(request.stay.nights))
            #expect(write.effect.released.compactMap(\.room) == [room, room])
        }
    }
}

/// A server that is started when it is first asked for.
@OnLoop
private final class SharedServer {
    private var starting: Task<HotelServer, any Error>?

    nonisolated init() {}

    func started() async throws -> HotelServer {
        if let starting { return try await starting.value }
        let task = Task {
            let server = try await HotelServer()
            try await server.start()
            return server
        }
        starting = task
        return try await task.value
    }
}
