import Client
import HTTP
import Loop
import Proxy
import Server
import Telemetry
import Testing

/// Runs a test as a process runs: on the loop, in a task that prefers it. A test that hangs fails.
func onLoop(_ body: @escaping @Sendable @OnLoop () async throws -> Void) async throws {
    Loop.runInBackground()
    try await Task(executorPreference: LoopExecutor.shared) {
        try await Loop.withDeadline(.seconds(60), "test") { try await body() }
    }.value
}

/// Waits until something that other tasks bring about is so.
@OnLoop
func eventually(_ condition: @OnLoop () -> Bool) async throws {
    while !condition() { try await Loop.sleep(for: .milliseconds(1)) }
}

/// An upstream that does to each connection what a test says.
@OnLoop
final class FakeUpstream {
    typealias Script = @Sendable @OnLoop (FakeConnection) async throws -> Void

    let endpoint: Endpoint
    fileprivate(set) var requests: [String] = []
    fileprivate(set) var sent = 0
    /// How many connections have ended.
    private(set) var ended = 0
    private let listener: Listener
    private var running: Task<Void, Never>?

    init(_ script: @escaping Script) throws {
        let path = "/tmp/proxy-test-\(UInt64.random(in: 0 ... .max)).sock"
        endpoint = .unix(path: path)
        listener = try Listener(ListeningSocket(unixPath: path))
        running = Task(executorPreference: LoopExecutor.shared) { await self.run(script) }
    }

    private func run(_ script: @escaping Script) async {
        await withDiscardingTaskGroup { group in
            while let stream = try? await listener.next() {
                let connection = FakeConnection(stream, self)
                group.addTask { await self.play(script, connection) }
            }
            group.cancelAll()
        }
    }

    private func play(_ script: Script, _ connection: FakeConnection) async {
        // A script may end by the proxy's hanging up.
        try? await script(connection)
        connection.stream.close()
        ended += 1
    }

    func stop() async {
        listener.close()
        await running?.value
    }
}

@OnLoop
final class FakeConnection {
    let stream: Stream
    private let upstream: FakeUpstream

    init(_ stream: Stream, _ upstream: FakeUpstream) {
        self.stream = stream
        self.upstream = upstream
    }

    /// Reads one request whose head and content end in `end`.
    func receive(endingIn end: String = "\r\n\r\n") async throws -> String {
        var bytes: [UInt8] = []
        while !String(decoding: bytes, as: UTF8.self).hasSuffix(end) {
            guard try await stream.fill() else { throw LoopError(.closed, "request") }
            stream.withReadable { span in span.withUnsafeBufferPointer { bytes.append(contentsOf: $0) } }
            stream.consume(stream.readableCount)
        }
        let request = String(decoding: bytes, as: UTF8.self)
        upstream.requests.append(request)
        return request
    }

    func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) async throws {
        try await stream.write(bytes)
        upstream.sent += bytes.count
    }
}

/// A proxy in front of an upstream.
@OnLoop
final class TestProxy {
    let name = "proxy-\(UInt64.random(in: 0 ... .max))"
    let endpoint: Endpoint
    private let server: Server
    private let running: Task<Void, Never>

    private final class ForwardEverything: Handler {
        private let proxy: ReverseProxy

        init(_ upstream: Upstream) { proxy = ReverseProxy(upstream: upstream) }

        func respond(to request: Request, _ writer: consuming ResponseWriter) async throws {
            let content = try await request.body.collect(upTo: 1 << 20)
            do {
                try await proxy.forward(request, content: content, writer)
            } catch let error as UpstreamError where error.code == .overloaded || error.code == .unavailable {
                throw Problem(.serviceUnavailable, "unavailable", "Unavailable")
            }
        }
    }

    init(
        _ upstream: Endpoint, upstreamConfiguration: (inout Upstream.Configuration) -> Void = { _ in },
        serverConfiguration: (inout ServerConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = Upstream.Configuration()
        upstreamConfiguration(&configuration)
        var bounds = ServerConfiguration()
        bounds.closeTimeout = .milliseconds(300)
        serverConfiguration(&bounds)
        let upstream = Upstream(name: name, endpoint: upstream, configuration: configuration)
        let server = Server(name: name, configuration: bounds, handler: ForwardEverything(upstream))
        let socket = try ListeningSocket(address: "127.0.0.1", port: 0)
        endpoint = .tcp(address: "127.0.0.1", port: socket.port)
        let listener = try Listener(socket)
        self.server = server
        running = Task(executorPreference: LoopExecutor.shared) { await server.run(listener) }
    }

    func connect() async throws -> TestClient {
        TestClient(try await Stream.connect(to: endpoint, timeout: .seconds(10)))
    }

    func stop() async {
        await server.drain(patience: .milliseconds(100))
        await running.value
    }

    /// What a gauge of this proxy's says.
    func gauge(_ family: String) -> Double? {
        String(decoding: Metrics.render(), as: UTF8.self).split(separator: "\n")
            .first { $0.hasPrefix(family + "{") && $0.contains(name) }
            .flatMap { $0.split(separator: " ").last.flatMap { Double($0) } }
    }
}

struct Answer {
    var head = ResponseHead(status: .ok)
    var content: [UInt8] = []
    var trailers = Fields()

    var text: String { String(decoding: content, as: UTF8.self) }
}

@OnLoop
final class TestClient {
    let stream: Stream
    private var parser = ResponseParser()

    init(_ stream: Stream) { self.stream = stream }

    func send(_ text: String) async throws { try await stream.write(Array(text.utf8)) }

    /// Reads one answer, strictly.
    func receive(to method: HTTP.Method = .get) async throws -> Answer {
        parser.expect(responseTo: method)
        var answer = Answer()
        while true {
            let step = try stream.withReadable { input in
                let step = try parser.next(input)
                if case .body(let range) = step.event {
                    input.extracting(range).withUnsafeBufferPointer { answer.content.append(contentsOf: $0) }
                }
                return step
            }
            stream.consume(step.consumed)
            switch step.event {
            case .head(let head): answer.head = head
            case .trailers(let fields): answer.trailers = fields
            case .body, .interim: break
            case .end: return answer
            case nil:
                if try await stream.fill() { continue }
                _ = try parser.endOfInput()
                return answer
            }
        }
    }

    func exchange(_ text: String, _ method: HTTP.Method = .get) async throws -> Answer {
        try await send(text)
        return try await receive(to: method)
    }
}

let okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
let get = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
