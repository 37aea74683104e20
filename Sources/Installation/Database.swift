internal import Loop

/// Scripts run in a database by `psql`, which is made for them: whole files, `\gexec`, errors with their line.
///
/// Where the database is goes into the environment, so that no other user of the machine can read a password in the list
/// of processes.
@OnLoop
struct Database {
    let tools: Tools
    let environment: [String: String]

    /// - Parameter url: as in `DATABASE_URL`.
    init(tools: Tools, url: String) {
        let parts = ConnectionString(url)
        self.init(tools: tools, environment: parts.password.map { ["PGPASSWORD": $0] } ?? [:])
        connection = parts.rest
    }

    init(tools: Tools, environment: [String: String]) {
        self.tools = tools
        self.environment = environment
    }

    /// What psql is told on its command line; without a password.
    private var connection: String?

    /// Runs a script, which stops at its first error, and returns what it selects: unaligned, one row a line.
    ///
    /// - Parameter variables: for `:'name'` in the script, which psql quotes.
    @discardableResult
    func run(_ script: String, variables: KeyValuePairs<String, String> = [:]) async throws -> String {
        let result = try await tools.run(
            ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]
                + variables.map { "--set=\($0.key)=\($0.value)" } + ["--file=-"]
                + (connection.map { ["--dbname=\($0)"] } ?? []),
            input: script,
            environment: environment.merging(["PGCONNECT_TIMEOUT": "10", "PGAPPNAME": "drawbridge up"]) { $1 })
        guard result.exit.isSuccess else { throw InstallationError("database: \(result.reason)") }
        return result.output.trimmingNewline
    }
}

/// A PostgreSQL connection URI in two: the password, and the rest, which may be seen by other users.
struct ConnectionString: Equatable {
    let password: String?
    let rest: String

    /// Anything but a URI with a password before its hosts is left as it is.
    init(_ text: String) {
        guard let scheme = text.firstRange(of: "://"),
            let at = text[scheme.upperBound...].prefix(while: { $0 != "/" && $0 != "?" }).lastIndex(of: "@"),
            let colon = text[scheme.upperBound..<at].firstIndex(of: ":")
        else {
            password = nil
            rest = text
            return
        }
        password = PercentEncoding.decode(text[text.index(after: colon)..<at])
        rest = String(text[..<colon] + text[at...])
    }
}
