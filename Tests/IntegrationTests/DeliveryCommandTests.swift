import JSONText
import Loop
import Testing

/// Deliveries of webhooks, by the command.
@Suite("Webhook deliveries by the command")
struct DeliveryCommandTests {
    init() { Loop.runInBackground() }

    @OnLoop
    private func run(_ node: Node, _ arguments: String...) async throws -> (isSuccess: Bool, output: String) {
        let result = try await Files.run(
            [Node.program, "webhook"] + arguments, environment: ["DRAWBRIDGE_HOME": node.home])
        return (result.exit.isSuccess, result.output)
    }

    @Test("Deliveries are listed, shown, tried again and given up; each decision stands in the audit log")
    @OnLoop func life() async throws {
        let place = try await DeliveryPlace.shared()
        let node = place.node
        let endpoint = try await place.endpoint(of: "sent-command", issuer: "https://issuer.example")
        let event = try await place.events(1)[0]
        let dead = try await place.delivery(event, to: endpoint, attempts: 2)
        let done = try await place.delivery(event, to: endpoint, "delivered", attempts: 1)
        _ = try await node.rows(
            """
            UPDATE drawbridge.webhook_attempts SET answer = '\\x1b5b324a0a6e6f207c20776179' WHERE delivery_id = '\(dead)'
            """)
        let list = try await run(node, "deliveries", endpoint)
        #expect(list.isSuccess && list.output.contains(dead) && list.output.contains(done), "\(list.output)")
        #expect(list.output.contains("dead (exhausted)") && list.output.contains("500 server_error"))
        let some = try await run(
            node, "deliveries", endpoint, "--state", "dead", "--event", "booking.created", "--since",
            "2026-01-01T00:00:00Z", "--limit", "1")
        #expect(some.output.contains(dead) && !some.output.contains(done), "\(some.output)")
        #expect(try await !run(node, "deliveries", endpoint, "--until", "2026-01-01T00:00:00Z").output.contains(dead))
        let shown = try await run(node, "delivery", dead)
        #expect(shown.output.contains("state: dead") && shown.output.contains("payload: {"), "\(shown.output)")
        #expect(shown.output.contains("attempt 2: ") && shown.output.contains("no ¦ way"))
        // Nothing that steers a terminal.
        #expect(!shown.output.contains("\u{1B}"))
        let letters = try await run(node, "dead-letters", "--webhook", endpoint, "--reason", "exhausted")
        #expect(letters.output.contains(dead) && !letters.output.contains(done), "\(letters.output)")

        #expect(try await run(node, "abandon", dead).isSuccess)
        #expect(try await place.state(dead) == "abandoned")
        let again = try await run(node, "abandon", dead)
        #expect(!again.isSuccess && again.output.contains("ended"))
        let revived = try await run(node, "retry", dead)
        #expect(revived.isSuccess, "\(revived.output)")
        #expect(try await ["waiting", "sending"].contains(place.state(dead)))
        let test = try await run(node, "test", endpoint)
        #expect(test.isSuccess, "\(test.output)")
        let id = try #require(test.output.split(separator: "\n").first { $0.count == 36 }, "\(test.output)")
        #expect(try await run(node, "delivery", String(id)).output.contains("endpoint.test"))
        for number in 1...3 {
            _ = try await place.delivery(event, to: endpoint, attempts: number)
        }
        let named = try await place.delivery(event, to: endpoint)
        let one = try await run(node, "dead-letters", "retry", "--delivery", named)
        #expect(one.isSuccess && one.output.contains("1\n"), "\(one.output)")
        let bulk = try await run(node, "dead-letters", "retry", "--webhook", endpoint, "--events", "booking.created")
        #expect(bulk.isSuccess && bulk.output.contains("3\n"), "\(bulk.output)")
        let audit = try await node.rows(
            "SELECT action, actor FROM booking_engine_audit_log WHERE entity_id = '\(endpoint)' ORDER BY created_at, id"
        )
        #expect(
            audit.map { $0[0] } == [
                "abandon_webhook_delivery", "retry_webhook_delivery", "test_webhook", "retry_webhook_dead_letters",
                "retry_webhook_dead_letters",
            ])
        #expect(audit.allSatisfy { $0[1].hasPrefix("command line: ") })
        try await place.expectCounted()
        try await place.clear(endpoint)
    }

    @Test("Events are replayed, and it is told how far that has come")
    @OnLoop func replay() async throws {
        let place = try await DeliveryPlace.shared()
        let node = place.node
        let endpoint = try await place.endpoint(of: "again-command", issuer: "https://issuer.example", hotels: [7004])
        let events = try await place.events(1200, hotel: "7004", secondsAgo: 200)
        let since = try await node.value("SELECT drawbridge.instant(now() - INTERVAL '300 s')")
        let result = try await run(node, "replay", endpoint, "--since", since, "--events", "booking.created")
        #expect(result.isSuccess && result.output.contains("100 %, 1200 deliveries"), "\(result.output)")
        #expect(!result.output.contains("\r"))
        let rows = try await node.rows(
            """
            SELECT event_id FROM drawbridge.webhook_deliveries
            WHERE endpoint_id = '\(endpoint)' AND origin = 'replay' ORDER BY 1
            """)
        #expect(rows.map { $0[0] } == events)
        // On a terminal it is a bar. Nobody sends here, and with so much waiting another replay would stand still.
        try await place.deliverAll(to: endpoint)
        let terminal = try await Files.run(
            [
                "script", "-qec",
                "\(Node.program) webhook replay \(endpoint) --since \(since)", "/dev/null",
            ], environment: ["DRAWBRIDGE_HOME": node.home])
        #expect(
            terminal.output.contains("\r\u{1B}[K[########################################] 100 %, 1200 deliveries"),
            "\(terminal.output)")
        try await place.clear(endpoint)
    }

    @Test("What cannot be is refused with a word, and changes nothing")
    @OnLoop func refused() async throws {
        let place = try await DeliveryPlace.shared()
        let node = place.node
        let endpoint = try await place.endpoint(of: "sent-refused", issuer: "https://issuer.example")
        let disabled = try await place.endpoint(of: "sent-refused", issuer: "https://issuer.example", isDisabled: true)
        let event = try await place.events(1)[0]
        let dead = try await place.delivery(event, to: disabled, reason: "endpoint_disabled")
        let sending = try await place.delivery(event, to: endpoint, "sending")
        let nobody = "00000000-0000-4000-8000-000000000000"
        let since = try await node.value("SELECT drawbridge.instant(now() - INTERVAL '300 s')")
        for (arguments, word) in [
            (["deliveries"], "which webhook"), (["deliveries", nobody], "no webhook"),
            (["deliveries", endpoint, "--state", "done"], "--state takes"),
            (["deliveries", endpoint, "--since", "yesterday"], "no time"),
            (["deliveries", endpoint, "--limit", "0"], "--limit takes"), (["deliveries", endpoint, "x"], "unexpected"),
            (["delivery", "x"], "which delivery"), (["delivery", nobody], "no delivery"),
            (["retry", nobody], "no delivery"), (["abandon", nobody], "no delivery"), (["retry", dead], "disabled"),
            (["abandon", sending], "under way"), (["test", nobody], "no webhook"), (["test", disabled], "disabled"),
            (["dead-letters", "retry", "--webhook", disabled], "disabled"),
            (["dead-letters", "retry", "--delivery", dead], "disabled"),
            (["dead-letters", "--reason", "bored"], "reason"), (["dead-letters", "--webhook", "x"], "endpoint_id"),
            (["dead-letters", "retry", "--limit", "5"], "unexpected"), (["replay", endpoint], "--since"),
            (["replay", nobody, "--since", since], "no webhook"), (["replay", disabled, "--since", since], "disabled"),
            (["replay", endpoint, "--since", "2020-01-01T00:00:00Z"], "not kept"),
            (["replay", endpoint, "--since", "2999-01-01T00:00:00Z"], "gone by"),
            (["replay", endpoint, "--since", since, "--until", "2026-01-01T00:00:00Z"], "until"),
            (["replay", endpoint, "--since", since, "--events", "sync.failed"], "not told"),
            (["replay", endpoint, "--since", since, "--events", "x"], "events"),
        ] {
            let result = try await Files.run(
                [Node.program, "webhook"] + arguments, environment: ["DRAWBRIDGE_HOME": node.home])
            #expect(!result.exit.isSuccess && result.output.contains(word), "\(arguments): \(result.output)")
        }
        for id in [endpoint, disabled] { #expect(try await place.audit(id) == []) }
        #expect(try await place.state(dead) == "dead")
        #expect(try await place.state(sending) == "sending")
        try await place.clear(endpoint, disabled)
    }
}
