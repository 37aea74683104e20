import Glibc
import Loop
import TestSupport
import Testing

/// Real processes, real database, many clients that want the same few rooms; what they do is drawn from a seed, which a
/// failure tells. `STORM_SEED` sets it.
@Suite("Bookings made, changed and cancelled by many at once", .serialized)
struct BookingStormTests {
    init() { Loop.runInBackground() }

    private static let clients = 500
    private static let rounds = 50

    @OnLoop private static func seed() -> UInt64 {
        getenv("STORM_SEED").flatMap { UInt64(String(cString: $0)) } ?? .random(in: 0 ... .max)
    }

    /// An installation whose limits no storm reaches.
    @OnLoop private static func node(workers: Int) throws -> Node {
        let node = try Node(ownsPolicies: true, workers: workers)
        try node.liftLimits()
        return node
    }

    @Test("500 clients: no room-night is sold twice, and everything that was answered is true", .timeLimit(.minutes(5)))
    @OnLoop func many() async throws {
        let seed = Self.seed()
        let node = try Self.node(workers: 2)
        try await node.start()
        let storm = BookingStorm(node, gateway: try node.gateway, clients: Self.clients, seed: seed)
        // Meanwhile holds end, some while their clients confirm them.
        for _ in 0..<10 {
            try await storm.wait(successes: 30)
            _ = try await node.rows(
                "UPDATE drawbridge.bookings SET hold_expires_at = now() WHERE status = 'hold' AND random() < 0.2")
        }
        try await storm.stop()
        try await wait("holds that are over have ended") {
            try await node.value(
                "SELECT count(*) FROM drawbridge.bookings WHERE status = 'hold' AND hold_expires_at < now()") == "0"
        }
        try await storm.expectAgreement()
        try await storm.expectTruth()
        #expect(storm.answers["create 409"] ?? 0 > 0, "the rooms were too many: \(storm.answers)")
        #expect(storm.answers["change 200"] ?? 0 > 0 && storm.answers["cancel 200"] ?? 0 > 0, "\(storm.answers)")
        #expect(try await node.stop().isSuccess)
    }

    @Test(
        "The bridge is killed, PostgreSQL crashes or restarts, 50 times: what was answered is there, and nothing else",
        .timeLimit(.minutes(5)))
    @OnLoop func chaos() async throws {
        let seed = Self.seed()
        var random = SeededNumbers(seed: ~seed)
        let node = try Self.node(workers: 1)
        try await node.start()
        let processes = try await RestlessProcesses(beside: node, workers: 1)
        var crashes = 0
        var restarts = 0
        do {
            try await processes.run {
                let storm = BookingStorm(node, gateway: processes.gateway, clients: 16, seed: seed)
                try await storm.wait(successes: 20)
                for round in 1...Self.rounds {
                    try await Loop.sleep(for: .milliseconds(.random(in: 0...250, using: &random)))
                    if round % 10 == 5 {
                        try await Self.restart(node)
                        restarts += 1
                    } else if Int.random(in: 0..<3, using: &random) > 0 {
                        try await processes.kill("bridge")
                    } else {
                        try await Self.crash(node)
                        crashes += 1
                    }
                    if round % 5 == 0 { try await storm.wait(successes: 5) }
                }
                try await storm.wait(successes: 20)
                try await storm.stop()
                try await storm.expectAgreement()
                try await storm.expectTruth()
            }
        } catch {
            Issue.record("STORM_SEED=\(seed), \(processes.kills): \(processes.log.suffix(2000))")
            throw error
        }
        #expect(processes.kills.values.reduce(0, +) + crashes + restarts == Self.rounds)
        #expect(crashes > 0 && processes.kills["bridge"] ?? 0 > 0, "STORM_SEED=\(seed)")
        #expect(processes.oddities == [], "STORM_SEED=\(seed)")
        #expect(try await node.stop().isSuccess)
    }

    /// Ends PostgreSQL as a whole; `drawbridge up` starts it again.
    @OnLoop private static func restart(_ node: Node) async throws {
        // One that still recovers from a crash may never come to an end.
        let (server, _) = try await postgreSQL(of: node)
        // A fast shutdown: whoever is connected is rolled back.
        kill(server, SIGINT)
        try await wait("another PostgreSQL runs", for: .seconds(60)) { try node.processID("postgresql") != server }
    }

    /// Kills one of PostgreSQL's processes, upon which the server ends all others and recovers from its log.
    @OnLoop private static func crash(_ node: Node) async throws {
        kill(try await postgreSQL(of: node).walWriter, SIGKILL)
    }

    /// The processes of a PostgreSQL that runs and has recovered.
    @OnLoop private static func postgreSQL(of node: Node) async throws -> (server: Int32, walWriter: Int32) {
        let server = try node.processID("postgresql")
        var found: Int32?
        try await wait("PostgreSQL is back", for: .seconds(60)) {
            found = Files.names(in: "/proc").lazy.compactMap { Int32($0) }.first { id in
                Files.text("/proc/\(id)/cmdline").hasPrefix("postgres: walwriter")
                    && Files.text("/proc/\(id)/stat").split(separator: " ").dropFirst(3).first == "\(server)"
            }
            return found != nil
        }
        return (server, try #require(found))
    }
}
