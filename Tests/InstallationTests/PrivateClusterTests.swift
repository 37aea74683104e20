import Cryptography
import Glibc
import Lifecycle
import Loop
import Testing

@testable import Installation

@Suite("Private cluster")
struct PrivateClusterTests {
    init() { Loop.runInBackground() }

    /// One cluster for all that is asked of it, because making one takes a second.
    @Test("Data outlive a stop, a kill -9 of the server, and a server left behind", .timeLimit(.minutes(3)))
    @OnLoop func lives() async throws {
        let directory = try TemporaryDirectory()
        let home = Home(path: directory.file("home"))
        try home.create()
        let secrets = try Secrets.prepare(home)

        try await run(home, secrets) { cluster, _ in
            try await cluster.database(secrets).run("CREATE TABLE guest (name TEXT); INSERT INTO guest VALUES ('a')")
        }
        #expect(File.names(in: home.file("run/postgresql")).isEmpty)

        try await run(home, secrets) { cluster, server in
            let database = cluster.database(secrets)
            try await database.run("INSERT INTO guest VALUES ('b')")
            let first = try #require(server.processID)
            kill(first, SIGKILL)
            while server.processID == first || !(PostmasterFile.read(cluster.directory)?.status == "ready") {
                try await Loop.sleep(for: .milliseconds(5))
            }
            let names = try await until {
                try await database.run("SELECT string_agg(name, ',' ORDER BY name) FROM guest")
            }
            #expect(names == "a,b")
        }

        let leftover = try await leaveServerBehind(home, secrets)
        try await run(home, secrets) { cluster, _ in
            let count = try await cluster.database(secrets).run("SELECT count(*) FROM guest")
            #expect(count == "2")
        }
        #expect(try await leftover.waitForExit().isSuccess)
    }

    @Test("Demo hotels are loaded once, more are added, and API keys are known by their hash", .timeLimit(.minutes(2)))
    @OnLoop func demoHotels() async throws {
        let directory = try TemporaryDirectory()
        let home = Home(path: directory.file("home"))
        try home.create()
        let secrets = try Secrets.prepare(home)
        let migrations = File.directory(of: File.directory(of: File.directory(of: #filePath))) + "/Bridge/Migrations"
        try await run(home, secrets) { cluster, _ in
            let database = cluster.database(secrets)
            let hotels = DemoHotels(cluster, secrets: secrets)
            for count in [2, 2, 5] {
                try await hotels.createSchema()
                try await hotels.load(count)
                let loaded = try await database.run("SELECT count(*), min(id), max(id) FROM hotels")
                #expect(loaded == "\(count)|1|\(count)")
            }
            try await hotels.registerKeys(secrets)
            for name in File.names(in: migrations) where name.hasSuffix(".sql") {
                try await database.run(try #require(try File.readText("\(migrations)/\(name)")))
            }
            unlink(home.file("keys/pms.api-key"))
            for secrets in [secrets, try Secrets.prepare(home)] {
                try await hotels.registerKeys(secrets)
                let known = try await database.run(
                    "SELECT api_key_hash FROM booking_engine_api_keys WHERE is_active AND expires_at > now() ORDER BY 1"
                )
                let hashes = secrets.apiKeys.values.map { Hexadecimal.encode(SHA256.hash($0).bytes) }.sorted()
                #expect(known == hashes.joined(separator: "\n"))
            }
        }
    }

    @Test("What a killed run left making the cluster is ended, and the cluster is made", .timeLimit(.minutes(2)))
    @OnLoop func unfinished() async throws {
        let directory = try TemporaryDirectory()
        let home = Home(path: directory.file("home"))
        try home.create()
        let secrets = try Secrets.prepare(home)
        let cluster = try await PrivateCluster(home, tools: Tools())
        let unfinished = "\(cluster.directory).unfinished"
        let owner = SystemUser.isRoot ? SystemUser(named: "postgres") : nil
        try File.makeDirectory(unfinished, mode: 0o700, owner: owner)
        let command =
            (owner?.prefix ?? ["env", "--"]) + [try PostgreSQL.find().program("initdb"), "--pgdata", unfinished]
        let maker = try ChildProcess(
            try Tools.find(command[0]), Array(command.dropFirst()), environment: Tools.environment,
            descriptors: [.null, .inherit(cluster.log.descriptor), .inherit(cluster.log.descriptor)])
        while !File.exists("\(unfinished)/base") {
            try #require(maker.isRunning)
            try await Loop.sleep(for: .milliseconds(1))
        }
        try await cluster.prepare(secrets)
        #expect(try await maker.waitForExit().signal == SIGKILL)
        #expect(File.exists("\(cluster.directory)/PG_VERSION"))
        #expect(!File.exists(unfinished))
    }

    @Test("A comma in the home's path and a quote in a password made by hand are no hindrance", .timeLimit(.minutes(2)))
    @OnLoop func unusualTexts() async throws {
        let directory = try TemporaryDirectory()
        let home = Home(path: directory.file("a,b"))
        try home.create()
        try File.write("x'y\\z é\n", to: home.file("keys/database.password"), mode: 0o600)
        let secrets = try Secrets.prepare(home)
        try await run(home, secrets) { cluster, _ in
            let one = try await cluster.database(secrets).run("SELECT 1")
            #expect(one == "1")
            let other = try await Database(tools: Tools(), url: cluster.url(secrets)).run("SELECT 1")
            #expect(other == "1")
            cluster.runDirectory.remove(home)
        }
    }

    @Test("A database of one's own without the PMS's tables is refused, and nothing written", .timeLimit(.minutes(2)))
    @OnLoop func foreignDatabase() async throws {
        let directory = try TemporaryDirectory()
        let home = Home(path: directory.file("home"))
        try home.create()
        let secrets = try Secrets.prepare(home)
        let trial = try Trial()
        try await run(home, secrets) { cluster, _ in
            try await cluster.database(secrets).run("CREATE TABLE hotels (id INTEGER)")
            let result = try await trial.run("up", environment: ["DATABASE_URL": cluster.url(secrets)])
            #expect(result.exit.status == 1)
            #expect(result.errors.contains("lacks tables of the PMS: room_types, rooms, "))
            #expect(!File.exists(trial.home.file("journal")))
        }
    }

    /// A password that is lost is replaced, because nobody but the installation knew it.
    @Test("A lost password is replaced in the cluster", .timeLimit(.minutes(2)))
    @OnLoop func lostPassword() async throws {
        let directory = try TemporaryDirectory()
        let home = Home(path: directory.file("home"))
        try home.create()
        try await run(home, try Secrets.prepare(home)) { _, _ in }
        unlink(home.file("keys/database.password"))
        let secrets = try Secrets.prepare(home)
        try await run(home, secrets) { cluster, _ in
            let one = try await cluster.database(secrets).run("SELECT 1")
            #expect(one == "1")
        }
    }

    @OnLoop private func run(
        _ home: Home, _ secrets: Secrets,
        _ body: @escaping @OnLoop (PrivateCluster, SupervisedProcess) async throws -> Void
    ) async throws {
        let cluster = try await PrivateCluster(home, tools: Tools())
        let server = try cluster.server()
        let group = ServiceGroup(
            "test",
            [
                [Step("prepare") { try await cluster.prepare(secrets) }], [server],
                [Step("body") { try await body(cluster, server) }],
            ])
        try await group.run { group.stop() }
    }

    /// Starts a server as an earlier run would have, and forgets it.
    @OnLoop private func leaveServerBehind(_ home: Home, _ secrets: Secrets) async throws -> ChildProcess {
        let cluster = try await PrivateCluster(home, tools: Tools())
        try await cluster.prepare(secrets)
        let prefix = SystemUser.isRoot ? try #require(SystemUser(named: "postgres")).prefix : ["env", "--"]
        let command = prefix + [try PostgreSQL.find().program("postgres"), "-D", cluster.directory]
        let child = try ChildProcess(
            try Tools.find(command[0]), Array(command.dropFirst()), environment: Tools.environment,
            descriptors: [.null, .inherit(cluster.log.descriptor), .inherit(cluster.log.descriptor)])
        while !(PostmasterFile.read(cluster.directory)?.isReady(processID: child.processID) ?? false) {
            try #require(child.isRunning)
            try await Loop.sleep(for: .milliseconds(5))
        }
        return child
    }

    /// The answer once there is one: sessions of a killed server end a moment after it.
    @OnLoop private func until(_ body: () async throws -> String) async throws -> String {
        while true {
            do { return try await body() } catch { try await Loop.sleep(for: .milliseconds(20)) }
        }
    }
}
