// The bare server, one worker: every request is answered with the same 250 bytes of JSON.
//
// usage: bench-server tcp PORT | unix PATH

import Glibc
import HTTP
import Loop
import Server

@OnLoop
final class FixedAnswer: Handler {
    private let content = Array(
        ("{\"hotel_id\":1,\"pad\":\"" + String(repeating: "x", count: 250 - 23) + "\"}").utf8)

    func respond(to request: Request, _ writer: consuming ResponseWriter) async throws {
        var fields = Fields()
        fields.append(.contentType, "application/json")
        writer.send(.ok, fields, content: content)
    }
}

@OnLoop
func serve() async throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 3 else {
        print("usage: bench-server tcp PORT | unix PATH")
        exit(64)
    }
    var configuration = ServerConfiguration()
    configuration.maximumRequestsPerConnection = .max
    let server = Server(name: "bench", configuration: configuration, handler: FixedAnswer())
    if arguments[1] == "unix" {
        await server.run(try Listener(ListeningSocket(unixPath: arguments[2], mode: 0o666)))
    } else {
        await server.run(
            try Listener(ListeningSocket(address: "127.0.0.1", port: UInt16(arguments[2])!, isShared: true)))
    }
}

Loop.scheduleForThroughput()
try Loop.run { try await serve() }
