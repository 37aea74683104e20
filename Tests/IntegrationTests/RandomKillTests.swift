import Glibc
import JSONText
import Ledger
import Loop
import TestSupport
import Testing

/// Real processes, real database; who is killed and when is drawn from a seed, which a failure tells. `KILL_SEED` sets
/// it.
@Suite("Kills at random", .serialized)
struct RandomKillTests {
    init() { Loop.runInBackground() }

    private static let kills = 200
    /// By how often they are drawn: the ledger is what this is about.
    private static let victims = ["ledger", "ledger", "ledger", "bridge", "bridge", "gateway-0", "gateway-1"]

    @Test("Whoever is killed, 200 times, nothing is forwarded and nothing answered that the ledger does not tell of")
    @OnLoop func everybody() async throws {
        let seed = getenv("KILL_SEED").flatMap { UInt64(String(cString: $0)) } ?? .random(in: 0 ... .max)
        var random = SeededNumbers(seed: seed)
        let node = try Node(workers: 1)
        try await node.start()
        let processes = try await RestlessProcesses(beside: node, workers: 2)
        let load = try Load(node, gateway: processes.gateway)
        do {
            try await processes.run {
                try await load.wait(answers: 20, status: 201)
                for number in 1...Self.kills {
                    try await Loop.sleep(for: .milliseconds(.random(in: 0...250, using: &random)))
                    try await processes.kill(Self.victims.randomElement(using: &random)!)
                    // Time to do something that can go wrong.
                    if number % 10 == 0 { try await load.wait(answers: 10, status: 201) }
                }
                try await load.wait(answers: 20, status: 201)
                try await load.stop()
            }
        } catch {
            Issue.record("KILL_SEED=\(seed), \(processes.kills), \(processes.oddities): \(processes.log.suffix(2000))")
            throw error
        }
        let story: Comment = "KILL_SEED=\(seed), \(processes.kills)"
        #expect(processes.kills.values.reduce(0, +) == Self.kills)
        #expect(processes.oddities == [], story)
        try await expectAllTold(load, node, processes, story)
        #expect(try await node.stop().isSuccess)
    }

    @OnLoop
    private func expectAllTold(
        _ load: Load, _ node: Node, _ processes: RestlessProcesses, _ story: Comment
    ) async throws {
        let verified = try await InstallationLedger.verify(home: processes.home)
        #expect(verified.isSuccess, "\(story): \(verified.output)")
        let ledger = try InstallationLedger(home: processes.home)
        #expect(ledger.report.finding == nil, story)
        #expect(ledger.report.unsignedCount == 0, story)

        // What went to the bridge to change something was decided before, and still is.
        let changes = processes.crossing.passages.filter(\.changesSomething)
        #expect(changes.count >= load.booked.count && load.booked.count > Self.kills, story)
        #expect(changes.filter { !$0.wasDecided }.map(\.id) == [], story)
        #expect(changes.filter { !ledger.allows($0.id, "createBooking") }.map(\.id) == [], story)

        // What is booked was forwarded by a request that the ledger knows.
        let askedFor = Dictionary(grouping: changes) { $0.engineID }
        let booked = try await node.rows(
            "SELECT booking_engine_id FROM drawbridge.bookings WHERE booking_engine_id LIKE '\(load.name)-%'")
        #expect(booked.count >= load.booked.count, story)
        let untold = booked.filter { row in
            !(askedFor[row[0]] ?? []).contains { ledger.allows($0.id, "createBooking") }
        }
        #expect(untold == [], story)
        try await load.expectConsistency()

        // What was answered is told, unless the answer is that it cannot be; that was not forwarded, then. A read may
        // be, while its record is on its way: the answer waits for it.
        let answered = Set(load.requestIDs).subtracting(load.unrecordedIDs)
        #expect(answered.filter { ledger.decision($0) == nil } == [], story)
        #expect(Set(load.unrecordedIDs).intersection(changes.map(\.id)) == [], story)
        #expect(load.oddities == [], story)
    }
}
