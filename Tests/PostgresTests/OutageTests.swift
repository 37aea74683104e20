import Loop
import Postgres
import TestSupport
import Testing

private enum Probe {
    static let one = Statement<Int>("outage.one", "SELECT 1::int8") { row in try row.next() }
}

@OnLoop
private final class Tally {
    var successes = 0
    var failures: [PostgresError.Code] = []
    var longest: UInt64 = 0
}

@Suite(.timeLimit(.minutes(1))) struct OutageTests {
    @Test(
        "A server killed and started again under load: calls fail clearly, none hangs, all recover",
        .timeLimit(.minutes(1)))
    func killed() async throws {
        Loop.runInBackground()
        let cluster = try await Cluster()
        var configuration = cluster.configuration()
        configuration.waitDeadline = .milliseconds(300)
        try await Database.with(configuration) { database in
            let tally = Tally()
            let load = Task { await self.load(database, tally) }
            while tally.successes < 200 { try await Loop.sleep(for: .milliseconds(5)) }
            try await cluster.kill()
            while tally.failures.count < 200 { try await Loop.sleep(for: .milliseconds(5)) }
            try await cluster.start()
            let before = tally.successes
            while tally.successes < before + 2000 { try await Loop.sleep(for: .milliseconds(5)) }
            load.cancel()
            await load.value
            let unclear = tally.failures.filter {
                ![.unavailable, .connectionLost, .timedOut, .cancelled].contains($0)
            }
            #expect(unclear.isEmpty)
            // A hundred times what a call may wait for a connection: none was lost.
            #expect(tally.longest < 30_000_000_000)
        }
        try await cluster.end()
    }

    @OnLoop
    private func load(_ database: Database, _ tally: Tally) async {
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask { await self.call(database, tally, inTransaction: number % 4 == 0) }
            }
        }
    }

    @OnLoop
    private func call(_ database: Database, _ tally: Tally, inTransaction: Bool) async {
        while !Task.isCancelled {
            let began = Loop.monotonicNanoseconds
            let problem = await failure {
                if inTransaction {
                    try await database.transaction { _ = try await $0.query(Probe.one()) }
                } else {
                    _ = try await database.query(Probe.one())
                }
            }
            tally.longest = max(tally.longest, Loop.monotonicNanoseconds - began)
            if let problem { tally.failures.append(problem) } else { tally.successes += 1 }
            try? await Loop.sleep(for: .milliseconds(1))
        }
    }

    @Test("Without a server, calls fail as unavailable, the first and the later ones")
    func away() async throws {
        Loop.runInBackground()
        var configuration = DatabaseConfiguration("host=/nonexistent", name: "away")
        configuration.waitDeadline = .milliseconds(100)
        try await Database.with(configuration) { database in
            let first = await failure { _ = try await database.query(Probe.one()) }
            #expect(first == .unavailable)
            try await Loop.sleep(for: .milliseconds(100))
            let second = await failure { _ = try await database.begin() }
            #expect(second == .unavailable)
        }
    }

    @Test("Of several hosts the first that answers and may be written to is used")
    @OnLoop
    func hosts() async throws {
        Loop.runInBackground()
        let cluster = try await Cluster.shared()
        let unused = try freePort()
        var configuration = cluster.configuration()
        configuration.connectionString =
            "postgresql://tests@127.0.0.1:\(unused),127.0.0.1:\(cluster.port)/postgres?target_session_attrs=read-write"
        try await Database.with(configuration) { database in
            let rows = try await database.query(Probe.one())
            #expect(rows == [1])
        }
    }

    @Test("A host that never answers does not keep us from the next")
    @OnLoop
    func mute() async throws {
        Loop.runInBackground()
        let cluster = try await Cluster.shared()
        // The kernel accepts connections that nobody takes.
        let socket = try ListeningSocket(address: "127.0.0.1", port: 0)
        let port = socket.port
        let mute = try Listener(socket)
        defer { mute.close() }
        var configuration = cluster.configuration()
        configuration.connectionString = "postgresql://tests@127.0.0.1:\(port),127.0.0.1:\(cluster.port)/postgres"
        configuration.connectDeadline = .milliseconds(300)
        try await Database.with(configuration) { database in
            let rows = try await database.query(Probe.one())
            #expect(rows == [1])
        }
    }
}
