// Forwarding without any stage of the gateway, one worker: every request goes to a unix socket.
//
// usage: bench-proxy PORT UPSTREAM-SOCKET

import Client
import Glibc
import HTTP
import Loop
import Proxy
import Server

@OnLoop
final class ForwardEverything: Handler {
    private let proxy: ReverseProxy

    init(_ proxy: ReverseProxy) { self.proxy = proxy }

    func respond(to request: Request, _ writer: consuming ResponseWriter) async throws {
        let content = request.body.isEmpty ? [] : try await request.body.collect(upTo: 1 << 20)
        let exchange = try await proxy.send(request, content: content)
        defer { exchange.end() }
        _ = try await proxy.relay(exchange, writer)
    }
}

@OnLoop
func serve() async throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 3, let port = UInt16(arguments[1]) else {
        print("usage: bench-proxy PORT UPSTREAM-SOCKET")
        exit(64)
    }
    var configuration = ServerConfiguration()
    configuration.maximumRequestsPerConnection = .max
    let upstream = Upstream(name: "bench", endpoint: .unix(path: arguments[2]), configuration: .init())
    let handler = ForwardEverything(ReverseProxy(upstream: upstream))
    let server = Server(name: "bench", configuration: configuration, handler: handler)
    await server.run(try Listener(ListeningSocket(address: "127.0.0.1", port: port, isShared: true)))
}

Loop.scheduleForThroughput()
try Loop.run { try await serve() }
