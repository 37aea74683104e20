import Testing

@testable import Firewall

/// Rules of levels that no route asks for are not loaded, and nobody notices.
@Suite struct ParanoiaTests {
    /// With the rules of all levels; loaded once for all tests that compare with it.
    private static let whole = Result { try engine(0...5) }

    @Test("What is found at a level needs no rule of the others", arguments: 1...4)
    func levels(level: Int) throws {
        let whole = try Self.whole.get()
        let reduced = try Self.engine(level...level)
        for request in (OrdinaryTrafficTests.ordinary + AttackTests.attacks) {
            let settings = FirewallSettings(paranoiaLevel: level)
            let expected = try whole.inspect(request.request, settings, within: .seconds(60))
            let found = try reduced.inspect(request.request, settings, within: .seconds(60))
            #expect(found == expected, "\(request)")
        }
    }

    @Test("A level whose rules are not loaded is no level to inspect at")
    func missing() throws {
        let engine = try Self.engine(1...2)
        let request = TestRequest.get("/").request
        _ = try engine.inspect(request, FirewallSettings(paranoiaLevel: 2), within: .seconds(1))
        let error = #expect(throws: FirewallError.self) {
            try engine.inspect(request, FirewallSettings(paranoiaLevel: 3), within: .seconds(1))
        }
        #expect(error?.code == .failed)
    }

    @Test(
        "Where rules of ours name a level, all rules stay, and requests may change theirs, however lines end",
        arguments: ["\n", "\r\n"])
    func changed(lineEnd: String) throws {
        let directory = try RuleDirectory()
        let lines = [
            "# A comment", #"SecRule ARGS:x "@streq y" \"#,
            #""id:11001,phase:1,pass,nolog,setvar:tx.paranoia_level=4""#, "",
        ]
        try directory.append(lines.joined(separator: lineEnd), to: "rules.conf")
        var policy = directory.policy
        policy.paranoiaLevels = 1...1
        let engine = try SecLangEngine(policy)
        let trusting = try engine.inspect(
            TestRequest.get("/api/x?q=O'Brien").request, FirewallSettings(), within: .seconds(60))
        let paranoid = try engine.inspect(
            TestRequest.get("/api/x?q=O'Brien&x=y").request, FirewallSettings(), within: .seconds(60))
        #expect(trusting.matches.isEmpty && !paranoid.matches.isEmpty)
    }

    @Test("Guards go, with what they always skip in their phase; lines keep their numbers")
    func reduction() {
        let reduced = Self.reduced(
            """
            # A comment
            SecRule TX:EXECUTING_PARANOIA_LEVEL "@lt 1" "id:1,phase:2,pass,nolog,skipAfter:END"
            SecRule ARGS "@rx a" \\
                "id:2,phase:2,deny,chain"
                SecRule ARGS "@rx b" "t:none"
            SecRule TX:EXECUTING_PARANOIA_LEVEL "@lt 2" "id:3,phase:2,pass,nolog,skipAfter:END"
            SecRule ARGS "@rx a" "id:4,phase:2,deny,chain"
                SecRule ARGS "@rx b" \\
                    "t:none"
            SecRule ARGS "@rx a" "id:5,phase:1,deny"
            SecMarker "END"
            SecRule ARGS "@rx a" "id:6,phase:2,deny"
            """)
        #expect(
            reduced == """


                SecRule ARGS "@rx a" \\
                    "id:2,phase:2,deny,chain"
                    SecRule ARGS "@rx b" "t:none"




                SecRule ARGS "@rx a" "id:5,phase:1,deny"
                SecMarker "END"
                SecRule ARGS "@rx a" "id:6,phase:2,deny"
                """)
    }

    @Test(
        "A file that is not understood stays as it is",
        arguments: [
            // No marker; a rule without phase; a rule in another spelling; a chain without end; a rule that counts rules.
            #"SecRule ARGS "@rx a" "id:4,phase:2,deny""#,
            "SecRule ARGS \"@rx a\" \"id:4,deny\"\nSecMarker \"END\"",
            "secrule ARGS \"@rx a\" \"id:4,phase:2,deny\"\nSecMarker \"END\"",
            "SecMarker \"END\"\nSecRule ARGS \"@rx a\" \"id:4,phase:2,deny,chain\"",
            "SecRule ARGS \"@rx a\" \"id:4,phase:1,pass,nolog,skip:1\"\nSecMarker \"END\"",
            "SecRule ARGS \"@rx a\" \"id:4,phase:1,pass,nolog,SKIP:1\"\nSecMarker \"END\"",
        ])
    func notUnderstood(rest: String) {
        let text = #"SecRule TX:EXECUTING_PARANOIA_LEVEL "@lt 2" "id:3,phase:2,pass,nolog,skipAfter:END""# + "\n" + rest
        #expect(Self.reduced(text) == text)
    }

    private static func reduced(_ text: String) -> String {
        let file = RuleFile(path: "", content: Array(text.utf8))
        let reduced = ParanoiaReduction(1...1).reduced(file, file.logicalLines)
        return String(decoding: reduced.content, as: UTF8.self)
    }

    private static func engine(_ levels: ClosedRange<Int>) throws -> SecLangEngine {
        var policy = FirewallPolicy.committed
        policy.paranoiaLevels = levels
        return try SecLangEngine(policy)
    }
}
