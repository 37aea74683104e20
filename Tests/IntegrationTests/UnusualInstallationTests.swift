import Glibc
import Loop
import Policy
import Testing

/// Each has an installation of its own.
@Suite("Installations that are not as usual", .serialized)
struct UnusualInstallationTests {
    init() { Loop.runInBackground() }

    @Test("With a home whose path is longer than a socket's may be, requests are answered and every process is watched")
    @OnLoop func longHome() async throws {
        let node = try Node(name: String(repeating: "h", count: 134))
        #expect(node.home.utf8.count == 150)
        try await node.start()
        #expect(try await node.get(TestStay.next().availability(1)).status == 200)
        #expect(try await node.admin.send(.get("/readyz")).status == 200)
        #expect(try await node.socket("bridge.admin").send(.get("/readyz")).status == 200)
        // Whichever worker is asked, and however often: its asking leaves nothing in the answer.
        for _ in 0..<8 {
            let metrics = try await node.admin.send(.get("/metrics")).text
            for name in ["bridge", "gateway-0", "gateway-1"] {
                #expect(metrics.contains("drawbridge_process_restarts{process=\"\(name)\"} 0"))
            }
            let upstreams = metrics.split(separator: "\n").filter { $0.hasPrefix("drawbridge_upstream_healthy{") }
            #expect(upstreams.count == 2)
            #expect(upstreams.allSatisfy { $0.contains("upstream=\"bridge\"") })
        }
        let sockets = Files.resolve("\(node.home)/run")
        // Only sockets need a short path; what the processes are told to do stays in the home.
        #expect(!sockets.hasPrefix(node.home))
        #expect(
            Files.names(in: sockets).allSatisfy {
                $0.hasSuffix(".sock") || $0.hasPrefix("rate-limits.table") || $0 == "drawbridge.prom"
                    || $0 == "postgresql"
            })
        #expect(
            Set(Files.names(in: "\(node.home)/policies-in-force"))
                == Set(PolicyDirectory.fileNames + [PolicyDirectory.rulesDirectory]))
        #expect(try await node.stop().isSuccess)
        #expect(access(sockets, F_OK) != 0)
    }

    @Test("Whoever is restarted runs by the policies of the start, whatever has become of the files")
    @OnLoop func brokenPolicies() async throws {
        let node = try Node(ownsPolicies: true)
        let description = "\(node.policies)/openapi.yaml"
        let offered = "operationId: listRoomTypes\n"
        let text = Files.text(description)
        try #require(text.contains(offered))
        let terms = try #require(text[text.firstRange(of: offered)!.upperBound...].firstRange(of: "x-drawbridge:\n"))
        Files.write(
            text[..<terms.upperBound] + "        forward: false\n" + text[terms.upperBound...], to: description)
        try await node.start()

        let roomTypes = "/api/booking-engine/room-types/1"
        expectProblem(try await node.get(roomTypes), 501)
        for name in ["gateway", "issuers", "openapi", "bridge"] {
            Files.write("{", to: "\(node.policies)/\(name).yaml")
        }
        for slot in ["bridge", "gateway-0", "gateway-1"] {
            let before = try node.processID(slot)
            kill(before, SIGKILL)
            try await wait("\(slot) again") { try node.processID(slot) != before }
        }
        let stay = TestStay.next()
        try await wait("an answer") { try await node.get(stay.availability(1)).status == 200 }
        expectProblem(try await node.get(roomTypes), 501)
        let doctor = try await node.doctor()
        #expect(doctor.contains("note   policies in \(node.policies): changed since"))
        #expect(doctor.contains("WRONG  policy: \(node.policies)/bridge.yaml:"))
        #expect(try await node.stop().isSuccess)
        #expect(access("\(node.home)/policies-in-force", F_OK) != 0)
    }

    @Test("Where transactions may take longer, lists are complete until longer ago")
    @OnLoop func longTransactions() async throws {
        let node = try Node(ownsPolicies: true)
        let policy = "\(node.policies)/bridge.yaml"
        Files.write(
            Files.text(policy).replacing("statement_deadline: 5 s", with: "statement_deadline: 300 s"), to: policy)
        try await node.start()
        let earliest = try await node.value(
            "SELECT to_char(now() - INTERVAL '908 s', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        let complete = try #require(
            try await node.get("/api/booking-engine/bookings?limit=1").string("complete_until"))
        let latest = try await node.value(
            "SELECT to_char(now() - INTERVAL '908 s', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        #expect(earliest < complete && complete < latest)
        #expect(try await node.stop().isSuccess)
    }

    @Test("A certificate that is about to expire is said to be, and its end is a metric")
    @OnLoop func certificate() async throws {
        let node = try Node()
        try await node.start()
        let certificate = "\(node.home)/tls/certificate.pem"
        try await expectEnd(of: certificate, node)
        #expect(!node.log.contains("certificate expires"))

        let renewal = try await Files.run([
            "openssl", "x509", "-in", certificate, "-signkey", "\(node.home)/tls/key.pem", "-days", "3", "-out",
            "\(certificate).new",
        ])
        try #require(renewal.exit.isSuccess, "\(renewal.output)")
        rename("\(certificate).new", certificate)
        node.signal(SIGHUP)
        try await wait("a warning of both workers") {
            node.log.split(separator: "\n").count { $0.contains("certificate expires within a week") } == 2
        }
        try await expectEnd(of: certificate, node)
        #expect(try await node.doctor().contains("WRONG  certificate \(certificate): expires within a week"))
        #expect(try await node.stop().isSuccess)
    }

    @OnLoop private func expectEnd(of certificate: String, _ node: Node) async throws {
        let end = try await Files.run(["openssl", "x509", "-in", certificate, "-noout", "-enddate"]).output
        let date = try await Files.run(["date", "--date", String(end.dropFirst("notAfter=".count)), "+%s"]).output
        let seconds = try #require(Double(date.split(separator: "\n")[0]))
        let metrics = try await node.admin.send(.get("/metrics")).text
        for worker in ["gateway-0", "gateway-1"] {
            let series = "drawbridge_tls_certificate_expiry_seconds{process=\"\(worker)\",listener=\"public\"}"
            #expect(metrics.contains("\(series) \(seconds)\n"))
        }
    }

    @Test("doctor finds all well, and says which migration and which column is not")
    @OnLoop func doctor() async throws {
        let node = try Node()
        try await node.start()
        let well = try await node.doctor()
        let migrations = Files.names(in: "\(Node.package)/Bridge/Migrations").count { $0.hasSuffix(".sql") }
        #expect(well.contains("ok     migrations: all \(migrations) applied\n"))
        #expect(!well.contains("WRONG"), "\(well)")

        _ = try await node.rows(
            """
            UPDATE drawbridge.schema_migrations SET checksum = '' WHERE number = 1;
            UPDATE drawbridge.schema_migrations SET number = 999, name = 'later' WHERE number = 2;
            ALTER TABLE clients RENAME name_kana TO kana;
            ALTER FUNCTION get_available_plans_for_hotel RENAME TO plans
            """)
        let ill = try await node.doctor().split(separator: "\n").filter { $0.hasPrefix("WRONG") }
        let expected = [
            "PMS table clients: no column name_kana", "PMS function get_available_plans_for_hotel: not there",
            "migration 1 (booking): not the one that was applied", "migration 2 (booking_engine): not applied",
            "migration 999 (later): applied, but unknown",
        ]
        #expect(ill.count == expected.count)
        for (line, words) in zip(ill, expected) { #expect(line.contains(words)) }
        #expect(try await node.stop().isSuccess)
    }
}
