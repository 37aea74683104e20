import HTTP
import Loop
import Server
import TestSupport
import Testing

@Suite("Requests and answers", .serialized)
struct MessageTests {
    @Test("pipelined requests are answered in order", arguments: [false, true])
    func pipelining(isUnix: Bool) async throws {
        try await onLoop {
            let server = try TestServer(unix: isUnix) { request, writer in
                // The first takes longest.
                if request.head.target.path == "/0" { try await Loop.sleep(for: .milliseconds(20)) }
                try await ClosureHandler.echo(request, writer)
            }
            let client = try await server.connect()
            try await client.send((0..<50).map { .request("GET", "/\($0)") }.joined())
            for index in 0..<50 {
                let answer = try await client.receive()
                #expect(answer.text == "GET /\(index) ")
            }
            await server.stop()
        }
    }

    @Test(
        "a HEAD that is refused is told so without content",
        arguments: ["HEAD / HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"])
    func refusedHead(request: String) async throws {
        try await onLoop {
            let server = try TestServer()
            let client = try await server.connect()
            let answer = try await client.exchange(request, .head)
            #expect(answer.status == .badRequest)
            #expect(await client.isClosedByServer())
            await server.stop()
        }
    }

    @Test("HEAD is answered as GET, without the content")
    func head() async throws {
        try await onLoop {
            let server = try TestServer { _, writer in writer.send(.ok, content: Array("twelve bytes".utf8)) }
            let client = try await server.connect()
            let answer = try await client.exchange(.request("HEAD"), .head)
            #expect(answer.head.fields[.contentLength] == "12")
            // Would be in the way of the next answer if it had been sent.
            #expect(try await client.exchange(.request()).text == "twelve bytes")
            await server.stop()
        }
    }

    @Test("a status without content gets none", arguments: [Status.noContent, .notModified])
    func withoutContent(status: Status) async throws {
        try await onLoop {
            let server = try TestServer { _, writer in writer.send(status, content: Array("stray".utf8)) }
            let client = try await server.connect()
            #expect(try await client.exchange(.request()).text == "")
            #expect(try await client.exchange(.request()).status == status)
            await server.stop()
        }
    }

    @Test("HTTP/1.0 is closed after the answer unless it asks for more", arguments: [false, true])
    func http10(asksToKeep: Bool) async throws {
        try await onLoop {
            let server = try TestServer()
            let client = try await server.connect()
            let fields = asksToKeep ? "Connection: keep-alive" : "X: y"
            let answer = try await client.exchange(.request("GET", "/", version: "1.0", fields))
            #expect(answer.head.keepAlive == asksToKeep)
            #expect(answer.head.fields[.connection] == (asksToKeep ? "keep-alive" : "close"))
            if asksToKeep {
                #expect(try await client.exchange(.request()).status == .ok)
            } else {
                #expect(await client.isClosedByServer())
            }
            await server.stop()
        }
    }

    @Test("requests cut at any byte are answered all the same")
    func cutAnywhere() async throws {
        try await onLoop {
            let server = try TestServer()
            let client = try await server.connect()
            let text = String.request("POST", "/p", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\nX: y\r\n\r\n"
            for cut in 1..<text.utf8.count {
                try await client.send(String(text.prefix(cut)))
                await Task.yield()
                try await client.send(String(text.dropFirst(cut)))
                #expect(try await client.receive().text == "POST /p abc")
            }
            await server.stop()
        }
    }

    @Test("a chunked request's trailers are passed over and the connection stays in step")
    func trailers() async throws {
        try await onLoop {
            let server = try TestServer()
            let client = try await server.connect()
            let text = String.request("POST", "/", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
            try await client.send(text + .request("GET", "/after"))
            #expect(try await client.receive().text == "POST / abc")
            #expect(try await client.receive().text == "GET /after ")
            await server.stop()
        }
    }

    @Test("a client that asks for a 100 gets it when the content is wanted")
    func continues() async throws {
        try await onLoop {
            let server = try TestServer()
            let client = try await server.connect()
            try await client.send(.request("POST", "/", "Content-Length: 3", "Expect: 100-continue"))
            let expected = "HTTP/1.1 100 Continue\r\n\r\n"
            while client.stream.readableCount < expected.utf8.count { #expect(try await client.stream.fill()) }
            #expect(client.stream.readableCount == expected.utf8.count)
            try await client.send("abc")
            let answer = try await client.receive()
            #expect(answer.interim == [.continue])
            #expect(answer.text == "POST / abc")
            await server.stop()
        }
    }

    @Test("a client that asks for a 100 is refused without one when the content is not wanted")
    func refusesInsteadOfContinue() async throws {
        try await onLoop {
            let server = try TestServer { _, _ in throw Problem(.forbidden, "no", "No") }
            let client = try await server.connect()
            let answer = try await client.exchange(
                .request("POST", "/", "Content-Length: 3", "Expect: 100-continue"), .post)
            #expect(answer.interim.isEmpty)
            #expect(answer.status == .forbidden)
            // Whether the content follows cannot be known, so nothing after it could be read.
            #expect(!answer.head.keepAlive)
            #expect(await client.isClosedByServer())
            await server.stop()
        }
    }

    @Test("a small rest of unread content is waited for, after the answer, and the connection kept")
    func smallUnreadContent() async throws {
        try await onLoop {
            let server = try TestServer { _, writer in writer.send(.ok, content: Array("unread".utf8)) }
            let client = try await server.connect()
            try await client.send(.request("POST", "/", "Content-Length: 6") + "abc")
            #expect(try await client.receive().head.keepAlive)
            try await client.send("def" + .request())
            #expect(try await client.receive().status == .ok)
            await server.stop()
        }
    }

    @Test(
        "unread content that is large or of unknown length ends the connection, and the answer says so",
        arguments: ["Content-Length: 100000", "Transfer-Encoding: chunked"])
    func largeUnreadContent(framing: String) async throws {
        try await onLoop {
            let server = try TestServer { _, writer in writer.send(.ok, content: Array("unread".utf8)) }
            let client = try await server.connect()
            let answer = try await client.exchange(.request("POST", "/", framing) + "5\r\nabc")
            #expect(answer.text == "unread")
            #expect(!answer.head.keepAlive)
            #expect(await client.isClosedByServer())
            await server.stop()
        }
    }

    @Test(
        "a client that has ended its side still gets its answer, also when the handler fails", arguments: [false, true])
    func halfClosed(fails: Bool) async throws {
        try await onLoop {
            let server = try TestServer { _, writer in
                try await Loop.sleep(for: .milliseconds(50))
                if fails { throw LoopError(.closed, "anything") }
                writer.send(.ok)
            }
            let text = try await server.exchangeEndingOutput(.request())
            #expect(text.hasPrefix(fails ? "HTTP/1.1 500 " : "HTTP/1.1 200 "))
            await server.stop()
        }
    }

    @Test("everything passes through the connection's security")
    func security() async throws {
        try await onLoop {
            let server = try TestServer(isSecured: true)
            let client = try await server.connect()
            for index in 0..<3 {
                #expect(try await client.exchange(.request("GET", "/\(index)")).text == "GET /\(index) ")
            }
            let last = try await client.exchange(.request("GET", "/last", "Connection: close"))
            #expect(last.text == "GET /last ")
            // With a goodbye; without one this would throw.
            #expect(try await client.stream.fill() == false)
            await server.stop()
        }
    }
}
