import Glibc
import Loop
import Policy
import Testing

@testable import Installation

/// An installation of a test's own, whose two processes are stand-ins.
@OnLoop
final class Trial {
    /// Where the tests were built, `drawbridge` was too.
    nonisolated static var executable: String {
        File.directory(of: File.resolve("/proc/self/exe") ?? "") + "/drawbridge"
    }

    let home: Home
    /// A copy of the package's, for the test to change.
    let policies: String
    private let directory: TemporaryDirectory
    private var child: ChildProcess?
    private var output: Int32 = -1
    private(set) var port: UInt16 = 0

    init() throws {
        directory = try TemporaryDirectory()
        home = Home(path: directory.file("home"))
        try home.create()
        let package = File.directory(of: File.directory(of: File.directory(of: #filePath)))
        try Self.copy(Self.executable, to: directory.file("drawbridge"))
        for name in Programs.names {
            try Self.copy("\(package)/Tests/InstallationTests/StandIn/standin.pl", to: directory.file(name))
        }
        policies = directory.file("policies")
        mkdir(policies, 0o755)
        mkdir("\(policies)/\(PolicyDirectory.rulesDirectory)", 0o755)
        for name in PolicyDirectory.fileNames + PolicyDirectory.ruleFileNames {
            let text = try #require(try File.readText("\(package)/Policies/\(name)"))
            try File.write(text, to: "\(policies)/\(name)", mode: 0o644)
        }
    }

    deinit { if output >= 0 { close(output) } }

    /// Starts `drawbridge up` and waits until it is ready.
    ///
    /// - Parameters:
    ///   - limit: for the number of open files, soft and hard.
    ///   - changes: to its environment.
    func start(
        _ arguments: String..., limit: (soft: Int, hard: Int)? = nil, environment changes: [String: String] = [:]
    ) async throws {
        output = open(directory.file("output"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        let command =
            (limit.map { ["prlimit", "--nofile=\($0.soft):\($0.hard)"] } ?? [])
            + [directory.file("drawbridge"), "up", "--config", policies] + arguments
        let child = try ChildProcess(
            try Tools.find(command[0]), Array(command.dropFirst()),
            environment: environment.merging(changes) { $1 }, descriptors: [.null, .inherit(output), .inherit(output)])
        self.child = child
        while try !log.contains("drawbridge is ready\n") {
            if !child.isRunning { throw InstallationError("drawbridge up ended: \(try log)") }
            try await Loop.sleep(for: .milliseconds(5))
        }
        let url = try #require(try EnvironmentFile.value("GATEWAY_URL", in: home.environmentFile))
        port = try #require(url.split(separator: ":").last.flatMap { UInt16($0) })
    }

    func signal(_ number: Int32) { child?.send(signal: number) }

    func stop(_ number: Int32) async throws -> ChildProcess.Exit {
        let child = try #require(self.child)
        child.send(signal: number)
        return try await child.waitForExit()
    }

    /// Runs a command of `drawbridge` to its end.
    func run(_ command: String, environment: [String: String] = [:]) async throws -> Tools.Result {
        try await Tools().run(
            [directory.file("drawbridge"), command, "--config", directory.file("policies")],
            environment: self.environment.merging(environment) { $1 })
    }

    /// Everything said so far.
    var log: String { get throws { try File.readText(directory.file("output")) ?? "" } }

    /// What the stand-ins wrote down.
    var journal: [String] {
        get throws { (try File.readText(home.file("journal")) ?? "").split(separator: "\n").map(String.init) }
    }

    /// Living processes whose command line names this installation.
    var processes: [Int32] {
        File.names(in: "/proc").compactMap { Int32($0) }.filter { id in
            guard let words = try? File.readText("/proc/\(id)/cmdline") else { return false }
            return words.contains(directory.path)
        }
    }

    struct Greeting {
        let name: String
        let processID: Int32
        let restarts: Int
    }

    /// Connects to the gateway's port and reads what the stand-in behind it says.
    func greeting() throws -> Greeting {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0, "connection refused")
        let line = String(decoding: try File.readAll(descriptor, "socket"), as: UTF8.self).trimmingNewline
        let words = line.split(separator: " ")
        try #require(words.count == 3, "\(line)")
        return Greeting(
            name: String(words[0]), processID: try #require(Int32(words[1])),
            restarts: try #require(Int(words[2].dropFirst("restarts=".utf8.count))))
    }

    private var environment: [String: String] {
        [
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "DRAWBRIDGE_HOME": home.path, "DRAWBRIDGE_PORT": "0",
            "DRAWBRIDGE_ADMIN_PORT": "0", "DATABASE_URL": "postgresql://nobody@/none",
        ]
    }

    private static func copy(_ source: String, to destination: String) throws {
        try File.write(
            try #require(try File.read(source, bound: .max), "\(source) is missing"), to: destination, mode: 0o755)
    }
}
