import Glibc
import Loop
import Testing

/// A PMS's database server of its own, as it stands at a hotel: the demo PMS, without a bridge's processes beside it.
@OnLoop
final class HotelServer {
    private let directory: String
    private let programs: String
    private var child: ChildProcess?

    private var cluster: String { "\(directory)/cluster" }
    private var sockets: String { "\(directory)/sockets" }
    private var isRoot: Bool { geteuid() == 0 }

    /// How the bridge connects; people at the front desk are another user.
    var url: String { "postgresql://drawbridge@/drawbridge?host=\(sockets)" }

    init() async throws {
        var template = Array("/tmp/dbh-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        directory = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        chmod(directory, 0o711)
        Leftovers.add(directory)
        programs = try #require(
            ["/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/17/bin", "/usr/bin"].first
            {
                access("\($0)/postgres", X_OK) == 0
            })
        try await FirstStart.copyDatabase(to: directory)
        mkdir(sockets, 0o755)
        if isRoot { _ = try await Files.run(["chown", "postgres", sockets]) }
        Files.write("local all all trust\n", to: "\(Files.resolve(cluster))/pg_hba.conf")
        configure("")
    }

    /// Settings of its PostgreSQL, which can be made to wait for a standby.
    private func configure(_ more: String) {
        let file = "\(Files.resolve(cluster))/postgresql.auto.conf"
        Files.write("wal_level = replica\nmax_wal_senders = 1\n" + more, to: file)
    }

    deinit { Files.removeTree(directory) }

    func start() async throws {
        let identity = isRoot ? ["--reuid", "postgres", "--regid", "postgres", "--init-groups"] : []
        let log = open("\(directory)/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(log) }
        let child = try ChildProcess(
            "/usr/bin/setpriv",
            identity + [
                "--pdeathsig", "INT", "--", "\(programs)/postgres", "-D", Files.resolve(cluster), "-k", sockets,
            ],
            environment: ["PATH": "/usr/bin:/bin", "TZ": "UTC"],
            descriptors: [.null, .inherit(log), .inherit(log)])
        self.child = child
        Leftovers.add(child.processID, directory)
        try await wait("the hotel's server answers", for: .seconds(60)) { [self] in
            try #require(child.isRunning, "it ended: \(Files.text("\(directory)/log"))")
            return try await Files.run(psql("SELECT 1")).exit.isSuccess
        }
    }

    /// Ends it as a power cut does.
    func crash() async throws {
        let child = try #require(self.child)
        child.send(signal: SIGQUIT)
        _ = try await child.waitForExit()
        Leftovers.remove(child.processID)
        self.child = nil
    }

    func stop() async throws {
        guard let child else { return }
        child.send(signal: SIGINT)
        _ = try await child.waitForExit()
        Leftovers.remove(child.processID)
        self.child = nil
    }

    /// Lets the bridge not reach it, while the front desk goes on.
    func cutOff() async throws {
        _ = try await rows("ALTER ROLE drawbridge CONNECTION LIMIT 0")
        _ = try await rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'drawbridge'")
    }

    /// Lets every commit wait for a standby that there is not; an empty name lets none wait.
    func setStandby(_ name: String) async throws {
        configure("synchronous_standby_names = '\(name)'\n")
        _ = try await rows("SELECT pg_reload_conf()")
        try await wait("the setting") { [self] in
            try await rows("SHOW synchronous_standby_names") == (name.isEmpty ? [] : [[name]])
        }
    }

    func reconnect() async throws { _ = try await rows("ALTER ROLE drawbridge CONNECTION LIMIT -1") }

    private func psql(_ query: String) -> [String] {
        [
            "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d",
            "postgresql://postgres@/drawbridge?host=\(sockets)", "-c", query,
        ]
    }

    /// The rows of a query by the front desk, as text.
    func rows(_ query: String) async throws -> [[String]] {
        let result = try await Files.run(psql("SET my_app.user_id = 1; " + query))
        try #require(result.exit.isSuccess, "\(result.output)")
        return result.output.split(separator: "\n").map {
            $0.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        }
    }

    /// Runs statements beside the test.
    func inBackground(_ statements: String) throws -> ChildProcess {
        try ChildProcess(
            "/usr/bin/env", psql(statements), environment: ["PATH": "/usr/bin:/bin"],
            descriptors: [.null, .null, .null])
    }

    func value(_ query: String) async throws -> String { try #require(try await rows(query).first?.first) }
}
