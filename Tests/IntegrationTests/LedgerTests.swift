import Glibc
import JSONText
import Ledger
import Loop
import Testing

@Suite("The ledger of a whole installation", .serialized)
struct LedgerTests {
    init() { Loop.runInBackground() }

    @Test("Every request has its decision and its outcome, and no guest and no token stands anywhere")
    @OnLoop func everyRequest() async throws {
        let node = try Node()
        try await node.start()
        var body = BookingBody(.next())
        body.guestName = "Ledger Guest"
        body.guestEmail = "ledger.guest@example.com"
        let token = try node.token()
        var answers: [Answer] = []
        answers.append(try await node.gateway.send(.post("/api/booking-engine/bookings", token, json: body.json)))
        answers.append(try await node.gateway.send(.get("/api/booking-engine/hotels/2?secret=in-the-query", token)))
        answers.append(try await node.gateway.send(.get("/api/booking-engine/hotels/2", "not.a.token")))
        answers.append(try await node.gateway.send(.get("/guests/ledger.guest%40example.com", token)))
        answers.append(
            try await node.gateway.send(
                .get("/api/booking-engine/hotels/1", try node.token { $0.hotels = "[2]" })))
        answers.append(try await node.gateway.send(TestRequest(method: "BREW", target: "/", token: token)))
        answers.append(
            try await node.gateway.send(
                .get("/api/booking-engine/hotels/2", token).with("User-Agent", "sqlmap/1.7 (in-the-agent)")))
        #expect(answers.map(\.status) == [201, 400, 401, 404, 403, 501, 403])
        // Whoever attacks learns nothing but the request's id.
        #expect(answers[6].string("detail") == "The request is refused")
        // Restricted, as FileRestrictionTests shows what that means; an old kernel has no Landlock, and the log says
        // so.
        let gateway = Files.text("/proc/\(try node.processID("gateway-0"))/status")
        #expect(gateway.contains("NoNewPrivs:\t1") || node.log.contains("keeps the right to change files"))
        #expect(try await node.stop().isSuccess)

        let ledger = try InstallationLedger(node)
        #expect(ledger.report.finding == nil)
        #expect(ledger.report.unsignedCount == 0)
        for (answer, expected) in zip(
            answers,
            [
                ("allowed", "createBooking", nil, 2), ("refused", "getHotel", "validate", 2),
                ("refused", "getHotel", "authenticate", nil),
                ("refused", nil, "route", nil), ("refused", "getHotel", "authorize", 1), ("refused", nil, "read", nil),
                ("refused", "getHotel", "inspect", 2),
            ] as [(String, String?, String?, Int64?)])
        {
            let id = try #require(answer["X-Request-Id"])
            let records = ledger.records[id] ?? []
            #expect(records.compactMap { $0["metadata"]?["log_name"]?.string } == ["decision", "outcome"])
            guard records.count == 2 else { continue }
            #expect(records[0]["unmapped"]?["verdict"]?.string == expected.0)
            #expect(records[0]["unmapped"]?["route"]?.string == expected.1)
            #expect(records[0]["unmapped"]?["stage"]?.string == expected.2)
            // Also of one that asked for another's hotel.
            #expect(records[0]["unmapped"]?["hotel_id"]?.integer == expected.3)
            #expect(records[0]["tls"]?["version"]?.string == "1.3")
            #expect(records[1]["http_response"]?["code"]?.integer == Int64(answer.status))
        }
        let booking = try #require(ledger.records[answers[0]["X-Request-Id"] ?? ""])
        #expect(booking[0]["unmapped"]?["hotel_id"]?.integer == 2)
        #expect(booking[1]["unmapped"]?["upstream_status"]?.integer == 201)
        #expect(ledger.text.contains(#""limits":[{"name":"address","remaining":"#))
        // 913100 is the core rule set's for the names of scanners. The variable's name stands there, not what it held.
        let attack = try #require(ledger.records[answers[6]["X-Request-Id"] ?? ""])
        guard case .array(let rules) = attack[0]["unmapped"]?["rules"] else {
            Issue.record("no rules are named")
            return
        }
        #expect(rules.contains { $0["id"]?.integer == 913_100 })
        #expect(rules.contains { $0["variable"]?.string == "REQUEST_HEADERS:User-Agent" })
        #expect((attack[0]["unmapped"]?["inbound_score"]?.integer ?? 0) >= 5)
        let key = try node.variable("BOOKING_ENGINE_API_KEY")
        for secret in [token, "Ledger Guest", "ledger.guest", "in-the-query", "in-the-agent", "not.a.token", key] {
            #expect(!ledger.text.contains(secret), "\(secret)")
        }
        #expect(!ledger.text.contains(token.split(separator: ".")[1]))
    }

    @Test("With the ledger and the bridge frozen a read's failure waits for its record, too, and says so")
    @OnLoop func frozenWithBridge() async throws {
        let node = try Node()
        try await node.start()
        let frozen = [try node.processID("ledger"), try node.processID("bridge")]
        for process in frozen { kill(process, SIGSTOP) }
        defer { for process in frozen { kill(process, SIGCONT) } }
        expectProblem(try await node.get("/api/booking-engine/hotels/2"), 503, "ledger-unavailable")
        for process in frozen { kill(process, SIGCONT) }
        try await wait("all goes on") {
            try await node.get("/api/booking-engine/hotels/2").status == 200
        }
        #expect(try await node.stop().isSuccess)
    }

    @Test("With the ledger frozen everything is answered 503 in time and nothing is done; when it thaws all goes on")
    @OnLoop func frozen() async throws {
        let node = try Node()
        try await node.start()
        let ledger = try node.processID("ledger")
        kill(ledger, SIGSTOP)
        defer { kill(ledger, SIGCONT) }
        let booking = BookingBody(.next())
        let answers = try await concurrently([0, 1, 2]) { kind in
            let start = Loop.monotonicNanoseconds
            let answer =
                switch kind {
                case 0: try await node.book(booking)
                case 1: try await node.get("/api/booking-engine/hotels/2")
                default: try await node.gateway.send(.get("/nothing"))
                }
            let elapsed = Duration.nanoseconds(Int64(Loop.monotonicNanoseconds - start))
            #expect(elapsed >= .milliseconds(1900))
            #expect(elapsed < .seconds(20))
            return answer
        }
        for answer in answers {
            expectProblem(answer, 503, "ledger-unavailable")
            #expect(answer["Retry-After"] == "1")
        }
        #expect(
            try await node.value("SELECT count(*) FROM reservations WHERE ota_reservation_id = '\(booking.engineID)'")
                == "0")
        kill(ledger, SIGCONT)
        try await wait("bookings are taken") { try await node.book(booking).status == 201 }
        #expect(try node.processID("ledger") == ledger)
        #expect(try await node.stop().isSuccess)
        #expect(try InstallationLedger(node).report.finding == nil)
    }

    @Test("When the ledger's process is killed under load, nothing that was answered or done is missing in it")
    @OnLoop func killed() async throws {
        let node = try Node()
        try await node.start()
        let load = try Load(node)
        try await load.wait(answers: 20, status: 201)
        for _ in 0..<4 {
            let process = try node.processID("ledger")
            kill(process, SIGKILL)
            try await wait("another one is ready") { try node.processID("ledger") != process }
            try await load.wait(answers: 10, status: 201)
        }
        try await load.stop()
        try await load.expectConsistency()
        #expect(load.oddities == [])
        #expect(load.brokenConnections == 0)
        #expect(try await node.stop().isSuccess)
        let ledger = try InstallationLedger(node)
        #expect(ledger.report.finding == nil)
        #expect(ledger.report.unsignedCount == 0)
        let missing = Set(load.requestIDs).subtracting(ledger.records.keys)
        #expect(missing.isEmpty, "\(missing.count) of \(load.requestIDs.count)")
    }

    @Test("Killed gateways leave decisions, and answers that nobody decided about never are")
    @OnLoop func killedGateways() async throws {
        let node = try Node()
        try await node.start()
        let load = try Load(node)
        try await load.wait(answers: 20, status: 201)
        for worker in ["gateway-0", "gateway-1"] {
            kill(try node.processID(worker), SIGKILL)
            try await load.wait(answers: 10, status: 201)
        }
        try await load.stop()
        #expect(try await node.stop().isSuccess)
        let ledger = try InstallationLedger(node)
        #expect(ledger.report.finding == nil)
        let decided = ledger.records.filter { $0.value.contains { $0["metadata"]?["log_name"]?.string == "decision" } }
        #expect(Set(load.requestIDs).subtracting(decided.keys).isEmpty)
    }
}
