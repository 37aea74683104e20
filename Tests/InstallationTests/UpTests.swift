import Glibc
import Loop
import TestSupport
import Testing

@testable import Installation

/// The real `drawbridge` with stand-ins for the two processes it keeps running.
@Suite("drawbridge up")
struct UpTests {
    init() { Loop.runInBackground() }

    @Test("It starts ledger and bridge before the gateways and stops them in reverse order", .timeLimit(.minutes(1)))
    @OnLoop func order() async throws {
        let trial = try Trial()
        try await trial.start("--workers", "2")
        #expect(try await trial.stop(SIGTERM).isSuccess)
        let journal = try trial.journal
        #expect(journal[0] == "migrate migrates")
        #expect(
            Set(journal[1...2]) == [
                "ledger starts with ledger:process-admin", "bridge starts with bridge:process-admin and a database",
            ])
        #expect(
            Set(journal[3...4]) == [
                "gateway-0 starts with public:admin:process-admin", "gateway-1 starts with public:admin:process-admin",
            ])
        #expect(Set(journal[5...6]) == ["gateway-0 stops", "gateway-1 stops"])
        #expect(Set(journal[7...]) == ["ledger stops", "bridge stops"])
    }

    @Test("With a database that is not its own, demo.env holds nothing secret", .timeLimit(.minutes(1)))
    @OnLoop func keepsSecrets() async throws {
        let trial = try Trial()
        try await trial.start("--workers", "1")
        let lines = try #require(try File.readText(trial.home.environmentFile)).split(separator: "\n")
        #expect(lines.first?.hasPrefix("# ") == true)
        #expect(
            lines.dropFirst().compactMap { $0.split(separator: "=").first } == [
                "GATEWAY_URL", "GATEWAY_CA", "ADMIN_URL",
            ])
        #expect(try await trial.stop(SIGTERM).isSuccess)
    }

    @Test("doctor takes what the first start makes for no mistake, and warns of the demo issuer beside real hotels")
    @OnLoop func doctor() async throws {
        let trial = try Trial()
        let other = trial.home.path + "-new"
        let before = try await trial.run("doctor", environment: ["DRAWBRIDGE_HOME": other]).output
        #expect(before.contains("note   home \(other)"))
        #expect(!before.contains("WRONG  policy"))
        _ = try Secrets.prepare(trial.home)
        #expect(try await trial.run("doctor").output.contains("warn   issuers.yaml"))
    }

    @Test("doctor looks at every certificate that the policy names")
    @OnLoop func certificates() async throws {
        let trial = try Trial()
        try await Certificate.prepare(trial.home, tools: Tools())
        _ = try Secrets.prepare(trial.home)
        #expect(try await trial.run("doctor").output.contains("ok     certificate \(trial.home.certificateFile)"))
        let expired = trial.home.file("expired.pem")
        try await Tools().require([
            "openssl", "x509", "-in", trial.home.certificateFile, "-signkey", trial.home.certificateKeyFile, "-days",
            "-1", "-out", expired,
        ])
        let gateway = try #require(try File.readText("\(trial.policies)/gateway.yaml"))
        let text = gateway.replacing("tls/certificate.pem", with: expired)
        try File.write(text, to: "\(trial.policies)/gateway.yaml", mode: 0o644)
        let output = try await trial.run("doctor").output
        #expect(output.contains("WRONG  certificate \(expired): expired"))
        #expect(!output.contains("certificate \(trial.home.certificateFile)"))
    }

    @Test(
        "The processes may have as many files open as the policies need, if the system lets them",
        .timeLimit(.minutes(1)), arguments: [(hard: 12_000, soft: 10_512), (hard: 5000, soft: 5000)])
    @OnLoop func openFiles(hard: Int, soft: Int) async throws {
        let trial = try Trial()
        try await trial.start("--workers", "1", limit: (300, hard))
        let limits = try #require(try File.readText("/proc/\(trial.greeting().processID)/limits"))
        let line = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max open files") })
        #expect(line.split(separator: " ").dropFirst(3).prefix(2) == ["\(soft)", "\(hard)"])
        #expect(try trial.log.contains("too few files may be open") == (hard < 10_512))
        #expect(try await trial.stop(SIGTERM).isSuccess)
    }

    @Test("doctor looks at what the environment says although the private database does not run")
    @OnLoop func environment() async throws {
        let trial = try Trial()
        func doctor(_ environment: [String: String]) async throws -> String {
            try await trial.run("doctor", environment: ["DATABASE_URL": ""].merging(environment) { $1 }).output
        }
        let key = try await doctor(["DRAWBRIDGE_MASTER_KEY": "x"])
        #expect(key.contains("ok     private database (not running)"))
        #expect(key.contains("WRONG  master key $DRAWBRIDGE_MASTER_KEY: not there, or no key"))
        #expect(try await doctor(["PMS_DATABASE_URL": "host=/nowhere"]).contains("WRONG  PMS database: "))
        #expect(
            try await doctor(["DATABASE_URL": "mysql://x"])
                .contains("WRONG  environment: DATABASE_URL is no connection string of PostgreSQL"))
    }

    @Test("doctor says whose a home is, and not that its secrets are missing", .enabled(if: SystemUser.isRoot))
    @OnLoop func foreignHome() async throws {
        let trial = try Trial()
        let nobody = try #require(SystemUser(named: "nobody"))
        #expect(chown(trial.home.path, nobody.id, nobody.groupID) == 0)
        let output = try await trial.run("doctor").output
        #expect(output.hasPrefix("WRONG  home: the home \(trial.home.path) belongs to another user"))
        #expect(!output.contains("not there yet"))
    }

    @Test("Nothing is left when it is killed while a program runs to its end", .timeLimit(.minutes(1)))
    @OnLoop func leavesNoProgram() async throws {
        let trial = try Trial()
        // Waits as the bridge's program, which is told to migrate.
        try File.write("", to: trial.home.file("wait-for-migrate"), mode: 0o600)
        let start = Task { @OnLoop in try? await trial.start("--workers", "1") }
        while try !trial.journal.contains("migrate waits") { try await Loop.sleep(for: .milliseconds(5)) }
        _ = try await trial.stop(SIGKILL)
        while !trial.processes.isEmpty { try await Loop.sleep(for: .milliseconds(5)) }
        await start.value
    }

    @Test("A mistake in a policy is named by the file that the operator wrote", .timeLimit(.minutes(1)))
    @OnLoop func policyMistake() async throws {
        let trial = try Trial()
        try File.write("pms_writer: 1\n", to: "\(trial.policies)/bridge.yaml", mode: 0o644)
        let result = try await trial.run("up")
        #expect(result.exit.status == 1)
        #expect(result.errors.contains("\(trial.policies)/bridge.yaml:1:13: pms_writer"))
        #expect(!File.exists(trial.home.file("journal")))
    }

    @Test("Nothing is left when it has stopped: no process, no socket", .timeLimit(.minutes(1)))
    @OnLoop func leavesNothing() async throws {
        let trial = try Trial()
        try await trial.start("--workers", "2")
        #expect(!trial.processes.isEmpty)
        _ = try await trial.stop(SIGINT)
        #expect(trial.processes.isEmpty)
        #expect(!File.names(in: trial.home.file("run")).contains { $0.hasSuffix(".sock") })
    }

    @Test("Nothing is left when it is killed", .timeLimit(.minutes(1)))
    @OnLoop func leavesNothingWhenKilled() async throws {
        let trial = try Trial()
        try await trial.start("--workers", "2")
        _ = try await trial.stop(SIGKILL)
        while !trial.processes.isEmpty { try await Loop.sleep(for: .milliseconds(5)) }
    }

    @Test("A worker that dies is replaced; no connection is refused meanwhile", .timeLimit(.minutes(1)))
    @OnLoop func replacesWorkers() async throws {
        let trial = try Trial()
        try await trial.start("--workers", "1")
        let first = try trial.greeting()
        #expect(first.name == "gateway-0" && first.restarts == 0)
        kill(first.processID, SIGKILL)
        for _ in 0..<20 {
            let next = try trial.greeting()
            #expect(next.restarts == 1 || next.processID == first.processID)
        }
        #expect(try trial.log.contains("process ended; it is restarted"))
        #expect(try await trial.stop(SIGTERM).isSuccess)
    }

    @Test("A second one in the same home is refused, the first goes on", .timeLimit(.minutes(1)))
    @OnLoop func refusesSecond() async throws {
        let trial = try Trial()
        try await trial.start("--workers", "1")
        let second = try await trial.run("up")
        #expect(second.exit.status == 1)
        #expect(second.errors.contains("drawbridge runs already in \(trial.home.path)"))
        #expect(try trial.greeting().restarts == 0)
        _ = try await trial.stop(SIGTERM)
    }

    @Test("A port in use is named, and nothing is started", .timeLimit(.minutes(1)))
    @OnLoop func portInUse() async throws {
        let first = try Trial()
        try await first.start("--workers", "1")
        let second = try Trial()
        let result = try await second.run("up", environment: ["DRAWBRIDGE_PORT": String(first.port)])
        #expect(result.exit.status == 1)
        #expect(result.errors.contains("127.0.0.1:\(first.port) is taken by another program"))
        #expect(!File.exists(second.home.file("journal")))
        _ = try await first.stop(SIGTERM)
    }

    @Test("Public and admin listeners on one port are refused, by doctor too", .timeLimit(.minutes(1)))
    @OnLoop func samePort() async throws {
        let trial = try Trial()
        let port = try freePort()
        let ports = ["DRAWBRIDGE_PORT": String(port), "DRAWBRIDGE_ADMIN_PORT": String(port)]
        let result = try await trial.run("up", environment: ports)
        #expect(result.exit.status == 1)
        let place = "127.0.0.1:\(port)"
        #expect(result.errors.contains("\(place) is to be listener admin's, and \(place) is public's"))
        #expect(!File.exists(trial.home.file("journal")))
        let doctor = try await trial.run("doctor", environment: ports).output
        #expect(doctor.contains("WRONG  port \(port) for admin: \(place) is to be"))
    }

    @Test("Of two installations that start at once on one port, one becomes ready", .timeLimit(.minutes(1)))
    @OnLoop func startsAtOnce() async throws {
        let port = try freePort()
        let trials = [try Trial(), try Trial()]
        // Both have bound their sockets when they wait for the migrations.
        for trial in trials { try File.write("SELECT 1;", to: trial.home.file("wait-for-migrate"), mode: 0o600) }
        let starts = trials.map { trial in
            Task { @OnLoop in
                do {
                    try await trial.start("--workers", "2", environment: ["DRAWBRIDGE_PORT": String(port)])
                    return ""
                } catch { return "\(error)" }
            }
        }
        for trial in trials {
            while try !trial.journal.contains("migrate waits") { try await Loop.sleep(for: .milliseconds(5)) }
        }
        for trial in trials { unlink(trial.home.file("wait-for-migrate")) }
        let outcomes = [await starts[0].value, await starts[1].value]
        #expect(outcomes.count { $0.isEmpty } == 1)
        #expect(outcomes.count { $0.contains("127.0.0.1:\(port) is taken by another program") } == 1)
        for (trial, outcome) in zip(trials, outcomes) where outcome.isEmpty {
            #expect(try await trial.stop(SIGTERM).isSuccess)
        }
    }

    @Test("Without its bridge it stops what it started and exits 1", .timeLimit(.minutes(1)))
    @OnLoop func bridgeFails() async throws {
        let trial = try Trial()
        try File.write("", to: trial.home.file("fail-bridge"), mode: 0o600)
        let result = try await trial.run("up")
        #expect(result.exit.status == 1)
        #expect(result.errors.contains("bridge does not start: exit status 78"))
        #expect(trial.processes.isEmpty)
    }

    @Test("SIGHUP reaches every gateway and nobody else", .timeLimit(.minutes(1)))
    @OnLoop func reload() async throws {
        let trial = try Trial()
        try await trial.start("--workers", "2")
        trial.signal(SIGHUP)
        while try trial.journal.count(where: { $0.hasSuffix("reloads") }) < 2 {
            try await Loop.sleep(for: .milliseconds(5))
        }
        _ = try await trial.stop(SIGTERM)
        #expect(try !trial.journal.contains("bridge reloads"))
    }

    private static let create = ["key", "create", "--client", "x", "--scopes", "hotel:read"]

    @Test(
        "What it does not understand gets its usage and status 64",
        arguments: [
            ["fly"], ["up", "--workers", "0"], [], ["reconcile", "--hotel", "1", "--hotel", "2"],
            ["dead-letters", "list", "--hotel", "1", "--hotel", "2"], create + ["--hotel", "1", "--every-hotel"],
            create + ["--every-hotel", "--hotel", "1"], create + ["--hotel", "1", "--hotel", "2"],
            ["token", "revoke", "abc", "--until", "2027-02-30T00:00:00Z"],
        ])
    @OnLoop func usage(arguments: [String]) async throws {
        let result = try await Tools().run([Trial.executable] + arguments)
        #expect(result.exit.status == 64)
        #expect(result.errors.contains("usage: drawbridge"))
    }
}
