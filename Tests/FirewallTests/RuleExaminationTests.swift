import Testing

@testable import Firewall

/// Finding every mistake, where libmodsecurity stops at the first.
@Suite struct RuleExaminationTests {
    private static let wrong = """
        SecRule NO_SUCH "@rx x" "id:11001,phase:2,deny"
        SecRule ARGS "@rx x" \\
            "id:11002,\\
            phase:2,\\
            dny"
        SecNonsense On
        SecRule ARGS "@conatins x" "id:11003,phase:2,deny"
        SecRule ARGS "@rx fine" "id:11004,phase:2,deny"
        SecRule ARGS "@rx x" "id:10101,phase:2,deny"
        # A comment in a chain.
        SecRule ARGS "@rx x" "id:11005,phase:2,deny,chain"
            # And another.
            SecRule ARGS "@rx ( open" "t:none"
        SecRule ARGS "@rx x" "phase:2,deny"
        SecRule ARGS "@ipMatch 300.1.2.3" "id:11006,phase:2,deny"

        """

    @Test("The mistakes of all files are told, each with its line, in their order")
    func all() throws {
        let directory = try RuleDirectory()
        let rules = try directory.append(Self.wrong, to: "rules.conf") - 15
        let exclusions = try directory.append("SecRuleRemoveById abc\nSecRuleEngine Off\n", to: "exclusions.conf")
        let found = RuleExamination.mistakes(in: directory.policy)
        let lines = [1, 2, 6, 7, 9, 13, 14, 15].map { "rules.conf:\(rules + $0)" }
        let others = [exclusions - 1, exclusions].map { "exclusions.conf:\($0)" }
        let places = found.map { "\($0.file.split(separator: "/").last ?? ""):\($0.line)" }
        #expect(places == lines + others, "\(found)")
        #expect(
            found.map(\.directive).prefix(5) == [
                "SecRule 11001", "SecRule 11002", "SecNonsense", "SecRule 11003", "SecRule 10101",
            ])
        #expect(
            found[1].description
                == "\(directory.path)/rules.conf:\(rules + 2): SecRule 11002: found dny\", expected an action")
        #expect(found[4].expected.contains("rules.conf:"), "where the number is taken")
        #expect(found[5].found == "( open" && found[5].expected == "a regular expression")
    }

    @Test("What is wrong only beside another directive is told, too")
    func together() throws {
        let directory = try RuleDirectory()
        let twice = "SecDefaultAction \"phase:1,log,pass\"\n"
        let last = try directory.append(twice + twice + "SecNonsense On\n", to: "exclusions.conf")
        let found = RuleExamination.mistakes(in: directory.policy)
        #expect(found.count == 2 && found.last?.line == last, "\(found)")
        #expect(found.first?.directive == "SecDefaultAction", "\(found)")
    }

    @Test("So many mistakes that nobody could read them end the search")
    func bound() throws {
        let directory = try RuleDirectory()
        try directory.append(String(repeating: "SecNonsense On\n", count: 1000), to: "rules.conf")
        try directory.append("SecNonsense On\n", to: "exclusions.conf")
        // A mistake that no library is asked about.
        let twice = "SecRule ARGS \"@rx x\" \"id:11001,phase:2,deny\"\n"
        try directory.append(String(repeating: twice, count: 1000), to: "exclusions.conf")
        #expect(RuleExamination.mistakes(in: directory.policy).count == 100)
    }

    @Test("Missing files are told together, and rules that are in order give nothing")
    func missing() {
        let found = RuleExamination.mistakes(in: FirewallPolicy(directory: "/nowhere"))
        #expect(found.map(\.file) == ["drawbridge", "rules", "exclusions"].map { "/nowhere/\($0).conf" })
        var policy = FirewallPolicy.committed
        policy.coreRules = "/nowhere"
        #expect(RuleExamination.mistakes(in: policy).map(\.file) == ["/nowhere"])
        #expect(RuleExamination.mistakes(in: .committed) == [])
    }
}
