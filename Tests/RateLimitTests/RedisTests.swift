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
        try await RedisServer.with { server, store in
            let other = RedisStore(server.configuration)
            let keeper = Task { await other.run() }
            try await other.becomes(available: true)
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
            keeper.cancel()
            _ = await keeper.value
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
