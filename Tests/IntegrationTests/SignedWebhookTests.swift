import Cryptography
import HTTP
import Loop
import Testing

@Suite("Vendors' webhooks through both processes")
struct SignedWebhookTests {
    init() { Loop.runInBackground() }

    private static let secret = Array("the secret of a vendor".utf8)
    private static let bookings = "/api/booking-engine/bookings"

    /// A node that takes bookings from two vendors who sign in the same field: one of hotel 2, one of hotel 1 that does
    /// not say when it sends.
    @OnLoop
    private func node(contentTimeout: String = "5 s") async throws -> Node {
        let node = try Node(ownsPolicies: true)
        Files.write(String(decoding: Self.secret, as: UTF8.self) + "\n", to: "\(node.policies)/vendor.secret")
        Files.write("another secret than the vendor's", to: "\(node.policies)/other.secret")
        let keys = "\(node.policies)/keys.yaml"
        Files.write(
            Files.text(keys).replacing("content_timeout: 5 s", with: "content_timeout: \(contentTimeout)").replacing(
                "  senders: []",
                with: """
                      senders:
                        - name: vendor
                          field: x-vendor-signature
                          prefix: sha256=
                          encoding: hex
                          signed: "{timestamp}.{body}"
                          timestamp: {field: x-vendor-time, maximum_age: 1 min, clock_skew: 0 s}
                          secret_form: text
                          files: [\(node.policies)/vendor.secret]
                          client: vendor
                          scopes: ["booking:write"]
                          hotel_ids: [2]
                        - name: other
                          field: x-vendor-signature
                          prefix: sha256=
                          encoding: hex
                          remember: 1 h
                          secret_form: text
                          files: [\(node.policies)/other.secret]
                          client: other
                          scopes: ["booking:write"]
                          hotel_ids: [1]
                    """), to: keys)
        let description = "\(node.policies)/openapi.yaml"
        var text = Files.text(description)
        let create = try #require(text.firstRange(of: "operationId: createBooking"))
        let auth = try #require(
            text[create.upperBound...].firstRange(of: "auth: [jwt, api_key, signature]"))
        text.replaceSubrange(auth, with: "auth: [jwt, webhook]")
        Files.write(text, to: description)
        try await node.start()
        return node
    }

    private static func code(_ message: String, _ secret: [UInt8]) -> String {
        var mac = HMACSHA256(key: secret.span)
        return "sha256=" + Hexadecimal.encode(mac.authenticationCode(for: message).bytes)
    }

    private func sent(_ json: String, age: Int = 0, secret: [UInt8] = secret) -> TestRequest {
        let time = Int(Loop.unixTime) - age
        return .post(Self.bookings, nil, json: json).with("X-Vendor-Time", "\(time)")
            .with("X-Vendor-Signature", Self.code("\(time).\(json)", secret))
    }

    private func untimed(_ json: String) -> TestRequest {
        .post(Self.bookings, nil, json: json)
            .with("X-Vendor-Signature", Self.code(json, Array("another secret than the vendor's".utf8)))
    }

    @Test("A webhook is accepted once by the whole node, where the route accepts webhooks, and only as it was signed")
    @OnLoop func webhooks() async throws {
        let node = try await node()
        let gateway = try node.gateway
        let json = BookingBody(TestStay.next(), hotel: 2, type: 21).json
        // What was sent before the node began to remember could be a replay.
        let stay = TestStay.next()
        try await wait("the node to be sure") {
            try await gateway.send(self.sent(BookingBody(stay, hotel: 2, type: 21).json)).status == 201
        }

        let request = sent(json)
        var forged = request
        forged.content = Array(json.replacing("\"guests\":1", with: "\"guests\":2").utf8)
        #expect(forged.content != request.content)
        let refused = try await gateway.send(forged)
        expectProblem(refused, 401, "unauthorized")
        let challenges = refused.fields.filter { $0.name == .wwwAuthenticate }.map(\.value)
        #expect(challenges == ["Bearer realm=\"drawbridge\"", "Webhook realm=\"drawbridge\""])

        let booked = try await gateway.send(request)
        #expect(booked.status == 201, "\(booked.text)")
        // Either worker may get it; neither takes it again, however its code is written.
        for _ in 0..<6 { expectProblem(try await gateway.send(request), 401, "unauthorized") }
        var rewritten = request
        rewritten.fields[2].value = "sha256=" + request.fields[2].value.dropFirst(7).uppercased()
        expectProblem(try await gateway.send(rewritten), 401)

        for request in [
            sent(json, age: 90), sent(json, age: -30), sent(json, secret: Array("not the vendor's secret".utf8)),
            sent(json).with("X-Vendor-Signature", "sha256="), .post(Self.bookings, nil, json: json),
        ] { expectProblem(try await gateway.send(request), 401, "unauthorized") }
        // As everybody else: its scopes and hotels, and what the route describes.
        expectProblem(
            try await gateway.send(sent(BookingBody(TestStay.next(), hotel: 1, type: 11).json)), 403, "foreign-hotel")
        expectProblem(try await gateway.send(sent("{")), 400, "malformed-json")
        expectProblem(try await gateway.send(sent("")), 400, "malformed-json")
        // Other routes know nothing of webhooks.
        expectProblem(
            try await gateway.send(
                TestRequest(
                    target: "/api/booking-engine/hotels",
                    fields: [("X-Vendor-Signature", "sha256=00"), ("X-Vendor-Time", "1")])
            ), 401, "unauthorized")
        // The other vendor is told from this one by its secret, and its repetitions by their content.
        let other = untimed(BookingBody(TestStay.next(), hotel: 1, type: 11).json)
        #expect(try await gateway.send(other).status == 201)
        expectProblem(try await gateway.send(other), 401, "unauthorized")
        #expect(try await node.value("SELECT count(*) FROM drawbridge.bookings WHERE client LIKE '%vendor%'") != "0")
        #expect(try await node.stop().isSuccess)
    }

    @Test("A stranger's content is not waited for long, and not held beyond what the route takes")
    @OnLoop func strangers() async throws {
        // So short that a slow machine's share of the wait is not taken for it.
        let node = try await node(contentTimeout: "100 ms")
        let gateway = try node.gateway
        var large = sent("{}")
        large.content = [UInt8](repeating: 32, count: 65_537)
        expectProblem(try await gateway.send(large), 413, "content-too-large")
        // Without a field that a sender signs in, none of it is read.
        var slow = TestRequest.post(Self.bookings, nil, json: "{}").with("Content-Length", "1000")
        slow.content = nil
        expectProblem(try await gateway.send(slow), 401, "unauthorized")
        slow = slow.with("X-Vendor-Signature", Self.code("x", Self.secret)).with(
            "X-Vendor-Time", "\(Int(Loop.unixTime))")
        let began = Loop.monotonicNanoseconds
        expectProblem(try await gateway.send(slow), 408, "request-timeout")
        // Five seconds is what the slowest of known senders would have.
        #expect(Loop.monotonicNanoseconds - began < 4_500_000_000)
        #expect(try await node.stop().isSuccess)
    }
}
