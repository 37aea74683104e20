import Cryptography
import Glibc
import HTTP
import Loop
import Stay
import Testing

/// Each has an installation of its own whose client `shop` signs (RFC 9421), whose vendor sends webhooks, and whose
/// limits are small.
@Suite("What is accepted once, and was not accepted", .serialized)
struct NonceTests {
    init() { Loop.runInBackground() }

    private let shop = SigningShop()
    private static let secret = SecureRandom.bytes(32)
    private static let bookings = "/api/booking-engine/bookings"

    /// - Parameters:
    ///   - limits: beside the class, of which each client may have two at once and one more every two seconds.
    ///   - bookingTimeout: how long the bridge may take to answer.
    @OnLoop
    private func node(limits: String = "", bookingTimeout: String = "10 s") async throws -> Node {
        let node = try Node(ownsPolicies: true)
        shop.register(at: node)
        Files.write(Base64.standard.encode(Self.secret), to: "\(node.policies)/vendor.secret")
        let keys = "\(node.policies)/keys.yaml"
        let changed = Files.text(keys).replacing(
            "  senders: []",
            with: """
                  senders:
                    - name: vendor
                      field: x-vendor-signature
                      encoding: hex
                      signed: "{timestamp}.{body}"
                      timestamp: {field: x-vendor-time, maximum_age: 5 min, clock_skew: 0 s}
                      files: [\(node.policies)/vendor.secret]
                      client: vendor
                      scopes: ["booking:write"]
                      hotel_ids: [2]
                """)
        #expect(changed.contains("x-vendor-time"))
        Files.write(changed, to: keys)
        let description = "\(node.policies)/openapi.yaml"
        var api = Files.text(description).replacing(/\ +rate_class: [a-z]+\n/, with: "")
        let create = try #require(api.firstRange(of: "operationId: createBooking"))
        let ways = try #require(api[create.upperBound...].firstRange(of: "auth: [jwt, api_key, signature]"))
        api.replaceSubrange(ways, with: "auth: [jwt, signature, webhook]")
        Files.write(api.replacing("timeout: 10 s", with: "timeout: \(bookingTimeout)"), to: description)
        Files.write(
            "classes: [{name: client, burst: 2, requests: 1, per: 2 s, by: [principal]}]\nalways: [client]\n" + limits,
            to: "\(node.policies)/rate-limits.yaml")
        try await node.start()
        return node
    }

    enum Way: CaseIterable { case webhook, signature }

    /// A booking that one of the two has signed.
    @OnLoop
    private func signed(_ way: Way, _ json: String) -> TestRequest {
        guard way == .webhook else { return shop.signed("POST", Self.bookings, content: json) }
        let time = Int(Loop.unixTime)
        var mac = HMACSHA256(key: Self.secret.span)
        let code = Hexadecimal.encode(mac.authenticationCode(for: "\(time).\(json)").bytes)
        return .post(Self.bookings, nil, json: json).with("X-Vendor-Time", "\(time)").with("X-Vendor-Signature", code)
    }

    @OnLoop private static var bookingCount = 0

    /// Each of other nights, again and again the same in the end: nobody knows how often it is asked for, and nobody
    /// else books in these installations.
    @OnLoop
    private func booking() -> String {
        Self.bookingCount += 1
        let stay = TestStay(arrival: TestStay.today.advanced(by: 80 + Self.bookingCount * 2 % 380), nights: 2)
        return BookingBody(stay, hotel: 2, type: 21).json
    }

    /// Waits until what is signed now is believed: what was signed before the node began to remember could be a replay.
    @OnLoop
    private func waitUntilSure(_ node: Node, _ way: Way) async throws {
        try await wait("the node to be sure") {
            let status = try await node.gateway.send(self.signed(way, self.booking())).status
            return status == 201 || status == 429
        }
    }

    /// Sends the same bytes until they are not refused for the limit any more.
    @OnLoop
    private func sendPatiently(_ request: TestRequest, to node: Node) async throws -> (Answer, refusals: Int) {
        for refusals in 0..<200 {
            let answer = try await node.gateway.send(request)
            if answer.status != 429 { return (answer, refusals) }
            try await Loop.sleep(for: .milliseconds(50))
        }
        throw LoopError(.timedOut, "be let through")
    }

    @Test("What was answered 429 is accepted when it is sent again, once")
    @OnLoop func quota() async throws {
        let node = try await node()
        for way in Way.allCases {
            try await waitUntilSure(node, way)
            var (requests, refusals) = (0, 0)
            // On a slow machine the limit may have room again for each request of a few.
            while requests < 4 || refusals == 0 && requests < 40 {
                requests += 1
                let request = signed(way, booking())
                let (answer, count) = try await sendPatiently(request, to: node)
                refusals += count
                #expect(answer.status == 201, "\(answer.text)")
                for _ in 0..<4 { expectProblem(try await node.gateway.send(request), 401, "unauthorized") }
            }
            #expect(refusals > 0)
        }
        #expect(try await node.stop().isSuccess)
    }

    @Test("On two nodes with one Redis, too: refused by one, accepted by the other, and then by neither")
    @OnLoop func redis() async throws {
        let redis = try await TestRedis()
        let shared = "redis: {url: 'unix:\(redis.socket)', fallback: local, deadline: 5 s}\n"
        let (left, right) = (try await node(limits: shared), try await node(limits: shared))
        for node in [left, right] {
            try await node.waitForRedis()
            try await waitUntilSure(node, .webhook)
        }
        var (turn, refusals) = (0, 0)
        while turn < 4 || refusals == 0 && turn < 40 {
            let (one, other) = turn % 2 == 0 ? (left, right) : (right, left)
            turn += 1
            let request = signed(.webhook, booking())
            let first = try await one.gateway.send(request)
            guard first.status == 429 else {
                #expect(first.status == 201)
                continue
            }
            let (answer, count) = try await sendPatiently(request, to: other)
            refusals += count + 1
            #expect(answer.status == 201, "\(answer.text)")
            for node in [left, right, left, right] {
                expectProblem(try await node.gateway.send(request), 401, "unauthorized")
            }
        }
        #expect(refusals > 0)
        #expect(try await left.stop().isSuccess)
        #expect(try await right.stop().isSuccess)
        try await redis.kill()
    }

    @Test("What could not be recorded, and what is refused for what it is, is not spent")
    @OnLoop func refused() async throws {
        let node = try await node()
        for way in Way.allCases {
            try await waitUntilSure(node, way)
            let foreign = signed(way, BookingBody(TestStay.next(), hotel: 1, type: 11).json)
            for _ in 0..<2 { expectProblem(try await node.gateway.send(foreign), 403, "foreign-hotel") }

            let request = signed(way, booking())
            let ledger = try node.processID("ledger")
            kill(ledger, SIGSTOP)
            let unrecorded = try await sendPatiently(request, to: node).0
            kill(ledger, SIGCONT)
            expectProblem(unrecorded, 503, "ledger-unavailable")
            var answer = unrecorded
            try await wait("the ledger") {
                answer = try await self.sendPatiently(request, to: node).0
                return answer.status != 503
            }
            #expect(answer.status == 201, "\(answer.text)")
            expectProblem(try await node.gateway.send(request), 401, "unauthorized")
        }
        #expect(try await node.stop().isSuccess)
    }

    @Test("What went to the bridge is spent, whatever came of it; what it never saw, known to be away, is not")
    @OnLoop func bridge() async throws {
        let node = try await node(bookingTimeout: "4 s")
        for way in Way.allCases {
            try await waitUntilSure(node, way)
            let (sent, unsent) = (signed(way, booking()), signed(way, booking()))
            let bridge = try node.processID("bridge")
            kill(bridge, SIGSTOP)
            expectProblem(try await sendPatiently(sent, to: node).0, 504, "gateway-timeout")
            for worker in 0..<2 {
                try await wait("gateway-\(worker) knows") {
                    try await node.socket("gateway-\(worker).admin").send(.get("/readyz")).status == 503
                }
            }
            expectProblem(try await sendPatiently(unsent, to: node).0, 503, "unavailable")
            kill(bridge, SIGCONT)
            try await node.waitUntilGatewaysAreReady()
            expectProblem(try await node.gateway.send(sent), 401, "unauthorized")
            let answer = try await sendPatiently(unsent, to: node).0
            #expect(answer.status == 201, "\(answer.text)")
            expectProblem(try await node.gateway.send(unsent), 401, "unauthorized")
        }
        #expect(try await node.stop().isSuccess)
    }
}
