import Booking
import JSONText
import Testing

@Suite("JSON")
struct JSONValueTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

    @Test(
        "Values are read as they stand",
        arguments: [
            ("null", .null), (" true ", .bool(true)), ("false", .bool(false)), ("0", .integer(0)),
            ("-12", .integer(-12)),
            ("9223372036854775807", .integer(.max)), ("9223372036854775808", .number("9223372036854775808")),
            ("1.50", .number("1.50")), ("1e2", .number("1e2")),
            (#""a\"\\\/\b\f\n\r\té😀""#, .string("a\"\\/\u{8}\u{C}\n\r\té😀")),
            (#""\u00e9\ud83d\ude00""#, .string("é😀")), ("[]", .array([])),
            ("[1, [2]]", .array([.integer(1), .array([.integer(2)])])),
            ("{}", .object([])),
        ] as [(String, JSONValue)])
    func values(text: String, value: JSONValue) throws {
        #expect(try parse(text) == value)
    }

    @Test("Members keep their order and are found by name")
    func members() throws {
        let object = try parse(#"{"b": 1, "a": {"c": [true]}}"#)
        #expect(object.members?.map(\.name) == ["b", "a"])
        #expect(object["a"]?["c"] == .array([.bool(true)]))
        #expect(object["d"] == nil)
    }

    @Test(
        "What is not JSON is refused",
        arguments: [
            "", " ", "nul", "tru", "True", "01", "-", "1.", ".5", "1e", "+1", "0x1", "NaN", "1 2", "[1,]", "[,1]",
            "[1 2]",
            "{\"a\":1,}", "{\"a\"}", "{a:1}", "{'a':1}", "{\"a\":1 \"b\":2}", "{\"a\":1,\"a\":2}",
            "{\"a\":1,\"\\u0061\":2}",
            "\"", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"a\nb\"",
            "[", "{",
            "// c\n1", "\u{FEFF}1", "[1]]",
        ])
    func refused(text: String) {
        #expect(throws: JSONSyntaxError.self) { try parse(text) }
    }

    @Test("Bytes that are not UTF-8 are refused")
    func encoding() {
        #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: [0x22, 0xC0, 0xAF, 0x22]) }
        #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: [0x22, 0xED, 0xA0, 0x80, 0x22]) }
    }

    @Test("Nesting is bounded")
    func nesting() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try parse(nested(JSONValue.maximumDepth))
        #expect(throws: JSONSyntaxError.self) { try parse(nested(JSONValue.maximumDepth + 1)) }
        #expect(throws: JSONSyntaxError.self) { try parse(String(repeating: "[", count: 1_000_000)) }
    }

    @Test("No prefix or changed byte of a body brings the reader down")
    func mutations() {
        let body = Array(#"{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00"],"b":{"c":null,"d":true}}"#.utf8)
        for length in 0..<body.count {
            #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: Array(body[..<length])) }
        }
        for position in body.indices {
            for byte in UInt8.min...UInt8.max {
                var changed = body
                changed[position] = byte
                _ = try? JSONValue(parsing: changed)
            }
        }
    }
}
