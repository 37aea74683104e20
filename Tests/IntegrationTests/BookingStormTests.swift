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
        let seed = getenv("STORM_SEED").flatMap { UInt64(String(cString: $0)) } ?? .random(in: 0 ... .max)
        print("STORM_SEED=\(seed)")
        return seed
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

    /// When PostgreSQL was started; nil where it is not there.
    @OnLoop private static func since(_ node: Node) async throws -> String? {
        let answer = try await Files.run(
            ["psql", "-XAtq", "-d", try node.variable("DATABASE_URL"), "-c", "SELECT pg_postmaster_start_time()"])
        return answer.exit.isSuccess ? answer.output : nil
    }

    /// How PostgreSQL ends: killed, by an immediate shutdown, by a fast one. After the first two it recovers from its log.
    private static let endings = [SIGKILL, SIGQUIT, SIGINT]

    @Test(
        "50 times the bridge is killed and PostgreSQL restarted: what was answered is there, and nothing else",
        .timeLimit(.minutes(10)))
    @OnLoop func chaos() async throws {
        let seed = Self.seed()
        var random = SeededNumbers(seed: ~seed)
        let node = try Self.node(workers: 1)
        try await node.start()
        let processes = try await RestlessProcesses(inPlaceOf: node, workers: 1)
        do {
            try await processes.run {
                let storm = BookingStorm(node, gateway: processes.gateway, clients: 16, seed: seed)
                try await storm.wait(successes: 20)
                var since = try await Self.since(node)
                for _ in 1...Self.rounds {
                    // Each at its moment, so that each falls into the other's absence and return as well.
                    let victims = [("bridge", SIGKILL), ("postgresql", Self.endings.randomElement(using: &random)!)]
                    let moments = victims.map { _ in Int.random(in: 0...250, using: &random) }
                    _ = try await concurrently(Array(zip(victims, moments))) { victim, moment in
                        try await Loop.sleep(for: .milliseconds(moment))
                        try await processes.kill(victim.0, by: victim.1)
                    }
                    // Sessions of a postmaster that was killed finish what they have begun: successes alone do not show that
                    // there is another.
                    let before = since
                    try await wait("PostgreSQL is back") { try await Self.since(node).map { $0 != before } ?? false }
                    since = try await Self.since(node)
                    try await storm.wait(successes: 10)
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
        #expect(processes.kills == ["bridge": Self.rounds, "postgresql": Self.rounds])
        let starts = processes.log.split(separator: "\n").count {
            $0.contains("database system is ready to accept connections")
        }
        #expect(starts > Self.rounds)
        #expect(processes.oddities == [], "STORM_SEED=\(seed)")
    }
}
