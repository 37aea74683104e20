import Authentication
import Glibc
import JSONText
import Loop
import Testing

/// Every test has clients of its own, whose quotas are theirs alone; what is refreshed goes with the API key, so that the
/// quota that all strangers of one address share is left to those who test it.
@Suite("Tokens of our own")
struct TokenTests {
    init() { Loop.runInBackground() }

    @Test("An API key is exchanged for tokens that do what the key may, and say so")
    @OnLoop func exchange() async throws {
        let node = try await Node.shared()
        let (key, id) = try await node.apiKey("token-good", hotel: 2)
        let answer = try await node.exchange(key)
        #expect(answer.status == 200 && answer["Cache-Control"] == "no-store")
        #expect(answer.string("token_type") == "Bearer" && answer.integer("expires_in") == 900)
        #expect(answer.string("scope") == "availability:read hotel:read")
        #expect(answer.integer("refresh_expires_in") == 14 * 86_400)
        #expect(answer["Drawbridge-Credential"] == nil)
        let tokens = try answer.tokens
        let (header, claims) = (try node.header(tokens.access), try node.claims(tokens.access))
        #expect(header["alg"]?.string == "ES256" && header["typ"]?.string == "at+jwt")
        #expect(try await node.publishedKeys().contains(header["kid"]?.string ?? ""))
        #expect(claims["iss"]?.string == "urn:drawbridge:tokens" && claims["aud"]?.string == "drawbridge")
        #expect(claims["sub"]?.string == "api-key-\(id)" && claims["client_id"]?.string == "token-good")
        #expect(claims["hotel_ids"] == .array([.integer(2)]))
        #expect((claims["exp"]?.integer ?? 0) - (claims["iat"]?.integer ?? 0) == 900)
        #expect(claims["nbf"] == claims["iat"] && claims["jti"]?.string != nil && claims["sid"]?.string != nil)

        #expect(try await node.statuses(tokens.access) == [200])
        #expect(try await node.statuses(tokens.access, TestStay.next().availability(2)) == [200])
        expectProblem(try await node.gateway.send(.get("\(Node.hotels)/1", tokens.access)), 403, "foreign-hotel")
        // Neither the tokens nor the key are written down anywhere.
        let stored = try await node.rows(
            "SELECT * FROM drawbridge.token_families WHERE api_key_id = \(id)"
        ).description
        #expect(!stored.contains(tokens.refresh.dropFirst(4).prefix(20)))
        for secret in [tokens.access, tokens.refresh, key] { #expect(!node.log.contains(secret)) }
    }

    @Test("Bookings belong to the client, whether it comes with its key or a token")
    @OnLoop func oneClient() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("token-booker", "booking:read booking:write")
        let tokens = try await node.tokens(key)
        let json = BookingBody(.next()).json
        let first = try await node.gateway.send(.post("/api/booking-engine/bookings", key, json: json))
        let again = try await node.gateway.send(.post("/api/booking-engine/bookings", tokens.access, json: json))
        #expect(first.status == 201 && again.status == 200, "\(again.text)")
    }

    @Test("Fewer scopes may be asked for, never more")
    @OnLoop func scopes() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("token-scopes")
        let narrow = try await node.exchange(key, #"{"grant_type":"client_credentials","scope":"hotel:read"}"#)
        #expect(narrow.string("scope") == "hotel:read")
        let tokens = try narrow.tokens
        let refused = try await node.gateway.send(.get(TestStay.next().availability(1), tokens.access))
        expectProblem(refused, 403, "insufficient-scope")
        for json in [#"{"scope":"booking:write"}"#, #"{"scope":"hotel:write"}"#] {
            let answer = try await node.exchange(key, json)
            expectProblem(answer, 400, "invalid-scope")
            #expect(answer.string("error") == "invalid_scope" && answer.string("error_description") != nil)
        }
        // Nor by refreshing.
        let wider = try await node.gateway.send(
            .post(
                "\(Node.access)/refresh", key,
                json: #"{"refresh_token":"\#(tokens.refresh)","scope":"hotel:read availability:read"}"#))
        expectProblem(wider, 400, "invalid-scope")
        // What was refused has spent nothing.
        #expect(try await node.refresh(tokens.refresh, key).string("scope") == "hotel:read")
    }

    @Test("What is missing, of a wrong type, unknown, foreign or too large is refused, and makes nothing")
    @OnLoop func refused() async throws {
        let node = try await Node.shared()
        let (key, id) = try await node.apiKey("token-refused")
        let (other, _) = try await node.apiKey("token-other")
        let tokens = try await node.tokens(key)
        let count = "SELECT count(*) FROM drawbridge.token_families WHERE api_key_id = \(id)"
        func post(_ path: String, _ credentials: String?, _ json: String) async throws -> Answer {
            try await node.gateway.send(.post("\(Node.access)/\(path)", credentials, json: json))
        }
        let large = #"{"scope":"\#(String(repeating: "x", count: 5000))"}"#
        for (answer, status, type) in [
            (try await post("token", nil, "{}"), 401, "unauthorized"),
            (try await post("token", "dbk_nonsense", "{}"), 401, "unauthorized"),
            // A token is no key: it cannot prolong itself.
            (try await post("token", tokens.access, "{}"), 401, "unauthorized"),
            (try await post("token", node.token(), "{}"), 401, "unauthorized"),
            (try await post("token", key, "[]"), 422, "invalid-request"),
            (try await post("token", key, "{"), 400, "malformed-json"),
            (try await post("token", key, #"{"scope":7}"#), 422, "invalid-request"),
            (try await post("token", key, #"{"scope":""}"#), 422, "invalid-request"),
            (try await post("token", key, #"{"secret":"x"}"#), 422, "invalid-request"),
            (try await post("token", key, #"{"grant_type":"password"}"#), 400, "unsupported-grant-type"),
            (try await post("token", key, large), 413, "content-too-large"),
            (try await post("refresh", nil, "{}"), 422, "invalid-request"),
            (try await post("refresh", nil, #"{"refresh_token":7}"#), 422, "invalid-request"),
            (try await post("refresh", nil, #"{"refresh_token":"nonsense"}"#), 400, "invalid-grant"),
            (try await post("refresh", nil, #"{"refresh_token":"\#(key)"}"#), 400, "invalid-grant"),
            (
                try await post("refresh", nil, #"{"grant_type":"x","refresh_token":"\#(tokens.refresh)"}"#), 400,
                "unsupported-grant-type"
            ),
            // Somebody else's, and credentials that are none.
            (try await node.refresh(tokens.refresh, other), 400, "invalid-grant"),
            (try await node.refresh(tokens.refresh, "dbk_nonsense"), 401, "unauthorized"),
            (try await node.refresh(tokens.refresh, try node.token()), 400, "invalid-grant"),
            (try await post("refresh", nil, large), 413, "content-too-large"),
            (try await post("validate-token", nil, #"{"token":"x"}"#), 401, "unauthorized"),
            (try await post("validate-token", key, "{}"), 422, "invalid-request"),
            (try await post("validate-token", key, #"{"token":1}"#), 422, "invalid-request"),
            (
                try await post("validate-token", key, #"{"token":"\#(String(repeating: "x", count: 9000))"}"#), 422,
                "invalid-request"
            ),
            (
                try await post("validate-token", key, #"{"token":"\#(String(repeating: "x", count: 17000))"}"#), 413,
                "content-too-large"
            ),
        ] { expectProblem(answer, status, type) }
        #expect(try await post("token", key, "[]").string("detail") == "An object is expected")
        let form = TestRequest(
            method: "POST", target: "\(Node.access)/token", token: key,
            fields: [("Content-Type", "application/x-www-form-urlencoded")],
            content: Array("grant_type=client_credentials".utf8))
        expectProblem(try await node.gateway.send(form), 415, "unsupported-media-type")
        // Without content it is asked for all there is.
        let bare = TestRequest(method: "POST", target: "\(Node.access)/token", token: key, fields: [], content: [])
        #expect(try await node.gateway.send(bare).status == 200)
        #expect(try await node.value(count) == "2")
        #expect(try await node.refresh(tokens.refresh, key).status == 200)
    }

    @Test(
        "A refresh token is good once; when it comes again all that followed it ends, at every worker within a second")
    @OnLoop func reuse() async throws {
        let node = try await Node.shared()
        let (key, id) = try await node.apiKey("token-reuse")
        let first = try await node.tokens(key)
        let bystander = try await node.tokens(key)
        let stay = TestStay.next().availability(1)
        #expect(try await node.statuses(first.access, stay) == [200])
        // The token alone suffices.
        let second = try await node.refresh(first.refresh).tokens
        let third = try await node.refresh(second.refresh, second.access).tokens
        for token in [first.access, second.access, third.access] {
            #expect(try await node.statuses(token, stay) == [200])
        }
        let before = try await node.metric("drawbridge_bridge_refresh_reuse_total")
        let reused = try await node.refresh(first.refresh)
        expectProblem(reused, 400, "invalid-grant")
        #expect(reused.string("error") == "invalid_grant")
        let answered = Loop.monotonicNanoseconds
        for token in [first.access, second.access, third.access] {
            try await wait("it to be refused by every worker") { try await node.statuses(token, stay) == [401] }
        }
        // A bound that a busy machine keeps too; the gateways ask four times a second.
        #expect(Loop.monotonicNanoseconds - answered < 10_000_000_000)
        for token in [second.refresh, third.refresh] {
            expectProblem(try await node.refresh(token, key), 400, "invalid-grant")
        }
        // Other tests bring spent tokens meanwhile.
        #expect(try await node.metric("drawbridge_bridge_refresh_reuse_total") > before)
        #expect(
            try await node.rows(
                "SELECT ended_by FROM drawbridge.token_families WHERE api_key_id = \(id) AND ended_at IS NOT NULL")
                == [["reuse"]])
        // The client's other family and its key go on.
        #expect(try await node.statuses(bystander.access) == [200])
        #expect(try await node.refresh(bystander.refresh, key).status == 200)
        #expect(node.log.contains("spent refresh token came again"))
    }

    @Test("Of many who bring the same refresh token at once one is served, and the family has ended")
    @OnLoop func race() async throws {
        let node = try await Node.shared()
        let (key, id) = try await node.apiKey("token-race")
        let tokens = try await node.tokens(key)
        let answers = try await concurrently(Array(0..<12)) { _ in try await node.refresh(tokens.refresh, key) }
        #expect(answers.count { $0.status == 200 } == 1)
        #expect(answers.count { $0.status == 400 && $0.problem == "invalid-grant" } == 11)
        let served = try #require(answers.first { $0.status == 200 }).tokens
        expectProblem(try await node.refresh(served.refresh, key), 400, "invalid-grant")
        #expect(
            try await node.value("SELECT ended_by FROM drawbridge.token_families WHERE api_key_id = \(id)") == "reuse")
    }

    @Test("A repetition by its Idempotency-Key is told that it was carried out, and gets no secret")
    @OnLoop func repetition() async throws {
        let node = try await Node.shared()
        let (key, id) = try await node.apiKey("token-repetition")
        let tokens = try await node.exchange(key, idempotencyKey: "exchange-1").tokens
        expectProblem(try await node.exchange(key, idempotencyKey: "exchange-1"), 409, "answer-not-kept")
        let other = try await node.exchange(key, #"{"scope":"hotel:read"}"#, idempotencyKey: "exchange-1")
        expectProblem(other, 422, "idempotency-key-reused")
        let next = try await node.refresh(tokens.refresh, key, idempotencyKey: "refresh-1").tokens
        #expect(try await node.statuses(next.access) == [200])
        // Whoever copied the request may have been first: the token was spent, so its family ends like any other's.
        let before = try await node.metric("drawbridge_bridge_refresh_reuse_total")
        for _ in 0..<2 {
            let again = try await node.refresh(tokens.refresh, key, idempotencyKey: "refresh-1")
            expectProblem(again, 409, "answer-not-kept")
            #expect(again["Drawbridge-Credential"] == nil)
        }
        // Other tests bring spent tokens meanwhile.
        #expect(try await node.metric("drawbridge_bridge_refresh_reuse_total") > before)
        #expect(
            try await node.value("SELECT ended_by FROM drawbridge.token_families WHERE api_key_id = \(id)") == "reuse")
        expectProblem(try await node.refresh(next.refresh, key), 400, "invalid-grant")
        try await wait("the access token to be refused") { try await node.statuses(next.access) == [401] }
        let record = try await node.rows(
            "SELECT * FROM drawbridge.idempotency_records WHERE key IN ('exchange-1', 'refresh-1')"
        ).description
        for secret in [tokens.access, tokens.refresh, next.access, next.refresh] { #expect(!record.contains(secret)) }
    }

    @Test("With its API key the tokens end: revoked, all of them; expired, what would follow")
    @OnLoop func keyEnds() async throws {
        let node = try await Node.shared()
        let (key, id) = try await node.apiKey("token-key-ends")
        let (revoked, expired) = (try await node.tokens(key), try await node.apiKey("token-key-expires"))
        let last = try await node.tokens(expired.key)
        #expect(try await node.statuses(revoked.access) == [200])
        #expect(try await node.key("revoke", id).exit.isSuccess)
        try await wait("the access token to be refused") { try await node.statuses(revoked.access) == [401] }
        expectProblem(try await node.refresh(revoked.refresh), 400, "invalid-grant")
        _ = try await node.rows(
            """
            UPDATE booking_engine_api_keys SET created_at = now() - INTERVAL '1 day', expires_at = now() - INTERVAL '1 s'
            WHERE id = \(expired.id)
            """)
        expectProblem(try await node.refresh(last.refresh), 400, "invalid-grant")
        // A removed key leaves nothing behind, and its tokens are revoked.
        let (removed, removedID) = try await node.apiKey("token-key-removed")
        let orphan = try await node.tokens(removed)
        _ = try await node.rows("DELETE FROM booking_engine_api_keys WHERE id = \(removedID)")
        try await wait("its token to be refused") { try await node.statuses(orphan.access) == [401] }
        expectProblem(try await node.refresh(orphan.refresh), 400, "invalid-grant")
    }

    @Test("A key has so many families at most; the one that was not used for longest makes room")
    @OnLoop func families() async throws {
        let node = try await Node.shared()
        let (key, id) = try await node.apiKey("token-families")
        let spent = try await node.tokens(key)
        let first = try await node.refresh(spent.refresh, key).tokens
        // As many as it may have, without asking for each.
        _ = try await node.rows(
            """
            INSERT INTO drawbridge.token_families (id, api_key_id, family_hash, secret_hash, scopes, issuer, expires_at,
                                                   idle_expires_at, access_expires_at)
            SELECT lpad(n::TEXT, 22, 'f'), \(id), sha256(('f' || n)::BYTEA), sha256('s'::BYTEA), '{}', 'i',
                   now() + INTERVAL '1 h', now() + INTERVAL '1 h', now() FROM generate_series(1, 99) AS n
            """)
        let living = "SELECT count(*) FROM drawbridge.token_families WHERE api_key_id = \(id) AND ended_at IS NULL"
        #expect(try await node.value(living) == "100")
        let last = try await node.tokens(key)
        #expect(try await node.value(living) == "100")
        expectProblem(try await node.refresh(first.refresh, key), 400, "invalid-grant")
        // Its access token runs out by itself.
        #expect(try await node.statuses(first.access) == [200])
        #expect(try await node.refresh(last.refresh, key).status == 200)
        // Unless a spent token of the family says that somebody has a copy.
        expectProblem(try await node.refresh(spent.refresh, key), 400, "invalid-grant")
        try await wait("its access token to be refused") { try await node.statuses(first.access) == [401] }
    }

    @Test("What has ended long ago is removed, families and keys; families that made room, when their tokens are over")
    @OnLoop func retention() async throws {
        let node = try await Node.shared()
        let (_, old) = try await node.apiKey("token-retention")
        let (_, young) = try await node.apiKey("token-retention")
        _ = try await node.rows(
            """
            INSERT INTO drawbridge.token_families (id, api_key_id, family_hash, secret_hash, scopes, issuer, expires_at,
                                                   idle_expires_at, access_expires_at, ended_at, ended_by)
            SELECT lpad(days::TEXT, 22, 'r'), \(young), sha256(('r' || days)::BYTEA), sha256('s'::BYTEA), '{}'::TEXT[], 'i',
                   now() + INTERVAL '1 day', now() + INTERVAL '1 day', now(), now() - days * INTERVAL '1 day', 'reuse'
            FROM unnest(ARRAY[6, 8]) AS days
            UNION ALL
            SELECT lpad(age::TEXT, 22, 'm'), \(young), sha256(('m' || age)::BYTEA), sha256('s'::BYTEA), '{}'::TEXT[], 'i',
                   now() + INTERVAL '1 day', now() + INTERVAL '1 day', now() - age * INTERVAL '1 min', now(), 'limit'
            FROM unnest(ARRAY[1, 61]) AS age;
            UPDATE booking_engine_api_keys
            SET created_at = now() - INTERVAL '500 days', expires_at = now() - INTERVAL '401 days' WHERE id = \(old)
            """)
        try await wait("the old ones to be removed", for: .seconds(90)) {
            let families = try await node.rows(
                "SELECT id FROM drawbridge.token_families WHERE api_key_id = \(young) ORDER BY id")
            let keys = try await node.rows("SELECT id FROM booking_engine_api_keys WHERE id IN (\(old), \(young))")
            return families == [["mmmmmmmmmmmmmmmmmmmmm1"], ["rrrrrrrrrrrrrrrrrrrrr6"]] && keys == [[young]]
        }
    }

    @Test("A key in its last second is exchanged for no token that has no time left")
    @OnLoop func lastSecond() async throws {
        let node = try await Node.shared()
        let (key, id) = try await node.apiKey("token-last-second")
        let identity = Identity(
            issuer: Identity.ownClients, subject: Identity.apiKeySubject(try #require(Int32(id))),
            client: "token-last-second", scopes: [.hotelRead, .availabilityRead], hotelIDs: .all, method: .apiKey)
        // Gateways refuse such a key by their own clocks; those may be behind.
        let ask = { @OnLoop in
            try await node.sendToBridge(.post("\(Node.access)/token", key, json: "{}"), as: identity)
        }
        #expect(try await ask().status == 200)
        for _ in 0..<2 {
            _ = try await node.rows(
                """
                SELECT pg_sleep(1.02 - extract(epoch FROM clock_timestamp() - date_trunc('second', clock_timestamp())));
                UPDATE booking_engine_api_keys
                SET expires_at = date_trunc('second', clock_timestamp()) + INTERVAL '999 ms' WHERE id = \(id)
                """)
            let answer = try await ask()
            #expect(answer.status != 200 || answer.integer("expires_in") ?? 0 > 0, "\(answer.text)")
        }
    }

    @Test("Whoever may use the schema runs none of the functions that act with their owner's rights")
    @OnLoop func functions() async throws {
        let node = try await Node.shared()
        let open = try await node.rows(
            """
            SELECT proname FROM pg_proc
            WHERE pronamespace = 'drawbridge'::regnamespace AND prosecdef
              AND prorettype <> 'trigger'::regtype AND has_function_privilege('public', oid, 'EXECUTE')
            """)
        #expect(open == [])
    }

    @Test("Whoever guesses refresh tokens is stopped, and keeps nobody who is known from getting his")
    @OnLoop func guessing() async throws {
        // The last of them: for a minute strangers at this address are refused.
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("guessed")
        var statuses: [Int: Int] = [:]
        let guess = TestRequest.post("\(Node.access)/refresh", nil, json: #"{"refresh_token":"guess"}"#)
        let connection = try await node.gateway.connect()
        defer { connection.close() }
        for _ in 0..<400 {
            let answer = try await connection.send(guess)
            statuses[answer.status, default: 0] += 1
            if answer.status == 429 {
                #expect(answer["Retry-After"] != nil)
                break
            }
        }
        #expect(statuses[429] == 1, "\(statuses)")
        #expect(try await node.exchange(key).status == 200)
        // What everybody may know is not counted with it.
        #expect(try await node.gateway.send(.get("/.well-known/jwks.json")).status == 200)
    }
}
