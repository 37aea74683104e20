import Glibc
import Loop
import Testing

/// Gateways, a ledger and a bridge on an installation's database and with its keys, in a home of their own; in place of the
/// installation with its PostgreSQL, too. The test is their supervisor, and starts at once what has ended: the real one lets
/// more time go by each time, and within minutes nothing could be killed two hundred times.
@OnLoop
final class RestlessProcesses {
    let home: String
    /// What the gateways take for the bridge.
    let crossing: Crossing
    /// How clients reach the gateways.
    let gateway: HTTPClient
    /// How often each was killed.
    private(set) var kills: [String: Int] = [:]
    /// Ends that nobody here had asked for.
    private(set) var oddities: [String] = []

    private let directory: String
    /// The installation's cluster, where they are in its place.
    private let database: Slot?
    private let ledger: Slot
    private let bridge: Slot
    private let gateways: [Slot]
    /// What a test has added.
    private var companions: [Slot] = []
    private var isStopping = false

    /// Prepares them, and stops the installation.
    ///
    /// - Parameter environment: what they find in theirs besides.
    convenience init(inPlaceOf node: Node, workers: Int, environment: [String: String] = [:]) async throws {
        let database = try Slot(likeDatabaseOf: node)
        try await self.init(beside: node, workers: workers, database)
        for slot in slots { slot.environment.merge(environment) { $1 } }
        try #require(try await node.stop().isSuccess)
    }

    /// Prepares them.
    ///
    /// - Parameter environment: what they find in theirs besides.
    convenience init(beside node: Node, workers: Int, environment: [String: String] = [:]) async throws {
        try await self.init(beside: node, workers: workers, nil)
        for slot in slots { slot.environment.merge(environment) { $1 } }
    }

    private init(beside node: Node, workers: Int, _ database: Slot?) async throws {
        self.database = database
        let directory = "\(node.directory)/restless"
        let home = "\(directory)/home"
        (self.directory, self.home) = (directory, home)
        try await Self.makeHome(home, like: node.home, in: directory)
        let policies = try Self.makePolicies("\(directory)/policies", like: node.policies)
        crossing = try Crossing(
            "\(home)/run/crossing.sock", to: "\(home)/run/bridge.sock", records: "\(home)/ledger/records")

        func slot(_ name: String, _ sockets: [KeptSocket], _ arguments: [String] = []) throws -> Slot {
            let own = KeptSocket("process-admin", try ListeningSocket(unixPath: "\(home)/run/\(name).admin.sock"))
            let program = "\(Node.programs)/drawbridge-\(name.prefix { $0 != "-" })"
            return Slot(name, program, ["--config", policies, "--home", home] + arguments, sockets + [own])
        }
        func named(_ name: String) throws -> [KeptSocket] {
            [KeptSocket(name, try ListeningSocket(unixPath: "\(home)/run/\(name).sock"))]
        }
        ledger = try slot("ledger", named("ledger"))
        bridge = try slot("bridge", named("bridge"))
        bridge.environment["DATABASE_URL"] = try node.variable("DATABASE_URL")
        var ports: [String: UInt16] = [:]
        gateways = try (0..<workers).map { worker in
            let sockets = try ["public", "admin"].map { name in
                let socket = try ListeningSocket(address: "127.0.0.1", port: ports[name] ?? 0, isShared: true)
                ports[name] = socket.port
                return KeptSocket(name, socket)
            }
            return try slot("gateway-\(worker)", sockets, ["--worker", String(worker)])
        }
        var gateway = try node.gateway
        gateway.endpoint = .tcp(address: "127.0.0.1", port: ports["public"] ?? 0)
        self.gateway = gateway
    }

    /// Adds a process that does nothing but deliver webhooks, as `dispatcher-NUMBER`, with the bridge's environment.
    ///
    /// - Parameter number: from 1: the bridge itself delivers as well.
    func addDispatcher(_ number: Int) {
        let slot = Slot(
            "dispatcher-\(number)", "\(Node.programs)/drawbridge-bridge",
            ["--role", "dispatcher", "--worker", "\(number)", "--config", "\(directory)/policies", "--home", home], [])
        slot.environment = bridge.environment
        companions.append(slot)
    }

    /// Adds a program of the test's own.
    func add(_ name: String, _ program: String, _ arguments: [String]) {
        companions.append(Slot(name, program, arguments, []))
    }

    private static func makeHome(_ home: String, like other: String, in directory: String) async throws {
        for path in [directory, home, "\(home)/run", "\(home)/ledger"] { mkdir(path, 0o700) }
        // As root's, the ledger is a user of its own.
        var status = stat()
        try #require(stat("\(other)/ledger", &status) == 0)
        try #require(chown("\(home)/ledger", status.st_uid, status.st_gid) == 0)
        let copy = try await Files.run(["cp", "-a", "\(other)/keys", "\(other)/tls", home])
        try #require(copy.exit.isSuccess, "\(copy.output)")
    }

    private static func makePolicies(_ directory: String, like other: String) throws -> String {
        Node.copyPolicies(from: other, to: directory)
        let gateway = "\(directory)/gateway.yaml"
        try Files.change(gateway, "run/bridge.sock", to: "run/crossing.sock")
        // So that segments and checkpoints begin while processes are killed.
        try Files.change(gateway, "segment_size: 128 MiB", to: "segment_size: 256 KiB")
        try Files.change(gateway, "checkpoint_records: 10000", to: "checkpoint_records: 100")
        return directory
    }

    /// The names of all.
    var names: [String] { slots.map(\.name) }

    private var slots: [Slot] { (database.map { [$0] } ?? []) + [ledger, bridge] + gateways + companions }

    /// Runs them while `body` does.
    func run(_ body: @OnLoop () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for slot in slots { group.addTask { try await self.keep(slot) } }
            do { try await body() } catch {
                isStopping = true
                for slot in slots { slot.child?.send(signal: SIGKILL) }
                await crossing.close()
                throw error
            }
            try await stop()
            try await group.waitForAll()
        }
        await crossing.close()
    }

    private func keep(_ slot: Slot) async throws {
        while !isStopping {
            let exit = try await start(slot).waitForExit()
            guard !isStopping else {
                if !exit.isSuccess { oddities.append("\(slot.name) stopped with \(exit)") }
                return
            }
            if slot === database, !slot.isKilled, slot.starts < 200 {
                // Sessions of a server that was killed let go of its memory a moment later.
                try await Loop.sleep(for: .milliseconds(20))
                continue
            }
            guard slot.isKilled else {
                oddities.append("\(slot.name) ended by itself with \(exit)")
                return
            }
        }
    }

    private func start(_ slot: Slot) throws -> ChildProcess {
        let log = open("\(directory)/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(log) }
        var environment = slot.environment
        environment["LISTEN_FDS"] = String(slot.sockets.count)
        environment["LISTEN_FDNAMES"] = slot.sockets.map(\.name).joined(separator: ":")
        // So they end when the tests do, even by kill -9.
        environment["DRAWBRIDGE_SUPERVISOR"] = String(getpid())
        let child = try ChildProcess(
            slot.program, slot.arguments, environment: environment,
            descriptors: [.null, .inherit(log), .inherit(log)] + slot.sockets.map { .inherit($0.descriptor) })
        slot.child = child
        slot.starts = slot.isKilled ? 1 : slot.starts + 1
        slot.isKilled = false
        return child
    }

    /// Kills one, whatever it does; where it is being started again, as soon as it runs.
    func kill(_ name: String, by signal: Int32 = SIGKILL) async throws {
        let slot = try #require(slots.first { $0.name == name })
        try await wait("\(name) runs; \(oddities)") { slot.child?.isRunning == true && !slot.isKilled }
        slot.isKilled = true
        slot.child?.send(signal: signal)
        kills[name, default: 0] += 1
    }

    /// Stops them in the order of a supervisor.
    private func stop() async throws {
        isStopping = true
        for group in [gateways, [bridge] + companions, [ledger], database.map { [$0] } ?? []] {
            // PostgreSQL ends its sessions by SIGINT, and waits for them by SIGTERM.
            for slot in group { slot.child?.send(signal: slot === database ? SIGINT : SIGTERM) }
            for slot in group {
                try await wait("\(slot.name) stops", for: .seconds(60)) { slot.child?.isRunning != true }
            }
        }
    }

    /// What they have said.
    var log: String { Files.text("\(directory)/log") }
}

/// Where one process after the other runs.
@OnLoop
private final class Slot {
    let name: String
    let program: String
    let sockets: [KeptSocket]
    var arguments: [String]
    var environment = ["PATH": "/usr/bin:/bin"]
    var child: ChildProcess?
    /// Whether it was us who ended it.
    var isKilled = false
    /// How often it was started since.
    var starts = 0

    init(_ name: String, _ program: String, _ arguments: [String], _ sockets: [KeptSocket]) {
        self.name = name
        self.program = program
        self.arguments = arguments
        self.sockets = sockets
    }
}

extension Slot {
    /// PostgreSQL as it runs there: the same program on the same cluster, as the same user.
    fileprivate convenience init(likeDatabaseOf node: Node) throws {
        let running = try node.processID("postgresql")
        let command = Files.text("/proc/\(running)/cmdline").split(separator: "\0").map(String.init)
        var owner = stat()
        try #require(stat("/proc/\(running)", &owner) == 0 && !command.isEmpty)
        let user = getuid() == 0 ? ["--reuid", "\(owner.st_uid)", "--regid", "\(owner.st_gid)", "--clear-groups"] : []
        // Told by the kernel when the tests are gone. Before it recovers it syncs its files one by one: some seconds.
        let arguments = user + ["--pdeathsig", "INT", "--"] + command + ["-c", "recovery_init_sync_method=syncfs"]
        self.init("postgresql", "/usr/bin/setsid", ["setpriv"] + arguments, [])
        environment["TZ"] = "UTC"
    }
}

/// A socket that outlives the processes which get it: who connects meanwhile waits in the kernel's queue.
private final class KeptSocket {
    let name: String
    private let socket: ListeningSocket

    init(_ name: String, _ socket: consuming ListeningSocket) {
        self.name = name
        self.socket = socket
    }

    var descriptor: Int32 { socket.inheritable }
}
