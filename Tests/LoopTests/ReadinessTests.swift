import Glibc
import Loop
import Testing

/// What a stream makes of what the kernel tells about its socket.
@Suite struct ReadinessTests {
    init() { Loop.runInBackground() }

    @Test("Bytes keep their order, however they are sent, read and consumed")
    @OnLoop func anyPieces() async throws {
        let (client, server) = try await TestListener(unix: true).pair()
        let total = 2 << 20
        let sender = Task {
            var sent = 0
            while sent < total {
                let count = min(total - sent, Int.random(in: 1...(Bool.random() ? 100 : 70_000)))
                try await client.write((sent..<sent + count).map(Self.byte))
                sent += count
            }
            client.close()
        }
        var consumed = 0
        repeat {
            let count = Int.random(in: 0...server.readableCount)
            let isRight = server.withReadable { bytes in
                (0..<count).allSatisfy { bytes[$0] == Self.byte(consumed + $0) }
            }
            #expect(isRight)
            server.consume(count)
            consumed += count
        } while try await server.fill()
        try await sender.value
        #expect(consumed + server.readableCount == total)
        #expect(server.take() == (consumed..<total).map(Self.byte))
        server.close()
    }

    private static func byte(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: index &* 31 >> 3) }

    @Test("A reader that needs more than the bound gets it")
    @OnLoop func beyondBound() async throws {
        let (client, server) = try await TestListener().pair()
        let sender = Task { try await client.write([UInt8](repeating: 1, count: 3 * Stream.inputBound)) }
        while server.readableCount < 3 * Stream.inputBound { #expect(try await server.fill()) }
        try await sender.value
        client.close()
        server.close()
    }

    @Test("A socket that has something for nobody does not keep the loop busy", arguments: ["bytes", "end", "reset"])
    @OnLoop func noBusyLoop(what: String) async throws {
        let test = try TestListener()
        let peer = try test.rawPeer()
        let server = try await test.listener.next()
        let isUnderWay = Signal()
        server.onHangUp = { isUnderWay.fire() }
        server.startReading()
        switch what {
        case "bytes":
            // More than the stream takes unread; the kernel has room for the rest.
            for _ in 0..<3 { peer.send(String(repeating: "x", count: Stream.inputBound)) }
            while server.readableCount < Stream.inputBound { try await Loop.sleep(for: .milliseconds(1)) }
        case "end":
            peer.endOutput()
            try await isUnderWay.wait()
        default:
            peer.reset()
            try await isUnderWay.wait()
        }
        let before = Self.threadMilliseconds
        // Nothing happens here; a loop that spins computes for as long as the machine lets it.
        try await Loop.sleep(for: .milliseconds(300))
        #expect(Self.threadMilliseconds - before < 20)
        server.close()
        if what != "reset" { peer.close() }
    }

    /// What the loop's thread has computed.
    private static var threadMilliseconds: Int {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }

    @Test("A reset ends a waiting write and a waiting read, both with an error")
    @OnLoop func resetWhileWriting() async throws {
        let test = try TestListener()
        let peer = try test.rawPeer()
        let server = try await test.listener.next()
        let reading = Task { try await server.fill() }
        let writing = Task { try await server.write([UInt8](repeating: 0, count: 64 << 20)) }
        try await Loop.sleep(for: .milliseconds(5))
        peer.reset()
        #expect((await reading.result).error?.code == .unreachable)
        #expect((await writing.result).error?.code == .unreachable)
        server.close()
    }

    @Test("A graceful close first sends what the kernel has not taken yet", arguments: [false, true])
    @OnLoop func gracefulCloseSends(unix: Bool) async throws {
        let (client, server) = try await TestListener(unix: unix).pair()
        let count = 16 << 20
        #expect(try server.send([UInt8](repeating: 1, count: count)) != nil)
        async let closing: Void = server.closeGracefully(patience: .seconds(1000))
        #expect(try await Loop.withDeadline(.seconds(60), "drain") { try await client.drain() } == count)
        client.close()
        await closing
    }

    @Test("A closed stream is freed, whatever ended it", arguments: [false, true])
    @OnLoop func freed(byPeer: Bool) async throws {
        weak var stream: Stream?
        do {
            let (client, server) = try await TestListener().pair()
            stream = server
            if byPeer {
                client.close()
                #expect(try await server.fill() == false)
            }
            server.close()
            client.close()
        }
        // libuv lets go of a handle at the end of its turn.
        for _ in 0..<3 { try await Loop.sleep(for: .milliseconds(1)) }
        #expect(stream == nil)
    }

    @Test("An address that is none is refused", arguments: ["localhost", "127.0.0.256", "::g", ""])
    @OnLoop func noAddress(address: String) async throws {
        await #expect(throws: LoopError.self) {
            try await Stream.connect(to: .tcp(address: address, port: 1), timeout: .seconds(1))
        }
    }

    @Test("A path that is too long for a socket is refused")
    @OnLoop func longPath() async throws {
        await #expect(throws: LoopError.self) {
            try await Stream.connect(to: .unix(path: "/" + String(repeating: "x", count: 107)), timeout: .seconds(1))
        }
    }

    @Test("Accepted and connected sockets make nobody wait, and no child inherits them")
    @OnLoop func flags() async throws {
        let before = try Self.openSockets()
        let (client, server) = try await TestListener(unix: true).pair()
        // The listener, and the two ends.
        let opened = try Self.openSockets().subtracting(before)
        #expect(opened.count == 3)
        for descriptor in opened {
            #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
            #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0)
        }
        client.close()
        server.close()
    }

    private static func openSockets() throws -> Set<CInt> {
        Set(
            (0..<1024).filter { descriptor in
                var status = stat()
                return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
            })
    }
}
