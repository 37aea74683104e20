import TestSupport
import Testing

@testable import Schema

@Suite("JSON texts")
struct DocumentTests {
    @Test(
        "are refused when they are none, or could be read in two ways",
        arguments: [
            "", " ", "{", "[", "{]", "[1,]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "{\"a\":}", "01", "-", "1.", ".5",
            "1e", "+1", "0x1", "NaN",
            "tru", "nulll", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
            "\"a\nb\"", "1 2", "{} x", "'a'",
            "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "{\"\\u0061\":1,\"a\":2}", "[{\"b\":{\"c\":1,\"c\":1}}]",
            "1e99999", "\u{FEFF}1",
            String(repeating: "9", count: 129), String(repeating: "[", count: 17) + String(repeating: "]", count: 17),
            "//\n1",
            "{" + (0..<40).map { "\"k\($0 % 39)\":1" }.joined(separator: ",") + "}",
        ])
    func refused(text: String) {
        #expect(throws: JSONDocumentError.self) { try JSONDocument(parsing: Array(text.utf8)) }
    }

    @Test(
        "that are not UTF-8 are refused",
        arguments: [
            [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xE3, 0x81, 0x22],
        ])
    func encoding(bytes: [UInt8]) { #expect(throws: JSONDocumentError.self) { try JSONDocument(parsing: bytes) } }

    @Test(
        "that are sound are read",
        arguments: [
            "1", " [ ] ", "{\"a\":{\"b\":[1,2.5e-3,true,null,\"\\ud83d\\ude00\\n\"]}}", "\"é😀\"", "-0",
            String(repeating: "[", count: 16) + String(repeating: "]", count: 16),
        ])
    func accepted(text: String) throws { _ = try JSONDocument(parsing: Array(text.utf8)) }

    @Test("An error says where")
    func offset() {
        let error = #expect(throws: JSONDocumentError.self) { try JSONDocument(parsing: Array(#"{"a":1 "b":2}"#.utf8)) }
        #expect(error?.offset == 7)
    }

    @Test(
        "An identifier is found by its pointer, also as digits in a string",
        arguments: [
            (#"{"hotel_id":2}"#, 2), (#"{"x":[1],"hotel_id":"12"}"#, 12), (#"{"hotel_id":-1}"#, -1),
            (#"{"\u0068otel_id":3}"#, 3),
        ])
    func identifier(json: String, id: Int64) throws {
        #expect(try JSONDocument(parsing: Array(json.utf8)).identifier(at: "/hotel_id") == .some(.some(id)))
    }

    @Test("What is no identifier is told from none at all")
    func noIdentifier() throws {
        for json in [
            #"{"hotel_id":2.5}"#, #"{"hotel_id":"x"}"#, #"{"hotel_id":null}"#, #"{"hotel_id":""}"#,
            #"{"hotel_id":9999999999999999999}"#,
        ] {
            #expect(try JSONDocument(parsing: Array(json.utf8)).identifier(at: "/hotel_id") == .some(nil), "\(json)")
        }
        for json in ["{}", "[]", "1", #"{"a":{"hotel_id":1}}"#] {
            #expect(try JSONDocument(parsing: Array(json.utf8)).identifier(at: "/hotel_id") == nil, "\(json)")
        }
    }

    @Test("Whatever the bytes, they are read or refused")
    func damaged() throws {
        var random = SeededNumbers(seed: 5)
        let schema = try Schema(
            json: ##"{"type":"object","properties":{"a":{"items":{"enum":[1,{"x":2}]}},"b":{"$ref":"#"}}}"##.replacing(
                "\"$ref\":\"#\"", with: "\"pattern\":\"^x+$\""))
        let original = Array(#"{"a":[1,{"x":2},"\u00e9😀"],"b":"xx","c":{"d":-1.5e2,"e":[true,false,null]}}"#.utf8)
        for _ in 0..<20_000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] =
                    Bool.random(using: &random)
                    ? .random(in: 0...255, using: &random) : "{}[]\",:\\u0e.-t".utf8.randomElement(using: &random)!
            }
            if let document = try? JSONDocument(parsing: bytes) {
                for violation in schema.violations(in: document) { #expect(!violation.detail.isEmpty) }
            }
        }
    }
}
