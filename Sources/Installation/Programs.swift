internal import Authentication
internal import Glibc
public import Lifecycle
public import Loop
public import Policy

/// The processes `drawbridge up` runs: the executables beside its own, with the arguments and the environment of this
/// installation.
@OnLoop
public struct Programs {
    private let directory: String
    private let home: Home
    private let policies: String
    private let run: RunDirectory
    private let databases: [String: String]
    private let isDemo: Bool

    /// - Parameters:
    ///   - policies: those that the processes are to read.
    ///   - databaseURL: of the bridge's own tables; for the bridge alone, as the next.
    ///   - pmsDatabaseURL: nil where it is the same.
    ///   - isDemo: whether the hotels are the demo's.
    public init(
        home: Home, policies: PolicyDirectory, run: RunDirectory, databaseURL: String, pmsDatabaseURL: String?,
        isDemo: Bool
    ) throws {
        guard let directory = Self.directory else { throw File.failure("/proc/self/exe") }
        self.directory = directory
        self.home = home
        self.policies = policies.path
        self.run = run
        databases = Self.databases(databaseURL, pmsDatabaseURL)
        self.isDemo = isDemo
        for name in Self.names where access("\(directory)/\(name)", X_OK) != 0 {
            throw InstallationError("\(directory)/\(name) is missing", remedy: "build it with: make build")
        }
    }

    /// The executables beside this one.
    static let names = ["drawbridge-gateway", "drawbridge-bridge", "drawbridge-ledger"]

    /// The `drawbridge` command, for running another of its commands: at first this executable, later perhaps the one
    /// that was put in its place.
    public static func command() throws -> String {
        guard let directory else { throw File.failure("/proc/self/exe") }
        return "\(directory)/drawbridge"
    }

    /// Where this executable is, and the others beside it.
    static var directory: String? { File.resolve("/proc/self/exe").map(File.directory) }

    /// The name of a gateway worker, in logs and when it reports.
    public static func gatewayName(_ worker: Int) -> String { "gateway-\(worker)" }

    /// What glibc's allocator is told in a worker: how many freed pieces of one size a thread keeps at hand (tcache). An
    /// inspection by libmodsecurity makes and drops thousands of small strings; with seven of a size, the default, most
    /// go the long way, which takes up to a third of an inspection. Pieces of up to a kibibyte are kept, so that a thread
    /// keeps no more than its busiest moment needed.
    private static let allocator = ["GLIBC_TUNABLES": "glibc.malloc.tcache_count=2000"]

    /// A gateway worker.
    ///
    /// - Parameter drain: how long it may take for open requests once it is told to stop.
    public func gateway(_ worker: Int, sockets: [HandedSocket], drain: Duration) -> SupervisedProcess {
        var plan = plan("drawbridge-gateway", ["--worker", String(worker)])
        plan.environment.merge(Self.allocator) { $1 }
        plan.sockets = sockets
        plan.endings = Self.endings(drain: drain)
        return SupervisedProcess(Self.gatewayName(worker), plan)
    }

    /// How a gateway worker is ended: it keeps to the time itself; SIGKILL is for one that hangs.
    public static func endings(drain: Duration) -> [(signal: Int32, patience: Duration)] {
        [(SIGTERM, drain + .seconds(2))]
    }

    /// The ledger's writer.
    public func ledger() throws -> SupervisedProcess {
        var plan = plan("drawbridge-ledger", [])
        plan.sockets = [
            HandedSocket("ledger", try ListeningSocket(unixPath: run.ledgerSocket)),
            try GatewaySockets.processAdmin("ledger", run),
        ]
        plan.endings = [(SIGTERM, .seconds(15))]
        // It reads the last segment first.
        plan.startTimeout = .seconds(120)
        return SupervisedProcess("ledger", plan)
    }

    /// The bridges. All of them listen on one socket, so that a gateway's connection goes to one that takes it, and waits
    /// for no other.
    public func bridges(_ count: Int) throws -> [SupervisedProcess] {
        let socket = HandedSocket("bridge", try ListeningSocket(unixPath: run.bridgeSocket))
        return try (0..<count).map { number in
            let name = Lifecycle.bridgeName(number)
            var plan = plan("drawbridge-bridge", number == 0 ? [] : ["--worker", String(number)])
            plan.environment.merge(databases) { $1 }
            plan.environment[MasterKey.variable] = Settings.masterKey
            if isDemo { plan.environment[Lifecycle.demoVariable] = "1" }
            plan.sockets = [socket, try GatewaySockets.processAdmin(name, run)]
            plan.endings = [(SIGTERM, .seconds(15))]
            // It reads every hotel's availability first.
            plan.startTimeout = .seconds(300)
            return SupervisedProcess(name, plan)
        }
    }

    /// Applies the bridge's migrations to the database.
    public func migrate(_ tools: Tools) async throws {
        if !isDemo, databases["PMS_DATABASE_URL"] == nil, let url = databases["DATABASE_URL"] {
            try await DatabaseExamination.requirePMS(in: Database(tools: tools, url: url))
        }
        let result = try await tools.run(
            ["\(directory)/drawbridge-bridge"] + arguments + ["--migrate"],
            environment: databases.merging([Lifecycle.supervisorVariable: String(getpid())]) { $1 })
        guard result.exit.isSuccess else { throw InstallationError("migrations failed: \(result.reason)") }
    }

    /// What the bridge's program is told of the databases.
    static func databases(_ url: String, _ pmsURL: String?) -> [String: String] {
        var variables = ["DATABASE_URL": url]
        variables["PMS_DATABASE_URL"] = pmsURL
        return variables
    }

    private var arguments: [String] { ["--config", policies, "--home", home.path] }

    private func plan(_ program: String, _ more: [String]) -> SupervisedProcess.Plan {
        var plan = SupervisedProcess.Plan(program: "\(directory)/\(program)")
        plan.arguments = arguments + more
        plan.environment = Tools.environment
        plan.environment[Readiness.socketVariable] = run.notifySocket
        return plan
    }
}
