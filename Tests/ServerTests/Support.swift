import Glibc
import HTTP
import Loop
import Server
import Telemetry
import TestSupport
import Testing

/// A handler that is one closure.
@OnLoop
final class ClosureHandler: Handler {
    typealias Body = @OnLoop (Request, consuming ResponseWriter) async throws -> Void

    private let body: Body

    init(_ body: @escaping Body) { self.body = body }

    func respond(to request: Request, _ writer: consuming ResponseWriter) async throws {
        try await body(request, writer)
    }

    /// Answers with the method, the target and the content.
    static let echo: Body = { request, writer in
        let content = try await request.body.collect(upTo: 1 << 20)
        let line = "\(request.head.method.rawValue) \(request.head.target.path) "
        writer.send(.ok, content: Array(line.utf8) + content)
    }
}

/// A server on a free port of the loopback, or on a unix-domain socket.
@OnLoop
final class TestServer {
    let name = "test-\(UInt64.random(in: 0 ... .max))"
    let endpoint: Endpoint
    /// What secured connections have received.
    let received = Received()
    private let isSecured: Bool
    private let server: Server
    private let running: Task<Void, Never>

    init(
        unix: Bool = false, isSecured: Bool = false, addresses: (any AddressBounds)? = nil,
        configuration configure: (inout ServerConfiguration) -> Void, _ body: @escaping ClosureHandler.Body
    ) throws {
        var configuration = ServerConfiguration()
        configuration.closeTimeout = .milliseconds(300)
        configure(&configuration)
        let makeSecurity: @OnLoop @Sendable () throws -> any StreamSecurity = { [received] in XORSecurity(received) }
        let server = Server(
            name: name, configuration: configuration, handler: ClosureHandler(body), addresses: addresses,
            makeSecurity: isSecured ? makeSecurity : nil)
        let listener: Listener
        if unix {
            let path = "/tmp/\(name).sock"
            listener = try Listener(ListeningSocket(unixPath: path))
            endpoint = .unix(path: path)
        } else {
            let socket = try ListeningSocket(address: "127.0.0.1", port: 0)
            endpoint = .tcp(address: "127.0.0.1", port: socket.port)
            listener = try Listener(socket)
        }
        self.server = server
        self.isSecured = isSecured
        running = Task { await server.run(listener) }
    }

    convenience init(
        unix: Bool = false, isSecured: Bool = false, addresses: (any AddressBounds)? = nil,
        configuration: (inout ServerConfiguration) -> Void = { _ in }
    ) throws {
        try self.init(
            unix: unix, isSecured: isSecured, addresses: addresses, configuration: configuration, ClosureHandler.echo)
    }

    convenience init(unix: Bool = false, isSecured: Bool = false, _ body: @escaping ClosureHandler.Body) throws {
        try self.init(unix: unix, isSecured: isSecured, configuration: { _ in }, body)
    }

    /// What its metrics have counted.
    func count(_ counter: StaticString) -> UInt64 { Metrics.counter(counter, "", [("listener", name)]).value }

    func connect() async throws -> TestClient {
        let stream = try await Stream.connect(to: endpoint, timeout: .seconds(10))
        if isSecured { stream.security = XORSecurity() }
        return TestClient(stream)
    }

    /// Sends `text`, ends the sending side as our own streams never do, and returns all that comes back.
    ///
    /// - Parameter source: the client's address.
    func exchangeEndingOutput(_ text: String, from source: String = "127.0.0.1") async throws -> String {
        guard case .tcp(_, let port) = endpoint else { fatalError("only over TCP") }
        return try await Loop.offload {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { Glibc.close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = inet_addr(source)
            func with(_ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
                withUnsafePointer(to: &address) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        call($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                    }
                }
            }
            guard with({ bind(descriptor, $0, $1) }) == 0 else { throw LoopError(.unreachable, "bind") }
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            guard with({ Glibc.connect(descriptor, $0, $1) }) == 0 else { throw LoopError(.unreachable, "connect") }
            _ = Glibc.send(descriptor, text, text.utf8.count, 0)
            shutdown(descriptor, Int32(SHUT_WR))
            var received: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 4096)
            while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 {
                received += buffer[..<count]
            }
            return String(decoding: received, as: UTF8.self)
        }
    }

    /// Connections that the server has open.
    var connections: Int {
        Int(Metrics.gauge("drawbridge_server_connections", "Open client connections.", [("listener", name)]).value)
    }

    func drain(patience: Duration = .seconds(10)) async { await server.drain(patience: patience) }

    /// Drains and waits until nothing runs any more.
    func stop() async {
        await drain(patience: .zero)
        await running.value
        #expect(connections == 0)
    }

    /// Cancels everything, as the end of the process does.
    func cancel() async {
        running.cancel()
        await running.value
    }
}

/// Bounds for each address, counted by itself.
@OnLoop
final class TestBounds: AddressBounds {
    private let maximumConnections: Int
    private let maximumHeadBytes: Int
    private(set) var connections: [AddressBlock: Int] = [:]
    private(set) var headBytes: [AddressBlock: Int] = [:]

    init(connections: Int = 1000, headBytes: Int = 1 << 20) {
        maximumConnections = connections
        maximumHeadBytes = headBytes
    }

    func holdConnection(_ address: AddressBlock) -> Bool {
        guard connections[address, default: 0] < maximumConnections else { return false }
        connections[address, default: 0] += 1
        return true
    }

    func releaseConnection(_ address: AddressBlock) { connections[address]? -= 1 }

    func holdHead(_ byteCount: Int, _ address: AddressBlock) -> Bool {
        guard headBytes[address, default: 0] + byteCount <= maximumHeadBytes else { return false }
        headBytes[address, default: 0] += byteCount
        return true
    }

    func releaseHead(_ byteCount: Int, _ address: AddressBlock) { headBytes[address]? -= byteCount }
}

/// Counts bytes.
@OnLoop
final class Received {
    var bytes = 0
}

/// A security layer that only shows that everything passes through it: each byte is inverted by a key.
@OnLoop
final class XORSecurity: StreamSecurity {
    private static let key: UInt8 = 0x5A
    /// No ASCII character looks like this.
    private static let goodbye: UInt8 = 0xFF

    private(set) var isClosedByPeer = false
    private let received: Received?

    init(_ received: Received? = nil) { self.received = received }

    func receive(_ ciphertext: UnsafeRawBufferPointer, plaintext: inout [UInt8], outgoing: inout [UInt8]) throws {
        received?.bytes += ciphertext.count
        for byte in ciphertext {
            if byte == Self.goodbye { isClosedByPeer = true } else { plaintext.append(byte ^ Self.key) }
        }
    }

    func send(_ plaintext: UnsafeRawBufferPointer, outgoing: inout [UInt8]) throws {
        for byte in plaintext { outgoing.append(byte ^ Self.key) }
    }

    func close(outgoing: inout [UInt8]) { outgoing.append(Self.goodbye) }
}

extension String {
    /// A request without content.
    static func request(_ method: String = "GET", _ path: String = "/", version: String = "1.1", _ fields: String...)
        -> String
    {
        "\(method) \(path) HTTP/\(version)\r\nHost: test\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
    }
}
