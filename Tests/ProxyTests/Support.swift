import Client
import HTTP
import Loop
import Proxy
import Server
import Telemetry
import TestSupport

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
                let exchange = try await proxy.send(request, content: content)
                defer { exchange.end() }
                _ = try await proxy.relay(exchange, writer)
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
        running = Task { await server.run(listener) }
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

let get = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
