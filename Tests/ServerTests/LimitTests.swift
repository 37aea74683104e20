import HTTP
import Loop
import Server
import TestSupport
import Testing

@Suite("Bounds and malformed requests", .serialized)
struct LimitTests {
    struct Refused: Sendable, CustomTestStringConvertible {
        let name: String
        let head: String
        let status: Status
        var testDescription: String { name }
    }

    static let refused = [
        Refused(name: "target", head: "GET /" + String(repeating: "a", count: 9000), status: .uriTooLong),
        Refused(
            name: "fields", head: "GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "a", count: 40_000),
            status: .requestHeaderFieldsTooLarge),
        Refused(
            name: "content", head: .request("POST", "/", "Content-Length: 1000000"), status: .contentTooLarge),
    ]

    @Test("what is over a bound is refused, and the answer reaches a client that is still sending", arguments: refused)
    func refusesWhileClientSends(_ refused: Refused) async throws {
        try await onLoop {
            let server = try TestServer { $0.limits.body = 100_000 }
            let client = try await server.connect()
            try await client.send(refused.head)
            // More than the kernel buffers, so that this ends by the server's doing only.
            let sending = Task {
                let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 64 << 10)
                while true { try await client.stream.write(piece) }
            }
            let answer = try await client.receive()
            #expect(answer.status == refused.status)
            #expect(!answer.head.keepAlive)
            _ = await sending.result
            await server.stop()
        }
    }

    @Test("the handler's own bound on the content is kept, announced or not", arguments: [true, false])
    func handlerBound(isChunked: Bool) async throws {
        try await onLoop {
            let server = try TestServer { request, writer in
                writer.send(.ok, content: try await request.body.collect(upTo: 10))
            }
            let client = try await server.connect()
            let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: 11"
            let content = isChunked ? "b\r\n01234567890\r\n0\r\n\r\n" : "01234567890"
            let answer = try await client.exchange(.request("POST", "/", framing) + content)
            #expect(answer.status == .contentTooLarge)
            // All of it had arrived, so the connection is still in step.
            #expect(answer.head.keepAlive)
            #expect(try await client.exchange(.request()).status == .ok)
            await server.stop()
        }
    }

    @Test(
        "a malformed request is answered with a problem and the connection closed",
        arguments: [
            ("GET  / HTTP/1.1\r\n\r\n", Status.badRequest),
            ("GET / HTTP/1.1\r\n\r\n", .badRequest),
            ("GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", .badRequest),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", .badRequest),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", .httpVersionNotSupported),
            ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", .notImplemented),
            ("\u{16}\u{3}\u{1}", .badRequest),
        ])
    func malformed(text: String, status: Status) async throws {
        try await onLoop {
            let server = try TestServer()
            let client = try await server.connect()
            let answer = try await client.exchange(text + .request())
            #expect(answer.status == status)
            #expect(answer.head.fields[.contentType] == "application/problem+json")
            #expect(answer.head.fields[.xRequestID]?.utf8.count == 32)
            #expect(answer.head.fields[.date] != nil)
            #expect(!answer.head.keepAlive)
            #expect(answer.text.contains(answer.head.fields[.xRequestID]!))
            #expect(await client.isClosedByServer())
            await server.stop()
        }
    }

    @Test("malformed content is answered 400 and the connection closed")
    func malformedContent() async throws {
        try await onLoop {
            let server = try TestServer()
            let client = try await server.connect()
            let text = String.request("POST", "/", "Transfer-Encoding: chunked") + "zz\r\n"
            #expect(try await client.exchange(text).status == .badRequest)
            #expect(await client.isClosedByServer())
            await server.stop()
        }
    }

    @Test("content that ends early is answered 400 to a client that still listens")
    func halfClosedContent() async throws {
        try await onLoop {
            let server = try TestServer()
            let text = try await server.exchangeEndingOutput(.request("POST", "/", "Content-Length: 10") + "half")
            #expect(text.hasPrefix("HTTP/1.1 400 "))
            await server.stop()
        }
    }

    @Test("connections over the bound wait until others end")
    func maximumConnections() async throws {
        try await onLoop {
            let server = try TestServer { $0.maximumConnections = 2 }
            let first = try await server.connect()
            let second = try await server.connect()
            #expect(try await first.exchange(.request()).status == .ok)
            #expect(try await second.exchange(.request()).status == .ok)
            let third = try await server.connect()
            try await third.send(.request())
            #expect(server.connections == 2)
            first.close()
            #expect(try await third.receive().status == .ok)
            #expect(server.connections == 2)
            await server.stop()
        }
    }

    private static let client = AddressBlock("127.0.0.1")!

    @Test("one address may have so many connections, and another one when one ends", arguments: [false, true])
    func maximumConnectionsPerAddress(isSecured: Bool) async throws {
        try await onLoop {
            let bounds = TestBounds(connections: 2)
            let server = try TestServer(isSecured: isSecured, addresses: bounds)
            let first = try await server.connect()
            let second = try await server.connect()
            #expect(try await first.exchange(.request()).status == .ok)
            #expect(try await second.exchange(.request()).status == .ok)
            let third = try await server.connect()
            #expect(await third.isClosedByServer())
            #expect(server.count("drawbridge_server_rejected_connections_total") == 1)
            first.close()
            try await eventually { server.connections == 1 }
            #expect(try await server.connect().exchange(.request()).status == .ok)
            await server.stop()
            #expect(bounds.connections[Self.client] == 0)
        }
    }

    @Test("one address may have so much of heads that are not complete; others go on, and so does who completes them")
    func maximumHeadBytesPerAddress() async throws {
        try await onLoop {
            let bounds = TestBounds(headBytes: 1000)
            let server = try TestServer(addresses: bounds)
            let part = "GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: 170)
            var slow: [TestClient] = []
            for count in 1...5 {
                let client = try await server.connect()
                try await client.send(part)
                try await eventually { bounds.headBytes[Self.client] == count * part.utf8.count }
                slow.append(client)
            }
            // Nobody is over it until more comes, and nobody else has to do with it.
            let one = try await server.connect()
            let refused = try await one.exchange(part)
            #expect(refused.status == .requestHeaderFieldsTooLarge)
            #expect(refused.text.contains("problems/unfinished-headers"))
            #expect(!refused.head.keepAlive)
            #expect(await one.isClosedByServer())
            #expect(server.count("drawbridge_server_refused_total") == 1)
            // What comes whole is not counted, here as little as from another address.
            #expect(try await server.connect().exchange(.request()).status == .ok)
            let other = try await server.exchangeEndingOutput(part + "\r\nConnection: close\r\n\r\n", from: "127.0.0.2")
            #expect(other.hasPrefix("HTTP/1.1 200 "))

            // Complete, or gone, they make room.
            #expect(try await slow[0].exchange("\r\n\r\n").status == .ok)
            slow[1].close()
            try await eventually { bounds.headBytes[Self.client] == 3 * part.utf8.count }
            let next = try await server.connect()
            try await next.send(part)
            try await eventually { bounds.headBytes[Self.client] == 4 * part.utf8.count }
            #expect(try await next.exchange("\r\n\r\n").status == .ok)
            // A head grows over the bound like several.
            #expect(
                try await slow[2].exchange(String(repeating: "x", count: 500)).status == .requestHeaderFieldsTooLarge)
            await server.stop()
            #expect(bounds.headBytes[Self.client] == 0)
        }
    }

    @Test("bytes of a head are given back when its time is up")
    func slowHead() async throws {
        try await onLoop {
            let bounds = TestBounds()
            let server = try TestServer(addresses: bounds) { $0.headTimeout = .milliseconds(50) }
            let client = try await server.connect()
            #expect(try await client.exchange("GET / HT").status == .requestTimeout)
            #expect(bounds.headBytes[Self.client] == 0)
            await server.stop()
        }
    }

    @Test("a burst of connections does not pass the bound")
    func burst() async throws {
        try await onLoop {
            let served = Peak()
            let server = try TestServer {
                $0.maximumConnections = 4
            } _: { _, writer in
                served.enter()
                try await Loop.sleep(for: .milliseconds(2))
                served.leave()
                writer.send(.ok)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<40 {
                    group.addTask {
                        let client = try await server.connect()
                        #expect(try await client.exchange(.request("GET", "/", "Connection: close")).status == .ok)
                        await client.close()
                    }
                }
                try await group.waitForAll()
            }
            #expect(served.highest <= 4)
            await server.stop()
        }
    }

    @Test("a connection is closed after its last allowed request, and says so")
    func maximumRequests() async throws {
        try await onLoop {
            let server = try TestServer { $0.maximumRequestsPerConnection = 2 }
            let client = try await server.connect()
            #expect(try await client.exchange(.request()).head.keepAlive)
            #expect(try await client.exchange(.request()).head.keepAlive == false)
            #expect(await client.isClosedByServer())
            await server.stop()
        }
    }
}

/// The most that were somewhere at once.
@OnLoop
final class Peak {
    private var present = 0
    private(set) var highest = 0

    func enter() {
        present += 1
        highest = max(highest, present)
    }

    func leave() { present -= 1 }
}
