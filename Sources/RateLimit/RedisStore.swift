public import Loop
internal import Telemetry

/// The limits of several machines: one Redis decides, by its own clock, in one call per request.
///
/// `run` keeps the connection; without one every check fails at once.
@OnLoop
public final class RedisStore {
    /// Where it is.
    public nonisolated let configuration: RedisConfiguration
    private var connection: RedisConnection?
    private var script = ""
    private let connected = Metrics.gauge(
        "drawbridge_rate_limit_redis_connected", "Whether Redis answers for the rate limits.")

    public init(_ configuration: RedisConfiguration) { self.configuration = configuration }

    /// Whether Redis can be asked now.
    public var isAvailable: Bool { connection?.isOpen ?? false }

    /// Keeps connected until the task is cancelled. To be called once.
    public func run() async {
        var pause = configuration.firstPause
        while !Task.isCancelled {
            do {
                let connection = try await open()
                self.connection = connection
                connected.value = 1
                Log.info("connected to Redis for the rate limits")
                pause = configuration.firstPause
                try? await connection.ended.wait()
                connection.close()
            } catch {
                Log.debug("cannot connect to Redis", ["error": .init(error: error)])
            }
            connected.value = 0
            self.connection = nil
            // Jitter: what fell together does not rise together.
            try? await Loop.sleep(for: pause * Double.random(in: 0.5...1))
            pause = min(pause * 2, configuration.longestPause)
        }
    }

    private func open() async throws -> RedisConnection {
        let connection = try RedisConnection(configuration.endpoint)
        do {
            if let password = configuration.password {
                let user = configuration.user.map { [$0] } ?? []
                _ = try await ask(connection, ["AUTH"] + user + [password])
            }
            guard case .text(let script) = try await ask(connection, ["SCRIPT", "LOAD", RedisScript.text]) else {
                throw RateLimitError(.answer, "Redis does not take the script")
            }
            self.script = script
            return connection
        } catch {
            connection.close()
            throw error
        }
    }

    private func ask(_ connection: RedisConnection, _ command: [String]) async throws -> RedisConnection.Reply {
        let reply = try await connection.call(command, within: configuration.connectDeadline)
        if case .error(let message) = reply { throw RateLimitError(.answer, message) }
        return reply
    }

    /// Decides on one request, and charges it to all limits or to none.
    ///
    /// - Throws: `RateLimitError`; the request may have been charged all the same when it `timedOut`.
    public func check(_ charges: [Charge]) async throws -> Verdict {
        guard !charges.isEmpty else { return .make([], backlogs: []) }
        let connection = try openConnection()
        let arguments = RedisScript.arguments(
            charges, prefix: configuration.prefix, secret: configuration.secret)
        var reply = try await connection.call(["EVALSHA", script] + arguments, within: configuration.callDeadline)
        // Somebody has flushed the scripts; EVAL brings it back.
        if case .error(let message) = reply, message.hasPrefix("NOSCRIPT") {
            reply = try await connection.call(
                ["EVAL", RedisScript.text] + arguments, within: configuration.callDeadline)
        }
        return try Self.verdict(charges, reply)
    }

    /// Claims a key until so much time has passed, or its owner gives it back.
    ///
    /// - Parameter owner: differs for each claim.
    /// - Returns: false where somebody has it.
    /// - Throws: `RateLimitError`; it may have been claimed all the same when it `timedOut`.
    func claim(_ key: [UInt8], as owner: String, for duration: Duration) async throws -> Bool {
        let milliseconds = (duration.nanoseconds + 999_999) / 1_000_000
        switch try await call(["SET", name(of: key), owner, "NX", "PX", String(milliseconds)]) {
        case .text: return true
        case .nothing: return false
        case .error(let message): throw RateLimitError(.answer, message)
        case .integers, .other: throw RateLimitError(.answer, "Redis answered with something else")
        }
    }

    /// Gives a claim back. Where its time is over, and another one's has begun, that stays.
    func giveBack(_ key: [UInt8], of owner: String) async throws {
        _ = try await call(["EVAL", RedisScript.giveBack, "1", name(of: key), owner])
    }

    private func name(of key: [UInt8]) -> String {
        RedisScript.names(of: [key], prefix: configuration.prefix, secret: configuration.secret)[0]
    }

    private func call(_ command: [String]) async throws -> RedisConnection.Reply {
        try await openConnection().call(command, within: configuration.callDeadline)
    }

    private func openConnection() throws -> RedisConnection {
        guard let connection, connection.isOpen else { throw RateLimitError(.unavailable, "Redis is away") }
        guard connection.pendingCount < configuration.maximumPending else {
            throw RateLimitError(.tooManyCalls, "too many calls wait for Redis")
        }
        return connection
    }

    private static func verdict(_ charges: [Charge], _ reply: RedisConnection.Reply) throws -> Verdict {
        if case .error(let message) = reply { throw RateLimitError(.answer, message) }
        guard case .integers(let numbers) = reply, numbers.count == charges.count + 1,
            zip(charges, numbers.dropFirst()).allSatisfy({ $1 >= 0 && UInt64($1) <= $0.limitClass.quota.window })
        else { throw RateLimitError(.answer, "Redis answered with something else") }
        return .make(charges, backlogs: numbers.dropFirst().map { UInt64($0) })
    }
}
