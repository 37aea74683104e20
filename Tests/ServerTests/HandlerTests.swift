import HTTP
import Loop
import Server
import Telemetry
import TestSupport
import Testing

@Suite("Handlers", .serialized)
struct HandlerTests {
    private struct Secret: Error, CustomStringConvertible {
        let description = "password is hunter2"
    }

    @Test("an error is answered 500 without details, and the connection goes on")
    func unexpectedError() async throws {
        try await onLoop {
            let server = try TestServer { request, writer in
                if request.head.target.path == "/fail" { throw Secret() }
                try await ClosureHandler.echo(request, writer)
            }
            let client = try await server.connect()
            let answer = try await client.exchange(.request("GET", "/fail"))
            #expect(answer.status == .internalServerError)
            #expect(!answer.text.contains("hunter2"))
            #expect(try await client.exchange(.request()).status == .ok)
            await server.stop()
        }
    }

    @Test("a problem is answered as it is")
    func problem() async throws {
        try await onLoop {
            let server = try TestServer { _, _ in
                throw Problem(.conflict, "no-availability", "No room", detail: "No \"room\" left")
                    .with(.retryAfter, "7")
            }
            let client = try await server.connect()
            let answer = try await client.exchange(.request())
            let id = answer.head.fields[.xRequestID]!
            #expect(answer.status == .conflict)
            #expect(answer.head.fields[.retryAfter] == "7")
            #expect(answer.head.fields[.cacheControl] == "no-store")
            #expect(
                answer.text == #"{"type":"https://drawbridge.dev/problems/no-availability","title":"No room","#
                    + #""status":409,"detail":"No \"room\" left","instance":"\#(id)","error":"No \"room\" left"}"#)
            await server.stop()
        }
    }

    @Test("a handler that gives no answer is answered for, and its connection closed")
    func noAnswer() async throws {
        try await onLoop {
            let server = try TestServer { _, _ in }
            let client = try await server.connect()
            let answer = try await client.exchange(.request())
            #expect(answer.status == .internalServerError)
            #expect(!answer.head.keepAlive)
            #expect(await client.isClosedByServer())
            await server.stop()
        }
    }

    @Test("an answer that is begun and not finished is cut visibly")
    func unfinishedAnswer() async throws {
        try await onLoop {
            let server = try TestServer { _, writer in
                var answer = writer.forward(ResponseHead(status: .ok, framing: .length(100)))
                answer.append(Array("some".utf8).span)
                try await answer.flush()
                throw Secret()
            }
            let client = try await server.connect()
            try await client.send(.request())
            await #expect(throws: (any Error).self) { try await client.receive() }
            await server.stop()
        }
    }

    @Test(
        "an answer that is cut short is not ended in order, by TLS or by TCP", arguments: [false, true], [false, true])
    func brokenOff(isSecured: Bool, byDrain: Bool) async throws {
        try await onLoop {
            let sent = Signal()
            let server = try TestServer(isSecured: isSecured) { _, writer in
                // Nothing but the connection's end says where this answer ends.
                var answer = writer.forward(ResponseHead(status: .ok, framing: .untilClose))
                answer.append(Array("some".utf8).span)
                try await answer.flush()
                try await sent.wait()
                throw Secret()
            }
            let client = try await server.connect()
            try await client.send(.request("GET", "/", version: "1.0"))
            #expect(try await client.stream.fill())
            if byDrain { await server.drain(patience: .milliseconds(50)) } else { sent.fire() }
            await #expect(throws: LoopError.self) {
                while try await client.stream.fill() { client.stream.consume(client.stream.readableCount) }
            }
            #expect((client.stream.security as? XORSecurity)?.isClosedByPeer != true)
            await server.stop()
        }
    }

    @Test("a late answer is taken, and one for a client that has gone harms nobody")
    func lateAnswers() async throws {
        try await onLoop {
            let gate = Signal()
            let server = try TestServer { request, writer in
                if request.head.target.path == "/late" { try await gate.wait() }
                writer.send(.ok, content: [UInt8](repeating: 0, count: 1 << 20))
            }
            let gone = try await server.connect()
            try await gone.send(.request("GET", "/late"))
            try await eventually { server.connections == 1 }
            gone.close()
            let other = try await server.connect()
            #expect(try await other.exchange(.request()).text.utf8.count == 1 << 20)
            gate.fire()
            try await eventually { server.connections == 1 }
            let patient = try await server.connect()
            try await patient.send(.request("GET", "/late"))
            gate.fire()
            #expect(try await patient.receive().status == .ok)
            await server.stop()
        }
    }

    @Test("small pieces of an answer go out as they are flushed")
    func smallPieces() async throws {
        try await onLoop {
            let next = Signal()
            let server = try TestServer { _, writer in
                var answer = writer.forward(ResponseHead(status: .ok, framing: .chunked))
                for letter in ["a", "b", "c"] {
                    answer.append(Array(letter.utf8).span)
                    let holdsContent = answer.holdsContent
                    #expect(holdsContent)
                    try await answer.flush()
                    try await next.wait()
                }
                answer.finish()
            }
            let client = try await server.connect()
            try await client.send(.request())
            for _ in 0..<3 {
                #expect(try await client.stream.fill())
                next.fire()
            }
            #expect(try await client.receive().text == "abc")
            await server.stop()
        }
    }

    @Test("request ids are unique")
    func uniqueIDs() async throws {
        try await onLoop {
            let server = try TestServer()
            let client = try await server.connect()
            try await client.send((0..<100).map { _ in .request() }.joined())
            var ids: Set<String> = []
            for _ in 0..<100 { ids.insert(try await client.receive().head.fields[.xRequestID]!) }
            #expect(ids.count == 100)
            await server.stop()
        }
    }

    @Test(
        "a request id is taken over from a trusted peer only, and only in our form",
        arguments: [
            (true, "0123456789abcdef0123456789abcdef", true), (false, "0123456789abcdef0123456789abcdef", false),
            (true, "0123456789ABCDEF0123456789ABCDEF", false), (true, "short", false),
            (true, "0123456789abcdef0123456789abcdef0", false),
        ])
    func trustedIDs(isTrusted: Bool, id: String, isTakenOver: Bool) async throws {
        try await onLoop {
            let server = try TestServer { $0.trustsRequestID = isTrusted }
            let client = try await server.connect()
            let answer = try await client.exchange(.request("GET", "/", "X-Request-Id: \(id)"))
            #expect((answer.head.fields[.xRequestID] == id) == isTakenOver)
            await server.stop()
        }
    }

    @Test("the private listener tells health, readiness and metrics", arguments: [nil, "the database is away"])
    func admin(reason: String?) async throws {
        try await onLoop {
            let admin = AdminHandler(unreadiness: { reason })
            let server = try TestServer { request, writer in try await admin.respond(to: request, writer) }
            let client = try await server.connect()
            #expect(try await client.exchange(.request("GET", "/healthz")).text == "ok\n")
            let readiness = try await client.exchange(.request("GET", "/readyz"))
            #expect(readiness.status == (reason == nil ? .ok : .serviceUnavailable))
            #expect(
                try await client.exchange(.request("GET", "/metrics")).text.contains("# TYPE drawbridge_server_"))
            #expect(try await client.exchange(.request("GET", "/other")).status == .notFound)
            #expect(try await client.exchange(.request("POST", "/healthz")).head.fields[.allow] == "GET, HEAD")
            await server.stop()
        }
    }
}
