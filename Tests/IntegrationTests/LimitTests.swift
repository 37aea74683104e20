import Glibc
import JSONText
import Loop
import Testing

/// Each has an installation of its own, whose limits are small.
@Suite("Limits and address lists", .serialized)
struct LimitTests {
    init() { Loop.runInBackground() }

    private static let hotels = "/api/booking-engine/hotels"

    /// Twenty requests for each client, one more every minute.
    private static let small = """
        classes:
          - {name: client, burst: 20, requests: 1, per: 1 min, by: [principal]}
        always: [client]

        """

    @OnLoop private func node(limits: String = small, addresses: String = "{}") async throws -> Node {
        let node = try Node(ownsPolicies: true)
        Files.write(limits, to: "\(node.policies)/rate-limits.yaml")
        Files.write(addresses, to: "\(node.policies)/addresses.yaml")
        let description = "\(node.policies)/openapi.yaml"
        Files.write(Files.text(description).replacing(/\ +rate_class: [a-z]+\n/, with: ""), to: description)
        try await node.start()
        return node
    }

    /// The statuses of requests that come at once, each on a connection of its own, so that both workers get some.
    @OnLoop private func statuses(_ count: Int, from nodes: Node...) async throws -> [Int: Int] {
        var statuses: [Int: Int] = [:]
        try await withThrowingTaskGroup(of: Int.self) { group in
            for index in 0..<count {
                let node = nodes[index % nodes.count]
                group.addTask { try await node.get(Self.hotels).status }
            }
            for try await status in group { statuses[status, default: 0] += 1 }
        }
        return statuses
    }

    @Test("Two workers let no more through than one limit's worth, and say what is left")
    @OnLoop func workers() async throws {
        let node = try await node()
        let first = try await node.get(Self.hotels)
        #expect(first.status == 200)
        #expect(first["RateLimit-Policy"] == #""client";q=20;w=1200"#)
        #expect(first["RateLimit"] == #""client";r=19;t=60"#)
        #expect(try await statuses(60, from: node) == [200: 19, 429: 41])

        let refused = try await node.get(Self.hotels)
        expectProblem(refused, 429)
        #expect(refused.string("type") == "https://iana.org/assignments/http-problem-types#quota-exceeded")
        #expect(refused.string("violated-policies.0") == "client")
        #expect(refused["RateLimit-Policy"] == #""client";q=20;w=1200"#)
        #expect(refused["RateLimit"]?.hasPrefix(#""client";r=0;t="#) == true)
        #expect(try #require(refused["Retry-After"].flatMap { Int($0) }) <= 60)
        // Another client is another matter; whoever is none learns nothing.
        let other = try await node.gateway.send(.get(Self.hotels, try node.token { $0.client = "another" }))
        #expect(other.status == 200)
        let stranger = try await node.gateway.send(.get(Self.hotels))
        expectProblem(stranger, 401)
        #expect(stranger["RateLimit"] == nil)
        #expect(try await node.stop().isSuccess)
    }

    @Test("What is used up stays used up when every worker has been killed")
    @OnLoop func killedWorkers() async throws {
        let node = try await node()
        #expect(try await statuses(30, from: node) == [200: 20, 429: 10])
        for slot in ["gateway-0", "gateway-1"] {
            let before = try node.processID(slot)
            kill(before, SIGKILL)
            try await wait("\(slot) again") { try node.processID(slot) != before }
        }
        #expect(try await statuses(10, from: node) == [429: 10])
        #expect(try await node.stop().isSuccess)
    }

    @Test("An address is counted before anybody is asked who he is")
    @OnLoop func addresses() async throws {
        let node = try await node(
            limits: """
                classes: [{name: address, burst: 5, requests: 1, per: 1 h, by: [address]}]
                before_authentication: [address]
                """)
        for _ in 0..<5 { expectProblem(try await node.gateway.send(.get("/nothing")), 404) }
        let refused = try await node.gateway.send(.get("/nothing"))
        expectProblem(refused, 429)
        #expect(refused["RateLimit-Policy"] == #""address";q=5;w=18000"#)
        expectProblem(try await node.get(Self.hotels), 429)
        #expect(try await node.admin.send(.get("/readyz")).status == 200)
        let metrics = try await node.admin.send(.get("/metrics")).text
        #expect(metrics.contains("stage=\"limit\",reason=\"quota\""))
        #expect(try await node.stop().isSuccess)
    }

    /// Requests that cannot be read, with what they are answered.
    private static let unreadable = [
        (TestRequest.get(hotels).with("Host", "other"), 400),
        (TestRequest.get("/" + String(repeating: "x", count: 40_000)), 414),
        (TestRequest.get(hotels).with("X-Large", String(repeating: "x", count: 40_000)), 431),
    ]

    @Test("What cannot be read counts for its address all the same, and is refused with the rest")
    @OnLoop func unreadableAddresses() async throws {
        let node = try await node(
            limits: """
                classes: [{name: address, burst: 3, requests: 1, per: 1 h, by: [address]}]
                before_authentication: [address]
                """)
        for (request, status) in Self.unreadable { expectProblem(try await node.gateway.send(request), status) }
        for (request, _) in Self.unreadable {
            let connection = try await node.gateway.connect()
            defer { connection.close() }
            let refused = try await connection.send(request)
            expectProblem(refused, 429)
            #expect(refused.string("violated-policies.0") == "address")
            #expect(refused["RateLimit-Policy"] == #""address";q=3;w=10800"#)
            #expect(refused["RateLimit"]?.hasPrefix(#""address";r=0;t="#) == true)
            #expect(refused["Retry-After"] != nil)
            #expect(try await connection.isClosedByPeer())
        }
        expectProblem(try await node.get(Self.hotels), 429)
        #expect(try await node.stop().isSuccess)
    }

    @Test(
        "Whoever is on the wrong list gets nothing",
        arguments: [
            ("deny: [127.0.0.0/8]", 403), ("allow: [192.0.2.0/24]", 403), ("allow: [127.0.0.1]", 200),
            ("listeners: [{name: public, deny: [127.0.0.1]}]", 403), ("deny: ['::/0']", 200),
        ])
    @OnLoop func lists(text: String, status: Int) async throws {
        let node = try await node(limits: "classes: []", addresses: text)
        let answer = try await node.get(Self.hotels)
        #expect(answer.status == status)
        if status == 403 { expectProblem(answer, 403, "address-denied") }
        for (request, readable) in Self.unreadable {
            let answer = try await node.gateway.send(request)
            if status == 403 { expectProblem(answer, 403, "address-denied") } else { expectProblem(answer, readable) }
        }
        #expect(try await node.admin.send(.get("/readyz")).status == 200)
        #expect(try await node.stop().isSuccess)
    }

    /// Twenty requests for each address, one more every hour.
    private static let early = """
        classes:
          - {name: address, burst: 20, requests: 1, per: 1 h, by: [address]}
        before_authentication: [address]

        """

    /// Two nodes on one Redis, all workers connected to it.
    @OnLoop private func nodes(limits: String, _ redis: TestRedis) async throws -> (Node, Node) {
        let limits = limits + "redis: {url: 'unix:\(redis.socket)', fallback: local, deadline: 5 s}\n"
        let (left, right) = (try await node(limits: limits), try await node(limits: limits))
        for node in [left, right] { try await node.waitForRedis() }
        return (left, right)
    }

    @Test("What is asked before authentication two gateways on one Redis count together as well, and name once")
    @OnLoop func earlyRedis() async throws {
        let redis = try await TestRedis()
        let (left, right) = try await nodes(limits: Self.early, redis)
        let first = try await left.get(Self.hotels)
        #expect(first.status == 200)
        #expect(first["RateLimit-Policy"] == #""address";q=20;w=72000"#)
        #expect(first["RateLimit"] == #""address";r=19;t=3600"#)
        let second = try await right.get(Self.hotels)
        #expect(second["RateLimit-Policy"] == #""address";q=20;w=72000"#)
        // Of what the two say the tighter: here its own table knows of one, Redis of two.
        #expect(second["RateLimit"]?.hasPrefix(#""address";r=18;"#) == true)
        #expect(try await statuses(36, from: left, right) == [200: 18, 429: 18])
        // Neither has let its own limit's worth through, and it is Redis that refuses.
        let refused = try await right.get(Self.hotels)
        expectProblem(refused, 429)
        #expect(refused.string("violated-policies.0") == "address")
        #expect(refused["RateLimit-Policy"] == #""address";q=20;w=72000"#)
        #expect(refused["RateLimit"]?.hasPrefix(#""address";r=0;t="#) == true)
        try await redis.kill()
        #expect(try await left.stop().isSuccess)
        #expect(try await right.stop().isSuccess)
    }

    @Test("Two gateways on one Redis let no more through than one limit's worth; without it the policy says what holds")
    @OnLoop func redis() async throws {
        let redis = try await TestRedis()
        let (left, right) = try await nodes(limits: Self.small, redis)
        #expect(try await statuses(80, from: left, right) == [200: 20, 429: 60])
        // Whoever reads there does not learn who was counted.
        let keys = try await Files.run(["redis-cli", "-s", redis.socket, "--scan"])
        #expect(keys.exit.isSuccess && !keys.output.isEmpty)
        for name in ["integration-tests", "demo.drawbridge", "127.0.0.1"] { #expect(!keys.output.contains(name)) }

        try await redis.kill()
        // Each node counts for itself now, and from the beginning.
        #expect(try await statuses(60, from: left) == [200: 20, 429: 40])
        let metrics = try await left.admin.send(.get("/metrics")).text
        #expect(metrics.contains("drawbridge_rate_limit_fallback_active{process=\"gateway-0\"} 1.0"))
        #expect(left.log.contains("rate limits are decided without Redis"))
        #expect(try await left.stop().isSuccess)
        #expect(try await right.stop().isSuccess)
    }

    @Test(
        "Without Redis nothing or everything is let through, as the policy says",
        arguments: [("deny", 503), ("allow", 200)])
    @OnLoop func fallback(word: String, status: Int) async throws {
        let node = try await node(
            limits: Self.small + "redis: {url: 'unix:/nonexistent/redis.sock', fallback: \(word)}\n")
        #expect(try await statuses(30, from: node) == [status: 30])
        #expect(try await node.stop().isSuccess)
    }

    @Test("Without Redis what was asked before authentication is charged once")
    @OnLoop func earlyFallback() async throws {
        let node = try await node(
            limits: Self.early + "redis: {url: 'unix:/nonexistent/redis.sock', fallback: local}\n")
        let first = try await node.get(Self.hotels)
        #expect(first["RateLimit"] == #""address";r=19;t=3600"#)
        #expect(try await statuses(29, from: node) == [200: 19, 429: 10])
        #expect(try await node.stop().isSuccess)
    }
}

extension Node {
    /// Waits until both of its workers are connected to Redis.
    func waitForRedis() async throws {
        try await wait("Redis") { [self] in
            let metrics = try await admin.send(.get("/metrics")).text
            return metrics.split(separator: "\n")
                .count { $0.hasPrefix("drawbridge_rate_limit_redis_connected{") && $0.hasSuffix(" 1.0") } == 2
        }
    }
}

/// A Redis of the test's own, on a unix socket; it dies with this process.
@OnLoop
final class TestRedis {
    let socket: String
    private let directory: String
    private let process: ChildProcess

    init() async throws {
        var template = Array("/tmp/dbr-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        directory = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        socket = "\(directory)/redis.sock"
        process = try ChildProcess(
            "/usr/bin/setpriv",
            [
                "--pdeathsig", "KILL", "--", "/usr/bin/redis-server", "--port", "0", "--unixsocket", socket, "--save",
                "", "--appendonly", "no", "--dir", directory,
            ], environment: ["LC_ALL": "C.UTF-8"], descriptors: [.null, .null, .null])
        let socket = socket
        try await wait("Redis") { access(socket, F_OK) == 0 }
    }

    func kill() async throws {
        process.send(signal: SIGKILL)
        _ = try await process.waitForExit()
        Files.removeTree(directory)
    }
}
