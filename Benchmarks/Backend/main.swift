// What stands behind the proxies when they are to be what limits: it looks at nothing it is sent, and answers whatever
// comes with the same head and 250 bytes of JSON. Its clients send a request without content at once and wait for the
// answer, as proxies of wrk's requests do.
//
// usage: bench-backend PATH

import Glibc
import Loop

@OnLoop
struct FixedAnswer {
    private static let content = "{\"hotel_id\":1,\"pad\":\"" + String(repeating: "x", count: 250 - 23) + "\"}"

    private let bytes = Array(
        """
        HTTP/1.1 200 OK\r
        Server: bench-backend\r
        Date: Sun, 06 Nov 1994 08:49:37 GMT\r
        Content-Type: application/json\r
        Content-Length: \(content.utf8.count)\r
        Connection: keep-alive\r
        \r
        \(content)
        """.utf8)

    func serve(_ stream: Stream) async {
        defer { stream.close() }
        do {
            while try await withUnsafeThrowingContinuation({ stream.fill(resuming: $0) }) {
                stream.consume(stream.readableCount)
                if let rest = try stream.send(bytes) { try await stream.write(rest) }
            }
        } catch {
            // The client is gone.
        }
    }
}

@OnLoop
func serve() async throws {
    guard CommandLine.arguments.count == 2 else {
        print("usage: bench-backend PATH")
        exit(64)
    }
    let answer = FixedAnswer()
    let listener = try Listener(ListeningSocket(unixPath: CommandLine.arguments[1], mode: 0o666))
    try await withThrowingDiscardingTaskGroup { connections in
        while true {
            let stream = try await listener.next()
            connections.addTask { await answer.serve(stream) }
        }
    }
}

Loop.scheduleForThroughput()
try Loop.run { try await serve() }
