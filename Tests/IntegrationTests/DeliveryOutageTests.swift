import JSONText
import Loop
import TestSupport
import Testing

/// A receiver that was away, and what brings it what it has missed.
@Suite("An outage of a webhook's receiver")
struct DeliveryOutageTests {
    init() { Loop.runInBackground() }

    /// A receiver on this machine, which the demo allows, as long as it is told to be well.
    @OnLoop
    private final class Receiver {
        var isWell = false
        /// The `webhook-id` of each request that it has taken.
        private(set) var taken: [String] = []

        func script(_ connection: FakeConnection) async throws {
            while true {
                let request = try await connection.receive(endingIn: "}}")
                guard isWell else {
                    try await connection.send("HTTP/1.1 500 Broken\r\nContent-Length: 4\r\n\r\nlost")
                    continue
                }
                taken.append(String(try #require(request.firstMatch(of: /webhook-id: (\S+)/)).output.1))
                try await connection.send(okay)
            }
        }
    }

    @Test("What it has failed to take is a dead letter, tried again when it is back, and what it has lost is replayed")
    @OnLoop func outage() async throws {
        let place = try await DeliveryPlace.shared()
        let (key, _) = try await place.node.apiKey("outage", "webhook:read webhook:write hotel:read booking:read")
        let receiver = Receiver()
        let upstream = try FakeUpstream { try await receiver.script($0) }
        guard case .tcp(_, let port) = upstream.endpoint else { return }
        let made = try await place.post(
            "subscribe", key,
            #"""
            {"url":"http://127.0.0.1:\#(port)/hooks","events":["hotel.updated"],"hotel_ids":[3],"retryPolicy":{"maxRetries":0}}
            """#)
        let endpoint = try #require(made.string("id"), "\(made.text)")
        let test = try await place.post("\(endpoint)/test", key)
        let id = try #require(test.string("delivery_id"), "\(test.text)")
        try await wait("the test has failed", for: .seconds(30)) { try await place.state(id) == "dead" }
        let dead = try await place.get("deliveries/\(id)", key)
        #expect(dead.string("dead_reason") == "exhausted" && dead.integer("attempts.0.status") == 500, "\(dead.text)")
        #expect(dead.string("attempts.0.answer.text") == "lost" && dead.string("attempts.0.address") == "127.0.0.1")
        // One attempt more, which fails like the one before.
        #expect(try await place.post("deliveries/\(id)/retry", key).status == 200)
        try await wait("the second attempt has failed", for: .seconds(30)) {
            let found = try await place.get("deliveries/\(id)", key)
            return found.string("state") == "dead" && found.integer("attempt_count") == 2
        }

        receiver.isWell = true
        let retried = try await place.post("dead-letters/retry", key, #"{"endpoint_id":"\#(endpoint)"}"#)
        #expect(retried.integer("retried") == 1, "\(retried.text)")
        try await wait("it has arrived", for: .seconds(30)) { try await place.state(id) == "delivered" }
        let event = try #require(test.string("event_id"))
        #expect(receiver.taken == [event])
        // Delivered already, it is sent again all the same, with the id that it had.
        #expect(try await place.post("deliveries/\(id)/retry", key).string("state") == "waiting")
        try await wait("it has arrived again", for: .seconds(30)) { receiver.taken == [event, event] }

        let events = try await place.events(60, type: "hotel.updated", hotel: "3")
        let since = try await place.node.value("SELECT drawbridge.instant(now() - INTERVAL '1 hour')")
        let replay = try await place.post("\(endpoint)/replay", key, #"{"since":"\#(since)"}"#)
        #expect(replay.status == 202, "\(replay.text)")
        try await wait("all of them have arrived", for: .seconds(30)) { receiver.taken.count >= 2 + events.count }
        #expect(receiver.taken.dropFirst(2).sorted() == events)
        try await wait("all of them are delivered", for: .seconds(30)) {
            try await place.pages("\(endpoint)/deliveries?state=delivered", "deliveries", key, limit: 100).count == 61
        }
        try await place.expectCounted()
        try await place.clear(endpoint)
        await upstream.stop()
    }
}
