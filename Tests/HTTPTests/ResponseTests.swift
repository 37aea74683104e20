import Testing

@testable import HTTP

@Suite("Responses")
struct ResponseTests {
    /// One row: what the upstream sends in answer to a method, and what is made of it.
    struct Answer: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let method: HTTP.Method
        let bytes: [UInt8]
        let expected: [String]

        init(_ name: String, to method: HTTP.Method = .get, _ text: String, _ expected: String...) {
            testDescription = name
            self.method = method
            bytes = Array(text.utf8)
            self.expected = expected
        }

        static func refused(
            _ name: String, to method: HTTP.Method = .get, _ text: String, _ reason: MessageError.Reason
        ) -> Answer {
            Answer(name, to: method, text, "502 \(reason)")
        }
    }

    @Test("A valid response gives its heads, content, trailers and end", arguments: accepted)
    func givesEvents(_ answer: Answer) {
        #expect(Transcript.ofResponses([answer.bytes], to: [answer.method]).lines == answer.expected)
    }

    @Test("A malformed response is refused as a bad gateway", arguments: refused)
    func isRefused(_ answer: Answer) {
        #expect(Transcript.ofResponses([answer.bytes], to: [answer.method]).lines.last == answer.expected.last)
    }

    @Test("It makes no difference where the input is cut", arguments: accepted + refused)
    func cutAnywhere(_ answer: Answer) {
        let whole = Transcript.ofResponses([answer.bytes], to: [answer.method])
        for pieces in cuts(of: answer.bytes) {
            #expect(Transcript.ofResponses(pieces, to: [answer.method]) == whole)
        }
    }

    @Test("Responses on one connection come out one after the other")
    func sequence() {
        let bytes = Array(
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx" + "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
                + "HTTP/1.1 204 No Content\r\n\r\n").utf8)
        #expect(
            Transcript.ofResponses([bytes], to: [.get, .head, .delete]).lines == [
                "200 http11 length(1) keep | Content-Length=1", "body x", "end",
                "200 http11 none keep | Content-Length=9", "end", "204 http11 none keep", "end",
            ])
    }

    @Test("Bytes without a request are refused")
    func unsolicited() {
        let bytes = Array("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".utf8)
        #expect(Transcript.ofResponses([bytes], to: [.get]).lines.last == "502 unsolicitedResponse")
    }

    @Test("Only so many interim responses are taken")
    func interimResponses() {
        var limits = MessageLimits()
        limits.interimResponses = 2
        let interim = Array("HTTP/1.1 103 Early Hints\r\n\r\n".utf8)
        let final = Array("HTTP/1.1 204 No Content\r\n\r\n".utf8)
        let two = Transcript.ofResponses([interim, interim, final], to: [.get], limits: limits)
        let three = Transcript.ofResponses([interim, interim, interim, final], to: [.get], limits: limits)
        #expect(two.lines.last == "end")
        #expect(three.error?.reason == .tooManyInterimResponses)
    }

    @Test("The end of the input between responses is no error")
    func endOfInputWhenIdle() throws {
        var parser = ResponseParser()
        #expect(try parser.endOfInput() == nil)
    }

    static let accepted: [Answer] = [
        Answer(
            "length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "200 http11 length(5) keep | Content-Length=5", "body hello", "end"),
        Answer(
            "no phrase", "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
            "404 http11 length(0) keep | Content-Length=0", "end"),
        Answer(
            "no space either", "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
            "404 http11 length(0) keep | Content-Length=0", "end"),
        Answer("until close", "HTTP/1.1 200 OK\r\n\r\nhello", "200 http11 untilClose close", "body hello", "end"),
        Answer("until close, without content", "HTTP/1.0 200 OK\r\n\r\n", "200 http10 untilClose close", "end"),
        Answer(
            "HTTP/1.0 kept alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
            "200 http10 length(1) keep | Connection=keep-alive | Content-Length=1", "body x", "end"),
        Answer(
            "close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
            "200 http11 length(1) close | Connection=close | Content-Length=1", "body x", "end"),
        Answer(
            "chunks and trailers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nSum: 1\r\n\r\n",
            "200 http11 chunked keep | Transfer-Encoding=chunked", "body abc", "trailers | Sum=1", "end"),
        Answer(
            "to HEAD", to: .head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            "200 http11 none keep | Content-Length=5", "end"),
        Answer(
            "chunked to HEAD", to: .head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "200 http11 none keep | Transfer-Encoding=chunked", "end"),
        Answer(
            "not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            "304 http11 none keep | Content-Length=5", "end"),
        Answer(
            "no content with length zero", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            "204 http11 none keep | Content-Length=0", "end"),
        Answer(
            "interim responses",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            "interim 100 http11 none keep", "interim 103 http11 none keep | Link=a", "204 http11 none keep", "end"),
    ]

    static let refused: [Answer] =
        [
            .refused("not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", .malformedStatusLine),
            .refused("HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", .unsupportedVersion),
            .refused("two spaces", "HTTP/1.1  200 OK\r\n\r\n", .malformedStatusLine),
            .refused("two digits", "HTTP/1.1 20 OK\r\n\r\n", .malformedStatusLine),
            .refused("four digits", "HTTP/1.1 2000 OK\r\n\r\n", .malformedStatusLine),
            .refused("status 099", "HTTP/1.1 099 OK\r\n\r\n", .malformedStatusLine),
            .refused("status 600", "HTTP/1.1 600 OK\r\n\r\n", .malformedStatusLine),
            .refused("signed status", "HTTP/1.1 +20 OK\r\n\r\n", .malformedStatusLine),
            .refused("control character in the phrase", "HTTP/1.1 200 O\u{1}K\r\n\r\n", .controlCharacter),
            .refused("empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", .malformedStatusLine),
            .refused(
                "switching protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
                .switchingProtocols),
            .refused("bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", .bareLineFeed),
            .refused("folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", .lineFolding),
            .refused("NUL", "HTTP/1.1 200 OK\r\nA: \u{0}\r\n\r\n", .controlCharacter),
            .refused("bare CR", "HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: c\r\n\r\n", .bareCarriageReturn),
            .refused("space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello", .spaceBeforeColon),
            .refused(
                "two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
                .repeatedContentLength),
            .refused("list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", .invalidContentLength),
            .refused(
                "length and chunks",
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                .contentLengthWithTransferEncoding),
            .refused(
                "chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                .transferEncodingInHTTP10),
            .refused(
                "other coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                .unknownTransferCoding),
            .refused(
                "no content with length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
                .contentForbidden),
            .refused(
                "interim with chunks", "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n",
                .contentForbidden),
            .refused(
                "content after HEAD", to: .head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                .unsolicitedResponse),
            .refused("cut in the head", "HTTP/1.1 200 OK\r\nContent", .truncated),
            .refused("cut before the head", "", .truncated),
            .refused("cut in the content", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", .truncated),
            .refused("cut in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell", .truncated),
            .refused(
                "cut before the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
                .truncated),
            .refused("cut in the trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", .truncated),
            .refused(
                "forbidden trailer",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nSet-Cookie: a\r\n\r\n", .forbiddenTrailer),
        ]
}
