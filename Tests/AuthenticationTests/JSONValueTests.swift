import Testing

@testable import Authentication

@Suite("JSON in tokens")
struct JSONValueTests {
    @Test(
        "Values are read as RFC 8259 has them",
        arguments: [
            ("null", JSONValue.null), ("true", .bool(true)), ("false", .bool(false)), ("0", .integer(0)),
            ("-12", .integer(-12)), ("9223372036854775807", .integer(.max)), ("1.5", .number(1.5)),
            ("-1e-2", .number(-0.01)), ("9223372036854775808", .number(9_223_372_036_854_775_808)),
            (#""""#, .string("")), (#""a\"\\\/\b\f\n\r\t""#, .string("a\"\\/\u{8}\u{C}\n\r\t")),
            (#""\u00e9\ud83c\udfe8""#, .string("é🏨")), ("\"é🏨\"", .string("é🏨")), ("[]", .array([])),
            (" [ 1 , [ ] ] ", .array([.integer(1), .array([])])), ("{}", .object([:])),
            (#"{ "b" : { "c" : 1 } }"#, .object(["b": .object(["c": .integer(1)])])),
        ])
    func reads(text: String, value: JSONValue) {
        #expect(JSONValue.object(Array(#"{"a":\#(text)}"#.utf8)) == ["a": value])
    }

    @Test(
        "Everything else is refused",
        arguments: [
            "", "nul", "True", "+1", "01", "-", "1.", ".5", "1e", "1e999", "0x1", "NaN", "'a'", #"""#, #""\x""#,
            #""\u12""#, #""\u+123""#, #""\ud800""#, #""\ud800\u0041""#, #""\udc00""#, "\"\n\"", "\"\u{0}\"", "[1,]",
            "[,]",
            "[1 2]", "[", "{1:2}", #"{"a"}"#, #"{"a":1,}"#, #"{"a":1,"a":2}"#, #"{"a":1,"\u0061":2}"#, "1 2", "/**/1",
        ])
    func refuses(text: String) {
        #expect(JSONValue.object(Array(#"{"a":\#(text)}"#.utf8)) == nil)
    }

    @Test("Bytes that are not UTF-8 are refused")
    func encoding() { #expect(JSONValue.object(Array(#"{"a":""#.utf8) + [0xC0, 0xAF] + Array(#""}"#.utf8)) == nil) }

    @Test("Only an object will do, and only one", arguments: ["[]", "1", "null", "{}{}", "{} x", "\u{FEFF}{}"])
    func objectsOnly(text: String) { #expect(JSONValue.object(Array(text.utf8)) == nil) }
}
