import PMS
import TestSupport
import Testing

/// A log in a database, as far as snapshots go: who runs, what has been committed.
private struct Log {
    private struct Transaction {
        let number: UInt64
        var rows: [Int64] = []
    }

    private var running: [Transaction] = []
    private var nextTransaction: UInt64 = 700
    /// The highest that has ended.
    private var lastEnded: UInt64 = 699
    private var nextRow: Int64 = 1
    private(set) var committed: Set<Int64> = []

    /// What PostgreSQL's snapshots say: beyond the last transaction that has ended they know of none, whoever runs there.
    var firstRunning: UInt64 { min(lastEnded + 1, running.map(\.number).min() ?? .max) }

    /// A transaction of the reader's own, which does nothing.
    mutating func ownTransaction() -> UInt64 {
        defer { nextTransaction += 1 }
        lastEnded = max(lastEnded, nextTransaction)
        return nextTransaction
    }

    mutating func begin() {
        running.append(Transaction(number: nextTransaction))
        nextTransaction += 1
    }

    mutating func write(using generator: inout some RandomNumberGenerator) {
        guard let index = running.indices.randomElement(using: &generator) else { return }
        running[index].rows.append(nextRow)
        nextRow += 1
    }

    mutating func end(using generator: inout some RandomNumberGenerator) {
        guard let index = running.indices.randomElement(using: &generator) else { return }
        let transaction = running.remove(at: index)
        lastEnded = max(lastEnded, transaction.number)
        if Bool.random(using: &generator) { committed.formUnion(transaction.rows) }
    }

    /// Whether nobody writes any more.
    var isQuiet: Bool { running.isEmpty }

    /// What a statement finds.
    func read(_ position: ChangeLogPosition, atMost bound: Int) -> (rows: [Int64], isComplete: Bool) {
        let found = committed.filter { row in
            row > position.highest || position.missing.contains { $0.contains(row) }
        }.sorted()
        return (Array(found.prefix(bound)), found.count < bound)
    }
}

@Suite("Position in a change log")
struct ChangeLogPositionTests {
    @Test("A number that is missing is looked for until everybody has ended who may have it")
    func gap() {
        var position = ChangeLogPosition(after: 10)
        position.advance([11, 14], isComplete: true, firstRunning: 5)
        #expect(position.missing == [12...13])
        #expect(position.resumePoint == 11)
        // Who may have them is not known: they are looked for whoever has ended.
        #expect(position.isUnbound)
        position.advance([], isComplete: true, firstRunning: 100)
        #expect(position.missing == [12...13])
        position.bound(before: 108)
        #expect(!position.isUnbound)
        position.advance([13, 15], isComplete: true, firstRunning: 107)
        #expect(position.missing == [12...12])
        #expect(position.resumePoint == 11)
        // 107 still ran then; whoever has begun since cannot have 12.
        position.advance([], isComplete: true, firstRunning: 108)
        #expect(position.missing == [])
        #expect(position.resumePoint == 15)
    }

    @Test("What a full page does not reach is not given up")
    func fullPage() {
        var position = ChangeLogPosition(after: 0)
        position.advance([5, 9], isComplete: true, firstRunning: 3)
        #expect(position.missing == [1...4, 6...8])
        position.bound(before: 4)
        // Everybody has ended, and the page held two rows: 7 and 8 may be there.
        position.advance([2, 6], isComplete: false, firstRunning: 4)
        #expect(position.missing == [7...8])
        position.advance([8], isComplete: true, firstRunning: 4)
        #expect(position.missing == [])
        #expect(position.resumePoint == 9)
    }

    @Test("Each committed row is found once, and none is passed over", arguments: 1...100 as ClosedRange<UInt64>)
    func histories(seed: UInt64) {
        var generator = SeededNumbers(seed: seed)
        var log = Log()
        var position = ChangeLogPosition(after: 0)
        var found: [Int64] = []
        func read(atMost bound: Int) -> Bool {
            let (rows, isComplete) = log.read(position, atMost: bound)
            found += rows
            position.advance(rows, isComplete: isComplete, firstRunning: log.firstRunning)
            // Meanwhile others go on.
            for _ in 0..<Int.random(in: 0...3, using: &generator) { log.write(using: &generator) }
            if Bool.random(using: &generator) { log.begin() }
            if Bool.random(using: &generator) { log.end(using: &generator) }
            if position.isUnbound { position.bound(before: log.ownTransaction()) }
            // A restart would go on from here.
            #expect(log.committed.filter { $0 <= position.resumePoint }.isSubset(of: found))
            return isComplete
        }
        for _ in 0..<400 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<2: log.begin()
            case 2..<6: log.write(using: &generator)
            case 6..<8: log.end(using: &generator)
            default: _ = read(atMost: .random(in: 1...9, using: &generator))
            }
        }
        for _ in 0..<1000 {
            log.end(using: &generator)
            if log.isQuiet, position.missing.isEmpty, Set(found) == log.committed { break }
            _ = read(atMost: 7)
        }
        #expect(found.count == Set(found).count)
        #expect(Set(found) == log.committed)
        #expect(position.missing == [])
    }
}
