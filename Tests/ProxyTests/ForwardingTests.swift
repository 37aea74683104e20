import HTTP
import Loop
import TestSupport
import Testing

@Suite("Forwarding", .serialized)
struct ForwardingTests {
    @Test("hop-by-hop and forged fields do not pass to the upstream")
    func requestFields() async throws {
        try await onLoop {
            let fake = try FakeUpstream(unix: true) { connection in
                _ = try await connection.receive()
                try await connection.send(okay)
            }
            let proxy = try TestProxy(fake.endpoint)
            let client = try await proxy.connect()
            _ = try await client.exchange(
                "GET /a?b=c HTTP/1.1\r\nHost: hotel.example\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nTE: trailers\r\n"
                    + "Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n"
                    + "Drawbridge-Identity: forged\r\nX-Kept: yes\r\n\r\n")
            let request = try #require(fake.requests.first)
            #expect(request.hasPrefix("GET /a?b=c HTTP/1.1\r\nHost: hotel.example\r\n"))
            #expect(request.contains("X-Kept: yes\r\n"))
            #expect(request.contains("Forwarded: for=127.0.0.1;proto=http;host=hotel.example\r\n"))
            for word in ["X-Hop", "6.6.6.6", "forged", "TE:", "close"] { #expect(!request.contains(word), "\(word)") }
            await proxy.stop()
            await fake.stop()
        }
    }

    @Test("hop-by-hop fields of the answer do not pass to the client; ours are added")
    func responseFields() async throws {
        try await onLoop {
            let fake = try FakeUpstream(unix: true) { connection in
                _ = try await connection.receive()
                try await connection.send(
                    "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nServer: secret/1.0\r\nX-Request-Id: theirs\r\n"
                        + "X-Kept: yes\r\nContent-Length: 2\r\n\r\nok")
            }
            let proxy = try TestProxy(fake.endpoint)
            let answer = try await proxy.connect().exchange(get)
            #expect(answer.head.fields["X-Kept"] == "yes")
            #expect(answer.head.fields["X-Hop"] == nil)
            #expect(answer.head.fields[.server] == nil)
            #expect(answer.head.fields.count(of: .xRequestID) == 1)
            #expect(answer.head.fields[.xRequestID]?.utf8.count == 32)
            #expect(answer.head.fields[.date] != nil)
            #expect(answer.head.fields[.via] == "1.1 drawbridge")
            await proxy.stop()
            await fake.stop()
        }
    }

    @Test("an upstream that does not take requests from us is our trouble, not the client's")
    func misdirected() async throws {
        try await onLoop {
            let fake = try FakeUpstream(unix: true) { connection in
                _ = try await connection.receive()
                try await connection.send("HTTP/1.1 421 Misdirected Request\r\nContent-Length: 2\r\n\r\nno")
            }
            let proxy = try TestProxy(fake.endpoint)
            let answer = try await proxy.connect().exchange(get)
            #expect(answer.head.status.rawValue >= 500)
            await proxy.stop()
            await fake.stop()
        }
    }

    @Test("content that comes in chunks goes on with its length")
    func chunkedIn() async throws {
        try await onLoop {
            let fake = try FakeUpstream(unix: true) { connection in
                _ = try await connection.receive(endingIn: "hello")
                try await connection.send(okay)
            }
            let proxy = try TestProxy(fake.endpoint)
            let client = try await proxy.connect()
            _ = try await client.exchange(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n")
            let request = try #require(fake.requests.first)
            #expect(request.contains("Content-Length: 5\r\n"))
            #expect(!request.lowercased().contains("transfer-encoding"))
            await proxy.stop()
            await fake.stop()
        }
    }

    @Test(
        "every framing of an answer reaches every client",
        arguments: [
            "Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            "X: y\r\n\r\nhello",
        ], ["1.1", "1.0"])
    func framings(answer: String, version: String) async throws {
        try await onLoop {
            let fake = try FakeUpstream(unix: true) { connection in
                _ = try await connection.receive()
                try await connection.send("HTTP/1.1 200 OK\r\n" + answer)
            }
            let proxy = try TestProxy(fake.endpoint)
            let client = try await proxy.connect()
            let received = try await client.exchange("GET / HTTP/\(version)\r\nHost: a\r\n\r\n")
            #expect(received.text == "hello")
            #expect(version == "1.1" || received.head.framing != .chunked)
            await proxy.stop()
            await fake.stop()
        }
    }

    @Test("HEAD is answered with the length alone, and both connections stay in step")
    func head() async throws {
        try await onLoop {
            let fake = try FakeUpstream(unix: true) { connection in
                _ = try await connection.receive()
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
                _ = try await connection.receive()
                try await connection.send(okay)
            }
            let proxy = try TestProxy(fake.endpoint)
            let client = try await proxy.connect()
            let answer = try await client.exchange("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", .head)
            #expect(answer.head.fields[.contentLength] == "100")
            #expect(try await client.exchange(get).text == "ok")
            await proxy.stop()
            await fake.stop()
        }
    }

    @Test("trailers pass, and the upstream's connection is used again")
    func trailers() async throws {
        try await onLoop {
            let fake = try FakeUpstream(unix: true) { connection in
                while true {
                    _ = try await connection.receive()
                    try await connection.send(
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n")
                }
            }
            let proxy = try TestProxy(fake.endpoint)
            let client = try await proxy.connect()
            for _ in 0..<2 { #expect(try await client.exchange(get).trailers["X-Sum"] == "7") }
            #expect(proxy.gauge("drawbridge_upstream_connections") == 1)
            await proxy.stop()
            await fake.stop()
        }
    }

    @Test("what an upstream sends piece by piece reaches the client piece by piece")
    func pieces() async throws {
        try await onLoop {
            let next = Signal()
            let fake = try FakeUpstream(unix: true) { connection in
                _ = try await connection.receive()
                try await connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in 0..<3 {
                    try await connection.send("1\r\nx\r\n")
                    try await next.wait()
                }
                try await connection.send("0\r\n\r\n")
            }
            let proxy = try TestProxy(fake.endpoint)
            let client = try await proxy.connect()
            try await client.send(get)
            for _ in 0..<3 {
                #expect(try await client.stream.fill())
                next.fire()
            }
            #expect(try await client.receive().text == "xxx")
            await proxy.stop()
            await fake.stop()
        }
    }
}
