internal import Audit
internal import Authentication
internal import Firewall
internal import HTTP
internal import Ledger
internal import Loop
internal import Policy
internal import RateLimit
internal import Server
internal import Telemetry

/// A request whose decision is on its way into the ledger; for one that changes something, in it.
struct RecordedRequest: ~Copyable {
    let validated: ValidatedRequest
    let trail: Trail
    private let receipt: Receipt

    fileprivate init(_ inspected: consuming InspectedRequest, _ trail: Trail, _ receipt: Receipt) {
        validated = inspected.validated
        self.trail = trail
        self.receipt = receipt
    }

    /// Waits for the decision to be in the ledger. The answer may leave after it, nothing of it before.
    ///
    /// - Throws: `AuditError` when it cannot be recorded.
    @OnLoop
    @inline(__always)
    func beginAnswer() async throws {
        try await receipt.wait()
        trail.isAnswerBegun = true
    }
}

/// What is known of a request while it passes the stages, for its two records.
@OnLoop
final class Trail {
    private let started = Loop.monotonicNanoseconds
    fileprivate let facts: RequestFacts
    /// Of the decision about it, once that was sent to the ledger.
    fileprivate var receipt: Receipt?
    fileprivate var status: UInt16?
    fileprivate var upstreamStatus: UInt16?
    /// Whether the client may have got some of the bridge's answer.
    fileprivate var isAnswerBegun = false
    private var answeredAt: UInt64?
    fileprivate var credential: OutcomeRecord.Credential?
    private var rules: [DecisionRecord.Rule] = []
    private var inboundScore = 0
    /// The limits that were asked, and what they left.
    var limits: [LimitState] = []

    /// Where it is counted, once that is known.
    var series: PipelineMetrics.Series?

    /// When it was sent to the bridge, on the loop's clock.
    var forwardedAt: UInt64?
    /// Bytes of the answer's content.
    var contentLength: Int?

    init(_ request: Request) {
        facts = RequestFacts(
            id: request.id, method: request.head.method, path: request.head.target.pathBytes,
            trace: TraceContext(of: request.id, in: request.head.fields),
            address: request.connection.peerAddress, tlsVersion: request.tlsVersion)
        if request.body.isEmpty { facts.contentLength = 0 }
    }

    init(_ request: UnreadRequest) {
        facts = RequestFacts(
            id: request.id, method: nil, path: [], trace: TraceContext(of: request.id),
            address: request.connection.peerAddress,
            tlsVersion: request.tlsVersion)
    }

    /// The trace that the request belongs to.
    var trace: TraceContext { facts.trace }
    /// Whether the client began it; what it says of its state then goes along.
    var continuesTrace: Bool { facts.trace.traceID != facts.id.number }

    /// The operation that the request was found to be.
    var route: String? {
        get { facts.route }
        set {
            facts.route = newValue
            series = nil
        }
    }

    /// Somebody has proven who he is.
    func identify(_ identity: Identity) {
        facts.principal = RequestFacts.Principal(
            issuer: identity.issuer, subject: identity.subject, client: identity.client,
            method: identity.method.rawValue)
    }

    /// Its content is here.
    func read(_ content: [UInt8]) { facts.contentLength = content.count }

    /// The credentials that were given for it, or taken, as the bridge says.
    func concerns(credential text: String) { credential = OutcomeRecord.Credential(text) }

    /// The hotel that it is about.
    func concerns(hotel: Int32?) { facts.hotel = hotel }

    /// The firewall has spoken.
    func found(_ verdict: FirewallVerdict) {
        guard let finding = verdict.finding else { return }
        rules = finding.matches.map { DecisionRecord.Rule(id: $0.rule, variable: $0.variable, score: $0.score) }
        inboundScore = finding.inboundScore
    }

    /// What is known so far, as the record of a decision.
    fileprivate func decision(_ verdict: DecisionRecord.Verdict, time: Int64) -> DecisionRecord {
        var record = DecisionRecord(facts, verdict, time: time, microseconds: microseconds)
        record.limits = limits.map { limit in
            DecisionRecord.Limit(
                name: limit.name, remaining: limit.remaining,
                resetSeconds: Int((limit.untilNext + 999_999_999) / 1_000_000_000))
        }
        record.rules = rules
        record.inboundScore = inboundScore
        return record
    }

    /// The bridge has answered.
    func answered(_ status: Status) {
        answeredAt = Loop.monotonicNanoseconds
        upstreamStatus = status.rawValue
    }

    var microseconds: Int { Int((Loop.monotonicNanoseconds - started) / 1000) }

    fileprivate var upstreamMicroseconds: Int? {
        guard let forwardedAt, let answeredAt else { return nil }
        return Int((answeredAt - forwardedAt) / 1000)
    }
}

/// Nothing is changed and nothing is answered before the decision about it is in the ledger.
@OnLoop
struct Recording {
    private let audit: AuditLog
    private let access: AccessLog
    private let metrics = PipelineMetrics()

    init(_ audit: AuditLog, _ access: AccessLog) {
        self.audit = audit
        self.access = access
    }

    /// Records that a request passes. What changes something waits here until that is safe; a read goes on, and its
    /// answer waits. While it is known that nothing can be recorded, reads wait here, too.
    ///
    /// - Throws: `AuditError` when it cannot be recorded.
    @inline(__always)
    func recordDecision(
        _ inspected: consuming InspectedRequest, _ trail: Trail
    ) async throws -> RecordedRequest {
        let isSafe = inspected.validated.request.head.method.isSafe
        let durability = Durability(inspected.validated.route.terms.audit, isSafe: isSafe)
        let receipt = try audit.submit(trail.decision(.allowed, time: Self.now), durability)
        trail.receipt = receipt
        metrics.allowed(trail)
        if !isSafe || audit.unreadiness != nil { try await receipt.wait() }
        return RecordedRequest(inspected, trail, receipt)
    }

    /// Records that somebody is told what may be asked for.
    ///
    /// - Throws: `AuditError` when it cannot be recorded.
    func recordOptions(_ trail: Trail) async throws {
        trail.route = "options"
        let receipt = try audit.submit(trail.decision(.allowed, time: Self.now), .written)
        trail.receipt = receipt
        try await receipt.wait()
        trail.status = Status.noContent.rawValue
        noteOutcome(trail, failure: nil)
    }

    /// Records that the bridge's answer has gone out whole.
    func recordOutcome(_ trail: Trail) {
        trail.status = trail.upstreamStatus
        noteOutcome(trail, failure: nil)
    }

    /// Records that a request is refused, or has failed after it had passed.
    ///
    /// - Parameters:
    ///   - error: what the stage threw.
    ///   - answer: what the client is to be told by.
    /// - Returns: what the client may be told by: the answer, or that it cannot be recorded.
    func recordRefusal(_ error: any Error, _ answer: any Error, _ trail: Trail) async -> any Error {
        let problem = answer as? Problem
        var (stage, reason) = PipelineMetrics.cause(of: error)
        metrics.refused(trail, stage: stage, reason: reason)
        if let problem, reason == "other" { (stage, reason) = ("read", problem.type) }
        // An answer that has begun is not replaced by another, but cut.
        trail.status = trail.isAnswerBegun ? nil : problem?.status.rawValue
        if error is AuditError {
            noteOutcome(trail, failure: reason, stage: stage)
            return answer
        }
        let wasAllowed = trail.receipt != nil
        do {
            let receipt =
                try trail.receipt
                ?? audit.submit(
                    trail.decision(
                        .refused(status: trail.status ?? 0, stage: stage, reason: reason), time: Self.now), .synced)
            // Without an answer nobody waits. The decision that a read passes may still be on its way.
            if trail.status != nil { try await receipt.wait() }
            noteOutcome(trail, failure: wasAllowed ? reason : nil, stage: stage)
            return answer
        } catch {
            trail.status = ErrorResponse.unrecorded.status.rawValue
            noteOutcome(trail, failure: PipelineMetrics.cause(of: error).reason, stage: "record")
            var unrecorded = ErrorResponse.unrecorded
            unrecorded.closesConnection = problem?.closesConnection ?? false
            return unrecorded
        }
    }

    /// - Parameter stage: the one that refused it.
    private func noteOutcome(_ trail: Trail, failure: String?, stage: String? = nil) {
        var outcome = OutcomeRecord(
            trail.facts, time: Self.now, microseconds: trail.microseconds, status: trail.status)
        outcome.upstreamStatus = trail.upstreamStatus
        outcome.upstreamMicroseconds = trail.upstreamMicroseconds
        outcome.contentLength = trail.contentLength
        outcome.failure = failure
        outcome.credential = trail.credential
        outcome.isComplete = trail.status != nil
        audit.note(outcome)
        metrics.finished(trail, outcome)
        access.write(AccessLine(outcome, refusedBy: stage), time: outcome.time)
    }

    private static var now: Int64 { Int64(Loop.unixTime * 1000) }
}

extension Durability {
    /// As the route asks for; otherwise what only reads need not wait for the disk.
    fileprivate init(_ policy: Route.AuditDurability?, isSafe: Bool) {
        switch policy {
        case .written: self = .written
        case .synced: self = .synced
        case nil: self = isSafe ? .written : .synced
        }
    }
}
