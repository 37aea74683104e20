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

    private func table(_ capacity: Int = 1024) throws -> NonceTable {
        try NonceTable(path: path, capacity: capacity, clock: clock.read)
    }

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
        let first = try table()
        clock.advance(100)
        let second = try table()
        #expect(first.since == begin && second.since == begin)
        // Another size is another table, which remembers nothing of before.
        let third = try table(4096)
        #expect(third.since == begin + 100_000_000_000)
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
