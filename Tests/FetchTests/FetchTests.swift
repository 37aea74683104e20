import Glibc
import Loop
import TestSupport
import Testing

@testable import Fetch

@Suite("Documents of third parties")
struct FetchTests {
    /// What a fetch from a server with these answers comes to.
    @OnLoop
    private static func fetch(
        _ path: String, _ answers: [String: String], host: String = "localhost", trusts: Bool = true,
        change: (inout Fetch) -> Void = { _ in }
    ) async throws -> Result<Fetch.Document, FetchError> {
        let server = try await DocumentServer(answers)
        var fetch = Fetch()
        if trusts { fetch.authoritiesFile = server.certificate }
        change(&fetch)
        let result: Result<Fetch.Document, FetchError>
        do {
            result = .success(try await fetch.get("https://\(host):\(server.port)\(path)"))
        } catch let error as FetchError {
            result = .failure(error)
        }
        await server.stop()
        return result
    }

    private static func expect(
        _ code: FetchError.Code, _ result: Result<Fetch.Document, FetchError>,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        if case .failure(let error) = result, error.code == code { return }
        Issue.record("\(result)", sourceLocation: sourceLocation)
    }

    @Test("A document comes with its content and with how long it is fresh")
    func document() async throws {
        try await onLoop {
            let plain = try await Self.fetch("/keys", ["/keys": answer("hello")])
            #expect(plain == .success(Fetch.Document(content: Array("hello".utf8), maximumAge: nil)))
            let cached = try await Self.fetch(
                "/keys", ["/keys": answer("hello", "Cache-Control: public, Max-Age=600, immutable")])
            #expect(try cached.get().maximumAge == 600)
        }
    }

    @Test("A server whose certificate nobody vouches for, or that is for another name, is not believed")
    func untrusted() async throws {
        try await onLoop {
            let answers = ["/": answer("x")]
            Self.expect(.untrusted, try await Self.fetch("/", answers, trusts: false))
            Self.expect(.untrusted, try await Self.fetch("/", answers, host: "127.0.0.1"))
        }
    }

    @Test("More content than allowed is not taken, announced or not")
    func tooLarge() async throws {
        try await onLoop {
            let content = String(repeating: "x", count: 1001)
            let unannounced = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\(content)"
            for whole in [answer(content), unannounced] {
                let result = try await Self.fetch("/", ["/": whole]) { $0.maximumByteCount = 1000 }
                Self.expect(.tooMuch, result)
            }
            let exact = try await Self.fetch("/", ["/": answer(content)]) { $0.maximumByteCount = 1001 }
            #expect(try exact.get().content.count == 1001)
        }
    }

    @Test("A server that does not answer is given up in time")
    func timeout() async throws {
        try await onLoop {
            let began = Loop.monotonicNanoseconds
            let result = try await Self.fetch("/silence", [:]) { $0.timeout = .milliseconds(300) }
            Self.expect(.timedOut, result)
            #expect(Loop.monotonicNanoseconds - began < 20_000_000_000)
        }
    }

    @Test("Any status but 200 is none", arguments: ["404 Not Found", "500 Oops", "204 No Content", "304 Not Modified"])
    func status(line: String) async throws {
        try await onLoop {
            Self.expect(.status, try await Self.fetch("/", ["/": answer("", status: line)]))
        }
    }

    @Test("A redirect is not followed")
    func redirect() async throws {
        try await onLoop {
            let answers = ["/": answer("", status: "302 Found", "Location: /there"), "/there": answer("there")]
            Self.expect(.status, try await Self.fetch("/", answers))
        }
    }

    @Test("Plain HTTP is for this machine alone, and leads nowhere else")
    func plain() async throws {
        try await onLoop {
            let server = try await DocumentServer(
                secure: false,
                ["/": answer("here"), "/away": answer("", status: "302 Found", "Location: https://localhost:1/")])
            let fetch = Fetch()
            #expect(try await fetch.get("http://127.0.0.1:\(server.port)/").content == Array("here".utf8))
            await #expect(throws: FetchError(.status, "status 302")) {
                _ = try await fetch.get("http://localhost:\(server.port)/away")
            }
            await server.stop()
        }
    }

    @Test(
        "Other addresses are not fetched",
        arguments: [
            "http://example.com/", "http://127.0.0.1.example.com/", "http://10.0.0.1/", "ftp://localhost/",
            "file:///etc/passwd", "https://user:secret@localhost/", "http://user@127.0.0.1/", "", "localhost", "/keys",
            "https://", "gopher://localhost/", "https://localhost/\u{0}",
        ])
    func forbidden(address: String) { #expect(!Fetch.allows(address), "\(address)") }

    @Test("A server that is not there is unreachable")
    func unreachable() async throws {
        try await onLoop {
            let socket = try ListeningSocket(address: "127.0.0.1", port: 0)
            let port = socket.port
            try Listener(socket).close()
            do {
                _ = try await Fetch().get("https://localhost:\(port)/")
                Issue.record("fetched")
            } catch let error as FetchError { #expect(error.code == .unreachable) }
        }
    }
}
