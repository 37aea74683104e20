import Testing

@testable import HTTP

@Suite("Messages as bytes")
struct SerializationTests {
    @Test(
        "An accepted request means the same after it is written and read again", arguments: AcceptedRequestTests.samples
    )
    func roundTrip(_ sample: Sample) throws {
        var parser = RequestParser()
        let first = try parser.next(sample.bytes.span)
        let second = first.event == nil ? try parser.next(sample.bytes.span.extracting(droppingFirst: 2)) : first
        guard case .head = second.event else { return }
        let head = parser.takeHead()
        var bytes: [UInt8] = []
        head.append(to: &bytes)
        var again = RequestParser()
        let step = try again.next(bytes.span)
        guard case .head = step.event else {
            Issue.record("not a head: \(String(decoding: bytes, as: UTF8.self))")
            return
        }
        let reread = again.takeHead()
        #expect(step.consumed == bytes.count)
        #expect(reread.method == head.method)
        #expect(reread.target.path == head.target.path)
        #expect(reread.target.query == head.target.query)
        #expect(reread.target.authority == head.target.authority)
        #expect(reread.framing == head.framing)
        #expect(reread.keepAlive == head.keepAlive)
        #expect(reread.expectsContinue == head.expectsContinue)
    }

    @Test("A request of our own is written with Host first and framing last")
    func request() throws {
        let target = try #require(RequestTarget("/a?b=c", authority: "pms.example:81"))
        var fields = Fields()
        fields.append(.accept, "*/*")
        fields.append(.contentLength, "99")
        var bytes: [UInt8] = []
        RequestHead(method: .post, target: target, fields: fields, framing: .length(3), keepAlive: false)
            .append(to: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == "POST /a?b=c HTTP/1.1\r\nHost: pms.example:81\r\nAccept: */*\r\nContent-Length: 3\r\n"
                + "Connection: close\r\n\r\n")
    }

    @Test(
        "A target that is not valid cannot be made",
        arguments: [
            ("a", "b"), ("", "b"), ("/a b", "b"), ("/a\r\n", "b"), ("/a", ""), ("/a", "b c"), ("/a", "u@b"),
            ("http://a/", "b"),
        ])
    func invalidTarget(_ origin: String, _ authority: String) {
        #expect(RequestTarget(origin, authority: authority) == nil)
    }

    /// A response and the client it goes to.
    struct Written: Sendable {
        let head: ResponseHead
        let peer: Version
        let expected: String

        init(
            _ status: Status, _ framing: ResponseFraming, keepAlive: Bool = true, to peer: Version = .http11,
            fields: KeyValuePairs<FieldName, String> = [:], _ expected: String
        ) {
            var list = Fields()
            for (name, value) in fields { list.append(name, value) }
            head = ResponseHead(status: status, fields: list, framing: framing, keepAlive: keepAlive)
            self.peer = peer
            self.expected = expected
        }
    }

    @Test(
        "A response announces what is sent",
        arguments: [
            Written(.ok, .length(12), "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"),
            Written(.created, .chunked, "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Written(.ok, .untilClose, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
            Written(
                .ok, .length(0), keepAlive: false, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            Written(
                .ok, .length(0), to: .http10, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"),
            Written(
                .ok, .length(1), fields: [.contentLength: "7", .date: "x"],
                "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 1\r\n\r\n"),
            Written(.ok, .none, fields: [.contentLength: "7"], "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
            Written(.noContent, .none, fields: [.contentLength: "0"], "HTTP/1.1 204 No Content\r\n\r\n"),
            Written(.noContent, .length(0), "HTTP/1.1 204 No Content\r\n\r\n"),
            Written(.continue, .none, keepAlive: false, "HTTP/1.1 100 Continue\r\n\r\n"),
            Written(Status(rawValue: 299), .length(0), "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n"),
        ])
    func response(_ written: Written) {
        var bytes: [UInt8] = []
        written.head.append(to: &bytes, answering: written.peer)
        #expect(String(decoding: bytes, as: UTF8.self) == written.expected)
    }

    @Test("Content is written in chunks, never an empty one before the last")
    func chunks() {
        var bytes: [UInt8] = []
        var trailers = Fields()
        trailers.append("Sum", "1")
        trailers.append(.contentLength, "5")
        Chunk.append([UInt8](repeating: UInt8(ascii: "x"), count: 26).span, to: &bytes)
        Chunk.append([UInt8]().span, to: &bytes)
        Chunk.appendLast(trailers: trailers, to: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == "1a\r\n" + String(repeating: "x", count: 26) + "\r\n0\r\nSum: 1\r\n\r\n")
    }

    @Test(
        "Numbers are written in full",
        arguments: [
            (0, "0", "0"), (9, "9", "9"), (10, "10", "a"), (255, "255", "ff"), (4096, "4096", "1000"),
            (UInt64.max, "18446744073709551615", "ffffffffffffffff"),
        ])
    func numbers(_ value: UInt64, _ decimal: String, _ hexadecimal: String) {
        var bytes: [UInt8] = []
        bytes.append(addingCapacity: 20) { $0.append(decimal: value) }
        bytes.append(.space)
        bytes.append(hexadecimal: value)
        #expect(String(decoding: bytes, as: UTF8.self) == "\(decimal) \(hexadecimal)")
    }

    @Test(
        "Dates are written as IMF-fixdate",
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            // The example of RFC 9110 §5.6.7.
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (1_709_251_200, "Fri, 01 Mar 2024 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (Int64.max, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (-1, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ])
    func dates(_ seconds: Int64, _ text: String) {
        #expect(HTTPDate.text(unixSeconds: seconds) == text)
    }
}
