internal import Firewall
internal import Policy

/// Everything that policies say, with the files that they name: what `policy check` prints and what each reload asks first.
enum PolicyCheck {
    /// The mistakes, a line each; none where the policies can be put in force.
    static func mistakes(in policies: PolicyDirectory) -> [String] {
        var mistakes: [String] = []
        do throws(PolicyError) { try policies.check() } catch { mistakes = error.mistakes.map(\.description) }
        var rules = FirewallPolicy(directory: policies.firewallRules)
        if let inspection = try? policies.inspection() { rules.coreRules = inspection.coreRules }
        return mistakes + RuleExamination.mistakes(in: rules).map(\.description)
    }
}
