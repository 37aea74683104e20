/// How a process reaches and uses one database.
public struct DatabaseConfiguration: Sendable {
    /// As libpq reads it: `postgresql://…` or `key=value` pairs, several hosts and `target_session_attrs` included.
    public var connectionString: String

    /// Names the database in logs and as the label `database` of metrics.
    public var name: String

    /// Connections that are kept open.
    public var connections = 8

    /// Statements that may be under way at once on one connection.
    public var pipelineDepth = 32

    /// Calls that may wait for a connection at once.
    public var maximumWaiters = 1024

    /// How long a call may wait for a connection.
    public var waitDeadline: Duration = .seconds(2)

    /// How long a call may take altogether, where the call does not say otherwise.
    public var callDeadline: Duration = .seconds(10)

    /// How long opening a connection may take, for all hosts together.
    public var connectDeadline: Duration = .seconds(5)

    /// After how long the server ends a statement by itself, should our cancellation not reach it.
    public var statementTimeout: Duration = .seconds(30)

    /// After how long the server ends a session that does nothing in a transaction.
    public var idleTransactionTimeout: Duration = .seconds(30)

    /// Settings of every session, such as a PMS's `my_app.user_id`.
    public var sessionSettings: [String: String] = [:]

    /// The pause before a failed connection attempt is repeated.
    public var backoff = Backoff(first: .milliseconds(50), longest: .seconds(5))

    public init(_ connectionString: String, name: String = "database") {
        self.connectionString = connectionString
        self.name = name
    }

    /// - Throws: `PostgresError` `configuration` that says which value cannot be and why.
    public func validate() throws(PostgresError) {
        _ = try ConnectionParameters(connectionString)
        func require(_ isFine: Bool, _ message: String) throws(PostgresError) {
            guard isFine else { throw PostgresError(.configuration, "\(name): \(message)") }
        }
        try require((1...1000).contains(connections), "connections must be from 1 to 1000, not \(connections)")
        try require((1...1024).contains(pipelineDepth), "pipelineDepth must be from 1 to 1024, not \(pipelineDepth)")
        try require(maximumWaiters >= 0, "maximumWaiters must not be negative")
        for (key, value) in [
            ("waitDeadline", waitDeadline), ("callDeadline", callDeadline), ("connectDeadline", connectDeadline),
            ("statementTimeout", statementTimeout), ("idleTransactionTimeout", idleTransactionTimeout),
        ] {
            try require(value > .zero, "\(key) must be positive, not \(value)")
        }
    }
}

/// Pauses that double from `first` to `longest`, each cut by up to a half at random, so that the clients of a database
/// that comes back do not all return at the same moment.
public struct Backoff: Sendable {
    public var first: Duration
    public var longest: Duration
    private var failures = 0

    public init(first: Duration, longest: Duration) {
        self.first = first
        self.longest = longest
    }

    /// The pause after one more failure.
    mutating func next() -> Duration { next(random: Double.random(in: 0.5...1)) }

    mutating func next(random: Double) -> Duration {
        let whole = min(longest, first * (1 << min(failures, 20)))
        failures += 1
        return whole * random
    }

    mutating func reset() { failures = 0 }
}
