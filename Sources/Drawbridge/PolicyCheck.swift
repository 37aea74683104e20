internal import Firewall
internal import Policy

/// Everything that policies say, with the files that they name: what `policy check` prints.
enum PolicyCheck {
    /// The mistakes, a line each; none where the policies can be put in force.
    static func mistakes(in policies: PolicyDirectory) -> [String] {
        var mistakes: [String] = []
        do throws(PolicyError) { try policies.check() } catch { mistakes = error.mistakes.map(\.description) }
        return mistakes + ruleMistakes(in: policies)
    }

    /// Those in the firewall's rules alone, which each reload asks for first.
    static func ruleMistakes(in policies: PolicyDirectory) -> [String] {
        var rules = FirewallPolicy(directory: policies.firewallRules)
        if let inspection = try? policies.inspection() { rules.coreRules = inspection.coreRules }
        return RuleExamination.mistakes(in: rules).map(\.description)
    }
}
