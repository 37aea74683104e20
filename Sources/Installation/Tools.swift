internal import Glibc
public import Loop

/// Runs other programs to their end: `openssl`, `initdb`, `psql`.
@OnLoop
public final class Tools {
    /// How a program ended and what it said.
    public struct Result: Sendable {
        /// How it ended.
        public let exit: ChildProcess.Exit
        /// Its standard output.
        public let output: String
        /// Its standard error.
        public let errors: String

        /// What it said about a failure, on one line.
        public var reason: String {
            let lines = errors.split(separator: "\n")
            // What PostgreSQL's programs call an error, with what follows it; otherwise the last words.
            let error = lines.firstIndex { $0.contains("ERROR:") || $0.contains("FATAL:") || $0.contains("error:") }
            let words = (error.map { lines[$0...].prefix(3) } ?? lines.suffix(3)).joined(separator: "; ")
            return words.isEmpty ? exit.description : words
        }
    }

    /// The environment every program gets: nothing of ours but what it needs to work at all.
    public nonisolated static let environment: [String: String] = {
        var environment = ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"]
        for name in ["PATH", "HOME", "LANG", "TZ", "DRAWBRIDGE_LOG_LEVEL"] {
            if let value = getenv(name) { environment[name] = String(cString: value) }
        }
        return environment
    }()

    /// Arguments of `setpriv`: the program after them is killed when this process is gone, even by kill -9.
    nonisolated static let endWithParent = ["--pdeathsig", "KILL", "--"]

    private var running: ChildProcess?
    private var isStopped = false

    public init() {}

    /// Runs a program.
    ///
    /// Its input and output are files in memory, so neither side can make the other wait, and no secret meets a disk.
    ///
    /// - Parameters:
    ///   - command: the program, found by `PATH` unless it is a path, and its arguments.
    ///   - input: what it finds on standard input.
    ///   - environment: beside `Tools.environment`.
    /// - Throws: `InstallationError` when it cannot be started, `CancellationError` when nobody waits for its end any
    ///   more; it is killed then.
    public func run(
        _ command: [String], input: String = "", environment: [String: String] = [:]
    ) async throws -> Result {
        guard !isStopped else { throw InstallationError("\(command[0]): stopped") }
        let files = try (MemoryFile(input), MemoryFile(), MemoryFile())
        let program = try Self.find(command[0])
        let child = try ChildProcess(
            try Self.find("setpriv"), Self.endWithParent + [program] + command.dropFirst(),
            environment: Self.environment.merging(environment) { $1 },
            descriptors: [.inherit(files.0.descriptor), .inherit(files.1.descriptor), .inherit(files.2.descriptor)],
            directory: "/")
        running = child
        defer { running = nil }
        let exit: ChildProcess.Exit
        do { exit = try await child.waitForExit() } catch {
            child.send(signal: SIGKILL)
            throw error
        }
        return Result(exit: exit, output: try files.1.contents(), errors: try files.2.contents())
    }

    /// Runs a program that must succeed; returns its standard output.
    @discardableResult
    public func require(
        _ command: [String], input: String = "", environment: [String: String] = [:]
    ) async throws -> String {
        let result = try await run(command, input: input, environment: environment)
        guard result.exit.isSuccess else {
            throw InstallationError("\(command[0]) failed: \(result.reason)")
        }
        return result.output
    }

    /// Ends the program that runs, and starts no other.
    public func stop() {
        isStopped = true
        running?.send(signal: SIGTERM)
    }

    /// The path of a program.
    nonisolated static func find(_ name: String) throws -> String {
        if name.contains("/") { return name }
        for directory in (environment["PATH"] ?? "").split(separator: ":") {
            let path = "\(directory)/\(name)"
            if access(path, X_OK) == 0, !File.isDirectory(path) { return path }
        }
        throw InstallationError("the program \(name) is missing", remedy: "run Scripts/packages")
    }
}

/// A file that exists in memory only.
private final class MemoryFile {
    let descriptor: Int32

    init(_ contents: String = "") throws {
        // Its name is gone before anybody could use it.
        let name = "/drawbridge-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        descriptor = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0o600)
        guard descriptor >= 0 else { throw File.failure("shared memory \(name)") }
        shm_unlink(name)
        try File.writeAll(Array(contents.utf8), to: descriptor, "memory file")
        lseek(descriptor, 0, SEEK_SET)
    }

    deinit { close(descriptor) }

    func contents() throws -> String {
        lseek(descriptor, 0, SEEK_SET)
        return String(decoding: try File.readAll(descriptor, "memory file"), as: UTF8.self)
    }
}
