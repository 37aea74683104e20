import Glibc
import Loop
import Testing

@testable import RateLimit

@Suite struct RedisTests {
    private let limit = LimitClass(
        name: "limit", quota: Quota(burst: 20, requests: 1, per: .seconds(1000))!, partition: .principal)!

    init() { Loop.runInBackground() }

    @Test("Two gateways on one Redis let through one limit's worth, however many ask at once")
    @OnLoop func together() async throws {
        try await RedisServer.withTwo { _, store, other in
            let charge = limit.charge("a")
            let allowed = try await withThrowingTaskGroup(of: Bool.self) { group in
                for turn in 0..<200 {
                    group.addTask { try await (turn % 2 == 0 ? store : other).check([charge]).isAllowed }
                }
                var count = 0
                while let isAllowed = try await group.next() { count += isAllowed ? 1 : 0 }
                return count
            }
            #expect(allowed == 20)
        }
    }

    /// A class that each node's table has asked before.
    private let early = LimitClass(
        name: "early", quota: Quota(burst: 20, requests: 1, per: .seconds(1000))!, partition: .address)!

    @Test("What each node has counted before, two gateways count together; without Redis it is not charged twice")
    @OnLoop func countedBefore() async throws {
        try await RedisServer.withTwo { server, store, other in
            let directory = TemporaryDirectory()
            let nodes = try [store, other].enumerated().map { index, store in
                let table = try SharedTable(path: "\(directory.path)/\(index)", capacity: 64)
                return (table, Limiter(table: table, redis: store, fallback: .local))
            }
            let subject = Subject(principal: "p", address: AddressBlock("192.0.2.1"))
            let (before, after) = (early.charge(for: subject)!, limit.charge(for: subject)!)
            func isAllowed(_ node: Int, _ charges: [Charge] = []) async -> Bool {
                guard nodes[node].0.check([before]).isAllowed else { return false }
                guard case .decided(let verdict) = await nodes[node].1.check(charges, counted: [before]) else {
                    return false
                }
                return verdict.isAllowed
            }
            var allowed = 0
            for turn in 0..<30 where await isAllowed(turn % 2) { allowed += 1 }
            #expect(allowed == 20)

            try await server.kill()
            for store in [store, other] { try await store.becomes(available: false) }
            // Each node has counted fifteen, and five are left of its own limit's worth.
            allowed = 0
            for _ in 0..<10 where await isAllowed(0, [after]) { allowed += 1 }
            #expect(allowed == 5)
        }
    }

    @Test("While Redis is dead the policy decides; after its restart Redis does", arguments: Limiter.Fallback.allCases)
    @OnLoop func outage(fallback: Limiter.Fallback) async throws {
        try await RedisServer.with { server, store in
            let directory = TemporaryDirectory()
            let table = try SharedTable(path: directory.path + "/limits", capacity: 64)
            let limiter = Limiter(table: table, redis: store, fallback: fallback)
            #expect(await remaining(limiter) == 19)
            try await server.kill()
            try await store.becomes(available: false)
            let outcome = await limiter.check([limit.charge("a")])
            switch fallback {
            case .local: if case .decided(let verdict) = outcome { #expect(verdict.isAllowed) } else { Issue.record() }
            case .allow: #expect(outcome == .unlimited)
            case .deny: #expect(outcome == .unavailable)
            }
            try await server.start()
            try await store.becomes(available: true)
            #expect(await remaining(limiter) == 19)
        }
    }

    @OnLoop
    private func remaining(_ limiter: Limiter) async -> Int? {
        guard case .decided(let verdict) = await limiter.check([limit.charge("a")]) else { return nil }
        return verdict.tightest?.remaining
    }

    @Test("A Redis that hangs is waited for no longer than the deadline, and found again when it goes on")
    @OnLoop func hanging() async throws {
        try await RedisServer.with(callDeadline: .milliseconds(100)) { server, store in
            server.send(SIGSTOP)
            do {
                _ = try await store.check([limit.charge("a")])
                Issue.record("a stopped server answered")
            } catch {
                #expect((error as? RateLimitError)?.code == .timedOut)
            }
            server.send(SIGCONT)
            try await store.becomes(available: true)
        }
    }

    @Test("A Redis whose scripts were flushed is given the script again")
    @OnLoop func flushedScript() async throws {
        try await RedisServer.with { server, store in
            let flush = try ChildProcess(
                "/usr/bin/redis-cli", ["-s", server.socket, "script", "flush"], environment: [:],
                descriptors: [.null, .null, .null])
            #expect(try await flush.waitForExit().isSuccess)
            for left in [19, 18] {
                let verdict = try await store.check([limit.charge("a")])
                #expect(verdict.tightest?.remaining == left)
            }
        }
    }

    @Test("More calls than may wait are refused at once")
    @OnLoop func bound() async throws {
        try await RedisServer.with(maximumPending: 0) { _, store in
            await #expect(throws: RateLimitError.self) { try await store.check([limit.charge("a")]) }
        }
    }
}
