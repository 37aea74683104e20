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
        let next = commits.next()
        let commit = try #require(next)
        #expect(commit.batch.count == 2 && commit.needsSync)
        let written = commits.appended(10..<12)
        #expect(written.map(\.ticket) == [1] && written.map(\.sequence) == [10])
        let synced = commits.synced()
        #expect(synced.map(\.ticket) == [2] && synced.map(\.sequence) == [11])
    }

    @Test("What comes in during a commit makes up the next one")
    func grouping() throws {
        var commits = commits
        try Self.submit(&commits, 1, .written)
        let first = commits.next()
        #expect(first?.needsSync == false)
        try Self.submit(&commits, 2, .synced)
        try Self.submit(&commits, 3, .synced)
        let early = commits.next()
        #expect(early?.batch.count == nil)
        _ = commits.appended(0..<1)
        let second = commits.next()
        #expect(second?.batch.count == 2)
    }

    @Test("A failed append refuses all of its senders, a failed sync those who were not acknowledged")
    func failures() throws {
        var commits = commits
        try Self.submit(&commits, 1, .written)
        try Self.submit(&commits, 2, .synced)
        _ = commits.next()
        let unappended = commits.failed()
        #expect(unappended == [1, 2])
        try Self.submit(&commits, 3, .written)
        try Self.submit(&commits, 4, .synced)
        _ = commits.next()
        _ = commits.appended(0..<2)
        let unsynced = commits.failed()
        #expect(unsynced == [4])
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
        #expect(kept?.batch.count == 3)
    }
}
