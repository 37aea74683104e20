internal import Loop

/// Scripts run in a database by `psql`, which is made for them: whole files, `\gexec`, errors with their line.
///
/// Where the database is goes into the environment, so that no other user of the machine can read a password in the list
/// of processes.
@OnLoop
struct Database {
    let tools: Tools
    let environment: [String: String]

    /// Runs a script, which stops at its first error, and returns what it selects: unaligned, one row a line.
    ///
    /// - Parameter variables: for `:'name'` in the script, which psql quotes.
    @discardableResult
    func run(_ script: String, variables: KeyValuePairs<String, String> = [:]) async throws -> String {
        let result = try await tools.run(
            ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]
                + variables.map { "--set=\($0.key)=\($0.value)" } + ["--file=-"],
            input: script,
            environment: environment.merging(["PGCONNECT_TIMEOUT": "10", "PGAPPNAME": "drawbridge up"]) { $1 })
        guard result.exit.isSuccess else { throw InstallationError("database: \(result.reason)") }
        return result.output.trimmingNewline
    }
}
