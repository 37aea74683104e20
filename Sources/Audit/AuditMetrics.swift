internal import Loop
internal import Telemetry

/// What a worker counts of its records.
@OnLoop
struct AuditMetrics {
    let decisions = Metrics.counter(
        "drawbridge_audit_records_total", "Records sent to the ledger.", [("kind", "decision")])
    let outcomes = Metrics.counter(
        "drawbridge_audit_records_total", "Records sent to the ledger.", [("kind", "outcome")])
    let connected = Metrics.gauge("drawbridge_audit_connected", "1 while there is a connection to the ledger.")
    private let failures: [AuditError.Code: Counter]
    private let outcomesLost = Metrics.counter(
        "drawbridge_audit_outcomes_lost_total", "Requests whose decision is in the ledger, and whose outcome is not.")

    init() {
        var failures: [AuditError.Code: Counter] = [:]
        for code in [AuditError.Code.timedOut, .refused, .overloaded] {
            failures[code] = Metrics.counter(
                "drawbridge_audit_failed_total", "Decisions that could not be recorded, so that nothing was done.",
                [("reason", code.rawValue)])
        }
        self.failures = failures
    }

    /// - Parameter read: asked when metrics are collected.
    func showPending(_ read: @escaping @OnLoop () -> Double) {
        Metrics.gauge("drawbridge_audit_pending", "Records that wait for an acknowledgement.", [], read)
    }

    func failed(_ code: AuditError.Code) { failures[code]?.increment() }

    func lost(_ count: Int) { if count > 0 { outcomesLost.increment(by: UInt64(count)) } }
}
