/// One thing that is written to the ledger: an event of class HTTP Activity in the Open Cybersecurity Schema Framework
/// (OCSF 1.7, schema.ocsf.io), what that has no place for under `unmapped`.
public protocol AuditRecord {
    /// Appends the record as one JSON object on one line.
    ///
    /// - Parameters:
    ///   - worker: the name of the process that decided, which needs no escaping.
    ///   - hash: for what must be found and not read.
    func append(worker: [UInt8], _ hash: inout KeyedHash, to bytes: inout [UInt8])
}

/// What was decided about a request, and why: written before anything is done.
public struct DecisionRecord: AuditRecord {
    /// What becomes of the request.
    public enum Verdict: Sendable {
        /// It passes; it is forwarded once this record is acknowledged.
        case allowed
        /// It was refused with this status, by this stage, for this reason: fixed words, not the client's.
        case refused(status: UInt16, stage: String, reason: String)
    }

    /// One limit that was applied, and what it left.
    public struct Limit: Sendable {
        /// The limit's name in the policy.
        public var name: String
        /// Requests left.
        public var remaining: Int
        /// Seconds until there is more.
        public var resetSeconds: Int

        /// A limit's state.
        public init(name: String, remaining: Int, resetSeconds: Int) {
            self.name = name
            self.remaining = remaining
            self.resetSeconds = resetSeconds
        }
    }

    /// One firewall rule that matched.
    public struct Rule: Sendable {
        /// The rule's number.
        public var id: Int
        /// The name of the variable that matched, such as `ARGS:comment`; never its value.
        public var variable: String
        /// What the match added to the request's score; zero for a rule that does not count.
        public var score: Int

        /// A match.
        public init(id: Int, variable: String, score: Int) {
            self.id = id
            self.variable = variable
            self.score = score
        }
    }

    /// The most rules that are written down; how many matched stands beside them.
    static let ruleBound = 32

    /// The request.
    public var facts: RequestFacts
    /// The decision.
    public var verdict: Verdict
    /// When, in milliseconds since 1970.
    public var time: Int64
    /// How long it took to decide, in microseconds.
    public var microseconds: Int
    /// The limits that were applied.
    public var limits: [Limit] = []
    /// The firewall rules that matched.
    public var rules: [Rule] = []
    /// The sum of their scores.
    public var inboundScore = 0

    /// A decision.
    public init(_ facts: RequestFacts, _ verdict: Verdict, time: Int64, microseconds: Int) {
        self.facts = facts
        self.verdict = verdict
        self.time = time
        self.microseconds = microseconds
    }

    /// Appends the record as one JSON object on one line.
    public func append(worker: [UInt8], _ hash: inout KeyedHash, to bytes: inout [UInt8]) {
        bytes.append(addingCapacity: byteBound + worker.count) { append(worker, &hash, to: &$0) }
    }

    /// The most bytes it takes, but for the worker's name.
    private var byteBound: Int {
        let listed = limits.count + min(rules.count, Self.ruleBound)
        return RequestFacts.byteBound + 512 + 3 * RequestFacts.quotedNameBound
            + listed * (RequestFacts.quotedNameBound + 80)
    }

    private func append(_ worker: [UInt8], _ hash: inout KeyedHash, to bytes: inout OutputSpan<UInt8>) {
        facts.appendHead("decision", time: time, to: &bytes)
        switch verdict {
        case .allowed:
            bytes.append(",\"severity_id\":1,\"action_id\":1,\"disposition_id\":1,\"status_id\":1")
        case .refused(let status, _, _):
            // A match of the firewall is somebody trying; anything else may be a mistake.
            bytes.append(rules.isEmpty ? ",\"severity_id\":2" : ",\"severity_id\":3")
            bytes.append(",\"action_id\":2,\"disposition_id\":2,\"status_id\":2,\"http_status\":")
            bytes.append(decimal: status)
        }
        facts.appendRequest(worker: worker, &hash, to: &bytes)
        facts.appendActor(&hash, to: &bytes)
        bytes.append(",\"unmapped\":{")
        facts.appendOwn(to: &bytes)
        if let principal = facts.principal {
            bytes.append("\"authentication\":")
            bytes.append(quoted: principal.method, bound: RequestFacts.nameBound)
            bytes.append(",")
        }
        appendVerdict(to: &bytes)
        if !limits.isEmpty { appendLimits(to: &bytes) }
        if !rules.isEmpty { appendRules(to: &bytes) }
        bytes.append(",\"decided_us\":")
        bytes.append(decimal: microseconds)
        bytes.append("}}")
    }

    private func appendVerdict(to bytes: inout OutputSpan<UInt8>) {
        switch verdict {
        case .allowed: bytes.append("\"verdict\":\"allowed\"")
        case .refused(_, let stage, let reason):
            bytes.append("\"verdict\":\"refused\",\"stage\":")
            bytes.append(quoted: stage, bound: RequestFacts.nameBound)
            bytes.append(",\"reason\":")
            bytes.append(quoted: reason, bound: RequestFacts.nameBound)
        }
    }

    private func appendLimits(to bytes: inout OutputSpan<UInt8>) {
        bytes.append(",\"limits\":[")
        for (index, limit) in limits.enumerated() {
            bytes.append(index == 0 ? "{\"name\":" : ",{\"name\":")
            bytes.append(quoted: limit.name, bound: RequestFacts.nameBound)
            bytes.append(",\"remaining\":")
            bytes.append(decimal: limit.remaining)
            bytes.append(",\"reset_s\":")
            bytes.append(decimal: limit.resetSeconds)
            bytes.append("}")
        }
        bytes.append("]")
    }

    private func appendRules(to bytes: inout OutputSpan<UInt8>) {
        bytes.append(",\"rule_count\":")
        bytes.append(decimal: rules.count)
        bytes.append(",\"inbound_score\":")
        bytes.append(decimal: inboundScore)
        bytes.append(",\"rules\":[")
        for (index, rule) in rules.prefix(Self.ruleBound).enumerated() {
            bytes.append(index == 0 ? "{\"id\":" : ",{\"id\":")
            bytes.append(decimal: rule.id)
            bytes.append(",\"variable\":")
            bytes.append(quoted: rule.variable, bound: RequestFacts.nameBound)
            bytes.append(",\"score\":")
            bytes.append(decimal: rule.score)
            bytes.append("}")
        }
        bytes.append("]")
    }
}
