import Egress
import Fetch
import Glibc
import HTTP
import Loop
import TLS
import TestSupport
import Testing

@Suite("Where nothing is sent")
struct CourierGuardTests {
    private static let script: FakeUpstream.Script = { connection in
        while true {
            _ = try await connection.receiveHello()
            try await connection.send(okay)
        }
    }

    private static func refusal(_ code: SendError.Code?) -> EgressRefusal? {
        if case .refused(let refusal) = code { refusal } else { nil }
    }

    @Test("A connection to an address that the guard refuses is not opened, whatever was thought of the URL")
    func opening() async throws {
        try await onLoop {
            try await Trial.run(script: Self.script) { trial in
                var terms = SendingTerms()
                terms.authoritiesFile = trial.certificates.authorities
                let strict = Courier(EgressGuard(), terms)
                for host in ["localhost", "127.0.0.1", "[::1]"] {
                    let url = "https://\(host):\(trial.receiver.port)/"
                    let error = await #expect(throws: SendError.self) {
                        _ = try await strict.send([], to: trial.egressGuard.destination(url), fields: Fields())
                    }
                    #expect(Self.refusal(error?.code)?.kind == .loopback, "\(host)")
                }
                strict.close()
                #expect(trial.receiver.accepted == 0)
            }
        }
    }

    @Test("A connection that one endpoint may use is not used for another, which may not")
    func reuse() async throws {
        try await onLoop {
            try await Trial.run(script: Self.script) { trial in
                var terms = SendingTerms()
                terms.authoritiesFile = trial.certificates.authorities
                let courier = Courier(EgressGuard(), terms)
                let url = "https://localhost:\(trial.receiver.port)/"
                let own = try #require(AllowList(["127.0.0.0/8"]))
                let hello = Array("hello".utf8)
                for isReused in [false, true] {
                    let mine = try EgressGuard().destination(url, allowing: own)
                    let reply = try await courier.send(hello, to: mine, fields: Fields())
                    #expect(reply.isConnectionReused == isReused)
                }
                let error = await #expect(throws: SendError.self) {
                    // As if the name had led elsewhere when it was examined.
                    _ = try await courier.send(hello, to: trial.egressGuard.destination(url), fields: Fields())
                }
                #expect(Self.refusal(error?.code)?.address == IPAddress("127.0.0.1"))
                #expect(trial.receiver.accepted == 1)
                courier.close()
                #expect(trial.receiver.requests.count == 2)
            }
        }
    }

    @Test("A name that leads elsewhere each time leads nowhere that nothing is sent to")
    func rebinding() async throws {
        try await onLoop {
            let certificates = try await Certificates()
            let context = try TLSServerContext(
                .init(certificateChainPath: certificates.path("good"), keyPath: certificates.key("good")))
            let script: FakeUpstream.Script = { connection in
                connection.stream.security = try context.makeSession()
                _ = try await connection.receive()
                try await connection.send(okay)
            }
            // The one may be reached, the other not: as an address on the internet and one within.
            let inner = try FakeUpstream(script)
            let outer = try FakeUpstream(address: "127.0.0.2", port: inner.port, script)
            for (answers, expected) in [
                ("127.0.0.2;127.0.0.1;127.0.0.2", ["200 from 127.0.0.2", "loopback", "200 from 127.0.0.2"]),
                ("127.0.0.2;::ffff:127.0.0.1;::1", ["200 from 127.0.0.2", "loopback", "loopback"]),
                (
                    "127.0.0.1,127.0.0.2;127.0.0.1,::1,169.254.169.254;0.0.0.0",
                    ["200 from 127.0.0.2", "loopback", "unspecified"]
                ),
            ] {
                let said = try await Self.send(
                    to: "https://changing.test:\(inner.port)/", certificates.authorities, answers, expected.count)
                #expect(said.count == expected.count)
                for (line, expected) in zip(said, expected) { #expect(line.contains(expected), "\(answers): \(line)") }
            }
            #expect(inner.accepted == 0)
            #expect(outer.accepted == 4)
            await inner.stop()
            await outer.stop()
            certificates.remove()
        }
    }

    @Test("A name that is never answered for holds up nobody else for longer than its own deadline")
    func neverResolved() async throws {
        try await onLoop {
            let certificates = try await Certificates()
            let said = try await Self.send(to: "https://changing.test/", certificates.authorities, "never", 2)
            #expect(said.count == 2 && said.allSatisfy { $0.contains("timedOut") }, "\(said)")
            certificates.remove()
        }
    }

    /// What a process says that sends, to which a name leads elsewhere each time.
    @OnLoop
    static func send(
        to url: String, _ authorities: String, _ answers: String, _ times: Int,
        allowing allowed: [String] = ["127.0.0.2"]
    ) async throws -> [String] {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let child = try ChildProcess(
            siblingProgram("egress-test-sender"), [url, authorities, "\(times)"] + allowed,
            // Nobody is there: it must not go by these.
            environment: [
                "CHANGING_NAMES": answers, "https_proxy": "http://127.0.0.2:1", "ALL_PROXY": "http://127.0.0.2:1",
            ], descriptors: [.null, .inherit(ends[1]), .inherit(2)])
        close(ends[1])
        let reading = ends[0]
        #expect(try await child.waitForExit().isSuccess)
        let file = try #require(fdopen(reading, "r"))
        defer { fclose(file) }
        var text = [UInt8](repeating: 0, count: 1 << 16)
        let count = fread(&text, 1, text.count, file)
        return String(decoding: text[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
    }

    @Test("Through a proxy its address is judged, and that of a URL that has one")
    func proxy() async throws {
        try await onLoop {
            let proxy = try FakeUpstream { connection in
                _ = try await connection.receive()
                try await connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            }
            var terms = SendingTerms()
            terms.proxy = ProxyAddress("http://127.0.0.1:\(proxy.port)")
            let courier = Courier(EgressGuard(), terms)
            let destination = try EgressGuard().destination("https://nobody.invalid/")
            let error = await #expect(throws: SendError.self) {
                _ = try await courier.send([], to: destination, fields: Fields())
            }
            // The name was not asked for here.
            #expect(proxy.requests.first?.hasPrefix("CONNECT nobody.invalid:443 HTTP/1.1\r\n") == true)
            #expect(error?.code == .notConnected, "\(String(describing: error))")
            courier.close()

            terms.proxy = ProxyAddress("http://localhost:\(proxy.port)")
            let other = Courier(EgressGuard(), terms)
            let refused = await #expect(throws: SendError.self) {
                _ = try await other.send([], to: destination, fields: Fields())
            }
            #expect(Self.refusal(refused?.code)?.kind == .loopback)
            other.close()
            #expect(proxy.accepted == 1)
            await proxy.stop()
        }
    }

    @Test("Through a proxy TLS is spoken with the receiver, over a tunnel that is used again")
    func tunnel() async throws {
        try await onLoop {
            let trial = try await Trial(script: Self.script)
            let (receiver, port) = (trial.receiver.endpoint, trial.receiver.port)
            let proxy = try FakeUpstream { connection in
                _ = try await connection.receive()
                let onwards = try await Stream.connect(to: receiver, timeout: .seconds(10))
                defer { onwards.close() }
                try await connection.send("HTTP/1.1 200 Connection established\r\n\r\n")
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { try? await Self.copy(from: connection.stream, to: onwards) }
                    group.addTask { try? await Self.copy(from: onwards, to: connection.stream) }
                    // Whoever hangs up first, the other is hung up on.
                    await group.next()
                    group.cancelAll()
                }
            }
            var terms = SendingTerms()
            terms.authoritiesFile = trial.certificates.authorities
            terms.proxy = ProxyAddress("http://127.0.0.1:\(proxy.port)")
            let courier = Courier(trial.egressGuard, terms)
            for isReused in [false, true, true] {
                let reply = try await courier.send(Array("hello".utf8), to: trial.destination, fields: Fields())
                #expect(reply.status == 200 && reply.isConnectionReused == isReused)
                #expect(reply.content == Array("ok".utf8))
            }
            #expect(proxy.accepted == 1 && trial.receiver.accepted == 1)
            #expect(
                proxy.requests == [
                    "CONNECT localhost:\(port) HTTP/1.1\r\nHost: localhost:\(port)\r\n"
                        + "User-Agent: drawbridge\r\nProxy-Connection: Keep-Alive\r\n\r\n"
                ])
            // Its certificate is the receiver's, and looked at.
            let stranger = try trial.egressGuard.destination("https://127.0.0.2:\(port)/")
            let error = await #expect(throws: SendError.self) {
                _ = try await courier.send([], to: stranger, fields: Fields())
            }
            #expect(error?.code == .tls(.wrongName))
            courier.close()
            await proxy.stop()
            await trial.stop()
        }
    }

    @OnLoop
    private static func copy(from source: Stream, to target: Stream) async throws {
        while true {
            // What came while the rest was being written is there already.
            if source.readableCount == 0, !(try await source.fill()) { return }
            let bytes = source.withReadable { span in span.withUnsafeBufferPointer { Array($0) } }
            source.consume(bytes.count)
            try await target.write(bytes)
        }
    }

    @Test("What is amiss on our side is not held against the receiver")
    func own() async throws {
        try await onLoop {
            try await Trial.run(script: Self.script) { trial in
                let changes: [(inout SendingTerms) throws -> Void] = [
                    { $0.authoritiesFile = "/nonexistent" },
                    { $0.proxy = ProxyAddress("http://127.0.0.1:\(try freePort())") },
                    { $0.proxy = ProxyAddress("http://nobody.invalid:3128") },
                ]
                for change in changes {
                    var terms = SendingTerms()
                    try change(&terms)
                    let courier = Courier(trial.egressGuard, terms)
                    let error = await #expect(throws: SendError.self) {
                        _ = try await courier.send([], to: trial.destination, fields: Fields())
                    }
                    #expect(error?.code == .ownFault)
                    courier.close()
                }
            }
        }
    }
}

/// A program beside the tests' own.
func siblingProgram(_ name: String) -> String {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &path, path.count)
    let own = String(decoding: path[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
    return own[...own.lastIndex(of: "/")!] + name
}
