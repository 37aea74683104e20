internal import Glibc
public import Lifecycle
public import Loop
internal import Telemetry

/// The installation's own PostgreSQL cluster, reachable by a unix-domain socket alone.
///
/// It belongs to the user who started the installation, or to `postgres` where that was root, because PostgreSQL
/// refuses to run as root.
@OnLoop
public final class PrivateCluster {
    static let role = "drawbridge"
    static let database = "drawbridge"
    /// Where clusters live whose home the database's user cannot enter.
    private static let sharedParent = "/var/lib/drawbridge"
    /// How long a server of an earlier run may take to stop.
    private static let leftoverPatience = Duration.seconds(30)

    /// Where the sockets of the installation, this one's among them, are.
    public let runDirectory: RunDirectory
    let directory: String
    private let home: Home
    private let owner: SystemUser?
    private let tools: Tools
    private let postgreSQL: PostgreSQL

    /// What the server says.
    public let log: BoundedLog

    /// Decides where the cluster is, and makes the directories around it.
    public init(_ home: Home, tools: Tools) async throws {
        self.home = home
        self.tools = tools
        log = try BoundedLog(path: home.file("postgresql.log"))
        owner = SystemUser.isRoot ? SystemUser(named: "postgres") : nil
        if SystemUser.isRoot, owner == nil {
            throw InstallationError("there is no user postgres", remedy: "run Scripts/packages")
        }
        let isReachable = try await Self.isReachable(home.path, by: owner, tools: tools)
        runDirectory = try RunDirectory.prepare(home, guest: owner, isReachable: isReachable)
        let link = home.file("cluster")
        if let existing = File.resolve(link) {
            directory = existing
        } else if isReachable {
            directory = link
        } else {
            try File.makeDirectory(Self.sharedParent, mode: 0o711)
            directory = "\(Self.sharedParent)/\(home.tag)"
            try File.link(link, to: directory)
        }
        postgreSQL = try PostgreSQL.find(for: directory)
    }

    /// How clients connect; understood by libpq.
    public func url(_ secrets: Secrets) -> String {
        "postgresql://\(Self.role):\(PercentEncoding.encode(secrets.databasePassword))@/\(Self.database)"
            + "?host=\(PercentEncoding.encode(runDirectory.databaseDirectory))"
    }

    /// The database for the installation's own work in it.
    func database(_ secrets: Secrets) -> Database {
        Database(
            tools: tools,
            environment: [
                "PGHOST": runDirectory.databaseDirectory, "PGUSER": Self.role, "PGPASSWORD": secrets.databasePassword,
                "PGDATABASE": Self.database,
            ])
    }

    /// Makes the cluster unless it is there, stops a server that an earlier run left behind, and writes the settings.
    public func prepare(_ secrets: Secrets) async throws {
        try await stopLeftover()
        if !File.exists("\(directory)/PG_VERSION") {
            try await create(password: secrets.databasePassword)
        } else if secrets.isDatabasePasswordNew {
            try await runAlone(
                directory, ["ALTER ROLE \(Self.role) PASSWORD \(Database.literal(secrets.databasePassword))"])
        }
        let settings = ClusterSettings(socketDirectory: runDirectory.databaseDirectory)
        try File.write(settings.text, to: "\(directory)/postgresql.conf", mode: 0o600, owner: owner)
        try File.write(ClusterSettings.access, to: "\(directory)/pg_hba.conf", mode: 0o600, owner: owner)
    }

    /// The server as a service. It dies with this process, by a fast shutdown.
    public func server() throws -> SupervisedProcess {
        let identity = owner.map { ["--reuid", $0.name, "--regid", String($0.groupID), "--init-groups"] } ?? []
        var plan = SupervisedProcess.Plan(program: try Tools.find("setsid"))
        plan.arguments =
            [try Tools.find("setpriv")] + identity
            + ["--pdeathsig", "INT", "--", postgreSQL.program("postgres"), "-D", directory]
        plan.environment = Tools.environment
        plan.environment["TZ"] = "UTC"
        plan.output = log.descriptor
        plan.outputFile = log.path
        // SIGINT ends sessions and writes a checkpoint (fast); SIGQUIT leaves the rest to recovery (immediate).
        plan.endings = [(SIGINT, .seconds(60)), (SIGQUIT, .seconds(10))]
        plan.startTimeout = .seconds(300)
        // Sessions of a server that was killed let go of its memory a moment later.
        plan.firstStarts = 6
        plan.isReady = { [directory] in PostmasterFile.read(directory)?.isReady(processID: $0) ?? false }
        return SupervisedProcess("postgresql", plan)
    }

    // MARK: Creation

    private func create(password: String) async throws {
        Log.info("creating the private database cluster")
        let unfinished = "\(directory).unfinished"
        try await endLeftovers(of: unfinished)
        try await tools.require(["rm", "-rf", "--", unfinished])
        try File.makeDirectory(unfinished, mode: 0o700, owner: owner)
        // Nobody can log in until `pg_hba.conf` is ours.
        try await tools.require(
            asOwner([
                postgreSQL.program("initdb"), "--pgdata", unfinished, "--username", "postgres", "--auth", "reject",
                "--encoding", "UTF8", "--locale", "C.UTF-8", "--data-checksums", "--no-instructions",
            ]))
        // The demo hotels are loaded without firing the change log's triggers, which needs the one right granted here;
        // the role is no superuser.
        try await runAlone(
            unfinished,
            [
                "CREATE ROLE \(Self.role) LOGIN PASSWORD \(Database.literal(password))",
                "GRANT SET ON PARAMETER session_replication_role TO \(Self.role)",
                "CREATE DATABASE \(Self.database) OWNER \(Self.role)",
            ])
        guard rename(unfinished, directory) == 0 else { throw File.failure(directory) }
    }

    /// Runs statements as the superuser in a server without network, which needs no password.
    private func runAlone(_ directory: String, _ statements: [String]) async throws {
        let result = try await tools.run(
            asOwner([postgreSQL.program("postgres"), "--single", "-D", directory, "postgres"]),
            input: statements.map { $0 + "\n" }.joined())
        let words = result.errors + result.output
        guard result.exit.isSuccess, !words.contains("ERROR:"), !words.contains("FATAL:") else {
            throw InstallationError("the private database cannot be set up: \(result.reason)")
        }
    }

    private func asOwner(_ command: [String]) -> [String] { (owner?.prefix ?? []) + command }

    private static func isReachable(_ path: String, by user: SystemUser?, tools: Tools) async throws -> Bool {
        guard let user else { return true }
        return try await tools.run(user.prefix + ["test", "-x", path]).exit.isSuccess
    }

    // MARK: A server left behind

    private func stopLeftover() async throws {
        guard let processID = PostmasterFile.read(directory)?.processID,
            LeftoverProcess.isPostgres(processID, in: directory)
        else { return }
        Log.warning("stopping a database server of an earlier run", ["pid": Log.Value(processID)])
        kill(processID, SIGINT)
        try await wait(
            while: { LeftoverProcess.isPostgres(processID, in: directory) },
            orThrow: InstallationError(
                "the database server of an earlier run, process \(processID), does not stop",
                remedy: "end it with: kill -QUIT \(processID)"))
    }

    /// Ends what an earlier run that was killed has left making a cluster: the kernel ends those that the run has
    /// started, but not at once, and not those that they have started in turn.
    private func endLeftovers(of unfinished: String) async throws {
        try await wait(
            while: {
                let leftovers = LeftoverProcess.makers(of: unfinished)
                for id in leftovers { kill(id, SIGKILL) }
                return !leftovers.isEmpty
            }, orThrow: InstallationError("programs of an earlier run still work on \(unfinished)"))
    }

    private func wait(while condition: () -> Bool, orThrow error: InstallationError) async throws {
        let end = Loop.monotonicNanoseconds + UInt64(Self.leftoverPatience.components.seconds) * 1_000_000_000
        while condition() {
            guard Loop.monotonicNanoseconds < end else { throw error }
            try await Loop.sleep(for: .milliseconds(20))
        }
    }
}
