import Glibc
import JSONText
import Loop
import Stay
import TLS
import Testing

@Suite("What can be seen from outside")
struct ObservationTests {
    init() { Loop.runInBackground() }

    @Test("Every process says that it lives and is ready, and counts; the node's address says it for all")
    @OnLoop func admin() async throws {
        let node = try await Node.shared()
        var places = [(name: "node", client: try node.admin)]
        for name in ["bridge", "gateway-0", "gateway-1"] { places.append((name, node.socket("\(name).admin"))) }
        for (name, client) in places {
            #expect(try await client.send(.get("/healthz")).text == "ok\n", "\(name)")
            #expect(try await client.send(.get("/readyz")).text == "ready\n", "\(name)")
            expectProblem(try await client.send(.get("/")), 404)
            let post = try await client.send(TestRequest(method: "POST", target: "/metrics"))
            expectProblem(post, 405)
            #expect(post["Allow"] == "GET, HEAD")
            let metrics = try await client.send(.get("/metrics"))
            #expect(metrics["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8")
            Self.expectExposition(metrics.text)
        }
        let all = try await node.admin.send(.get("/metrics")).text
        for name in ["bridge", "gateway-0", "gateway-1"] {
            #expect(all.contains("drawbridge_process_restarts{process=\"\(name)\"} 0"))
        }
    }

    /// The text format of Prometheus: comments, and samples of families that were announced; no series twice.
    private static func expectExposition(_ text: String) {
        var types: Set<Substring> = []
        var series: Set<Substring> = []
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# HELP ") { continue }
            if line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ")
                #expect(types.insert(words[2]).inserted, "\(line)")
                #expect(["counter", "gauge", "histogram"].contains(words[3]))
                continue
            }
            guard let space = line.lastIndex(of: " ") else {
                Issue.record("\(line)")
                continue
            }
            #expect(Double(line[line.index(after: space)...]) != nil, "\(line)")
            #expect(series.insert(line[..<space]).inserted, "\(line)")
            let name = line.prefix { $0 != "{" && $0 != " " }
            let families =
                [name] + ["_bucket", "_sum", "_count"].filter(name.hasSuffix).map { name.dropLast($0.count) }
            #expect(families.contains { types.contains($0) }, "\(line)")
        }
        #expect(series.count > 5)
    }

    @Test("No gateway worker has in its environment what opens the database, which the bridge has")
    @OnLoop func environment() async throws {
        let node = try await Node.shared()
        func environment(_ slot: String) throws -> String { Files.text("/proc/\(try node.processID(slot))/environ") }
        #expect(try environment("bridge").contains("DATABASE_URL="))
        for slot in ["gateway-0", "gateway-1", "ledger"] {
            let variables = try environment(slot).split(separator: "\0")
            #expect(!variables.isEmpty)
            for variable in variables {
                #expect(!variable.hasPrefix("DATABASE_URL=") && !variable.hasPrefix("PG"), "\(variable)")
                #expect(!variable.contains("postgres"), "\(variable)")
            }
        }
    }

    @Test("A process is told where it is and how it was started, and nothing else of its supervisor's environment")
    @OnLoop func told() async throws {
        let node = try await Node.shared()
        let common: Set<Substring> = [
            "PATH", "HOME", "LANG", "TZ", "DRAWBRIDGE_LOG_LEVEL", "DRAWBRIDGE_SUPERVISOR", "DRAWBRIDGE_RESTARTS",
            "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_FDNAMES",
        ]
        // What the supervisor itself has, and no other needs.
        #expect(try environment(try #require(node.supervisor)).contains("DRAWBRIDGE_HOME"))
        for slot in ["gateway-0", "gateway-1", "ledger", "bridge"] {
            let own: Set<Substring> =
                switch slot {
                case "bridge": ["DATABASE_URL", "DRAWBRIDGE_DEMO"]
                case "ledger": []
                default: ["GLIBC_TUNABLES"]
                }
            let names = try environment(try node.processID(slot))
            #expect(names.isSuperset(of: own) && names.isSubset(of: common.union(own)), "\(slot): \(names)")
        }
    }

    private func environment(_ process: Int32) throws -> Set<Substring> {
        let text = Files.text("/proc/\(process)/environ")
        return Set(try text.split(separator: "\0").map { try #require($0.split(separator: "=").first) })
    }

    @Test("No process has a secret among its arguments, which every user of the machine may read")
    @OnLoop func arguments() async throws {
        let node = try await Node.shared()
        let url = try node.variable("DATABASE_URL")
        let password = try #require(url.firstMatch(of: /:\/\/[^:@\/]+:([^@]+)@/)?.1)
        let secrets = [
            String(password), try node.variable("BOOKING_ENGINE_API_KEY"), try node.variable("BOOKING_ENGINE_TOKEN"),
            String(try #require(Files.text("\(node.home)/keys/hop.key").split(separator: "\n").first)),
        ]
        let processes = node.processes + [try #require(node.supervisor)]
        let arguments = processes.map { Files.text("/proc/\($0)/cmdline") }
        #expect(arguments.count >= 6)
        for secret in secrets { #expect(!arguments.contains { $0.contains(secret) }) }
    }

    @Test("The supervisor holds the sockets that listen, and no connection of anybody")
    @OnLoop func supervisor() async throws {
        let node = try await Node.shared()
        let token = try node.token()
        var connections: [HTTPConnection] = []
        defer { for connection in connections { connection.close() } }
        for client in [try node.gateway, try node.gateway, try node.admin] {
            let connection = try await client.connect()
            connections.append(connection)
            _ = try await connection.send(.get("/api/booking-engine/hotels/1", token))
        }
        let supervisor = try #require(node.supervisor)
        // Of two workers, each with a public and an admin address.
        #expect(Self.states(supervisor).count >= 4)
        #expect(Set(Self.states(supervisor)) == ["0A"])
        let workers = try ["gateway-0", "gateway-1"].flatMap { Self.states(try node.processID($0)) }
        #expect(workers.count { $0 == "01" } >= connections.count)
    }

    /// The states of a process's TCP sockets as the kernel writes them: `0A` for one that listens, `01` for a
    /// connection.
    private static func states(_ process: Int32) -> [Substring] {
        let sockets = Set(
            Files.names(in: "/proc/\(process)/fd").compactMap { Files.link("/proc/\(process)/fd/\($0)") })
        return ["tcp", "tcp6"].flatMap { Files.text("/proc/\(process)/net/\($0)").split(separator: "\n").dropFirst() }
            .compactMap { line in
                // sl, local and remote address, state, queues, timers, retransmissions, user, timeout, inode (proc(5)).
                let columns = line.split(separator: " ")
                return sockets.contains("socket:[\(columns[9])]") ? columns[3] : nil
            }
    }

    @Test("A booking is counted")
    @OnLoop func counts() async throws {
        let node = try await Node.shared()
        func bookings() async throws -> Double {
            let text = try await node.socket("bridge.admin").send(.get("/metrics")).text
            let line = text.split(separator: "\n").first { $0.hasPrefix("drawbridge_bridge_bookings_total") }
            return try #require(line?.split(separator: " ").last.flatMap { Double($0) })
        }
        let before = try await bookings()
        #expect(try await node.book(BookingBody(.next())).status == 201)
        #expect(try await bookings() >= before + 1)
    }

    @Test("The log is JSON, names requests by their ids, and tells neither guests nor secrets")
    @OnLoop func log() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next()
        var body = BookingBody(stay, hotel: 1, type: 12, rooms: 6)
        body.guestName = "Unspeakable Guest"
        body.guestEmail = "unspeakable@guest.example"
        body.more = #","comment":"unspeakable comment""#
        #expect(try await node.book(body).status == 201)
        body.engineID += "-2"
        #expect(try await node.book(body, key: "unspeakable-key").status == 409)
        body.rooms[0].guests = 9
        #expect(try await node.book(body).status == 422)
        let expired = try node.token { $0.expiry = -60 }
        #expect(try await node.gateway.send(.get(stay.availability(1), expired)).status == 401)
        // A line that names its request; strangers bring about one line a second, so some go unmentioned.
        try await wait("a line about one of them") {
            let stranger = try await node.socket("bridge").send(.get(stay.availability(1)))
            let id = try #require(stranger["X-Request-Id"])
            return node.log.contains("\"request_id\":\"\(id)\"")
        }

        let log = node.log
        let key = Files.text("\(node.home)/keys/hop.key").split(separator: "\n")[0]
        for secret in [
            "Unspeakable", "unspeakable", "Integration Guest", "integration.guest", "Main Job", "late arrival",
            String(expired.split(separator: ".")[2]), try node.token().split(separator: ".")[1].prefix(30).description,
            String(key), try node.variable("DATABASE_URL"), try node.variable("BOOKING_ENGINE_API_KEY"),
        ] {
            #expect(!log.contains(secret), "\(secret)")
        }
        // What `up` prints for the reader follows its ready line and starts with no brace.
        let lines = log.split(separator: "\n")
        let ready = try #require(lines.firstIndex(of: "drawbridge is ready"))
        let entries = lines[..<ready] + lines[ready...].filter { $0.hasPrefix("{\"time\"") }
        for line in entries {
            let entry = try JSONValue(parsing: Array(line.utf8))
            for name in ["time", "level", "process", "message"] { #expect(entry[name]?.string != nil, "\(line)") }
        }
        #expect(lines[ready...].count { $0.hasPrefix("{") && !$0.hasPrefix("{\"time\"") } == 0)
    }

    @Test("The public address speaks TLS 1.3 and nothing older; plain HTTP is not answered")
    @OnLoop func transport() async throws {
        let node = try await Node.shared()
        #expect(try await node.gateway(.tls13 ... .tls13).send(.get("/")).status == 404)
        await #expect(throws: (any Error).self) { _ = try await node.gateway(.tls12 ... .tls12).connect() }
        var plain = try node.gateway
        plain.security = nil
        let connection = try await plain.connect()
        defer { connection.close() }
        await #expect(throws: (any Error).self) { _ = try await connection.send(.get("/")) }
    }

    @Test("A client that knows only somebody else's certificate does not speak to us")
    @OnLoop func certificate() async throws {
        let node = try await Node.shared()
        let stranger = try await Files.run([
            "curl", "-sS", "-o", "/dev/null", "https://localhost:\(try node.port("GATEWAY_URL"))/",
        ])
        #expect(stranger.exit.status == 60)
        let friend = try await Files.run([
            "curl", "-sS", "--cacert", "\(node.home)/tls/certificate.pem", "-o", "/dev/null", "-w", "%{http_code}",
            "https://localhost:\(try node.port("GATEWAY_URL"))/",
        ])
        #expect(friend.output == "404")
    }
}
