import Loop
import TLS
import Testing

@Suite struct TLSTests {
    init() { Loop.runInBackground() }

    /// Runs `body` with a server of its own and a client's context that trusts it.
    @OnLoop
    private func withServer(
        minimumVersion: TLSVersion = .tls13, clients: ClosedRange<TLSVersion> = .tls12 ... .tls13,
        _ body: (EchoServer, TLSClientContext, Certificates) async throws -> Void
    ) async throws {
        let certificates = Certificates()
        try await certificates.make("server")
        let server = try EchoServer(certificates, minimumVersion: minimumVersion)
        let client = try TLSClientContext(authoritiesPath: certificates.path("server.pem"), versions: clients)
        try await body(server, client, certificates)
        await server.stop()
        try await certificates.remove()
    }

    @Test("Client and server agree on a version and echo", arguments: [TLSVersion.tls12, .tls13])
    @OnLoop func echo(version: TLSVersion) async throws {
        try await withServer(minimumVersion: .tls12, clients: version...version) { server, context, _ in
            let stream = try await server.connect()
            let session = try context.makeSession(host: "localhost")
            try await session.handshake(on: stream)
            try await stream.write(Array("ping".utf8))
            #expect(try await stream.text(4) == "ping")
            #expect(session.info?.version == (version == .tls13 ? "TLSv1.3" : "TLSv1.2"))
            #expect(session.info?.applicationProtocol == "http/1.1")
            #expect(server.infos.first?.serverName == "localhost")
            stream.close()
            try await server.ended.wait()
            #expect(server.ends.first! == nil)
        }
    }

    @Test("A client refuses a certificate for another host or from nobody it trusts", arguments: [false, true])
    @OnLoop func verification(isStranger: Bool) async throws {
        try await withServer { server, context, certificates in
            try await certificates.make("stranger")
            let trusted =
                isStranger
                ? try TLSClientContext(authoritiesPath: certificates.path("stranger.pem")) : context
            let session = try trusted.makeSession(host: isStranger ? "localhost" : "example.org")
            let stream = try await server.connect()
            await #expect(throws: TLSError.self) { try await session.handshake(on: stream) }
            stream.close()
        }
    }

    @Test("An address is verified as an address")
    @OnLoop func addressVerification() async throws {
        try await withServer { server, context, _ in
            for (host, isGood) in [("127.0.0.1", true), ("127.0.0.2", false)] {
                let stream = try await server.connect()
                let session = try context.makeSession(host: host)
                let result = await Task { try await session.handshake(on: stream) }.result
                let isRefused = if case .failure = result { true } else { false }
                #expect(isRefused != isGood)
                stream.close()
            }
        }
    }

    @Test(
        "16 MiB pass both ways whole, in writes tiny and huge",
        arguments: [TLSVersion.tls12, .tls13], [997, 64 << 10, 16 << 20])
    @OnLoop func transfer(version: TLSVersion, size: Int) async throws {
        try await withServer(minimumVersion: .tls12, clients: version...version) { server, context, _ in
            let stream = try await server.connect()
            try await context.makeSession(host: "localhost").handshake(on: stream)
            let pattern = (0..<65_521).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            var bytes: [UInt8] = []
            while bytes.count < (size == 997 ? 1 << 20 : 16 << 20) { bytes += pattern }
            let sent = bytes
            let writer = Task {
                var start = 0
                while start < sent.count {
                    let end = min(start + size, sent.count)
                    try await stream.write(Array(sent[start..<end]))
                    start = end
                }
            }
            var received: [UInt8] = []
            while received.count < sent.count, try await stream.fill() { received += stream.take() }
            try await writer.value
            #expect(received == sent)
            stream.close()
        }
    }

    @Test("A session is resumed", arguments: [TLSVersion.tls12, .tls13], [false, true])
    @OnLoop func resumption(version: TLSVersion, isReloaded: Bool) async throws {
        try await withServer(minimumVersion: .tls12, clients: version...version) { server, context, _ in
            var previous: TLSClientSession?
            for round in 0..<2 {
                let stream = try await server.connect()
                let session = try context.makeSession(host: "localhost", resuming: previous)
                try await session.handshake(on: stream)
                try await stream.write([1])
                _ = try await stream.fill()
                #expect(session.info?.isResumed == (round == 1))
                stream.close()
                previous = session
                if isReloaded { try server.context.reload() }
            }
        }
    }

    @Test("An end without goodbye is an error, not an end")
    @OnLoop func truncation() async throws {
        try await withServer { server, context, _ in
            let stream = try await server.connect()
            try await context.makeSession(host: "localhost").handshake(on: stream)
            try await stream.write([1])
            _ = try await stream.fill()
            // Without its security, closing says nothing.
            stream.security = nil
            stream.close()
            try await server.ended.wait()
            #expect(server.ends.first! is LoopError)
        }
    }

    @Test("Bytes that come together with the goodbye are read before the end")
    @OnLoop func goodbyeWithData() async throws {
        try await withServer { server, context, _ in
            let stream = try await server.connect()
            let session = try context.makeSession(host: "localhost")
            try await session.handshake(on: stream)
            var bytes: [UInt8] = []
            try Array("last words".utf8).withUnsafeBytes { try session.send($0, outgoing: &bytes) }
            session.close(outgoing: &bytes)
            stream.security = nil
            try await stream.write(bytes)
            // The server sees the end although our socket stays open, and its echo comes back.
            try await server.ended.wait()
            #expect(server.ends.first! == nil)
            stream.close()
        }
    }

    @Test("A handshake that comes byte by byte succeeds")
    @OnLoop func trickle() async throws {
        try await withServer { server, context, _ in
            let session = try server.context.makeSession()
            let client = try context.makeSession(host: "localhost")
            var toServer: [UInt8] = []
            var toClient: [UInt8] = []
            var plaintext: [UInt8] = []
            @OnLoop func pass(_ bytes: inout [UInt8], to receiver: TLSSession, _ answers: inout [UInt8]) throws {
                for byte in bytes {
                    try [byte].withUnsafeBytes {
                        try receiver.receive($0, plaintext: &plaintext, outgoing: &answers)
                    }
                }
                bytes = []
            }
            try client.receive(UnsafeRawBufferPointer(start: nil, count: 0), plaintext: &plaintext, outgoing: &toServer)
            while !toServer.isEmpty || !toClient.isEmpty {
                try pass(&toServer, to: session, &toClient)
                try pass(&toClient, to: client, &toServer)
            }
            #expect(session.isEstablished && client.isEstablished)
            try Array("whole".utf8).withUnsafeBytes { try client.send($0, outgoing: &toServer) }
            try pass(&toServer, to: session, &toClient)
            #expect(plaintext == Array("whole".utf8))
        }
    }

    @Test(
        "What is no ClientHello is refused, with an alert where the client speaks TLS",
        arguments: [
            (Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8), false), ([0, 0, 0, 0, 0, 0], false),
            // A handshake record with an unknown message type; one with a ClientHello of nonsense; application data.
            ([22, 3, 1, 0, 4, 99, 0, 0, 0], true), ([22, 3, 1, 0, 6, 1, 0, 0, 2, 9, 9], true),
            ([23, 3, 3, 0, 1, 0], true),
        ] as [([UInt8], Bool)])
    @OnLoop func garbage(bytes: [UInt8], hasAlert: Bool) async throws {
        try await withServer { server, _, _ in
            let stream = try await server.connect()
            try await stream.write(bytes)
            while try await stream.fill() {}
            // RFC 8446 §5.1: a record of type alert (21).
            #expect(stream.take().first == (hasAlert ? 21 : nil))
            stream.close()
            try await server.ended.wait()
            #expect((server.ends.first! as? TLSError)?.code == .handshake)
        }
    }

    @Test("A handshake larger than its bound is refused")
    @OnLoop func largeHandshake() async throws {
        try await withServer { server, _, _ in
            let session = try server.context.makeSession()
            // Records that each carry one more piece of a ClientHello said to be 128 KiB long.
            var record: [UInt8] = [22, 3, 1, 0x40, 0] + [1, 2, 0, 0]
            record += [UInt8](repeating: 0, count: 5 + (16 << 10) - record.count)
            var plaintext: [UInt8] = []
            var outgoing: [UInt8] = []
            #expect(throws: TLSError.self) {
                for _ in 0..<16 {
                    try record.withUnsafeBytes { try session.receive($0, plaintext: &plaintext, outgoing: &outgoing) }
                    record.replaceSubrange(5..<9, with: [0, 0, 0, 0])
                }
            }
        }
    }

    @Test("Nothing is sent before the handshake")
    @OnLoop func early() async throws {
        try await withServer { server, _, _ in
            let session = try server.context.makeSession()
            var outgoing: [UInt8] = []
            #expect(throws: TLSError.self) {
                try [1, 2, 3].withUnsafeBytes { try session.send($0, outgoing: &outgoing) }
            }
        }
    }
}
