import Client
import HTTP
import Loop
import Testing

/// Runs a test as a process runs: on the loop, in a task that prefers it. A test that hangs fails.
func onLoop(_ body: @escaping @Sendable @OnLoop () async throws -> Void) async throws {
    Loop.runInBackground()
    try await Task(executorPreference: LoopExecutor.shared) {
        try await Loop.withDeadline(.seconds(30), "test") { try await body() }
    }.value
}

/// Waits until something that other tasks bring about is so.
@OnLoop
func eventually(_ condition: @OnLoop () -> Bool) async throws {
    while !condition() { try await Loop.sleep(for: .milliseconds(1)) }
}

/// An upstream that does to each connection what a test says, byte by byte.
@OnLoop
final class FakeUpstream {
    typealias Script = @Sendable @OnLoop (FakeConnection) async throws -> Void

    let endpoint: Endpoint
    private(set) var accepted = 0
    private(set) var open = 0
    /// Every request of every connection, in order.
    private(set) var requests: [String] = []
    private let listener: Listener
    private var running: Task<Void, Never>?

    /// - Parameter script: run for each connection; the connection is closed when it ends.
    init(_ script: @escaping Script) throws {
        let socket = try ListeningSocket(address: "127.0.0.1", port: 0)
        endpoint = .tcp(address: "127.0.0.1", port: socket.port)
        listener = try Listener(socket)
        running = Task(executorPreference: LoopExecutor.shared) { await self.run(script) }
    }

    private func run(_ script: @escaping Script) async {
        await withDiscardingTaskGroup { group in
            while let stream = try? await listener.next() {
                accepted += 1
                open += 1
                let connection = FakeConnection(stream, number: accepted, self)
                group.addTask { await self.play(script, connection) }
            }
            group.cancelAll()
        }
    }

    private func play(_ script: Script, _ connection: FakeConnection) async {
        // A script may end by the client's hanging up.
        try? await script(connection)
        connection.stream.close()
        open -= 1
    }

    fileprivate func note(_ request: String) { requests.append(request) }

    func stop() async {
        listener.close()
        await running?.value
    }

    /// Answers every request with the same text until the client hangs up.
    static func answering(_ text: String) -> Script {
        { connection in
            while true {
                _ = try await connection.receive()
                try await connection.send(text)
            }
        }
    }
}

@OnLoop
final class FakeConnection {
    let stream: Stream
    /// 1 for the first connection of the upstream.
    let number: Int
    private let upstream: FakeUpstream

    init(_ stream: Stream, number: Int, _ upstream: FakeUpstream) {
        self.stream = stream
        self.number = number
        self.upstream = upstream
    }

    /// Reads one request without content.
    func receive() async throws -> String {
        var bytes: [UInt8] = []
        while !String(decoding: bytes, as: UTF8.self).hasSuffix("\r\n\r\n") {
            guard try await stream.fill() else { throw LoopError(.closed, "request") }
            stream.withReadable { span in span.withUnsafeBufferPointer { bytes.append(contentsOf: $0) } }
            stream.consume(stream.readableCount)
        }
        let request = String(decoding: bytes, as: UTF8.self)
        upstream.note(request)
        return request
    }

    func send(_ text: String) async throws { try await stream.write(Array(text.utf8)) }

    /// Waits until the client hangs up.
    func end() async throws {
        while try await stream.fill() { stream.consume(stream.readableCount) }
    }
}

let okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

struct Answer {
    var head: ResponseHead
    var content: String
    var trailers: Fields
}

extension Upstream {
    convenience init(_ fake: FakeUpstream, _ configure: (inout Configuration) -> Void = { _ in }) {
        self.init(fake.endpoint, configure)
    }

    convenience init(_ endpoint: Endpoint, _ configure: (inout Configuration) -> Void = { _ in }) {
        var configuration = Configuration()
        configure(&configuration)
        self.init(name: "test-\(UInt64.random(in: 0 ... .max))", endpoint: endpoint, configuration: configuration)
    }

    /// Sends a request and reads its whole answer.
    func fetch(
        _ method: HTTP.Method = .get, content: [UInt8] = [], timeout: Duration? = nil
    ) async throws(UpstreamError) -> Answer {
        var request: [UInt8] = []
        let framing: BodyFraming = content.isEmpty ? .none : .length(UInt64(content.count))
        RequestHead(method: method, target: RequestTarget("/", authority: "test")!, framing: framing)
            .append(to: &request)
        let exchange = try await send(request + content, method: method, timeout: timeout)
        defer { exchange.end() }
        return try await exchange.read()
    }

    /// Why a request fails; nil when it does not.
    func failure(_ method: HTTP.Method = .get, timeout: Duration? = nil) async -> UpstreamError.Code? {
        do {
            _ = try await fetch(method, timeout: timeout)
            return nil
        } catch {
            return error.code
        }
    }
}

extension Exchange {
    func read() async throws(UpstreamError) -> Answer {
        var content: [UInt8] = []
        var trailers = Fields()
        while true {
            switch try next({ piece in piece.withUnsafeBufferPointer { content.append(contentsOf: $0) } }) {
            case .content: break
            case .trailers(let fields): trailers = fields
            case .incomplete: try await fill()
            case .end: return Answer(head: head, content: String(decoding: content, as: UTF8.self), trailers: trailers)
            }
        }
    }

    /// Why reading the rest fails; nil when it does not.
    func failure() async -> UpstreamError.Code? {
        do {
            _ = try await read()
            return nil
        } catch {
            return error.code
        }
    }
}
