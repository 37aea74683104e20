import HTTP
import Loop
import Server
import TestSupport
import Testing

@Suite("Draining", .serialized)
struct DrainTests {
    /// Lets the server drain, and returns when it has begun to.
    @OnLoop private func beginDraining(_ server: TestServer) async throws -> Task<Void, Never> {
        let isDraining = Signal()
        let drained = Task { @OnLoop in
            // Who waits for it goes on when the drain comes to rest for the first time.
            isDraining.fire()
            await server.drain()
        }
        try await isDraining.wait()
        return drained
    }

    @Test("idle connections end at once, in order")
    func idle() async throws {
        try await onLoop {
            let server = try TestServer()
            let client = try await server.connect()
            _ = try await client.exchange(.request())
            async let drained: Void = server.drain()
            #expect(try await client.stream.fill() == false)
            client.close()
            await drained
            #expect(server.connections == 0)
            await server.stop()
        }
    }

    @Test("a busy connection gets its answer, which says that it is the last")
    func busy() async throws {
        try await onLoop {
            let begun = Signal()
            let gate = Signal()
            let server = try TestServer { _, writer in
                begun.fire()
                try await gate.wait()
                writer.send(.ok)
            }
            let client = try await server.connect()
            try await client.send(.request())
            try await begun.wait()
            let drained = try await beginDraining(server)
            gate.fire()
            let answer = try await client.receive()
            #expect(answer.status == .ok)
            #expect(!answer.head.keepAlive)
            await drained.value
            await server.stop()
        }
    }

    @Test("a connection whose answer promises another gets one more, which says that it is the last")
    func promised() async throws {
        try await onLoop {
            let begun = Signal()
            let gate = Signal()
            let server = try TestServer(configuration: { $0.idleGrace = .seconds(5) }) { _, writer in
                var answer = writer.forward(ResponseHead(status: .ok, framing: .chunked))
                answer.append(Array("some".utf8).span)
                try await answer.flush()
                begun.fire()
                try await gate.wait()
                answer.finish()
            }
            let client = try await server.connect()
            try await client.send(.request())
            try await begun.wait()
            let drained = try await beginDraining(server)
            gate.fire()
            #expect(try await client.receive().head.keepAlive)
            try await client.send(.request())
            try await begun.wait()
            gate.fire()
            #expect(try await client.receive().head.keepAlive == false)
            await drained.value
            await server.stop()
        }
    }

    @Test("a request whose head has begun is still answered")
    func halfAHead() async throws {
        try await onLoop {
            let server = try TestServer(isSecured: true)
            let client = try await server.connect()
            _ = try await client.exchange(.request())
            let before = server.received.bytes
            try await client.send("GET / HTT")
            try await eventually { server.received.bytes == before + 9 }
            let drained = try await beginDraining(server)
            let answer = try await client.exchange("P/1.1\r\nHost: a\r\n\r\n")
            #expect(answer.status == .ok)
            #expect(!answer.head.keepAlive)
            await drained.value
            await server.stop()
        }
    }

    @Test("a connection that was just accepted may still ask once", arguments: [false, true])
    func fresh(asks: Bool) async throws {
        try await onLoop {
            let server = try TestServer { $0.firstRequestGrace = .milliseconds(asks ? 5000 : 50) }
            let client = try await server.connect()
            try await eventually { server.connections == 1 }
            let drained = try await beginDraining(server)
            if asks {
                let answer = try await client.exchange(.request())
                #expect(answer.status == .ok)
                #expect(!answer.head.keepAlive)
            } else {
                #expect(await client.isClosedByServer())
            }
            await drained.value
            await server.stop()
        }
    }

    @Test("what is left when patience ends is cut, a handler that waits for others included")
    func patience() async throws {
        try await onLoop {
            let begun = Signal()
            let never = Signal()
            let server = try TestServer { _, _ in
                begun.fire()
                try await never.wait()
            }
            let client = try await server.connect()
            try await client.send(.request())
            try await begun.wait()
            await server.drain(patience: .milliseconds(50))
            #expect(server.connections == 0)
            await #expect(throws: (any Error).self) { try await client.receive() }
            await server.stop()
        }
    }

    @Test("a server that is full drains as well")
    func full() async throws {
        try await onLoop {
            let server = try TestServer { $0.maximumConnections = 1 }
            let client = try await server.connect()
            _ = try await client.exchange(.request())
            let waiting = try await server.connect()
            await server.drain(patience: .milliseconds(50))
            #expect(server.connections == 0)
            waiting.close()
            await server.stop()
        }
    }

    @Test("cancelling the server ends everything")
    func cancellation() async throws {
        try await onLoop {
            let never = Signal()
            let begun = Signal()
            let server = try TestServer { _, _ in
                begun.fire()
                try await never.wait()
            }
            let client = try await server.connect()
            try await client.send(.request())
            try await begun.wait()
            await server.cancel()
            #expect(server.connections == 0)
        }
    }
}
