import HTTP
import Loop
import TestSupport
import Testing

@testable import Client

@Suite("Exchanges", .serialized)
struct ExchangeTests {
    /// An upstream that closes the connection it has answered on when the next request comes, and answers on another.
    private static let closesOnReuse: FakeUpstream.Script = { connection in
        _ = try await connection.receive()
        try await connection.send(okay)
        if connection.number == 1 {
            _ = try await connection.receive()
        } else {
            try await FakeUpstream.answering(okay)(connection)
        }
    }

    @Test("a GET on an old connection that breaks before its answer is sent once more, on a fresh one")
    func retriesGet() async throws {
        try await onLoop {
            let fake = try FakeUpstream(Self.closesOnReuse)
            let upstream = Upstream(fake)
            for _ in 0..<3 { #expect(try await upstream.fetch().text == "ok") }
            #expect(fake.accepted == 2)
            #expect(fake.requests.count == 4)
            await fake.stop()
        }
    }

    @Test("a POST that may have been seen is not sent again")
    func doesNotRetryPost() async throws {
        try await onLoop {
            let fake = try FakeUpstream(Self.closesOnReuse)
            let upstream = Upstream(fake)
            _ = try await upstream.fetch()
            #expect(await upstream.failure(.post) == .broken)
            #expect(fake.requests.count == 2)
            #expect(upstream.connectionCounts == (0, 0, 0))
            await fake.stop()
        }
    }

    @Test("a GET is tried twice at most, and on a fresh connection once")
    func retriesOnce() async throws {
        try await onLoop {
            let fake = try FakeUpstream { connection in
                _ = try await connection.receive()
                if connection.number == 1 { try await connection.send(okay) }
                if connection.number == 1 { _ = try await connection.receive() }
            }
            let upstream = Upstream(fake) { $0.maximumConnections = 1 }
            _ = try await upstream.fetch()
            #expect(await upstream.failure() == .broken)
            #expect(fake.requests.count == 3)
            #expect(await upstream.failure() == .broken)
            #expect(fake.requests.count == 4)
            #expect(upstream.connectionCounts == (0, 0, 0))
            await fake.stop()
        }
    }

    @Test(
        "an answer that breaks off is broken",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
            "HTTP/1.1 200 OK\r\nContent-Le", "",
        ])
    func breaksOff(answer: String) async throws {
        try await onLoop {
            let fake = try FakeUpstream { connection in
                _ = try await connection.receive()
                try await connection.send(answer)
            }
            let upstream = Upstream(fake)
            #expect(await upstream.failure() == .broken)
            #expect(upstream.connectionCounts == (0, 0, 0))
            await fake.stop()
        }
    }

    @Test(
        "an answer that is no HTTP is broken",
        arguments: [
            "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ])
    func malformed(answer: String) async throws {
        try await onLoop {
            let fake = try FakeUpstream(FakeUpstream.answering(answer))
            let upstream = Upstream(fake)
            #expect(await upstream.failure() == .broken)
            #expect(upstream.connectionCounts == (0, 0, 0))
            await fake.stop()
        }
    }

    @Test(
        "an answer that is too slow is timed out, before its head and in its content",
        arguments: ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"])
    func slow(answer: String) async throws {
        try await onLoop {
            let fake = try FakeUpstream { connection in
                _ = try await connection.receive()
                try await connection.send(answer)
                try await connection.end()
            }
            let upstream = Upstream(fake)
            let fetching = await upstream.failure(timeout: .milliseconds(100))
            #expect(fetching == .timedOut)
            #expect(upstream.connectionCounts == (0, 0, 0))
            await fake.stop()
        }
    }

    @Test("an answer whose time is up while its reader is busy is not taken for complete")
    func timedOutWhileBusy() async throws {
        try await onLoop {
            let fake = try FakeUpstream(FakeUpstream.answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
            let upstream = Upstream(fake)
            let exchange = try await upstream.send(Self.get, method: .get, timeout: .milliseconds(500))
            try await eventually { fake.open == 0 }
            #expect(await exchange.failure() == .timedOut)
            exchange.end()
            #expect(upstream.connectionCounts == (0, 0, 0))
            await fake.stop()
        }
    }

    @Test("an answer cut on an old connection while its reader is busy is not taken for complete")
    func cutWhileBusy() async throws {
        try await onLoop {
            let fake = try FakeUpstream { connection in
                _ = try await connection.receive()
                try await connection.send(okay)
                _ = try await connection.receive()
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            }
            let upstream = Upstream(fake)
            _ = try await upstream.fetch()
            let exchange = try await upstream.send(Self.get, method: .get)
            try await eventually { fake.open == 0 }
            try await Loop.sleep(for: .milliseconds(5))
            #expect(await exchange.failure() == .broken)
            exchange.end()
            #expect(upstream.connectionCounts == (0, 0, 0))
            await fake.stop()
        }
    }

    @Test("a whole answer on a connection that is then closed is complete")
    func completeBeforeClose() async throws {
        try await onLoop {
            let fake = try FakeUpstream { connection in
                _ = try await connection.receive()
                try await connection.send("HTTP/1.1 200 OK\r\n\r\nuntil the end")
            }
            let upstream = Upstream(fake)
            for _ in 0..<2 { #expect(try await upstream.fetch().text == "until the end") }
            #expect(upstream.connectionCounts == (0, 0, 0))
            await fake.stop()
        }
    }

    @Test("bytes that nobody asked for are never taken for an answer")
    func unsolicited() async throws {
        try await onLoop {
            let stray = Signal()
            let fake = try FakeUpstream { connection in
                _ = try await connection.receive()
                try await connection.send(okay)
                guard connection.number == 1 else { return try await connection.end() }
                try await Loop.sleep(for: .milliseconds(10))
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
                stray.fire()
                try await connection.end()
            }
            let upstream = Upstream(fake)
            #expect(try await upstream.fetch().text == "ok")
            try await stray.wait()
            try await Loop.sleep(for: .milliseconds(5))
            #expect(try await upstream.fetch().text == "ok")
            #expect(fake.accepted == 2)
            await fake.stop()
        }
    }

    @Test("bytes after an answer end its connection")
    func surplus() async throws {
        try await onLoop {
            let fake = try FakeUpstream(FakeUpstream.answering(okay + "HTTP/1.1 200 OK\r\n\r\n"))
            let upstream = Upstream(fake)
            for _ in 0..<3 { #expect(try await upstream.fetch().text == "ok") }
            #expect(fake.accepted == 3)
            await fake.stop()
        }
    }

    @Test("trailers are handed over and the connection used again")
    func trailers() async throws {
        try await onLoop {
            let fake = try FakeUpstream(
                FakeUpstream.answering(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n"))
            let upstream = Upstream(fake)
            for _ in 0..<3 { #expect(try await upstream.fetch().trailers["X-Sum"] == "7") }
            #expect(fake.accepted == 1)
            await fake.stop()
        }
    }

    @Test(
        "an answer without content leaves the connection in step",
        arguments: [
            (HTTP.Method.head, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
            (.get, "HTTP/1.1 204 No Content\r\n\r\n"),
            (.get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n"),
        ])
    func withoutContent(method: HTTP.Method, answer: String) async throws {
        try await onLoop {
            let fake = try FakeUpstream(FakeUpstream.answering(answer))
            let upstream = Upstream(fake)
            for _ in 0..<3 { #expect(try await upstream.fetch(method).text == "") }
            #expect(fake.accepted == 1)
            await fake.stop()
        }
    }

    @Test("interim answers are passed over")
    func interim() async throws {
        try await onLoop {
            let fake = try FakeUpstream(FakeUpstream.answering("HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" + okay))
            let upstream = Upstream(fake)
            #expect(try await upstream.fetch().head.status == .ok)
            await fake.stop()
        }
    }

    @Test("an answer that comes before the request is all sent is taken", arguments: [false, true])
    func earlyAnswer(hangsUp: Bool) async throws {
        try await onLoop {
            let fake = try FakeUpstream { connection in
                #expect(try await connection.stream.fill())
                try await connection.send(
                    "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
                // Hanging up with bytes unread resets the connection, and what the client has not read by then is lost;
                // reading on does not.
                if hangsUp { try await Loop.sleep(for: .milliseconds(500)) } else { try await connection.end() }
            }
            let upstream = Upstream(fake)
            let answer = try await upstream.fetch(.post, content: [UInt8](repeating: 0, count: 32 << 20))
            #expect(answer.head.status == .contentTooLarge)
            #expect(answer.text == "no")
            #expect(upstream.connectionCounts == (0, 0, 0))
            await fake.stop()
        }
    }

    private static let get = Array("GET / HTTP/1.1\r\nHost: test\r\n\r\n".utf8)
}
