import Glibc
import Loop
import Testing

@Suite struct ListenerTests {
    init() { Loop.runInBackground() }

    @Test("Closing ends a waiting accept")
    @OnLoop func close() async throws {
        let listener = try TestListener().listener
        let waiting = Task { try await listener.next() }
        try await Loop.sleep(for: .milliseconds(2))
        listener.close()
        #expect((await waiting.result).error?.code == .closed)
        await #expect(throws: LoopError(.closed, "accept")) { try await listener.next() }
    }

    @Test("Of sockets bound to one port by two that know nothing of each other, those of one can listen")
    @OnLoop func first() throws {
        let mine = try ListeningSocket(address: "127.0.0.1", port: 0, isShared: true)
        let other = try ListeningSocket(address: "127.0.0.1", port: mine.port, isShared: true)
        let second = try ListeningSocket(address: "127.0.0.1", port: mine.port, isShared: true)
        try mine.listen(asFirst: true)
        var refusal: LoopError?
        do { try other.listen(asFirst: true) } catch { refusal = error }
        #expect(refusal?.status == -EADDRINUSE)
        try second.listen(asFirst: false)
        try mine.listen(asFirst: false)
    }

    @Test("Two listeners share a port, and every connection reaches one of them")
    @OnLoop func shared() async throws {
        let first = try ListeningSocket(address: "127.0.0.1", port: 0, isShared: true)
        let port = first.port
        let second = try ListeningSocket(address: "127.0.0.1", port: port, isShared: true)
        let listeners = [try Listener(first), try Listener(second)]
        let arrived = Counter()
        let all = Signal()
        let acceptors = listeners.map { listener in
            Task {
                while let stream = try? await listener.next() {
                    stream.close()
                    arrived.value += 1
                    if arrived.value == 100 { all.fire() }
                }
            }
        }
        for _ in 0..<100 {
            let client = try await Stream.connect(to: .tcp(address: "127.0.0.1", port: port), timeout: .seconds(10))
            client.close()
        }
        try await all.wait()
        for listener in listeners { listener.close() }
        for acceptor in acceptors { await acceptor.value }
    }

    @Test("A listener closed and its descriptor opened again loses no queued connection", arguments: [false, true])
    @OnLoop func handOver(hasAcceptedBefore: Bool) async throws {
        let kept = try ListeningSocket(address: "127.0.0.1", port: 0)
        let endpoint = Endpoint.tcp(address: "127.0.0.1", port: kept.port)
        let first = try Listener(ListeningSocket(inherited: dup(kept.inheritable)))
        if hasAcceptedBefore {
            let client = try await Stream.connect(to: endpoint, timeout: .seconds(10))
            try await first.next().close()
            client.close()
        }
        var clients: [Stream] = []
        for _ in 0..<20 { clients.append(try await Stream.connect(to: endpoint, timeout: .seconds(10))) }
        try await Loop.sleep(for: .milliseconds(5))
        first.close()
        let second = try Listener(ListeningSocket(inherited: dup(kept.inheritable)))
        for client in clients {
            let server = try await second.next()
            try await server.write([42])
            server.close()
            #expect(try await client.drain() == 1)
            client.close()
        }
        second.close()
    }

    @Test("A unix-domain socket that a dead process left behind is replaced, with the mode asked for")
    @OnLoop func leftBehind() async throws {
        let path = temporaryPath()
        do { _ = try ListeningSocket(unixPath: path) }
        let listener = try Listener(ListeningSocket(unixPath: path, mode: 0o660))
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o660)
        listener.close()
        unlink(path)
    }

    @Test("A descriptor that is no stream socket is refused")
    func noSocket() {
        #expect(throws: LoopError.self) { _ = try ListeningSocket(inherited: 0x7fff) }
        let datagram = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        #expect(throws: LoopError.self) { _ = try ListeningSocket(inherited: datagram) }
        Glibc.close(datagram)
    }

    @Test("An address in use or malformed is refused")
    @OnLoop func badAddress() throws {
        let socket = try ListeningSocket(address: "127.0.0.1", port: 0)
        let port = socket.port
        let listener = try Listener(socket)
        #expect(throws: LoopError.self) { _ = try ListeningSocket(address: "127.0.0.1", port: port) }
        #expect(throws: LoopError.self) { _ = try ListeningSocket(address: "localhost", port: 0) }
        listener.close()
    }

    @Test("IPv6 connections tell their peer's address")
    @OnLoop func ipv6() async throws {
        let socket = try ListeningSocket(address: "::1", port: 0)
        let endpoint = Endpoint.tcp(address: "::1", port: socket.port)
        let listener = try Listener(socket)
        let client = try await Stream.connect(to: endpoint, timeout: .seconds(10))
        let server = try await listener.next()
        #expect(server.peerAddress == "::1")
        client.close()
        server.close()
        listener.close()
    }
}
