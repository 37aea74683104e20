import Cryptography
import Glibc
import JSONText
import Loop
import Stay
import Testing

/// What a PMS and vendors send to us, through both processes.
@Suite("Webhooks to us", .serialized)
struct InboundWebhookTests {
    init() { Loop.runInBackground() }

    private static let urlSecret = "0123456789abcdef0123456789abcdef"
    private static let codeSecret = Array("the secret of a vendor".utf8)
    private static let standardSecret = Array("a secret of the Standard Webhooks".utf8)

    /// A node with the demo's source, one with a secret in its address, one that sends Standard Webhooks, and one that is
    /// recognised by the content alone.
    @OnLoop
    private func node(bridges: Int = 1) async throws -> Node {
        let node = try Node(ownsPolicies: true, bridges: bridges)
        Files.write(Self.urlSecret, to: "\(node.policies)/url.secret")
        Files.write(String(decoding: Self.codeSecret, as: UTF8.self), to: "\(node.policies)/code.secret")
        Files.write(
            "whsec_\(Base64.standard.encode(Self.standardSecret))", to: "\(node.policies)/standard.secret")
        let file = "\(node.policies)/inbound.yaml"
        Files.write(
            Files.text(file) + """

                  - name: mews
                    hotel_ids: [1, 2]
                    url_secret: {files: [\(node.policies)/url.secret]}
                    identified_by: nothing
                    hotel: {member: /EnterpriseId, names: {e-one: 1, e-two: 2}}
                    refresh: availability
                    kept_fields: [user-agent]
                  - name: standard
                    hotel_ids: [2]
                    standard_webhooks: {files: [\(node.policies)/standard.secret]}
                    refresh: hotel
                  - name: plain
                    hotel_ids: [2]
                    hmac: {field: x-code, encoding: hex, secret_form: text, files: [\(node.policies)/code.secret]}
                    refresh: availability
                    maximum_body: 64 bytes
                    rate: {burst: 6, requests: 1, per: 1 h}

                """, to: file)
        try await node.start()
        return node
    }

    // MARK: Messages

    private static func code(_ message: [UInt8], _ secret: [UInt8]) -> Digest256 {
        var mac = HMACSHA256(key: secret.span)
        return mac.authenticationCode(for: message.span)
    }

    private func message(_ source: String, _ content: [UInt8]) -> TestRequest {
        TestRequest(
            method: "POST", target: "/api/webhooks/inbound/\(source)", fields: [("Content-Type", "application/json")],
            content: content)
    }

    /// As the demo's PMS signs.
    @OnLoop
    private func demo(_ node: Node, _ json: String, id: String, age: Int = 0) throws -> TestRequest {
        let (secret, time) = (try node.variable("PMS_WEBHOOK_SECRET"), Int(Loop.unixTime) - age)
        let code = Self.code(Array("\(id).\(time).\(json)".utf8), Array(secret.utf8))
        return message("demo-pms", Array(json.utf8)).with("X-Demo-Id", id).with("X-Demo-Timestamp", "\(time)")
            .with("X-Demo-Signature", "sha256=\(Hexadecimal.encode(code.bytes))")
    }

    private func mews(_ json: String, secret: String = urlSecret) -> TestRequest {
        message("mews?secret=\(secret)", Array(json.utf8))
    }

    private func standard(_ json: String, id: String, age: Int = 0, secret: [UInt8] = standardSecret) -> TestRequest {
        let time = Int(Loop.unixTime) - age
        let code = Base64.standard.encode(Self.code(Array("\(id).\(time).\(json)".utf8), secret).bytes)
        return message("standard", Array(json.utf8)).with("webhook-id", id).with("webhook-timestamp", "\(time)")
            .with("webhook-signature", "v1,\(code)")
    }

    private func plain(_ content: [UInt8]) -> TestRequest {
        message("plain", content).with("X-Code", Hexadecimal.encode(Self.code(content, Self.codeSecret).bytes))
    }

    /// Sends a message that is to be taken; its number.
    @OnLoop @discardableResult
    private func take(_ node: Node, _ request: TestRequest, isRepetition: Bool = false) async throws -> Int {
        let answer = try await node.gateway.send(request)
        #expect(answer.status == 202, "\(answer.text)")
        #expect(answer.value("duplicate") == .bool(isRepetition))
        return try #require(answer.integer("id"))
    }

    /// Waits until a message stands so.
    @OnLoop
    private func waitUntil(_ node: Node, _ id: Int, _ status: String) async throws {
        try await wait("message \(id) is \(status)", for: .seconds(90)) {
            try await node.value("SELECT status FROM drawbridge.inbound_messages WHERE id = \(id)") == status
        }
    }

    @OnLoop
    private func shown(_ node: Node, _ id: Int, hotels: String = #""*""#) async throws -> Answer {
        let token = try node.token {
            $0.scopes = "admin"
            $0.hotels = hotels
        }
        return try await node.gateway.send(.get("/api/webhooks/inbound-messages/\(id)", token))
    }

    // MARK: Who is believed

    @Test("Each source is believed by its own proof, and a wrong one is answered as an unknown source is")
    @OnLoop func proofs() async throws {
        let node = try await node()
        let gateway = try node.gateway
        try await take(node, demo(node, #"{"hotel_id":1}"#, id: "a"))
        try await take(node, mews(#"{"EnterpriseId":"e-one"}"#))
        try await take(node, standard("{}", id: "msg_1"))
        try await take(node, plain(Array(#"{"a":1}"#.utf8)))

        var changed = try demo(node, #"{"hotel_id":1}"#, id: "b")
        changed.content = Array(#"{"hotel_id":2}"#.utf8)
        // One that somebody has seen, under another name.
        var renamed = try demo(node, #"{"hotel_id":1}"#, id: "a")
        renamed.fields = renamed.fields.map { $0.name == "X-Demo-Id" ? ($0.name, "c") : $0 }
        let unknown = try await gateway.send(message("nobody", Array("{}".utf8)))
        expectProblem(unknown, 401, "unauthorized")
        for refused in [
            changed, renamed, try demo(node, "{}", id: "d", age: 400), try demo(node, "{}", id: "d", age: -60),
            mews("{}", secret: String(Self.urlSecret.reversed())), message("mews", Array("{}".utf8)),
            message("mews?secret=\(Self.urlSecret)&secret=\(Self.urlSecret)", Array("{}".utf8)),
            message("mews?secret=", Array("{}".utf8)),
            standard("{}", id: "x", age: 400), standard("{}", id: "x", secret: Self.codeSecret),
            standard("{}", id: "x").with("webhook-id", "y"), plain([]).with("X-Code", "00"),
            // The proof of one source is none for another, and a token is none for any.
            message("plain?secret=\(Self.urlSecret)", Array("{}".utf8)),
            TestRequest.post("/api/webhooks/inbound/mews", try node.token(), json: "{}"),
        ] {
            let answer = try await gateway.send(refused)
            expectProblem(answer, 401, "unauthorized")
            for member in ["type", "title", "detail", "error"] {
                #expect(answer.value(member) == unknown.value(member))
            }
            #expect(answer["WWW-Authenticate"] == unknown["WWW-Authenticate"])
        }
        #expect(try await node.value("SELECT count(*) FROM drawbridge.inbound_messages") == "4")
        #expect(try await node.stop().isSuccess)
    }

    @Test("What is no JSON, of another type, empty or too large is not taken; a source has limits of its own")
    @OnLoop func unacceptable() async throws {
        let node = try await node()
        let gateway = try node.gateway
        expectProblem(try await gateway.send(plain([])), 400, "malformed-json")
        expectProblem(try await gateway.send(plain([0xFF, 0x00, 0x80])), 400, "malformed-json")
        expectProblem(try await gateway.send(plain(Array("17".utf8))), 422, "invalid-request")
        let large = Array(#"{"a":"\#(String(repeating: "x", count: 64))"}"#.utf8)
        expectProblem(try await gateway.send(plain(large)), 413, "content-too-large")
        for type in ["text/plain", "application/xml", "application/x-www-form-urlencoded"] {
            var other = plain(Array("{}".utf8))
            other.fields[0].value = type
            expectProblem(try await gateway.send(other), 415, "unsupported-media-type")
        }
        // Of these only what came as far as the limits was counted: no content, and what is no object.
        for number in 1...3 { try await take(node, plain(Array("[\(number)]".utf8))) }
        let answers = try await concurrently(Array(10..<15)) {
            try await gateway.send(self.plain(Array("[\($0)]".utf8)))
        }
        let exceeded = try #require(answers.first { $0.status == 429 })
        expectProblem(exceeded, 429)
        #expect(exceeded.text.contains(#""violated-policies":["source"]"#))
        // Others are not held up by it.
        try await take(node, mews(#"{"EnterpriseId":"e-one"}"#))
        #expect(try await node.stop().isSuccess)
    }

    @Test("A secret in an address is in no ledger, log, metric, answer or database")
    @OnLoop func secrecy() async throws {
        let node = try await node()
        let wrong = "wrong-" + Self.urlSecret
        let answers = [
            try await node.gateway.send(mews(#"{"EnterpriseId":"e-one"}"#)),
            try await node.gateway.send(mews("{", secret: Self.urlSecret)),
            try await node.gateway.send(mews("{}", secret: wrong)),
            try await node.gateway.send(message("nobody?secret=\(Self.urlSecret)", [])),
            try await node.gateway.send(message("mews/more?secret=\(Self.urlSecret)", [])),
            // Who compares parameters with the description, and whoever comes after that, sees no query any more.
            try await node.gateway.send(
                message("mews?secret=\(Self.urlSecret)&surprise=1", Array(#"{"EnterpriseId":"e-one"}"#.utf8))),
        ]
        #expect(answers.map(\.status) == [202, 400, 401, 401, 404, 202])
        let id = try #require(answers[0].integer("id"))
        try await waitUntil(node, id, "processed")
        let metrics = try await node.admin.send(.get("/metrics")).text
        let rows = try await node.rows(
            "SELECT to_jsonb(message), convert_from(content, 'UTF8') FROM drawbridge.inbound_messages AS message")
        #expect(try await node.stop().isSuccess)
        var texts = answers.map(\.text) + [node.log, metrics] + rows.flatMap { $0 }
        let ledger = "\(node.home)/ledger"
        let segments = Files.names(in: ledger).map { "\(ledger)/\($0)" }
        texts += segments.map { Files.text($0) }
        // The search finds what is there.
        #expect(texts.contains { $0.contains("inbound-mews") } && texts.contains { $0.contains("receiveInbound") })
        #expect(texts.filter { $0.contains(Self.urlSecret) }.count == 0)
    }

    @Test("A secret is replaced without a message refused: both count meanwhile, then the new one alone")
    @OnLoop func rotation() async throws {
        let node = try await node()
        let fresh = "fresh-" + Self.urlSecret
        let file = "\(node.policies)/inbound.yaml"
        Files.write(fresh, to: "\(node.policies)/fresh.secret")
        let body = #"{"EnterpriseId":"e-one"}"#
        expectProblem(try await node.gateway.send(mews(body, secret: fresh)), 401)
        let old = "[\(node.policies)/url.secret]"
        try Files.change(file, old, to: "[\(node.policies)/url.secret, \(node.policies)/fresh.secret]")
        #expect(try await node.policy("reload").exit.isSuccess)
        try await take(node, mews(body))
        try await take(node, mews(body, secret: fresh))
        try Files.change(file, "\(node.policies)/url.secret, ", to: "")
        #expect(try await node.policy("reload").exit.isSuccess)
        expectProblem(try await node.gateway.send(mews(body)), 401)
        try await take(node, mews(body, secret: fresh))
        #expect(try await node.stop().isSuccess)
    }

    @Test("A mistake in inbound.yaml is told by policy check and doctor, and a reload with one changes nothing")
    @OnLoop func mistakes() async throws {
        let node = try await node()
        let file = "\(node.policies)/inbound.yaml"
        try Files.change(file, "hotel_ids: [1, 2]", to: "hotel_ids: [1]")
        unlink("\(node.policies)/standard.secret")
        for output in [try await node.policy("check", node.policies).output, try await node.doctor()] {
            #expect(output.contains("inbound.yaml") && output.contains("one of the source's hotel_ids"), "\(output)")
            #expect(output.contains("standard.secret"), "\(output)")
        }
        #expect(try await !node.policy("reload").exit.isSuccess)
        try await take(node, standard("{}", id: "m"))
        #expect(try await node.stop().isSuccess)
    }

    // MARK: Once

    @Test("A message that comes again is answered as before, and asks for nothing more; for seven days")
    @OnLoop func repetition() async throws {
        let node = try await node(bridges: 2)
        let first = try await take(node, standard(#"{"n":1}"#, id: "msg_a"))
        try await waitUntil(node, first, "processed")
        // By its name, whatever it says and whenever it was signed; and whichever bridge gets it.
        for _ in 0..<4 {
            #expect(try await take(node, standard(#"{"n":2}"#, id: "msg_a", age: 5), isRepetition: true) == first)
        }
        // By its content.
        let content = Array(#"{"same":true}"#.utf8)
        let second = try await take(node, plain(content))
        #expect(try await take(node, plain(content), isRepetition: true) == second)
        #expect(try await take(node, plain(content + [0x20])) != second)
        // Not at all.
        let body = #"{"EnterpriseId":"e-one"}"#
        let third = try await take(node, mews(body))
        #expect(try await take(node, mews(body)) != third)
        // Twenty at once are one.
        let request = standard("{}", id: "msg_b")
        let gateway = try node.gateway
        let answers = try await concurrently(Array(0..<20)) { _ in try await gateway.send(request) }
        #expect(Set(answers.map { $0.integer("id") }).count == 1)
        #expect(answers.filter { $0.value("duplicate") == .bool(false) }.count == 1)
        #expect(try await shown(node, first).integer("repetitions") == 4)
        // Two messages, each of which has let the hotel be read and what it sells.
        try await waitUntil(node, try #require(answers[0].integer("id")), "processed")
        #expect(
            try await node.value(
                "SELECT count(*) FROM booking_engine_cache_triggers WHERE client LIKE '%inbound-standard'") == "4")

        _ = try await node.rows(
            "UPDATE drawbridge.inbound_keys SET received_at = now() - INTERVAL '7 days' WHERE message_id = \(first)")
        let again = try await take(node, standard(#"{"n":1}"#, id: "msg_a"))
        #expect(again > first)
        try await take(node, standard(#"{"n":1}"#, id: "msg_a"), isRepetition: true)
        #expect(try await node.stop().isSuccess)
    }

    // MARK: What is done

    /// Gives a room back in the PMS without a word in its change log.
    @OnLoop
    private func cancelSilently(_ node: Node, _ booking: String) async throws {
        _ = try await node.rows(
            """
            SET session_replication_role = replica;
            UPDATE reservation_details SET cancelled = gen_random_uuid() WHERE reservation_id = '\(booking)'
            """)
    }

    @Test("What the PMS changes without a word is answered from the message on", .timeLimit(.minutes(3)))
    @OnLoop func refresh() async throws {
        let node = try await node()
        let stay = TestStay.next()
        let booked = try await node.book(BookingBody(stay))
        let id = try #require(booked.string("booking_id"), "\(booked.text)")
        let free = try await node.available(2, 21, stay)
        try await cancelSilently(node, id)
        #expect(try await node.available(2, 21, stay) == free)
        let message = try await take(node, mews(#"{"EnterpriseId":"e-two"}"#).with("User-Agent", "Mews/1"))
        try await waitUntil(node, message, "processed")
        #expect(try await node.available(2, 21, stay) == free + 1)

        let seen = try await shown(node, message)
        #expect(seen.string("source") == "mews" && seen.integer("hotel_id") == 2 && seen.integer("attempts") == 1)
        #expect(seen.string("fields.user-agent") == "Mews/1" && seen.value("key") == .null)
        #expect(seen.integer("content_length") == 24 && !seen.text.contains("e-two"))
        // Administrators of other hotels are not told of it, and others not at all.
        #expect(try await shown(node, message, hotels: "[2]").status == 200)
        expectProblem(try await shown(node, message, hotels: "[1]"), 404, "message-not-found")
        expectProblem(
            try await node.gateway.send(
                .get("/api/webhooks/inbound-messages", try node.token { $0.scopes = "webhook:read" })), 403)

        // A hotel and what it sells.
        _ = try await node.rows("UPDATE hotels SET name = 'Renamed' WHERE id = 2")
        #expect(try await node.get("/api/booking-engine/hotels/2").string("name") != "Renamed")
        try await waitUntil(node, try await take(node, standard("{}", id: "rename")), "processed")
        #expect(try await node.get("/api/booking-engine/hotels/2").string("name") == "Renamed")
        #expect(
            try await node.rows(
                """
                SELECT DISTINCT trigger_type, triggered_by FROM booking_engine_cache_triggers
                WHERE client LIKE '%inbound-%'
                """) == [["pms_triggered", "pms"]])
        #expect(try await node.stop().isSuccess)
    }

    @Test("What nothing can be done about is rejected and says why; retried when the policy is put right, it is done")
    @OnLoop func rejection() async throws {
        let node = try await node()
        var rejected: [Int] = []
        for (content, reason) in [
            (#"{"EnterpriseId":"e-three"}"#, "hotel that there is not"), (#"{"EnterpriseId":["e-one"]}"#, "no hotel"),
            (#"{}"#, "no hotel"), ("[]", "no hotel"),
        ] {
            let id = try await take(node, mews(content))
            try await waitUntil(node, id, "rejected")
            #expect(try await shown(node, id).string("reason")?.contains(reason) == true)
            rejected.append(id)
        }
        let foreign = try await take(node, demo(node, #"{"hotel_id":99999}"#, id: "foreign"))
        try await waitUntil(node, foreign, "rejected")

        let token = try node.token { $0.scopes = "admin" }
        let listed = try await node.gateway.send(
            .get("/api/webhooks/inbound-messages?source=mews&status=rejected&limit=3", token))
        #expect(listed.integer("messages.0.id") == rejected[3] && listed.integer("next") == rejected[1])
        let rest = try await node.gateway.send(
            .get("/api/webhooks/inbound-messages?source=mews&before=\(rejected[1])", token))
        #expect(rest.integer("messages.0.id") == rejected[0] && rest.value("next") == .null)
        expectProblem(
            try await node.gateway.send(.get("/api/webhooks/inbound-messages?status=lost", token)), 400)

        try Files.change("\(node.policies)/inbound.yaml", "e-two: 2}", to: "e-two: 2, e-three: 2}")
        #expect(try await node.policy("reload").exit.isSuccess)
        let retry = TestRequest(
            method: "POST", target: "/api/webhooks/inbound-messages/\(rejected[0])/retry", token: token)
        #expect(try await node.gateway.send(retry).status == 200)
        try await waitUntil(node, rejected[0], "processed")
        expectProblem(try await node.gateway.send(retry), 409, "not-retriable")
        #expect(
            try await node.value(
                "SELECT count(*) FROM booking_engine_audit_log WHERE action = 'retry_inbound'") == "1")

        // The same from the command line.
        func inbound(_ arguments: String...) async throws -> (exit: ChildProcess.Exit, output: String) {
            try await Files.run([Node.program, "inbound"] + arguments, environment: ["DRAWBRIDGE_HOME": node.home])
        }
        let list = try await inbound("list", "--status", "rejected", "--source", "mews").output
        #expect(list.contains("\(rejected[1])") && !list.contains("demo-pms"), "\(list)")
        // What others have sent steers no terminal.
        _ = try await node.rows(
            """
            UPDATE drawbridge.inbound_messages
            SET fields = jsonb_build_object('user-agent', 'vendor' || chr(155) || '31m'), content_type = E'a\\x1b[2J'
            WHERE id = \(rejected[1])
            """)
        let show = try await inbound("show", "\(rejected[1])").output
        #expect(show.contains("status: rejected") && !show.contains("e-one"), "\(show)")
        #expect(show.contains("vendor 31m") && show.contains("content_type: a [2J"), "\(show)")
        #expect(try await inbound("content", "\(rejected[1])").output == #"{"EnterpriseId":["e-one"]}"#)
        #expect(try await inbound("retry", "\(rejected[1])").exit.isSuccess)
        try await wait("it was tried again") {
            try await node.value(
                "SELECT claims FROM drawbridge.inbound_messages WHERE id = \(rejected[1])") == "2"
        }
        #expect(try await !inbound("retry", "\(rejected[0])").exit.isSuccess)
        #expect(try await !inbound("show", "999999").exit.isSuccess)
        // Both have written down how it stood then.
        #expect(
            try await node.rows(
                """
                SELECT response_data->>'status', response_data->>'attempts', response_data->>'ended_at'
                FROM booking_engine_audit_log WHERE action = 'retry_inbound'
                """) == [["pending", "0", ""], ["pending", "0", ""]])
        #expect(try await node.stop().isSuccess)
    }

    @Test("While the PMS cannot be read a message is tried again, then it is a dead letter")
    @OnLoop func deadLetters() async throws {
        let node = try await node()
        let file = "\(node.policies)/inbound.yaml"
        try Files.change(file, "attempts: 20", to: "attempts: 2")
        try Files.change(file, "initial_delay: 1 s", to: "initial_delay: 10 ms")
        #expect(try await node.policy("reload").exit.isSuccess)
        let locker = try await node.lock("reservation_details")
        let id = try await take(node, mews(#"{"EnterpriseId":"e-two"}"#))
        try await waitUntil(node, id, "dead")
        let dead = try await shown(node, id)
        #expect(dead.integer("attempts") == 2 && dead.string("reason") != nil && dead.value("next_attempt_at") == .null)
        try await node.unlock(locker)
        let token = try node.token { $0.scopes = "admin" }
        let retried = try await node.gateway.send(
            TestRequest(method: "POST", target: "/api/webhooks/inbound-messages/\(id)/retry", token: token))
        #expect(retried.status == 200, "\(retried.text)")
        try await waitUntil(node, id, "processed")
        #expect(try await shown(node, id).value("reason") == .null)
        #expect(try await node.stop().isSuccess)
    }

    @Test("What became of a message that is another bridge's by now is neither written down nor counted")
    @OnLoop func lostClaim() async throws {
        let node = try await node()
        let locker = try await node.lock("reservation_details")
        let lost = try await take(node, mews(#"{"EnterpriseId":"e-two"}"#))
        // As if another had claimed it, which then does not come to an end.
        try await wait("it is claimed") {
            try await !node.rows(
                """
                UPDATE drawbridge.inbound_messages SET claims = claims + 1, next_attempt_at = now() + INTERVAL '1 day'
                WHERE id = \(lost) AND claims = 1 RETURNING id
                """
            ).isEmpty
        }
        try await node.unlock(locker)
        // Whatever came of it has come before the next one's.
        try await wait("the reading ends") {
            try await node.value(
                """
                SELECT count(*) FROM booking_engine_cache_triggers
                WHERE client LIKE '%inbound-mews' AND status IN ('completed', 'failed')
                """) == "1"
        }
        try await waitUntil(node, try await take(node, mews(#"{"EnterpriseId":"e-two"}"#)), "processed")
        let metrics = try await node.admin.send(.get("/metrics")).text.split(separator: "\n")
        let attempts = metrics.filter { $0.hasPrefix("drawbridge_bridge_inbound_attempts_total") }
        #expect(attempts.compactMap { Int($0.split(separator: " ").last ?? "") }.reduce(0, +) == 1, "\(attempts)")
        #expect(try await shown(node, lost).string("status") == "pending")
        #expect(try await node.stop().isSuccess)
    }

    // MARK: Nothing is lost

    @Test("Both bridges are killed between answer and deed: what was acknowledged is done", .timeLimit(.minutes(5)))
    @OnLoop func killedBridges() async throws {
        let node = try await node(bridges: 2)
        let stay = TestStay.next()
        let booked = try await node.book(BookingBody(stay))
        let booking = try #require(booked.string("booking_id"), "\(booked.text)")
        let free = try await node.available(2, 21, stay)
        try await cancelSilently(node, booking)
        // So that nothing can be done about any before the bridges are killed.
        let locker = try await node.lock("reservation_details")
        var taken: Set<Int> = []
        for number in 0..<20 {
            taken.insert(try await take(node, standard(#"{"n":\#(number)}"#, id: "kill-\(number)")))
            taken.insert(try await take(node, mews(#"{"EnterpriseId":"e-two"}"#)))
        }
        #expect(taken.count == 40)
        let before = try (node.processID("bridge"), node.processID("bridge-1"))
        kill(before.0, SIGKILL)
        kill(before.1, SIGKILL)
        try await node.unlock(locker)
        try await wait("other bridges", for: .seconds(60)) {
            try node.processID("bridge") != before.0 && node.processID("bridge-1") != before.1
        }
        try await node.waitUntilGatewaysAreReady()
        try await wait("all is done", for: .seconds(120)) {
            try await node.value(
                "SELECT count(*) FROM drawbridge.inbound_messages WHERE status = 'processed'") == "40"
        }
        #expect(try await node.available(2, 21, stay) == free + 1)
        #expect(try await node.stop().isSuccess)
    }

    @Test("While the database is away senders are told to come again, and then nothing is there twice")
    @OnLoop func databaseAway() async throws {
        let node = try await node()
        let sessions = try await node.rows("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        let database = [try node.processID("postgresql")] + sessions.compactMap { Int32($0[0]) }
        for process in database { kill(process, SIGSTOP) }
        defer { for process in database { kill(process, SIGCONT) } }
        let request = standard("{}", id: "away")
        let refused = try await node.gateway.send(request)
        expectProblem(refused, 503, "unavailable")
        #expect(refused["Retry-After"] == "1")
        for process in database { kill(process, SIGCONT) }
        try await wait("it is taken") { try await node.gateway.send(request).status == 202 }
        #expect(
            try await node.value("SELECT count(*) FROM drawbridge.inbound_messages WHERE key = 'id:away'") == "1")
        #expect(try await node.stop().isSuccess)
    }

    @Test("Days that are kept long enough go with what came on them, and days to come are there")
    @OnLoop func retention() async throws {
        let node = try await node()
        let id = try await take(node, mews(#"{"EnterpriseId":"e-two"}"#))
        try await waitUntil(node, id, "processed")
        let names = "SELECT relname FROM pg_class WHERE relname LIKE 'inbound_messages_2%' AND relkind = 'r'"
        #expect(try await node.rows(names).count == 4)
        // Forty days ago, for which no partition is there.
        _ = try await node.rows(
            """
            INSERT INTO drawbridge.inbound_messages (id, received_at, source, content, fields)
            SELECT nextval('drawbridge.inbound_message_ids'), now() - INTERVAL '40 days', 'mews', '', '{}';
            CREATE TABLE drawbridge.inbound_messages_2020_01_01 PARTITION OF drawbridge.inbound_messages
            FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')
            """)
        _ = try await node.rows("SELECT drawbridge.drop_inbound_partitions(30), drawbridge.make_inbound_partitions(5)")
        #expect(try await node.rows(names).count == 6)
        #expect(try await node.rows("SELECT id FROM drawbridge.inbound_messages") == [["\(id)"]])
        #expect(try await node.stop().isSuccess)
    }
}
