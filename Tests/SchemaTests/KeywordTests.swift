import Testing

@testable import Schema

/// What each keyword lets through; the cases say what draft 2020-12 says, as the published test suite
/// (json-schema-org/JSON-Schema-Test-Suite) has it in more words.
@Suite("Keywords")
struct KeywordTests {
    struct Case: CustomTestStringConvertible {
        let schema: String
        let valid: [String]
        let invalid: [String]
        var testDescription: String { schema }

        init(_ schema: String, _ valid: [String], not invalid: [String]) {
            (self.schema, self.valid, self.invalid) = (schema, valid, invalid)
        }
    }

    private static let values = [
        "null", "true", "false", "1", "-1", "1.0", "1.5", "1e2", #""""#, #""a""#, #""1""#, "[]", "[1]", "{}",
        #"{"a":1}"#,
    ]

    static let cases: [Case] = [
        Case("true", values, not: []), Case("false", [], not: values), Case("{}", values, not: []),
        // type
        Case(
            #"{"type":"integer"}"#, ["1", "-1", "1.0", "1e2", "0"], not: ["1.5", "1e-1", "null", #""1""#, "true", "[]"]),
        Case(#"{"type":"number"}"#, ["1", "1.0", "1.5", "-0.0"], not: ["null", #""1""#, "true", "{}"]),
        Case(#"{"type":"string"}"#, [#""""#, #""1""#], not: ["1", "null", "[]", "{}", "true"]),
        Case(#"{"type":"boolean"}"#, ["true", "false"], not: ["0", #""""#, "null", #""true""#]),
        Case(#"{"type":"null"}"#, ["null"], not: ["0", "false", #""""#, "{}"]),
        Case(#"{"type":["integer","null"]}"#, ["1", "null"], not: ["1.5", #""1""#, "false"]),
        Case(#"{"type":["array","object"]}"#, ["[]", "{}"], not: ["1", "null"]),
        // enum and const
        Case(
            #"{"enum":[6,"foo",[],true,{"foo":12}]}"#, ["6", "6.0", #"{"foo":12}"#, "[]", "true"],
            not: ["null", "1", "false", #"{"foo":false}"#, #"{"foo":12,"boo":42}"#]),
        Case(#"{"enum":[false]}"#, ["false"], not: ["0", "0.0", "null"]),
        Case(#"{"enum":[[0]]}"#, ["[0]", "[0.0]"], not: ["[false]", "0"]),
        Case(#"{"enum":["hello\u0000there"]}"#, [#""hello\u0000there""#], not: [#""hellothere""#]),
        Case(
            #"{"const":{"foo":"bar","baz":"bax"}}"#, [#"{"baz":"bax","foo":"bar"}"#], not: [#"{"foo":"bar"}"#, "[1]"]),
        Case(#"{"const":-2.0}"#, ["-2", "-2.0", "-20e-1"], not: ["2", "-2.00001"]),
        Case(
            #"{"const":9007199254740992}"#, ["9007199254740992", "9007199254740992.0"],
            not: ["9007199254740991", "9007199254740993"]),
        Case(#"{"const":"é"}"#, [#""é""#, #""\u00e9""#], not: [#""e\u0301""#]),
        // numbers
        Case(#"{"minimum":1.1}"#, ["2.6", "1.1", #""x""#], not: ["0.6", "1.0999"]),
        Case(#"{"minimum":-2}"#, ["-1", "0", "-2", "-2.0"], not: ["-2.0001", "-3"]),
        Case(#"{"maximum":3.0}"#, ["2.6", "3.0", "3", #""x""#], not: ["3.5", "1e1"]),
        Case(#"{"exclusiveMinimum":1.1}"#, ["1.2"], not: ["1.1", "0.6"]),
        Case(#"{"exclusiveMaximum":3}"#, ["2.2", "2.9999999999999999999"], not: ["3", "3.0", "3.5"]),
        Case(
            #"{"maximum":18446744073709551615}"#, ["18446744073709551600", "18446744073709551615"],
            not: ["18446744073709551616", "1e300"]),
        Case(
            #"{"exclusiveMaximum":972783798187987123879878123.18878137}"#, ["972783798187987123879878123.188781369"],
            not: ["972783798187987123879878123.188781371"]),
        Case(#"{"multipleOf":2}"#, ["10", "0", "-4", "1e3", #""x""#], not: ["7", "0.5"]),
        Case(#"{"multipleOf":1.5}"#, ["0", "4.5", "-3"], not: ["35", "1"]),
        Case(#"{"multipleOf":0.0001}"#, ["0.0075", "1"], not: ["0.00751"]),
        Case(#"{"type":"integer","multipleOf":0.123456789}"#, [], not: ["1e308"]),
        Case(#"{"multipleOf":1e-8}"#, ["12391239123"], not: ["1e-9"]),
        Case(#"{"type":"integer","format":"int32"}"#, ["2147483647", "-2147483648"], not: ["2147483648"]),
        Case(
            #"{"type":"integer","format":"int64"}"#, ["9223372036854775807"],
            not: ["9223372036854775808", "-9223372036854775809"]),
        // strings
        Case(#"{"minLength":2}"#, [#""foo""#, #""fo""#, "1"], not: [#""f""#, #""💩""#, #""""#]),
        Case(#"{"maxLength":2}"#, [#""f""#, #""💩💩""#, #""\ud83d\ude00é""#, "100"], not: [#""foo""#]),
        Case(#"{"pattern":"^a*$"}"#, [#""aaa""#, #""""#, "1", "{}"], not: [#""abc""#]),
        Case(#"{"pattern":"a+"}"#, [#""xxaayy""#, #""\u0061""#], not: [#""xyz""#]),
        // arrays
        Case(#"{"items":{"type":"integer"}}"#, ["[]", "[1,2]", "{}"], not: [#"[1,"x"]"#]),
        Case(#"{"items":false}"#, ["[]", "1"], not: ["[1]", "[null]"]),
        Case(
            #"{"prefixItems":[{"type":"integer"},{"type":"string"}]}"#, [#"[1,"a"]"#, "[1]", "[]", #"[1,"a",true]"#],
            not: [#"["a",1]"#]),
        Case(#"{"prefixItems":[{}],"items":{"type":"integer"}}"#, [#"["x",2,3]"#, "[]"], not: [#"["x",2,"y"]"#]),
        Case(#"{"minItems":1,"maxItems":2}"#, ["[1]", "[1,2]", "{}"], not: ["[]", "[1,2,3]"]),
        Case(
            #"{"uniqueItems":true}"#,
            ["[1,2]", "[]", "[1,true]", "[0,false]", "[[1],[true]]", #"[{"a":1},{"a":2}]"#, "1"],
            not: [
                "[1,1]", "[1.0,1.00,1]", #"[{"a":1,"b":2},{"b":2,"a":1}]"#, #"[["foo"],["bar"],["foo"]]"#,
                #"["a","\u0061"]"#,
            ]),
        // objects
        Case(
            #"{"properties":{"foo":{"type":"integer"},"bar":{"type":"string"}}}"#,
            [#"{"foo":1,"bar":"baz"}"#, "{}", "[]", #"{"quux":[]}"#],
            not: [#"{"foo":[]}"#, #"{"foo":1,"bar":{}}"#, #"{"f\u006fo":"x"}"#]),
        Case(#"{"properties":{"foo":false}}"#, ["{}", #"{"bar":1}"#], not: [#"{"foo":1}"#]),
        Case(
            #"{"properties":{"a\nb":{"type":"number"},"a\"b":{"type":"number"}}}"#, [#"{"a\nb":1}"#],
            not: [#"{"a\nb":"1"}"#, #"{"a\"b":"1"}"#]),
        Case(
            #"{"properties":{"__proto__":{"type":"number"}},"required":["toString"]}"#, [#"{"toString":1}"#, "1"],
            not: [#"{"toString":1,"__proto__":"x"}"#, "{}"]),
        Case(#"{"required":["foo"]}"#, [#"{"foo":1}"#, #"{"foo":null}"#, "[]", "1"], not: ["{}", #"{"bar":1}"#]),
        Case(
            #"{"properties":{"foo":{}},"additionalProperties":false}"#, ["{}", #"{"foo":1}"#, "[1]"],
            not: [#"{"foo":1,"bar":2}"#]),
        Case(
            #"{"properties":{"foo":{}},"additionalProperties":{"type":"boolean"}}"#, [#"{"foo":1,"quux":true}"#],
            not: [#"{"quux":12}"#]),
        Case(#"{"required":["x"],"additionalProperties":{"type":"integer"}}"#, [#"{"x":1}"#], not: [#"{"x":"y"}"#]),
        Case(
            #"{"minProperties":1,"maxProperties":2}"#, [#"{"a":1}"#, #"{"a":1,"b":2}"#, "[]"],
            not: ["{}", #"{"a":1,"b":2,"c":3}"#]),
        // choices
        Case(
            #"{"allOf":[{"required":["foo"]},{"required":["bar"]}]}"#, [#"{"foo":1,"bar":2}"#],
            not: [#"{"foo":1}"#, "{}"]),
        Case(#"{"anyOf":[{"type":"integer"},{"minimum":2}]}"#, ["1", "2.5", "3"], not: ["1.5"]),
        Case(
            #"{"type":"string","anyOf":[{"maxLength":2},{"minLength":4}]}"#, [#""ab""#, #""foobar""#],
            not: ["3", #""foo""#]),
        Case(#"{"oneOf":[{"type":"integer"},{"minimum":2}]}"#, ["1", "2.5"], not: ["3", "1.5"]),
        Case(#"{"oneOf":[true,true]}"#, [], not: values), Case(#"{"anyOf":[false,false]}"#, [], not: values),
        Case(#"{"not":{"type":"integer"}}"#, [#""foo""#, "1.1"], not: ["1"]),
        Case(#"{"not":{"not":{"type":"integer"}}}"#, ["1"], not: [#""x""#]),
        Case(
            #"{"allOf":[{"multipleOf":2}],"anyOf":[{"multipleOf":3}],"oneOf":[{"multipleOf":5}]}"#, ["30"],
            not: ["1", "2", "3", "5", "6", "10", "15"]),
        // references
        Case(##"{"properties":{"foo":{"$ref":"#"}},"additionalProperties":false}"##, [], not: []),
        Case(##"{"properties":{"a":{"$ref":"#/$x"}},"required":["$x"],"x":1}"##, [], not: []),
    ]

    @Test(
        "let through what they describe and nothing else",
        arguments: cases.filter { !$0.valid.isEmpty || !$0.invalid.isEmpty })
    func keyword(_ example: Case) throws {
        let schema = try Schema(json: example.schema)
        for value in example.valid { #expect(try schema.accepts(value), "\(value)") }
        for value in example.invalid { #expect(try !schema.accepts(value), "\(value)") }
    }

    @Test("References are followed, also in circles")
    func references() throws {
        let root = try SchemaSource(
            json: ##"""
                {"tree":{"type":"object","required":["value"],"additionalProperties":false,
                  "properties":{"value":{"$ref":"#/a~1b/0"},"nodes":{"type":"array","items":{"$ref":"#/tree"}}}},
                 "a/b":[{"type":"integer","description":"not a number of anything"}]}
                """##)
        let schema = try Schema(try #require(root["tree"]), in: root)
        #expect(try schema.accepts(#"{"value":1,"nodes":[{"value":2,"nodes":[]},{"value":3}]}"#))
        let violations = try schema.violations(
            #"{"value":1,"nodes":[{"value":2},{"value":3,"nodes":[{"value":"x"}]}]}"#)
        #expect(violations.map(\.pointer) == ["/nodes/1/nodes/0/value"])
    }

    @Test("A reference beside other keywords holds together with them")
    func sibling() throws {
        let root = try SchemaSource(json: ##"{"x":{"$ref":"#/y","maximum":9},"y":{"type":"integer"}}"##)
        let schema = try Schema(try #require(root["x"]), in: root)
        #expect(try schema.accepts("9"))
        #expect(try !schema.accepts("10"))
        #expect(try !schema.accepts("1.5"))
    }

    @Test(
        "What is not known is refused when it is compiled, with its place",
        arguments: [
            (#"{"patternProperties":{}}"#, "patternProperties"), (#"{"typo":1}"#, "typo"),
            (#"{"properties":{"a":{"maxlength":1}}}"#, "properties.a.maxlength"), (#"{"type":"str"}"#, "type"),
            (#"{"type":[]}"#, "type"), (#"{"format":"hostname"}"#, "format"), (#"{"format":1}"#, "format"),
            (#"{"minLength":-1}"#, "minLength"), (#"{"minLength":1.5}"#, "minLength"), (#"{"maximum":"1"}"#, "maximum"),
            (#"{"multipleOf":0}"#, "multipleOf"), (#"{"multipleOf":-2}"#, "multipleOf"), (#"{"enum":[]}"#, "enum"),
            (#"{"enum":1}"#, "enum"), (#"{"required":[1]}"#, "required"), (#"{"required":["a","a"]}"#, "required"),
            (#"{"items":1}"#, "items"), (#"{"allOf":[]}"#, "allOf"), (#"{"anyOf":{}}"#, "anyOf"),
            (#"{"uniqueItems":"yes"}"#, "uniqueItems"), (#"{"pattern":"(a"}"#, "pattern"),
            (#"{"pattern":"(a)\\1"}"#, "pattern"), (#"{"pattern":"(?=a)"}"#, "pattern"),
            (#"{"properties":[]}"#, "properties"), (##"{"$ref":"#/nothing"}"##, "$ref"),
            (#"{"$ref":"other.yaml#/x"}"#, "$ref"), (##"{"a":{"$ref":"#/a"},"$ref":"#/a","description":""}"##, "a"),
            (#"[]"#, ""), (#"{"if":{},"then":{}}"#, "if"), (#"{"nullable":true}"#, "nullable"),
        ])
    func unknown(json: String, key: String) throws {
        let error = #expect(throws: SchemaError.self) { try Schema(json: json) }
        #expect(error?.mistakes.contains { $0.key == key } == true, "\(String(describing: error))")
    }

    @Test("A schema that asks for itself on the same value is refused")
    func endless() throws {
        let root = try SchemaSource(
            json: ##"{"x":{"anyOf":[{"type":"integer"},{"$ref":"#/y"}]},"y":{"not":{"$ref":"#/x"}}}"##)
        #expect(throws: SchemaError.self) { try Schema(try #require(root["x"]), in: root) }
    }

    @Test("Annotations change nothing")
    func annotations() throws {
        let schema = try Schema(
            json:
                #"{"title":"t","description":"d","default":1,"deprecated":true,"readOnly":true,"examples":[1],"example":2}"#
        )
        #expect(try schema.accepts("null"))
    }
}

@Suite("What a client is told")
struct ViolationTests {
    private let booking = #"""
        {"type":"object","required":["id","rooms"],"additionalProperties":false,"properties":{
          "id":{"anyOf":[{"type":"integer","minimum":1,"maximum":9},{"type":"string","pattern":"^[0-9]$"}]},
          "rooms":{"type":"array","minItems":1,"maxItems":2,"items":{"type":"object","required":["guests"],
            "properties":{"guests":{"type":"integer","minimum":1}}}},
          "total":{"anyOf":[{"type":"object","required":["amount"],"properties":{"amount":{"type":"integer"}}},{"type":"null"}]},
          "day":{"type":"string","format":"date"},"timing":{"enum":["prepaid","on-site"]},
          "comment":{"type":["string","null"],"maxLength":3}}}
        """#

    @Test(
        "names the place and what is expected there, and nothing of what was found",
        arguments: [
            ("[]", "", "An object is expected"), (#"{"rooms":[{"guests":1}]}"#, "/id", "This member is required"),
            (#"{"id":0,"rooms":[{"guests":1}]}"#, "/id", "An integer from 1 to 9 is expected"),
            (#"{"id":true,"rooms":[{"guests":1}]}"#, "/id", "An integer from 1 to 9 or a string is expected"),
            (#"{"id":"x","rooms":[{"guests":1}]}"#, "/id", "Another form of text is expected"),
            (#"{"id":1,"rooms":[]}"#, "/rooms", "From 1 to 2 elements are expected"),
            (
                #"{"id":1,"rooms":[{"guests":1},{"guests":0}]}"#, "/rooms/1/guests",
                "An integer of at least 1 is expected"
            ),
            (#"{"id":1,"rooms":[{"guests":1}],"total":{"amount":"1"}}"#, "/total/amount", "An integer is expected"),
            (#"{"id":1,"rooms":[{"guests":1}],"total":{}}"#, "/total/amount", "This member is required"),
            (#"{"id":1,"rooms":[{"guests":1}],"total":1}"#, "/total", "An object or null is expected"),
            (#"{"id":1,"rooms":[{"guests":1}],"day":"2027-02-29"}"#, "/day", "A date as YYYY-MM-DD is expected"),
            (#"{"id":1,"rooms":[{"guests":1}],"timing":"never"}"#, "/timing", "One of prepaid, on-site is expected"),
            (#"{"id":1,"rooms":[{"guests":1}],"a/b~":1}"#, "/a~1b~0", "There is no such member"),
            (
                #"{"id":1,"rooms":[{"guests":1}],"comment":"long"}"#, "/comment",
                "A string of at most 3 characters is expected"
            ),
            (#"{"id":1,"rooms":[{"guests":1}],"comment":1}"#, "/comment", "A string or null is expected"),
        ])
    func detail(json: String, pointer: String, detail: String) throws {
        let violations = try Schema(json: booking).violations(json)
        #expect(violations.first == Violation(pointer: pointer, detail: detail), "\(violations)")
    }

    @Test("names all mistakes, up to twenty")
    func several() throws {
        let schema = try Schema(json: booking)
        #expect(try schema.violations(#"{"day":1,"comment":2,"x":3}"#).count == 5)
        let many = (0..<100).map { "\"x\($0)\":1" }.joined(separator: ",")
        #expect(try schema.violations("{\(many)}").count == Schema.maximumViolations)
    }

    @Test("cuts long names")
    func longName() throws {
        let name = String(repeating: "x", count: 1000)
        let violations = try Schema(json: #"{"additionalProperties":false}"#).violations("{\"\(name)\":1}")
        #expect(violations.map(\.pointer) == ["/" + name.prefix(64)])
    }

    @Test("A schema that would take for ever to check gives up and refuses", .timeLimit(.minutes(1)))
    func bounded() throws {
        let root = try SchemaSource(
            json:
                ##"{"x":{"anyOf":[{"items":{"$ref":"#/x"},"minItems":1},{"items":{"$ref":"#/x"},"maxItems":1},{"items":{"$ref":"#/x"},"type":"array"},{"const":7}],"not":{"const":1}}}"##
        )
        let schema = try Schema(try #require(root["x"]), in: root)
        var json = "1"
        for _ in 0..<JSONDocument.Bound.depth { json = "[\(json)]" }
        #expect(try !schema.accepts(json))
    }
}
