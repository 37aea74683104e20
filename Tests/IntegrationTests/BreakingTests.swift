import Glibc
import JSONText
import Loop
import Stay
import TLS
import Testing

/// Each has an installation of its own, and one is broken at a time.
@Suite("Processes that are killed, frozen, reloaded and stopped", .serialized)
struct BreakingTests {
    init() { Loop.runInBackground() }

    /// Sends a signal to processes by their numbers.
    private func signal(_ number: Int32, _ processes: [Int32]) { for process in processes { kill(process, number) } }

    // MARK: The database

    @Test("With the database frozen availability is answered, bookings get 503; when it thaws they are made")
    @OnLoop func frozenDatabase() async throws {
        let node = try Node()
        try await node.start()
        let stay = TestStay.next()
        let bridge = try node.processID("bridge")
        let sessions = try await node.rows("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        let database = [try node.processID("postgresql")] + sessions.compactMap { Int32($0[0]) }
        signal(SIGSTOP, database)
        defer { signal(SIGCONT, database) }
        var body = BookingBody(stay)
        body.guestName = "Frozen Guest"
        let booking = body
        let answers = try await concurrently([true, false]) { isBooking in
            if isBooking { return try await node.book(booking) }
            try await Loop.sleep(for: .milliseconds(500))
            return try await node.get(stay.availability(2))
        }
        expectProblem(answers[0], 503, "unavailable")
        #expect(answers[0]["Retry-After"] == "1")
        #expect(answers[1].status == 200)
        #expect(answers[1].integer("room_types.0.available") == 11)
        signal(SIGCONT, database)
        // The client asks again and gets its one booking.
        try await wait("the booking is made") { [200, 201].contains(try await node.book(booking).status) }
        #expect(
            try await node.value("SELECT count(*) FROM reservations WHERE ota_reservation_id = '\(body.engineID)'")
                == "1")
        try await wait("availability tells of it") { try await node.available(2, 21, stay) == 10 }
        #expect(try node.processID("bridge") == bridge)
        #expect(try await node.stop().isSuccess)
    }

    @Test("While the database takes no writes, as a standby, bookings get 503")
    @OnLoop func standby() async throws {
        let node = try Node()
        try await node.start()
        let reconnect =
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            + "WHERE usename = CURRENT_USER AND pid <> pg_backend_pid()"
        _ = try await node.rows("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
        _ = try await node.rows(reconnect)
        let body = BookingBody(TestStay.next())
        try await wait("bookings get 503") {
            let answer = try await node.book(body)
            #expect(answer.status == 503, "\(answer.text)")
            return answer["Retry-After"] != nil && node.log.contains("read-only transaction")
        }
        _ = try await node.rows(
            "BEGIN READ WRITE; ALTER ROLE CURRENT_USER RESET default_transaction_read_only; COMMIT; \(reconnect)")
        try await wait("bookings are made again") { [200, 201].contains(try await node.book(body).status) }
        #expect(try await node.stop().isSuccess)
    }

    @Test("When PostgreSQL is killed under load nothing that was confirmed is lost, and all goes on by itself")
    @OnLoop func killedDatabase() async throws {
        let node = try Node()
        try await node.start()
        let load = try Load(node)
        try await load.wait(answers: 20, status: 201)
        let (bridge, database) = (try node.processID("bridge"), try node.processID("postgresql"))
        for _ in 0..<2 {
            signal(SIGKILL, [try node.processID("postgresql")])
            try await load.wait(answers: 5)
            try await load.wait(answers: 10, status: 201)
        }
        try await load.stop()
        #expect(try node.processID("postgresql") != database)
        #expect(try node.processID("bridge") == bridge)
        #expect(Set(load.statuses.keys).isSubset(of: [200, 201, 409, 503]), "\(load.statuses)")
        #expect(load.brokenConnections == 0 && load.refusedConnections == 0)
        #expect(load.oddities == [])
        try await load.expectConsistency()
        try await load.expectAgreement()
        #expect(try await node.stop().isSuccess)
    }

    // MARK: The bridge

    @Test("When the bridge is killed under load clients are answered, and nothing that was confirmed is lost")
    @OnLoop func killedBridge() async throws {
        let node = try Node()
        try await node.start()
        let load = try Load(node)
        for kills in 1...3 {
            try await load.wait(answers: 20, status: 201)
            signal(SIGKILL, [try node.processID("bridge")])
            try await wait("the bridge is back") {
                try await node.admin.send(.get("/metrics")).text
                    .contains("drawbridge_process_restarts{process=\"bridge\"} \(kills)")
            }
        }
        try await load.wait(answers: 10, status: 201)
        try await load.stop()
        #expect(Set(load.statuses.keys).isSubset(of: [200, 201, 409, 502, 503, 504]), "\(load.statuses)")
        #expect(load.brokenConnections == 0 && load.refusedConnections == 0)
        #expect(load.oddities == [])
        try await load.expectConsistency()
        try await load.expectAgreement()
        #expect(try await node.stop().isSuccess)
    }

    @Test("With the bridge frozen no client hangs, and the node says that it is not ready; both pass")
    @OnLoop func frozenBridge() async throws {
        let node = try Node()
        try await node.start()
        let stay = TestStay.next()
        #expect(try await node.get(stay.availability(2)).status == 200)
        let bridge = try node.processID("bridge")
        signal(SIGSTOP, [bridge])
        defer { signal(SIGCONT, [bridge]) }
        let frozen = try await node.get(stay.availability(2))
        expectProblem(frozen, frozen.status == 503 ? 503 : 504)
        try await wait("every gateway says it is not ready") {
            for name in ["gateway-0.admin", "gateway-1.admin"]
            where try await node.socket(name).send(.get("/readyz")).status != 503 { return false }
            return true
        }
        expectProblem(try await node.admin.send(.get("/readyz")), 503, "not-ready")
        #expect(try await node.admin.send(.get("/healthz")).status == 200)
        let refused = try await node.get(stay.availability(2))
        expectProblem(refused, 503, "unavailable")
        #expect(refused["Retry-After"] != nil)
        signal(SIGCONT, [bridge])
        try await wait("the node is ready again") { try await node.admin.send(.get("/readyz")).status == 200 }
        try await wait("rooms are found again") { try await node.get(stay.availability(2)).status == 200 }
        #expect(try await node.stop().isSuccess)
    }

    // MARK: The gateway

    @Test("When a gateway worker is killed under load the other goes on, and a new one takes its place")
    @OnLoop func killedWorker() async throws {
        let node = try Node()
        try await node.start()
        let token = try node.token()
        let request = TestRequest.get("/api/booking-engine/hotels/1", token)
        // A request id begins with the number its worker has drawn.
        var connections: [(worker: Substring, connection: HTTPConnection)] = []
        defer { for (_, connection) in connections { connection.close() } }
        for _ in 0..<16 {
            let connection = try await node.gateway.connect()
            connections.append(
                (try #require(try await connection.send(request)["X-Request-Id"]).prefix(16), connection))
        }
        #expect(Set(connections.map(\.worker)).count == 2)
        let load = try Load(node)
        try await load.wait(answers: 50)
        let victim = try node.processID("gateway-0")
        signal(SIGKILL, [victim])
        var survivors: [Substring: Int] = [:]
        for (worker, connection) in connections {
            if let answer = try? await connection.send(request), answer.status == 200 {
                survivors[worker, default: 0] += 1
            }
        }
        // One worker's connections are gone, all of the other's are there.
        #expect(survivors.count == 1)
        #expect(survivors.allSatisfy { worker, count in count == connections.count { $0.worker == worker } })
        try await wait("a new worker counts its start") {
            try await node.admin.send(.get("/metrics")).text
                .contains("drawbridge_process_restarts{process=\"gateway-0\"} 1")
        }
        #expect(try node.processID("gateway-0") != victim)
        try await load.wait(answers: 50)
        try await load.stop()
        #expect(Set(load.statuses.keys).isSubset(of: [200, 201, 409]), "\(load.statuses)")
        // The kernel keeps new connections for the next worker: none was refused.
        #expect(load.brokenConnections <= 10)
        #expect(load.oddities == [])
        try await load.expectConsistency()
        #expect(try await node.stop().isSuccess)
    }

    @Test("SIGHUP lets new connections see the new certificate and leaves the open ones alone")
    @OnLoop func reload() async throws {
        let node = try Node()
        try await node.start()
        let old = try node.gateway
        let request = TestRequest.get("/api/booking-engine/hotels/1", try node.token())
        let connection = try await old.connect()
        defer { connection.close() }
        #expect(try await connection.send(request).status == 200)
        let load = try Load(node)
        try await load.wait(answers: 20)
        try await load.stop()

        // One that cannot be used leaves the old one in force.
        let certificate = "\(node.home)/tls/certificate.pem"
        let backup = try #require(Files.read(certificate))
        try write([], to: certificate)
        node.signal(SIGHUP)
        try await wait("both workers complain") {
            node.log.split(separator: "\n").count { $0.contains("certificate not reloaded") } == 2
        }
        try write(backup, to: certificate)
        #expect(try await old.send(request).status == 200)

        let made = try await Files.run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", "/CN=renewed", "-addext", "subjectAltName=DNS:localhost", "-keyout", "\(node.home)/tls/key.pem",
            "-out", certificate,
        ])
        try #require(made.exit.isSuccess, "\(made.output)")
        let during = try Load(node)
        try await during.wait(answers: 0)
        node.signal(SIGHUP)
        try await wait("both workers have read it") {
            node.log.split(separator: "\n").count { $0.contains("\"certificate reloaded\"") } == 2
        }
        try await during.wait(answers: 30)
        try await during.stop()
        for _ in 0..<8 {
            #expect(try await node.gateway.send(request).status == 200)
            await #expect(throws: (any Error).self) { _ = try await old.connect() }
        }
        #expect(try await connection.send(request).status == 200)
        #expect(during.brokenConnections == 0)
        #expect(try await node.stop().isSuccess)
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        let file = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)
        defer { close(file) }
        #expect(Glibc.write(file, bytes, bytes.count) == bytes.count)
    }

    // MARK: The whole

    @Test("A worker that is told to end while a client is slow has a successor at once")
    @OnLoop func slowEnd() async throws {
        let node = try Node(ownsPolicies: true, workers: 1)
        let file = "\(node.policies)/gateway.yaml"
        Files.write(
            Files.text(file).replacing("minimum_body_rate_grace: 5 s", with: "minimum_body_rate_grace: 60 s"), to: file)
        try await node.start()
        let older = try node.processID("gateway-0")
        let slow = try await node.gateway.connect()
        defer { slow.close() }
        try await slow.begin(
            TestRequest(
                method: "POST", target: "/api/booking-engine/bookings", token: try node.token(),
                fields: [("Content-Type", "application/json"), ("Content-Length", "60000")]))
        try await wait("the request is open") {
            try await node.gateway.send(.get("/api/booking-engine/hotels", node.token())).status == 200
        }
        kill(older, SIGTERM)
        try await wait("it drains") { node.log.contains("gateway worker drains") }
        #expect(try await node.get(TestStay.next().availability(2)).status == 200)
        // Whoever answered, it was not the older one, which still waits for its client.
        #expect(kill(older, 0) == 0)
        slow.close()
        try await wait("the older one ends") { kill(older, 0) != 0 }
        #expect(try node.processID("gateway-0") != older)
        #expect(try await node.stop().isSuccess)
    }

    @Test("SIGTERM under load: what was accepted is answered, nothing is left, and a second start has the data")
    @OnLoop func stop() async throws {
        let node = try Node()
        try await node.start()
        let load = try Load(node)
        try await load.wait(answers: 20, status: 201)
        // Bookings that are certainly under way: they wait for a hotel's lock.
        let locks = "pg_locks WHERE locktype = 'advisory' AND classid = 17474 AND objid = 3"
        let locker = try ChildProcess(
            "/usr/bin/env",
            [
                "psql", "-X", "-q", "-d", try node.variable("DATABASE_URL"), "-c",
                "BEGIN; SELECT pg_advisory_xact_lock(17474, 3); SELECT pg_sleep(60)",
            ], environment: ["PATH": "/usr/bin:/bin"], descriptors: [.null, .null, .null])
        defer { locker.send(signal: SIGKILL) }
        try await wait("the hotel is locked") { try await node.value("SELECT count(*) FROM \(locks)") == "1" }
        let requests = try (0..<8).map { _ in try node.request(BookingBody(.next(), hotel: 3, type: 31)) }
        let open = try await concurrently(requests) { request in
            let connection = try await node.gateway.connect()
            try await connection.begin(request)
            return (connection, request)
        }
        try await wait("a booking waits") {
            try await node.value("SELECT count(*) FROM \(locks) AND NOT granted") == "1"
        }
        let pending = Task { try await concurrently(open) { try await $0.0.answer(to: $0.1) } }
        node.signal(SIGTERM)
        try await wait("it drains") { node.log.contains("gateway worker drains") }
        _ = try await node.rows(
            "SELECT pg_terminate_backend(pid) FROM \(locks) AND granted AND pid <> pg_backend_pid()")
        let answers = try await pending.value
        #expect(answers.map(\.status) == Array(repeating: 201, count: 8))
        try await load.stop()
        #expect(try await node.stop(0).isSuccess)
        #expect(node.processes == [])
        #expect(Set(load.statuses.keys).isSubset(of: [200, 201, 409]), "\(load.statuses)")
        #expect(load.oddities == [])

        try await node.start()
        for answer in answers {
            let again = try await node.get(try #require(answer["Location"]))
            #expect(again.content == answer.content)
        }
        try await load.expectConsistency()
        try await load.expectAgreement()
        #expect(try await node.stop().isSuccess)
        #expect(node.processes == [])
    }
}
