import Cryptography
import HTTP
import Loop
import Testing

@Suite("Signed requests through both processes")
struct SignedRequestTests {
    init() { Loop.runInBackground() }

    private let shop = SigningShop()
    private static let hotels = "/api/booking-engine/hotels"

    /// A node one of whose clients signs: it sees hotel 2.
    @OnLoop
    private func node() async throws -> Node {
        let node = try Node(ownsPolicies: true)
        shop.register(at: node)
        try await node.start()
        return node
    }

    @Test("A signed request is accepted once by the whole node, and only as it was signed")
    @OnLoop func signedRequests() async throws {
        let node = try await node()
        let gateway = try node.gateway
        // What was signed before the node began to remember could be a replay.
        try await wait("the node to be sure") {
            try await gateway.send(self.shop.signed("GET", Self.hotels)).status == 200
        }

        let request = shop.signed("GET", Self.hotels)
        let answer = try await gateway.send(request)
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer.elements("hotels").count == 1)
        // Either worker may get it; neither takes it again, nor do those that take their places.
        for _ in 0..<8 { expectProblem(try await gateway.send(request), 401, "unauthorized") }
        let challenges = try await gateway.send(request).fields.filter { $0.name == .wwwAuthenticate }.map(\.value)
        #expect(challenges == ["Bearer realm=\"drawbridge\"", "Signature realm=\"drawbridge\""])

        let stay = TestStay.next()
        let json = BookingBody(stay, hotel: 2, type: 21).json
        let target = "/api/booking-engine/bookings"
        // The content that was signed, and no other.
        var forged = shop.signed("POST", target, content: json)
        forged.content = Array(json.replacing("\"guests\":1", with: "\"guests\":2").utf8)
        #expect(forged.content != Array(json.utf8))
        expectProblem(try await gateway.send(forged), 401, "unauthorized")
        expectProblem(
            try await gateway.send(
                shop.signed("POST", target, content: json, covered: ["@method", "@target-uri"])), 401)
        let booking = shop.signed("POST", target, content: json)
        let booked = try await gateway.send(booking)
        #expect(booked.status == 201, "\(booked.text)")
        expectProblem(try await gateway.send(booking), 401, "unauthorized")
        expectProblem(
            try await gateway.send(
                shop.signed("POST", target, content: BookingBody(stay, hotel: 1, type: 11).json)), 403,
            "foreign-hotel")

        var moved = shop.signed("GET", Self.hotels)
        moved.target += "/2"
        expectProblem(try await gateway.send(moved), 401)
        expectProblem(try await gateway.send(shop.signed("GET", Self.hotels, age: 400)), 401)
        var withToken = shop.signed("GET", Self.hotels)
        withToken.token = "nonsense"
        expectProblem(try await gateway.send(withToken), 401)

        // A run ends, the memory does not.
        let captured = shop.signed("GET", Self.hotels)
        #expect(try await gateway.send(captured).status == 200)
        #expect(try await node.stop().isSuccess)
        try await node.start()
        expectProblem(try await node.gateway.send(captured), 401)
        #expect(try await node.stop().isSuccess)
    }

    @Test("When signatures are to be good for longer, what was signed before is refused, and nothing else changes")
    @OnLoop func longerTerms() async throws {
        let node = try await node()
        let gateway = try node.gateway
        func waitUntilSure() async throws {
            try await wait("the node to be sure") {
                try await gateway.send(self.shop.signed("GET", Self.hotels)).status == 200
            }
        }
        try await waitUntilSure()
        let captured = shop.signed("GET", Self.hotels)
        #expect(try await gateway.send(captured).status == 200)

        let keys = "\(node.policies)/keys.yaml"
        let text = Files.text(keys)
        // Old and new workers would remember apart.
        Files.write(text.replacing("nonces: 262144", with: "nonces: 1024"), to: keys)
        #expect(try await node.policy("reload").exit.status == 1)
        #expect(node.log.contains("signatures.nonces: another number needs a restart"))
        expectProblem(try await gateway.send(captured), 401)

        // Ten minutes later it would be forgotten, and still good.
        Files.write(text.replacing("  maximum_age: 5 min # since", with: "  maximum_age: 1 h # since"), to: keys)
        let reload = try await node.policy("reload")
        #expect(reload.exit.isSuccess, "\(reload.output)")
        for _ in 0..<4 { expectProblem(try await gateway.send(captured), 503, "unavailable") }
        try await waitUntilSure()
        let later = shop.signed("GET", Self.hotels)
        #expect(try await gateway.send(later).status == 200)
        expectProblem(try await gateway.send(later), 401)
        expectProblem(try await gateway.send(captured), 503)
        #expect(try await node.stop().isSuccess)
    }
}
