import Authentication
import Cryptography
import Glibc
import JSONText
import Loop
import Schema
import TestSupport
import Testing
import Webhook

/// Endpoints of webhooks, by the API.
@Suite("Webhook endpoints through both processes")
struct SubscriptionTests {
    init() { Loop.runInBackground() }

    private static let webhooks = "/api/webhooks"
    private static let scopes = "webhook:read webhook:write hotel:read booking:read"
    private static let url = "https://hooks.example/drawbridge"
    private static let least = #"{"url":"\#(url)","events":["booking.created"]}"#

    @OnLoop
    private func subscribe(
        _ node: Node, _ credentials: String?, _ json: String = least, key: String? = nil
    ) async throws -> Answer {
        let request = TestRequest.post("\(Self.webhooks)/subscribe", credentials, json: json)
        return try await node.gateway.send(key.map { request.with("Idempotency-Key", $0) } ?? request)
    }

    /// The id of a new endpoint.
    @OnLoop
    private func subscribed(_ node: Node, _ credentials: String, _ json: String = least) async throws -> String {
        let answer = try await subscribe(node, credentials, json)
        try #require(answer.status == 201, "\(answer.text)")
        return try #require(answer.string("id"))
    }

    @OnLoop
    private func get(_ node: Node, _ id: String, _ credentials: String) async throws -> Answer {
        try await node.gateway.send(.get("\(Self.webhooks)/\(id)", credentials))
    }

    @OnLoop
    private func patch(
        _ node: Node, _ id: String, _ credentials: String, _ json: String, ifMatch: String? = "*"
    ) async throws -> Answer {
        var request = TestRequest.post("\(Self.webhooks)/\(id)", credentials, json: json)
        request.method = "PATCH"
        return try await node.gateway.send(ifMatch.map { request.with("If-Match", $0) } ?? request)
    }

    @OnLoop
    private func rotate(
        _ node: Node, _ id: String, _ credentials: String, _ json: String = "{}", key: String? = nil
    ) async throws -> Answer {
        let request = TestRequest.post("\(Self.webhooks)/\(id)/rotate-secret", credentials, json: json)
        return try await node.gateway.send(key.map { request.with("Idempotency-Key", $0) } ?? request)
    }

    @OnLoop
    private func enable(_ node: Node, _ id: String, _ credentials: String) async throws -> Answer {
        try await node.gateway.send(
            TestRequest(method: "POST", target: "\(Self.webhooks)/\(id)/enable", token: credentials))
    }

    @OnLoop
    private func remove(
        _ node: Node, _ id: String, _ credentials: String, key: String? = nil
    ) async throws -> Answer {
        let request = TestRequest(method: "DELETE", target: "\(Self.webhooks)/\(id)", token: credentials)
        return try await node.gateway.send(key.map { request.with("Idempotency-Key", $0) } ?? request)
    }

    /// What the database holds of all endpoints and secrets, so that a test sees whether anything has changed.
    @OnLoop
    private func everything(_ node: Node, of client: String) async throws -> [[String]] {
        try await node.rows(
            """
            SELECT to_jsonb(endpoint)::TEXT, (SELECT jsonb_agg(to_jsonb(secret) ORDER BY id)::TEXT
                                              FROM drawbridge.webhook_secrets AS secret WHERE endpoint_id = endpoint.id)
            FROM drawbridge.webhook_endpoints AS endpoint WHERE client LIKE '% \(client)' ORDER BY position
            """)
    }

    /// The secrets of an endpoint as the bridge stored them, the current one first, opened.
    @OnLoop
    private func secrets(_ node: Node, of id: String, kind: String = "hmac-sha256") async throws -> [[UInt8]] {
        let master = try MasterKey(text: Files.text("\(node.home)/keys/master.key"))
        return try await node.rows(
            """
            SELECT id, encode(sealed, 'hex') FROM drawbridge.webhook_secrets
            WHERE endpoint_id = '\(id)' AND kind = '\(kind)' ORDER BY expires_at DESC NULLS FIRST
            """
        ).map { row in
            try master.open(
                webhookSecret: try #require(Hexadecimal.decode(row[1])), endpoint: id, id: row[0])
        }
    }

    @OnLoop
    private func audit(_ node: Node, _ id: String) async throws -> [String] {
        try await node.rows(
            "SELECT action FROM booking_engine_audit_log WHERE entity_id = '\(id)' ORDER BY created_at, id"
        ).map { $0[0] }
    }

    @Test(
        "An endpoint is subscribed, shown, changed, disabled, enabled and removed; each change stands in the audit log")
    @OnLoop func life() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("hooks-life", Self.scopes)
        let made = try await subscribe(
            node, key,
            #"""
            {"url":"\#(Self.url)?door=opensesame","events":["booking.created","sync.failed"],"hotel_ids":[1,"2"],
            "retryPolicy":{"maxRetries":3,"backoff":"linear"},"description":"the shop's","payload":"thin","in_order":true,
            "max_in_flight":4,"max_per_second":20}
            """#)
        #expect(made.status == 201 && made["Cache-Control"] == "no-store", "\(made.text)")
        let (id, secret) = (try #require(made.string("id")), try #require(made.string("secret")))
        #expect(made["Location"] == "\(Self.webhooks)/\(id)" && made["ETag"] == "\"1\"")
        #expect(
            made.string("client") == "\(Identity.ownClients) hooks-life" && made.integer("retryPolicy.maxRetries") == 3)
        #expect(made.string("payload") == "thin" && made.integer("hotel_ids.1") == 2)
        #expect(try await secrets(node, of: id) == [WebhookSecret(parsing: secret).bytes])

        let shown = try await get(node, id, key)
        #expect(shown.status == 200 && shown["ETag"] == "\"1\"" && shown.value("secret") == nil, "\(shown.text)")
        #expect(shown.string("url") == "\(Self.url)?door=opensesame" && shown.value("enabled") == .bool(true))
        let list = try await node.gateway.send(.get(Self.webhooks, key))
        #expect(list.elements("webhooks").compactMap { $0["id"]?.string } == [id] && list.value("next") == .null)

        expectProblem(
            try await patch(node, id, key, #"{"payload":"full"}"#, ifMatch: nil), 428, "precondition-required")
        expectProblem(
            try await patch(node, id, key, #"{"payload":"full"}"#, ifMatch: "\"2\""), 412, "precondition-failed")
        let changed = try await patch(
            node, id, key, #"{"payload":"full","hotel_ids":null,"description":null}"#,
            ifMatch: "\"1\"")
        #expect(
            changed.status == 200 && changed["ETag"] == "\"2\"" && changed.integer("version") == 2, "\(changed.text)")
        #expect(changed.value("hotel_ids") == .null && changed.value("description") == .null)
        #expect(changed.integer("retryPolicy.maxRetries") == 3, "what is not named stays")
        // What changes nothing is no version.
        #expect(try await patch(node, id, key, #"{"payload":"full"}"#).integer("version") == 2)

        let disabled = try await patch(node, id, key, #"{"enabled":false}"#)
        #expect(disabled.string("disabled_reason") == "requested" && disabled.string("disabled_at") != nil)
        let enabled = try await enable(node, id, key)
        #expect(enabled.status == 200 && enabled.value("enabled") == .bool(true) && enabled["ETag"] == "\"4\"")
        #expect(try await enable(node, id, key).integer("version") == 4)

        let removed = try await remove(node, id, key, key: "remove-1")
        #expect(removed.status == 200 && removed.string("id") == id, "\(removed.text)")
        #expect(try await remove(node, id, key, key: "remove-1").text == removed.text)
        for answer in [try await get(node, id, key), try await remove(node, id, key), try await enable(node, id, key)] {
            expectProblem(answer, 404, "webhook-not-found")
        }
        #expect(try await secrets(node, of: id) == [])
        #expect(
            try await audit(node, id) == [
                "create_webhook", "change_webhook", "disable_webhook", "enable_webhook", "remove_webhook",
            ])
        let rows = try await node.rows(
            "SELECT actor, request_id, response_data FROM booking_engine_audit_log WHERE entity_id = '\(id)'")
        #expect(rows.allSatisfy { $0[0].hasSuffix(" hooks-life") && $0[1].count == 32 }, "\(rows)")
        #expect(!rows.description.contains("opensesame") && !node.log.contains("opensesame"))
    }

    @Test("A secret is rotated with overlap, at most four are good at once, and its text is nowhere")
    @OnLoop func rotation() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("hooks-rotation", Self.scopes)
        let own = WebhookSecret()
        let made = try await subscribe(
            node, key, #"{"url":"\#(Self.url)","events":["booking.created"],"secret":"\#(own.text)","asymmetric":true}"#
        )
        let id = try #require(made.string("id"))
        #expect(made.string("secret") == own.text && made.elements("public_keys").count == 1, "\(made.text)")
        var texts = [own.text]
        for count in 2...4 {
            let rotated = try await rotate(node, id, key)
            #expect(rotated.status == 201 && rotated.elements("public_keys").count == count, "\(rotated.text)")
            #expect(rotated.string("earlier_secret_expires_at") != nil && rotated["Cache-Control"] == "no-store")
            texts.append(try #require(rotated.string("secret")))
        }
        #expect(Set(texts).count == 4)
        expectProblem(try await rotate(node, id, key), 409, "too-many-secrets")
        let stored = try await secrets(node, of: id)
        #expect(Set(stored) == Set(try texts.map { try WebhookSecret(parsing: $0).bytes }))
        #expect(stored.first == (try WebhookSecret(parsing: texts[3]).bytes))
        let overlap = try await node.value(
            """
            SELECT bool_and(expires_at BETWEEN now() + INTERVAL '23 hours' AND now() + INTERVAL '24 hours')
            FROM drawbridge.webhook_secrets WHERE endpoint_id = '\(id)' AND expires_at IS NOT NULL
            """)
        #expect(overlap == "t")
        // The published halves are those of what is stored.
        let published = try await get(node, id, key).elements("public_keys").compactMap { $0.string }
        let seeds = try await secrets(node, of: id, kind: "ed25519")
        #expect(
            try published
                == seeds.map { try WebhookSigningKey(seed: $0).publicText })

        // What ends makes room; none but the new one is good then.
        let last = try await rotate(node, id, key, #"{"overlap_hours":0}"#)
        #expect(last.status == 201 && last.value("earlier_secret_expires_at") == .null, "\(last.text)")
        texts.append(try #require(last.string("secret")))
        #expect(try await secrets(node, of: id) == [try WebhookSecret(parsing: texts[4]).bytes])
        let symmetric = try await patch(node, id, key, #"{"asymmetric":false}"#)
        #expect(symmetric.elements("public_keys").isEmpty)
        #expect(try await patch(node, id, key, #"{"asymmetric":true}"#).elements("public_keys").count == 1)

        let dump = try await node.rows(
            """
            SELECT query_to_xml('SELECT * FROM drawbridge.' || name, TRUE, FALSE, '') FROM
            unnest(ARRAY['webhook_endpoints', 'webhook_secrets', 'idempotency_records']) AS name
            UNION ALL SELECT query_to_xml('SELECT * FROM booking_engine_audit_log', TRUE, FALSE, '')
            """
        ).description
        #expect(dump.contains(id))
        for text in texts {
            let bytes = try WebhookSecret(parsing: text).bytes
            for form in [text, Base64.standard.encode(bytes), Hexadecimal.encode(bytes)] {
                #expect(!node.log.contains(form) && !dump.contains(form))
            }
        }
        let ledger = try await Files.run(["grep", "-rlF", texts[0].dropFirst(6).description, "\(node.home)/ledger"])
        // 1: not found. 2 would be: not looked at.
        #expect(ledger.exit.status == 1, "\(ledger.output)")
        _ = try await remove(node, id, key)
    }

    @Test("What is not as described changes nothing, whatever is asked")
    @OnLoop func badInput() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("hooks-bad", Self.scopes)
        let (mine, _) = try await node.apiKey("hooks-bad", Self.scopes, hotel: 2)
        let id = try await subscribed(node, key)
        let before = try await everything(node, of: "hooks-bad")
        let events = #""events":["booking.created"]"#
        for json in [
            "{}", #"{"url":"\#(Self.url)"}"#, "{\(events)}", #"{"url":7,\#(events)}"#,
            #"{"url":"http://hooks.example/x",\#(events)}"#, #"{"url":"https://user:pass@hooks.example/",\#(events)}"#,
            #"{"url":"ftp://hooks.example",\#(events)}"#, #"{"url":"https://hooks.example/#a",\#(events)}"#,
            #"{"url":"https://",\#(events)}"#, #"{"url":"https://\#(String(repeating: "a", count: 2048))",\#(events)}"#,
            #"{"url":"\#(Self.url)","events":[]}"#, #"{"url":"\#(Self.url)","events":["booking.deleted"]}"#,
            #"{"url":"\#(Self.url)",\#(events),"secret":"short"}"#,
            #"{"url":"\#(Self.url)",\#(events),"secret":"whsec_\#(String(repeating: "A", count: 30))=="}"#,
            #"{"url":"\#(Self.url)",\#(events),"retryPolicy":{"maxRetries":21}}"#,
            #"{"url":"\#(Self.url)",\#(events),"retryPolicy":{"backoff":"never"}}"#,
            #"{"url":"\#(Self.url)",\#(events),"hotel_ids":[]}"#, #"{"url":"\#(Self.url)",\#(events),"hotel_ids":[0]}"#,
            #"{"url":"\#(Self.url)",\#(events),"hotel_ids":[1,999999]}"#,
            #"{"url":"\#(Self.url)",\#(events),"hotel_ids":[\#((1...201).map { "\($0)" }.joined(separator: ","))]}"#,
            #"{"url":"\#(Self.url)",\#(events),"description":""}"#,
            #"{"url":"\#(Self.url)",\#(events),"payload":"slim"}"#,
            #"{"url":"\#(Self.url)",\#(events),"max_in_flight":0}"#,
            #"{"url":"\#(Self.url)",\#(events),"max_per_second":-1}"#,
            #"{"url":"\#(Self.url)",\#(events),"surprise":1}"#,
        ] {
            let answer = try await subscribe(node, key, json)
            expectProblem(answer, 422, "invalid-request")
            #expect(!answer.elements("errors").isEmpty, "\(json): \(answer.text)")
        }
        for json in ["", "{", "[]x"] { #expect([400, 422].contains(try await subscribe(node, key, json).status)) }
        for json in [
            #"{"url":"http://hooks.example/"}"#, #"{"events":[]}"#, #"{"hotel_ids":[999999]}"#,
            #"{"max_in_flight":101}"#,
            #"{"secret":"x"}"#, #"{"enabled":"no"}"#, #"{"retryPolicy":7}"#, #"{"client":"other"}"#, "{}", "[]",
        ] { expectProblem(try await patch(node, id, key, json), 422, "invalid-request") }
        for json in [#"{"overlap_hours":25}"#, #"{"secret":"whsec_x"}"#, #"{"surprise":1}"#, "[]"] {
            expectProblem(try await rotate(node, id, key, json), 422, "invalid-request")
        }
        for query in ["?limit=0", "?limit=101", "?before=x", "?client=x"] {
            let answer = try await node.gateway.send(.get(Self.webhooks + query, key))
            expectProblem(answer, 400, "malformed-request")
        }
        // Another's hotels, and every hotel, are not to be had; nor is what is for them there.
        for hotels in ["[3]", "[2,3]", "null"] {
            expectProblem(
                try await subscribe(node, mine, #"{"url":"\#(Self.url)",\#(events),"hotel_ids":\#(hotels)}"#), 403,
                "foreign-hotel")
        }
        for key in ["a b", String(repeating: "x", count: 256)] {
            #expect(try await subscribe(node, mine, key: key).status == 400)
        }
        for unknown in ["00000000-0000-4000-8000-000000000000", id] {
            for answer in [
                try await get(node, unknown, mine), try await patch(node, unknown, mine, #"{"payload":"thin"}"#),
                try await rotate(node, unknown, mine), try await enable(node, unknown, mine),
                try await remove(node, unknown, mine),
            ] { expectProblem(answer, 404, "webhook-not-found") }
        }
        expectProblem(try await get(node, "x", key), 404, "not-found")
        #expect(try await everything(node, of: "hooks-bad") == before)
        #expect(try await audit(node, id) == ["create_webhook"])
        _ = try await remove(node, id, key)
    }

    @Test("A client sees and changes its own endpoints, an administrator those of his hotels")
    @OnLoop func ownership() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("hooks-owner", Self.scopes)
        let (other, _) = try await node.apiKey("hooks-other", Self.scopes)
        let (reader, _) = try await node.apiKey("hooks-owner", "webhook:read")
        let (admin, _) = try await node.apiKey("hooks-admin", "\(Self.scopes) admin")
        let (local, _) = try await node.apiKey("hooks-local", "\(Self.scopes) admin", hotel: 2)
        let all = try await subscribed(node, key)
        let one = try await subscribed(
            node, key, #"{"url":"\#(Self.url)","events":["booking.created"],"hotel_ids":[2]}"#)
        for id in [all, one] {
            for answer in [
                try await get(node, id, other), try await patch(node, id, other, #"{"payload":"thin"}"#),
                try await rotate(node, id, other), try await enable(node, id, other), try await remove(node, id, other),
            ] { expectProblem(answer, 404, "webhook-not-found") }
            #expect(try await get(node, id, reader).status == 200)
            expectProblem(try await patch(node, id, reader, #"{"payload":"thin"}"#), 403, "insufficient-scope")
            #expect(try await patch(node, id, admin, #"{"payload":"thin"}"#).status == 200)
            #expect(try await get(node, id, key).string("payload") == "thin")
        }
        func ids(_ credentials: String, _ query: String = "") async throws -> [String] {
            try await node.gateway.send(.get(Self.webhooks + query, credentials)).elements("webhooks")
                .compactMap { $0["id"]?.string }
        }
        #expect(try await ids(key) == [one, all])
        #expect(try await ids(other) == [])
        #expect(try await Set(ids(admin, "?limit=100")).isSuperset(of: [one, all]))
        #expect(try await ids(local).contains(one))
        #expect(try await !ids(local).contains(all))
        expectProblem(try await patch(node, one, local, #"{"hotel_ids":[2,3]}"#), 403, "foreign-hotel")
        expectProblem(try await remove(node, all, local), 404, "webhook-not-found")
        // The audit log says who did it.
        #expect(
            try await node.value(
                """
                SELECT actor FROM booking_engine_audit_log
                WHERE entity_id = '\(one)' AND action = 'change_webhook' ORDER BY created_at DESC LIMIT 1
                """) == "\(Identity.ownClients) hooks-admin")
        // Hotels not named are those of the credentials.
        let (two, _) = try await node.apiKey("hooks-owner", Self.scopes, hotel: 2)
        let mine = try await subscribe(node, two)
        #expect(mine.status == 201 && mine.value("hotel_ids") == .array([.integer(2)]), "\(mine.text)")
        for id in try await ids(key) { #expect(try await remove(node, id, key).status == 200) }
    }

    @Test("A page follows another, each endpoint once")
    @OnLoop func pages() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("hooks-pages", Self.scopes)
        var made: [String] = []
        for _ in 0..<7 { made.append(try await subscribed(node, key)) }
        var (found, next): ([String], String?) = ([], "")
        while let before = next {
            let answer = try await node.gateway.send(.get("\(Self.webhooks)?limit=3\(before)", key))
            found += answer.elements("webhooks").compactMap { $0["id"]?.string }
            next = answer.integer("next").map { "&before=\($0)" }
        }
        #expect(found == made.reversed())
        for id in made { _ = try await remove(node, id, key) }
    }

    @Test("The same request again makes no second endpoint; of two at once one is carried out")
    @OnLoop func repetition() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("hooks-again", Self.scopes)
        let made = try await subscribe(node, key, key: "again-1")
        let id = try #require(made.string("id"))
        let again = try await subscribe(node, key, key: "again-1")
        expectProblem(again, 409, "answer-not-kept")
        #expect(again.string("webhook_id") == id && !again.text.contains("whsec_"))
        let other = #"{"url":"\#(Self.url)","events":["sync.failed"]}"#
        expectProblem(try await subscribe(node, key, other, key: "again-1"), 422, "idempotency-key-reused")
        #expect(try await rotate(node, id, key, key: "again-2").status == 201)
        expectProblem(try await rotate(node, id, key, key: "again-2"), 409, "answer-not-kept")
        #expect(try await secrets(node, of: id).count == 2)

        for round in 0..<5 {
            let answers = try await concurrently([0, 1, 2]) { _ in
                try await subscribe(node, key, key: "at-once-\(round)")
            }
            #expect(answers.map(\.status).sorted() == [201, 409, 409], "\(answers.map(\.text))")
        }
        #expect(try await everything(node, of: "hooks-again").count == 6)
        // Of changes to one version one is made.
        let tag = try #require(try await get(node, id, key)["ETag"])
        let changes = try await concurrently(Array(1...4)) { number in
            try await patch(node, id, key, #"{"max_in_flight":\#(number + 20)}"#, ifMatch: tag)
        }
        #expect(changes.map(\.status).sorted() == [200, 412, 412, 412])
        _ = try await node.rows("DELETE FROM drawbridge.webhook_endpoints WHERE client LIKE '% hooks-again'")
    }

    @Test("A client has fifty endpoints at most, however many it makes at once")
    @OnLoop func bound() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("hooks-bound", Self.scopes)
        let id = try await subscribed(node, key)
        _ = try await node.rows(
            """
            INSERT INTO drawbridge.webhook_endpoints (id, client, url, events, payload, is_ordered, is_asymmetric, backoff,
                                                      maximum_retries, maximum_in_flight, maximum_rate)
            SELECT gen_random_uuid(), client, url, events, payload, is_ordered, is_asymmetric, backoff, maximum_retries,
                   maximum_in_flight, maximum_rate
            FROM drawbridge.webhook_endpoints, generate_series(1, 46) WHERE id = '\(id)'
            """)
        let answers = try await concurrently(Array(0..<8)) { _ in try await subscribe(node, key) }
        #expect(answers.filter { $0.status == 201 }.count == 3, "\(answers.map(\.status))")
        for answer in answers where answer.status != 201 { expectProblem(answer, 409, "too-many-webhooks") }
        #expect(try await everything(node, of: "hooks-bound").count == 50)
        #expect(try await remove(node, id, key).status == 200)
        #expect(try await subscribe(node, key).status == 201)
        _ = try await node.rows("DELETE FROM drawbridge.webhook_endpoints WHERE client LIKE '% hooks-bound'")
    }

    @Test("Who may not read bookings is not told of them")
    @OnLoop func scopesOfEvents() async throws {
        let node = try await Node.shared()
        let (writer, keyID) = try await node.apiKey("hooks-scope", Self.scopes)
        let (few, _) = try await node.apiKey("hooks-scope", "webhook:read webhook:write hotel:read")
        expectProblem(try await subscribe(node, few), 403, "exceeds-rights")
        let rooms = try await subscribe(
            node, few, #"{"url":"https://hooks.example/rooms","events":["hotel.updated","room_type.updated"]}"#)
        let id = try #require(rooms.string("id"))
        expectProblem(
            try await patch(node, id, few, #"{"events":["hotel.updated","guest.created"]}"#), 403, "exceeds-rights")
        #expect(try await get(node, id, few).elements("events").count == 2)

        // Nor who could once, and cannot any more.
        let bookings = try await subscribed(node, writer)
        #expect(try await node.key("revoke", keyID).exit.isSuccess)
        try await wait("the endpoint to be disabled", for: .seconds(60)) {
            try await get(node, bookings, few).string("disabled_reason") == "rights"
        }
        expectProblem(try await enable(node, bookings, few), 403, "exceeds-rights")
        #expect(try await get(node, id, few).value("enabled") == .bool(true))
        for id in [id, bookings] { #expect(try await remove(node, id, few).status == 200) }
    }

    @Test("The word of a gateway subscribes nobody: the bridge asks for what proves it")
    @OnLoop func takenOverGateway() async throws {
        let node = try await Node.shared()
        let (key, keyID) = try await node.apiKey("hooks-word", Self.scopes)
        func send(_ credentials: String?, client: String) async throws -> Answer {
            let identity = Identity(
                issuer: Identity.ownClients, subject: Identity.apiKeySubject(try #require(Int32(keyID))),
                client: client,
                scopes: [.webhookRead, .webhookWrite, .hotelRead, .bookingRead], hotelIDs: .all, method: .apiKey)
            return try await node.sendToBridge(
                .post("\(Self.webhooks)/subscribe", credentials, json: Self.least), as: identity)
        }
        #expect(try await send(key, client: "hooks-word").status == 201)
        expectProblem(try await send(nil, client: "hooks-word"), 401)
        expectProblem(try await send(key, client: "hooks-victim"), 401)
        #expect(try await everything(node, of: "hooks-word").count == 1)
        #expect(try await everything(node, of: "hooks-victim").isEmpty)
        _ = try await node.rows("DELETE FROM drawbridge.webhook_endpoints WHERE client LIKE '% hooks-word'")
    }

    @Test("A client that loses its hotels is sent nothing more; one that has a token of its own issuer goes on")
    @OnLoop func lostRights() async throws {
        let node = try await Node.shared()
        let (key, keyID) = try await node.apiKey("hooks-lost", Self.scopes)
        let (two, _) = try await node.apiKey("hooks-lost", Self.scopes, hotel: 2)
        let (admin, _) = try await node.apiKey("hooks-lost-admin", "\(Self.scopes) admin")
        let token = try node.token { $0.scopes = Self.scopes }
        let all = try await subscribed(node, key)
        let one = try await subscribed(node, two)
        let foreign = try await subscribed(node, token)
        #expect(try await node.key("revoke", keyID).exit.isSuccess)
        try await wait("the endpoint to be disabled", for: .seconds(60)) {
            try await get(node, all, admin).string("disabled_reason") == "rights"
        }
        #expect(try await audit(node, all) == ["create_webhook", "disable_webhook"])
        #expect(
            try await node.value(
                "SELECT actor FROM booking_engine_audit_log WHERE entity_id = '\(all)' AND action = 'disable_webhook'")
                == "drawbridge")
        // It is not there for what is left of the client, which therefore cannot enable it.
        expectProblem(try await enable(node, all, two), 404, "webhook-not-found")
        // Enabled by somebody else it does not stay so.
        #expect(try await enable(node, all, admin).value("enabled") == .bool(true))
        try await wait("it to be disabled again", for: .seconds(60)) {
            try await get(node, all, admin).string("disabled_reason") == "rights"
        }
        // The others were looked at as often.
        #expect(try await get(node, one, two).value("enabled") == .bool(true))
        #expect(try await get(node, foreign, token).value("enabled") == .bool(true))
        for id in [all, one, foreign] { #expect(try await remove(node, id, admin).status == 200) }
    }

    @Test("Plain http on loopback is for the demo's own machine", .timeLimit(.minutes(3)))
    @OnLoop func plainLoopback() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("hooks-plain", Self.scopes)
        let made = try await subscribe(
            node, key, #"{"url":"http://127.0.0.1:9000/hook","events":["booking.created"]}"#)
        #expect(made.status == 201, "\(made.text)")
        _ = try await remove(node, try #require(made.string("id")), key)
    }

    @Test("The types of events have schemas that describe what is written into the outbox")
    @OnLoop func eventTypes() async throws {
        let node = try await Node.shared()
        let token = try node.token { $0.scopes = "webhook:read booking:read booking:write" }
        let answer = try await node.gateway.send(.get("\(Self.webhooks)/event-types", token))
        #expect(answer.status == 200)
        #expect(answer.elements("event_types").compactMap { $0["type"]?.string } == EventType.allCases.map(\.rawValue))
        #expect(answer.content == EventType.catalogue)
        let booked = try await node.book(BookingBody(TestStay.next()))
        let id = try #require(booked.string("booking_id"), "\(booked.text)")
        let cancel = TestRequest(
            method: "DELETE", target: "/api/booking-engine/bookings/\(id)", token: try node.token())
        #expect(try await node.gateway.send(cancel).status == 200)
        // Those of other tests as well, which do other things.
        let faults = try await node.eventFaults()
        #expect(faults.described.isSuperset(of: ["booking.created", "booking.cancelled"]))
        #expect(faults.faults == [])
    }

    @Test("Endpoints outlive the bridge, and a change of the master key", .timeLimit(.minutes(3)))
    @OnLoop func restart() async throws {
        let node = try Node()
        try await node.start()
        let (key, _) = try await node.apiKey("hooks-restart", Self.scopes)
        let made = try await subscribe(
            node, key, #"{"url":"\#(Self.url)","events":["booking.created"],"asymmetric":true}"#)
        let (id, secret) = (try #require(made.string("id")), try #require(made.string("secret")))
        let changed = try await node.tokenCommand("change-master-key")
        #expect(changed.exit.isSuccess, "\(changed.output)")
        #expect(try await secrets(node, of: id) == [WebhookSecret(parsing: secret).bytes])
        #expect(try await secrets(node, of: id, kind: "ed25519").count == 1)
        // Under the new key at once.
        #expect(try await rotate(node, id, key).status == 201)
        #expect(try await secrets(node, of: id).count == 2)
        kill(try node.processID("bridge"), SIGKILL)
        try await wait("the bridge to be back", for: .seconds(60)) { try await get(node, id, key).status == 200 }
        #expect(try await get(node, id, key).integer("version") == 2)

        // Without the right master key nothing is stored that could not be opened with the rest, and it is said.
        let before = try await everything(node, of: "hooks-restart")
        let file = "\(node.home)/keys/master.key"
        let master = Files.text(file)
        for wrong in [MasterKey.makeText(), nil] {
            if let wrong { Files.write(wrong, to: file) } else { unlink(file) }
            expectProblem(try await subscribe(node, key), 503, "unavailable")
            expectProblem(try await rotate(node, id, key), 503, "unavailable")
            #expect(try await get(node, id, key).status == 200)
        }
        #expect(node.log.contains("secrets of webhooks cannot be stored"))
        #expect(try await everything(node, of: "hooks-restart") == before)
        Files.write(master, to: file)
        #expect(try await rotate(node, id, key).status == 201)
        #expect(try await node.doctor().contains("master key"))
        #expect(try await node.stop().isSuccess)
    }
}

extension Node {
    /// Compares every event in the outbox with the schema of its type.
    ///
    /// - Returns: what is wrong, and of which types there were events.
    func eventFaults() async throws -> (described: Set<String>, faults: [String]) {
        // Some tests write events that no bridge does.
        let rows = try await rows(
            """
            SELECT type, encode(convert_to(payload::TEXT, 'UTF8'), 'hex') FROM drawbridge.events
            WHERE type NOT LIKE 'test.%'
            """)
        var faults: [String] = []
        var schemas: [String: ClosedSchema] = [:]
        for row in rows {
            guard let type = EventType(rawValue: row[0]) else {
                faults.append("no such type: \(row[0])")
                continue
            }
            let schema = try schemas[row[0]] ?? ClosedSchema(json: type.schema)
            schemas[row[0]] = schema
            let body = String(decoding: try #require(Hexadecimal.decode(row[1])), as: UTF8.self)
            faults += try schema.violations(in: body).map { "\(row[0]) \($0.pointer): \($0.detail)" }
        }
        return (Set(schemas.keys), faults)
    }
}
