import Loop
import Testing

/// An attack in a request's content: refused by the firewall where a text is free, and by the description elsewhere.
@Suite("Attacks in content")
struct InspectionTests {
    init() { Loop.runInBackground() }

    private static let attacks = ["x' OR 1=1; --", "<script>alert(1)</script>", "${jndi:ldap://x.example/a}"]

    @OnLoop private func send(_ old: String, _ new: String, _ method: String, _ target: String) async throws -> Answer {
        let node = try await Node.shared()
        var booking = BookingBody(TestStay.next())
        booking.more = #","comment":"COMMENT""#
        var request = try node.request(booking)
        let body = String(decoding: request.content ?? [], as: UTF8.self)
        #expect(body.contains(old))
        (request.method, request.target) = (method, target)
        request.content = Array(body.replacing(old, with: new).utf8)
        return try await node.gateway.send(request)
    }

    private static let booking = "/api/booking-engine/bookings/00000000-0000-4000-8000-000000000000"

    @Test(
        "In free text it is 403, as it stands or in escapes", arguments: attacks,
        [("POST", "/api/booking-engine/bookings"), ("PUT", booking)])
    @OnLoop func free(attack: String, operation: (method: String, target: String)) async throws {
        for text in ["Integration Guest", "COMMENT"] {
            expectProblem(try await send(text, attack, operation.method, operation.target), 403, "forbidden")
            let escaped = attack.unicodeScalars.map { scalar in
                let digits = String(scalar.value, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
            expectProblem(
                try await send(text, escaped.joined(), operation.method, operation.target), 403, "forbidden")
        }
    }

    @Test("Where only a number, a date or a key can stand, and as a name, it is 422", arguments: attacks)
    @OnLoop func confined(attack: String) async throws {
        for (old, new) in [
            (#""hotel_id":2"#, #""hotel_id":2,"\#(attack)":1"#), (#""guests":1"#, #""guests":"\#(attack)""#),
            (#""plan_key":"1h""#, #""plan_key":"1h\#(attack)""#), (#""check_in":"2"#, #""check_in":"\#(attack)2"#),
        ] {
            expectProblem(try await send(old, new, "POST", "/api/booking-engine/bookings"), 422, "invalid-request")
        }
    }

    @Test("What was found of one booking's address holds for another's")
    @OnLoop func ids() async throws {
        let node = try Node(workers: 1)
        try await node.start()
        func count(_ kind: String) async throws -> Double {
            try await node.metric("drawbridge_firewall_cache_\(kind)_total", of: "gateway-0")
        }
        func ask(_ id: String) async throws {
            expectProblem(try await node.get("/api/booking-engine/bookings/\(id)"), 404)
        }
        try await ask("00000000-0000-4000-8000-000000000001")
        let (hits, misses) = (try await count("hits"), try await count("misses"))
        try await ask("9b2c7f11-3d0e-4f5a-a1b2-c3d4e5f60718")
        #expect(try await count("hits") == hits + 1)
        #expect(try await count("misses") == misses)
        _ = try await node.stop()
    }
}
