import HTTP
import Testing

@testable import Firewall

/// Loading rules, and knowing what they look at.
@Suite struct RuleFileTests {
    @Test(
        "A mistake in a rule file is told, with the file and where it is",
        arguments: [
            "SecNonsense On", "SecRuleEngine Off", "SecRuleEngine DetectionOnly", "Include more.conf",
            #"SecRuleScript "x.lua" "id:1,phase:2,deny""#, #"SecRule ARGS "@conatins x" "id:1,phase:2,deny""#,
            #"SecRule NO_SUCH "@rx x" "id:1,phase:2,deny""#,
            #"SecRule ARGS "@rx x" "id:1,phase:2,dny""#, #"SecRule ARGS "@rx x" "phase:2,deny""#,
            #"SecRule ARGS "@rx +line: (" "id:1,phase:2,deny""#, #"SecRule ARGS "@rx x" "id:1,phase:2,deny"#,
            #"SecRule ARGS "@rx x" "id:1,phase:2,deny,chain""#,
        ])
    func mistake(line: String) throws {
        let directory = try RuleDirectory()
        let count = try directory.append("\n\n\(line)\n", to: "exclusions.conf")
        let error = try #require(throws: FirewallError.self) { _ = try SecLangEngine(directory.policy) }
        #expect(error.code == .rules)
        // As we say it, and as the library does.
        let names = ["exclusions.conf:\(count)", "exclusions.conf: "]
        #expect(names.contains { error.message.contains($0) }, "\(error)")
        let found = RuleExamination.mistakes(in: directory.policy)
        #expect(found.map(\.line) == [count], "\(found)")
    }

    @Test("A number given twice is told")
    func duplicate() throws {
        let directory = try RuleDirectory()
        try directory.append("SecRule ARGS \"@rx x\" \"id:10100,phase:2,deny\"\n", to: "exclusions.conf")
        let error = try #require(throws: FirewallError.self) { _ = try SecLangEngine(directory.policy) }
        #expect(error.message.contains("10100"))
    }

    @Test("A missing file, or a missing core rule set, is told")
    func missing() throws {
        #expect(throws: FirewallError.self) { _ = try SecLangEngine(FirewallPolicy(directory: "/nowhere")) }
        var policy = FirewallPolicy.committed
        policy.coreRules = "/nowhere"
        let error = #expect(throws: FirewallError.self) { _ = try SecLangEngine(policy) }
        #expect(error?.message.contains("/nowhere") == true)
    }

    @Test("The committed rules depend on the request alone")
    func committed() throws {
        let engine = try SecLangEngine(.committed)
        #expect(engine.circumstantialRules == [] && !engine.dependsOnCircumstances, "\(engine.circumstantialRules)")
    }

    @Test(
        "A rule that looks at address, time or the past is noticed",
        arguments: [
            #"SecRule REMOTE_ADDR "@ipMatch 192.0.2.0/24" "id:11000,phase:1,deny""#,
            #"SecRule TIME_HOUR "@gt 22" "id:11000,phase:1,deny""#,
            #"secrule remote_addr "@ipMatch 192.0.2.0/24" "ID:11000,phase:1,deny""#,
            #"SECACTION "id:11000,phase:1,pass,nolog,SETVAR:ip.count=1""#,
            "secrule ARGS \"@rx a\" \"id:11000,phase:1,deny,CHAIN\"\nSecRULE REMOTE_ADDR \"@rx b\"",
            #"SecRule ARGS:ip "@streq %{remote_addr}" "id:11000,phase:2,deny""#,
            #"SecAction "id:11000,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}""#,
            "SecRule ARGS \"@rx a\" \\\n  \"id:11000,phase:2,deny,chain\"\n  SecRule GEO:COUNTRY_CODE \"@streq XX\"",
            #"SecRule IP:count "@gt 5" "id:11000,phase:2,deny""#,
        ])
    func circumstances(rule: String) {
        #expect(Self.circumstantialRules(in: "# REMOTE_ADDR\n\n\(rule)\n") == [11000])
    }

    @Test(
        "What a rule only says or seeks is no circumstance",
        arguments: [
            #"SecRule ARGS "@rx REMOTE_ADDR|TIME" "id:11000,phase:2,deny,msg:'TIME and REMOTE_ADDR'""#,
            #"# SecRule REMOTE_ADDR "@ipMatch 192.0.2.0/24" "id:11000,phase:1,deny""#,
            "SecRuleRemoveById 949100",
        ])
    func noCircumstances(rule: String) { #expect(Self.circumstantialRules(in: rule) == []) }

    private static func circumstantialRules(in text: String) -> [Int] {
        RuleFiles.circumstantialRules(in: RuleFile(path: "", content: Array(text.utf8)).logicalLines)
    }

    @Test("A rule that redirects refuses")
    func redirection() throws {
        let directory = try RuleDirectory()
        try directory.append(
            #"SecRule ARGS:x "@streq y" "id:11001,phase:2,redirect:https://x.example/,log""# + "\n", to: "rules.conf")
        let engine = try SecLangEngine(directory.policy)
        let finding = try engine.inspect(TestRequest.get("/?x=y").request, FirewallSettings(), within: .seconds(1))
        #expect(finding.refusal == .forbidden)
    }
}
