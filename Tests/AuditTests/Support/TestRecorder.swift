import Cryptography
import Glibc
import JSONText
import Ledger
import Loop
import Testing

/// The real process `drawbridge-ledger` with a ledger of its own.
@OnLoop
final class TestRecorder {
    let directory: String
    private var child: ChildProcess?
    private(set) var processID: Int32 = 0
    private var isRunning = false
    /// Handed down, as the supervisor does: who connects while the process is away waits in the kernel's queue.
    private let ledgerSocket: ListeningSocket
    private let adminSocket: ListeningSocket

    var home: String { "\(directory)/home" }
    var records: String { "\(home)/ledger/records" }
    var socket: String { "\(home)/run/ledger.sock" }
    private var adminPath: String { "\(home)/run/ledger.admin.sock" }

    /// - Parameter settings: of the policy's `ledger`, a line each.
    init(_ settings: [String] = []) throws {
        let directory = try Self.makeDirectory()
        self.directory = directory
        ledgerSocket = try ListeningSocket(unixPath: "\(directory)/home/run/ledger.sock")
        adminSocket = try ListeningSocket(unixPath: "\(directory)/home/run/ledger.admin.sock")
        let policy =
            """
            listeners:
              - name: public
                address: 127.0.0.1:0
              - name: admin
                address: 127.0.0.1:0
            upstream:
              socket: run/bridge.sock
            ledger:
            \((["deadline: 500 ms"] + settings).map { "  \($0)\n" }.joined())
            """
        Self.write(policy, to: "\(directory)/policies/gateway.yaml")
    }

    private static func makeDirectory() throws -> String {
        var template = Array("/tmp/dba-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let directory = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        for name in ["home", "home/run", "home/ledger", "policies"] { mkdir("\(directory)/\(name)", 0o700) }
        return directory
    }

    deinit {
        if processID > 0, isRunning { kill(processID, SIGKILL) }
        Self.remove(directory)
    }

    /// Starts it.
    func start() throws {
        let log = open("\(directory)/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(log) }
        child = try ChildProcess(
            "/usr/bin/env",
            [
                "setpriv", "--pdeathsig", "KILL", "--", "\(Self.programs)/drawbridge-ledger", "--config",
                "\(directory)/policies", "--home", home,
            ],
            environment: [
                "PATH": "/usr/bin:/bin", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "ledger:process-admin",
            ],
            descriptors: [
                .null, .inherit(log), .inherit(log), .inherit(ledgerSocket.inheritable),
                .inherit(adminSocket.inheritable),
            ])
        processID = child?.processID ?? 0
        isRunning = true
    }

    var isUp: Bool { child?.isRunning == true }

    func signal(_ number: Int32) { child?.send(signal: number) }

    /// A connection of a worker.
    func connectAsWorker() async throws -> Stream { try await connect(to: socket) }

    /// A connection for its metrics and its health.
    func connectAsAdmin() async throws -> Stream { try await connect(to: adminPath) }

    /// Connects as soon as it listens: the sockets are bound before, and it begins to listen at one after the other.
    private func connect(to path: String) async throws -> Stream {
        while true {
            try #require(isUp, "drawbridge-ledger ended: \(log)")
            do {
                return try await Stream.connect(to: .unix(path: path), timeout: .seconds(5))
            } catch let error as LoopError where error.code == .unreachable {
                try await Loop.sleep(for: .milliseconds(1))
            }
        }
    }

    /// Ends it and waits for that.
    func stop(_ number: Int32 = SIGTERM) async throws -> ChildProcess.Exit {
        let child = try #require(self.child)
        child.send(signal: number)
        let exit = try await Loop.withDeadline(.seconds(20), "stop") { try await child.waitForExit() }
        isRunning = false
        return exit
    }

    var log: String { Self.text("\(directory)/log") }

    /// Verifies the ledger with the keys that it says are its own.
    func verify() throws -> LedgerReport {
        let verifiers = try Self.text("\(home)/ledger/verifiers").split(separator: "\n").map {
            try NoteVerifier(String($0))
        }
        return try LedgerVerifier(directory: records, origin: try #require(verifiers.first).name, keys: verifiers)
            .verify()
    }

    /// The workers' records, in order.
    func objects() throws -> [JSONValue] {
        let names = Self.names(in: records).filter { $0.hasSuffix(".jsonl") }.sorted()
        return try names.flatMap { name in
            try Self.text("\(records)/\(name)").split(separator: "\n").compactMap { line in
                try JSONValue(parsing: Array(line.utf8))["record"]
            }
        }
    }

    private static var programs: String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = max(0, readlink("/proc/self/exe", &buffer, buffer.count - 1))
        let path = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    }

    // MARK: Files

    static func text(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while case let count = read(descriptor, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func write(_ text: String, to path: String) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        #expect(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
    }

    nonisolated static func names(in directory: String) -> [String] {
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

    nonisolated private static func remove(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in names(in: path) { remove("\(path)/\(name)") }
            rmdir(path)
        } else {
            unlink(path)
        }
    }
}

/// A worker at the protocol's level, which keeps what it was promised.
@OnLoop
final class TestWorker {
    let stream: Stream
    private(set) var written: UInt64 = 0
    private(set) var synced: UInt64 = 0
    private(set) var refusals: [ReplyFrame] = []
    /// Whether there was an acknowledgement since the last call of `forgetAcknowledgements`.
    private(set) var hasHeard = false
    private var nextTicket: UInt64

    /// - Parameter first: the first ticket.
    init(_ recorder: TestRecorder, name: String = "test", first: UInt64 = 1) async throws {
        stream = try await recorder.connectAsWorker()
        nextTicket = first
        var greeting: [UInt8] = []
        RecordFrame.appendGreeting(name: name, to: &greeting)
        try await stream.write(greeting)
    }

    /// Sends records `{"w":<worker>,"n":<ticket>,…}`; returns the last ticket.
    func send(
        _ count: Int = 1, _ durability: @OnLoop (UInt64) -> Durability = { _ in .written }, worker: Int = 0,
        filling: Int = 0
    ) async throws -> UInt64 {
        var bytes: [UInt8] = []
        for _ in 0..<count {
            let number = nextTicket
            nextTicket += 1
            RecordFrame.appendRecord(ticket: number, durability(number), to: &bytes) {
                $0 += Array("{\"w\":\(worker),\"n\":\(number),\"filling\":\"".utf8)
                $0 += [UInt8](repeating: 120, count: filling)
                $0 += Array("\"}".utf8)
            }
        }
        try await stream.write(bytes)
        return nextTicket - 1
    }

    /// Takes answers until `condition` holds.
    ///
    /// - Throws: when the connection ends first.
    func receive(until condition: @OnLoop (TestWorker) -> Bool) async throws {
        while true {
            // First what has arrived while nobody looked: `fill` waits for more than that.
            while let reply = try next() {
                if case .acknowledged = reply { hasHeard = true }
                switch reply {
                case .acknowledged(.written, let through): written = through
                case .acknowledged(.synced, let through): synced = through
                case .refused: refusals.append(reply)
                }
            }
            if condition(self) { return }
            guard try await stream.fill() else { throw LoopError(.closed, "read") }
        }
    }

    func forgetAcknowledgements() { hasHeard = false }

    private func next() throws -> ReplyFrame? {
        let (reply, consumed) = try stream.withReadable { (input) throws(FrameError) in try ReplyFrame.next(input) }
        stream.consume(consumed)
        return reply
    }
}
