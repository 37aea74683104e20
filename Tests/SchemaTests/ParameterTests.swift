import Testing

@testable import Schema

@Suite("Parameters")
struct ParameterTests {
    private let query: QueryParameters

    init() throws {
        query = QueryParameters([
            Parameter(name: "day", isRequired: true, schema: try Schema(json: #"{"type":"string","format":"date"}"#)),
            Parameter(
                name: "guests", isRequired: false,
                schema: try Schema(json: #"{"type":"integer","minimum":1,"maximum":99}"#)),
            Parameter(name: "name", isRequired: false, schema: try Schema(json: #"{"type":"string","maxLength":3}"#)),
            Parameter(
                name: "id", isRequired: false,
                schema: try Schema(
                    json: #"{"anyOf":[{"type":"integer","maximum":9},{"type":"string","pattern":"^[a-z]+$"}]}"#)),
            Parameter(name: "all", isRequired: false, schema: try Schema(json: #"{"type":"boolean"}"#)),
            Parameter(
                name: "hotel", isRequired: false,
                schema: try Schema(json: #"{"type":"array","maxItems":2,"items":{"type":"integer"}}"#)),
        ])
    }

    private func violations(_ text: String) -> [Violation] { query.violations(in: Array(text.utf8)[...]) }

    @Test(
        "as described are let through",
        arguments: [
            "day=2027-01-01", "day=2027-01-01&guests=7", "guests=007&day=2027-01-01&",
            "day=2027-01-01&name=%E3%81%82x1", "day=2027-01-01&id=3",
            "day=2027-01-01&id=abc", "day=2027-01-01&all=true", "day=2027-01-01&hotel=1&hotel=2",
            "day=2027-01-01&name=", "day=2027%2D01-01",
            "&&day=2027-01-01", "day=2027-01-01&name=123", "day=2027-01-01&name=a=b",
        ])
    func accepted(text: String) { #expect(violations(text).isEmpty, "\(violations(text))") }

    @Test(
        "as not described are refused by their names",
        arguments: [
            ("", "/query/day", "The parameter is missing"), ("day", "/query/day", "A date as YYYY-MM-DD is expected"),
            ("day=2027-02-30", "/query/day", "A date as YYYY-MM-DD is expected"),
            ("day=2027-01-01&day=2027-01-01", "/query/day", "The parameter is repeated"),
            ("day=2027-01-01&guests=0", "/query/guests", "An integer from 1 to 99 is expected"),
            ("day=2027-01-01&guests=%31", "/query/guests", "An integer from 1 to 99 is expected"),
            ("day=2027-01-01&guests=+1", "/query/guests", "An integer from 1 to 99 is expected"),
            ("day=2027-01-01&guests=1.0", "/query/guests", "An integer from 1 to 99 is expected"),
            (
                "day=2027-01-01&guests=99999999999999999999999999", "/query/guests",
                "An integer from 1 to 99 is expected"
            ),
            ("day=2027-01-01&x=1", "/query/x", "There is no such parameter"),
            ("day=2027-01-01&d%61y=1", "/query/d%61y", "There is no such parameter"),
            ("day=2027-01-01&a/b=1", "/query/a~1b", "There is no such parameter"),
            ("day=2027-01-01&all=yes", "/query/all", "True or false is expected"),
            ("day=2027-01-01&name=%FF", "/query", "The percent-encoded text is not valid UTF-8"),
            ("day=2027-01-01&name=abcd", "/query/name", "A string of at most 3 characters is expected"),
            ("day=2027-01-01&hotel=1&hotel=x", "/query/hotel/1", "An integer is expected"),
            ("day=2027-01-01&hotel=1&hotel=2&hotel=3", "/query/hotel", "From 0 to 2 elements are expected"),
            ("day=2027-01-01&id=10", "/query/id", "An integer of at most 9 is expected"),
        ])
    func refused(text: String, pointer: String, detail: String) {
        #expect(violations(text).first == Violation(pointer: pointer, detail: detail), "\(violations(text))")
    }

    @Test(
        "What stands beside a reference counts, however a value is written",
        arguments: [
            ##"{"$ref":"#/word","maxLength":3}"##, ##"{"$ref":"#/word","enum":["abc"]}"##,
            ##"{"$ref":"#/word","not":{"const":"abcdef"}}"##,
            ##"{"allOf":[{"$ref":"#/word"}],"pattern":"^x"}"##,
            ##"{"$ref":"#/word","anyOf":[{"maxLength":3}]}"##,
            ##"{"$ref":"#/word","oneOf":[{"maxLength":3}]}"##,
            ##"{"$ref":"#/word","type":"integer"}"##, ##"{"$ref":"#/word","pattern":"^[g-z]"}"##,
        ])
    func besideReferences(schema: String) throws {
        let words = try SchemaSource(json: #"{"word":{"type":"string","pattern":"^[a-z]+$"}}"#)
        let schema = try Schema(SchemaSource(json: schema), in: words)
        let query = QueryParameters([Parameter(name: "name", isRequired: true, schema: schema)])
        for text in ["name=abcdef", "name=%61bcdef"] {
            #expect(!query.violations(in: Array(text.utf8)[...]).isEmpty, "\(text)")
        }
    }

    @Test("The usual query is seen to be right without being taken apart, and no other")
    func shortCut() {
        let pieces = [
            "day=2027-01-01", "day=2027-02-30", "day", "guests=1", "guests=99", "guests=100", "guests=0", "guests=-1",
            "guests=0000000000000000000000012", "guests=", "name=a", "name=abcd", "name=\u{3042}", "name=a=b", "id=3",
            "id=x", "all=true", "hotel=1", "hotel=x", "x=1", "=", "",
        ]
        for first in pieces {
            for second in pieces {
                let query = "\(first)&\(second)"
                // With an empty piece in front it is taken apart.
                #expect(violations(query) == violations("&" + query), "\(query)")
            }
        }
    }

    @Test("Many unknown ones are told in part")
    func many() {
        let text = (0..<1000).map { "x\($0)=1" }.joined(separator: "&")
        #expect(violations(text).count == Schema.maximumViolations)
    }

    @Test("A field's value must be UTF-8")
    func encoding() throws {
        let parameter = Parameter(name: "Key", isRequired: false, schema: try Schema(json: #"{"type":"string"}"#))
        #expect(parameter.violations(in: [0xFF], at: "/header/Key").count == 1)
        #expect(parameter.violations(in: Array("é".utf8)[...], at: "/header/Key").isEmpty)
    }
}
