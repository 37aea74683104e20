import Loop
import Testing

@Suite("Manners of the edge", .serialized)
struct EdgeTests {
    init() { Loop.runInBackground() }

    private static let hotels = "/api/booking-engine/hotels"

    @Test("Every answer tells browsers to use TLS and to guess no types, and nobody what we are")
    @OnLoop func securityFields() async throws {
        let node = try await Node.shared()
        for answer in [
            try await node.get(Self.hotels), try await node.gateway.send(.get("/nothing")),
            try await node.gateway.send(.get(Self.hotels)),
        ] {
            #expect(answer["Strict-Transport-Security"] == "max-age=31536000")
            #expect(answer["X-Content-Type-Options"] == "nosniff")
            #expect(answer["Server"] == nil)
        }
    }

    @Test("OPTIONS * says what methods there are")
    @OnLoop func options() async throws {
        let node = try await Node.shared()
        let answer = try await node.gateway.send(TestRequest(method: "OPTIONS", target: "*"))
        #expect(answer.status == 204 && answer.content.isEmpty)
        #expect(answer["Allow"]?.contains("POST") == true)
    }

    @Test("What the policy lets through, the bridge takes")
    @OnLoop func largeHeads() async throws {
        let node = try Node(ownsPolicies: true)
        let file = "\(node.policies)/gateway.yaml"
        Files.write(
            Files.text(file).replacing("maximum_request_line: 8 KiB", with: "maximum_request_line: 64 KiB")
                .replacing("maximum_field_section: 32 KiB", with: "maximum_field_section: 256 KiB")
                .replacing("maximum_field_count: 100", with: "maximum_field_count: 1000"), to: file)
        try await node.start()
        let token = try node.token()
        var many = TestRequest.get(Self.hotels, token)
        for number in 0..<900 { many = many.with("X-\(number)", String(repeating: "a", count: 200)) }
        #expect(try await node.gateway.send(many).status == 200)
        // No route takes a query so long; that the line is not too long is what matters.
        let long = Self.hotels + "?x=" + String(repeating: "a", count: 60_000)
        #expect(try await node.gateway.send(.get(long, token)).status == 400)
        #expect(try await node.stop().isSuccess)
    }

    @Test("Pages of the policy's origins may ask, others get no permission")
    @OnLoop func crossOrigin() async throws {
        let node = try Node(ownsPolicies: true)
        let file = "\(node.policies)/gateway.yaml"
        Files.write(
            Files.text(file).replacing("  origins: [] ", with: "  origins: [https://booking.example] "), to: file)
        try await node.start()
        let token = try node.token()
        let origin = "https://booking.example"

        let answer = try await node.gateway.send(.get(Self.hotels, token).with("Origin", origin))
        #expect(answer.status == 200)
        #expect(answer["Access-Control-Allow-Origin"] == origin)
        #expect(answer["Vary"] == "Origin")
        #expect(answer["Access-Control-Expose-Headers"]?.contains("ETag") == true)
        // Refusals can be read as well.
        let refused = try await node.gateway.send(.get(Self.hotels).with("Origin", origin))
        #expect(refused.status == 401 && refused["Access-Control-Allow-Origin"] == origin)

        func preflight(_ path: String, _ origin: String) async throws -> Answer {
            try await node.gateway.send(
                TestRequest(
                    method: "OPTIONS", target: path,
                    fields: [("Origin", origin), ("Access-Control-Request-Method", "POST")]))
        }
        let permitted = try await preflight("/api/booking-engine/bookings", origin)
        #expect(permitted.status == 204)
        #expect(permitted["Access-Control-Allow-Origin"] == origin)
        #expect(permitted["Access-Control-Allow-Methods"]?.contains("POST") == true)
        #expect(permitted["Access-Control-Allow-Headers"]?.contains("Authorization") == true)
        #expect(permitted["Access-Control-Max-Age"] == "600")

        for other in [
            "https://booking.example.evil.example", "https://Booking.example", "null", "http://booking.example",
        ] {
            let plain = try await node.gateway.send(.get(Self.hotels, token).with("Origin", other))
            #expect(plain.status == 200 && plain["Access-Control-Allow-Origin"] == nil)
            #expect(plain["Vary"] == "Origin")
            #expect(try await preflight("/api/booking-engine/bookings", other).status == 405)
        }
        #expect(try await preflight("/nothing", origin).status == 404)
        #expect(try await node.stop().isSuccess)
    }

    @Test("A client cannot say for itself what the gateway says of it to the bridge")
    @OnLoop func ownFields() async throws {
        let node = try await Node.shared()
        let id = "0123456789abcdef0123456789abcdef"
        for connection in ["keep-alive", "x-request-id, traceparent, drawbridge-identity"] {
            let answer = try await node.gateway.send(
                .get(Self.hotels, try node.token()).with("X-Request-Id", id).with("Drawbridge-Identity", "x.1.y")
                    .with("traceparent", "00-\(id)-00f067aa0ba902b7-01").with("Connection", connection))
            // The bridge compares the proof with the id that stands first.
            #expect(answer.status == 200 && answer["X-Request-Id"] != id)
        }
    }

    @Test("A trace that a client began goes on; another begins with the request")
    @OnLoop func traces() async throws {
        let node = try await Node.shared()
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        let answer = try await node.gateway.send(
            .get(Self.hotels, try node.token()).with("traceparent", "00-\(trace)-00f067aa0ba902b7-01"))
        #expect(answer.status == 200)
        let id = try #require(answer["X-Request-Id"])
        let plain = try #require(try await node.get(Self.hotels)["X-Request-Id"])
        let ledger = "\(node.home)/ledger/records/00000000000000000000.jsonl"
        try await wait("the request to be in the ledger") { Files.text(ledger).contains(#""uid":"\#(plain)""#) }
        for line in Files.text(ledger).split(separator: "\n") where line.contains(#""uid":"\#(id)""#) {
            #expect(line.contains(#""correlation_uid":"\#(trace)""#))
        }
        for line in Files.text(ledger).split(separator: "\n") where line.contains(#""uid":"\#(plain)""#) {
            #expect(line.contains(#""correlation_uid":"\#(plain)""#))
        }
    }
}
