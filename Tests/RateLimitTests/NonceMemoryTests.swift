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
        try await RedisServer.withTwo { _, store, other in
            let (left, right) = (try memory("left", shared: store), try memory("right", shared: other))
            for (first, second) in [(left, right), (right, left)] {
                let nonce = "nonce \(first === left)"
                #expect(await first.claim(nonce, for: Self.purpose, madeAt: now).isFresh)
                for _ in 0..<2 {
                    #expect(await second.claim(nonce, for: Self.purpose, madeAt: now) == .repeatedElsewhere)
                }
                #expect(await first.claim(nonce, for: Self.purpose, madeAt: now) == .repeated)
            }
            // What one knows under one name has nothing to do with another.
            let webhook = NonceMemory.Purpose("other-nonce", for: .seconds(60))
            #expect(await right.claim("shared", for: Self.purpose, madeAt: now).isFresh)
            #expect(await left.claim("shared", for: webhook, madeAt: nil).isFresh)
        }
    }

    @Test("Of many that say one nonce to two machines at once, at most one is believed")
    @OnLoop func race() async throws {
        try await RedisServer.withTwo { _, store, other in
            let memories = [try memory("left", shared: store), try memory("right", shared: other)]
            let madeAt = now
            for round in 0..<50 {
                let fresh = await withTaskGroup(of: Bool.self) { group in
                    for memory in memories + memories {
                        group.addTask {
                            await memory.claim("round \(round)", for: Self.purpose, madeAt: madeAt).isFresh
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

    @Test("While Redis is away nothing is believed, and nothing is spent")
    @OnLoop func withoutRedis() async throws {
        try await RedisServer.with { server, store in
            let memory = try memory(shared: store)
            try await server.kill()
            try await store.becomes(available: false)
            for _ in 0..<2 { #expect(await memory.claim("nonce", for: Self.purpose, madeAt: now) == .unavailable) }
            try await server.start()
            try await store.becomes(available: true)
            #expect(await memory.claim("nonce", for: Self.purpose, madeAt: now).isFresh)
            #expect(await memory.claim("nonce", for: Self.purpose, madeAt: now) == .repeated)
        }
    }

    @Test("What a machine gives back any machine may have, also one that was refused it before; once")
    @OnLoop func givingBack() async throws {
        try await RedisServer.withTwo { _, store, other in
            let (left, right) = (try memory("left", shared: store), try memory("right", shared: other))
            for (first, second) in [(left, left), (left, right), (right, left)] {
                let nonce = "nonce \(Loop.monotonicNanoseconds)"
                let claimed = try #require(await first.claim(nonce, for: Self.purpose, madeAt: now).nonce)
                #expect(!(await second.claim(nonce, for: Self.purpose, madeAt: now).isFresh))
                await claimed.giveBack()
                #expect(await second.claim(nonce, for: Self.purpose, madeAt: now).isFresh)
                // Neither a second time, nor by whoever has nothing to give back any more.
                await claimed.giveBack()
                for memory in [left, right] {
                    #expect(!(await memory.claim(nonce, for: Self.purpose, madeAt: now).isFresh))
                }
            }
        }
    }

    @Test("In Redis a nonce is remembered for its time and no longer")
    @OnLoop func forgetting() async throws {
        try await RedisServer.with { _, store in
            let brief = NonceMemory.Purpose("brief-nonce", for: .milliseconds(200))
            let memories = [try memory("left", shared: store), try memory("right", shared: store)]
            #expect(await memories[0].claim("nonce", for: brief, madeAt: nil).isFresh)
            try await Loop.withDeadline(.seconds(10), "wait for the end of its time") {
                while await !memories[1].claim("nonce", for: brief, madeAt: nil).isFresh {
                    try await Loop.sleep(for: .milliseconds(5))
                }
            }
            #expect(!(await memories[0].claim("nonce", for: brief, madeAt: nil).isFresh))
        }
    }

    @Test("What was made before longer terms were agreed on is unknown; what is made after it is not")
    @OnLoop func longerTerms() async throws {
        let before = Int64(Loop.unixTime) - 10
        // The table of a node that has been up for long.
        let start = Loop.monotonicNanoseconds - 3_600_000_000_000
        _ = try NonceTable(path: "\(directory.path)/nonces", capacity: 1024, terms: [Self.terms]) { start }
        #expect(await (try memory()).claim("a", for: Self.purpose, madeAt: before).isFresh)
        let longer = NonceTable.Terms(reach: 3600, skew: 0)
        let purpose = NonceMemory.Purpose("test-nonce", kind: 0, longer)
        let memory = try memory("nonces", longer)
        #expect(await memory.claim("b", for: purpose, madeAt: before) == .unknown)
        #expect(await memory.claim("b", for: purpose, madeAt: now).isFresh)
    }
}

extension NonceMemory.Claim {
    /// What was not said before.
    fileprivate var nonce: ClaimedNonce? { if case .fresh(let nonce) = self { nonce } else { nil } }
    fileprivate var isFresh: Bool { nonce != nil }
}
