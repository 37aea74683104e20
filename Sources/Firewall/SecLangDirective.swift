/// One directive of a rule file, as far as `RuleFiles` must understand it.
///
/// Names of directives and actions have no letter case: libmodsecurity takes `secrule` as it does `SecRule`.
struct SecLangDirective {
    /// As written.
    let name: Substring

    /// Variables of a rule, the value of a setting; empty where there is none.
    let firstArgument: Substring

    /// What a rule seeks in its variables, as written; empty where there is none.
    let test: Substring

    /// In their order, without the quotes around all of them.
    let actions: [Substring]

    /// The rule's number; a chain's later rules have none.
    let ruleID: Int?

    /// Such as `@rx`; nil where there is none, which means `@rx`.
    let operatorName: Substring?

    /// What it looks at and what it does, in capitals: the names of its variables, of its operator, of its actions, and
    /// of the collections that macros and `setvar` name. Not the words of patterns and messages.
    let words: [Substring]

    /// Whether every quotation mark that opens an argument is followed by another that closes it.
    let isClosed: Bool

    /// Whether it is a rule, with a condition or without.
    let isRule: Bool

    /// Whether the next rule belongs to it.
    var isChained: Bool { isRule && actions.contains { $0.lowercased() == "chain" } }

    init?(_ line: String) {
        let (arguments, isClosed) = Self.arguments(of: line)
        guard let name = arguments.first else { return nil }
        self.name = name
        self.isClosed = isClosed
        firstArgument = arguments.dropFirst().first ?? ""
        let kind = name.lowercased()
        let isRule = kind == "secrule"
        self.isRule = isRule || kind == "secaction"
        test = isRule ? arguments.dropFirst(2).first ?? "" : ""
        actions = Self.parts(of: arguments.dropFirst(isRule ? 3 : 1).first ?? "")
        ruleID = actions.first { $0.prefix(3).lowercased() == "id:" }.flatMap {
            Int($0.dropFirst(3).filter { $0 != "'" })
        }
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
        let name = head(of: action).lowercased()[...]
        guard !["msg", "logdata", "tag", "ver", "skipafter"].contains(name) else { return [] }
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
    private static func arguments(of line: String) -> (arguments: [Substring], isClosed: Bool) {
        var arguments: [Substring] = []
        var rest = line[...]
        var isClosed = true
        while true {
            rest = rest.drop { $0 == " " || $0 == "\t" }
            guard let first = rest.first else { return (arguments, isClosed) }
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
            if first == "\"", end == rest.endIndex { isClosed = false }
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
    func trimmed() -> Substring {
        var rest = drop { $0 == " " || $0 == "\t" || $0 == "\r" }
        while let last = rest.last, last == " " || last == "\t" || last == "\r" { rest.removeLast() }
        return rest
    }
}
