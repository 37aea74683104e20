import HTTP
import Testing

@Suite("Requests that are accepted")
struct AcceptedRequestTests {
    @Test("A valid request gives its head, content, trailers and end", arguments: samples)
    func accepted(_ sample: Sample) {
        #expect(Transcript.ofRequests([sample.bytes]).lines == sample.expected)
    }

    @Test("It makes no difference where the input is cut", arguments: samples)
    func cutAnywhere(_ sample: Sample) {
        for pieces in cuts(of: sample.bytes) {
            #expect(Transcript.ofRequests(pieces).lines == sample.expected)
        }
    }

    @Test("Pipelined requests come out one after the other")
    func pipelined() {
        let together = Self.samples.filter { $0.expected.last == "end" }
        let transcript = Transcript.ofRequests([together.flatMap(\.bytes)])
        #expect(transcript.lines == together.flatMap(\.expected))
    }

    @Test("The parser knows when no request is open")
    func betweenRequests() throws {
        var parser = RequestParser()
        let bytes = Array("GET / HTTP/1.0\r\n\r\n".utf8)
        #expect(parser.isBetweenRequests)
        #expect(try parser.next(bytes.span.extracting(0..<5)).event == nil)
        #expect(!parser.isBetweenRequests)
        #expect(try parser.next(bytes.span).consumed == bytes.count)
        #expect(!parser.isBetweenRequests)
        _ = try parser.next([UInt8]().span)
        #expect(parser.isBetweenRequests)
    }

    @Test("Content is given as a range of the input, without a copy")
    func bodyRange() throws {
        var parser = RequestParser()
        let bytes = Array(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".utf8)
        let head = try parser.next(bytes.span)
        let step = try parser.next(bytes.span.extracting(head.consumed..<bytes.count))
        guard case .body(let range) = step.event else {
            Issue.record("no content")
            return
        }
        #expect(range == 3..<8)
        #expect(step.consumed == 8)
    }

    static let samples: [Sample] = [
        Sample(
            "smallest", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET origin / - @a http11 none keep | Host=a", "end"),
        Sample(
            "query", "GET /a/b%20c;d=1?x=%C3%A4&y=/? HTTP/1.1\r\nHost: example.com:8080\r\n\r\n",
            "GET origin /a/b%20c;d=1 ?x=%C3%A4&y=/? @example.com:8080 http11 none keep | Host=example.com:8080", "end"),
        Sample(
            "empty query", "GET /a? HTTP/1.1\r\nHost: a\r\n\r\n", "GET origin /a ? @a http11 none keep | Host=a", "end"),
        Sample(
            "double slash", "GET //evil.example/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET origin //evil.example/a - @a http11 none keep | Host=a", "end"),
        Sample(
            "absolute form wins over Host",
            "GET http://b.example:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET absolute /x ?y @b.example:81 http11 none keep | Host=a", "end"),
        Sample(
            "absolute form without path", "GET HTTPS://b HTTP/1.1\r\nHost: b\r\n\r\n",
            "GET absolute / - @b http11 none keep | Host=b", "end"),
        Sample(
            "absolute form with query and no path", "GET http://b?q HTTP/1.1\r\nHost: b\r\n\r\n",
            "GET absolute / ?q @b http11 none keep | Host=b", "end"),
        Sample(
            "asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS asterisk * - @a http11 none keep | Host=a",
            "end"),
        Sample(
            "IPv6 host", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n",
            "GET origin / - @[2001:db8::1]:443 http11 none keep | Host=[2001:db8::1]:443", "end"),
        Sample(
            "empty port", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "GET origin / - @a: http11 none keep | Host=a:", "end"),
        Sample(
            "one empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET origin / - @a http11 none keep | Host=a", "end"),
        Sample(
            "white space around values", "GET / HTTP/1.1\r\nHost:\t a \t\r\nX:\r\nY: \r\nZ:a\tb\r\n\r\n",
            "GET origin / - @a http11 none keep | Host=a | X= | Y= | Z=a\tb", "end"),
        Sample(
            "bytes beyond ASCII in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: ä€\r\n\r\n",
            "GET origin / - @a http11 none keep | Host=a | X=ä€", "end"),
        Sample(
            "duplicates in order", "GET / HTTP/1.1\r\nA: 1\r\nhOsT: a\r\nB: 2\r\na: 3\r\n\r\n",
            "GET origin / - @a http11 none keep | A=1 | hOsT=a | B=2 | a=3", "end"),
        Sample(
            "HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "GET origin / - @ http10 none close", "end"),
        Sample(
            "HTTP/1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            "GET origin / - @ http10 none keep | Connection=Keep-Alive", "end"),
        Sample(
            "HTTP/1.9 is HTTP/1.1", "GET / HTTP/1.9\r\nHost: a\r\n\r\n",
            "GET origin / - @a http11 none keep | Host=a", "end"),
        Sample(
            "close among options", "GET / HTTP/1.1\r\nHost: a\r\nConnection: , x ,\tCLOSE ,\r\n\r\n",
            "GET origin / - @a http11 none close | Host=a | Connection=, x ,\tCLOSE ,", "end"),
        Sample(
            "upgrade is ignored",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET origin / - @a http11 none keep | Host=a | Connection=upgrade | Upgrade=websocket", "end"),
        Sample(
            "content", "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello\r\nyou!",
            "POST origin /b - @a http11 length(11) keep | Host=a | Content-Length=11", "body hello\r\nyou!", "end"),
        Sample(
            "content of nothing", "PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 000\r\n\r\n",
            "PUT origin /b - @a http11 length(0) keep | Host=a | Content-Length=000", "end"),
        Sample(
            "content with GET", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
            "GET origin / - @a http11 length(1) keep | Host=a | Content-Length=1", "body x", "end"),
        Sample(
            "expectation", "PATCH / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\nok",
            "PATCH origin / - @a http11 length(2) keep continue | Host=a | Expect=100-Continue | Content-Length=2",
            "body ok", "end"),
        Sample(
            "expectation without content", "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
            "GET origin / - @a http11 none keep | Host=a | Expect=100-continue", "end"),
        Sample(
            "expectation in HTTP/1.0", "PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
            "PUT origin / - @ http10 length(1) close | Expect=100-continue | Content-Length=1", "body x", "end"),
        Sample(
            "chunks",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
                + "4\r\nWiki\r\n00A\r\npedia in\r\n\r\n0\r\n\r\n",
            "POST origin / - @a http11 chunked keep | Host=a | Transfer-Encoding=Chunked", "body Wikipedia in\r\n",
            "end"),
        Sample(
            "chunk extensions",
            "DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\t\r\n\r\n"
                + "1;a\r\nx\r\n2 ; b=\"\\\"c\";d\r\nyz\r\n000;e\r\n\r\n",
            "DELETE origin / - @a http11 chunked keep | Host=a | Transfer-Encoding=chunked", "body xyz", "end"),
        Sample(
            "trailers",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "1\r\nx\r\n0\r\nChecksum: 1\r\nX-Other:2 \r\n\r\n",
            "POST origin / - @a http11 chunked keep | Host=a | Transfer-Encoding=chunked", "body x",
            "trailers | Checksum=1 | X-Other=2", "end"),
        Sample(
            "head not complete", "GET / HTTP/1.1\r\nHost: a\r\n"),
        Sample(
            "content not complete", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello",
            "POST origin / - @a http11 length(9) keep | Host=a | Content-Length=9", "body hello"),
    ]
}
