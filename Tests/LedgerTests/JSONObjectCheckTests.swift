import Testing

@testable import Ledger

@Suite("What is one JSON object on one line")
struct JSONObjectCheckTests {
    private func isObject(_ bytes: [UInt8]) -> Bool { JSONObjectCheck.isObject(bytes.span) }

    @Test("A byte that means something in a string is seen wherever it stands")
    func everyOffset() {
        for offset in 0..<40 {
            for length in [offset, offset + 1, offset + 7, offset + 30] {
                for byte in UInt8.min...UInt8.max {
                    var string = [UInt8](repeating: 120, count: length)
                    string.insert(byte, at: offset)
                    let object = Array("{\"a\":\"".utf8) + string + Array("\"}".utf8)
                    // x is no escape; a quotation mark ends the string too early; above 0x7F it is no UTF-8.
                    let isPlain =
                        byte >= 0x20 && byte < 0x80 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
                    // At the very end a backslash escapes the closing mark, and a quotation mark leaves one too many.
                    #expect(isObject(object) == isPlain, "\(byte) at \(offset) of \(length)")
                }
            }
        }
    }

    @Test("An escape is seen wherever it stands", arguments: ["\\n", "\\\"", "\\\\", "\\u00e9", "é", "🏨", "\u{7F}"])
    func escapes(text: String) {
        for offset in 0..<40 {
            let string = String(repeating: "x", count: offset) + text + text + "yz"
            #expect(isObject(Array("{\"a\":\"\(string)\",\"b\":[\"\(string)\"]}".utf8)), "\(offset)")
        }
    }

    @Test(
        "What is no object, or not on one line, is refused",
        arguments: [
            "", "{", "{}}", "[]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":01}", "{\"a\":1\n}", "{\"a\": 1}",
            "{\"a\":\"x}", "{\"a\":\"\\u00g0\"}", "{\"a\":tru}", "{\"a\":[1}", "{\"a\":[1]]", "{a:1}", "{}{}", "{,",
            "{]",
            "{\"a\":{,}}", "{\"a\":[,]}", "{\"a\":[}}", "{\"a\":{]}", "{\"a\":{}{}}", "{\"a\":[][]}", "{\"a\":[1 ,2]}",
            "{{}}",
        ])
    func refused(text: String) { #expect(!isObject(Array(text.utf8))) }

    @Test(
        "Objects and arrays stand in each other, empty ones too",
        arguments: [
            "{}", "{\"a\":{}}", "{\"a\":[]}", "{\"a\":[{}]}", "{\"a\":[[],[]],\"b\":{\"c\":{},\"d\":[{}]}}",
            "{\"a\":[[1,2],{\"b\":[]},3]}",
        ])
    func nested(text: String) {
        let bytes = Array(text.utf8)
        #expect(isObject(bytes))
        for count in 0..<bytes.count { #expect(!isObject(Array(bytes[..<count])), "cut after \(count)") }
    }

    @Test("As deep as may be, and no deeper", arguments: [("[", "]"), ("{\"a\":", "}")])
    func depth(open: String, close: String) {
        func nested(_ depth: Int) -> [UInt8] {
            let inner = String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
            return Array("{\"a\":\(inner)}".utf8)
        }
        #expect(isObject(nested(JSONObjectCheck.depthBound - 1)))
        #expect(!isObject(nested(JSONObjectCheck.depthBound)))
    }
}
