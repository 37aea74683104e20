import Cryptography
import HTTP
import Loop
import Testing

@Suite("Signed requests through both processes")
struct SignedRequestTests {
    init() { Loop.runInBackground() }

    private static let secret = SecureRandom.bytes(32)
    private static let hotels = "/api/booking-engine/hotels"

    /// A node one of whose clients signs: it sees hotel 2.
    @OnLoop
    private func node() async throws -> Node {
        let node = try Node(ownsPolicies: true)
        Files.write(Base64.standard.encode(Self.secret), to: "\(node.policies)/shop.secret")
        let keys = "\(node.policies)/keys.yaml"
        Files.write(
            Files.text(keys).replacing("clock_skew: 5 s", with: "clock_skew: 0 s").replacing(
                "  clients: []",
                with: """
                      clients:
                        - keyid: shop-1
                          algorithm: hmac-sha256
                          file: \(node.policies)/shop.secret
                          client: shop
                          scopes: ["hotel:read", "booking:write", "booking:read"]
                          hotel_ids: [2]
                    """), to: keys)
        try await node.start()
        return node
    }

    /// A request signed as RFC 9421 has it, written out by hand.
    @OnLoop
    private func signed(
        _ node: Node, _ method: String, _ target: String, content: String? = nil, age: Int = 0, covered: [String]? = nil
    ) throws -> TestRequest {
        let authority = "localhost"
        var request = TestRequest(method: method, target: target, content: content.map { Array($0.utf8) })
        var values = ["@method": method, "@target-uri": "https://\(authority)\(target)"]
        if let content {
            values["content-digest"] = "sha-256=:\(Base64.standard.encode(SHA256.hash(content))):"
            request = request.with("Content-Type", "application/json").with("Content-Digest", values["content-digest"]!)
        }
        let names = covered ?? values.keys.sorted()
        let nonce = Base64.url.encode(SecureRandom.bytes(18))
        let parameters =
            "(\(names.map { "\"\($0)\"" }.joined(separator: " ")));created=\(Int(Loop.unixTime) - age)"
            + ";nonce=\"\(nonce)\";keyid=\"shop-1\""
        let base =
            names.map { "\"\($0)\": \(values[$0]!)\n" }.joined() + "\"@signature-params\": \(parameters)"
        let secret = Self.secret
        var mac = HMACSHA256(key: secret.span)
        return request.with("Signature-Input", "a=\(parameters)")
            .with("Signature", "a=:\(Base64.standard.encode(mac.authenticationCode(for: base))):")
    }

    @Test("A signed request is accepted once by the whole node, and only as it was signed")
    @OnLoop func signedRequests() async throws {
        let node = try await node()
        let gateway = try node.gateway
        // What was signed before the node began to remember could be a replay.
        try await wait("the node to be sure") {
            try await gateway.send(self.signed(node, "GET", Self.hotels)).status == 200
        }

        let request = try signed(node, "GET", Self.hotels)
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
        var forged = try signed(node, "POST", target, content: json)
        forged.content = Array(json.replacing("\"guests\":1", with: "\"guests\":2").utf8)
        #expect(forged.content != Array(json.utf8))
        expectProblem(try await gateway.send(forged), 401, "unauthorized")
        expectProblem(
            try await gateway.send(
                try signed(node, "POST", target, content: json, covered: ["@method", "@target-uri"])), 401)
        let booking = try signed(node, "POST", target, content: json)
        let booked = try await gateway.send(booking)
        #expect(booked.status == 201, "\(booked.text)")
        expectProblem(try await gateway.send(booking), 401, "unauthorized")
        expectProblem(
            try await gateway.send(
                try signed(node, "POST", target, content: BookingBody(stay, hotel: 1, type: 11).json)), 403,
            "foreign-hotel")

        var moved = try signed(node, "GET", Self.hotels)
        moved.target += "/2"
        expectProblem(try await gateway.send(moved), 401)
        expectProblem(try await gateway.send(try signed(node, "GET", Self.hotels, age: 400)), 401)
        var withToken = try signed(node, "GET", Self.hotels)
        withToken.token = "nonsense"
        expectProblem(try await gateway.send(withToken), 401)

        // A run ends, the memory does not.
        let captured = try signed(node, "GET", Self.hotels)
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
                try await gateway.send(self.signed(node, "GET", Self.hotels)).status == 200
            }
        }
        try await waitUntilSure()
        let captured = try signed(node, "GET", Self.hotels)
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
        let later = try signed(node, "GET", Self.hotels)
        #expect(try await gateway.send(later).status == 200)
        expectProblem(try await gateway.send(later), 401)
        expectProblem(try await gateway.send(captured), 503)
        #expect(try await node.stop().isSuccess)
    }
}
