import Glibc
import Loop
import TLS
import Testing

/// A directory of certificates made by the `openssl` command; removed by `remove`.
@OnLoop
final class Certificates {
    let directory: String

    init() {
        directory = "/tmp/tls-test-\(UInt64.random(in: 0 ... .max))"
        mkdir(directory, 0o700)
    }

    func path(_ name: String) -> String { "\(directory)/\(name)" }

    /// A self-signed P-256 certificate for localhost and 127.0.0.1 in `name.pem`, its key in `name.key`.
    func make(_ name: String, days: Int = 30) async throws {
        try await openssl([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "\(days)",
            "-subj", "/CN=\(name)", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", path("\(name).key"), "-out", path("\(name).pem"),
        ])
    }

    func copy(_ source: String, to target: String) throws { try write(target, try read(source)) }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        let file = open(path(name), O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        #expect(Glibc.write(file, bytes, bytes.count) == bytes.count)
        close(file)
    }

    func read(_ name: String) throws -> [UInt8] { contents(path(name)) }

    func remove() async throws { _ = try await run("rm", ["-rf", directory]) }

    @discardableResult
    func openssl(_ arguments: [String]) async throws -> String {
        let (exit, output) = try await run("openssl", arguments)
        try #require(exit.isSuccess, "openssl \(arguments): \(output)")
        return output
    }
}

func contents(_ path: String) -> [UInt8] {
    let file = open(path, O_RDONLY)
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
        let count = read(file, &buffer, buffer.count)
        guard count > 0 else { return bytes }
        bytes += buffer[..<count]
    }
}

/// Runs a program without input and returns how it ended and all it printed.
@OnLoop
func run(_ program: String, _ arguments: [String]) async throws -> (exit: ChildProcess.Exit, output: String) {
    let path = "/tmp/tls-test-output-\(UInt64.random(in: 0 ... .max))"
    let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    defer {
        close(file)
        unlink(path)
    }
    let child = try ChildProcess(
        "/usr/bin/env", [program] + arguments, environment: ["PATH": "/usr/bin:/bin"],
        descriptors: [.null, .inherit(file), .inherit(file)])
    let exit = try await Loop.withDeadline(.seconds(30), "program") { try await child.waitForExit() }
    return (exit, String(decoding: contents(path), as: UTF8.self))
}

/// A TLS server on a free port that sends back what it gets, or answers as an HTTP server.
@OnLoop
final class EchoServer {
    let context: TLSServerContext
    let endpoint: Endpoint
    let port: UInt16
    private let listener: Listener
    private var task: Task<Void, Never>?
    /// How the connections ended, in order: nil for the peer's goodbye.
    private(set) var ends: [(any Error)?] = []
    private(set) var infos: [TLSInfo] = []
    let ended = Signal()

    init(_ certificates: Certificates, _ name: String = "server", minimumVersion: TLSVersion = .tls13) throws {
        context = try TLSServerContext(
            .init(
                certificateChainPath: certificates.path("\(name).pem"), keyPath: certificates.path("\(name).key"),
                minimumVersion: minimumVersion))
        let socket = try ListeningSocket(address: "127.0.0.1", port: 0)
        port = socket.port
        endpoint = .tcp(address: "127.0.0.1", port: port)
        listener = try Listener(socket)
        task = Task { [self] in
            await withTaskGroup(of: Void.self) { group in
                while let stream = try? await listener.next() { group.addTask { await self.serve(stream) } }
            }
        }
    }

    func stop() async {
        listener.close()
        await task?.value
    }

    func connect() async throws -> Stream { try await Stream.connect(to: endpoint, timeout: .seconds(10)) }

    private func serve(_ stream: Stream) async {
        var end: (any Error)?
        do {
            let session = try context.makeSession()
            stream.security = session
            while try await stream.fill() {
                if infos.count < 100, let info = session.info { infos.append(info) }
                let bytes = stream.take()
                if bytes.starts(with: "GET ".utf8) {
                    try await stream.write(Array("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecure".utf8))
                } else {
                    try await stream.write(bytes)
                }
            }
        } catch { end = error }
        stream.close()
        ends.append(end)
        ended.fire()
    }
}

extension Stream {
    func take() -> [UInt8] {
        let bytes = withReadable { span in span.withUnsafeBufferPointer { Array($0) } }
        consume(bytes.count)
        return bytes
    }

    func text(_ count: Int) async throws -> String {
        while readableCount < count {
            guard try await fill() else { break }
        }
        return String(decoding: take(), as: UTF8.self)
    }
}
