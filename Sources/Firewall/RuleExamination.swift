internal import Loop

/// Looks for every mistake in the rule files of a policy. libmodsecurity stops at the first, so where rules cannot be
/// loaded, each directive is tried on its own.
///
/// For a process that ends soon: the library gives nothing back of what it has loaded.
public struct RuleExamination {
    /// The most mistakes that are told, and how long they are looked for.
    private static let mistakeBound = 100
    private static let timeBound = Duration.seconds(20)

    private var mistakes: [RuleMistake] = []
    /// Where the numbers of rules stand for the first time.
    private var places: [Int: String] = [:]
    private let end = Loop.monotonicNanoseconds + UInt64(timeBound / .nanoseconds(1))

    /// The mistakes in the rules of a policy, in the order in which files are loaded; none where `SecLangEngine` takes
    /// them.
    public static func mistakes(in policy: FirewallPolicy) -> [RuleMistake] {
        do throws(FirewallError) {
            _ = try SecLangEngine(policy)
            return []
        } catch {
            var examination = RuleExamination()
            examination.examine(policy)
            // Something that no file is at fault for.
            return examination.mistakes.isEmpty
                ? [RuleMistake(policy.directory, found: error.message, expected: "rules that can be loaded")]
                : Array(examination.mistakes.prefix(mistakeBound))
        }
    }

    private var isOver: Bool { mistakes.count >= Self.mistakeBound || Loop.monotonicNanoseconds > end }

    private mutating func examine(_ policy: FirewallPolicy) {
        var paths = RuleFiles.Paths(policy)
        do throws(FirewallError) { try paths.findCoreRules() } catch {
            mistakes.append(
                RuleMistake(
                    policy.coreRules, found: "no core rule set",
                    expected: "that of Debian's package modsecurity-crs, or another directory"))
        }
        var rest: [RuleFile] = []
        for path in paths.all {
            let count = mistakes.count
            do throws(FirewallError) { rest.append(examine(try RuleFile(path))) } catch {
                mistakes.append(RuleMistake(path, found: error.message, expected: "a file of rules"))
            }
            mistakes[count...].sort { $0.line < $1.line }
        }
        // What was found hides nothing of what files that are in order each do to each other.
        if !isOver, let refusal = Rules.refusal(of: rest) {
            let complaint = LibraryComplaint(refusal.reason)
            mistakes.append(
                RuleMistake(
                    refusal.path, line: complaint.line ?? 0, found: complaint.found, expected: complaint.expected))
        }
    }

    /// Finds the mistakes in one file.
    ///
    /// - Returns: the file without the directives at fault.
    private mutating func examine(_ file: RuleFile) -> RuleFile {
        var chains = RuleChain.all(in: file.logicalLines)
        chains.removeAll { chain in
            let found = chain.mistakes(in: file)
            mistakes += found
            return !found.isEmpty || isRepeated(chain, in: file)
        }
        guard Rules.refusal(of: [RuleChain.file(of: chains, in: file)]) != nil else {
            return RuleChain.file(of: chains, in: file)
        }
        chains.removeAll { chain in
            guard !isOver, let refusal = Rules.refusal(of: [RuleChain.file(of: [chain], in: file)]) else {
                return false
            }
            note(LibraryComplaint(refusal.reason), chain, in: file)
            return true
        }
        // What only all of them together are at fault for.
        while !isOver, let refusal = Rules.refusal(of: [RuleChain.file(of: chains, in: file)]) {
            let complaint = LibraryComplaint(refusal.reason)
            guard let line = complaint.line, let index = chains.firstIndex(where: { $0.range.contains(line - 1) })
            else {
                mistakes.append(RuleMistake(file.path, found: complaint.found, expected: complaint.expected))
                return RuleFile(path: file.path, content: [])
            }
            note(complaint, chains.remove(at: index), in: file)
        }
        return RuleChain.file(of: chains, in: file)
    }

    private mutating func isRepeated(_ chain: RuleChain, in file: RuleFile) -> Bool {
        guard let number = chain.ruleID else { return false }
        if let place = places[number] {
            mistakes.append(
                RuleMistake(
                    file, chain.lines[0], found: "the number \(number) for a second time",
                    expected: "one that no other rule has (\(place))"))
            return true
        }
        places[number] = "\(file.path):\(chain.range.lowerBound + 1)"
        return false
    }

    /// The library names the line at which it gave up, or a pattern; it stands in one of the chain's directives.
    private mutating func note(_ complaint: LibraryComplaint, _ chain: RuleChain, in file: RuleFile) {
        let line =
            chain.lines.first { line in complaint.line.map { line.range.contains($0 - 1) } ?? false }
            ?? chain.lines.first { $0.text.contains(complaint.found) } ?? chain.lines[0]
        mistakes.append(RuleMistake(file, line, found: complaint.found, expected: complaint.expected))
    }
}
