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
    let paths: [String]

    /// Numbers of the rules whose verdict depends on more than the request.
    let circumstantialRules: [Int]

    /// - Throws: `FirewallError` `rules` where a file or the core rule set is missing.
    init(_ policy: FirewallPolicy) throws(FirewallError) {
        let own = ["drawbridge.conf", "rules.conf", "exclusions.conf"].map { "\(policy.directory)/\($0)" }
        let core = try Self.coreRules(policy.coreRules)
        // Settings first. Our own rules before the others, so that what we refuse anyhow costs no inspection.
        // Exclusions name rules, so they come after them.
        paths = own.prefix(2) + core + own.suffix(1)
        var found: [Int] = []
        for path in paths {
            let text = try Self.read(path)
            found += Self.circumstantialRules(in: text)
            try Self.check(text, path)
        }
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

    /// A rule's text is all its lines, a chain's all its rules. The words are looked for in what a rule examines and
    /// does, not in its patterns and messages.
    static func circumstantialRules(in text: String) -> [Int] {
        var found: [Int] = []
        var current = 0
        for (_, line) in logicalLines(of: text) {
            guard let directive = SecLangDirective(line), directive.name.hasPrefix("Sec") else { continue }
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
    private static func check(_ text: String, _ path: String) throws(FirewallError) {
        for (number, line) in logicalLines(of: text) {
            guard let directive = SecLangDirective(line), let mistake = mistake(in: directive) else { continue }
            throw FirewallError(.rules, "\(path): Line: \(number). \(mistake)")
        }
    }

    private static func mistake(in directive: SecLangDirective) -> String? {
        // It takes an unknown operator, such as `@conatins x`, for a regular expression: a rule that never matches.
        if let name = directive.operatorName, !operators.contains(name.lowercased()) {
            return "Unknown operator \(name)"
        }
        switch directive.name.lowercased() {
        case "include", "includeoptional", "secremoterules": return "All rules stand in the files that are loaded"
        case "secruleengine" where directive.firstArgument.lowercased() != "on":
            return "The engine is always on; each route has a mode"
        case "secrulescript": return "Scripts are not run: they may take any time"
        default: return nil
        }
    }

    /// Those of libmodsecurity 3.0.9.
    private static let operators: Set<String> = [
        "@beginswith", "@contains", "@containsword", "@detectsqli", "@detectxss", "@endswith", "@eq", "@fuzzyhash",
        "@ge",
        "@geolookup", "@gsblookup", "@gt", "@inspectfile", "@ipmatch", "@ipmatchf", "@ipmatchfromfile", "@le", "@lt",
        "@nomatch", "@pm", "@pmf", "@pmfromfile", "@rbl", "@rsub", "@rx", "@rxglobal", "@streq", "@strmatch",
        "@unconditionalmatch", "@validatebyterange", "@validatedtd", "@validatehash", "@validateschema",
        "@validateurlencoding", "@validateutf8encoding", "@verifycc", "@verifycpf", "@verifyssn", "@verifysvnr",
        "@within",
    ]

    /// Lines without comments, continued ones joined, each with its number, counted from 1.
    private static func logicalLines(of text: String) -> [(number: Int, text: String)] {
        var lines: [(Int, String)] = []
        var open = ""
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = line.trimmed()
            if open.isEmpty, line.hasPrefix("#") { continue }
            if line.hasSuffix("\\") {
                open += line.dropLast()
            } else {
                lines.append((index + 1, open + line))
                open = ""
            }
        }
        return lines
    }
}

/// One directive of a rule file, as far as `RuleFiles` must understand it.
struct SecLangDirective {
    let name: Substring

    /// Variables of a rule, the value of a setting; empty where there is none.
    let firstArgument: Substring

    /// The rule's number; a chain's later rules have none.
    let ruleID: Int?

    /// Such as `@rx`; nil where there is none, which means `@rx`.
    let operatorName: Substring?

    /// What it looks at and what it does, in capitals: the names of its variables, of its operator, of its actions, and
    /// of the collections that macros and `setvar` name. Not the words of patterns and messages.
    let words: [Substring]

    init?(_ line: String) {
        let arguments = Self.arguments(of: line)
        guard let name = arguments.first else { return nil }
        self.name = name
        firstArgument = arguments.dropFirst().first ?? ""
        let isRule = name == "SecRule"
        let actions = Self.parts(of: arguments.dropFirst(isRule ? 3 : 1).first ?? "")
        ruleID = actions.first { $0.hasPrefix("id:") }.flatMap { Int($0.dropFirst(3).filter { $0 != "'" }) }
        var words = actions.flatMap(Self.words(of:))
        var operatorName: Substring?
        if isRule, arguments.count > 2 {
            words += arguments[1].split(separator: "|").map { Self.head(of: $0.drop { $0 == "&" || $0 == "!" }) }
            let test = arguments[2].drop { $0 == "!" }
            operatorName = test.hasPrefix("@") ? test.prefix { $0 != " " } : nil
            words += Self.macros(of: test) + [operatorName ?? ""]
        }
        self.operatorName = operatorName
        self.words = words.map { $0.uppercased()[...] }
    }

    private static func words(of action: Substring) -> [Substring] {
        let name = head(of: action)
        guard !["msg", "logdata", "tag", "ver", "skipAfter"].contains(name) else { return [] }
        let value = action.dropFirst(name.count + 1)
        let target = name == "setvar" ? [head(of: value.drop { $0 == "'" || $0 == "!" })] : []
        return [name] + target + macros(of: action)
    }

    /// The first parts of macros: `ip` of `%{ip.count}`.
    private static func macros(of text: Substring) -> [Substring] {
        var found: [Substring] = []
        var rest = text
        while let start = rest.firstIndex(of: "%") {
            rest = rest[start...].dropFirst()
            if rest.first == "{" { found.append(head(of: rest.dropFirst())) }
        }
        return found
    }

    /// The name at the start.
    private static func head(of text: Substring) -> Substring {
        text.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
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
