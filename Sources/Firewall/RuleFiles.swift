internal import FoundationEssentials

/// Which rule files are loaded, in which order, and what their rules look at.
struct RuleFiles {
    /// Parts of the core rule set that are left out: exclusions for other products (903) and for Apache's requests to
    /// itself (905), and rules that judge a client by its address and its pace (910, 912), which `RateLimit` and the
    /// address lists do, for the whole node and not for one worker. What judges answers is not loaded at all.
    static let omittedGroups = ["REQUEST-903", "REQUEST-905", "REQUEST-910", "REQUEST-912"]

    /// Rules of the core rule set that name circumstances, but not under our settings: 901410 and 901420 draw a sample
    /// where not every request is inspected, and every one is; 901321 and 949100 are removed by `drawbridge.conf`.
    private static let exemptRules: Set<Int> = [901321, 901410, 901420, 949100]

    /// Variables, operators and actions that make a verdict depend on more than the request.
    private static let circumstances = [
        "REMOTE_", "UNIQUE_ID", "TIME", "DURATION", "GEO", "GLOBAL", "IP:", "IP.", "SESSION", "USER:", "RESOURCE",
        "SERVER_", "ENV:", "@RBL", "@GEOLOOKUP", "@IPMATCH", "INITCOL", "SETSID", "SETUID", "EXPIREVAR", "DEPRECATEVAR",
        "EXEC:", "@INSPECTFILE",
    ]

    /// In the order of loading.
    let paths: [String]

    /// Numbers of the rules whose verdict depends on more than the request.
    let circumstantialRules: [Int]

    /// - Throws: `FirewallError` `rules` where a file or the core rule set is missing.
    init(_ policy: FirewallPolicy) throws(FirewallError) {
        let own = ["drawbridge.conf", "rules.conf", "exclusions.conf"].map { "\(policy.directory)/\($0)" }
        let core = try Self.coreRules(policy.coreRules)
        // Settings first. Our own rules before the others, so that what we refuse anyhow costs no inspection. Exclusions
        // name rules, so they come after them.
        paths = own.prefix(2) + core + own.suffix(1)
        var found: [Int] = []
        for path in paths { found += Self.circumstantialRules(in: try Self.read(path)) }
        circumstantialRules = found
    }

    private static func coreRules(_ directory: String) throws(FirewallError) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let rules = names.filter { name in
            name.hasPrefix("REQUEST-9") && name.hasSuffix(".conf") && !omittedGroups.contains { name.hasPrefix($0) }
        }
        guard rules.contains(where: { $0.hasPrefix("REQUEST-949") }) else {
            throw FirewallError(
                .rules, "\(directory): no core rule set here (Debian's package modsecurity-crs installs one)")
        }
        return rules.sorted().map { "\(directory)/\($0)" }
    }

    private static func read(_ path: String) throws(FirewallError) -> String {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw FirewallError(.rules, "\(path): cannot be read")
        }
        return String(decoding: data, as: UTF8.self)
    }

    /// A rule's text is all its lines, a chain's all its rules. The words are looked for in what a rule examines and does,
    /// not in its patterns and messages.
    static func circumstantialRules(in text: String) -> [Int] {
        var found: [Int] = []
        var current = 0
        for line in logicalLines(of: text) {
            guard let directive = SecLangDirective(line), directive.name.hasPrefix("Sec") else { continue }
            if let id = directive.ruleID { current = id }
            let isNamed = circumstances.contains { directive.examined.contains($0) }
            if isNamed, !exemptRules.contains(current), found.last != current { found.append(current) }
        }
        return found
    }

    /// Lines without comments, continued ones joined.
    private static func logicalLines(of text: String) -> [String] {
        var lines: [String] = []
        var open = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let line = line.trimmed()
            if open.isEmpty, line.hasPrefix("#") { continue }
            if line.hasSuffix("\\") {
                open += line.dropLast()
            } else {
                lines.append(open + line)
                open = ""
            }
        }
        return lines + [open]
    }
}

/// One directive of a rule file, as far as `RuleFiles` must understand it.
struct SecLangDirective {
    let name: Substring
    /// The rule's number; a chain's later rules have none.
    let ruleID: Int?
    /// What it looks at and what it does, in capitals: variables, operator name, actions without messages.
    let examined: String

    init?(_ line: String) {
        let arguments = Self.arguments(of: line)
        guard let name = arguments.first else { return nil }
        self.name = name
        let isRule = name == "SecRule"
        let actions = isRule ? arguments.dropFirst(3).first : name == "SecAction" ? arguments.dropFirst(1).first : nil
        let parts = Self.parts(of: actions ?? "")
        ruleID = parts.first { $0.hasPrefix("id:") }.flatMap { Int($0.dropFirst(3).filter { $0 != "'" }) }
        var examined = parts.filter { part in !["msg:", "logdata:", "tag:", "ver:"].contains { part.hasPrefix($0) } }
        if isRule, arguments.count > 2 {
            examined.append(arguments[1])
            let test = arguments[2].drop { $0 == "!" }
            if test.hasPrefix("@") { examined.append(test.prefix { $0 != " " }) }
            // A macro in an operator's parameter: %{remote_addr}.
            examined += test.split(separator: "%{").dropFirst()
        }
        self.examined = examined.joined(separator: " ").uppercased()
    }

    /// Splits at blanks outside of double quotes, which go.
    private static func arguments(of line: String) -> [Substring] {
        var arguments: [Substring] = []
        var rest = line[...]
        while true {
            rest = rest.drop { $0 == " " || $0 == "\t" }
            guard let first = rest.first else { return arguments }
            var end = first == "\"" ? rest.index(after: rest.startIndex) : rest.startIndex
            let start = end
            while end < rest.endIndex {
                let character = rest[end]
                if character == "\\", rest.index(after: end) < rest.endIndex {
                    end = rest.index(end, offsetBy: 2)
                    continue
                }
                if first == "\"" ? character == "\"" : character == " " || character == "\t" { break }
                end = rest.index(after: end)
            }
            arguments.append(rest[start..<end])
            rest = rest[end...].dropFirst()
        }
    }

    /// Splits actions at commas outside of single quotes.
    private static func parts(of actions: Substring) -> [Substring] {
        var isQuoted = false
        return actions.split { character in
            if character == "'" { isQuoted.toggle() }
            return character == "," && !isQuoted
        }.map { $0.trimmed() }
    }
}

extension Substring {
    fileprivate func trimmed() -> Substring {
        var rest = drop { $0 == " " || $0 == "\t" || $0 == "\r" }
        while let last = rest.last, last == " " || last == "\t" || last == "\r" { rest.removeLast() }
        return rest
    }
}
