import HTTP
import Testing

@Suite("Media types")
struct MediaTypeTests {
    @Test(
        "JSON is recognised with parameters and in any letter case",
        arguments: [
            ("application/json", true), ("Application/JSON", true), ("application/json; charset=utf-8", true),
            ("application/json;charset=\"UTF-8\"", true), ("application/json \t;x=y", true), ("", false),
            ("application/jsonp", false), ("application/json-patch+json", false), ("application/problem+json", false),
            ("text/json", false), ("application/json, text/plain", false), ("application/jso", false),
            ("text/plain; application/json", false),
        ])
    func json(value: String, isJSON: Bool) {
        #expect(MediaType.isJSON(value.utf8.span) == isJSON)
    }
}
