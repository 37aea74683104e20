internal import FoundationEssentials

/// Which rule files are loaded, in which order, and what their rules look at.
struct RuleFiles {
    /// Parts of the core rule set that are left out: exclusions for other products (903) and for Apache's requests to
    /// itself (905), and rules that judge a client by its address and its pace (910, 912), which `RateLimit` and the
    /// address lists do, for the whole node and not for one worker. What judges answers is not loaded at all.
    static let omittedGroups = ["REQUEST-903", "REQUEST-905", "REQUEST-910", "REQUEST-912"]

    /// Rules of the core rule set that name circumstances, but not under our settings: 901410 and 901420 draw a sample
    /// where not every request is inspected, and every one is; 901321 and 949100 are removed, and those of group 913
    /// note an address only where addresses are blocked for their past. `drawbridge.conf` says so.
    private static let exemptRules: Set<Int> = [
        901321, 901410, 901420, 913100, 913101, 913102, 913110, 913120, 949100,
    ]

    /// Variables, collections, operators and actions that make a verdict depend on more than the request.
    private static let circumstances: Set<Substring> = [
        "DURATION", "ENV", "GEO", "GLOBAL", "IP", "MODSEC_BUILD", "RESOURCE", "SESSION", "SESSIONID", "TIME",
        "UNIQUE_ID",
        "USER", "USERID", "@RBL", "@GEOLOOKUP", "@GSBLOOKUP", "@IPMATCH", "@IPMATCHF", "@IPMATCHFROMFILE",
        "@INSPECTFILE",
        "INITCOL", "SETSID", "SETUID", "SETRSC", "EXPIREVAR", "DEPRECATEVAR", "EXEC",
    ]

    /// The same for groups of variables.
    private static let circumstancePrefixes = ["REMOTE_", "SERVER_", "TIME_"]

    /// In the order of loading.
    let files: [RuleFile]

    /// Numbers of the rules whose verdict depends on more than the request.
    let circumstantialRules: [Int]

    /// The paranoia levels whose rules are all there. Nil where rules of ours, or a rule set we do not know, might
    /// change the level of a request, so that all rules had to stay.
    let paranoiaLevels: ClosedRange<Int>?

    /// - Throws: `FirewallError` `rules` where a file or the core rule set is missing.
    init(_ policy: FirewallPolicy) throws(FirewallError) {
        var paths = Paths(policy)
        try paths.findCoreRules()
        let own = paths.own
        var files: [(file: RuleFile, lines: [RuleFile.LogicalLine])] = []
        var found: [Int] = []
        var isLevelFixed = true
        for path in paths.all {
            let file = try RuleFile(path)
            let lines = file.logicalLines
            try Self.check(lines, of: file)
            found += Self.circumstantialRules(in: lines)
            isLevelFixed = isLevelFixed && !ParanoiaReduction.mayChangeLevel(lines, isOwn: own.contains(path))
            files.append((file, lines))
        }
        circumstantialRules = found
        paranoiaLevels = isLevelFixed ? policy.paranoiaLevels : nil
        let reduction = isLevelFixed ? ParanoiaReduction(policy.paranoiaLevels) : nil
        self.files = files.map { file, lines in
            own.contains(file.path) ? file : reduction?.reduced(file, lines) ?? file
        }
    }

    /// Where the files are.
    struct Paths {
        /// Ours.
        let own: [String]
        private let coreRules: String
        private var core: [String] = []

        init(_ policy: FirewallPolicy) {
            own = ["drawbridge.conf", "rules.conf", "exclusions.conf"].map { "\(policy.directory)/\($0)" }
            coreRules = policy.coreRules
        }

        /// Settings first. Our own rules before the others, so that what we refuse anyhow costs no inspection.
        /// Exclusions name rules, so they come after them.
        var all: [String] { own.prefix(2) + core + own.suffix(1) }

        mutating func findCoreRules() throws(FirewallError) {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: coreRules)) ?? []
            let rules = names.filter { name in
                name.hasPrefix("REQUEST-9") && name.hasSuffix(".conf") && !omittedGroups.contains { name.hasPrefix($0) }
            }
            guard rules.contains(where: { $0.hasPrefix("REQUEST-949") }) else {
                throw FirewallError(
                    .rules, "\(coreRules): no core rule set here (Debian's package modsecurity-crs installs one)")
            }
            core = rules.sorted().map { "\(coreRules)/\($0)" }
        }
    }

    /// A rule's text is all its lines, a chain's all its rules. The words are looked for in what a rule examines and
    /// does, not in its patterns and messages.
    static func circumstantialRules(in lines: [RuleFile.LogicalLine]) -> [Int] {
        var found: [Int] = []
        var current = 0
        for line in lines {
            guard let directive = line.directive, directive.name.lowercased().hasPrefix("sec") else { continue }
            if let id = directive.ruleID { current = id }
            if directive.words.contains(where: isCircumstance), !exemptRules.contains(current), found.last != current {
                found.append(current)
            }
        }
        return found
    }

    private static func isCircumstance(_ word: Substring) -> Bool {
        circumstances.contains(word) || circumstancePrefixes.contains { word.hasPrefix($0) }
    }

    /// Finds what libmodsecurity would load without a word, and should not.
    private static func check(_ lines: [RuleFile.LogicalLine], of file: RuleFile) throws(FirewallError) {
        if let mistake = RuleChain.all(in: lines).lazy.flatMap({ $0.mistakes(in: file) }).first {
            throw FirewallError(.rules, mistake.description)
        }
    }
}
