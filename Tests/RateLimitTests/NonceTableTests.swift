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

    /// Who have a nonce now, and how many have at most.
    private final class Holders: Sendable {
        let now = Atomic(0)
        let most = Atomic(0)
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
        #expect(one.claim(Array("a".utf8), for: .seconds(10)).isFresh)
        #expect(one.claim(Array("a".utf8), for: .seconds(10)) == .repeated)
        #expect(other.claim(Array("a".utf8), for: .seconds(10)) == .repeated)
        #expect(other.claim(Array("b".utf8), for: .seconds(10)).isFresh)
        clock.advance(9)
        #expect(other.claim(Array("a".utf8), for: .seconds(10)) == .repeated)
        clock.advance(1)
        #expect(other.claim(Array("a".utf8), for: .seconds(10)).isFresh)
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
        #expect(table.claim(Array("more".utf8), for: .seconds(10)).isFresh)
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
        #expect(old.claim(Array("before".utf8), of: 0, skew: 5).isFresh)
        let new = try table(1024, Self.long, Self.short)
        #expect(old.claim(Array("after".utf8), of: 0, skew: 5).isFresh)
        #expect(old.claim(Array("other kind".utf8), of: 1, skew: 5).isFresh)
        clock.advance(309)
        for nonce in ["before", "other kind"] { #expect(new.claim(Array(nonce.utf8), of: 1, skew: 5) == .repeated) }
        clock.advance(1)
        // Forgotten: what was made before `since` is refused as unknown.
        for nonce in ["before", "other kind"] { #expect(new.claim(Array(nonce.utf8), of: 1, skew: 5).isFresh) }
        clock.advance(3299)
        #expect(new.claim(Array("after".utf8), of: 0, skew: 5) == .repeated)
        clock.advance(1)
        #expect(new.claim(Array("after".utf8), of: 0, skew: 5).isFresh)
    }

    @Test("Of many that claim one nonce at the same time at most one has it")
    func race() async throws {
        defer { remove() }
        let tables = try (0..<4).map { _ in try table(65_536) }
        for round in 0..<500 {
            let nonce = Array("round \(round)".utf8)
            let fresh = await withTaskGroup(of: Bool.self) { group in
                for table in tables { group.addTask { table.claim(nonce, for: .seconds(10)).isFresh } }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(fresh <= 1)
            // Where all gave up, nobody has it.
            #expect(tables[0].claim(nonce, for: .seconds(10)).isFresh == (fresh == 0))
        }
    }

    @Test("What is given back is fresh once more, for everybody, and nothing else is given back with it")
    func givingBack() throws {
        defer { remove() }
        let (one, other) = (try table(), try table())
        let (nonce, second) = (Array("a".utf8), Array("b".utf8))
        #expect(other.claim(second, for: .seconds(10)).isFresh)
        let place = try #require(one.claim(nonce, for: .seconds(10)).place)
        #expect(other.claim(nonce, for: .seconds(10)) == .repeated)
        one.giveBack(place)
        clock.advance(1)
        #expect(other.claim(nonce, for: .seconds(10)).isFresh)
        // It is another's now, and who had it before takes nothing from him.
        one.giveBack(place)
        for nonce in [nonce, second] { #expect(one.claim(nonce, for: .seconds(10)) == .repeated) }
    }

    @Test("Who gives back after its time leaves alone whoever has it by then")
    func givingBackLate() throws {
        defer { remove() }
        let table = try table()
        let place = try #require(table.claim([1], for: .seconds(10)).place)
        clock.advance(10)
        #expect(table.claim([1], for: .seconds(10)).isFresh)
        table.giveBack(place)
        #expect(table.claim([1], for: .seconds(10)) == .repeated)
    }

    @Test("However many claim a nonce and give it back, it is never two's at the same time")
    func racingGiveBack() async throws {
        defer { remove() }
        let tables = try (0..<4).map { _ in try table(64) }
        let holders = Holders()
        await withTaskGroup(of: Void.self) { group in
            for table in tables {
                group.addTask {
                    for turn in 0..<20_000 {
                        // Others come and go in the cells around it.
                        if case .fresh(let place) = table.claim([UInt8(turn % 200)], for: .seconds(10)) {
                            table.giveBack(place)
                        }
                        guard case .fresh(let place) = table.claim(Array("a".utf8), for: .seconds(10)) else { continue }
                        holders.most.max(holders.now.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
                        holders.now.subtract(1, ordering: .relaxed)
                        table.giveBack(place)
                    }
                }
            }
        }
        #expect(holders.most.load(ordering: .relaxed) == 1)
        #expect(tables[0].claim(Array("a".utf8), for: .seconds(10)).isFresh)
    }
}

extension NonceTable.Claim {
    /// Where it stands, if it was not said before.
    fileprivate var place: NonceTable.Place? { if case .fresh(let place) = self { place } else { nil } }
    fileprivate var isFresh: Bool { place != nil }
}
