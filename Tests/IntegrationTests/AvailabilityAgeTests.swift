import Glibc
import HotelTime
import JSONText
import Loop
import Stay
import Testing

/// What becomes of what is known to be free as time goes by: fresh, read anew, stale, told to nobody, and past.
@Suite("Availability grows old", .serialized)
struct AvailabilityAgeTests {
    init() { Loop.runInBackground() }

    private static let timeToLive = 3
    private static let maximumAge = 12

    @OnLoop private static var node: Node?

    /// An installation in which things grow old fast.
    @OnLoop private func node() async throws -> Node {
        if let node = Self.node { return node }
        let node = try Node(ownsPolicies: true, workers: 1)
        let bridge = "\(node.policies)/bridge.yaml"
        try Files.change(bridge, "time_to_live: 15 min", to: "time_to_live: \(Self.timeToLive) s")
        try Files.change(bridge, "maximum_age: 24 h", to: "maximum_age: \(Self.maximumAge) s")
        try await node.start()
        Self.node = node
        return node
    }

    /// What an answer says of its age, checked against itself.
    private struct Told {
        let readAt: Int
        let expiresAt: Int
        let age: Int
        let isStale: Bool
        let cacheStatus: String
        let available: Int?

        @OnLoop init(_ answer: Answer, askedAt: Int, _ location: SourceLocation) throws {
            func seconds(_ member: String) throws -> Int {
                let text = try #require(answer.string(member), "\(answer.status) \(answer.text)")
                let parts = text.dropLast().split(separator: "T")
                let day = try #require(Day(String(parts[0])))
                let clock = parts[1].split(separator: ":").compactMap { Int($0) }
                return Int(day.daysSinceEpoch) * 86_400 + clock.reduce(0) { $0 * 60 + $1 }
            }
            readAt = try seconds("last_updated")
            expiresAt = try seconds("expires_at")
            age = try #require(answer["Age"].flatMap { Int($0) })
            isStale = answer.value("is_stale") == .bool(true)
            cacheStatus = try #require(answer["Cache-Status"])
            available = answer.integer("room_types.0.available")
            #expect(expiresAt - readAt == timeToLive, sourceLocation: location)
            // Both are whole seconds of instants that are not.
            let now = Int(Loop.unixTime)
            #expect((askedAt - readAt - 1...now - readAt + 1).contains(age), sourceLocation: location)
            #expect(cacheStatus.hasSuffix("; ttl=\(timeToLive - age)"), "\(cacheStatus)", sourceLocation: location)
        }
    }

    @OnLoop private func told(
        _ node: Node, _ stay: TestStay, hotel: Int = 2, _ location: SourceLocation = #_sourceLocation
    ) async throws -> Told {
        let now = Int(Loop.unixTime)
        return try Told(
            try await node.get("\(stay.availability(hotel))&room_type_id=\(hotel)1"), askedAt: now, location)
    }

    @Test("What expires is read anew before anybody asks, and says when", .timeLimit(.minutes(3)))
    @OnLoop func refreshed() async throws {
        let node = try await node()
        let stay = TestStay.next(1)
        let first = try await told(node, stay)
        // Behind the log's back, so that nothing but a reading finds it.
        _ = try await node.rows(
            """
            SET session_replication_role = replica;
            INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people)
            SELECT 2, (SELECT id FROM reservations WHERE hotel_id = 2 LIMIT 1), '\(stay.arrival)', min(id), 1
            FROM rooms WHERE hotel_id = 2 AND room_type_id = 21 AND for_sale AND NOT is_staff_room
            """)
        // Whatever is younger than this was read after the change.
        var last = try await told(node, stay)
        for _ in 0..<20 {
            // Of hotel 2 nobody asks until it has expired; another one tells how late it is.
            let end = last.expiresAt
            try await wait("it has expired") { try await told(node, stay, hotel: 1).readAt > end }
            let now = try await told(node, stay)
            if !now.isStale {
                #expect(now.readAt > last.readAt && now.expiresAt > last.expiresAt)
                #expect(now.available == first.available.map { $0 - 1 })
                if now.cacheStatus.hasPrefix("Drawbridge; hit; ") { return }
            }
            // A busy machine: it was read for us, or is being read.
            last = now
        }
        Issue.record("it is read only when somebody asks")
    }

    /// How the PMS is away.
    enum Absence: CaseIterable {
        /// Its processes stand still.
        case frozen
        case stopped
    }

    /// Makes it so; what is returned ends it.
    @OnLoop private func begin(_ absence: Absence, _ node: Node) async throws -> () -> Void {
        let server = try node.processID("postgresql")
        func parent(_ id: Int32) -> Int32? {
            Files.text("/proc/\(id)/stat").split(separator: " ").dropFirst(3).first.flatMap { Int32($0) }
        }
        switch absence {
        case .frozen:
            kill(server, SIGSTOP)
            let sessions = Files.names(in: "/proc").compactMap { Int32($0) }.filter { parent($0) == server }
            for session in sessions { kill(session, SIGSTOP) }
            return { for process in [server] + sessions { kill(process, SIGCONT) } }
        case .stopped:
            let supervisor = try #require(node.supervisor)
            kill(supervisor, SIGSTOP)
            kill(server, SIGINT)
            return { kill(supervisor, SIGCONT) }
        }
    }

    @Test(
        "While the PMS is away it is told as stale, too old it is told to nobody, and it is fresh again by itself",
        .timeLimit(.minutes(3)), arguments: Absence.allCases)
    @OnLoop func stale(_ absence: Absence) async throws {
        let node = try await node()
        let stay = TestStay.next(1)
        let fresh = try await told(node, stay)
        let end = try await begin(absence, node)
        defer { end() }
        try await wait("it is stale") {
            let now = Int(Loop.unixTime)
            let told = try Told(
                try await node.get("\(stay.availability(2))&room_type_id=21"), askedAt: now, #_sourceLocation)
            guard told.isStale else { return false }
            #expect(told.age >= Self.timeToLive && told.readAt >= fresh.readAt && told.available == fresh.available)
            #expect(told.cacheStatus.hasPrefix("Drawbridge; hit; "), "\(told.cacheStatus)")
            return true
        }
        try await wait("it is told to nobody") {
            try await node.get(stay.availability(2)).status == 503
        }
        let late = Int(Loop.unixTime)
        let gone = try await node.get(stay.availability(2))
        expectProblem(gone, 503, "unavailable")
        #expect(gone["Retry-After"].flatMap { Int($0) } ?? 0 > 0)
        end()
        try await wait("it is fresh again") {
            let answer = try await node.get(stay.availability(2))
            return answer.status == 200 && answer.value("is_stale") == .bool(false)
        }
        #expect(try await told(node, stay).readAt >= late - Self.timeToLive)
    }

    @Test("Midnight at a hotel: the day before is sold no more, one more at the other end is", .timeLimit(.minutes(3)))
    @OnLoop func midnight() async throws {
        // In this zone the next full hour, if that is not too near, is midnight.
        let hour = (Int64(Loop.unixTime) + 60) / 3600 + 1
        let offset = (24 - hour % 24 + 12) % 24 - 12
        let node = try Node(ownsPolicies: true, workers: 1)
        let zone = "Etc/GMT\(offset > 0 ? "-" : "+")\(abs(offset))"
        try Files.change(
            "\(node.policies)/bridge.yaml", "hotels: []", to: "hotels: [{hotel_id: 2, time_zone: \(zone)}]")
        try await node.start()
        let clock = try ShiftedClock(node.directory)
        try clock.set(hour * 3600 - 120)
        let processes = try await RestlessProcesses(beside: node, workers: 1, environment: clock.environment)
        do {
            try await processes.run { try await self.pass(hour * 3600, clock, zone, node, processes) }
        } catch {
            Issue.record("\(zone): \(processes.log.suffix(2000))")
            throw error
        }
        #expect(processes.oddities == [])
        #expect(try await node.stop().isSuccess)
    }

    @OnLoop private func pass(
        _ midnight: Int64, _ clock: ShiftedClock, _ zone: String, _ node: Node, _ processes: RestlessProcesses
    ) async throws {
        let today = try #require(HotelClock(timeZone: zone)?.today(at: midnight - 1))
        // Signed by the time that the test goes by, and good by the processes' as well.
        let token = try node.token {
            $0.issued = -120
            $0.expiry = 3 * 3600
        }
        func stay(_ day: Int, _ nights: Int = 1) -> TestStay {
            TestStay(arrival: today.advanced(by: day), nights: nights)
        }
        func ask(_ stay: TestStay, hotel: Int = 2) async throws -> Answer {
            try await processes.gateway.send(.get(stay.availability(hotel), token))
        }
        func book(_ stay: TestStay) async throws -> Answer {
            try await processes.gateway.send(.post("/api/booking-engine/bookings", token, json: BookingBody(stay).json))
        }
        try await wait("they answer") { (try? await ask(stay(1)).status) == 200 }
        let tokyo = try #require(HotelClock(timeZone: "Asia/Tokyo")?.today(at: midnight))
        let there = TestStay(arrival: tokyo, nights: 1)
        let before = TestStay(arrival: tokyo.advanced(by: -1), nights: 1)

        #expect(try await ask(stay(0)).status == 200)
        expectProblem(try await ask(stay(-1)), 422, "invalid-request")
        #expect(try await ask(stay(500)).status == 200)
        expectProblem(try await ask(stay(501)), 422, "invalid-request")
        // The first night after the window, of which the index has to know when it comes in.
        let edge = stay(530)
        _ = try await node.rows(
            """
            INSERT INTO reservation_details (hotel_id, reservation_id, date, room_id, number_of_people)
            SELECT 2, (SELECT id FROM reservations WHERE hotel_id = 2 LIMIT 1), '\(edge.arrival)', min(id), 1
            FROM rooms WHERE hotel_id = 2 AND room_type_id = 21 AND for_sale AND NOT is_staff_room
            """)

        try clock.set(midnight + 1)
        expectProblem(try await ask(stay(0)), 422, "invalid-request")
        expectProblem(try await ask(stay(0, 3)), 422, "invalid-request")
        expectProblem(try await book(stay(0)), 422, "invalid-request")
        expectProblem(try await book(stay(0, 3)), 422, "invalid-request")
        #expect(try await ask(stay(1)).status == 200)
        let last = stay(501, 30)
        #expect(last.nights.last == edge.arrival)
        let counts = try await node.nightlyCountsInDatabase(2, last)
        try await wait("the window's end is what the PMS has") { Node.nightlyCounts(in: try await ask(last)) == counts }
        expectProblem(try await ask(stay(502)), 422, "invalid-request")
        expectProblem(try await book(stay(502)), 422, "invalid-request")
        #expect(try await book(last).status == 201)
        // Where it is not midnight nothing has changed.
        if zone != "Etc/GMT-9" {
            #expect(try await ask(there, hotel: 1).status == 200)
            expectProblem(try await ask(before, hotel: 1), 422, "invalid-request")
        }
        let admin = HTTPClient(endpoint: .unix(path: "\(processes.home)/run/bridge.admin.sock"), host: "localhost")
        let drift = try await admin.send(.get("/index-drift?hotels=2"))
        #expect(drift.status == 200 && drift.elements("hotels").isEmpty, "\(drift.text)")
    }
}
