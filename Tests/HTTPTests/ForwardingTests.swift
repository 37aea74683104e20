import Testing

@testable import HTTP

@Suite("Forwarding")
struct ForwardingTests {
    private static func request(_ text: String) throws -> RequestHead {
        var parser = RequestParser()
        guard case .head = try parser.next(Array(text.utf8).span).event else {
            throw MessageError(.truncated)
        }
        return parser.takeHead()
    }

    private static func response(_ text: String, to method: HTTP.Method) throws -> ResponseHead {
        var parser = ResponseParser()
        parser.expect(responseTo: method)
        guard case .head = try parser.next(Array(text.utf8).span).event else {
            throw MessageError(.truncated)
        }
        return parser.takeHead()
    }

    /// What a request with these lines becomes, without the lines that are always the same.
    private static func forwarded(
        _ lines: [String], dropping dropped: FieldNameSet = [], adding added: String = ""
    ) throws -> [String] {
        let head = try request(lines.map { $0 + "\r\n" }.joined() + "\r\n")
        var bytes: [UInt8] = []
        let context = ForwardingContext(clientAddress: "192.0.2.1", scheme: .https)
        Forwarding.appendRequest(
            head, context: context, dropping: dropped, to: &bytes, moreLines: added.utf8.count
        ) { $0.append(added.utf8.span) }
        let constant = [
            "Forwarded: for=192.0.2.1;proto=https;host=a", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https",
            "X-Forwarded-Host: a", "Via: 1.1 drawbridge", "",
        ]
        let text = String(decoding: bytes, as: UTF8.self)
        return text.split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init).filter {
            !constant.contains($0)
        }
    }

    @Test("What the upstream has no use for is dropped, however it is written")
    func dropped() throws {
        let head = try Self.request(
            "GET /a HTTP/1.1\r\nHost: a\r\nAUTHORIZATION: Bearer x\r\nCookie: a=b\r\ncookie: c=d\r\nAccept: y\r\n\r\n")
        var bytes: [UInt8] = []
        let context = ForwardingContext(clientAddress: "192.0.2.1", scheme: .https)
        Forwarding.appendRequest(head, context: context, dropping: [.authorization, .cookie], to: &bytes)
        let text = String(decoding: bytes, as: UTF8.self).lowercased()
        #expect(text.contains("accept: y\r\n"))
        #expect(!text.contains("cookie") && !text.contains("authorization"))
    }

    @Test("A request is written anew, with our fields and nobody else's")
    func whole() throws {
        let head = try Self.request(
            "POST /a?b HTTP/1.1\r\nAccept: x\r\nHost: h.example\r\nVia: 1.0 other\r\nContent-Length: 02\r\n"
                + "X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\nConnection: keep-alive\r\n\r\n")
        var bytes: [UInt8] = []
        let context = ForwardingContext(clientAddress: "192.0.2.7", scheme: .http, pseudonym: "edge")
        Forwarding.appendRequest(head, context: context, to: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self) == """
                POST /a?b HTTP/1.1\r
                Host: h.example\r
                Accept: x\r
                Via: 1.0 other\r
                Forwarded: for=192.0.2.7;proto=http;host=h.example\r
                X-Forwarded-For: 192.0.2.7\r
                X-Forwarded-Proto: http\r
                X-Forwarded-Host: h.example\r
                Via: 1.1 edge\r
                Content-Length: 2\r
                \r

                """)
    }

    /// Lines a client sends after `GET / HTTP/1.1` and `Host: a`, and those of them that are left.
    static let dropping: [(String, [String], [String])] = [
        (
            "hop-by-hop fields",
            [
                "Keep-Alive: timeout=5", "TE: trailers", "Trailer: x", "Upgrade: h2c", "Proxy-Connection: close",
                "Proxy-Authorization: x", "Proxy-Authenticate: x", "X: y",
            ], ["X: y"]
        ),
        (
            "fields Connection names", ["Connection: close, X-One, accept", "X-one: 1", "Accept: 2", "X-Two: 3"],
            ["X-Two: 3"]
        ),
        ("fields a second Connection names", ["X: 1", "Connection: Y", "Connection: ,x", "y: 2", "Z: 3"], ["Z: 3"]),
        (
            "nothing where Connection names Host or ours",
            ["Connection: Host, Forwarded, X-Forwarded-For, Via, Content-Length", "X: y"], ["X: y"]
        ),
        (
            "what clients say about themselves",
            [
                "Forwarded: for=1.2.3.4", "X-Forwarded-For: 1.2.3.4", "x-forwarded-host: b", "X-Forwarded-Port: 1",
                "X-Real-IP: 1.2.3.4", "X: y",
            ], ["X: y"]
        ),
        ("what clients say about us", ["Drawbridge-Identity: root", "drawbridge-anything: x", "X: y"], ["X: y"]),
        ("expectations", ["Expect: 100-continue", "X: y"], ["X: y"]),
        ("odd spacing", ["X:y", "Y:  z \t", "E:"], ["X: y", "Y: z", "E: "]),
    ]

    @Test("Fields that are not for the upstream do not reach it", arguments: dropping)
    func dropped(_ name: String, _ sent: [String], _ left: [String]) throws {
        let lines = try Self.forwarded(["GET / HTTP/1.1", "Host: a"] + sent)
        #expect(lines == ["GET / HTTP/1.1", "Host: a"] + left)
    }

    /// The framing a client sends, and the one the upstream gets.
    static let framing: [([String], [String])] = [
        (["GET / HTTP/1.1", "Host: a"], []),
        (["POST / HTTP/1.1", "Host: a"], ["Content-Length: 0"]),
        (["DELETE / HTTP/1.1", "Host: a"], []),
        (["GET / HTTP/1.1", "Host: a", "Content-Length: 0007"], ["Content-Length: 7"]),
        (["PUT / HTTP/1.1", "Host: a", "Transfer-Encoding: CHUNKED"], ["Transfer-Encoding: chunked"]),
        (
            ["PUT / HTTP/1.1", "Host: a", "Content-Length: 5", "Connection: content-length"], ["Content-Length: 5"]
        ),
        (
            ["PUT / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Connection: transfer-encoding"],
            ["Transfer-Encoding: chunked"]
        ),
    ]

    @Test("Framing is ours", arguments: framing)
    func framingIsOurs(_ sent: [String], _ expected: [String]) throws {
        #expect(try Self.forwarded(sent).dropFirst(2) == expected[...])
    }

    @Test(
        "Targets are written in origin form for the authority they mean",
        arguments: [
            ("GET http://b.example:81/x?y HTTP/1.1", "GET /x?y HTTP/1.1", "Host: b.example:81"),
            ("GET http://b?y HTTP/1.1", "GET /?y HTTP/1.1", "Host: b"),
            ("GET http://b HTTP/1.1", "GET / HTTP/1.1", "Host: b"),
            ("OPTIONS http://b HTTP/1.1", "OPTIONS * HTTP/1.1", "Host: b"),
            ("OPTIONS http://b/ HTTP/1.1", "OPTIONS / HTTP/1.1", "Host: b"),
            ("OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1", "Host: a"),
        ])
    func targets(_ line: String, _ expected: String, _ host: String) throws {
        #expect(try Self.forwarded([line, "Host: a"]).prefix(2) == [expected, host])
    }

    @Test("A field of ours replaces the client's")
    func extra() throws {
        let lines = try Self.forwarded(
            [
                "GET / HTTP/1.1", "Host: a", "x-request-id: theirs", "drawbridge-identity: theirs", "x-custom: theirs",
                "Connection: x-request-id, drawbridge-identity",
            ],
            dropping: [.xRequestID], adding: "X-Request-Id: ours\r\nDrawbridge-Identity: signed\r\n")
        #expect(
            lines.dropFirst(2) == ["x-custom: theirs", "X-Request-Id: ours", "Drawbridge-Identity: signed"])
    }

    @Test(
        "Addresses and hosts are quoted where RFC 7239 wants it",
        arguments: [
            ("2001:db8::1", "a", "for=\"[2001:db8::1]\";proto=https;host=a", "2001:db8::1"),
            ("fe80::1%eth0", "a", "for=\"[fe80::1]\";proto=https;host=a", "fe80::1"),
            ("192.0.2.1", "a:8443", "for=192.0.2.1;proto=https;host=\"a:8443\"", "192.0.2.1"),
            ("192.0.2.1", "[::1]", "for=192.0.2.1;proto=https;host=\"[::1]\"", "192.0.2.1"),
            ("/run/x.sock", "a", "for=unknown;proto=https;host=a", "unknown"),
            ("", "a", "for=unknown;proto=https;host=a", "unknown"),
        ])
    func quoting(_ address: String, _ host: String, _ forwarded: String, _ xForwardedFor: String) throws {
        let head = try Self.request("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        var bytes: [UInt8] = []
        let context = ForwardingContext(clientAddress: address, scheme: .https)
        Forwarding.appendRequest(head, context: context, to: &bytes)
        let again = try Self.request(String(decoding: bytes, as: UTF8.self))
        #expect(again.fields[.forwarded] == forwarded)
        #expect(again.fields["X-Forwarded-For"] == xForwardedFor)
        #expect(again.fields["X-Forwarded-Host"] == host)
    }

    @Test("An HTTP/1.0 request without Host is forwarded for the default host")
    func withoutHost() throws {
        var bytes: [UInt8] = []
        Forwarding.appendRequest(
            try Self.request("GET / HTTP/1.0\r\n\r\n"),
            context: ForwardingContext(clientAddress: "192.0.2.1", scheme: .http), to: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == "GET / HTTP/1.1\r\nHost: localhost\r\nForwarded: for=192.0.2.1;proto=http\r\nX-Forwarded-For: 192.0.2.1\r\n"
                + "X-Forwarded-Proto: http\r\nVia: 1.0 drawbridge\r\n\r\n")
    }

    /// An upstream's answer, to which request it is, and what the client gets.
    struct Answer: Sendable {
        let request: String
        let upstream: String
        let keepAlive: Bool
        let client: String
        let framing: ResponseFraming

        init(
            _ request: String = "GET / HTTP/1.1\r\nHost: a", keepAlive: Bool = true, upstream: String, client: String,
            _ framing: ResponseFraming
        ) {
            self.request = request + "\r\n\r\n"
            self.upstream = upstream + "\r\n\r\n"
            self.keepAlive = keepAlive
            self.client = client + "\r\n\r\n"
            self.framing = framing
        }
    }

    @Test(
        "A response is written anew for the client",
        arguments: [
            Answer(
                upstream: "HTTP/1.1 200 Fine\r\nServer: x\r\nContent-Length: 5\r\nA: b\r\nConnection: c\r\nC: d\r\n"
                    + "Drawbridge-Hotel: 2\r\ndrawbridge-anything: x\r\n"
                    + "Keep-Alive: 5\r\nUpgrade: x",
                client: "HTTP/1.1 200 OK\r\nA: b\r\nVia: 1.1 drawbridge\r\nContent-Length: 5", .length(5)),
            Answer(
                keepAlive: false, upstream: "HTTP/1.1 200 OK\r\nContent-Length: 5",
                client: "HTTP/1.1 200 OK\r\nVia: 1.1 drawbridge\r\nContent-Length: 5\r\nConnection: close", .length(5)),
            Answer(
                upstream: "HTTP/1.0 200 OK",
                client: "HTTP/1.1 200 OK\r\nVia: 1.0 drawbridge\r\nTransfer-Encoding: chunked", .chunked),
            Answer(
                "GET / HTTP/1.0\r\nConnection: keep-alive", upstream: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
                client: "HTTP/1.1 200 OK\r\nVia: 1.1 drawbridge\r\nConnection: close", .untilClose),
            Answer(
                "GET / HTTP/1.0\r\nConnection: keep-alive", upstream: "HTTP/1.1 200 OK\r\nContent-Length: 1",
                client: "HTTP/1.1 200 OK\r\nVia: 1.1 drawbridge\r\nContent-Length: 1\r\nConnection: keep-alive",
                .length(1)),
            Answer(
                "HEAD / HTTP/1.1\r\nHost: a", upstream: "HTTP/1.1 200 OK\r\nContent-Length: 5",
                client: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVia: 1.1 drawbridge", .none),
            Answer(
                "HEAD / HTTP/1.1\r\nHost: a", upstream: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
                client: "HTTP/1.1 200 OK\r\nVia: 1.1 drawbridge", .none),
            Answer(
                upstream: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"a\"",
                client: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"a\"\r\nVia: 1.1 drawbridge", .none),
            Answer(
                upstream: "HTTP/1.1 204 No Content\r\nContent-Length: 0",
                client: "HTTP/1.1 204 No Content\r\nVia: 1.1 drawbridge", .none),
        ])
    func responses(_ answer: Answer) throws {
        let request = try Self.request(answer.request)
        let head = try Self.response(answer.upstream, to: request.method)
        var bytes: [UInt8] = []
        let framing = Forwarding.appendResponse(
            head, answering: request.version, keepAlive: answer.keepAlive,
            context: ForwardingContext(clientAddress: "192.0.2.1", scheme: .https), to: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == answer.client)
        #expect(framing == answer.framing)
    }
}
