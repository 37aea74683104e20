/// A rule with those that are chained to it, or any other directive.
struct RuleChain {
    let lines: [RuleFile.LogicalLine]
    private let directives: [SecLangDirective]

    /// Lines of the file, counted from 0.
    var range: Range<Int> { lines[0].range.lowerBound..<lines[lines.count - 1].range.upperBound }

    /// The number of the rule that begins it.
    var ruleID: Int? { directives[0].ruleID }

    static func all(in fileLines: [RuleFile.LogicalLine]) -> [RuleChain] {
        var chains: [RuleChain] = []
        var (lines, directives): ([RuleFile.LogicalLine], [SecLangDirective]) = ([], [])
        for line in fileLines {
            guard let directive = line.directive else { continue }
            lines.append(line)
            directives.append(directive)
            if directive.isChained { continue }
            chains.append(RuleChain(lines: lines, directives: directives))
            (lines, directives) = ([], [])
        }
        return lines.isEmpty ? chains : chains + [RuleChain(lines: lines, directives: directives)]
    }

    /// A file with these alone; lines keep their numbers.
    static func file(of chains: [RuleChain], in file: RuleFile) -> RuleFile {
        let lines = file.content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        var kept = [ArraySlice<UInt8>](repeating: [], count: lines.count)
        for line in chains.flatMap(\.lines) { kept.replaceSubrange(line.range, with: lines[line.range]) }
        return RuleFile(path: file.path, content: Array(kept.joined(separator: [UInt8(ascii: "\n")])))
    }

    /// What libmodsecurity would load without a word, and should not.
    func mistakes(in file: RuleFile) -> [RuleMistake] {
        var mistakes = zip(lines, directives).compactMap { Self.mistake(in: file, $0, $1) }
        if directives[0].isChained, directives.last?.isChained != false || !directives.allSatisfy(\.isRule) {
            mistakes.append(
                RuleMistake(file, lines[0], found: "a chain that does not end in a rule", expected: "one that does"))
        }
        return mistakes
    }

    private static func mistake(
        in file: RuleFile, _ line: RuleFile.LogicalLine, _ directive: SecLangDirective
    ) -> RuleMistake? {
        guard directive.isClosed else {
            return RuleMistake(file, line, found: "a quotation mark that opens", expected: "one that closes, too")
        }
        // It takes an unknown operator, such as `@conatins x`, for a regular expression: a rule that never matches.
        if let name = directive.operatorName, !operators.contains(name.lowercased()) {
            return RuleMistake(file, line, found: "the operator \(name)", expected: "one that libmodsecurity has")
        }
        switch directive.name.lowercased() {
        case "include", "includeoptional", "secremoterules":
            return RuleMistake(file, line, found: "other rules", expected: "all rules in the files that are loaded")
        case "secruleengine" where directive.firstArgument.lowercased() != "on":
            return RuleMistake(
                file, line, found: String(directive.firstArgument), expected: "On, for each route has a mode")
        case "secrulescript":
            return RuleMistake(file, line, found: "a script", expected: "rules: a script may take any time")
        default: return nil
        }
    }

    /// Those of libmodsecurity 3.0.9.
    private static let operators: Set<String> = [
        "@beginswith", "@contains", "@containsword", "@detectsqli", "@detectxss", "@endswith", "@eq", "@fuzzyhash",
        "@ge", "@geolookup", "@gsblookup", "@gt", "@inspectfile", "@ipmatch", "@ipmatchf", "@ipmatchfromfile", "@le",
        "@lt", "@nomatch", "@pm", "@pmf", "@pmfromfile", "@rbl", "@rsub", "@rx", "@rxglobal", "@streq", "@strmatch",
        "@unconditionalmatch", "@validatebyterange", "@validatedtd", "@validatehash", "@validateschema",
        "@validateurlencoding", "@validateutf8encoding", "@verifycc", "@verifycpf", "@verifyssn", "@verifysvnr",
        "@within",
    ]
}
