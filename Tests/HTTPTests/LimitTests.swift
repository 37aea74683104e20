import Testing

@testable import HTTP

@Suite("Limits are met exactly")
struct LimitTests {
    /// A message that stands at a limit, what passes it by one, and how that is answered.
    struct Boundary: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let limits: MessageLimits
        let message: @Sendable (_ extra: Int) -> String
        let reason: MessageError.Reason

        init<Value>(
            _ name: String, _ reason: MessageError.Reason, _ limit: WritableKeyPath<MessageLimits, Value>,
            _ value: Value, _ message: @escaping @Sendable (_ extra: Int) -> String
        ) {
            testDescription = name
            self.reason = reason
            self.message = message
            var limits = MessageLimits()
            limits[keyPath: limit] = value
            self.limits = limits
        }
    }

    @Test("A message exactly at a limit passes, however it is cut", arguments: boundaries)
    func atLimit(_ boundary: Boundary) {
        let bytes = Array(boundary.message(0).utf8)
        for pieces in [[bytes]] + cuts(of: bytes) {
            #expect(Transcript.ofRequests(pieces, limits: boundary.limits).lines.last == "end")
        }
    }

    @Test("A message one beyond a limit is refused, however it is cut", arguments: boundaries)
    func beyondLimit(_ boundary: Boundary) {
        let bytes = Array(boundary.message(1).utf8)
        for pieces in [[bytes]] + cuts(of: bytes) {
            #expect(
                Transcript.ofRequests(pieces, limits: boundary.limits).error == MessageError(boundary.reason))
        }
    }

    @Test(
        "An endless line is refused without waiting for its end",
        arguments: [
            ("GET /" + String(repeating: "a", count: 9000), MessageError.Reason.startLineTooLong),
            ("GET / HTTP/1.1\r\nX: " + String(repeating: "a", count: 17000), .fieldLineTooLong),
            ("GET / HTTP/1.1\r\n" + String(repeating: "X: a\r\n", count: 101), .tooManyFields),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + String(repeating: "0", count: 300),
                .chunkLineTooLong
            ),
        ])
    func endless(_ text: String, _ reason: MessageError.Reason) {
        #expect(Transcript.ofRequests([Array(text.utf8)]).error?.reason == reason)
    }

    private static func text(_ count: Int, _ unit: String = "a") -> String { String(repeating: unit, count: count) }

    private static func chunked(_ body: String) -> String {
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    }

    static let boundaries: [Boundary] = [
        // "GET /" and " HTTP/1.1" are 14 bytes.
        Boundary("request line", .startLineTooLong, \.startLine, 40) {
            "GET /\(text(26 + $0)) HTTP/1.1\r\nHost: a\r\n\r\n"
        },
        Boundary("field line", .fieldLineTooLong, \.fieldLine, 30) {
            "GET / HTTP/1.1\r\nHost: a\r\nX: \(text(27 + $0))\r\n\r\n"
        },
        // 9 bytes of Host line and its end, 3 of name, 2 of line end, 2 of empty line.
        Boundary("field section", .fieldSectionTooLarge, \.fieldSection, 50) {
            "GET / HTTP/1.1\r\nHost: a\r\nX: \(text(34 + $0))\r\n\r\n"
        },
        Boundary("field count", .tooManyFields, \.fieldCount, 5) {
            "GET / HTTP/1.1\r\nHost: a\r\n" + text(4 + $0, "X: y\r\n") + "\r\n"
        },
        Boundary("connection options", .invalidConnection, \.connectionOptions, 5) {
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x,y\r\nConnection: a" + text(2 + $0, ",b") + "\r\n\r\n"
        },
        Boundary("announced content", .bodyTooLarge, \.body, 10) {
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(10 + $0)\r\n\r\n\(text(10 + $0))"
        },
        Boundary("chunked content", .bodyTooLarge, \.body, 5) {
            chunked(text(5 + $0, "1\r\nx\r\n") + "0\r\n\r\n")
        },
        Boundary("chunk line", .chunkLineTooLong, \.chunkLine, 20) {
            chunked("1;\(text(18 + $0))\r\nx\r\n0\r\n\r\n")
        },
        Boundary("chunk extensions", .chunkExtensionsTooLarge, \.chunkExtensions, 20) {
            chunked(text(4, "1;abc\r\nx\r\n") + "0;ab\(text(1 + $0))\r\n\r\n")
        },
        Boundary("trailer section", .trailerSectionTooLarge, \.trailerSection, 20) {
            chunked("0\r\nX: \(text(13 + $0))\r\n\r\n")
        },
        Boundary("trailer count", .tooManyFields, \.fieldCount, 4) {
            chunked("0\r\n" + text(4 + $0, "X: y\r\n") + "\r\n")
        },
    ]
}
