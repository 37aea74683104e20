import Loop
import Testing

@testable import Postgres

private enum Probe {
    static let one = Statement<Int>("probe.one", "SELECT 1::int8") { row in try row.next() }
    static let sleep = Statement<String, Double>("probe.sleep", "SELECT pg_sleep($1)::text") { row in try row.next() }
    static let lock = Statement<String, Double>("probe.lock", "SELECT pg_advisory_xact_lock($1::int8)::text") { row in
        try row.next()
    }
    static let sleepers = Statement<Int, Double>(
        "probe.sleepers", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1::int4"
    ) { row in try row.next() }
    /// Holds the lock of the given number while it sleeps, so that it can be recognised from elsewhere.
    static let lockAndSleep = Statement<String, Double>(
        "probe.lock_and_sleep",
        "SELECT pg_sleep(60)::text FROM (SELECT pg_advisory_xact_lock($1::int8) OFFSET 0) AS lock"
    ) { row in try row.next() }
    static let sessions = Statement<Int, String>(
        "probe.sessions", "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
    ) { row in try row.next() }
    static let processes = Statement<Int32>(
        "probe.processes",
        """
        SELECT pid FROM pg_stat_activity
        WHERE application_name = current_setting('application_name') ORDER BY backend_start
        """
    ) { row in try row.next() }
    static let terminateOthers = Statement<Bool>(
        "probe.terminate",
        """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = current_setting('application_name') AND pid <> pg_backend_pid()
        """
    ) { row in try row.next() }
    static let setting = Statement<String, String>("probe.setting", "SELECT current_setting($1)") { row in
        try row.next()
    }
}

@Suite(.timeLimit(.minutes(1))) struct PoolTests {
    @Test("A pool opens as many connections as it is told, and no more")
    func bound() async throws {
        try await withDatabase(connections: 3) {
            $0.connectionString += " application_name=pool_bound"
        } _: { database in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<100 { group.addTask { _ = try await database.query(Probe.sleep(0.002)) } }
                try await group.waitForAll()
            }
            let sessions = try await database.query(Probe.sessions("pool_bound"))
            #expect(sessions == [3])
        }
    }

    @Test("Who comes later is not sent after a statement that waits for a lock, where others go on")
    func slow() async throws {
        try await withDatabase(connections: 2) { database in
            let blocked = Task { try await database.query(Probe.sleep(30)) }
            try await Loop.sleep(for: .milliseconds(200))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        _ = try await database.query(Probe.sleep(0.001), deadline: .seconds(20))
                    }
                }
                try await group.waitForAll()
            }
            blocked.cancel()
            await #expect(throws: PostgresError.self) { try await blocked.value }
        }
    }

    @Test("More calls than may wait are refused at once")
    func waiters() async throws {
        try await withDatabase(connections: 1) {
            $0.pipelineDepth = 1
            $0.maximumWaiters = 2
        } _: { database in
            // What the first call waits for is not over before all others have come.
            let cluster = try await Cluster.shared()
            try await Database.with(cluster.configuration(connections: 1)) { other in
                let holder = try await other.begin()
                _ = try await holder.query(Probe.lock(7000))
                let calls = (0..<5).map { _ in
                    Task { await failure { _ = try await database.query(Probe.lock(7000)) } }
                }
                for call in calls.suffix(2) {
                    let code = await call.value
                    #expect(code == .tooManyWaiters)
                }
                holder.rollback()
                for call in calls.prefix(3) {
                    let code = await call.value
                    #expect(code == nil)
                }
            }
        }
    }

    @Test("A call waits for a connection only as long as it may")
    func waitDeadline() async throws {
        try await withDatabase(connections: 1) {
            // Time enough for what is possible at once.
            $0.waitDeadline = .milliseconds(500)
        } _: { database in
            let transaction = try await database.begin()
            let code = await failure { _ = try await database.begin() }
            #expect(code == .timedOut)
            transaction.rollback()
            _ = try await database.query(Probe.one())
        }
    }

    @Test("Transactions and single statements do not starve each other", arguments: [1, 2, 4])
    func fairness(_ connections: Int) async throws {
        try await withDatabase(connections: connections) { database in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<16 {
                    group.addTask {
                        for _ in 0..<50 {
                            if number % 4 == 0 {
                                try await database.transaction { _ = try await $0.query(Probe.one()) }
                            } else {
                                _ = try await database.query(Probe.one())
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("Connections that the server ends while they are idle are replaced")
    func idle() async throws {
        try await withDatabase(connections: 2) {
            $0.connectionString += " application_name=pool_idle"
        } _: { database in
            let before = try await database.query(Probe.processes())
            let ended = try await database.query(Probe.terminateOthers())
            #expect(before.count == 2 && ended == [true])
            var after = before
            while after == before || after.count < 2 { after = try await database.query(Probe.processes()) }
            #expect(Set(after).intersection(before).count == 1)
        }
    }

    @Test("A statement goes on after its table has changed, on whichever connection")
    func stalePlans() async throws {
        let create = Statement<Void>("stale.create", "CREATE TABLE stale AS SELECT 7::int4 AS number")
        let read = Statement<Int>("stale.read", "SELECT number FROM stale") { row in try row.next() }
        let widen = Statement<Void>("stale.widen", "ALTER TABLE stale ALTER number TYPE int8")
        try await withDatabase(connections: 3) { database in
            @OnLoop func readOften() async throws {
                try await withThrowingTaskGroup(of: [Int].self) { group in
                    for _ in 0..<30 { group.addTask { try await database.query(read()) } }
                    for try await numbers in group { #expect(numbers == [7]) }
                }
            }
            try await database.execute(create())
            try await readOften()
            try await database.execute(widen())
            try await readOften()
        }
    }

    @Test("Every session has its settings")
    func settings() async throws {
        try await withDatabase(connections: 2) {
            $0.sessionSettings = ["my_app.user_id": "42"]
            $0.statementTimeout = .milliseconds(1500)
        } _: { database in
            let settings = try await database.query(Probe.setting("my_app.user_id"))
            #expect(settings == ["42"])
            let timeout = try await database.query(Probe.setting("statement_timeout"))
            #expect(timeout == ["1500ms"])
        }
    }

    @Test("A configuration that cannot be says why", arguments: ["host=x colour=blue", "postgresql://[::1"])
    func configuration(_ connectionString: String) {
        #expect(throws: PostgresError.self) { try DatabaseConfiguration(connectionString).validate() }
    }

    @Test("Pauses double up to the longest")
    func backoff() {
        var backoff = Backoff(first: .milliseconds(100), longest: .seconds(1))
        let pauses = (0..<5).map { _ in backoff.next(random: 1) }
        #expect(
            pauses == [.milliseconds(100), .milliseconds(200), .milliseconds(400), .milliseconds(800), .seconds(1)])
    }
}

@Suite(.timeLimit(.minutes(1))) struct CancellationTests {
    @Test("A call that is over its deadline ends, and so does its statement on the server")
    func deadline() async throws {
        try await withDatabase(connections: 2) { database in
            let code = await failure {
                _ = try await database.query(Probe.lockAndSleep(7001), deadline: .milliseconds(100))
            }
            #expect(code == .timedOut)
            try await expectNoSleeper(7001, database)
        }
    }

    @Test("A task that is cancelled ends its statement on the server")
    func cancellation() async throws {
        try await withDatabase(connections: 2) { database in
            let task = Task { await failure { _ = try await database.query(Probe.lockAndSleep(7002)) } }
            while try await database.query(Probe.sleepers(7002)) != [1] {}
            task.cancel()
            let code = await task.value
            #expect(code == .cancelled)
            try await expectNoSleeper(7002, database)
        }
    }

    @Test("Cancelling one statement harms none that stands behind it in the pipeline")
    func bystanders() async throws {
        try await withDatabase(connections: 1) { database in
            _ = try await database.query(Probe.one())
            let slow = Task {
                await failure { _ = try await database.query(Probe.lockAndSleep(7003), deadline: .milliseconds(200)) }
            }
            try await Loop.sleep(for: .milliseconds(20))
            try await withThrowingTaskGroup(of: [Int].self) { group in
                for _ in 0..<20 { group.addTask { try await database.query(Probe.one()) } }
                for try await rows in group { #expect(rows == [1]) }
            }
            let code = await slow.value
            #expect(code == .timedOut)
        }
    }

    @Test("A cancelled transaction leaves no lock behind")
    func transaction() async throws {
        try await withDatabase(connections: 2) { database in
            let task = Task {
                await failure {
                    try await database.transaction { _ = try await $0.query(Probe.lockAndSleep(7004)) }
                }
            }
            while try await database.query(Probe.sleepers(7004)) != [1] {}
            task.cancel()
            let code = await task.value
            #expect(code == .cancelled)
            try await expectNoSleeper(7004, database)
        }
    }

    @Test("A call that was cancelled before it began does nothing")
    func early() async throws {
        try await withDatabase(connections: 1) { database in
            let task = Task { @OnLoop in
                while !Task.isCancelled { await Task.yield() }
                return await failure { _ = try await database.query(Probe.one()) }
            }
            task.cancel()
            let code = await task.value
            #expect(code == .cancelled)
            let rows = try await database.query(Probe.one())
            #expect(rows == [1])
        }
    }

    @Test("The server ends a statement by itself after its timeout")
    func statementTimeout() async throws {
        try await withDatabase(connections: 1) {
            $0.statementTimeout = .milliseconds(50)
        } _: { database in
            let code = await failure { _ = try await database.query(Probe.sleep(5)) }
            #expect(code == .timedOut)
            let rows = try await database.query(Probe.one())
            #expect(rows == [1])
        }
    }

    /// Ends when the server no longer runs the statement that holds the lock; the test's time limit is the bound.
    @OnLoop
    private func expectNoSleeper(_ lock: Double, _ database: Database) async throws {
        while try await database.query(Probe.sleepers(lock)) != [0] {}
    }
}
