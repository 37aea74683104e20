import Testing

@testable import Ledger

@Suite("Group commit")
struct GroupCommitTests {
    private var commits = GroupCommit<Int>(recordBound: 3)

    private static func submit(
        _ commits: inout GroupCommit<Int>, _ ticket: Int, _ durability: Durability
    ) throws(LedgerError) {
        try commits.submit("{}".utf8.span, durability: durability, ticket: ticket)
    }

    @Test("Written records are acknowledged by the append, synced ones by the sync")
    func levels() throws {
        var commits = commits
        try Self.submit(&commits, 1, .written)
        try Self.submit(&commits, 2, .synced)
        let batch = commits.next()
        #expect(batch?.count == 2 && !commits.awaitsSync)
        let written = commits.appended(10..<12)
        #expect(written.map(\.ticket) == [1] && written.map(\.sequence) == [10])
        #expect(commits.awaitsSync)
        let synced = commits.synced(12)
        #expect(synced.map(\.ticket) == [2] && synced.map(\.sequence) == [11])
        #expect(!commits.awaitsSync)
    }

    @Test("While some wait for the disk others are appended; a flush serves those that it covers")
    func beside() throws {
        var commits = commits
        try Self.submit(&commits, 1, .synced)
        _ = commits.next()
        _ = commits.appended(0..<1)
        // The flush of the first record is under way.
        try Self.submit(&commits, 2, .written)
        try Self.submit(&commits, 3, .synced)
        let second = commits.next()
        #expect(second?.count == 2)
        let written = commits.appended(1..<3)
        #expect(written.map(\.ticket) == [2])
        let first = commits.synced(1)
        #expect(first.map(\.ticket) == [1])
        #expect(commits.awaitsSync)
        let next = commits.synced(3)
        #expect(next.map(\.ticket) == [3])
    }

    @Test("What comes in while a batch is appended makes up the next one")
    func grouping() throws {
        var commits = commits
        try Self.submit(&commits, 1, .written)
        let first = commits.next()
        #expect(first?.count == 1)
        try Self.submit(&commits, 2, .synced)
        try Self.submit(&commits, 3, .synced)
        let early = commits.next()
        #expect(early?.count == nil)
        _ = commits.appended(0..<1)
        let second = commits.next()
        #expect(second?.count == 2)
    }

    @Test("A failed append refuses its own senders, a failed sync those who wait for one")
    func failures() throws {
        var commits = commits
        try Self.submit(&commits, 1, .written)
        try Self.submit(&commits, 2, .synced)
        _ = commits.next()
        _ = commits.appended(0..<2)
        try Self.submit(&commits, 3, .synced)
        _ = commits.next()
        let unappended = commits.refuseBatch()
        #expect(unappended == [3])
        let unsynced = commits.refuseUnsynced()
        #expect(unsynced == [2])
        try Self.submit(&commits, 4, .synced)
        let last = commits.next()
        #expect(last?.count == 1)
    }

    @Test("Records that wait for the disk count as those do that wait to be appended")
    func unsyncedBound() throws {
        var commits = commits
        for ticket in 1...3 { try Self.submit(&commits, ticket, .synced) }
        _ = commits.next()
        _ = commits.appended(0..<3)
        #expect(!commits.hasRoom)
        do {
            try Self.submit(&commits, 4, .written)
            Issue.record("was taken in")
        } catch { #expect(error.code == .overloaded) }
        _ = commits.synced(3)
        try Self.submit(&commits, 4, .written)
    }

    @Test("More records than may wait are refused, and the others kept")
    func bound() throws {
        var commits = commits
        for ticket in 1...3 { try Self.submit(&commits, ticket, .written) }
        do {
            try Self.submit(&commits, 4, .written)
            Issue.record("was taken in")
        } catch { #expect(error.code == .overloaded) }
        let kept = commits.next()
        #expect(kept?.count == 3)
    }
}
