import Glibc
import Loop
import Synchronization
import Testing

@testable import RateLimit

@Suite("Nonces")
struct NonceTableTests {
    private final class Clock: Sendable {
        let now = Mutex<UInt64>(1_000_000_000_000)
        func advance(_ seconds: UInt64) { now.withLock { $0 += seconds * 1_000_000_000 } }
        var read: @Sendable () -> UInt64 { { self.now.withLock { $0 } } }
    }

    private let path = "/tmp/drawbridge-nonces-\(UInt64.random(in: 0 ... .max))"
    private let clock = Clock()

    private func table(_ capacity: Int = 1024, _ terms: NonceTable.Terms...) throws -> NonceTable {
        try NonceTable(path: path, capacity: capacity, terms: terms, clock: clock.read)
    }

    private static let short = NonceTable.Terms(reach: 305, skew: 5)
    private static let long = NonceTable.Terms(reach: 3605, skew: 5)
    private static let second: UInt64 = 1_000_000_000

    private func remove() {
        unlink(path)
        unlink(path + ".lock")
    }

    @Test("A nonce is fresh once, until its time is over, for everybody who has opened the table")
    func once() throws {
        defer { remove() }
        let (one, other) = (try table(), try table())
        #expect(one.claim(Array("a".utf8), for: .seconds(10)) == .fresh)
        #expect(one.claim(Array("a".utf8), for: .seconds(10)) == .repeated)
        #expect(other.claim(Array("a".utf8), for: .seconds(10)) == .repeated)
        #expect(other.claim(Array("b".utf8), for: .seconds(10)) == .fresh)
        clock.advance(9)
        #expect(other.claim(Array("a".utf8), for: .seconds(10)) == .repeated)
        clock.advance(1)
        #expect(other.claim(Array("a".utf8), for: .seconds(10)) == .fresh)
        #expect(one.claim(Array("a".utf8), for: .seconds(10)) == .repeated)
    }

    @Test("A full table claims nothing, forgets nothing, and has room again in time")
    func full() throws {
        defer { remove() }
        let table = try table(64)
        var claimed: [[UInt8]] = []
        var refused = 0
        for number in 0..<1000 {
            let nonce = Array("\(number)".utf8)
            switch table.claim(nonce, for: .seconds(10)) {
            case .fresh: claimed.append(nonce)
            case .full: refused += 1
            case .repeated: Issue.record("never said before")
            }
        }
        #expect(claimed.count <= 64 && claimed.count > 32 && refused == 1000 - claimed.count)
        for nonce in claimed { #expect(table.claim(nonce, for: .seconds(10)) == .repeated) }
        clock.advance(11)
        #expect(table.claim(Array("more".utf8), for: .seconds(10)) == .fresh)
    }

    @Test("The table knows since when it remembers, and who opens it later knows it too")
    func since() throws {
        defer { remove() }
        let begin = clock.read()
        let first = try table(1024, Self.short)
        clock.advance(100)
        let second = try table(1024, Self.short)
        // What was made by a clock ahead may have been claimed before it was made.
        #expect(first.since == [begin + 5 * Self.second] && second.since == first.since)
        // Another size is another table, which remembers nothing of before.
        let third = try table(4096, Self.short)
        #expect(third.since == [begin + 105 * Self.second])
    }

    @Test("With longer terms a kind begins anew, with shorter ones it does not, and another kind never")
    func longerTerms() throws {
        defer { remove() }
        let begin = clock.read() + 5 * Self.second
        #expect(try table(1024, Self.short, Self.short).since == [begin, begin])
        clock.advance(1000)
        let renewed = begin + 1000 * Self.second
        #expect(try table(1024, Self.long, Self.short).since == [renewed, begin])
        clock.advance(1000)
        #expect(try table(1024, Self.short, Self.short).since == [renewed, begin])
        #expect(try table(1024, Self.long, Self.short).since == [renewed, begin])
        // The clocks that the terms before allowed may be further ahead.
        _ = try table(1024, .init(reach: 3000, skew: 60))
        #expect(try table(1024, .init(reach: 3700, skew: 5)).since == [clock.read() + 60 * Self.second])
    }

    @Test("Who has opened the table with shorter terms claims for as long as the longest ask")
    func claimsForLonger() throws {
        defer { remove() }
        let old = try table(1024, Self.short, Self.short)
        #expect(old.claim(Array("before".utf8), of: 0, skew: 5) == .fresh)
        let new = try table(1024, Self.long, Self.short)
        #expect(old.claim(Array("after".utf8), of: 0, skew: 5) == .fresh)
        #expect(old.claim(Array("other kind".utf8), of: 1, skew: 5) == .fresh)
        clock.advance(309)
        for nonce in ["before", "other kind"] { #expect(new.claim(Array(nonce.utf8), of: 1, skew: 5) == .repeated) }
        clock.advance(1)
        // Forgotten: what was made before `since` is refused as unknown.
        for nonce in ["before", "other kind"] { #expect(new.claim(Array(nonce.utf8), of: 1, skew: 5) == .fresh) }
        clock.advance(3299)
        #expect(new.claim(Array("after".utf8), of: 0, skew: 5) == .repeated)
        clock.advance(1)
        #expect(new.claim(Array("after".utf8), of: 0, skew: 5) == .fresh)
    }

    @Test("Of many that claim one nonce at the same time at most one has it")
    func race() async throws {
        defer { remove() }
        let tables = try (0..<4).map { _ in try table(65_536) }
        for round in 0..<500 {
            let nonce = Array("round \(round)".utf8)
            let fresh = await withTaskGroup(of: Bool.self) { group in
                for table in tables { group.addTask { table.claim(nonce, for: .seconds(10)) == .fresh } }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(fresh <= 1)
            #expect(tables[0].claim(nonce, for: .seconds(10)) == .repeated)
        }
    }
}
