import FoundationEssentials
import Glibc
import Loop
import Synchronization
import TestSupport

@testable import Postgres

/// A PostgreSQL cluster of the tests' own, in a temporary directory; it ends with this process at the latest.
@OnLoop
final class Cluster {
    let directory: String
    let port: UInt16
    private var server: ChildProcess?

    private static let environment = ["PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"]

    /// The cluster that all tests share but those that break theirs.
    static func shared() async throws -> Cluster { try await sharedTask.value }

    private static let sharedTask = Task { try await Cluster() }

    init() async throws {
        var template = Array("/tmp/dbpg-XXXXXX\0".utf8CString)
        guard mkdtemp(&template) != nil else { throw PostgresError(.misuse, "no temporary directory") }
        directory = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        port = try freePort()
        if geteuid() == 0 { chown(directory, getpwnam("postgres").pointee.pw_uid, getpwnam("postgres").pointee.pw_gid) }
        Leftovers.remember(directory: directory)
        let initialisation = try Self.start(
            "initdb", ["-D", directory + "/data", "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync"])
        guard try await initialisation.waitForExit().isSuccess else { throw PostgresError(.misuse, "initdb failed") }
        try await start()
    }

    /// Starts the server and waits until it answers.
    func start() async throws {
        let server = try Self.start(
            "postgres",
            [
                "-D", directory + "/data", "-p", String(port), "-c", "listen_addresses=127.0.0.1",
                "-c", "unix_socket_directories=\(directory)", "-c", "fsync=off", "-c", "max_connections=200",
                "-c", "restart_after_crash=on", "-c", "max_prepared_transactions=20",
            ])
        self.server = server
        Leftovers.remember(server: server.processID)
        let probe = try Database(configuration(connections: 1))
        let keeper = Task { await probe.run() }
        defer { keeper.cancel() }
        for _ in 0..<1200 where !probe.isAvailable { try await Loop.sleep(for: .milliseconds(50)) }
        guard probe.isAvailable else { throw PostgresError(.misuse, "the server does not start") }
    }

    /// Ends the server without a chance to say goodbye, and waits until it has gone.
    func kill() async throws {
        server?.send(signal: SIGKILL)
        _ = try await server?.waitForExit()
    }

    /// Ends the server and removes its files.
    func end() async throws {
        server?.send(signal: SIGINT)
        _ = try await server?.waitForExit()
        Leftovers.remove(directory: directory)
    }

    nonisolated func configuration(connections: Int = 4, database: String = "postgres") -> DatabaseConfiguration {
        var configuration = DatabaseConfiguration(
            "host=\(directory) port=\(port) user=tests dbname=\(database)", name: "tests")
        configuration.connections = connections
        configuration.backoff = Backoff(first: .milliseconds(20), longest: .milliseconds(200))
        return configuration
    }

    /// As user `postgres`, because the server refuses to run as root; interrupted when this process dies.
    private static func start(_ program: String, _ arguments: [String]) throws -> ChildProcess {
        let identity = geteuid() == 0 ? ["--reuid", "postgres", "--regid", "postgres", "--init-groups"] : []
        return try ChildProcess(
            "/usr/bin/setpriv", identity + ["--pdeathsig", "INT", "--", try postgreSQLProgram(program)] + arguments,
            environment: environment, descriptors: [.null, .null, .null], directory: "/tmp")
    }
}

/// What must be gone when the test process ends, however it ends.
private enum Leftovers {
    private static let servers = Mutex<[Int32]>([])
    private static let directories = Mutex<[String]>([])

    private static let register: Void = {
        _ = atexit { Leftovers.clear() }
    }()

    static func remember(directory: String) {
        _ = register
        directories.withLock { $0.append(directory) }
    }

    static func remember(server: Int32) { servers.withLock { $0.append(server) } }

    static func remove(directory: String) {
        directories.withLock { $0.removeAll { $0 == directory } }
        try? FileManager.default.removeItem(atPath: directory)
    }

    private static func clear() {
        let servers = servers.withLock { $0 }
        for server in servers { kill(server, SIGINT) }
        for server in servers {
            var patience = 100
            while patience > 0, waitpid(server, nil, WNOHANG) == 0 {
                usleep(20_000)
                patience -= 1
            }
        }
        for directory in directories.withLock({ $0 }) { try? FileManager.default.removeItem(atPath: directory) }
    }
}

/// Runs `body` on the loop with all connections open to a database of the shared cluster.
func withDatabase(
    connections: Int = 4, _ change: (inout DatabaseConfiguration) -> Void = { _ in },
    _ body: @escaping @Sendable @OnLoop (Database) async throws -> Void
) async throws {
    Loop.runInBackground()
    let cluster = try await Cluster.shared()
    var configuration = cluster.configuration(connections: connections)
    change(&configuration)
    try await Database.with(configuration) { database in
        // All connections first, so that deadlines measure the test and not the start.
        while database.idleCount < connections { try await Loop.sleep(for: .milliseconds(1)) }
        try await body(database)
    }
}

/// Whether `body` threw a `PostgresError`, and with which code.
@OnLoop
func failure(_ body: @OnLoop () async throws -> Void) async -> PostgresError.Code? {
    do {
        try await body()
        return nil
    } catch let error as PostgresError {
        return error.code
    } catch {
        return .sql(state: "\(error)")
    }
}
