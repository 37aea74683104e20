import Loop
import Testing

@Suite struct StreamTests {
    init() { Loop.runInBackground() }

    @Test("Bytes arrive over TCP and over a unix-domain socket", arguments: [false, true])
    @OnLoop func echo(unix: Bool) async throws {
        let (client, server) = try await TestListener(unix: unix).pair()
        try await client.write(Array("ping".utf8))
        #expect(try await server.text(4) == "ping")
        try await server.write(Array("pong".utf8))
        #expect(try await client.text(4) == "pong")
        #expect(server.peerAddress == (unix ? "" : "127.0.0.1"))
        client.close()
        #expect(try await server.fill() == false)
        server.close()
    }

    @Test("Sixteen mebibytes arrive whole and in order", arguments: [false, true])
    @OnLoop func transfer(unix: Bool) async throws {
        let (client, server) = try await TestListener(unix: unix).pair()
        let pattern = (0..<65_521).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        var bytes: [UInt8] = []
        while bytes.count < 16 << 20 { bytes += pattern }
        let sender = Task {
            try await client.write(bytes)
            client.close()
        }
        var received: [UInt8] = []
        while try await server.fill() { received += server.take() }
        try await sender.value
        #expect(received == bytes)
        server.close()
    }

    @Test("A peer that does not read makes the writer wait", arguments: [false, true])
    @OnLoop func writerWaits(unix: Bool) async throws {
        let (client, server) = try await TestListener(unix: unix).pair()
        let sent = Counter()
        await #expect(throws: LoopError(.timedOut, "send")) {
            try await Loop.withDeadline(.milliseconds(300), "send") {
                while true {
                    try await client.write([UInt8](repeating: 1, count: 64 << 10))
                    sent.value += 64 << 10
                }
            }
        }
        // What the kernel's two buffers take, and no more.
        #expect(sent.value < 16 << 20)
        server.close()
    }

    @Test("A user who does not read makes the sender wait and holds little memory")
    @OnLoop func readerWaits() async throws {
        let (client, server) = try await TestListener().pair()
        server.startReading()
        let sending = Task { while true { try await client.write([UInt8](repeating: 1, count: 64 << 10)) } }
        try await Loop.withDeadline(.seconds(60), "receive") {
            while server.readableCount < Stream.inputBound { try await Loop.sleep(for: .milliseconds(1)) }
        }
        // Time in which more would come, and then the sender gives up.
        try await Loop.sleep(for: .milliseconds(300))
        sending.cancel()
        _ = await sending.result
        #expect(server.readableCount < 2 * Stream.inputBound)
        // Reading goes on where it stopped.
        #expect(try await server.drain() > Stream.inputBound)
        server.close()
    }

    @Test("After the peer has ended its side, ours still sends")
    @OnLoop func halfClose() async throws {
        let test = try TestListener()
        let peer = try test.rawPeer()
        let server = try await test.listener.next()
        peer.send("question")
        peer.endOutput()
        #expect(try await server.text(8) == "question")
        #expect(try await server.fill() == false)
        #expect(server.isEnded)
        try await server.write(Array("answer".utf8))
        await server.closeGracefully()
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(peer.receive(into: &buffer) == 6)
        #expect(peer.receive(into: &buffer) == 0)
        peer.close()
    }

    @Test("A reset by the peer is an error of reading and of writing")
    @OnLoop func reset() async throws {
        let test = try TestListener()
        let peer = try test.rawPeer()
        let server = try await test.listener.next()
        peer.reset()
        await #expect(throws: LoopError.self) { try await server.fill() }
        await #expect(throws: LoopError.self) { while true { try await server.write([1]) } }
        server.close()
    }

    @Test("A hang-up while nobody reads is reported once", arguments: [false, true])
    @OnLoop func hangUp(isReset: Bool) async throws {
        let test = try TestListener()
        let peer = try test.rawPeer()
        let server = try await test.listener.next()
        let signal = Signal()
        var count = 0
        server.onHangUp = {
            count += 1
            signal.fire()
        }
        server.startReading()
        if isReset { peer.reset() } else { peer.close() }
        try await signal.wait()
        try await Loop.sleep(for: .milliseconds(2))
        #expect(count == 1)
        #expect(server.isEnded)
        server.close()
    }

    @Test("Closing ends a waiting read and a waiting write")
    @OnLoop func closeWhileWaiting() async throws {
        let (client, server) = try await TestListener().pair()
        let reading = Task { try await client.fill() }
        let writing = Task { try await client.write([UInt8](repeating: 0, count: 64 << 20)) }
        try await Loop.sleep(for: .milliseconds(5))
        client.close()
        client.close()
        #expect((await reading.result).error?.code == .closed)
        #expect((await writing.result).error?.code == .closed)
        await #expect(throws: LoopError(.closed, "read")) { try await client.fill() }
        await #expect(throws: LoopError(.closed, "write")) { try await client.write([1]) }
        server.close()
    }

    @Test("A graceful close delivers the last bytes to a peer that is still sending")
    @OnLoop func gracefulClose() async throws {
        let (client, server) = try await TestListener().pair()
        try await client.write([UInt8](repeating: 1, count: 200_000))
        try await server.write(Array("refused".utf8))
        async let closing: Void = server.closeGracefully(patience: .seconds(10))
        #expect(try await client.text(7) == "refused")
        client.close()
        await closing
    }

    @Test("A graceful close does not wait for ever")
    @OnLoop func gracefulCloseEnds() async throws {
        let (client, server) = try await TestListener().pair()
        await server.closeGracefully(patience: .milliseconds(20))
        #expect(server.isEnded)
        client.close()
    }

    @Test("Connecting where nobody listens is unreachable", arguments: [false, true])
    @OnLoop func refused(unix: Bool) async throws {
        let endpoint: Endpoint = unix ? .unix(path: temporaryPath()) : .tcp(address: "127.0.0.1", port: 1)
        let result = await Task { try await Stream.connect(to: endpoint, timeout: .seconds(10)) }.result
        #expect(result.error?.code == .unreachable)
    }

    @Test("Bytes are consumed in any pieces")
    @OnLoop func consume() async throws {
        let (client, server) = try await TestListener().pair()
        try await client.write(Array("abcdef".utf8))
        while server.readableCount < 6 { _ = try await server.fill() }
        server.consume(2)
        #expect(server.readableCount == 4)
        try await client.write(Array("gh".utf8))
        #expect(try await server.text(6) == "cdefgh")
        client.close()
        server.close()
    }
}

@OnLoop final class Counter {
    var value = 0
}

extension Result where Failure == any Error {
    /// The error, where it is one of the loop's.
    var error: LoopError? {
        if case .failure(let error) = self { error as? LoopError } else { nil }
    }
}
