import Glibc
import Loop
import Synchronization
import Testing

/// Small files, and programs run to their end.
enum Files {
    static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
        }
    }

    static func text(_ path: String) -> String { String(decoding: read(path) ?? [], as: UTF8.self) }

    static func write(_ text: String, to path: String) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        #expect(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
    }

    /// Changes the one place of a file that says something else.
    static func change(_ path: String, _ old: String, to new: String) throws {
        let found = text(path)
        try #require(found.ranges(of: old).count == 1, "'\(old)' is not once in \(path)")
        write(found.replacing(old, with: new), to: path)
    }

    /// A path without symbolic links; unchanged where nothing is there.
    static func resolve(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// What a symbolic link says.
    static func link(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &buffer, buffer.count)
        guard count >= 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func names(in directory: String) -> [String] {
        guard let handle = opendir(directory) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names.filter { $0 != "." && $0 != ".." }
    }

    static func removeTree(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in names(in: path) { removeTree("\(path)/\(name)") }
            rmdir(path)
        } else {
            unlink(path)
        }
    }

    /// Runs a program to its end and returns what it printed.
    @OnLoop
    static func run(
        _ command: [String], environment: [String: String] = [:], patience: Duration = .seconds(60)
    ) async throws -> (exit: ChildProcess.Exit, output: String) {
        let path = "/tmp/dbi-output-\(UInt64.random(in: 0 ... .max))"
        let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        defer {
            close(file)
            unlink(path)
        }
        let child = try ChildProcess(
            "/usr/bin/env", command, environment: ["PATH": "/usr/bin:/bin"].merging(environment) { $1 },
            descriptors: [.null, .inherit(file), .inherit(file)])
        do {
            let exit = try await Loop.withDeadline(patience, "program") { try await child.waitForExit() }
            return (exit, text(path))
        } catch {
            child.send(signal: SIGKILL)
            if !Task.isCancelled { Issue.record("\(command) did not end within \(patience): \(text(path))") }
            throw error
        }
    }
}

/// Processes and directories that must not outlive the tests, whatever becomes of these.
enum Leftovers {
    private struct State {
        var isRegistered = false
        var installations: [(processID: Int32, directory: String)] = []
        var directories: [String] = []
    }

    private static let state = Mutex(State())

    static func add(_ processID: Int32, _ directory: String) {
        add { $0.installations.append((processID, directory)) }
    }

    /// A directory that nobody removes before.
    static func add(_ directory: String) {
        add { $0.directories.append(directory) }
    }

    private static func add(_ change: (inout State) -> Void) {
        state.withLock { state in
            change(&state)
            guard !state.isRegistered else { return }
            state.isRegistered = true
            atexit { Leftovers.end() }
        }
    }

    static func remove(_ processID: Int32) {
        state.withLock { $0.installations.removeAll { $0.processID == processID } }
    }

    /// Ends what still runs as an operator would, and removes its directory.
    private static func end() {
        let (installations, directories) = state.withLock { ($0.installations, $0.directories) }
        for (processID, _) in installations { kill(processID, SIGTERM) }
        for (processID, directory) in installations {
            for _ in 0..<6000 where isRunning(processID) { usleep(10_000) }
            if isRunning(processID) { kill(processID, SIGKILL) }
            Files.removeTree(directory)
        }
        for directory in directories { Files.removeTree(directory) }
    }

    private static func isRunning(_ processID: Int32) -> Bool {
        guard kill(processID, 0) == 0 else { return false }
        // Ended, but not reaped yet.
        return !Files.text("/proc/\(processID)/stat").contains(") Z ")
    }
}

/// Waits until a condition holds.
///
/// - Throws: `LoopError` `timedOut`, and says what was waited for.
@OnLoop
func wait(
    _ what: Comment, for patience: Duration = .seconds(60), sourceLocation: SourceLocation = #_sourceLocation,
    until condition: @escaping @Sendable @OnLoop () async throws -> Bool
) async throws {
    do {
        try await Loop.withDeadline(patience, "wait") {
            while try await !condition() { try await Loop.sleep(for: .milliseconds(10)) }
        }
    } catch let error as LoopError where error.code == .timedOut {
        Issue.record("waited in vain: \(what)", sourceLocation: sourceLocation)
        throw error
    }
}
