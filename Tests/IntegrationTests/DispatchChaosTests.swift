import Glibc
import Loop
import TestSupport
import Testing

/// Real processes, real database, a receiver that comes and goes; who is killed and when is drawn from a seed, which a failure
/// tells. `KILL_SEED` sets it.
@Suite("Webhooks while everybody is killed", .serialized)
struct DispatchChaosTests {
    init() { Loop.runInBackground() }

    private static let rounds = 100
    private static let victims = ["bridge", "dispatcher-1", "receiver", "postgresql"]

    /// An installation that tries again at once.
    @OnLoop private static func node() throws -> Node {
        let node = try Node(ownsPolicies: true, workers: 1)
        try node.liftLimits()
        for (old, new) in [
            ("[5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h]", "[200 ms, 500 ms]"),
            ("first_pause: 1 s", "first_pause: 100 ms"), ("longest_pause: 10 min", "longest_pause: 500 ms"),
        ] {
            try Files.change("\(node.policies)/bridge.yaml", old, to: new)
        }
        try Files.change("\(node.policies)/egress.yaml", "total: 15 s", to: "total: 5 s")
        return node
    }

    @Test(
        "Whoever is killed, 100 times, every committed event arrives under its one id, and in order where that is asked for",
        .timeLimit(.minutes(6)))
    @OnLoop func everybody() async throws {
        let seed = getenv("KILL_SEED").flatMap { UInt64(String(cString: $0)) } ?? .random(in: 0 ... .max)
        var random = SeededNumbers(seed: seed)
        let node = try Self.node()
        try await node.start()
        let (port, arrivals) = (try freePort(), Arrivals("\(node.directory)/arrivals"))
        let subscriber = try await Subscriber(node)
        let patient = #","retryPolicy":{"maxRetries":20,"backoff":"exponential"}"#
        _ = try await subscriber.subscribe("http://127.0.0.1:\(port)/any", patient)
        _ = try await subscriber.subscribe("http://127.0.0.1:\(port)/ordered", #","in_order":true\#(patient)"#)
        let processes = try await RestlessProcesses(
            inPlaceOf: node, workers: 1, environment: ["DRAWBRIDGE_DEMO": "1"])
        processes.addDispatcher(1)
        processes.add("receiver", "\(Node.programs)/webhook-test-receiver", ["\(port)", arrivals.path])
        do {
            try await processes.run {
                let load = try Load(node, gateway: processes.gateway, bookers: 2, readers: 0)
                let events = CommittedEvents(subscriber, writers: 3, seed: seed)
                try await wait("the first arrive") { arrivals.count > 20 }
                for round in 1...Self.rounds {
                    try await Loop.sleep(for: .milliseconds(.random(in: 0...1000, using: &random)))
                    try await processes.kill(Self.victims.randomElement(using: &random)!)
                    guard round % 10 == 0 else { continue }
                    let (told, arrived) = (events.told.count, arrivals.count)
                    try await wait("more is told and arrives") {
                        events.told.count > told && arrivals.count > arrived
                    }
                }
                try await load.wait(answers: 5, status: 201)
                try await load.stop()
                try await events.stop()
                try await expectQuiet(node)
                try await expectArrival(node, events, load, arrivals)
            }
        } catch {
            Issue.record("KILL_SEED=\(seed), \(processes.kills), \(processes.oddities): \(processes.log.suffix(3000))")
            throw error
        }
        let story: Comment = "KILL_SEED=\(seed), \(processes.kills)"
        #expect(processes.kills.values.reduce(0, +) == Self.rounds && processes.kills.count == 4, story)
        #expect(processes.oddities == [], story)
        print("KILL_SEED=\(seed), \(processes.kills), \(arrivals.count) arrivals")
    }

    /// Everything that was told has ended, and is counted right.
    @OnLoop private func expectQuiet(_ node: Node) async throws {
        let left = """
            SELECT (SELECT count(*) FROM drawbridge.outbox_events), (SELECT count(*) FROM drawbridge.webhook_claims),
                   (SELECT count(*) FROM drawbridge.webhook_waiting)
            """
        try await wait("nothing is left") { try await node.rows(left) == [["0", "0", "0"]] }
        try await wait("it is counted") {
            try await node.value("SELECT sum(depth) FROM drawbridge.webhook_dispatchers") == "0"
        }
        #expect(try await node.value("SELECT count(*) FROM drawbridge.webhook_dead_letters") == "0")
        #expect(try await node.value("SELECT sum(dead_letters) FROM drawbridge.webhook_dispatchers") == "0")
    }

    @OnLoop private func expectArrival(
        _ node: Node, _ events: CommittedEvents, _ load: Load, _ arrivals: Arrivals
    ) async throws {
        let rows = try await node.rows(
            """
            SELECT event_id, entity_id, version FROM drawbridge.events
            WHERE type IN ('booking.created', 'booking.updated', 'booking.cancelled')
            """)
        let committed = Dictionary(uniqueKeysWithValues: rows.map { ($0[0], "\($0[1]) \($0[2])") })
        #expect(events.told.subtracting(committed.keys) == [])
        #expect(load.booked.count > 0 && committed.count >= events.told.count + load.booked.count)
        for path in ["/any", "/ordered"] {
            let lines = arrivals.lines.filter { $0.path == path }
            // Nothing that was committed has not arrived.
            #expect(Set(committed.keys).subtracting(lines.map(\.id)) == [], "\(path)")
            // What comes again comes under the same id; and nothing comes that was not committed.
            #expect(lines.filter { committed[$0.id] != "\($0.entity) \($0.version)" }.map(\.id) == [], "\(path)")
        }
        var last: [String: Int] = [:]
        var seen: Set<String> = []
        for line in arrivals.lines where line.path == "/ordered" && seen.insert(line.id).inserted {
            #expect(line.version > last[line.entity] ?? 0, "\(line)")
            last[line.entity] = line.version
        }
    }

    @Test("A dispatcher that stands still for longer than its lease overwrites nothing when it goes on")
    @OnLoop func stalled() async throws {
        let node = try Self.node()
        try await node.start()
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
        let gate = Gate()
        receiver.answer = { _ in
            while !gate.isOpen { try await Loop.sleep(for: .milliseconds(5)) }
            return .taken
        }
        let endpoint = try await subscriber.subscribe(receiver.url())
        var (told, version) = (Set<String>(), 0)
        func tell() async throws {
            version += 1
            told.formUnion(try await subscriber.tell([.init(entity: "stalled", version: version)]))
        }
        let sessions = "SELECT count(*) FROM drawbridge.webhook_dispatchers WHERE session > 0"
        try await wait("both are there") { try await node.value(sessions) == "2" }
        // Sooner than their attempts take too long.
        let claims = "SELECT count(DISTINCT session) FROM drawbridge.webhook_claims"
        try await wait("both have claimed something and sent it", for: .seconds(4)) {
            try await tell()
            return try await node.value(claims) == "2" && receiver.underWay == told.count
        }
        other.send(signal: SIGSTOP)
        gate.isOpen = true
        try await wait("another has taken over what it had") {
            try await subscriber.open(endpoint) == (0, 0) && Set(receiver.taken.map(\.id)) == told
        }
        let before = try await subscriber.attempts(endpoint)
        #expect(before.count == told.count && before.allSatisfy { $0[0] == "1" && $0[1] == "delivered" }, "\(before)")
        #expect(receiver.messages.count > told.count, "nothing was sent twice: it had nothing")
        other.send(signal: SIGCONT)
        try await wait("it knows that its session is over") {
            Files.text("\(node.directory)/dispatcher.log").contains("webhooks' session was over")
        }
        try await wait("it begins anew") { try await node.value(sessions) == "2" }
        #expect(try await subscriber.attempts(endpoint) == before)
        for _ in 0..<20 { try await tell() }
        try await wait("what comes after arrives, too") { Set(receiver.taken.map(\.id)) == told }
        try await expectQuiet(node)
        let attempts = try await subscriber.attempts(endpoint)
        #expect(attempts.count == told.count && attempts.allSatisfy { $0[0] == "1" && $0[1] == "delivered" })
        await receiver.stop()
        other.send(signal: SIGTERM)
        #expect(try await other.waitForExit().isSuccess)
        #expect(try await node.stop().isSuccess)
    }
}

/// Whether somebody is let through.
@OnLoop private final class Gate { var isOpen = false }

/// What a `webhook-test-receiver` has written down.
@OnLoop
private final class Arrivals {
    let path: String

    init(_ path: String) { self.path = path }

    var count: Int { (Files.read(path) ?? []).count { $0 == UInt8(ascii: "\n") } }

    /// In the order of arrival.
    var lines: [(path: String, id: String, entity: String, version: Int)] {
        Files.text(path).split(separator: "\n").map { line in
            let words = line.split(separator: " ").map(String.init)
            return (words[0], words[1], words[2], Int(words[3]) ?? 0)
        }
    }
}

/// Events that are committed and rolled back in transactions, whatever becomes of the database, each entity's in the order of
/// its versions.
@OnLoop
private final class CommittedEvents {
    /// The ids of those whose commit was confirmed; there may be others.
    private(set) var told: Set<String> = []
    private let subscriber: Subscriber
    private var versions: [String: Int] = [:]
    private var random: SeededNumbers
    private var isOver = false
    private var task: Task<Void, any Error>?

    init(_ subscriber: Subscriber, writers: Int, seed: UInt64) {
        self.subscriber = subscriber
        random = SeededNumbers(seed: ~seed)
        task = Task { [self] in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<writers { group.addTask { try await self.write(writer) } }
                try await group.waitForAll()
            }
        }
    }

    func stop() async throws {
        isOver = true
        try await task?.value
    }

    /// Each has entities of its own, so that nobody commits a version before an earlier one of somebody else's.
    private func write(_ writer: Int) async throws {
        while !isOver {
            let events = (0..<Int.random(in: 1...6, using: &random)).map { _ in
                let entity = "chaos-\(writer)-\(Int.random(in: 0..<5, using: &random))"
                versions[entity, default: 0] += 1
                return Subscriber.Event(entity: entity, version: versions[entity]!)
            }
            let isCommitted = Int.random(in: 0..<10, using: &random) > 0
            if let ids = try await subscriber.attempt(toTell: events, isCommitted: isCommitted), isCommitted {
                told.formUnion(ids)
            } else {
                try await Loop.sleep(for: .milliseconds(20))
            }
        }
    }
}
