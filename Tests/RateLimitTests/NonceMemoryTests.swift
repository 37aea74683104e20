import Loop
import Testing

@testable import RateLimit

@Suite("What may be said once")
struct NonceMemoryTests {
    private static let terms = NonceTable.Terms(reach: 60, skew: 0)
    private static let purpose = NonceMemory.Purpose("test-nonce", kind: 0, terms)

    private let directory = TemporaryDirectory()

    init() { Loop.runInBackground() }

    @OnLoop private func memory(
        _ name: String = "nonces", _ terms: NonceTable.Terms = terms, shared: RedisStore? = nil
    ) throws -> NonceMemory {
        NonceMemory(
            table: try NonceTable(path: "\(directory.path)/\(name)", capacity: 1024, terms: [terms]), shared: shared)
    }

    /// A time that the tables opened so far would remember.
    private var now: Int64 { Int64(Loop.unixTime) + 1 }

    @Test("Two machines with one Redis accept a nonce once, whichever is asked first")
    @OnLoop func sharedNonce() async throws {
        try await RedisServer.with { server, store in
            let other = RedisStore(server.configuration)
            let keeper = Task { await other.run() }
            defer { keeper.cancel() }
            try await other.becomes(available: true)
            let (left, right) = (try memory("left", shared: store), try memory("right", shared: other))
            for (first, second) in [(left, right), (right, left)] {
                let nonce = "nonce \(first === left)"
                #expect(await first.claim(nonce, for: Self.purpose, madeAt: now) == .fresh)
                #expect(await second.claim(nonce, for: Self.purpose, madeAt: now) == .repeatedElsewhere)
                #expect(await second.claim(nonce, for: Self.purpose, madeAt: now) == .repeated)
                #expect(await first.claim(nonce, for: Self.purpose, madeAt: now) == .repeated)
            }
            // What one knows under one name has nothing to do with another.
            let webhook = NonceMemory.Purpose("other-nonce", for: .seconds(60))
            #expect(await right.claim("shared", for: Self.purpose, madeAt: now) == .fresh)
            #expect(await left.claim("shared", for: webhook, madeAt: nil) == .fresh)
        }
    }

    @Test("Of many that say one nonce to two machines at once, at most one is believed")
    @OnLoop func race() async throws {
        try await RedisServer.with { server, store in
            let other = RedisStore(server.configuration)
            let keeper = Task { await other.run() }
            defer { keeper.cancel() }
            try await other.becomes(available: true)
            let memories = [try memory("left", shared: store), try memory("right", shared: other)]
            let madeAt = now
            for round in 0..<50 {
                let fresh = await withTaskGroup(of: Bool.self) { group in
                    for memory in memories + memories {
                        group.addTask {
                            await memory.claim("round \(round)", for: Self.purpose, madeAt: madeAt) == .fresh
                        }
                    }
                    var count = 0
                    while let isFresh = await group.next() { count += isFresh ? 1 : 0 }
                    return count
                }
                #expect(fresh == 1)
            }
        }
    }

    @Test("While Redis is away nothing is believed")
    @OnLoop func withoutRedis() async throws {
        try await RedisServer.with { server, store in
            let memory = try memory(shared: store)
            try await server.kill()
            try await store.becomes(available: false)
            #expect(await memory.claim("nonce", for: Self.purpose, madeAt: now) == .unavailable)
        }
    }

    @Test("What was made before longer terms were agreed on is unknown; what is made after it is not")
    @OnLoop func longerTerms() async throws {
        let before = Int64(Loop.unixTime) - 10
        // The table of a node that has been up for long.
        let start = Loop.monotonicNanoseconds - 3_600_000_000_000
        _ = try NonceTable(path: "\(directory.path)/nonces", capacity: 1024, terms: [Self.terms]) { start }
        #expect(await (try memory()).claim("a", for: Self.purpose, madeAt: before) == .fresh)
        let longer = NonceTable.Terms(reach: 3600, skew: 0)
        let purpose = NonceMemory.Purpose("test-nonce", kind: 0, longer)
        let memory = try memory("nonces", longer)
        #expect(await memory.claim("b", for: purpose, madeAt: before) == .unknown)
        #expect(await memory.claim("b", for: purpose, madeAt: now) == .fresh)
    }
}
