import Authentication
import Cryptography
import JSONText
import Loop
import Testing
import Webhook

/// Endpoints of webhooks, by the command.
@Suite("Webhook endpoints by the command")
struct SubscriptionCommandTests {
    init() { Loop.runInBackground() }

    private static let url = "https://hooks.example/drawbridge"

    @OnLoop
    private func run(_ node: Node, _ arguments: [String]) async throws -> (isSuccess: Bool, output: String) {
        let result = try await Files.run(
            [Node.program, "webhook"] + arguments, environment: ["DRAWBRIDGE_HOME": node.home])
        return (result.exit.isSuccess, result.output)
    }

    @OnLoop
    private func run(_ node: Node, _ arguments: String...) async throws -> (isSuccess: Bool, output: String) {
        try await run(node, arguments)
    }

    private func added(_ output: String) throws -> (id: String, secret: String) {
        let secret = try #require(output.split(separator: "\n").first { $0.hasPrefix("whsec_") }, "\(output)")
        let id = try #require(output.firstMatch(of: /webhook ([0-9a-f-]{36});/), "\(output)").output.1
        return (String(id), String(secret))
    }

    /// The secrets of an endpoint, the current one first, opened.
    @OnLoop
    private func secrets(_ node: Node, of id: String) async throws -> [[UInt8]] {
        let master = try MasterKey(text: Files.text("\(node.home)/keys/master.key"))
        return try await node.rows(
            """
            SELECT id, encode(sealed, 'hex') FROM drawbridge.webhook_secrets
            WHERE endpoint_id = '\(id)' AND kind = 'hmac-sha256' ORDER BY expires_at DESC NULLS FIRST
            """
        ).map { row in
            try master.open(webhookSecret: try #require(Hexadecimal.decode(row[1])), endpoint: id, id: row[0])
        }
    }

    @Test("An endpoint is added, listed, shown, changed, disabled, enabled, given another secret, and removed")
    @OnLoop func life() async throws {
        let node = try await Node.shared()
        let (key, _) = try await node.apiKey("hooks-command", "webhook:read booking:read")
        let made = try await run(
            node, "add", "--client", "hooks-command", "--url", "\(Self.url)?door=opensesame", "--events",
            "booking.created sync.failed", "--hotel", "2", "--hotel", "1", "--description", "it's | the shop's",
            "--asymmetric", "yes", "--retries", "3")
        #expect(made.isSuccess, "\(made.output)")
        let (id, secret) = try added(made.output)
        #expect(try await secrets(node, of: id) == [WebhookSecret(parsing: secret).bytes])
        let list = try await run(node, "list", "--client", "hooks-command")
        #expect(list.output.contains(id) && list.output.contains("enabled") && !list.output.contains("opensesame"))
        #expect(try await !run(node, "list", "--client", "hooks-nobody").output.contains(id))
        let shown = try await run(node, "show", id)
        #expect(
            shown.output.contains("maximum_retries: 3") && shown.output.contains("ed25519: whpk_"), "\(shown.output)")
        for output in [list.output, shown.output] { #expect(!output.contains(secret)) }
        // The API knows it as the client's own.
        let read = try await node.gateway.send(.get("/api/webhooks/\(id)", key))
        #expect(
            read.string("client") == "\(Identity.ownClients) hooks-command"
                && read.string("description") == "it's | the shop's")
        #expect(read.integer("hotel_ids.0") == 1 && read.elements("public_keys").count == 1, "\(read.text)")

        let changed = try await run(
            node, "change", id, "--every-hotel", "--payload", "thin", "--description", "", "--asymmetric", "no",
            "--events", "booking.cancelled")
        #expect(changed.isSuccess, "\(changed.output)")
        let after = try await node.gateway.send(.get("/api/webhooks/\(id)", key))
        #expect(
            after.value("hotel_ids") == .null && after.value("description") == .null
                && after.string("payload") == "thin")
        #expect(
            after.elements("public_keys").isEmpty
                && after.elements("events").compactMap(\.string) == ["booking.cancelled"])
        #expect(after.integer("retryPolicy.maxRetries") == 3 && after.integer("version") == 2)
        #expect(try await run(node, "change", id, "--asymmetric", "yes").isSuccess)
        #expect(try await node.gateway.send(.get("/api/webhooks/\(id)", key)).elements("public_keys").count == 1)

        #expect(try await run(node, "disable", id).isSuccess)
        #expect(try await run(node, "list").output.contains("requested"))
        let again = try await run(node, "disable", id)
        #expect(!again.isSuccess && again.output.contains("already"))
        #expect(try await run(node, "enable", id).isSuccess)
        let rotated = try await run(node, "rotate-secret", id)
        #expect(rotated.isSuccess, "\(rotated.output)")
        #expect(try await secrets(node, of: id).count == 2)
        let last = try await run(node, "rotate-secret", id, "--overlap-hours", "0")
        let text = try #require(last.output.split(separator: "\n").first { $0.hasPrefix("whsec_") })
        #expect(try await secrets(node, of: id) == [WebhookSecret(parsing: String(text)).bytes])
        #expect(try await run(node, "remove", id).isSuccess)
        for command in ["show", "enable", "disable", "remove", "rotate-secret"] {
            let gone = try await run(node, command, id)
            #expect(!gone.isSuccess && gone.output.contains("no webhook"), "\(command): \(gone.output)")
        }
        let audit = try await node.rows(
            "SELECT action, actor, response_data FROM booking_engine_audit_log WHERE entity_id = '\(id)' ORDER BY created_at, id"
        )
        #expect(
            audit.map { $0[0] } == [
                "create_webhook", "change_webhook", "change_webhook", "disable_webhook", "enable_webhook",
                "rotate_webhook_secret", "rotate_webhook_secret", "remove_webhook",
            ])
        #expect(audit.allSatisfy { $0[1].hasPrefix("command line: ") } && !audit.description.contains("opensesame"))
    }

    @Test("What cannot be is refused with a word, and changes nothing")
    @OnLoop func refused() async throws {
        let node = try await Node.shared()
        _ = try await node.apiKey("hooks-refused", "webhook:read booking:read", hotel: 2)
        let least = ["add", "--client", "hooks-refused", "--url", Self.url, "--events", "booking.created"]
        let made = try await run(node, least + ["--hotel", "2"])
        let (id, _) = try added(made.output)
        let state = """
            SELECT to_jsonb(endpoint) FROM drawbridge.webhook_endpoints AS endpoint WHERE client LIKE '% hooks-refused'
            """
        let before = try await node.rows(state)
        for (arguments, word) in [
            (least, "--hotel or --every-hotel"), (least + ["--hotel", "3"], "no API key"),
            (least + ["--every-hotel"], "no API key"),
            (least + ["--hotel", "999999"], "no hotel 999999"),
            (least + ["--hotel", "2", "--payload", "slim"], "payload"),
            (
                [
                    "add", "--client", "hooks-refused", "--url", "http://hooks.example", "--events", "sync.failed",
                    "--hotel", "2",
                ], "url"
            ),
            (
                ["add", "--client", "hooks-refused", "--url", Self.url, "--events", "booking.deleted", "--hotel", "2"],
                "events"
            ),
            (
                ["add", "--client", "a b", "--url", Self.url, "--events", "sync.failed", "--hotel", "2"],
                "--client takes"
            ),
            (["change", id], "what is to be different"), (["change", id, "--every-hotel"], "no API key"),
            (["change", id, "--retries", "21"], "--retries takes"),
            (["change", id, "--ordered", "perhaps"], "yes or no"),
            (["change", "00000000-0000-4000-8000-000000000000", "--payload", "thin"], "no webhook"),
            (["show", "x"], "which webhook"),
            (["rotate-secret", id, "--overlap-hours", "25"], "--overlap-hours takes"),
            ([], "which command"), (["try", id], "no such command"),
        ] {
            let result = try await run(node, arguments)
            #expect(!result.isSuccess && result.output.contains(word), "\(arguments): \(result.output)")
        }
        #expect(try await node.rows(state) == before)
        #expect(try await run(node, "events").output.contains("endpoint.disabled"))
        #expect(try await run(node, "remove", id).isSuccess)
    }
}
