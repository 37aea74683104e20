import TestSupport
import Testing

@testable import Schema

@Suite("Of a valid document, its free text")
struct FreeTextTests {
    private func freeText(_ json: String, by schema: String) throws -> String {
        let document = try JSONDocument(parsing: Array(json.utf8))
        return String(decoding: try Schema(json: schema).validate(document).freeText, as: UTF8.self)
    }

    @Test(
        "holds no text that can only be what it is described to be",
        arguments: [
            (#"{"format":"date"}"#, #""2027-02-28""#), (#"{"format":"date-time"}"#, #""2027-02-28T10:00:00Z""#),
            (#"{"format":"time"}"#, #""10:00:00.5+09:00""#),
            (#"{"format":"uuid"}"#, #""3f0d6b7e-6c1b-4e0f-9f3e-6a2f1f1f4c55""#),
            (#"{"enum":["a' OR 1=1","b"]}"#, #""a\u0027 OR 1=1""#), (#"{"const":"<x>"}"#, #""<x>""#),
            (#"{"pattern":"^[0-9]{1,10}$"}"#, #""12""#), (#"{"pattern":"^([0-9]+h|h)[A-Z]?$"}"#, #""12hX""#),
            (#"{"format":"webhook-secret"}"#, #""whsec_+/8=""#), ("{}", "12"), ("{}", "-1.5e300"), ("{}", "true"),
            ("{}", "false"), ("{}", "null"), ("{}", "[1,[],{}]"),
            (#"{"anyOf":[{"type":"integer"},{"pattern":"^[0-9]+$"}]}"#, #""12""#),
            (#"{"allOf":[{"maxLength":3},{"pattern":"^[a-z]+$"}]}"#, #""abc""#),
            (#"{"not":{"not":{"format":"date"}}}"#, #""2027-02-28""#),
            (#"{"items":{"enum":["a","b"]},"uniqueItems":true}"#, #"["b","a"]"#),
            (#"{"properties":{"a":{"properties":{"b":{"const":"x"}}}}}"#, #"{"a":{"b":"x"}}"#),
        ])
    func confined(schema: String, json: String) throws { #expect(try freeText(json, by: schema) == "{}") }

    @Test(
        "holds every text that can be another",
        arguments: [
            ("{}", #""abc""#), (#"{"type":"string","maxLength":3}"#, #""a\u0062""#),
            (#"{"pattern":"^[a-z]"}"#, #""a;""#),
            (#"{"pattern":"[0-9]$"}"#, #""' OR 1=1""#), (#"{"pattern":"^[a-z -]+$"}"#, #""a b""#),
            (#"{"pattern":"^[0-9.]+$"}"#, #""1.5""#), (#"{"pattern":"^[0-9]+$|^x"}"#, #""x'""#),
            (#"{"pattern":"^[^a]$"}"#, #""<""#), (#"{"pattern":"^\\w+$"}"#, #""a_b""#),
            (#"{"pattern":"^[ぁ-ん]$"}"#, #""あ""#),
            (#"{"pattern":""}"#, #""""#), (#"{"format":"email"}"#, #""a'b@example.com""#),
            (#"{"format":"uri"}"#, #""https://example.com/'""#), (#"{"format":"uri-reference"}"#, #""../a""#),
            // Of two choices the one that is as described is the wider one.
            (#"{"anyOf":[{"format":"date"},{"type":"string"}]}"#, #""2027-02-30""#),
            (#"{"not":{"enum":["a"]}}"#, #""b""#),
            (#"{"items":{"type":"string"}}"#, #"["a","b"]"#),
            // What is not described is there as it stands.
            (#"{"properties":{"a":{}}}"#, #"{"b":1}"#), (#"{"properties":{"a":{}}}"#, #"{"b":{"c":[true,null,{}]}}"#),
            (#"{"additionalProperties":{"format":"date"}}"#, #"{"' OR 1=1":"2027-02-28"}"#),
            (#"{"properties":{"a":{}}}"#, #"{"a":{"<b>":[]}}"#),
        ])
    func free(schema: String, json: String) throws { #expect(try freeText(json, by: schema) == json) }

    @Test("leaves every text its name and its place")
    func places() throws {
        let schema = #"""
            {"additionalProperties":false,"properties":{"id":{"type":"integer"},"on":{"format":"date"},"name":{},
            "rooms":{"items":{"properties":{"n":{"type":"integer"},"note":{"type":"string"}}}},
            "tags":{"items":{"anyOf":[{"type":"integer"},{"type":"string"}]}},"guest":{"properties":{"id":{},"mail":{}}}}}
            """#
        let json = #"""
            {"id": 1, "on": "2027-02-28", "n\u0061me": "O\u0027Brien", "rooms": [{"n": 1}, {"n": 2, "note": "a"}, [1], 3],
            "tags": [1, "b", 2], "guest": {"id": 5, "mail": "a@b", "more": {"x": 1}}}
            """#
        #expect(
            try freeText(json, by: schema)
                == #"{"n\u0061me":"O\u0027Brien","rooms":[{},{"note":"a"},{},null],"#
                + #""tags":[null,"b",null],"guest":{"mail":"a@b","more":{"x":1}}}"#)
    }

    @Test("is that of the same document, whatever the document: what is left out was confined")
    func anyDocument() throws {
        let schema = try Schema(
            json: #"""
                {"properties":{"a":{"pattern":"^[0-9]+$"},"b":{"type":"string"},"c":{"items":{"enum":["x","y",1]}},
                "d":{"anyOf":[{"format":"date"},{"properties":{"a":{"const":"x"}}},{"maxLength":5}]}},"additionalProperties":{"not":{"const":"z"}}}
                """#)
        var random = SeededNumbers(seed: 4)
        for _ in 0..<2_000 {
            let json = Self.value(depth: 4, using: &random)
            let document = try JSONDocument(parsing: Array(json.utf8))
            guard let free = try? schema.validate(document).freeText else { continue }
            // Read again, nothing more can be left out: but for `null`, which keeps a place.
            let again = try JSONDocument(parsing: free)
            #expect(Self.texts(of: again).isSubset(of: Self.texts(of: document)), "\(json)")
            let missing = Self.texts(of: document).subtracting(Self.texts(of: again))
            let confined: Set = ["a", "b", "c", "d", "x", "y", "12", "2027-01-01"]
            #expect(missing.isSubset(of: confined), "\(json) → \(String(decoding: free, as: UTF8.self))")
        }
    }

    private static func value(depth: Int, using random: inout SeededNumbers) -> String {
        switch Int.random(in: 0..<(depth > 0 ? 6 : 3), using: &random) {
        case 0: ["1", "true", "null", "-2.5"].randomElement(using: &random)!
        case 1: #""12""#
        case 2: ["\"x\"", "\"y\"", "\"<b>\"", "\"2027-01-01\"", "\"'\""].randomElement(using: &random)!
        case 3:
            "["
                + (0..<Int.random(in: 0...3, using: &random)).map { _ in value(depth: depth - 1, using: &random) }
                .joined(separator: ",") + "]"
        default:
            "{"
                + ["a", "b", "c", "d", "';--"].shuffled(using: &random).prefix(Int.random(in: 0...3, using: &random))
                .map { "\"\($0)\":" + value(depth: depth - 1, using: &random) }.joined(separator: ",") + "}"
        }
    }

    private static func texts(of document: JSONDocument) -> Set<String> {
        Set(
            document.nodes.indices.filter { document.nodes[$0].kind == .string }
                .map { String(decoding: document.text($0), as: UTF8.self) })
    }
}
