import Testing

@testable import Telemetry

@Suite("Log lines")
struct LogTests {
    private func line(_ message: StaticString, _ fields: KeyValuePairs<StaticString, Log.Value>) -> String {
        String(decoding: Log.line(.info, message, fields, at: 1_700_000_000.25), as: UTF8.self)
    }

    private let start =
        #"{"time":"2023-11-14T22:13:20.250Z","level":"info","process":"drawbridge","message":"message""#

    @Test("a line is one flat JSON object with the instant, the level, the process and the fields")
    func form() {
        let text = line("message", ["id": "a", "count": 3, "ratio": .number(0.5), "on": true])
        #expect(text == start + #","id":"a","count":3,"ratio":0.5,"on":true}"#)
    }

    @Test("nothing in a value can end its line or its string")
    func escaping() {
        let text = line("message", ["value": "a\"b\\c\nd\r\u{0}\u{7f}ü"])
        #expect(text == start + #","value":"a\"b\\c\u000ad\u000d\u0000\u007fü"}"#)
    }

    @Test("a number that JSON cannot tell is null", arguments: [Double.infinity, -.infinity, .nan])
    func notFinite(number: Double) {
        #expect(line("message", ["value": .number(number)]).hasSuffix(#","value":null}"#))
    }

    @Test("a long value is cut, and fields that do not fit are left out whole")
    func bounds() {
        let long = Log.Value(String(repeating: "x", count: 2000))
        #expect(line("message", ["long": long]).hasSuffix(String(repeating: "x", count: 256) + "…\"}"))
        let text = line(
            "message",
            [
                "a": .init(String(repeating: "\u{1}", count: 600)), "b": .init(String(repeating: "\u{1}", count: 600)),
                "c": 1,
            ])
        #expect(text.utf8.count < Log.lineBound)
        #expect(!text.contains(#""b":"#))
        #expect(text.hasSuffix(#","c":1}"#))
    }
}
