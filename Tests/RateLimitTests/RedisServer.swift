import Glibc
import Loop

@testable import RateLimit

/// A Redis of the test's own, on a unix socket; it dies with this process.
@OnLoop
final class RedisServer {
    let directory = TemporaryDirectory()
    private var process: ChildProcess?
    nonisolated var socket: String { directory.path + "/redis.sock" }

    func start() async throws {
        unlink(socket)
        process = try ChildProcess(
            "/usr/bin/setpriv",
            [
                "--pdeathsig", "KILL", "--", "/usr/bin/redis-server", "--port", "0", "--unixsocket", socket, "--save",
                "", "--appendonly", "no", "--dir", directory.path,
            ], environment: ["LC_ALL": "C.UTF-8"], descriptors: [.null, .null, .null])
    }

    func send(_ signal: Int32) { process?.send(signal: signal) }

    func kill() async throws {
        process?.send(signal: SIGKILL)
        _ = try await process?.waitForExit()
        process = nil
    }

    nonisolated var configuration: RedisConfiguration {
        var configuration = RedisConfiguration(.unix(socket), secret: [1, 2, 3])
        configuration.firstPause = .milliseconds(10)
        configuration.longestPause = .milliseconds(50)
        // The machine may be busy with other tests.
        configuration.callDeadline = .seconds(5)
        return configuration
    }

    /// Runs `body` with a running server and a store that is connected to it.
    static func with(
        callDeadline: Duration = .seconds(5), maximumPending: Int = 1000,
        _ body: @OnLoop (RedisServer, RedisStore) async throws -> Void
    ) async throws {
        Loop.runInBackground()
        let server = RedisServer()
        try await server.start()
        var configuration = server.configuration
        configuration.callDeadline = callDeadline
        configuration.maximumPending = maximumPending
        let store = RedisStore(configuration)
        let keeper = Task { await store.run() }
        do {
            try await store.becomes(available: true)
            try await body(server, store)
        } catch {
            keeper.cancel()
            try await server.kill()
            throw error
        }
        keeper.cancel()
        _ = await keeper.value
        try await server.kill()
    }

    /// Runs `body` with a running server and two stores that are connected to it, as of two machines.
    static func withTwo(_ body: @OnLoop (RedisServer, RedisStore, RedisStore) async throws -> Void) async throws {
        try await with { server, store in
            let other = RedisStore(server.configuration)
            let keeper = Task { await other.run() }
            defer { keeper.cancel() }
            try await other.becomes(available: true)
            try await body(server, store, other)
        }
    }
}

extension RedisStore {
    /// Waits until it is, or is no longer, connected.
    func becomes(available: Bool) async throws {
        try await Loop.withDeadline(.seconds(20), "wait for Redis") {
            while self.isAvailable != available { try await Loop.sleep(for: .milliseconds(2)) }
        }
    }
}
