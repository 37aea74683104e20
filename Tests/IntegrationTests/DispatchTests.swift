import Glibc
import HTTP
import JSONText
import Loop
import TLS
import TestSupport
import Testing
import Webhook

/// Webhooks from the event that is committed to what the subscriber gets, through the real processes.
@Suite("Webhooks on their way", .serialized)
struct DispatchTests {
    init() { Loop.runInBackground() }

    @OnLoop private static var starting: Task<Node, any Error>?

    /// An installation that tries again soon, and whose attempts take two seconds at most.
    @OnLoop private static func shared() async throws -> Node {
        if let starting { return try await starting.value }
        let task = Task {
            let node = try Self.node()
            try await node.start()
            return node
        }
        starting = task
        return try await task.value
    }

    /// Not started.
    ///
    /// - Parameter webhooks: what in its policy is otherwise than for all of these tests.
    @OnLoop private static func node(webhooks: [(String, String)] = []) throws -> Node {
        let node = try Node(ownsPolicies: true)
        try node.liftLimits()
        let policy = "\(node.policies)/bridge.yaml"
        for (old, new) in webhooks { try Files.change(policy, old, to: new) }
        for (old, new) in [
            ("[5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h]", "[1 s, 1 s, 200 ms]"),
            ("linear_step: 5 min", "linear_step: 100 ms"), ("jitter_percentage: 10", "jitter_percentage: 0"),
            ("first_pause: 1 s", "first_pause: 500 ms"), ("longest_pause: 10 min", "longest_pause: 1 s"),
        ] where Files.text(policy).contains(old) { try Files.change(policy, old, to: new) }
        let egress = "\(node.policies)/egress.yaml"
        try Files.change(egress, "connect: 5 s", to: "connect: 1 s")
        try Files.change(egress, "total: 15 s", to: "total: 2 s")
        return node
    }

    /// A name of something that nothing else is about.
    private static func entity(_ name: String = "booking") -> String { "\(name)-\(UInt64.random(in: 0 ... .max))" }

    private static let often = #","retryPolicy":{"maxRetries":20,"backoff":"linear"}"#

    // MARK: What arrives

    @Test("A booking's event arrives signed, under the event's id, whole or thin as its endpoint asks")
    @OnLoop func booking() async throws {
        let node = try await Self.shared()
        let (subscriber, receiver) = (try await Subscriber(node), try Receiver())
        let full = try await subscriber.subscribe(receiver.url("/full"))
        let thin = try await subscriber.subscribe(receiver.url("/thin"), #","payload":"thin","hotel_ids":[2]"#)
        let booked = try await node.book(BookingBody(.next(1)))
        try #require(booked.status == 201, "\(booked.text)")
        let booking = try #require(booked.string("booking_id"))
        try await wait("both have it") {
            ["/full", "/thin"].allSatisfy { path in receiver.taken(path).contains { $0.entity == booking } }
        }
        let event = try await node.rows(
            "SELECT event_id, payload::TEXT FROM drawbridge.events WHERE entity_id = '\(booking)' AND version = 1")[0]
        let whole = try #require(receiver.taken("/full").first { $0.entity == booking })
        #expect(whole.id == event[0] && whole.content == Array(event[1].utf8))
        #expect(whole["type"]?.string == "booking.created" && whole["data"]?["guest"]?["name"] != nil)
        #expect(whole.contentType == "application/json" && whole.isSigned(with: full.secret))
        #expect(!whole.isSigned(with: thin.secret))
        let part = try #require(receiver.taken("/thin").first { $0.entity == booking })
        #expect(part.id == event[0] && part.isSigned(with: thin.secret))
        #expect(part["timestamp"] == whole["timestamp"])
        #expect(
            Set(part["data"]?.members?.map(\.name) ?? []) == [
                "booking_id", "booking_engine_id", "hotel_id", "version",
            ], "\(String(decoding: part.content, as: UTF8.self))")
        await receiver.stop()
    }

    @Test("What is taken is told once, to each endpoint that asked for it, of its hotels alone")
    @OnLoop func hotels() async throws {
        let node = try await Self.shared()
        let (subscriber, receiver) = (try await Subscriber(node), try Receiver())
        let entity = Self.entity()
        _ = try await subscriber.subscribe(receiver.url("/one"), #","hotel_ids":[1]"#)
        _ = try await subscriber.subscribe(receiver.url("/two"), #","hotel_ids":[2,3]"#)
        _ = try await subscriber.subscribe(receiver.url("/every"))
        _ = try await subscriber.subscribe(receiver.url("/other"), events: ["hotel.updated"])
        let ids = try await subscriber.tell(
            (1...3).map { .init(entity: entity, version: $0, hotel: $0) }, isForAll: true)
        func told(_ path: String) -> Set<String> {
            Set(receiver.taken(path).filter { $0.entity == entity }.map(\.id))
        }
        try await wait("every endpoint has its own") {
            told("/one").count == 1 && told("/two").count == 2 && told("/every").count == 3
        }
        #expect(told("/one") == [ids[0]] && told("/two") == [ids[1], ids[2]] && told("/every") == Set(ids))
        // As many deliveries as there are messages, and no more to come.
        let list = ids.map { "'\($0)'" }.joined(separator: ",")
        let deliveries = try await node.value(
            """
            SELECT count(*) FROM drawbridge.webhook_deliveries AS delivery
            JOIN drawbridge.webhook_endpoints AS endpoint ON endpoint.id = endpoint_id
            WHERE event_id IN (\(list)) AND client LIKE '% \(subscriber.name)'
            """)
        #expect(deliveries == "6")
        #expect(receiver.messages.count { $0.entity == entity } == 6)
        await receiver.stop()
    }

    // MARK: What fails

    @Test("What fails is tried again under the same id with a fresh timestamp, and is a dead letter in the end")
    @OnLoop func retries() async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.shared()), try Receiver())
        receiver.answer = { _ in .failure }
        let endpoint = try await subscriber.subscribe(
            receiver.url(), #","retryPolicy":{"maxRetries":2,"backoff":"exponential"}"#)
        let event = try await subscriber.tell([.init(entity: Self.entity())])[0]
        try await wait("it is a dead letter") {
            try await subscriber.deadLetters(endpoint) == [[event, "exhausted"]]
        }
        #expect(receiver.messages.map(\.id) == [event, event, event])
        #expect(Set(receiver.messages.map(\.content)).count == 1)
        #expect(receiver.messages.allSatisfy { $0.isSigned(with: endpoint.secret) })
        let times = receiver.messages.compactMap { Int($0.timestamp) }
        #expect(times.count == 3 && times[0] < times[1] && times[1] < times[2], "\(times)")
        #expect(
            try await subscriber.attempts(endpoint, of: event) == [
                ["1", "retry", "500", "server_error", "whole"], ["2", "retry", "500", "server_error", "whole"],
                ["3", "dead", "500", "server_error", "whole"],
            ])
        #expect(try await subscriber.open(endpoint) == (0, 0))
        await receiver.stop()
    }

    @Test("410 disables the endpoint: its other deliveries are dead letters, and its owner is told by another endpoint")
    @OnLoop func gone() async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.shared()), try Receiver())
        receiver.answer = { $0.path == "/gone" ? .init(status: .gone) : .taken }
        let endpoint = try await subscriber.subscribe(receiver.url("/gone"), #","max_in_flight":1"#)
        _ = try await subscriber.subscribe(receiver.url("/owner"), events: ["endpoint.disabled"])
        let events = try await subscriber.tell((1...30).map { .init(entity: Self.entity(), version: $0) })
        try await wait("all are dead letters") {
            try await subscriber.deadLetters(endpoint).map { $0[0] } == events.sorted()
        }
        #expect(try await subscriber.deadLetters(endpoint).allSatisfy { $0[1] == "endpoint_disabled" })
        #expect(try await subscriber.disabledReason(endpoint) == "gone")
        #expect(receiver.messages("/gone").count == 1)
        #expect(try await subscriber.attempts(endpoint) == [["1", "gone", "410", "gone", "whole"]])
        try await wait("the owner is told") { receiver.taken("/owner").count == 1 }
        let told = receiver.taken("/owner")[0]
        #expect(told["type"]?.string == "endpoint.disabled" && told["data"]?["reason"]?.string == "gone")
        #expect(told["data"]?["endpoint_id"]?.string == endpoint.id)
        await receiver.stop()
    }

    @Test(
        "Who asks for a pause is left alone until it is over, by all of its deliveries",
        arguments: [(Status.tooManyRequests, false), (.serviceUnavailable, false), (.serviceUnavailable, true)])
    @OnLoop func retryAfter(status: Status, isDate: Bool) async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.shared()), try Receiver())
        var asked: UInt64?
        receiver.answer = { message in
            guard asked == nil else { return .taken }
            asked = message.arrivedAt
            // Whole seconds: a date that is three seconds away is more than two.
            let date = HTTPDate.text(unixSeconds: Int64(Loop.unixTime) + 3)
            return .init(status: status, retryAfter: isDate ? date : "2")
        }
        let endpoint = try await subscriber.subscribe(receiver.url(), #","max_in_flight":1\#(Self.often)"#)
        let first = try await subscriber.tell([.init(entity: Self.entity())])[0]
        try await wait("it asks for a pause") { asked != nil }
        let second = try await subscriber.tell([.init(entity: Self.entity())])[0]
        try await wait("both have arrived") { Set(receiver.taken.map(\.id)) == [first, second] }
        let began = try #require(asked)
        #expect(receiver.taken.allSatisfy { $0.arrivedAt >= began + 1_950_000_000 })
        #expect(receiver.messages.count == 3)
        #expect(try await subscriber.deadLetters(endpoint) == [])
        await receiver.stop()
    }

    @Test("A disabled endpoint is sent nothing: its events are dead letters, and so is what waited for it")
    @OnLoop func disabled() async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.shared()), try Receiver())
        receiver.answer = { _ in .failure }
        let endpoint = try await subscriber.subscribe(receiver.url(), Self.often)
        var events = try await subscriber.tell((1...6).map { .init(entity: Self.entity(), version: $0) })
        try await wait("it is parked") { try await subscriber.open(endpoint) == (0, 6) }
        try await subscriber.change(endpoint, #"{"enabled":false}"#)
        events += try await subscriber.tell((1...3).map { .init(entity: Self.entity(), version: $0) })
        try await wait("all are dead letters") {
            try await subscriber.deadLetters(endpoint).map { $0[0] } == events.sorted()
        }
        #expect(try await subscriber.deadLetters(endpoint).allSatisfy { $0[1] == "endpoint_disabled" })
        #expect(receiver.messages.allSatisfy { events[..<6].contains($0.id) })
        await receiver.stop()
    }

    @Test("What waits for an endpoint, or is on its way there, goes with it")
    @OnLoop func removed() async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.shared()), try Receiver())
        let isHeld = Switch(true)
        receiver.answer = { message in
            guard message.path == "/held" else { return .failure }
            while isHeld.isOn { try await Loop.sleep(for: .milliseconds(5)) }
            return .taken
        }
        let failing = try await subscriber.subscribe(receiver.url("/failing"), Self.often)
        let held = try await subscriber.subscribe(receiver.url("/held"), #","max_in_flight":2"#)
        let events = try await subscriber.tell((1...6).map { .init(entity: Self.entity(), version: $0) })
        try await wait("the one is parked, the other has as much as it takes at once") {
            guard receiver.messages("/held").count == 2 else { return false }
            return try await subscriber.open(failing) == (0, 6)
        }
        try await subscriber.remove(failing)
        try await subscriber.remove(held)
        try await wait("what had not begun is let go") { try await subscriber.open(held) == (2, 0) }
        isHeld.isOn = false
        for endpoint in [failing, held] {
            try await wait("nothing is left") { try await subscriber.open(endpoint) == (0, 0) }
            #expect(try await subscriber.deadLetters(endpoint) == [])
        }
        #expect(receiver.messages("/held").count == 2)
        // What was made of them stays on record.
        let made = try await subscriber.node.value(
            "SELECT count(*) FROM drawbridge.webhook_deliveries WHERE endpoint_id IN ('\(failing.id)', '\(held.id)')")
        #expect(made == "\(2 * events.count)")
        await receiver.stop()
    }

    @Test("What became of a delivery that cannot be written down keeps no other from being settled")
    @OnLoop func unwritable() async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.shared()), try Receiver())
        receiver.answer = { $0.path == "/failing" ? .failure : .taken }
        let failing = try await subscriber.subscribe(receiver.url("/failing"), Self.often)
        try await subscriber.tell([.init(entity: Self.entity())])
        try await wait("it waits") { try await subscriber.open(failing) == (0, 1) }
        // More attempts than can be counted.
        _ = try await subscriber.node.rows(
            """
            UPDATE drawbridge.webhook_waiting SET attempts = 32767, due_at = now() + INTERVAL '1 s'
            WHERE endpoint_id = '\(failing.id)'
            """)
        try await wait("it is said") { subscriber.node.log.contains("cannot be written down") }
        let well = try await subscriber.subscribe(receiver.url("/well"), #","max_in_flight":100"#)
        let events = try await subscriber.tell((1...300).map { .init(entity: Self.entity(), version: $0) })
        try await wait("all have arrived") { Set(receiver.taken("/well").map(\.id)) == Set(events) }
        try await wait("all are settled") { try await subscriber.open(well) == (0, 0) }
        #expect(try await subscriber.open(failing).claimed == 1)
        await receiver.stop()
    }

    @Test("410 of the address that it had says nothing about the one that it has")
    @OnLoop func goneFromThere() async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.shared()), try Receiver())
        let isHeld = Switch(true)
        receiver.answer = { message in
            guard message.path == "/there" else { return .taken }
            while isHeld.isOn { try await Loop.sleep(for: .milliseconds(5)) }
            return .init(status: .gone)
        }
        let endpoint = try await subscriber.subscribe(receiver.url("/there"))
        try await subscriber.tell([.init(entity: Self.entity())])
        try await wait("it is asked") { receiver.messages("/there").count == 1 }
        try await subscriber.change(endpoint, #"{"url":"\#(receiver.url("/here"))"}"#)
        isHeld.isOn = false
        try await wait("it is settled") { try await subscriber.open(endpoint) == (0, 0) }
        let event = try await subscriber.tell([.init(entity: Self.entity())])[0]
        try await wait("the next one arrives") { receiver.taken("/here").map(\.id) == [event] }
        #expect(try await subscriber.disabledReason(endpoint) == "enabled")
        await receiver.stop()
    }

    @Test("What waits for an event that is not kept any more ends, and what comes after it goes on")
    @OnLoop func notKept() async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.shared()), try Receiver())
        receiver.answer = { _ in .failure }
        let entity = Self.entity()
        let endpoint = try await subscriber.subscribe(receiver.url(), #","in_order":true\#(Self.often)"#)
        let first = try await subscriber.tell([.init(entity: entity)])[0]
        try await wait("it waits") { try await subscriber.open(endpoint) == (0, 1) && receiver.messages.count >= 1 }
        _ = try await subscriber.node.rows("DELETE FROM drawbridge.webhook_events WHERE event_id = '\(first)'")
        receiver.answer = { _ in .taken }
        let second = try await subscriber.tell([.init(entity: entity, version: 2)])[0]
        try await wait("the next one arrives") { receiver.taken.map(\.id).last == second }
        try await wait("nothing is left") { try await subscriber.open(endpoint) == (0, 0) }
        await receiver.stop()
    }

    @Test("Without the master key nothing is sent; when it is back, everything is")
    @OnLoop func masterKey() async throws {
        let node = try Self.node()
        try await node.start()
        let (subscriber, receiver) = (try await Subscriber(node), try Receiver())
        let endpoint = try await subscriber.subscribe(receiver.url())
        let file = "\(node.home)/keys/master.key"
        let master = Files.text(file)
        unlink(file)
        let said = node.log.utf8.count
        kill(try node.processID("bridge"), SIGKILL)
        let event = try await subscriber.tell([.init(entity: Self.entity())])[0]
        try await wait("it is said", for: .seconds(60)) {
            String(decoding: node.log.utf8.dropFirst(said), as: UTF8.self).contains("secrets of webhooks cannot be")
        }
        try await wait("it waits") { try await subscriber.open(endpoint) == (0, 1) }
        #expect(receiver.messages.isEmpty)
        Files.write(master, to: file)
        try await wait("it arrives", for: .seconds(30)) { receiver.taken.map(\.id) == [event] }
        #expect(receiver.messages.allSatisfy { $0.isSigned(with: endpoint.secret) })
        await receiver.stop()
        #expect(try await node.stop().isSuccess)
    }

    // MARK: What an endpoint is spared

    @Test("As many attempts are under way at once as the endpoint takes, and no more")
    @OnLoop func inFlight() async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.shared()), try Receiver())
        var isFull = false
        receiver.answer = { [unowned receiver] _ in
            isFull = isFull || receiver.underWay == 3
            while !isFull { try await Loop.sleep(for: .milliseconds(5)) }
            return .taken
        }
        let endpoint = try await subscriber.subscribe(receiver.url(), #","max_in_flight":3"#)
        let events = try await subscriber.tell((1...40).map { .init(entity: Self.entity(), version: $0) })
        try await wait("all have arrived") { Set(receiver.taken.map(\.id)) == Set(events) }
        #expect(receiver.mostUnderWay == 3)
        #expect(receiver.messages.count == events.count)
        try await wait("nothing is left") { try await subscriber.open(endpoint) == (0, 0) }
        await receiver.stop()
    }

    @Test("In order, each of a booking comes after the one before was taken, and other bookings do not wait for it")
    @OnLoop func order() async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.shared()), try Receiver())
        let (slow, quick) = (Self.entity("slow"), Self.entity("quick"))
        receiver.answer = { [unowned receiver] message in
            guard message.entity == slow, message.version == 1 else { return .taken }
            let isHeldUp = receiver.taken.count { $0.entity == quick } < 5
            return isHeldUp || message.number <= 2 ? .failure : .taken
        }
        let endpoint = try await subscriber.subscribe(receiver.url(), #","in_order":true\#(Self.often)"#)
        for version in 1...5 {
            try await subscriber.tell([
                .init(entity: slow, version: version), .init(entity: quick, version: version),
            ])
        }
        try await wait("all have arrived") { receiver.taken.count == 10 }
        for entity in [slow, quick] {
            #expect(receiver.taken.filter { $0.entity == entity }.compactMap(\.version) == [1, 2, 3, 4, 5])
        }
        // None was even tried before its turn.
        let tried = receiver.messages.filter { $0.entity == slow }.compactMap(\.version)
        #expect(tried == tried.sorted() && tried.count >= 7, "\(tried)")
        let lastQuick = try #require(receiver.taken.lastIndex { $0.entity == quick })
        let firstSlow = try #require(receiver.taken.firstIndex { $0.entity == slow })
        #expect(lastQuick < firstSlow)
        try await wait("nothing is left") { try await subscriber.open(endpoint) == (0, 0) }
        await receiver.stop()
    }

    @Test("An endpoint that only fails is parked: its deliveries wait, using up no retries, until a probe succeeds")
    @OnLoop func circuit() async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.shared()), try Receiver())
        let isBroken = Switch(true)
        var mostAfterOpening = 0
        receiver.answer = { [unowned receiver] _ in
            if receiver.messages.count > 5 { mostAfterOpening = max(mostAfterOpening, receiver.underWay) }
            return isBroken.isOn ? .failure : .taken
        }
        let endpoint = try await subscriber.subscribe(receiver.url(), #","max_in_flight":1\#(Self.often)"#)
        let events = try await subscriber.tell((1...50).map { .init(entity: Self.entity(), version: $0) })
        try await wait("it is parked") { try await subscriber.open(endpoint) == (0, 50) }
        try await wait("it is tried now and then") { receiver.messages.count >= 7 }
        let bridge = try await subscriber.node.socket("bridge.admin").send(.get("/metrics")).text
        #expect(bridge.contains(#"drawbridge_bridge_webhook_endpoints{process="bridge",circuit="open"} "#), "\(bridge)")
        isBroken.isOn = false
        try await wait("all have arrived") { Set(receiver.taken.map(\.id)) == Set(events) }
        #expect(mostAfterOpening == 1)
        try await wait("nothing is left") { try await subscriber.open(endpoint) == (0, 0) }
        let attempts = try await subscriber.attempts(endpoint)
        #expect(attempts.count == receiver.messages.count)
        #expect(try await subscriber.deadLetters(endpoint) == [])
        await receiver.stop()
    }

    @Test("Nothing but failure: the owner is told after 50, 75 and 100 % of the time, then the endpoint is disabled")
    @OnLoop func failing() async throws {
        let node = try Self.node(webhooks: [
            ("disabled_after: 120 h", "disabled_after: 8 s"), ("failures: 5", "failures: 1000"),
            ("[5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h]", "[500 ms]"),
        ])
        try await node.start()
        let (subscriber, receiver) = (try await Subscriber(node), try Receiver())
        receiver.answer = { $0.path == "/failing" ? .failure : .taken }
        let endpoint = try await subscriber.subscribe(
            receiver.url("/failing"), #","retryPolicy":{"maxRetries":20,"backoff":"exponential"}"#)
        _ = try await subscriber.subscribe(
            receiver.url("/owner"), events: ["endpoint.failing", "endpoint.disabled"])
        try await subscriber.tell((1...3).map { .init(entity: Self.entity(), version: $0) })
        try await wait("it is disabled") { receiver.taken("/owner").count == 4 }
        #expect(try await subscriber.disabledReason(endpoint) == "failing")
        // Each as it comes: in no order.
        let told = receiver.taken("/owner")
        #expect(
            Set(told.map { $0["data"]?["percent"]?.integer ?? 0 }) == [0, 50, 75, 100]
                && Set(told.map { $0["type"]?.string }) == ["endpoint.failing", "endpoint.disabled"])
        #expect(told.allSatisfy { $0["data"]?["endpoint_id"]?.string == endpoint.id })
        let disabled = try #require(told.first { $0["type"]?.string == "endpoint.disabled" })
        #expect(disabled["data"]?["reason"]?.string == "failing")
        try await wait("what it had are dead letters") { try await subscriber.deadLetters(endpoint).count == 3 }
        #expect(try await node.value("SELECT count(*) FROM drawbridge.webhook_failures") == "0")
        await receiver.stop()
        #expect(try await node.stop().isSuccess)
    }

    // MARK: Receivers that are broken

    /// What a receiver does with a connection, and what is written down of it: result, status, error, what became of the answer.
    private struct Fault {
        let name: String
        let recorded: [String]
        var certificate: String?
        let script: FakeUpstream.Script
    }

    private static let faults: [Fault] = [
        Fault(name: "hangs", recorded: ["retry", "", "timed_out", ""]) { try await $0.end() },
        Fault(name: "drips", recorded: ["retry", "", "timed_out", ""]) { connection in
            _ = try await connection.receive(endingIn: "}")
            try await connection.send("HTTP/1.1 200 OK\r\nx-drip: ")
            while true {
                try await connection.send("x")
                try await Loop.sleep(for: .milliseconds(100))
            }
        },
        Fault(name: "floods", recorded: ["delivered", "200", "", "cut"]) { connection in
            _ = try await connection.receive(endingIn: "}")
            try await connection.send("HTTP/1.1 200 OK\r\n\r\n")
            while true { try await connection.send([UInt8](repeating: 0x78, count: 1 << 16)) }
        },
        Fault(name: "resets", recorded: ["retry", "", "connection_lost", ""]) { connection in
            _ = try await connection.receive(endingIn: "}")
        },
        Fault(name: "lies about the length", recorded: ["delivered", "200", "", "broken"]) { connection in
            _ = try await connection.receive(endingIn: "}")
            try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")
        },
        Fault(name: "is no server of HTTP", recorded: ["retry", "", "malformed_answer", ""]) { connection in
            _ = try await connection.receive(endingIn: "}")
            try await connection.send("SSH-2.0-OpenSSH_9.2\r\n")
        },
        Fault(
            name: "shows a certificate that has expired", recorded: ["retry", "", "tls_failed", ""],
            certificate: "expired"
        ) { _ = try await $0.receive(endingIn: "}") },
        Fault(
            name: "shows a good certificate", recorded: ["delivered", "204", "", "whole"], certificate: "good"
        ) { connection in
            _ = try await connection.receive(endingIn: "}")
            try await connection.send("HTTP/1.1 204 No Content\r\n\r\n")
        },
    ]

    @Test("Whatever a receiver does, it is written down, and others have what is theirs meanwhile")
    @OnLoop func faults() async throws {
        let node = try Self.node()
        try await Self.makeCertificates(in: node.directory)
        try Files.change(
            "\(node.policies)/egress.yaml", "# authorities: tls/receivers.pem",
            to: "authorities: \(node.directory)/believed.pem")
        try await node.start()
        let (subscriber, receiver) = (try await Subscriber(node), try Receiver())
        let healthy = try await subscriber.subscribe(receiver.url())
        var broken: [(Fault, FakeUpstream, Subscriber.Endpoint)] = []
        for fault in Self.faults {
            let context = try fault.certificate.map { name in
                try TLSServerContext(
                    .init(
                        certificateChainPath: "\(node.directory)/\(name).pem",
                        keyPath: "\(node.directory)/good.key"))
            }
            let upstream = try FakeUpstream { connection in
                if let context { connection.stream.security = try context.makeSession() }
                try await fault.script(connection)
            }
            guard case .tcp(_, let port) = upstream.endpoint else { continue }
            let url = context == nil ? "http://127.0.0.1:\(port)/" : "https://localhost:\(port)/"
            let endpoint = try await subscriber.subscribe(url, #","max_in_flight":1\#(Self.often)"#)
            broken.append((fault, upstream, endpoint))
        }
        let events = try await subscriber.tell((1...20).map { .init(entity: Self.entity(), version: $0) })
        // Before the first of those that hang is given up.
        try await wait("the healthy one has all") { Set(receiver.taken.map(\.id)) == Set(events) }
        #expect(receiver.messages.count == events.count)
        for (fault, upstream, endpoint) in broken {
            try await wait("\(fault.name): written down") {
                try await subscriber.attempts(endpoint).contains { $0[0] == "1" }
            }
            let first = try #require(try await subscriber.attempts(endpoint).first { $0[0] == "1" })
            #expect(Array(first[1...]) == fault.recorded, "\(fault.name)")
            try await subscriber.remove(endpoint)
            await upstream.stop()
        }
        try await wait("nothing is left") { try await subscriber.open(healthy) == (0, 0) }
        let kept = try await node.value("SELECT max(octet_length(answer)) FROM drawbridge.webhook_attempts")
        #expect(kept == "16384")
        let why = try await node.value(
            "SELECT message FROM drawbridge.webhook_attempts WHERE error = 'tls_failed' LIMIT 1")
        #expect(why.contains("expired"), "\(why)")
        await receiver.stop()
        #expect(try await node.stop().isSuccess)
    }

    /// One that is good and one that has expired, both believed.
    @OnLoop private static func makeCertificates(in directory: String) async throws {
        let script = """
            cd \(directory)
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=receiver \
                -addext subjectAltName=DNS:localhost -keyout good.key -out good.pem
            openssl x509 -in good.pem -signkey good.key -days -1 -out expired.pem
            cat good.pem expired.pem >believed.pem
            """
        let made = try await Files.run(["sh", "-e", "-c", script])
        try #require(made.exit.isSuccess, "\(made.output)")
    }

    // MARK: Secrets and processes

    @Test("While secrets change in the middle of the stream, every message is verified by each that is good")
    @OnLoop func rotation() async throws {
        let (subscriber, receiver) = (try await Subscriber(try await Self.shared()), try Receiver())
        let endpoint = try await subscriber.subscribe(receiver.url())
        let isOver = Switch(false)
        var told = 0
        let telling = Task {
            while !isOver.isOn {
                told += try await subscriber.tell((1...5).map { .init(entity: Self.entity(), version: $0) }).count
            }
        }
        var secrets = [endpoint.secret]
        for _ in 0..<3 {
            let before = receiver.taken.count
            try await wait("some arrive in between") { receiver.taken.count >= before + 20 }
            secrets.append(try await subscriber.rotate(endpoint))
        }
        try await wait("the newest is used") { receiver.taken.last?.isSigned(with: secrets[3]) == true }
        isOver.isOn = true
        try await telling.value
        try await wait("all have arrived") { receiver.taken.count >= told }
        #expect(receiver.messages.count == told)
        // The first is good for a day yet: whoever has not changed over misses nothing.
        #expect(receiver.messages.allSatisfy { $0.isSigned(with: secrets[0]) })
        // And from the first message that a new one verifies, it verifies all.
        for secret in secrets {
            let verified = receiver.messages.map { $0.isSigned(with: secret) }
            #expect(verified.contains(true))
            #expect(!verified.drop { !$0 }.contains(false))
        }
        await receiver.stop()
    }

    @Test("Dispatchers of several processes share the work, and each delivery is made by one")
    @OnLoop func sharing() async throws {
        let node = try await Self.shared()
        let log = open("\(node.directory)/dispatcher.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(log) }
        let other = try ChildProcess(
            "\(Node.programs)/drawbridge-bridge",
            ["--role", "dispatcher", "--worker", "1", "--config", node.policies, "--home", node.home],
            environment: [
                "PATH": "/usr/bin:/bin", "DATABASE_URL": try node.variable("DATABASE_URL"), "DRAWBRIDGE_DEMO": "1",
            ],
            descriptors: [.null, .inherit(log), .inherit(log)])
        defer { other.send(signal: SIGKILL) }
        let (subscriber, receiver) = (try await Subscriber(node), try Receiver())
        let endpoint = try await subscriber.subscribe(receiver.url())
        func sent(_ process: String) async throws -> Int {
            guard let answer = try? await node.socket("\(process).admin").send(.get("/metrics")) else { return 0 }
            return answer.text.split(separator: "\n").filter {
                $0.hasPrefix("drawbridge_bridge_webhook_attempts_total") && $0.contains(endpoint.id)
            }.compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }.reduce(0) { $0 + Int($1) }
        }
        var events: Set<String> = []
        try await wait("both send") {
            events.formUnion(try await subscriber.tell((1...10).map { .init(entity: Self.entity(), version: $0) }))
            let (first, second) = (try await sent("bridge"), try await sent("dispatcher-1"))
            return first > 0 && second > 0
        }
        try await wait("all have arrived") { receiver.taken.count >= events.count }
        #expect(receiver.messages.count == events.count && Set(receiver.taken.map(\.id)) == events)
        try await wait("nothing is left") { try await subscriber.open(endpoint) == (0, 0) }
        other.send(signal: SIGTERM)
        #expect(try await other.waitForExit().isSuccess, "\(Files.text("\(node.directory)/dispatcher.log"))")
        await receiver.stop()
    }
}

/// What a test says while others go by it.
@OnLoop
private final class Switch {
    var isOn: Bool

    init(_ isOn: Bool) { self.isOn = isOn }
}
