import Testing

@testable import HTTP

@Suite("Requests that are refused")
struct RefusedRequestTests {
    @Test("A malformed head is refused with the right status and reason", arguments: lines + fields + framing + hosts)
    func refusedHead(_ sample: Sample) {
        #expect(Transcript.ofRequests([sample.bytes]).lines == sample.expected)
    }

    @Test("Malformed chunks and trailers are refused with the right status and reason", arguments: chunks)
    func refusedContent(_ sample: Sample) {
        #expect(Transcript.ofRequests([sample.bytes]).lines.last == sample.expected.last)
    }

    @Test("It makes no difference where the input is cut", arguments: lines + fields + framing + hosts + chunks)
    func cutAnywhere(_ sample: Sample) {
        let whole = Transcript.ofRequests([sample.bytes])
        for pieces in cuts(of: sample.bytes) {
            #expect(Transcript.ofRequests(pieces) == whole)
        }
    }

    @Test("No control character passes anywhere in a head", arguments: (0..<32).filter { $0 != 9 } + [127])
    func controlCharacters(_ control: Int) {
        let bytes = Array("POST /abcdef HTTP/1.1\r\nHost: a\r\nX-Long-Name: some value, long\r\n\r\n".utf8)
        let atLineEnds = bytes.indices.filter { bytes[$0] == 13 || bytes[$0] == 10 }
        for index in bytes.indices where !atLineEnds.contains(index) {
            var changed = bytes
            changed[index] = UInt8(control)
            #expect(Transcript.ofRequests([changed]).error?.status == .badRequest, "at \(index)")
        }
    }

    @Test("No byte beyond ASCII, and no tab, passes in a request line or a field name", arguments: [9, 128, 160, 255])
    func bytesBeyondASCII(_ byte: UInt8) {
        for index in Array(0..<14) + Array(16..<20) {
            var changed = Array("GET /a HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            guard changed[index] != 13, changed[index] != 10 else { continue }
            changed[index] = byte
            #expect(Transcript.ofRequests([changed]).error?.status == .badRequest, "at \(index)")
        }
    }

    @Test("A refused request stays refused")
    func staysRefused() {
        var parser = RequestParser()
        #expect(throws: MessageError.self) { try parser.next(Array("\u{0}".utf8).span) }
        #expect(throws: MessageError(.controlCharacter)) {
            try parser.next(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8).span)
        }
    }

    private static func head(_ lines: String...) -> String {
        lines.map { $0 + "\r\n" }.joined() + "\r\n"
    }

    static let lines: [Sample] = [
        .refused(
            "host longer than a name", head("GET / HTTP/1.1", "Host: " + String(repeating: "a", count: 256)), 400,
            .invalidHost),
        .refused("two empty lines", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, .malformedRequestLine),
        .refused("bare CR first", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, .malformedRequestLine),
        .refused("bare LF first", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, .bareLineFeed),
        .refused("HTTP/0.9", "GET /\r\n\r\n", 400, .malformedRequestLine),
        .refused("only a method", "GET\r\n\r\n", 400, .malformedRequestLine),
        .refused("two spaces after the method", head("GET  / HTTP/1.1", "Host: a"), 400, .invalidVersion),
        .refused("two spaces after the target", head("GET /  HTTP/1.1", "Host: a"), 400, .invalidVersion),
        .refused("space after the version", head("GET / HTTP/1.1 ", "Host: a"), 400, .invalidVersion),
        .refused("space before the method", head(" GET / HTTP/1.1", "Host: a"), 400, .invalidMethod),
        .refused("tab for space", head("GET\t/ HTTP/1.1", "Host: a"), 400, .malformedRequestLine),
        .refused("method with a colon", head("GE:T / HTTP/1.1", "Host: a"), 400, .invalidMethod),
        .refused("lower-case method", head("get / HTTP/1.1", "Host: a"), 501, .unknownMethod),
        .refused("unknown method", head("BREW / HTTP/1.1", "Host: a"), 501, .unknownMethod),
        .refused("long unknown method", head("PROPPATCHES / HTTP/1.1", "Host: a"), 501, .unknownMethod),
        .refused("TRACE", head("TRACE / HTTP/1.1", "Host: a"), 501, .unknownMethod),
        .refused("CONNECT", head("CONNECT a:443 HTTP/1.1", "Host: a:443"), 501, .unknownMethod),
        .refused("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, .unsupportedVersion),
        .refused("HTTP/0.9 by name", head("GET / HTTP/0.9"), 505, .unsupportedVersion),
        .refused("HTTP/3", head("GET / HTTP/3.0"), 505, .unsupportedVersion),
        .refused("lower-case version", head("GET / http/1.1", "Host: a"), 400, .invalidVersion),
        .refused("two-digit version", head("GET / HTTP/1.10", "Host: a"), 400, .invalidVersion),
        .refused("version without number", head("GET / HTTP/1", "Host: a"), 400, .invalidVersion),
        .refused("RTSP", head("GET / RTSP/1.0", "Host: a"), 400, .invalidVersion),
        .refused("TLS hello", "\u{16}\u{3}\u{1}\u{2}", 400, .controlCharacter),
        .refused("relative target", head("GET a HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("empty target", head("GET  HTTP/1.1", "Host: a"), 400, .malformedRequestLine),
        .refused("authority form", head("GET a:80 HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("asterisk with GET", head("GET * HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("asterisk and more", head("OPTIONS *a HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("fragment", head("GET /a#b HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("fragment after query", head("GET /a?b#c HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("backslash", head("GET /a\\b HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("quote", head("GET /a\"b HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("angle bracket", head("GET /<b> HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("circumflex", head("GET /^ HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("backquote", head("GET /` HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("braces in a query", head("GET /?{b} HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("bar in a query", head("GET /?a|b HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("square bracket", head("GET /?a[] HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("raw letter beyond ASCII", head("GET /ä HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("percent alone", head("GET /% HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("percent and one digit", head("GET /%2 HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("percent in a query", head("GET /?%zz HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("user in absolute form", head("GET http://u@a/ HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("absolute form without host", head("GET http:///x HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("other scheme", head("GET ftp://a/x HTTP/1.1", "Host: a"), 400, .invalidTarget),
        .refused("bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, .bareLineFeed),
        .refused("bare CR in the request line", "GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n", 400, .bareCarriageReturn),
        .refused("NUL in the target", "GET /\u{0} HTTP/1.1\r\nHost: a\r\n\r\n", 400, .controlCharacter),
    ]

    static let fields: [Sample] = [
        .refused("bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, .bareLineFeed),
        .refused("bare LF for the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400, .bareLineFeed),
        .refused("bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n", 400, .bareCarriageReturn),
        .refused("CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, .bareCarriageReturn),
        .refused("NUL in a value", head("GET / HTTP/1.1", "Host: a", "X: a\u{0}b"), 400, .controlCharacter),
        .refused("vertical tab in a value", head("GET / HTTP/1.1", "Host: a", "X: a\u{b}"), 400, .controlCharacter),
        .refused("folded line", head("GET / HTTP/1.1", "Host: a", "X: a", " b"), 400, .lineFolding),
        .refused("folded by tab", head("GET / HTTP/1.1", "Host: a", "X: a", "\tb: c"), 400, .lineFolding),
        .refused("white space after the request line", head("GET / HTTP/1.1", " Host: a"), 400, .lineFolding),
        .refused("space before the colon", head("GET / HTTP/1.1", "Host : a"), 400, .spaceBeforeColon),
        .refused("tab before the colon", head("GET / HTTP/1.1", "Host\t: a"), 400, .spaceBeforeColon),
        .refused("space in a name", head("GET / HTTP/1.1", "Host: a", "X Y: a"), 400, .invalidFieldName),
        .refused("bracket in a name", head("GET / HTTP/1.1", "Host: a", "X[]: a"), 400, .invalidFieldName),
        .refused("letter beyond ASCII in a name", head("GET / HTTP/1.1", "Hö: a"), 400, .invalidFieldName),
        .refused("empty name", head("GET / HTTP/1.1", "Host: a", ": a"), 400, .invalidFieldName),
        .refused("no colon", head("GET / HTTP/1.1", "Host: a", "Xa"), 400, .invalidFieldName),
        .refused(
            "Connection option that is no token", head("GET / HTTP/1.1", "Host: a", "Connection: a b"), 400,
            .invalidConnection),
        .refused(
            "Connection option in quotes", head("GET / HTTP/1.1", "Host: a", "Connection: \"close\""), 400,
            .invalidConnection),
        .refused(
            "other expectation", head("GET / HTTP/1.1", "Host: a", "Expect: 200-ok"), 417, .unsupportedExpectation),
        .refused(
            "expectation with more", head("GET / HTTP/1.1", "Host: a", "Expect: 100-continue, x"), 417,
            .unsupportedExpectation),
    ]

    static let hosts: [Sample] =
        [
            .refused("no Host", head("GET / HTTP/1.1"), 400, .missingHost),
            .refused("no Host with absolute form", head("GET http://a/ HTTP/1.1"), 400, .missingHost),
            .refused("two Hosts", head("GET / HTTP/1.1", "Host: a", "Host: a"), 400, .repeatedHost),
            .refused("two Hosts in HTTP/1.0", head("GET / HTTP/1.0", "Host: a", "host: b"), 400, .repeatedHost),
            .refused("bad Host with absolute form", head("GET http://a/ HTTP/1.1", "Host: a b"), 400, .invalidHost),
        ]
        + [
            "", "a b", "a,b", "a/b", "a?b", "a#b", "u@a", "u:p@a", "http://a", "a:x", "a:80:81", "a:65536", "a:-1",
            "a:080808", ":80", "ä", "a%41", "a\"", "[::1", "::1", "[::1]x", "[]", "[1]", "[1:2:3:4:5:6:7:8:9]",
            "[1:2:3:4:5:6:7]", "[::1::]", "[:1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:]", "[12345::]", "[g::]", "[fe80::1%25e]",
            "[::1.2.3]", "[::1.2.3.256]", "[::01.2.3.4]", "[1:2:3:4:5:6:7:1.2.3.4]", "[v1.a]",
        ].map { .refused("Host: \($0)", head("GET / HTTP/1.1", "Host: \($0)"), 400, .invalidHost) }

    private static func post(_ name: String, _ lines: String..., reason: MessageError.Reason) -> Sample {
        let head = (["POST / HTTP/1.1", "Host: a"] + lines).map { $0 + "\r\n" }.joined()
        return .refused(name, head + "\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n", Int(reason.status.rawValue), reason)
    }

    /// The shapes of request smuggling among them.
    static let framing: [Sample] =
        [
            post(
                "CL.TE", "Content-Length: 5", "Transfer-Encoding: chunked",
                reason: .contentLengthWithTransferEncoding),
            post(
                "TE.CL", "Transfer-Encoding: chunked", "Content-Length: 5",
                reason: .contentLengthWithTransferEncoding),
            post("different lengths", "Content-Length: 5", "Content-Length: 6", reason: .repeatedContentLength),
            post("equal lengths", "Content-Length: 5", "content-length: 5", reason: .repeatedContentLength),
            post("CL.0", "Content-Length: 0", "Content-Length: 5", reason: .repeatedContentLength),
            post("chunked twice", "Transfer-Encoding: chunked, chunked", reason: .invalidTransferEncoding),
            post(
                "chunked on two lines", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked",
                reason: .invalidTransferEncoding),
            post("chunked not last", "Transfer-Encoding: chunked, identity", reason: .invalidTransferEncoding),
            post(
                "chunked not on the last line", "Transfer-Encoding: chunked", "Transfer-Encoding: x",
                reason: .invalidTransferEncoding),
            post("chunked last but not alone", "Transfer-Encoding: gzip, chunked", reason: .unknownTransferCoding),
            post("identity", "Transfer-Encoding: identity", reason: .unknownTransferCoding),
            post("xchunked", "Transfer-Encoding: xchunked", reason: .unknownTransferCoding),
            post("chunkedx", "Transfer-Encoding: chunkedx", reason: .unknownTransferCoding),
            post("chunked in quotes", "Transfer-Encoding: \"chunked\"", reason: .invalidTransferEncoding),
            post("chunked with parameter", "Transfer-Encoding: chunked;a=b", reason: .invalidTransferEncoding),
            post("chunked with a space", "Transfer-Encoding: chun ked", reason: .invalidTransferEncoding),
            post("no coding", "Transfer-Encoding:", reason: .invalidTransferEncoding),
            post("only a comma", "Transfer-Encoding: ,", reason: .invalidTransferEncoding),
            post("vertical tab", "Transfer-Encoding: \u{b}chunked", reason: .controlCharacter),
            post("form feed", "Transfer-Encoding: chunked\u{c}", reason: .controlCharacter),
            post("NUL after chunked", "Transfer-Encoding: chunked\u{0}", reason: .controlCharacter),
            post("no-break space", "Transfer-Encoding: \u{a0}chunked", reason: .invalidTransferEncoding),
            post("space before the colon", "Transfer-Encoding : chunked", reason: .spaceBeforeColon),
            post("tab before the colon", "Transfer-Encoding\t: chunked", reason: .spaceBeforeColon),
            post("vertical tab before the colon", "Transfer-Encoding\u{b}: chunked", reason: .controlCharacter),
            post("folded coding", "Transfer-Encoding:", " chunked", reason: .lineFolding),
            post("folded after another field", "X: a", "\tTransfer-Encoding: chunked", reason: .lineFolding),
            post("hidden behind a bare CR", "X: a\rTransfer-Encoding: chunked", reason: .bareCarriageReturn),
            post("hidden behind a bare LF", "X: a\nTransfer-Encoding: chunked", reason: .bareLineFeed),
            .refused(
                "chunked in HTTP/1.0", head("POST / HTTP/1.0", "Transfer-Encoding: chunked"), 400,
                .transferEncodingInHTTP10),
        ]
        + [
            "", "5, 5", "5,6", "+5", "-5", "5 5", "0x5", "5a", "5.0", "１", "18446744073709551616", "1e3",
            "000000000000000000005",
        ].map { post("Content-Length: \($0)", "Content-Length: \($0)", reason: .invalidContentLength) }

    private static func chunked(_ name: String, _ body: String, _ reason: MessageError.Reason) -> Sample {
        Sample(
            name, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body,
            "\(reason.status.rawValue) \(reason)")
    }

    static let chunks: [Sample] =
        [
            chunked("no size", "\r\nhello", .invalidChunkSize),
            chunked("size with 0x", "0x5\r\nhello\r\n0\r\n\r\n", .invalidChunkSize),
            chunked("negative size", "-1\r\nhello\r\n0\r\n\r\n", .invalidChunkSize),
            chunked("positive size", "+5\r\nhello\r\n0\r\n\r\n", .invalidChunkSize),
            chunked("size with a letter", "5g\r\nhello\r\n0\r\n\r\n", .invalidChunkSize),
            chunked("space before the size", " 5\r\nhello\r\n0\r\n\r\n", .invalidChunkSize),
            chunked("space after the size", "5 \r\nhello\r\n0\r\n\r\n", .invalidChunkSize),
            chunked("size of 68 bits", "10000000000000000\r\n", .invalidChunkSize),
            chunked("sizes beyond 64 bits", "1\r\nx\r\nffffffffffffffff\r\n", .bodyTooLarge),
            chunked("extension without semicolon", "5 a\r\nhello\r\n0\r\n\r\n", .invalidChunkSize),
            chunked("size line ending in LF", "5\nhello\r\n0\r\n\r\n", .bareLineFeed),
            chunked("extension ending in LF", "5;a\nhello\r\n0\r\n\r\n", .bareLineFeed),
            chunked("CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", .bareCarriageReturn),
            chunked("NUL in an extension", "5;\u{0}\r\nhello\r\n0\r\n\r\n", .controlCharacter),
            chunked("content longer than its size", "5\r\nhello!\r\n0\r\n\r\n", .missingChunkEnd),
            chunked("LF after content", "5\r\nhello\n0\r\n\r\n", .missingChunkEnd),
            chunked("CR and more after content", "5\r\nhello\r0\r\n\r\n", .missingChunkEnd),
            chunked("last chunk with content", "0\r\nhello\r\n\r\n", .invalidFieldName),
            chunked("LF after the last chunk", "0\r\n\n", .bareLineFeed),
            chunked("folded trailer", "0\r\nA: b\r\n c\r\n\r\n", .lineFolding),
            chunked("space before the colon of a trailer", "0\r\nA : b\r\n\r\n", .spaceBeforeColon),
        ]
        + [
            "Content-Length: 5", "Transfer-Encoding: chunked", "Host: b", "Authorization: x", "Connection: close",
            "Content-Type: a/b", "Content-Encoding: gzip", "Trailer: a", "TE: a", "Expect: 100-continue", "Cookie: a",
            "X-Forwarded-For: a", "Forwarded: for=a", "Drawbridge-Identity: a", "Drawbridge-Other: a", "Via: a",
            "Set-Cookie: a", "If-Match: a", "Idempotency-Key: a", "Upgrade: a", "Proxy-Authorization: a",
        ].map { chunked("trailer \($0)", "0\r\n\($0)\r\n\r\n", .forbiddenTrailer) }
}
