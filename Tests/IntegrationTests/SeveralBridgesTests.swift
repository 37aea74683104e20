import Authentication
import Cryptography
import Glibc
import JSONText
import Loop
import Stay
import TestSupport
import Testing

/// Three bridges on one database, which one of them leads.
@Suite("Several bridges", .serialized)
struct SeveralBridgesTests {
    init() { Loop.runInBackground() }

    private static let names = ["bridge", "bridge-1", "bridge-2"]

    /// The one that says it leads; nil where none does, or more than one.
    @OnLoop private func leader(_ node: Node, among names: [String] = names) async throws -> String? {
        var leaders: [String] = []
        for name in names {
            // One that has just been killed does not answer.
            guard let answer = try? await node.socket("\(name).admin").send(.get("/metrics")) else { continue }
            let line = answer.text.split(separator: "\n").first { $0.contains(/^drawbridge_bridge_leader[ {]/) }
            if line?.split(separator: " ").last.flatMap({ Double($0) }) == 1 { leaders.append(name) }
        }
        return leaders.count == 1 ? leaders[0] : nil
    }

    /// Books, and lets the front desk change the price; returns the booking's id.
    @OnLoop private func changedBooking(_ node: Node) async throws -> String {
        let key = "key-\(UInt64.random(in: 0 ... .max))"
        let body = BookingBody(.next(1))
        var answer = try await node.book(body, key: key)
        // A bridge may die of it, or stand still; the same request is sent until its end is known.
        for _ in 0..<100 where answer.status >= 500 { answer = try await node.book(body, key: key) }
        #expect(answer.status == 201, "\(answer.text)")
        let id = try #require(answer.string("booking_id"))
        try await change(node, id, price: 4321)
        return id
    }

    @OnLoop private func change(_ node: Node, _ id: String, price: Int) async throws {
        _ = try await node.rows(
            "UPDATE reservation_details SET price = \(price) WHERE hotel_id = 2 AND reservation_id = '\(id)'")
    }

    @OnLoop private func expectTold(_ node: Node, _ ids: [String], price: Int) async throws {
        for id in ids {
            try await wait("the change of \(id) is told") {
                try await node.rows(
                    """
                    SELECT version, payload->'data'->'total'->>'amount' FROM drawbridge.events
                    WHERE entity_id = '\(id)' ORDER BY version OFFSET 1
                    """) == [["2", "\(price)"]]
            }
        }
    }

    @Test("The leader is killed, and another one stands still, while 24 clients book", .timeLimit(.minutes(5)))
    @OnLoop func leadership() async throws {
        let seed = UInt64.random(in: 0 ... .max)
        let node = try Node(ownsPolicies: true, workers: 2, bridges: 3)
        try node.liftLimits()
        try await node.start()
        try await wait("one leads") { try await leader(node) != nil }
        let storm = BookingStorm(node, gateway: try node.gateway, clients: 24, seed: seed)
        try await storm.wait(successes: 30)

        var told: [String] = []
        let first = try #require(try await leader(node))
        told.append(try await changedBooking(node))
        kill(try node.processID(first), SIGKILL)
        try await wait("another one leads within 5 s", for: .seconds(5)) {
            guard let now = try await leader(node) else { return false }
            return now != first
        }
        told.append(try await changedBooking(node))
        try await expectTold(node, told, price: 4321)
        try await storm.wait(successes: 20)

        let second = try #require(try await leader(node))
        let frozen = try node.processID(second)
        let others = Self.names.filter { $0 != second }
        told.append(try await changedBooking(node))
        kill(frozen, SIGSTOP)
        defer { kill(frozen, SIGCONT) }
        try await wait("another one leads within 5 s", for: .seconds(5)) {
            try await leader(node, among: others) != nil
        }
        // What it has not told yet, the other one tells; and the one that stood still does not tell it again.
        try await expectTold(node, told, price: 4321)
        kill(frozen, SIGCONT)
        try await wait("it knows that it leads no longer") {
            guard let now = try await leader(node) else { return false }
            return now != second
        }
        // By its own clock, before it has asked anybody.
        #expect(node.log.contains("the database does not confirm it"))
        told.append(try await changedBooking(node))
        try await storm.wait(successes: 20)
        try await storm.stop()
        try await expectTold(node, told, price: 4321)
        for name in Self.names {
            try await wait("the index of \(name) is the database's") {
                let answer = try? await node.socket("\(name).admin").send(.get("/index-drift?hotels=1,2,3"))
                return answer?.text == #"{"hotels":[]}"#
            }
        }
        try await storm.expectAgreement()
        try await storm.expectTruth()
        #expect(try await node.stop().isSuccess)
    }

    @Test("A bridge that cannot look at the database tells nothing older than what a gateway has from another one")
    @OnLoop func nothingOlder() async throws {
        let node = try Node()
        try await node.start()
        let sessions = try await node.rows("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        let database = [try node.processID("postgresql")] + sessions.compactMap { Int32($0[0]) }
        func signal(_ number: Int32) { for process in database { kill(process, number) } }
        // A state that this bridge has never seen.
        let questions = ["api-keys", "revoked-tokens"].map { "/drawbridge/\($0)?version=1000000" }
        signal(SIGSTOP)
        defer { signal(SIGCONT) }
        for answer in try await concurrently(questions, { try await node.askAsGateway($0) }) {
            expectProblem(answer, 503, "unavailable")
        }
        signal(SIGCONT)
        try await wait("it looks again") { try await node.askAsGateway(questions[0]).status == 200 }
        #expect(try await node.askAsGateway(questions[0]).elements("keys").count >= 3)
        #expect(try await node.stop().isSuccess)
    }

    @Test("What one bridge has found an issuer to publish, another tells without having asked the issuer")
    @OnLoop func issuerKeys() async throws {
        let issuer = "https://publisher.example"
        let publisher = try TestIssuer()
        let (first, second) = (P256PrivateKey(), P256PrivateKey())
        publisher.show([("1", first)])
        let node = try Node(ownsPolicies: true, workers: 1, bridges: 2)
        node.trust(issuer, at: publisher)
        try await node.start()
        try await wait("both to know the first key") { publisher.requests == 2 }
        let bridges = [try node.processID("bridge"), try node.processID("bridge-1")]
        defer { for bridge in bridges { kill(bridge, SIGCONT) } }

        publisher.show([("1", first), ("2", second)])
        // One stands still, so that the other one is asked.
        kill(bridges[1], SIGSTOP)
        let found = try await node.askAsGateway(
            "/drawbridge/issuer-keys", json: #"{"issuer":"\#(issuer)","kid":"2"}"#)
        let secondKey = #"\"kid\":\"2\""#
        #expect(found.text.contains(secondKey), "\(found.text)")
        #expect(publisher.requests == 3)
        kill(bridges[1], SIGCONT)
        kill(bridges[0], SIGSTOP)
        let told = try await node.askAsGateway("/drawbridge/issuer-keys")
        #expect(told.text.contains(secondKey), "\(told.text)")
        kill(bridges[0], SIGCONT)

        // So no worker unlearns it, whichever bridge it asks next.
        var token = Token()
        token.issuer = issuer
        token.keyID = "2"
        let signed = token.signed(second)
        for _ in 0..<20 {
            #expect(try await node.gateway.send(.get("/api/booking-engine/hotels", signed)).status == 200)
        }
        #expect(publisher.requests == 3)
        #expect(try await node.stop().isSuccess)
        await publisher.goAway()
    }
}

extension Node {
    /// Asks a bridge what only gateways may ask.
    ///
    /// - Parameter json: what is sent along; nil for a question without content.
    func askAsGateway(_ target: String, json: String? = nil) async throws -> Answer {
        let id = Hexadecimal.encode(SecureRandom.bytes(16))
        let hop = try HopIdentity(keyFile: "\(home)/keys/hop.key")
        let request = json.map { TestRequest.post(target, nil, json: $0) } ?? .get(target)
        let proof = hop.signOwn(requestID: id, method: request.method, target: target, now: Int64(Loop.unixTime))
        return try await socket("bridge").send(request.with("X-Request-Id", id).with("Drawbridge-Identity", proof))
    }
}
