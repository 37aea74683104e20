import FoundationEssentials
import HTTP
import TestSupport
import Testing

@testable import Firewall

/// What every engine does besides judging rightly.
@Suite struct EngineTests {
    private static let attack = TestRequest.get("/api/x?q=1'%20OR%20'1'='1")

    @Test("A finding names rule, score and variable, and never a value", arguments: EngineKind.allCases)
    func finding(kind: EngineKind) throws {
        let finding = try kind.inspect(TestRequest.json(#"{"guest":{"name":"x' OR 1=1; --"}}"#).request)
        #expect(finding.inboundScore >= 5)
        #expect(finding.matches.contains(RuleMatch(rule: 942100, variable: "ARGS:json.guest.name", score: 5)))
        #expect(!finding.matches.contains { $0.variable.contains("OR 1") })
    }

    @Test("The rules' scores are the parts of the sum", arguments: EngineKind.allCases)
    func scores(kind: EngineKind) throws {
        for (request, settings) in [
            (Self.attack.request, FirewallSettings()), (Self.attack.request, FirewallSettings(paranoiaLevel: 4)),
            (
                TestRequest.get("/api/x?q=%3Cscript%3Ealert(1)%3C/script%3E&q=../../etc/passwd").request,
                FirewallSettings()
            ),
            (TestRequest.json(#"{"a":"x' OR 1=1; --","b":"; cat /etc/passwd"}"#).request, FirewallSettings()),
        ] {
            let finding = try kind.inspect(request, settings)
            #expect(finding.inboundScore > 0)
            #expect(finding.matches.reduce(0) { $0 + $1.score } == finding.inboundScore, "\(finding)")
        }
    }

    @Test("A name that a client chose is cut short and has no control characters", arguments: EngineKind.allCases)
    func longName(kind: EngineKind) throws {
        let name = "a\\n\\u001b" + String(repeating: "b", count: 500)
        let finding = try kind.inspect(TestRequest.json(#"{"\#(name)":"x' OR 1=1; --"}"#).request)
        #expect(!finding.matches.isEmpty)
        for match in finding.matches {
            #expect(match.variable.utf8.count <= 128)
            #expect(!match.variable.unicodeScalars.contains { $0.value < 0x20 })
        }
    }

    @Test("However many rules match, the finding is small", arguments: EngineKind.allCases)
    func manyMatches(kind: EngineKind) throws {
        let values = (0..<400).map { #""k\#($0)":"<script>x' OR 1=1; --</script>""# }
        let finding = try kind.inspect(TestRequest.json("{\(values.joined(separator: ","))}").request)
        #expect(finding.refusal == .forbidden && (1...64).contains(finding.matches.count))
    }

    @Test("The threshold decides", arguments: EngineKind.allCases)
    func threshold(kind: EngineKind) throws {
        let strict = try kind.inspect(Self.attack.request, FirewallSettings(inboundThreshold: 5))
        let lenient = try kind.inspect(Self.attack.request, FirewallSettings(inboundThreshold: 1000))
        #expect(strict.refusal == .forbidden && lenient.refusal == nil)
        #expect(strict.inboundScore == lenient.inboundScore && lenient.inboundScore > 0)
    }

    @Test("The paranoia level decides which rules are asked", arguments: EngineKind.allCases)
    func paranoia(kind: EngineKind) throws {
        let request = TestRequest.get("/api/x?q=O'Brien").request
        let trusting = try kind.inspect(request)
        let paranoid = try kind.inspect(request, FirewallSettings(paranoiaLevel: 4))
        #expect(trusting.matches.isEmpty && !paranoid.matches.isEmpty)
    }

    @Test("One request says nothing about the next", arguments: EngineKind.allCases)
    func independence(kind: EngineKind) throws {
        let ordinary = TestRequest.get("/api/x?q=1").request
        let before = try kind.inspect(ordinary)
        _ = try kind.inspect(Self.attack.request, FirewallSettings(paranoiaLevel: 4))
        #expect(try kind.inspect(ordinary) == before)
    }

    @Test("Threads that inspect at once find what one alone finds", arguments: EngineKind.allCases)
    func threads(kind: EngineKind) async throws {
        let requests = [
            Self.attack, .get("/api/x?q=1"), .json(#"{"name":"O'Brien"}"#),
            .json(#"{"name":"<script>alert(1)</script>"}"#),
            .form("a=;cat+/etc/passwd"), .json("{"), .get("/api/../../etc/passwd"),
        ].map(\.request)
        let expected = try requests.map { try kind.inspect($0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for round in 0..<200 {
                        let index = round % requests.count
                        let finding = try kind.inspect(requests[index])
                        #expect(finding == expected[index])
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// What held a thread for seconds before searches were bounded, and texts like it.
    private static let costly = [
        "<!", "<![", "<?", "<%", "<", "&lt", "&#x3c;", "%u003c", "${", "{{", "{", "$(", "||", "|", "a|", "()", "(", "'",
        "a=",
        "on=", " ", "é", "/*", "for/d", "a()", "'||'", "\\\\", "  \\n", "style=", "select ", "url(",
    ]

    @Test("No content holds a thread for seconds", arguments: EngineKind.allCases, costly)
    func cost(kind: EngineKind, seed: String) throws {
        for size in [1000, 4000, 16_000] {
            let text = String(repeating: seed, count: size / seed.utf8.count)
            let start = threadProcessorTime()
            let finding = try kind.inspect(TestRequest.json(#"{"comment":"\#(text)"}"#).request)
            let used = threadProcessorTime() - start
            // Ten times the bound, for a debug build; without a bound it is minutes.
            #expect(used < .milliseconds(2500) * slowness, "\(size) bytes: \(used)")
            #expect(finding.isComplete || finding.refusal == .forbidden)
        }
    }

    @Test("What takes as much from everywhere in the request is bounded together", arguments: EngineKind.allCases)
    func costTogether(kind: EngineKind) throws {
        let text = String(repeating: "<!", count: 400)
        let values = (0..<400).map { #""k\#($0)":"\#(text)""# }
        let start = threadProcessorTime()
        let finding = try kind.inspect(TestRequest.json("{\(values.joined(separator: ","))}").request)
        #expect(threadProcessorTime() - start < .seconds(5) * slowness)
        #expect(finding.refusal == .forbidden)
    }

    @Test("Whatever bytes come, there is an answer", arguments: EngineKind.allCases)
    func noise(kind: EngineKind) throws {
        var generator = SeededNumbers(seed: 2026)
        let alphabet = Array("{}[]\",:'<>%&=;/\\$()|`*?+-_.abz019 \t\r\n\u{0}\u{7f}日".utf8) + [0x80, 0xC3, 0xFF]
        let types = ["application/json", "application/x-www-form-urlencoded", "application/json;charset=utf-8"]
        for round in 0..<600 {
            var request = TestRequest.json("", .post, "/api/x")
            request.contentType = types[round % types.count]
            let count = Int.random(in: 0..<400, using: &generator)
            request.content = (0..<count).map { _ in alphabet.randomElement(using: &generator)! }
            let text = String(decoding: request.content, as: UTF8.self)
            request.fields = [("Cookie", text), ("Referer", text)]
            request.target =
                "/" + request.content.prefix(100).map { "%" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            _ = try kind.inspect(request.request, FirewallSettings(paranoiaLevel: 1 + round % 4))
        }
    }

    @Test("Memory stays where it was", .enabled(if: !isWatched), arguments: EngineKind.allCases)
    func memory(kind: EngineKind) throws {
        let requests = [
            .get("/api/x?hotel_id=1&check_in=2026-12-01"), Self.attack, .json(#"{"guest":{"name":"O'Brien"}}"#),
            .json("{"),
            TestRequest(method: .post, target: "/", content: [1], contentType: "application/xml"),
        ].map(\.request)
        func inspect(_ count: Int) throws {
            for index in 0..<count { _ = try kind.inspect(requests[index % requests.count]) }
        }
        try inspect(500)
        let before = residentMemory()
        try inspect(20_000)
        // The allocator's own fluctuation. A leak of 100 bytes for each would show.
        #expect(residentMemory() - before < 2 << 20)
    }
}
