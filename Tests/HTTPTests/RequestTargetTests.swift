import Testing

@testable import HTTP

@Suite("Targets of requests")
struct RequestTargetTests {
    @Test(
        "Without its query a target is what stands before it, wherever it is written",
        arguments: [
            ("GET /a/b?secret=x HTTP/1.1\r\nHost: h\r\n\r\n", "/a/b", "/a/b"),
            ("GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "/a", "/a"),
            ("GET http://h/a?secret=x HTTP/1.1\r\nHost: h\r\n\r\n", "http://h/a", "/a"),
            ("GET http://h?secret=x HTTP/1.1\r\nHost: h\r\n\r\n", "http://h", "/"),
        ])
    func withoutQuery(text: String, bytes: String, origin: String) throws {
        var parser = RequestParser()
        let input = Array(text.utf8)
        let event = try parser.next(input.span).event
        guard case .head? = event else { return #expect(Bool(false), "no head") }
        let target = parser.takeHead().target.withoutQuery
        #expect(target.query == nil && target.authority == "h")
        #expect(String(decoding: target.bytes, as: UTF8.self) == bytes)
        #expect(String(decoding: target.origin, as: UTF8.self) == origin)
    }
}
