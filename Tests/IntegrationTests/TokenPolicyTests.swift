import Glibc
import JSONText
import Loop
import Testing

/// What becomes of tokens and keys under other policies than the repository's, and at the bounds of what gateways hold.
@Suite("Tokens and keys under other policies", .serialized)
struct TokenPolicyTests {
    init() { Loop.runInBackground() }

    /// One installation for all of them, where a key has one family of refresh tokens at most, and a shop signs its
    /// requests.
    @OnLoop private static var starting: Task<Node, any Error>?

    @OnLoop
    private func node() async throws -> Node {
        if let starting = Self.starting { return try await starting.value }
        let task = Task { @OnLoop in
            let node = try Node(ownsPolicies: true)
            SigningShop().register(at: node)
            try Files.change("\(node.policies)/issuers.yaml", "families_per_key: 100", to: "families_per_key: 1")
            try Files.change(
                "\(node.policies)/rate-limits.yaml", "burst: 120\n    requests: 120\n    per: 1 min",
                to: "burst: 100000\n    requests: 100000\n    per: 1 s")
            try await node.start()
            return node
        }
        Self.starting = task
        return try await task.value
    }

    @OnLoop
    private func create(_ node: Node, _ credentials: String, _ client: String, hotel: Int) async throws -> Answer {
        let json = #"{"client":"\#(client)","scopes":["hotel:read"],"hotel_id":\#(hotel)}"#
        return try await node.gateway.send(.post("\(Node.access)/keys", credentials, json: json))
    }

    @Test("With its API key end also the access tokens of families that had made room for others")
    @OnLoop func limited() async throws {
        let node = try await node()
        let (key, id) = try await node.apiKey("policy-limited")
        let (first, second) = (try await node.tokens(key), try await node.tokens(key))
        let ends = try await node.value(
            """
            SELECT string_agg(COALESCE(ended_by, 'none'), ' ' ORDER BY created_at)
            FROM drawbridge.token_families WHERE api_key_id = \(id)
            """)
        #expect(ends == "limit none")
        for token in [first.access, second.access] { #expect(try await node.statuses(token) == [200]) }
        #expect(try await node.key("revoke", id).exit.isSuccess)
        for token in [first.access, second.access] {
            try await wait("it to be refused") { try await node.statuses(token) == [401] }
        }
        // However many families it had, that is one row of those that every gateway holds.
        #expect(
            try await node.rows(
                """
                SELECT jti FROM drawbridge.revoked_tokens WHERE jti = 'api-key-\(id)'
                   OR jti IN (SELECT id FROM drawbridge.token_families WHERE api_key_id = \(id))
                """) == [["api-key-\(id)"]])
        // A rotation without overlap does the same.
        let (other, otherID) = try await node.apiKey("policy-limited-rotated")
        let (third, _) = (try await node.tokens(other), try await node.tokens(other))
        #expect(try await node.key("rotate", otherID, "--overlap-days", "0").exit.isSuccess)
        try await wait("it to be refused") { try await node.statuses(third.access) == [401] }
    }

    @Test("A client of keys.yaml, too, is none that the administrator of other hotels can make himself")
    @OnLoop func registered() async throws {
        let node = try await node()
        let (second, _) = try await node.apiKey("policy-admin-2", "admin hotel:read", hotel: 2)
        let (third, _) = try await node.apiKey("policy-admin-3", "admin hotel:read", hotel: 3)
        let everywhere = try node.variable("ADMIN_API_KEY")
        // The shop is at home in hotel 2 alone.
        expectProblem(try await create(node, third, "shop", hotel: 3), 403, "foreign-client")
        let made = try await create(node, second, "shop", hotel: 2)
        #expect(made.status == 201, "\(made.text)")
        #expect(try await create(node, third, "shop-of-3", hotel: 3).status == 201)
        #expect(try await create(node, everywhere, "shop", hotel: 2).status == 201)
        // Also one that is registered while the bridge runs; then nor can he rotate a key of that name.
        let own = try await create(node, third, "late-shop", hotel: 3)
        try Files.change("\(node.policies)/keys.yaml", "client: shop\n", to: "client: late-shop\n")
        let reload = try await node.policy("reload")
        #expect(reload.exit.isSuccess, "\(reload.output)")
        expectProblem(try await create(node, third, "late-shop", hotel: 3), 403, "foreign-client")
        let rotation = TestRequest.post(
            "\(Node.access)/keys/\(try #require(own.integer("id")))/rotate", third, json: "{}")
        expectProblem(try await node.gateway.send(rotation), 403, "foreign-client")
    }

    @Test("After the issuer's name is changed the end of an old family reaches the tokens that came of it since")
    @OnLoop func issuer() async throws {
        let node = try await node()
        let (key, id) = try await node.apiKey("policy-issuer")
        let first = try await node.tokens(key)
        let (file, old, new) = ("\(node.policies)/issuers.yaml", "urn:drawbridge:tokens", "https://tokens.example")
        try Files.change(file, "issuer: \(old)", to: "issuer: \(new)")
        let reload = try await node.policy("reload")
        #expect(reload.exit.isSuccess, "\(reload.output)")
        try await wait("the old name to be believed no more") { try await node.statuses(first.access) == [401] }
        let second = try await node.refresh(first.refresh, key).tokens
        #expect(try node.claims(second.access)["iss"]?.string == new)
        try await wait("the new name to be believed") { try await node.statuses(second.access) == [200] }
        expectProblem(try await node.refresh(first.refresh, key), 400, "invalid-grant")
        try await wait("its token to be refused") { try await node.statuses(second.access) == [401] }
        #expect(
            try await node.value("SELECT issuer FROM drawbridge.token_families WHERE api_key_id = \(id)") == new)
        try Files.change(file, "issuer: \(new)", to: "issuer: \(old)")
        let back = try await node.policy("reload")
        #expect(back.exit.isSuccess, "\(back.output)")
    }

    @Test("Whoever fills the list of revocations keeps neither administrators from revoking nor keys from ending")
    @OnLoop func manyRevocations() async throws {
        let node = try await node()
        let count = "SELECT count(*) FROM drawbridge.revoked_tokens"
        func fill(upTo bound: Int) async throws {
            _ = try await node.rows(
                """
                INSERT INTO drawbridge.revoked_tokens (issuer, jti, expires_at)
                SELECT 'filling', 'filling-\(bound)-' || n, now() + INTERVAL '1 h'
                FROM generate_series(1, \(bound) - (\(count))) AS n
                """)
        }
        let (key, id) = try await node.apiKey("policy-full")
        let tokens = try await node.tokens(key)
        try await fill(upTo: 9000)
        // The family ends; its access token runs out.
        #expect(try await node.refresh(tokens.refresh, key).status == 200)
        expectProblem(try await node.refresh(tokens.refresh, key), 400, "invalid-grant")
        #expect(
            try await node.value("SELECT ended_by FROM drawbridge.token_families WHERE api_key_id = \(id)") == "reuse")
        #expect(try await node.value(count) == "9000")
        #expect(try await node.statuses(tokens.access) == [200])
        // Unless it is revoked, or its key.
        #expect(try await node.tokenCommand("revoke", "policy-full").exit.isSuccess)
        #expect(try await node.key("revoke", id).exit.isSuccess)
        try await wait("its token to be refused") { try await node.statuses(tokens.access) == [401] }
        // Where there is no place at all a key is revoked all the same.
        let (last, lastID) = try await node.apiKey("policy-fuller")
        _ = try await node.tokens(last)
        try await fill(upTo: 10_000)
        #expect(try await node.key("revoke", lastID).exit.isSuccess)
        try await wait("the key to be refused") { try await node.statuses(last) == [401] }
        #expect(try await node.value(count) == "10000")
        _ = try await node.rows("DELETE FROM drawbridge.revoked_tokens WHERE issuer = 'filling'")
    }

    @Test("There are no more keys than gateways hold, also by rotation; a key that ends makes room for its successor")
    @OnLoop func manyKeys() async throws {
        let node = try await node()
        let (_, id) = try await node.apiKey("policy-crowd")
        _ = try await node.rows(
            """
            INSERT INTO booking_engine_api_keys (api_key_hash, client, scopes)
            SELECT encode(sha256(('crowd' || n)::BYTEA), 'hex'), 'crowd', '{hotel:read}'
            FROM generate_series((SELECT count(*) + 1 FROM booking_engine_api_keys
                                  WHERE is_active AND expires_at > now()), 10000) AS n
            """)
        let refused = try await node.key("rotate", id)
        #expect(!refused.exit.isSuccess && refused.output.contains("10000"), "\(refused.output)")
        #expect(try await node.value("SELECT is_active FROM booking_engine_api_keys WHERE id = \(id)") == "t")
        let unknown = try await node.key("rotate", "999999")
        #expect(!unknown.exit.isSuccess && unknown.output.contains("no key 999999"), "\(unknown.output)")
        let rotated = try await node.key("rotate", id, "--overlap-days", "0")
        #expect(rotated.exit.isSuccess && rotated.output.contains("dbk_"), "\(rotated.output)")
        #expect(
            try await node.value(
                "SELECT count(*) FROM booking_engine_api_keys WHERE is_active AND expires_at > now()") == "10000")
        _ = try await node.rows("DELETE FROM booking_engine_api_keys WHERE client = 'crowd'")
    }
}
