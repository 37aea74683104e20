// Feeds hostile bytes to the reader of JSON and to a schema that uses every keyword. Build and run as `make fuzz` does.
// What the two readers of bodies, the gateway's and the bridge's, make of a text must not differ.

import JSONText
import Schema

private let schema: Schema = {
    func object(_ members: [(String, SchemaSource)]) -> SchemaSource {
        SchemaSource(.object(members.map { ($0.0, $0.1) }))
    }
    func text(_ text: String) -> SchemaSource { SchemaSource(.string(text)) }
    func number(_ text: String) -> SchemaSource { SchemaSource(.number(text)) }
    func list(_ elements: [SchemaSource]) -> SchemaSource { SchemaSource(.array(elements)) }
    let leaf = object([
        ("type", list([text("string"), text("number"), text("null")])), ("maxLength", number("5")),
        ("minimum", number("-1.5")),
        ("multipleOf", number("0.5")), ("pattern", text("^(a|[^b-dé]{1,3})*$")),
    ])
    let root = object([
        ("type", list([text("object"), text("array"), text("string")])),
        (
            "properties",
            object([
                ("a", object([("$ref", text("#/schema"))])), ("b", leaf),
                ("c", object([("format", text("date-time"))])),
                ("d", object([("format", text("email"))])), ("e", object([("format", text("uri"))])),
                ("f", object([("enum", list([number("1"), text("x"), object([("y", number("2"))])]))])),
            ])
        ), ("required", list([text("b")])), ("additionalProperties", object([("not", leaf)])),
        ("maxProperties", number("9")),
        ("items", object([("anyOf", list([leaf, object([("$ref", text("#/schema"))])]))])),
        ("uniqueItems", SchemaSource(.bool(true))),
        ("oneOf", list([leaf, object([("minItems", number("2"))]), object([("type", text("object"))])])),
    ])
    return try! Schema(root, in: object([("schema", root)]))
}()

private let query = QueryParameters([
    Parameter(name: "a", isRequired: true, schema: schema), Parameter(name: "b", isRequired: false, schema: schema),
])

/// What the gateway's reader refuses and the bridge's takes: numbers beyond all use.
private let ownRefusals: Set<String> = ["A number is too long", "A number's exponent is out of bounds"]

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let others = Result { try JSONValue(parsing: bytes) }
    switch Result(catching: { () throws(JSONDocumentError) in try JSONDocument(parsing: bytes) }) {
    case .success(let document):
        if case .failure(let error as JSONSyntaxError) = others {
            // Names that Unicode calls equivalent are the same name to the bridge alone.
            precondition(error.detail == "A name stands twice in an object", error.detail)
        }
        check(schema.violations(in: document))
    case .failure(let error):
        precondition(error.offset <= bytes.count)
        if case .success = others { precondition(ownRefusals.contains(error.detail), error.detail) }
    }
    check(query.violations(in: bytes[...].filter { $0 > 0x20 && $0 < 0x7F }[...]))
    return 0
}

private func check(_ violations: [Violation]) {
    precondition(violations.count <= Schema.maximumViolations)
    for violation in violations {
        precondition(violation.pointer.isEmpty || violation.pointer.hasPrefix("/"))
        precondition(!violation.detail.isEmpty)
    }
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ argumentCount: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutableRawPointer,
    _ target: @convention(c) (UnsafePointer<UInt8>, Int) -> CInt
) -> CInt

/// SwiftPM links every executable with `main` renamed after its target, which hides libFuzzer's own.
@_cdecl("fuzz_schema_main")
public func main(_ argumentCount: CInt, _ arguments: UnsafeMutableRawPointer) -> CInt {
    var argumentCount = argumentCount
    var arguments = arguments
    return runFuzzer(&argumentCount, &arguments) { fuzz($0, $1) }
}
