import Glibc
import HTTP
import JSONText
import Loop
import TestSupport
import Testing
import Webhook

/// Endpoints that have to show that whoever subscribed them has a say there.
@Suite("Endpoints that answer a challenge first", .serialized)
struct EndpointChallengeTests {
    init() { Loop.runInBackground() }

    /// An installation of its own: what is told here is no event that others might look at.
    @OnLoop private static let node = Task { @OnLoop in
        let node = try Node()
        try await node.start()
        return node
    }

    private static let secret = "whsec_" + String(repeating: "QUFB", count: 8)

    /// Says a challenge back, as a program would.
    private static func met(_ message: Receiver.Message) -> Receiver.Reply {
        let challenge = message["data"]?["challenge"]?.string ?? ""
        return .init(status: .ok, content: Array(#"{"challenge":"\#(challenge)"}"#.utf8))
    }

    @Test("One that says its challenge back is sent events from its creation on; the challenge is signed")
    @OnLoop func met() async throws {
        let node = try await Self.node.value
        let (subscriber, receiver) = (try await Subscriber(node), try Receiver())
        receiver.answer = { $0["type"]?.string == OwnershipChallenge.type ? Self.met($0) : .taken }
        let answer = try await subscriber.answer(
            toSubscribing: receiver.url(), #","verify_ownership":true,"secret":"\#(Self.secret)""#)
        #expect(answer.value("enabled") == .bool(true) && answer.value("verify_ownership") == .bool(true))
        let challenge = try #require(receiver.messages.first)
        #expect(challenge.isSigned(with: try WebhookSecret(parsing: Self.secret)))
        #expect(challenge["data"]?["endpoint_id"]?.string == answer.string("id"))
        #expect(challenge["data"]?["challenge"]?.string?.utf8.count == 43)
        #expect(challenge["timestamp"]?.string != nil && challenge.contentType == "application/json")
        let event = try await subscriber.tell([.init(entity: "verified")])[0]
        try await wait("it arrives") { receiver.taken.contains { $0.id == event } }
        #expect(receiver.messages.count == 2)
        await receiver.stop()
    }

    @Test("One that does not is sent nothing else until it does, and what it missed can be had then")
    @OnLoop func unmet() async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.node.value), try Receiver())
        receiver.answer = { _ in .init(status: .ok, content: Array("thanks".utf8)) }
        let endpoint = try await subscriber.subscribe(receiver.url(), #","verify_ownership":true"#)
        #expect(try await subscriber.disabledReason(endpoint) == "unverified")
        let event = try await subscriber.tell([.init(entity: "unverified")])[0]
        try await wait("it is a dead letter") {
            try await subscriber.deadLetters(endpoint) == [[event, "endpoint_disabled"]]
        }
        let replies: [(Receiver.Reply, String)] = [
            (.init(status: .ok, content: Array("thanks".utf8)), "does not say the challenge back"),
            (.init(status: .noContent), "does not say the challenge back"), (.init(status: .notFound), "404"),
            (.init(status: Status(rawValue: 302)), "302"),
        ]
        for (reply, said) in replies {
            receiver.answer = { _ in reply }
            let refused = try await subscriber.enable(endpoint)
            expectProblem(refused, 409, "webhook-unverified")
            #expect(refused.string("detail")?.contains(said) == true, "\(refused.text)")
        }
        // Nor is it enabled by a change.
        let changed = try await subscriber.change(endpoint, #"{"enabled":true}"#)
        #expect(changed.value("enabled") == .bool(false) && changed.string("disabled_reason") == "unverified")
        #expect(receiver.messages.allSatisfy { $0["type"]?.string == OwnershipChallenge.type })
        #expect(Set(receiver.messages.map { $0["data"]?["challenge"]?.string }).count == receiver.messages.count)

        // The text alone will do.
        receiver.answer = { message in
            guard let text = message["data"]?["challenge"]?.string else { return .taken }
            return .init(status: .ok, content: Array(" \(text)\n".utf8))
        }
        let enabled = try await subscriber.enable(endpoint)
        #expect(enabled.status == 200 && enabled.value("enabled") == .bool(true), "\(enabled.text)")
        #expect(try await subscriber.disabledReason(endpoint) == "enabled")
        let later = try await subscriber.tell([.init(entity: "verified")])[0]
        try await wait("it arrives") { receiver.taken.contains { $0.id == later } }
        await receiver.stop()
    }

    @Test("Another address has to show it anew; another setting has not")
    @OnLoop func moved() async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.node.value), try Receiver())
        receiver.answer = { $0.path == "/theirs" ? .taken : Self.met($0) }
        let endpoint = try await subscriber.subscribe(receiver.url("/ours"), #","verify_ownership":true"#)
        #expect(try await subscriber.disabledReason(endpoint) == "enabled")
        try await subscriber.change(endpoint, #"{"description":"the shop"}"#)
        #expect(receiver.messages.count == 1)
        let moved = try await subscriber.change(endpoint, #"{"url":"\#(receiver.url("/theirs"))"}"#)
        #expect(moved.string("disabled_reason") == "unverified" && receiver.messages("/theirs").count == 1)
        let back = try await subscriber.change(endpoint, #"{"url":"\#(receiver.url("/ours/2"))","enabled":true}"#)
        #expect(back.value("enabled") == .bool(true), "\(back.text)")
        // Until another address has met it, and unless it does, events go on to where they went.
        receiver.answer = { [unowned receiver] message in
            guard message["type"]?.string == OwnershipChallenge.type else { return .taken }
            let event = try await subscriber.tell([.init(entity: message.path)])[0]
            while !receiver.taken.contains(where: { $0.id == event && $0.path == "/ours/2" }) {
                try await Loop.sleep(for: .milliseconds(5))
            }
            return Self.met(message)
        }
        let moving = try await subscriber.change(endpoint, #"{"url":"\#(receiver.url("/ours/3"))"}"#)
        #expect(moving.value("enabled") == .bool(true), "\(moving.text)")
        #expect(try await subscriber.deadLetters(endpoint) == [])
        receiver.answer = { Self.met($0) }
        try await subscriber.change(endpoint, #"{"url":"\#(receiver.url("/ours/2"))"}"#)
        // Whoever was disabled for something else shows it again.
        try await subscriber.change(endpoint, #"{"enabled":false}"#)
        #expect(try await subscriber.disabledReason(endpoint) == "requested")
        let before = receiver.messages("/ours/2").count
        #expect(try await subscriber.enable(endpoint).value("enabled") == .bool(true))
        #expect(receiver.messages("/ours/2").count == before + 1)
        await receiver.stop()
    }

    @Test("Whoever may not be told of its events lets nobody be told, however the challenge is met")
    @OnLoop func rights() async throws {
        let node = try await Self.node.value
        let (subscriber, receiver) = (try await Subscriber(node), try Receiver())
        receiver.answer = { _ in .failure }
        let endpoint = try await subscriber.subscribe(receiver.url(), #","verify_ownership":true"#)
        let less = try await node.apiKey(subscriber.name, "webhook:read webhook:write").key
        receiver.answer = { Self.met($0) }
        let before = receiver.messages.count
        let refused = try await node.gateway.send(
            TestRequest(method: "POST", target: "/api/webhooks/\(endpoint.id)/enable", token: less))
        expectProblem(refused, 403, "exceeds-rights")
        #expect(receiver.messages.count == before)
        #expect(try await subscriber.disabledReason(endpoint) == "unverified")
        await receiver.stop()
    }

    @Test("Where the installation asks it of all, nobody gets around it")
    @OnLoop func required() async throws {
        let node = try Node(ownsPolicies: true)
        try Files.change("\(node.policies)/bridge.yaml", "require_ownership: false", to: "require_ownership: true")
        try await node.start()
        let (subscriber, receiver) = (try await Subscriber(node), try Receiver())
        receiver.answer = { $0.path == "/theirs" ? .taken : Self.met($0) }
        let theirs = try await subscriber.subscribe(receiver.url("/theirs"), #","verify_ownership":false"#)
        #expect(try await subscriber.disabledReason(theirs) == "unverified")
        let changed = try await subscriber.change(theirs, #"{"verify_ownership":false,"enabled":true}"#)
        #expect(changed.string("disabled_reason") == "unverified" && changed.value("verify_ownership") == .bool(true))
        let ours = try await subscriber.subscribe(receiver.url("/ours"))
        #expect(try await subscriber.disabledReason(ours) == "enabled")
        let moved = try await subscriber.change(
            ours, #"{"url":"\#(receiver.url("/theirs"))","verify_ownership":false}"#)
        #expect(moved.string("disabled_reason") == "unverified")
        await receiver.stop()
        #expect(try await node.stop().isSuccess)
    }
}
