import Authentication
import JSONText
import Loop
import Testing

@Suite("API keys by the API")
struct APIKeyAdministrationTests {
    init() { Loop.runInBackground() }

    private static let keys = "\(Node.access)/keys"

    /// An administrator of every hotel who has a quota of his own.
    @OnLoop
    private func administrator(_ node: Node, _ name: String) async throws -> (key: String, id: String) {
        try await node.apiKey(name, "admin hotel:read booking:read")
    }

    @OnLoop
    private func create(
        _ node: Node, _ credentials: String?, _ json: String, idempotencyKey: String? = nil
    ) async throws -> Answer {
        let request = TestRequest.post(Self.keys, credentials, json: json)
        return try await node.gateway.send(idempotencyKey.map { request.with("Idempotency-Key", $0) } ?? request)
    }

    @OnLoop
    private func rotate(_ node: Node, _ id: Int, _ credentials: String, _ json: String = "{}") async throws -> Answer {
        try await node.gateway.send(.post("\(Self.keys)/\(id)/rotate", credentials, json: json))
    }

    @OnLoop
    private func revoke(_ node: Node, _ id: Int, _ credentials: String) async throws -> Answer {
        try await node.gateway.send(
            TestRequest(method: "DELETE", target: "\(Self.keys)/\(id)", token: credentials))
    }

    @Test("A key is made, used, listed, rotated with overlap, and revoked; its text is shown once")
    @OnLoop func life() async throws {
        let node = try await Node.shared()
        let (admin, _) = try await administrator(node, "life-admin")
        let made = try await create(
            node, admin, #"{"client":"life","scopes":["hotel:read"],"hotel_id":"2","description":"for the shop"}"#)
        #expect(made.status == 201 && made["Cache-Control"] == "no-store", "\(made.text)")
        let (id, key) = (try #require(made.integer("id")), try #require(made.string("key")))
        #expect(made.integer("hotel_id") == 2 && made.string("state") == "good")
        #expect(made.string("description") == "for the shop" && made.value("pms_user_id") == .null)
        let days = try await node.value(
            "SELECT round(extract(epoch FROM expires_at - created_at) / 86400) FROM booking_engine_api_keys WHERE id = \(id)"
        )
        #expect(days == "90")
        try await wait("the key to be known") { try await node.statuses(key) == [200] }
        let tokens = try await node.tokens(key)

        let list = try await node.gateway.send(.get("\(Self.keys)?client=life", admin))
        #expect(list.elements("keys").count == 1 && list.value("next") == .null)
        #expect(!list.text.contains(key) && list.value("keys.0.key") == nil)
        try await wait("its use to be noted") {
            try await node.value("SELECT last_used_at IS NOT NULL FROM booking_engine_api_keys WHERE id = \(id)") == "t"
        }
        let used = try await node.gateway.send(.get("\(Self.keys)?client=life", admin))
        #expect(used.string("keys.0.last_used_at")?.hasSuffix("Z") == true)

        let rotated = try await rotate(node, id, admin, #"{"overlap_days":1,"expires_in_days":30}"#)
        #expect(rotated.status == 201 && rotated.integer("replaces") == id, "\(rotated.text)")
        let (next, nextID) = (try #require(rotated.string("key")), try #require(rotated.integer("id")))
        try await wait("the new key to be known") { try await node.statuses(next) == [200] }
        #expect(try await node.statuses(key) == [200], "the old one overlaps")
        #expect(
            try await node.value(
                "SELECT expires_at < now() + INTERVAL '25 hours' FROM booking_engine_api_keys WHERE id = \(id)") == "t")
        // What it was exchanged for goes on as long, and says so.
        let refreshed = try await node.refresh(tokens.refresh, key)
        #expect(refreshed.status == 200 && (80_000...86_400).contains(refreshed.integer("refresh_expires_in") ?? 0))
        let atOnce = try await rotate(node, nextID, admin, #"{"overlap_days":0}"#)
        #expect(atOnce.status == 201)
        try await wait("the one before to be gone") { try await node.statuses(next) == [401] }

        for _ in 0..<2 {
            let revoked = try await revoke(node, id, admin)
            #expect(revoked.status == 200 && revoked.string("state") == "revoked", "\(revoked.text)")
        }
        try await wait("it to be refused") { try await node.statuses(key) == [401] }
        expectProblem(try await rotate(node, id, admin), 404, "key-not-found")
        for secret in [key, next] { #expect(!node.log.contains(secret)) }
    }

    @Test("An administrator of one hotel sees and makes that one's keys, and none that may more than he")
    @OnLoop func bound() async throws {
        let node = try await Node.shared()
        let (everywhere, _) = try await administrator(node, "bound-by")
        let (admin, adminID) = try await node.apiKey("bound-admin", "admin hotel:read", hotel: 2)
        let (_, foreign) = try await node.apiKey("bound-foreign", "hotel:read", hotel: 3)
        let (_, all) = try await node.apiKey("bound-all", "hotel:read")
        let (_, mighty) = try await node.apiKey("bound-mighty", "booking:write", hotel: 2)
        let grant = #""scopes":["hotel:read"]"#
        let made = try await create(node, admin, #"{"client":"bound-shop",\#(grant),"hotel_id":2}"#)
        #expect(made.status == 201, "\(made.text)")
        for (json, type) in [
            (#"{"client":"bound-shop",\#(grant),"hotel_id":3}"#, "foreign-hotel"),
            (#"{"client":"bound-shop",\#(grant),"hotel_id":null}"#, "foreign-hotel"),
            (#"{"client":"bound-shop","scopes":["booking:write"],"hotel_id":2}"#, "exceeds-rights"),
            (#"{"client":"bound-foreign",\#(grant),"hotel_id":2}"#, "foreign-client"),
            (#"{"client":"bound-all",\#(grant),"hotel_id":2}"#, "foreign-client"),
        ] { expectProblem(try await create(node, admin, json), 403, type) }
        let list = try await node.gateway.send(.get("\(Self.keys)?limit=500", admin))
        #expect(list.elements("keys").allSatisfy { $0["hotel_id"]?.integer == 2 })
        let ids = list.elements("keys").compactMap { $0["id"]?.integer.map { String($0) } }
        #expect(ids.contains(adminID) && !ids.contains(foreign) && !ids.contains(all))
        for id in [foreign, all] {
            let id = try #require(Int(id))
            expectProblem(try await rotate(node, id, admin), 404, "key-not-found")
            expectProblem(try await revoke(node, id, admin), 404, "key-not-found")
        }
        // By rotating he would get what he has not; revoking gives him nothing.
        expectProblem(try await rotate(node, try #require(Int(mighty)), admin), 403, "exceeds-rights")
        #expect(try await revoke(node, try #require(Int(mighty)), admin).status == 200)
        // Nor may he become a client that is at home in other hotels, too: the new key's text would be his.
        let (_, shared) = try await node.apiKey("bound-foreign", "hotel:read", hotel: 2)
        expectProblem(try await rotate(node, try #require(Int(shared)), admin), 403, "foreign-client")
        #expect(
            try await node.value("SELECT count(*) FROM booking_engine_api_keys WHERE replaces = \(shared)") == "0")
        #expect(try await rotate(node, try #require(Int(shared)), everywhere).status == 201)
        // Whom the PMS knows is no affair of one hotel.
        let speaking = #"{"client":"bound-shop",\#(grant),"hotel_id":2,"pms_user_id":1}"#
        expectProblem(try await create(node, admin, speaking), 403, "exceeds-rights")
        let user = try await node.gateway.send(.get("\(Node.access)/user/1", admin))
        expectProblem(user, 404, "user-not-found")
        #expect(try await node.gateway.send(.get("\(Node.access)/user/1", everywhere)).status == 200)
        #expect(try await revoke(node, try #require(Int(foreign)), everywhere).status == 200)
        // Whoever is no administrator gets nowhere.
        let (plain, _) = try await node.apiKey("bound-plain")
        expectProblem(try await node.gateway.send(.get(Self.keys, plain)), 403, "insufficient-scope")
        expectProblem(try await create(node, plain, "{}"), 403, "insufficient-scope")
        expectProblem(try await create(node, nil, "{}"), 401, "unauthorized")
    }

    @Test("Of two hotels' administrators who name a new client alike at the same moment one gets it")
    @OnLoop func sameName() async throws {
        let node = try await Node.shared()
        let admins = [
            (try await node.apiKey("same-2", "admin hotel:read", hotel: 2).key, 2),
            (try await node.apiKey("same-3", "admin hotel:read", hotel: 3).key, 3),
        ]
        for round in 0..<10 {
            let answers = try await concurrently(admins) { admin, hotel in
                let json = #"{"client":"same-name-\#(round)","scopes":["hotel:read"],"hotel_id":\#(hotel)}"#
                return try await create(node, admin, json)
            }
            #expect(answers.map(\.status).sorted() == [201, 403], "\(answers.map(\.text))")
            #expect(answers.first { $0.status == 403 }?.problem == "foreign-client")
        }
    }

    @Test("A hotel has so many keys at most, unless an administrator of all hotels makes them")
    @OnLoop func hotelsKeys() async throws {
        let node = try await Node.shared()
        let (everywhere, _) = try await administrator(node, "full-by")
        let (admin, _) = try await node.apiKey("full-admin", "admin hotel:read", hotel: 3)
        let json = #"{"client":"full","scopes":["hotel:read"],"hotel_id":3}"#
        let id = try #require(try await create(node, admin, json).integer("id"))
        _ = try await node.rows(
            """
            INSERT INTO booking_engine_api_keys (hotel_id, api_key_hash, client, scopes)
            SELECT 3, encode(sha256(('full' || n)::BYTEA), 'hex'), 'full', '{hotel:read}'
            FROM generate_series((SELECT count(*) + 1 FROM booking_engine_api_keys
                                  WHERE hotel_id = 3 AND is_active AND expires_at > now()), 500) AS n
            """)
        let refused = try await create(node, admin, json)
        expectProblem(refused, 409, "too-many-keys")
        #expect(refused.string("detail")?.contains("500") == true)
        expectProblem(try await rotate(node, id, admin), 409, "too-many-keys")
        // What was refused has changed nothing, and a key that ends makes room for its successor.
        #expect(try await node.value("SELECT is_active FROM booking_engine_api_keys WHERE id = \(id)") == "t")
        let successor = try await rotate(node, id, admin, #"{"overlap_days":0}"#)
        #expect(successor.status == 201, "\(successor.text)")
        #expect(try await create(node, everywhere, json).status == 201)
        _ = try await node.rows("DELETE FROM booking_engine_api_keys WHERE client = 'full'")
    }

    @Test("Rotating without overlap and revoking at once never wait for one another in a circle")
    @OnLoop func lockOrder() async throws {
        let node = try await Node.shared()
        let (admin, _) = try await administrator(node, "locks-by")
        _ = try await node.rows(
            """
            WITH key AS (
                INSERT INTO booking_engine_api_keys (api_key_hash, client, scopes)
                SELECT encode(sha256(('locks' || n)::BYTEA), 'hex'), 'locks', '{hotel:read}'
                FROM generate_series(1, 32) AS n
                RETURNING id
            )
            INSERT INTO drawbridge.token_families (id, api_key_id, family_hash, secret_hash, scopes, issuer, expires_at,
                                                   idle_expires_at, access_expires_at)
            SELECT lpad(id::TEXT, 22, 'k'), id, sha256(('k' || id)::BYTEA), sha256('s'::BYTEA), '{}', 'i',
                   now() + INTERVAL '1 h', now() + INTERVAL '1 h', now() + INTERVAL '15 min' FROM key
            """)
        let ids = try await node.rows("SELECT id FROM booking_engine_api_keys WHERE client = 'locks'").compactMap {
            Int($0[0])
        }
        for round in stride(from: 0, to: ids.count, by: 4) {
            let answers = try await concurrently(Array(ids[round..<round + 4])) { id in
                id.isMultiple(of: 2)
                    ? try await rotate(node, id, admin, #"{"overlap_days":0}"#) : try await revoke(node, id, admin)
            }
            for answer in answers { #expect(answer.status / 100 == 2, "\(answer.text)") }
        }
        #expect(!node.log.contains("deadlock detected"))
        _ = try await node.rows("DELETE FROM booking_engine_api_keys WHERE client = 'locks'")
    }

    @Test("The word of a gateway makes no credentials: the bridge asks for what proves it")
    @OnLoop func takenOverGateway() async throws {
        let node = try await Node.shared()
        let (admin, adminID) = try await administrator(node, "word-admin")
        let (plain, plainID) = try await node.apiKey("word-plain")
        func send(_ path: String, _ json: String, as identity: Identity, _ credentials: String?) async throws -> Answer
        {
            try await node.sendToBridge(.post(path, credentials, json: json), as: identity)
        }
        func identity(_ id: String, _ client: String, _ scopes: Scopes, _ method: Identity.Method = .apiKey) throws
            -> Identity
        {
            Identity(
                issuer: Identity.ownClients, subject: Identity.apiKeySubject(try #require(Int32(id))), client: client,
                scopes: scopes, hotelIDs: .all, method: method)
        }
        let honest = try identity(adminID, "word-admin", [.admin, .hotelRead, .bookingRead])
        let json = #"{"client":"word-made","scopes":["hotel:read"],"hotel_id":1}"#
        // What proves it: the control.
        #expect(try await send(Self.keys, json, as: honest, admin).status == 201)
        for (identity, credentials) in [
            (honest, nil), (honest, plain), (honest, "dbk_nonsense"), (honest, try node.token()),
            (try identity(plainID, "word-plain", [.admin, .hotelRead]), plain),
            (try identity(adminID, "word-admin", .all), admin),
            (try identity(adminID, "word-admin", [.admin, .hotelRead, .bookingRead], .jwt), admin),
            (try identity(adminID, "word-admin", [.admin, .hotelRead, .bookingRead], .signature), nil),
        ] {
            let answer = try await send(Self.keys, json, as: identity, credentials)
            #expect([401, 403].contains(answer.status), "\(answer.text)")
            let token = try await send("\(Node.access)/token", "{}", as: identity, credentials)
            #expect([400, 401].contains(token.status), "\(token.text)")
        }
        #expect(
            try await node.value("SELECT count(*) FROM booking_engine_api_keys WHERE client = 'word-made'") == "1")
    }

    @Test("What is not as described makes no key")
    @OnLoop func refused() async throws {
        let node = try await Node.shared()
        let (admin, _) = try await administrator(node, "refused-by")
        let count = "SELECT count(*) FROM booking_engine_api_keys WHERE client = 'refused'"
        for json in [
            "{}", #"{"client":"refused","scopes":["hotel:read"]}"#,
            #"{"client":"refused it","scopes":["hotel:read"],"hotel_id":1}"#,
            #"{"client":"refused","scopes":[],"hotel_id":1}"#,
            #"{"client":"refused","scopes":["hotel:write"],"hotel_id":1}"#,
            #"{"client":"refused","scopes":"hotel:read","hotel_id":1}"#,
            #"{"client":"refused","scopes":["hotel:read"],"hotel_id":999999}"#,
            #"{"client":"refused","scopes":["hotel:read"],"hotel_id":"99999999999"}"#,
            #"{"client":"refused","scopes":["hotel:read"],"hotel_id":"9999999999"}"#,
            #"{"client":"refused","scopes":["hotel:read"],"hotel_id":1,"expires_in_days":367}"#,
            #"{"client":"refused","scopes":["hotel:read"],"hotel_id":1,"expires_in_days":0}"#,
            #"{"client":"refused","scopes":["hotel:read"],"hotel_id":1,"key":"dbk_mine"}"#,
            #"{"client":"refused","scopes":["hotel:read"],"hotel_id":1,"pms_user_id":"1"}"#,
            #"{"client":"refused","scopes":["hotel:read"],"hotel_id":1,"pms_user_id":999999}"#,
        ] { expectProblem(try await create(node, admin, json), 422, "invalid-request") }
        let large = #"{"client":"refused","description":"\#(String(repeating: "x", count: 9000))"}"#
        expectProblem(try await create(node, admin, large), 413, "content-too-large")
        #expect(try await node.value(count) == "0")
        for target in [
            "\(Self.keys)?limit=0", "\(Self.keys)?limit=501", "\(Self.keys)?page=2", "\(Self.keys)?before=x",
        ] {
            expectProblem(try await node.gateway.send(.get(target, admin)), 400, "malformed-request")
        }
        expectProblem(try await revoke(node, 999_999, admin), 404, "key-not-found")
        expectProblem(try await rotate(node, 999_999, admin), 404, "key-not-found")
        expectProblem(try await rotate(node, 1, admin, #"{"overlap_days":-1}"#), 422, "invalid-request")
    }

    @Test("A repetition makes no second key, is told which one was made, and gets no secret")
    @OnLoop func repetition() async throws {
        let node = try await Node.shared()
        let (admin, _) = try await administrator(node, "repeated-by")
        let json = #"{"client":"repeated","scopes":["hotel:read"],"hotel_id":1}"#
        let first = try await create(node, admin, json, idempotencyKey: "make-1")
        let id = try #require(first.integer("id"))
        for _ in 0..<2 {
            let again = try await create(node, admin, json, idempotencyKey: "make-1")
            expectProblem(again, 409, "answer-not-kept")
            #expect(again.integer("key_id") == id && !again.text.contains("dbk_"))
        }
        let other = json.replacing("hotel_id\":1", with: "hotel_id\":2")
        expectProblem(try await create(node, admin, other, idempotencyKey: "make-1"), 422, "idempotency-key-reused")
        let rotation = TestRequest.post("\(Self.keys)/\(id)/rotate", admin, json: "{}").with(
            "Idempotency-Key", "turn-1")
        let rotated = try await node.gateway.send(rotation)
        let again = try await node.gateway.send(rotation)
        expectProblem(again, 409, "answer-not-kept")
        #expect(again.integer("key_id") == rotated.integer("id"))
        #expect(
            try await node.value("SELECT count(*) FROM booking_engine_api_keys WHERE client = 'repeated'") == "2")
    }

    @Test("A long list comes in pages, each key once")
    @OnLoop func pages() async throws {
        let node = try await Node.shared()
        let (admin, _) = try await administrator(node, "pages-by")
        _ = try await node.rows(
            """
            INSERT INTO booking_engine_api_keys (api_key_hash, client, scopes)
            SELECT encode(sha256(('page' || n)::BYTEA), 'hex'), 'pages', '{hotel:read}' FROM generate_series(1, 25) AS n
            """)
        var (ids, target): ([Int64], String?) = ([], "\(Self.keys)?client=pages&limit=10")
        while let page = target {
            let answer = try await node.gateway.send(.get(page, admin))
            #expect(answer.elements("keys").count <= 10)
            ids += answer.elements("keys").compactMap { $0["id"]?.integer }
            target = answer.integer("next").map { "\(Self.keys)?client=pages&limit=10&before=\($0)" }
        }
        #expect(ids.count == 25 && ids == Set(ids).sorted(by: >))
        _ = try await node.rows("DELETE FROM booking_engine_api_keys WHERE client = 'pages'")
    }
}
