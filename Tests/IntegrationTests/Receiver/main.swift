// A subscriber's server that is killed and started again: webhook-test-receiver PORT FILE
//
// Before it answers it writes down what has arrived, as a line `path id entity version` that outlives it: in the order of
// arrival, whatever becomes of the answer.

import Glibc
import HTTP
import JSONText
import Loop
import Server

@OnLoop
final class Notary: Handler {
    private let file: Int32

    init(_ path: String) throws {
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw LoopError(.unreachable, "open") }
    }

    func respond(to request: Request, _ writer: consuming ResponseWriter) async throws {
        let content = try JSONValue(parsing: try await request.body.collect(upTo: 1 << 20))
        let data = content["data"]
        let words = [
            request.head.target.path, request.head.fields["webhook-id"] ?? "-", data?["booking_id"]?.string ?? "-",
            data?["version"]?.integer.map { String($0) } ?? "-",
        ]
        let line = Array((words.joined(separator: " ") + "\n").utf8)
        guard write(file, line, line.count) == line.count else { throw LoopError(.unreachable, "write") }
        writer.send(.noContent)
    }
}

signal(SIGTERM) { _ in _exit(0) }
let arguments = CommandLine.arguments
guard arguments.count == 3, let port = UInt16(arguments[1]) else {
    fatalError("usage: webhook-test-receiver PORT FILE")
}
try Loop.run {
    let socket = try ListeningSocket(address: "127.0.0.1", port: port)
    let server = Server(name: "receiver", configuration: .init(), handler: try Notary(arguments[2]))
    await server.run(try Listener(socket))
}
