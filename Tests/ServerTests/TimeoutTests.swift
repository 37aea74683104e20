import HTTP
import Loop
import Server
import TestSupport
import Testing

@Suite("Slow clients", .serialized)
struct TimeoutTests {
    @Test("a head that comes byte by byte is answered 408 and the connection closed")
    func dribbledHead() async throws {
        try await onLoop {
            let server = try TestServer { $0.headTimeout = .milliseconds(400) }
            let client = try await server.connect()
            let dribbling = Task {
                for byte in String.request().utf8.dropLast() {
                    try await client.stream.write([byte])
                    try await Loop.sleep(for: .milliseconds(40))
                }
            }
            let answer = try await client.receive()
            #expect(answer.status == .requestTimeout)
            #expect(!answer.head.keepAlive)
            #expect(answer.head.fields[.contentType] == "application/problem+json")
            dribbling.cancel()
            #expect(await client.isClosedByServer())
            await server.stop()
        }
    }

    @Test("a head is answered 408 also when another byte of it has come at the very moment its time is up")
    func byteAtTheDeadline() async throws {
        try await onLoop {
            let server = try TestServer { $0.headTimeout = .milliseconds(50) }
            let client = try await server.connect()
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ")
            let dribbling = Task { try await dribble(client) }
            #expect(try await client.receive().status == .requestTimeout)
            dribbling.cancel()
            #expect(await client.isClosedByServer())
            await server.stop()
        }
    }

    /// Sends a byte in each turn of the loop: whenever its timers are looked at, one has just been read.
    @OnLoop private func dribble(_ client: TestClient) async throws {
        while true {
            try await client.stream.write([UInt8(ascii: "x")])
            try await Loop.sleep(for: .zero)
        }
    }

    @Test("the head's time runs from its first byte, also when that came along with the request before")
    func pipelinedPartialHead() async throws {
        try await onLoop {
            let server = try TestServer {
                $0.headTimeout = .milliseconds(150)
                $0.idleTimeout = .seconds(60)
            }
            let client = try await server.connect()
            try await client.send(.request() + "GET /next HT")
            #expect(try await client.receive().status == .ok)
            #expect(try await client.receive().status == .requestTimeout)
            #expect(await client.isClosedByServer())
            await server.stop()
        }
    }

    @Test("a connection that never asks is closed without a word", arguments: [false, true])
    func silentConnection(isUnix: Bool) async throws {
        try await onLoop {
            let server = try TestServer(unix: isUnix) { $0.headTimeout = .milliseconds(100) }
            let client = try await server.connect()
            #expect(await client.isClosedByServer())
            await server.stop()
        }
    }

    @Test("an idle connection is closed after the idle time, in order")
    func idleConnection() async throws {
        try await onLoop {
            let server = try TestServer { $0.idleTimeout = .milliseconds(100) }
            let client = try await server.connect()
            #expect(try await client.exchange(.request()).head.keepAlive)
            #expect(try await client.stream.fill() == false)
            await server.stop()
        }
    }

    @Test("content that comes slower than the minimum rate is answered 408")
    func slowContent() async throws {
        try await onLoop {
            let server = try TestServer {
                $0.bodyRateGrace = .milliseconds(150)
                $0.minimumBodyRate = 100_000
            }
            let client = try await server.connect()
            try await client.send(.request("POST", "/", "Content-Length: 100000"))
            // Each byte would renew a timeout that only looks for progress.
            let dribbling = Task {
                while true {
                    try await client.stream.write([0])
                    try await Loop.sleep(for: .milliseconds(20))
                }
            }
            let answer = try await client.receive()
            #expect(answer.status == .requestTimeout)
            #expect(!answer.head.keepAlive)
            dribbling.cancel()
            await server.stop()
        }
    }

    @Test("content that stalls is answered 408 and the connection closed")
    func stalledContent() async throws {
        try await onLoop {
            let server = try TestServer { $0.bodyRateGrace = .milliseconds(100) }
            let client = try await server.connect()
            let answer = try await client.exchange(.request("POST", "/", "Content-Length: 5") + "four")
            #expect(answer.status == .requestTimeout)
            #expect(await client.isClosedByServer())
            await server.stop()
        }
    }

    @Test("content that keeps to the rate has no more than its whole time")
    func contentTakesTooLong() async throws {
        try await onLoop {
            let server = try TestServer {
                $0.bodyTimeout = .milliseconds(150)
                $0.minimumBodyRate = 0
            }
            let client = try await server.connect()
            let answer = try await client.exchange(
                .request("POST", "/", "Transfer-Encoding: chunked") + "4\r\nfour\r\n")
            #expect(answer.status == .requestTimeout)
            await server.stop()
        }
    }

    @Test("content that is slow but keeps to the rate is taken")
    func steadyContent() async throws {
        try await onLoop {
            let server = try TestServer {
                $0.bodyRateGrace = .milliseconds(500)
                // All of it takes longer than the grace, and each piece pays for two seconds.
                $0.minimumBodyRate = 10
            }
            let client = try await server.connect()
            try await client.send(.request("POST", "/", "Content-Length: 200"))
            for _ in 0..<10 {
                try await client.send(String(repeating: "x", count: 20))
                try await Loop.sleep(for: .milliseconds(60))
            }
            #expect(try await client.receive().status == .ok)
            await server.stop()
        }
    }

    @Test("a client that does not read its answer is cut off: each wait is bounded, and all", arguments: [false, true])
    func unreadAnswer(isBoundedInAll: Bool) async throws {
        try await onLoop {
            let size = 32 << 20
            let server = try TestServer {
                if isBoundedInAll {
                    $0.answerTimeout = .milliseconds(200)
                } else {
                    $0.writeTimeout = .milliseconds(200)
                }
            } _: { _, writer in
                writer.send(.ok, content: [UInt8](repeating: 0, count: size))
            }
            let client = try await server.connect()
            try await client.send(.request())
            try await eventually { server.connections == 1 }
            try await eventually { server.connections == 0 }
            // It is told so: what it has got is not all there is.
            await #expect(throws: LoopError.self) {
                while try await client.stream.fill() { client.stream.consume(client.stream.readableCount) }
            }
            await server.stop()
        }
    }

    @Test("a client that keeps the connection open after its last answer is hung up on")
    func lingeringClient() async throws {
        try await onLoop {
            let server = try TestServer { $0.closeTimeout = .milliseconds(100) }
            let client = try await server.connect()
            #expect(try await client.exchange(.request("GET", "/", "Connection: close")).head.keepAlive == false)
            try await eventually { server.connections == 0 }
            client.close()
            await server.stop()
        }
    }
}
