import Authentication
import Glibc
import JSONText
import Loop
import Testing

/// Makes and revokes keys of an installation of its own, whose bridge it also takes away.
@Suite("API keys through both processes")
struct APIKeyTests {
    init() { Loop.runInBackground() }

    private static let hotels = "/api/booking-engine/hotels"
    /// One that nobody has made.
    private static let booking = "/api/booking-engine/bookings/00000000-0000-4000-8000-000000000000"

    @OnLoop
    private func made(_ node: Node, _ arguments: String...) async throws -> (key: String, id: String) {
        let result = try await Files.run(
            [Node.program, "key"] + arguments, environment: ["DRAWBRIDGE_HOME": node.home])
        try #require(result.exit.isSuccess, "\(result.output)")
        let key = try #require(result.output.split(separator: "\n").first { $0.hasPrefix("dbk_") })
        let id = try #require(result.output.firstMatch(of: /key ([0-9]+), good until/))
        return (String(key), String(id.output.1))
    }

    /// Status of a request with a key, in whichever worker's hands it falls: asked often enough to meet all.
    @OnLoop
    private func statuses(_ node: Node, _ key: String, _ target: String = hotels) async throws -> Set<Int> {
        var statuses: Set<Int> = []
        for _ in 0..<12 { statuses.insert(try await node.gateway.send(.get(target, key)).status) }
        return statuses
    }

    @Test("The demo's three keys do what their scopes say")
    @OnLoop func demoKeys() async throws {
        let node = try await Node.shared()
        #expect(try await statuses(node, node.variable("BOOKING_ENGINE_API_KEY")) == [200])
        #expect(try await statuses(node, node.variable("ADMIN_API_KEY")) == [200])
        let answer = try await node.gateway.send(.get(Self.hotels, try node.variable("PMS_API_KEY")))
        expectProblem(answer, 403, "insufficient-scope")
        let stay = TestStay.next()
        let booking = TestRequest.post(
            "/api/booking-engine/bookings", try node.variable("BOOKING_ENGINE_API_KEY"), json: BookingBody(stay).json)
        #expect(try await node.gateway.send(booking).status == 201)
    }

    @Test("A key of one hotel sees that one only, and its use is written down")
    @OnLoop func hotelAndUse() async throws {
        let node = try await Node.shared()
        let (key, id) = try await made(node, "create", "--client", "of-two", "--scopes", "hotel:read", "--hotel", "2")
        try await wait("the key to be known") { try await self.statuses(node, key) == [200] }
        let list = try await node.gateway.send(.get(Self.hotels, key))
        #expect(list.elements("hotels").compactMap { $0["hotel_id"]?.integer } == [2])
        expectProblem(try await node.gateway.send(.get("\(Self.hotels)/1", key)), 403, "foreign-hotel")
        try await wait("the use to be reported") {
            try await node.value(
                "SELECT COALESCE(last_used_at > now() - INTERVAL '1 minute', FALSE) FROM booking_engine_api_keys WHERE id = \(id)"
            )
                == "t"
        }
        #expect(try await node.key("list").output.contains("of-two"))
    }

    @Test("A revoked key opens nothing within a second, by command or by hand")
    @OnLoop func revocation() async throws {
        let node = try await Node.shared()
        for byHand in [false, true] {
            let (key, id) = try await made(
                node, "create", "--client", "passing", "--scopes", "hotel:read", "--every-hotel")
            try await wait("the key to be known") { try await self.statuses(node, key) == [200] }
            if byHand {
                _ = try await node.rows("UPDATE booking_engine_api_keys SET is_active = FALSE WHERE id = \(id)")
            } else {
                #expect(try await node.key("revoke", id).exit.isSuccess)
            }
            try await wait("it to be refused by every worker") { try await self.statuses(node, key) == [401] }
            #expect(try await statuses(node, key) == [401])
            #expect(
                try await node.value("SELECT revoked_at IS NOT NULL FROM booking_engine_api_keys WHERE id = \(id)")
                    == "t")
            #expect(try await !node.key("revoke", id).exit.isSuccess)
        }
    }

    @Test("A rotated key works beside the new one, and both are one client")
    @OnLoop func rotation() async throws {
        let node = try await Node.shared()
        let (old, id) = try await made(
            node, "create", "--client", "turning", "--scopes", "booking:read booking:write", "--every-hotel")
        let (new, newID) = try await made(node, "rotate", id)
        try await wait("the new key to be known") {
            try await self.statuses(node, new, Self.booking) == [404]
        }
        let stay = TestStay.next()
        let body = BookingBody(stay).json
        let first = try await node.gateway.send(.post("/api/booking-engine/bookings", old, json: body))
        let again = try await node.gateway.send(.post("/api/booking-engine/bookings", new, json: body))
        #expect(first.status == 201 && again.status == 200, "\(again.text)")
        #expect(
            try await node.value(
                "SELECT expires_at < now() + INTERVAL '8 days' FROM booking_engine_api_keys WHERE id = \(id)") == "t")
        // Without overlap the old one ends at once.
        let (_, last) = try await made(node, "rotate", newID, "--overlap-days", "0")
        try await wait("the key to be gone") {
            try await self.statuses(node, new, Self.booking) == [401]
        }
        #expect(try await node.key("revoke", "--client", "turning").output.contains("2 keys"))
        #expect(try await node.value("SELECT is_active FROM booking_engine_api_keys WHERE id = \(last)") == "f")
    }

    @Test("A key goes on working while the bridge is away, and a worker that starts then serves tokens")
    @OnLoop func bridgeAway() async throws {
        let node = try Node()
        try await node.start()
        let key = try node.variable("BOOKING_ENGINE_API_KEY")
        #expect(try await statuses(node, key) == [200])
        kill(try node.processID("bridge"), SIGKILL)
        // Never 401: either the bridge is away, or back.
        let seen = try await statuses(node, key)
        #expect(seen.isSubset(of: [200, 502, 503]), "\(seen)")
        try await wait("the bridge to be back") { try await self.statuses(node, key) == [200] }
        _ = try await node.stop()
    }

    @Test("Nobody but a gateway gets at the hashes")
    @OnLoop func hashes() async throws {
        let node = try await Node.shared()
        let path = "/drawbridge/api-keys"
        expectProblem(try await node.gateway.send(.get(path, try node.variable("ADMIN_API_KEY"))), 404, "not-found")
        let bridge = node.socket("bridge")
        #expect(try await bridge.send(.get(path)).status == 421)
        // A client's proof, however good, is not the gateway's own.
        let id = "00112233445566778899aabbccddeeff"
        let identity = Identity(
            issuer: "test", subject: "gateway", client: "gateway", scopes: .all, hotelIDs: .all, method: .jwt)
        let hop = try HopIdentity(keyFile: "\(node.home)/keys/hop.key")
        let now = Int64(Loop.unixTime)
        var request = TestRequest(target: path, fields: [("X-Request-Id", id)])
        request.fields.append(
            ("Drawbridge-Identity", hop.sign(identity, requestID: id, method: "GET", target: path, now: now)))
        #expect(try await bridge.send(request).status == 421)
        request.fields[1].value = hop.signOwn(requestID: id, method: "GET", target: path, now: now)
        let answer = try await bridge.send(request)
        #expect(answer.status == 200)
        #expect(answer.elements("keys").count >= 3)
        #expect(!answer.text.contains("dbk_"))
        // Nor does the gateway's own proof open what clients ask for.
        var listing = TestRequest(target: Self.hotels, fields: [("X-Request-Id", id)])
        listing.fields.append(
            ("Drawbridge-Identity", hop.signOwn(requestID: id, method: "GET", target: Self.hotels, now: now)))
        #expect(try await bridge.send(listing).status == 421)
    }

    @Test("The command says what it needs, and that a key cannot be made for a hotel that is not there")
    @OnLoop func usage() async throws {
        let node = try await Node.shared()
        for arguments in [
            [], ["create"], ["create", "--client", "x", "--scopes", "hotel:read"],
            ["create", "--client", "x y", "--scopes", "hotel:read", "--every-hotel"],
            ["create", "--client", "x", "--scopes", "hotel:write", "--every-hotel"], ["revoke"], ["rotate", "x"],
        ] {
            let result = try await Files.run(
                [Node.program, "key"] + arguments, environment: ["DRAWBRIDGE_HOME": node.home])
            #expect(!result.exit.isSuccess, "\(arguments)")
        }
        let missing = try await node.key("create", "--client", "x", "--scopes", "hotel:read", "--hotel", "999999")
        #expect(!missing.exit.isSuccess && missing.output.contains("no hotel 999999"), "\(missing.output)")
        #expect(!missing.output.contains("dbk_"))
        let nobody = try await node.key(
            "create", "--client", "x", "--scopes", "hotel:read", "--hotel", "1", "--user", "999999")
        #expect(!nobody.exit.isSuccess && nobody.output.contains("no user 999999"), "\(nobody.output)")
    }
}
