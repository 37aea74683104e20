import Cryptography
import Glibc
import JSONText
import Loop
import Policy
import Stay
import TLS
import Testing

/// A whole installation of the tests' own: `drawbridge up` with the real gateway, bridge and PostgreSQL, in a home of
/// its own on free ports.
@OnLoop
final class Node {
    /// For the tests that break nothing; each takes nights of its own.
    static func shared() async throws -> Node {
        if let starting { return try await starting.value }
        let task = Task {
            let node = try Node()
            try await node.start()
            return node
        }
        starting = task
        return try await task.value
    }

    private static var starting: Task<Node, any Error>?

    let home: String
    let policies: String
    /// The directory of the test's own that all of it is in.
    let directory: String
    private let workers: Int
    private let bridges: Int
    /// What it is told besides, from the next start on.
    var environment: [String: String] = [:]
    private var child: ChildProcess?
    private var variables: [String: String] = [:]

    /// - Parameters:
    ///   - name: the home's name, in a directory of the installation's own.
    ///   - ownsPolicies: whether its policies are a copy that the test may change.
    ///   - workers: how many gateway workers it has.
    ///   - bridges: how many bridges.
    init(name: String = "home", ownsPolicies: Bool = false, workers: Int = 2, bridges: Int = 1) throws {
        self.workers = workers
        self.bridges = bridges
        var template = Array("/tmp/dbi-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        directory = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        // The database's user must get through where tests run as root.
        chmod(directory, 0o711)
        home = "\(directory)/\(name)"
        policies = ownsPolicies ? "\(directory)/policies" : "\(Self.package)/Policies"
        if ownsPolicies { Self.copyPolicies(to: policies) }
    }

    /// Copies policies to a directory that is made for them; without others those that come with the package.
    static func copyPolicies(from other: String = "\(package)/Policies", to directory: String) {
        mkdir(directory, 0o755)
        mkdir("\(directory)/\(PolicyDirectory.rulesDirectory)", 0o755)
        for name in PolicyDirectory.fileNames + PolicyDirectory.ruleFileNames {
            Files.write(Files.text("\(other)/\(name)"), to: "\(directory)/\(name)")
        }
    }

    /// Writes rate limits into its own policies that no test reaches.
    func liftLimits() throws {
        let limits = "\(policies)/rate-limits.yaml"
        let lifted = Files.text(limits)
            .replacing(/burst: [0-9]+/, with: "burst: 1000000")
            .replacing(/requests: [0-9]+\n    per: 1 [a-z]+/, with: "requests: 1000000\n    per: 1 s")
        Files.write(lifted, to: limits)
    }

    deinit { Files.removeTree(directory) }

    // MARK: Running it

    /// Starts it, and waits until it says that it is ready. Where there is no home yet, it finds the database as a
    /// first start makes it.
    func start() async throws {
        if Glibc.access(home, F_OK) != 0 { try await FirstStart.copyDatabase(to: home) }
        try await bringUp()
    }

    /// The same from whatever is there.
    func bringUp() async throws {
        let offset = log.utf8.count
        let output = open("\(directory)/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(output) }
        // Told by the kernel when the tests are gone, even by kill -9.
        let child = try ChildProcess(
            "/usr/bin/env",
            [
                "setpriv", "--pdeathsig", "TERM", "--", "\(Self.programs)/drawbridge", "up", "--workers", "\(workers)",
                "--bridges", "\(bridges)", "--config", policies,
            ],
            environment: [
                "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "DRAWBRIDGE_HOME": home,
                "DRAWBRIDGE_PORT": "0", "DRAWBRIDGE_ADMIN_PORT": "0", "DRAWBRIDGE_LOG_LEVEL": "debug",
            ].merging(environment) { $1 },
            descriptors: [.null, .inherit(output), .inherit(output)])
        self.child = child
        Leftovers.add(child.processID, directory)
        try await wait("drawbridge is ready", for: .seconds(120)) { [self] in
            try #require(child.isRunning, "drawbridge up ended: \(log)")
            return log.utf8.dropFirst(offset).split(separator: UInt8(ascii: "\n"))
                .contains { String($0) == "drawbridge is ready" }
        }
        for line in Files.text("\(home)/demo.env").split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            variables[String(parts[0])] = parts.count == 2 ? String(parts[1]) : ""
        }
    }

    /// The process number of `drawbridge up`.
    var supervisor: Int32? { child?.processID }

    func signal(_ number: Int32) { child?.send(signal: number) }

    /// Asks it to end by a signal, and waits for that.
    func stop(_ number: Int32 = SIGTERM) async throws -> ChildProcess.Exit {
        let child = try #require(self.child)
        child.send(signal: number)
        let exit = try await Loop.withDeadline(.seconds(60), "stop") { try await child.waitForExit() }
        Leftovers.remove(child.processID)
        self.child = nil
        return exit
    }

    /// Everything its processes have said so far.
    var log: String { Files.text("\(directory)/log") }

    /// The process number of one of its processes, such as `bridge` or `gateway-0`, from the last time it got ready.
    func processID(_ slot: String) throws -> Int32 {
        for line in log.split(separator: "\n").reversed() where line.contains("\"message\":\"process is ready\"") {
            let entry = try JSONValue(parsing: Array(line.utf8))
            if entry["slot"]?.string == slot, let id = entry["pid"]?.integer { return Int32(id) }
        }
        throw LoopError(.unreachable, "find process")
    }

    /// Living processes that belong to this installation.
    var processes: [Int32] {
        Files.names(in: "/proc").compactMap { Int32($0) }.filter { id in
            Files.text("/proc/\(id)/cmdline").contains(directory)
        }
    }

    /// Waits until each of its gateway workers counts the bridge as well again: one may find out a second after
    /// another.
    func waitUntilGatewaysAreReady() async throws {
        for worker in 0..<workers {
            try await wait("gateway-\(worker) is ready", for: .seconds(60)) { [self] in
                try await socket("gateway-\(worker).admin").send(.get("/readyz")).status == 200
            }
        }
    }

    // MARK: Talking to it

    /// The gateway as clients reach it.
    var gateway: HTTPClient {
        get throws { try gateway() }
    }

    func gateway(_ versions: ClosedRange<TLSVersion> = .tls12 ... .tls13) throws -> HTTPClient {
        HTTPClient(
            endpoint: .tcp(address: "127.0.0.1", port: try port("GATEWAY_URL")), host: "localhost",
            security: try TLSClientContext(authoritiesPath: "\(home)/tls/certificate.pem", versions: versions))
    }

    /// The node's own address for health, readiness and metrics.
    var admin: HTTPClient {
        get throws {
            HTTPClient(endpoint: .tcp(address: "127.0.0.1", port: try port("ADMIN_URL")), host: "localhost")
        }
    }

    /// A socket of one process, such as `bridge` or `gateway-0.admin`.
    func socket(_ name: String) -> HTTPClient {
        HTTPClient(endpoint: .unix(path: "\(Files.resolve("\(home)/run"))/\(name).sock"), host: "localhost")
    }

    func port(_ variable: String) throws -> UInt16 {
        try #require(variables[variable]?.split(separator: ":").last.flatMap { UInt16($0) })
    }

    func variable(_ name: String) throws -> String { try #require(variables[name]) }

    /// A token of the installation's own issuer, changed as the test wants it.
    func token(_ change: (inout Token) -> Void = { _ in }) throws -> String {
        var token = Token()
        change(&token)
        let pem = try #require(Files.read("\(home)/keys/demo-issuer.private.pem"))
        return token.signed(try P256PrivateKey(pem: pem.span))
    }

    /// Asks the gateway with a token that may do everything.
    func get(_ target: String) async throws -> Answer { try await gateway.send(.get(target, try token())) }

    /// Books with a token that may do everything.
    func book(_ booking: BookingBody, key: String? = nil) async throws -> Answer {
        try await gateway.send(request(booking, key: key))
    }

    func request(_ booking: BookingBody, key: String? = nil) throws -> TestRequest {
        let request = TestRequest.post("/api/booking-engine/bookings", try token(), json: booking.json)
        return key.map { request.with("Idempotency-Key", $0) } ?? request
    }

    /// Rooms of a type that are free for a stay, as availability says.
    func available(_ hotel: Int, _ type: Int, _ stay: TestStay) async throws -> Int {
        let answer = try await get("\(stay.availability(hotel))&room_type_id=\(type)")
        return try #require(answer.integer("room_types.0.available"), "\(answer.status) \(answer.text)")
    }

    /// What `drawbridge doctor` says.
    func doctor() async throws -> String {
        try await Files.run(
            ["\(Self.programs)/drawbridge", "doctor", "--config", policies], environment: ["DRAWBRIDGE_HOME": home]
        ).output
    }

    /// What `drawbridge policy …` says of this installation.
    func policy(_ arguments: String...) async throws -> (exit: ChildProcess.Exit, output: String) {
        try await Files.run(
            [Self.program, "policy"] + arguments, environment: ["DRAWBRIDGE_HOME": home],
            // Every worker loads the firewall's rules, which takes a busy machine a while.
            patience: .seconds(120))
    }

    /// What `drawbridge key` prints, its messages included.
    func key(_ arguments: String...) async throws -> (exit: ChildProcess.Exit, output: String) {
        try await Files.run(
            [Self.program, "key"] + arguments, environment: ["DRAWBRIDGE_HOME": home])
    }

    /// The rows of a query on the PMS's database, as text.
    func rows(_ query: String) async throws -> [[String]] {
        let result = try await Files.run(
            ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", try variable("DATABASE_URL"), "-c", query])
        try #require(result.exit.isSuccess, "\(result.output)")
        return result.output.split(separator: "\n").map {
            $0.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        }
    }

    /// The one value of a query.
    func value(_ query: String) async throws -> String { try #require(try await rows(query).first?.first) }

    // MARK: Where things are

    /// Where the tests were built, the programs were too.
    static let programs = Files.resolve("/proc/self/exe")
        .split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")

    /// The `drawbridge` command.
    static let program = "\(programs)/drawbridge"

    nonisolated static let package = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4)
        .joined(separator: "/")
}
