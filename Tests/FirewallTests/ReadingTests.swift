import HTTP
import Testing

@testable import Firewall

/// Content that cannot be read, or only at a great cost.
@Suite struct ReadingTests {
    private static func typed(_ type: String?, _ content: String = "<a/>") -> TestRequest {
        TestRequest(method: .post, target: "/api/x", content: Array(content.utf8), contentType: type)
    }

    @Test(
        "Content of a type that is not read is refused with 415", arguments: EngineKind.allCases,
        [
            typed("application/xml"), typed("text/xml; charset=utf-8"), typed("application/soap+xml"),
            typed("APPLICATION/XML"), typed("image/svg+xml"), typed("text/plain"),
            typed("multipart/form-data; boundary=x"),
            typed("application/jsonx"), typed("application/octet-stream"), typed(nil),
            TestRequest(
                method: .post, target: "/", fields: [("Content-Type", "application/xml")], content: Array("{}".utf8),
                contentType: "application/json"),
        ])
    func mediaType(kind: EngineKind, request: TestRequest) throws {
        #expect(try kind.inspect(request.request).refusal == .unsupportedMediaType)
    }

    private static func invalidUTF8() -> TestRequest {
        var request = TestRequest.json(#"{"name":"??"}"#).called("JSON that is no UTF-8")
        request.content = request.content.map { $0 == UInt8(ascii: "?") ? 0xC3 : $0 }
        return request
    }

    private static func rawNUL() -> TestRequest {
        var request = TestRequest.json(#"{"name":"?"}"#).called("JSON with a NUL")
        request.content = request.content.map { $0 == UInt8(ascii: "?") ? 0 : $0 }
        return request
    }

    private static func arguments(_ count: Int) -> String { (0..<count).map { "a\($0)=1" }.joined(separator: "&") }

    @Test(
        "What cannot be read whole is refused", arguments: EngineKind.allCases,
        [
            .json("{").called("unfinished JSON"), .json("{'a':1}").called("no JSON"),
            .json(#"{"a":1}{"b":2}"#).called("two"),
            .json(#"{"a":"b"#), invalidUTF8(), rawNUL(),
            .json(String(repeating: "[", count: 100) + String(repeating: "]", count: 100)).called("deep arrays"),
            .json(String(repeating: #"{"a":"#, count: 100) + "1" + String(repeating: "}", count: 100)).called(
                "deep objects"),
            .json(String(repeating: "[", count: 200_000)).called("very deep arrays"),
            .json("[" + Array(repeating: "1", count: 600).joined(separator: ",") + "]").called("600 numbers"),
            .form(arguments(600)).called("600 arguments of a form"),
            .get("/api/x?" + arguments(600)).called("600 arguments of a query"),
            .get("/api/x", ("Cookie", String(repeating: "a;", count: 5000))).called("5,000 cookies"),
            .json(#"{"a":""# + String(repeating: "x", count: 20_000) + #""}"#).called("a value of 20,000 bytes"),
            .json(#"{""# + String(repeating: "x", count: 20_000) + #"":1}"#).called("a key of 20,000 bytes"),
        ])
    func unreadable(kind: EngineKind, request: TestRequest) throws {
        #expect(try kind.inspect(request.request).refusal == .forbidden)
    }

    @Test("The last of many arguments is inspected like the first", arguments: EngineKind.allCases)
    func lastArgument(kind: EngineKind) throws {
        let request = TestRequest.form(Self.arguments(400) + "&z=x'+OR+1%3D1%3B+--")
        #expect(try kind.inspect(request.request).refusal == .forbidden)
    }

    @Test("The end of long content is inspected like its start", arguments: EngineKind.allCases)
    func endOfContent(kind: EngineKind) throws {
        let filler = Array(repeating: "\"" + String(repeating: "lorem ipsum ", count: 200) + "\"", count: 20)
        let harmless = TestRequest.json("[\(filler.joined(separator: ","))]")
        let attack = TestRequest.json(#"[\#(filler.joined(separator: ",")),"<script>alert(1)</script>"]"#)
        #expect(try kind.inspect(harmless.request).refusal == nil)
        #expect(try kind.inspect(attack.request).refusal == .forbidden)
    }

    @Test("A text in JSON is called the same when the numbers around it are left out", arguments: EngineKind.allCases)
    func placeholders(kind: EngineKind) throws {
        let script = "<script>alert(1)</script>"
        let whole = #"{"id":1,"images":[{"width":1},{"width":2,"caption":"\#(script)"}],"tags":[1,"\#(script)"]}"#
        let rest = #"{"images":[{},{"caption":"\#(script)"}],"tags":[null,"\#(script)"]}"#
        let (all, left) = (
            try kind.inspect(TestRequest.json(whole).request), try kind.inspect(TestRequest.json(rest).request)
        )
        #expect(all.matches.count > 1 && left.matches == all.matches)
    }

    @Test("Content over the engine's limit is refused", arguments: EngineKind.allCases)
    func hugeContent(kind: EngineKind) throws {
        let request = TestRequest.json("[" + String(repeating: " ", count: 9 << 20) + "]")
        #expect(try kind.inspect(request.request).refusal == .forbidden)
    }
}
