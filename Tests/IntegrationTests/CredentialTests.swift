import Authentication
import Cryptography
import HTTP
import JSONText
import Loop
import Stay
import Testing

@Suite("Who may do what")
struct CredentialTests {
    init() { Loop.runInBackground() }

    private static let hotels = "/api/booking-engine/hotels"

    @Test("Without a token, or with one that is none, there is no answer but 401")
    @OnLoop func badTokens() async throws {
        let node = try await Node.shared()
        let good = try node.token()
        let stranger = Token().signed(P256PrivateKey())
        let parts = good.split(separator: ".")
        let unsigned =
            Base64.url.encode(Array(#"{"alg":"none","typ":"JWT","kid":"demo-1"}"#.utf8)) + ".\(parts[1])."
        let tokens: [String?] = [
            nil, "", "x", stranger, unsigned, String(good.dropLast(4)) + "AAAA", "\(parts[0]).\(parts[1])",
            // Somebody else's claims under this signature.
            "\(parts[0]).\(try node.token { $0.client = "admin" }.split(separator: ".")[1]).\(parts[2])",
            try node.token { $0.expiry = -60 }, try node.token { $0.notBefore = 3600 },
            try node.token { $0.audience = "other" }, try node.token { $0.issuer = "https://other.example" },
            try node.token { $0.keyID = "demo-2" }, try node.token { $0.algorithm = "HS256" },
            try node.token { $0.algorithm = "RS256" }, APIKey().text, "dbk_", "dbk_x.y.z",
        ]
        for token in tokens {
            let answer = try await node.gateway.send(.get(Self.hotels, token))
            expectProblem(answer, 401, "unauthorized")
            let challenges = answer.fields.filter { $0.name == .wwwAuthenticate }.map(\.value)
            #expect(challenges == ["Bearer realm=\"drawbridge\"", "Signature realm=\"drawbridge\""])
            // Why is nobody's business.
            #expect(answer.string("detail") == "Valid credentials are needed")
        }
        for fields in [
            [("Authorization", "Basic eDp5")], [("Authorization", "Bearer \(good)"), ("Authorization", "x")],
        ] {
            expectProblem(try await node.gateway.send(TestRequest(target: Self.hotels, fields: fields)), 401)
        }
    }

    @Test("A missing scope is named")
    @OnLoop func scopes() async throws {
        let node = try await Node.shared()
        let stay = TestStay.next()
        for (request, scope) in [
            (TestRequest.get(Self.hotels), "hotel:read"), (.get("\(Self.hotels)/1"), "hotel:read"),
            (.get("/api/booking-engine/room-types/1"), "hotel:read"),
            (.get(stay.availability(1)), "availability:read"),
            (.get("/api/booking-engine/bookings/00000000-0000-4000-8000-000000000000"), "booking:read"),
            (.post("/api/booking-engine/bookings", nil, json: BookingBody(stay).json), "booking:write"),
        ] {
            let others = Token().scopes.split(separator: " ").filter { $0 != scope }.joined(separator: " ")
            for scopes in [others, "", "\(scope)s", scope.uppercased()] {
                var request = request
                request.token = try node.token { $0.scopes = scopes }
                let answer = try await node.gateway.send(request)
                expectProblem(answer, 403, "insufficient-scope")
                #expect(answer["WWW-Authenticate"]?.contains(scope) == true)
            }
        }
    }

    @Test("A token for one hotel sees and books nothing of another's")
    @OnLoop func hotelsOfOne() async throws {
        let node = try await Node.shared()
        let token = try node.token { $0.hotels = "[2]" }
        let stay = TestStay.next()
        let list = try await node.gateway.send(.get(Self.hotels, token))
        #expect(list.elements("hotels").compactMap { $0["hotel_id"]?.integer } == [2])
        #expect(try await node.gateway.send(.get("\(Self.hotels)/2", token)).status == 200)
        // Whether such a hotel exists is not told either.
        for target in [
            "\(Self.hotels)/1", "\(Self.hotels)/99", "/api/booking-engine/room-types/1", stay.availability(1),
        ] {
            expectProblem(try await node.gateway.send(.get(target, token)), 403, "foreign-hotel")
        }
        let foreign = BookingBody(stay, hotel: 1, type: 11)
        for id in ["1", "\"1\"", "\"01\""] {
            let json = foreign.json.replacing(#""hotel_id":1"#, with: #""hotel_id":\#(id)"#)
            expectProblem(
                try await node.gateway.send(.post("/api/booking-engine/bookings", token, json: json)), 403,
                "foreign-hotel")
        }
        let booked = try await node.book(foreign)
        let address = try #require(booked["Location"])
        expectProblem(try await node.gateway.send(.get(address, token)), 404, "booking-not-found")
        for hotels in ["[]", "[1,3]", "[4]"] {
            let answer = try await node.gateway.send(.get("\(Self.hotels)/2", try node.token { $0.hotels = hotels }))
            expectProblem(answer, 403, "foreign-hotel")
        }
    }

    @Test("What a client says about itself in the fields between the processes gains it nothing")
    @OnLoop func forgedFields() async throws {
        let node = try await Node.shared()
        let token = try node.token { $0.hotels = "[2]" }
        let id = "00112233445566778899aabbccddeeff"
        // Even one that is signed with the right key.
        let forged = try signed(node, id: id, target: Self.hotels)
        for fields in [
            [("Drawbridge-Identity", forged), ("X-Request-Id", id)], [("drawbridge-identity", forged)],
            [("X-Request-Id", id)], [("Connection", "Drawbridge-Identity, X-Request-Id")],
            [
                ("Forwarded", "for=127.0.0.1;by=bridge"), ("X-Forwarded-For", "127.0.0.1"),
                ("X-Forwarded-Proto", "http"),
            ],
        ] {
            let answer = try await node.gateway.send(TestRequest(target: Self.hotels, token: token, fields: fields))
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.elements("hotels").compactMap { $0["hotel_id"]?.integer } == [2])
            #expect(answer["X-Request-Id"] != id)
            #expect(answer["Drawbridge-Identity"] == nil)
        }
        let alone = try await node.gateway.send(
            TestRequest(target: Self.hotels, fields: [("Drawbridge-Identity", forged), ("X-Request-Id", id)]))
        expectProblem(alone, 401)
    }

    @Test("Who may not make a request is told so before any of its content has come")
    @OnLoop func unreadContent() async throws {
        let node = try await Node.shared()
        for (token, status) in [
            (nil, 401), (Token().signed(P256PrivateKey()), 401), (try node.token { $0.scopes = "hotel:read" }, 403),
        ] {
            let connection = try await node.gateway.connect()
            defer { connection.close() }
            // Announced, and never sent. (Up to 64 KiB would be waited for and thrown away, to keep the connection.)
            let answer = try await connection.send(
                TestRequest(
                    method: "POST", target: "/api/booking-engine/bookings", token: token,
                    fields: [("Content-Type", "application/json"), ("Content-Length", "500000")]))
            expectProblem(answer, status)
            #expect(try await connection.isClosedByPeer())
        }
    }

    @OnLoop
    private func signed(
        _ node: Node, id: String, method: String = "GET", target: String, age: Int64 = 0, scopes: Scopes = [.hotelRead]
    ) throws -> String {
        let text = Files.text("\(node.home)/keys/hop.key").split(separator: "\n")[0]
        let key = try #require(Base64.standard.decode(String(text)))
        let identity = Identity(
            issuer: "test", subject: "test", client: "test", scopes: scopes, hotelIDs: .all, method: .jwt)
        return try HopIdentity(key: key.span).sign(
            identity, requestID: id, method: method, target: target, now: Int64(Loop.unixTime) - age)
    }

    @Test("The bridge's socket answers nobody without proof of a gateway for this very request")
    @OnLoop func hop() async throws {
        let node = try await Node.shared()
        let id = "00112233445566778899aabbccddeeff"
        let bridge = node.socket("bridge")
        func request(_ identities: [String], id: String? = id, method: String = "GET") -> TestRequest {
            var request = TestRequest(method: method, target: Self.hotels)
            request.fields = identities.map { ("Drawbridge-Identity", $0) }
            if let id { request.fields.append(("X-Request-Id", id)) }
            return request
        }
        let good = try signed(node, id: id, target: Self.hotels)
        #expect(try await bridge.send(request([good])).status == 200)
        let refused = [
            request([]), request([""]), request(["x.y.z"]), request([good, good]), request([good], id: nil),
            request([good], id: "ffeeddccbbaa99887766554433221100"), request([good], method: "HEAD"),
            request([try signed(node, id: id, target: Self.hotels + "/1")]),
            request([try signed(node, id: id, target: Self.hotels + "?")]),
            request([try signed(node, id: id, method: "POST", target: Self.hotels)]),
            request([try signed(node, id: id, target: Self.hotels, age: 32)]),
            request([try signed(node, id: id, target: Self.hotels, age: -40)]),
            request([String(good.dropLast()) + (good.hasSuffix("A") ? "B" : "A")]),
        ]
        for (number, request) in refused.enumerated() {
            let answer = try await bridge.send(request)
            #expect(answer.status == 421, "\(number)")
            if request.method == "GET" { expectProblem(answer, 421, "misdirected-request") }
        }
        // Health is all it tells a stranger, and that is nothing.
        #expect(try await bridge.send(.get("/healthz")).text == "ok\n")
    }

    @Test("What looks like SQL gets into the database as what it is, and nothing of it is carried out")
    @OnLoop func sql() async throws {
        let node = try await Node.shared()
        let target = "/api/booking-engine/bookings"
        let engineID = "it-');DROP/**/TABLE/**/reservations;--$1\(UInt64.random(in: 0 ... .max))"
        let name = "Robert'); DELETE FROM reservations; -- \\' $1 $$ %s {0} O''Brien"
        var body = BookingBody(.next())
        body.engineID = engineID
        body.guestName = name.replacing("\\", with: "\\\\")
        body.more = #","comment":"'; SELECT pg_sleep(60); COMMIT; --""#
        // Past the firewall, which would refuse it: as a gateway speaks to the bridge.
        let id = "00112233445566778899aabbccddee00"
        let identity = try signed(
            node, id: id, method: "POST", target: target, scopes: Scopes([.bookingRead, .bookingWrite]))
        let request = TestRequest.post(target, nil, json: body.json)
            .with("Drawbridge-Identity", identity).with("X-Request-Id", id)
        let answer = try await node.socket("bridge").send(request)
        #expect(answer.status == 201, "\(answer.text)")
        #expect(answer.string("booking_engine_id") == engineID)
        #expect(answer.string("guest.name") == name)
        let stored = try await node.rows(
            """
            SELECT ota_reservation_id, name, reservations.comment FROM reservations JOIN clients ON clients.id = reservation_client_id
            WHERE reservations.id = '\(try #require(answer.string("booking_id")))'
            """)
        #expect(stored == [[engineID, name, "'; SELECT pg_sleep(60); COMMIT; --"]])
    }
}
