internal import CModSecurity
internal import HTTP
internal import Loop

/// Rules in ModSecurity's language (SecLang), judged by libmodsecurity 3.
///
/// **Reloading.** The library never gives back all that loaded rules have taken, so rules are loaded once in a process,
/// and changed by replacing the process: that is how any number of reloads leaves memory where it was.
///
/// **Threads.** Loading is for one thread, and nothing else in the process may load meanwhile (the parser has global
/// state, ModSecurity #2536). Afterwards inspections may run side by side: each has its own transaction, and the rules
/// are only read (valgrind's helgrind finds no race in the library while two threads inspect). What the library shares
/// between transactions are the collections GLOBAL, IP, SESSION, USER and RESOURCE, whose locking is wrong (#3054). No
/// rule in use touches them, which `drawbridge.conf` sees to for the core rule set; where another one does,
/// `dependsOnCircumstances` says so, and `Firewall` lets one inspection run at a time.
public final class SecLangEngine: FirewallEngine {
    /// Whether a rule looks at something that is no part of the request.
    public let dependsOnCircumstances: Bool

    /// The rules that do, by number; for a line in the log.
    public let circumstantialRules: [Int]

    /// All the rules of these levels are loaded; nil where all of all levels are, and requests may change theirs.
    private let paranoiaLevels: ClosedRange<Int>?

    private let rules: Rules

    /// Loads the rules of a policy.
    ///
    /// - Throws: `FirewallError` `rules` with the file, the line and the reason as the library gives them.
    public init(_ policy: FirewallPolicy) throws(FirewallError) {
        let files = try RuleFiles(policy)
        rules = try Rules(files.files)
        paranoiaLevels = files.paranoiaLevels
        circumstantialRules = files.circumstantialRules
        dependsOnCircumstances = !circumstantialRules.isEmpty
        try checkBounds()
    }

    public func inspect(
        _ request: FirewallRequest, _ settings: FirewallSettings, within bound: Duration
    ) throws(FirewallError) -> Finding {
        let inspection = try Inspection(rules, within: bound)
        if let paranoiaLevels {
            guard paranoiaLevels.contains(settings.paranoiaLevel) else {
                throw FirewallError(.failed, "the rules of paranoia level \(settings.paranoiaLevel) are not loaded")
            }
            try inspection.fix(settings.paranoiaLevel)
        }
        return try inspection.run(request, settings)
    }

    /// The bounds on regular expressions hang on the order in which the dynamic linker looks for symbols, so a program
    /// that is linked in another way must not go into service without them.
    private func checkBounds() throws(FirewallError) {
        let probe = RequestHead(method: .get, target: RequestTarget("/?a=b", authority: "localhost")!)
        let inspection = try Inspection(rules, within: .seconds(60))
        let request = FirewallRequest(
            head: probe, ids: .init(repeating: 0..<0), content: [], clientAddress: "::1")
        _ = try inspection.run(request, FirewallSettings())
        guard inspection.searchCount > 0 else {
            throw FirewallError(.rules, "searches for regular expressions are not bounded in this program")
        }
    }
}

/// Owns the library's rules. They are not changed after the initialiser, which is what makes the pointer safe to share.
final class Rules: @unchecked Sendable {
    fileprivate let pointer: OpaquePointer

    init(_ files: [RuleFile]) throws(FirewallError) {
        guard let pointer = drawbridge_rules_new() else { throw FirewallError(.rules, "out of memory") }
        self.pointer = pointer
        if let refusal = Self.load(files, into: pointer) {
            throw FirewallError(.rules, "\(refusal.path): \(refusal.reason)")
        }
        drawbridge_rules_loaded()
    }

    /// Which of the files cannot be loaded after those before it, and why, in the library's words; nil where all can.
    static func refusal(of files: [RuleFile]) -> (path: String, reason: String)? {
        guard let pointer = drawbridge_rules_new() else { return ("", "out of memory") }
        defer { drawbridge_rules_free(pointer) }
        return load(files, into: pointer)
    }

    private static func load(_ files: [RuleFile], into pointer: OpaquePointer) -> (path: String, reason: String)? {
        for file in files {
            let isLoaded = file.content.withUnsafeBufferPointer {
                drawbridge_rules_load(pointer, $0.baseAddress, $0.count, file.path)
            }
            guard isLoaded else { return (file.path, String(cString: drawbridge_rules_error(pointer))) }
        }
        return nil
    }

    deinit { drawbridge_rules_free(pointer) }
}

/// Owns the library's state of one inspection.
private struct Inspection: ~Copyable {
    /// Longer names are cut: they go into the ledger, and a client chooses them.
    private static let variableLength = 128

    private let pointer: OpaquePointer
    /// Outlives the inspection.
    private let rules: Rules

    init(_ rules: Rules, within bound: Duration) throws(FirewallError) {
        guard let pointer = drawbridge_inspection_new(rules.pointer, bound.nanoseconds) else {
            throw FirewallError(.failed, "libmodsecurity began no transaction")
        }
        self.pointer = pointer
        self.rules = rules
    }

    deinit { drawbridge_inspection_free(pointer) }

    var searchCount: UInt64 { drawbridge_inspection_searches(pointer) }

    /// Says, before any rule does, at which level the core rule set runs.
    func fix(_ paranoiaLevel: Int) throws(FirewallError) {
        try check(drawbridge_inspection_set(pointer, "executing_paranoia_level", Int64(paranoiaLevel)))
    }

    func run(_ request: FirewallRequest, _ settings: FirewallSettings) throws(FirewallError) -> Finding {
        try check(drawbridge_inspection_set(pointer, "paranoia_level", Int64(settings.paranoiaLevel)))
        try check(
            drawbridge_inspection_set(pointer, "inbound_anomaly_score_threshold", Int64(settings.inboundThreshold)))
        try check(drawbridge_inspection_connection(pointer, request.clientAddress, request.clientPort))
        try show(request)
        try check(
            request.content.withUnsafeBufferPointer { drawbridge_inspection_run(pointer, $0.baseAddress, $0.count) })
        return finding()
    }

    private func show(_ request: FirewallRequest) throws(FirewallError) {
        let head = request.head
        var target: [UInt8] = []
        InspectedTarget.append(request, to: &target)
        let version = head.version == .http10 ? "1.0" : "1.1"
        let isShown = target.withUnsafeBufferPointer {
            drawbridge_inspection_line(pointer, head.method.rawValue, $0.baseAddress, $0.count, version)
        }
        try check(isShown)
        for field in head.fields where FieldExposure.isShown(field) {
            let isShown = field.nameBytes.withUnsafeBufferPointer { name in
                field.valueBytes.withUnsafeBufferPointer { value in
                    drawbridge_inspection_field(
                        pointer, name.baseAddress, name.count, value.baseAddress, value.count)
                }
            }
            try check(isShown)
        }
    }

    private func finding() -> Finding {
        let isComplete = drawbridge_inspection_is_complete(pointer)
        let status = drawbridge_inspection_refusal(pointer)
        var refusal: Status? = isComplete ? nil : .forbidden
        if (400...599).contains(status) {
            refusal = Status(rawValue: UInt16(status))
        } else if status != 0 {
            // A redirection, which is nothing that we do.
            refusal = .forbidden
        }
        return Finding(
            refusal: refusal, isComplete: isComplete,
            inboundScore: Int(drawbridge_inspection_get(pointer, "anomaly_score")), matches: matches())
    }

    private func matches() -> [RuleMatch] {
        let count = drawbridge_inspection_match_count(pointer)
        guard count > 0 else { return [] }
        var matches: [RuleMatch] = []
        for index in 0..<count {
            let match = drawbridge_inspection_match(pointer, index)
            let name = UnsafeRawBufferPointer(start: match.variable, count: match.variable_length)
            let variable = String(decoding: name.prefix(Self.variableLength), as: UTF8.self)
            let printable = String(
                variable.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "?" : Character($0) })
            let new = RuleMatch(rule: Int(match.rule), variable: printable, score: Int(match.score))
            // A name stands for several values.
            if let same = matches.firstIndex(where: { $0.rule == new.rule && $0.variable == new.variable }) {
                matches[same].score += new.score
            } else {
                matches.append(new)
            }
        }
        return matches
    }

    private func check(_ isDone: Bool) throws(FirewallError) {
        guard isDone else { throw FirewallError(.failed, "libmodsecurity gave up on a request") }
    }
}
