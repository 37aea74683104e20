internal import Loop

/// Scripts run in a database by `psql`, which is made for them: whole files, `\gexec`, errors with their line.
///
/// Where the database is goes into the environment, so that no other user of the machine can read a password in the
/// list of processes.
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

    /// The installation's: `$DATABASE_URL`, or the private one while the installation runs.
    ///
    /// - Throws: `InstallationError` when neither is there.
    init(of home: Home, _ settings: Settings, tools: Tools) throws {
        guard let url = try Self.url(of: home, settings) else { throw Self.isMissing }
        self.init(tools: tools, url: url)
    }

    /// Where the installation's is: `$DATABASE_URL`, or the private one while the installation runs.
    ///
    /// - Throws: `InstallationError` where this user cannot know whether it runs.
    static func url(of home: Home, _ settings: Settings) throws -> String? {
        if let url = settings.databaseURL { return url }
        try home.requireOwn()
        return HomeLock.isHeld(home) ? try EnvironmentFile.value("DATABASE_URL", in: home.environmentFile) : nil
    }

    static var isMissing: InstallationError {
        InstallationError("no database", remedy: "set DATABASE_URL, or start the installation first (drawbridge up)")
    }

    /// What psql is told on its command line; without a password.
    private var connection: String?

    /// Runs a script, which stops at its first error, and returns what it selects: unaligned, one row a line.
    ///
    /// - Parameter variables: for `:'name'` in the script, which psql quotes.
    @discardableResult
    func run(
        _ script: String, variables: some Sequence<(key: String, value: String)> = [] as [(key: String, value: String)]
    ) async throws -> String {
        let result = try await tools.run(
            ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]
                + variables.map { "--set=\($0.key)=\($0.value)" } + ["--file=-"]
                + (connection.map { ["--dbname=\($0)"] } ?? []),
            input: script,
            environment: environment.merging(["PGCONNECT_TIMEOUT": "10", "PGAPPNAME": "drawbridge up"]) { $1 })
        guard result.exit.isSuccess else { throw InstallationError("database: \(result.reason)") }
        return result.output.trimmingNewline
    }

    /// The rows that a script selects, each in its columns; a text with a bar or a new line in it has to be changed
    /// there.
    func rows(_ script: String, _ variables: [String: String] = [:]) async throws -> [[String]] {
        try await run(script, variables: variables).split(separator: "\n")
            .map { $0.split(separator: "|", omittingEmptySubsequences: false).map(String.init) }
    }

    /// A text as a constant of SQL, whatever is in it, where no variable of psql's can be had.
    nonisolated static func literal(_ text: String) -> String {
        let escaped = text.unicodeScalars.map { scalar -> String in
            let isPlain = scalar.isASCII && (scalar.properties.isAlphabetic || "0"..."9" ~= scalar || scalar == "-")
            let digits = String(scalar.value, radix: 16)
            return isPlain ? String(scalar) : "\\+" + String(repeating: "0", count: 6 - digits.count) + digits
        }
        return "U&'\(escaped.joined())'"
    }

    /// How SQL writes a column's instant as RFC 3339 has it.
    nonisolated static func instant(_ column: String) -> String {
        "to_char(\(column) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
    }

    /// How SQL writes a text on one line of psql's output, without control characters: others have written it, and it is shown on a
    /// terminal.
    nonisolated static func line(_ text: String) -> String {
        "regexp_replace(translate(\(text), '|', '¦'), '[[:cntrl:]\\u0080-\\u009f]+', ' ', 'g')"
    }
}

/// A PostgreSQL connection string in two, as libpq reads it: the password, and the rest, which may be seen by others.
struct ConnectionString: Equatable {
    private(set) var password: String?
    private(set) var rest: String

    private static let schemes = ["postgresql://", "postgres://"]

    /// Whether a text looks like one; the bridge takes nothing else, and `psql` takes it for the name of a database.
    static func isOne(_ text: String) -> Bool {
        schemes.contains { text.hasPrefix($0) } || text.firstMatch(of: #/^\s*\w+\s*=/#) != nil
    }

    /// - Parameter text: a URI, or keywords and values.
    init(_ text: String) {
        rest = text
        if Self.schemes.contains(where: { text.hasPrefix($0) }) {
            partURI()
        } else if text.contains("=") {
            partKeywords()
        }
    }

    /// The key of a client certificate may have a password too; libpq takes it from nowhere but here, so psql does
    /// without it rather than show it.
    private static let secretKeywords = ["password", "sslpassword"]

    private mutating func partURI() {
        let text = rest
        let start = text.firstRange(of: "://")!.upperBound
        var location = text[start...]
        var credentials: Substring = ""
        // A question mark may stand in a password as it is.
        if let end = location.firstIndex(where: { $0 == "@" || $0 == "/" }), location[end] == "@" {
            credentials = location[..<end]
            location = location[end...]
        }
        if let colon = credentials.firstIndex(of: ":") {
            password = PercentEncoding.decode(credentials[credentials.index(after: colon)...])
            credentials = credentials[..<colon]
        }
        var query = ""
        if let mark = location.firstIndex(of: "?") {
            let kept = location[location.index(after: mark)...].split(separator: "&").filter { keep($0) }
            query = kept.isEmpty ? "" : "?" + kept.joined(separator: "&")
            location = location[..<mark]
        }
        rest = text[..<start] + credentials + location + query
    }

    /// Takes the password from a parameter of a URI; whether the parameter may be shown.
    private mutating func keep(_ parameter: Substring) -> Bool {
        let parts = parameter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = PercentEncoding.decode(parts[0])
        guard Self.secretKeywords.contains(name) else { return true }
        if name == "password" { password = parts.count > 1 ? PercentEncoding.decode(parts[1]) : nil }
        return false
    }

    private mutating func partKeywords() {
        var text = rest[...]
        var kept: [Substring] = []
        while let start = text.firstIndex(where: { !$0.isWhitespace }) {
            text = text[start...]
            let whole = text
            let name = text.prefix { $0 != "=" && !$0.isWhitespace }
            text = text[name.endIndex...].drop(while: \.isWhitespace)
            var value: String?
            if text.first == "=" {
                text = text.dropFirst().drop(while: \.isWhitespace)
                value = Self.takeValue(&text)
            }
            if Self.secretKeywords.contains(String(name)) {
                if name == "password" { password = value }
            } else {
                kept.append(whole[..<text.startIndex])
            }
        }
        guard kept.count > 0 || password != nil else { return }
        rest = kept.map { String($0).trimmingSpaces }.joined(separator: " ")
    }

    /// A bare value ends at a space, one in quotes at the next quote; a backslash takes the character after it as it
    /// is.
    private static func takeValue(_ text: inout Substring) -> String {
        var value = ""
        let isQuoted = text.first == "'"
        if isQuoted { text.removeFirst() }
        while let character = text.first {
            if !isQuoted, character.isWhitespace { break }
            text.removeFirst()
            if isQuoted, character == "'" { break }
            if character == "\\" {
                if let escaped = text.popFirst() { value.append(escaped) }
            } else {
                value.append(character)
            }
        }
        return value
    }
}

extension String {
    fileprivate var trimmingSpaces: String {
        var text = self[...]
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
