/// Takes out of a file of the core rule set what no inspection would reach.
///
/// The rules of each paranoia level stand between a guard and a marker:
///
///     SecRule TX:EXECUTING_PARANOIA_LEVEL "@lt 2" "id:942013,phase:1,pass,nolog,skipAfter:END-REQUEST-942-…"
///     …
///     SecMarker "END-REQUEST-942-…"
///
/// The levels that routes ask for are known when the rules are loaded. A guard above them all skips what follows every
/// time, a guard below them all never does; both go, and what the former skips goes too. That spares each inspection an
/// eighth of its instructions, and each worker four mebibytes. What is inspected stays the same. Where a file says
/// anything else than the core rule set of Debian 12 in these places, it stays as it is.
struct ParanoiaReduction {
    private let levels: ClosedRange<Int>

    /// - Parameter levels: no request is inspected at any other.
    init(_ levels: ClosedRange<Int>) { self.levels = levels }

    /// The file without these rules and without comments. Lines keep their numbers.
    ///
    /// - Parameter logicalLines: the file's.
    func reduced(_ file: RuleFile, _ logicalLines: [RuleFile.LogicalLine]) -> RuleFile {
        var passage = Passage(levels: levels)
        let newline = UInt8(ascii: "\n")
        let lines = file.content.split(separator: newline, omittingEmptySubsequences: false)
        var kept = [ArraySlice<UInt8>](repeating: [], count: lines.count)
        for line in logicalLines {
            // Where something is not as expected all stays.
            guard let isKept = passage.keeps(line.directive) else { return file }
            if isKept { kept.replaceSubrange(line.range, with: lines[line.range]) }
        }
        guard passage.isWhole else { return file }
        return RuleFile(path: file.path, content: Array(kept.joined(separator: [newline])))
    }

    /// Whether a file may give requests another paranoia level than the one their route has.
    ///
    /// - Parameter isOwn: Files of ours are not to name a level at all. The core rule set itself sets one where there
    ///   is none, by the rules 901120 and 901125.
    static func mayChangeLevel(_ lines: [RuleFile.LogicalLine], isOwn: Bool) -> Bool {
        lines.contains { line in
            guard line.text.lowercased().contains("paranoia_level") else { return false }
            if isOwn { return true }
            guard let directive = line.directive else { return true }
            return ![901120, 901125].contains(directive.ruleID)
                && directive.actions.contains { $0.lowercased().contains("paranoia_level") }
        }
    }
}

/// A way through a file: which phases skip to which marker.
private struct Passage {
    let levels: ClosedRange<Int>
    private var markers: [Substring: Substring] = [:]
    /// While a chain goes on, whether its rules are kept.
    private var chainIsKept: Bool?

    init(levels: ClosedRange<Int>) { self.levels = levels }

    /// Whether each skip has found its marker, and each chain its end.
    var isWhole: Bool { markers.isEmpty && chainIsKept == nil }

    /// Whether a directive may be reached; nil where that cannot be told.
    mutating func keeps(_ directive: SecLangDirective?) -> Bool? {
        guard let directive else { return true }
        switch directive.name {
        case "SecRule", "SecAction":
            let isKept = chainIsKept ?? startIsKept(directive)
            chainIsKept = directive.isChained ? isKept : nil
            return isKept
        case "SecMarker":
            markers = markers.filter { $0.value != directive.firstArgument }
            return true
        default:
            // Perhaps a rule in another spelling, or something that counts rules.
            return directive.name == "SecComponentSignature" ? true : nil
        }
    }

    private mutating func startIsKept(_ directive: SecLangDirective) -> Bool? {
        // What counts rules must find them all.
        guard !directive.actions.contains(where: { $0.lowercased().hasPrefix("skip:") }) else { return nil }
        guard let phase = Self.phase(of: directive) else { return nil }
        if markers[phase] != nil { return false }
        guard let guardian = ParanoiaGuard(directive) else { return true }
        if guardian.level > levels.upperBound {
            markers[phase] = guardian.marker
            return false
        }
        return guardian.level > levels.lowerBound
    }

    /// Nil where it is not given as a number.
    private static func phase(of directive: SecLangDirective) -> Substring? {
        let phases = directive.actions.filter { $0.hasPrefix("phase:") }.map { $0.dropFirst("phase:".count) }
        guard phases.count == 1, let phase = phases.first, ["1", "2", "3", "4", "5"].contains(phase) else { return nil }
        return phase
    }
}

/// A rule that only skips to a marker, where the paranoia level is less than its own.
private struct ParanoiaGuard {
    let level: Int
    let marker: Substring

    init?(_ directive: SecLangDirective) {
        guard directive.firstArgument == "TX:EXECUTING_PARANOIA_LEVEL", directive.test.hasPrefix("@lt "),
            let level = Int(directive.test.dropFirst("@lt ".count)),
            directive.actions.count == 5, directive.actions[0].hasPrefix("id:"),
            directive.actions[1].hasPrefix("phase:"), directive.actions[2] == "pass", directive.actions[3] == "nolog",
            directive.actions[4].hasPrefix("skipAfter:")
        else { return nil }
        self.level = level
        marker = directive.actions[4].dropFirst("skipAfter:".count)
    }
}
