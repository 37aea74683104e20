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
        let id = actions.first { $0.prefix(3).lowercased() == "id:" }
        ruleID = id.flatMap { Int($0.dropFirst(3).filter { $0 != "'" }) }
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
        var rest = text.utf8[...]
        while let start = rest.firstIndex(of: UInt8(ascii: "%")) {
            rest = rest[start...].dropFirst()
            if rest.first == UInt8(ascii: "{") { found.append(head(of: Substring(rest.dropFirst()))) }
        }
        return found
    }

    /// The name at the start.
    private static func head(of text: Substring) -> Substring { Substring(text.utf8.prefix(while: isOfName)) }

    private static func isOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...:
            true
        default: false
        }
    }

    /// Splits at blanks outside of double quotes, which go.
    private static func arguments(of line: String) -> (arguments: [Substring], isClosed: Bool) {
        var arguments: [Substring] = []
        var rest = line.utf8[...]
        var isClosed = true
        while true {
            rest = rest.drop(while: isBlank)
            guard let first = rest.first else { return (arguments, isClosed) }
            let isQuoted = first == UInt8(ascii: "\"")
            if isQuoted { rest = rest.dropFirst() }
            var isEscaped = false
            let end = rest.firstIndex { byte in
                defer { isEscaped = !isEscaped && byte == UInt8(ascii: "\\") }
                return !isEscaped && (isQuoted ? byte == UInt8(ascii: "\"") : isBlank(byte))
            }
            if isQuoted, end == nil { isClosed = false }
            arguments.append(Substring(rest[..<(end ?? rest.endIndex)]))
            rest = rest[(end ?? rest.endIndex)...].dropFirst()
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    /// Splits actions at commas outside of single quotes.
    private static func parts(of actions: Substring) -> [Substring] {
        var isQuoted = false
        return actions.utf8.split { byte in
            if byte == UInt8(ascii: "'") { isQuoted.toggle() }
            return byte == UInt8(ascii: ",") && !isQuoted
        }.map { Substring($0).trimmed() }
    }
}

extension Substring {
    /// Byte by byte, as the library reads: comparing characters takes most of the time of loading.
    func trimmed() -> Substring {
        func isBlank(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
        }
        var rest = utf8.drop(while: isBlank)
        while let last = rest.last, isBlank(last) { rest.removeLast() }
        return Substring(rest)
    }
}
