internal import Audit
internal import Authentication
internal import Client
internal import Firewall
internal import Loop
internal import Policy
internal import Proxy
internal import Telemetry

/// What the pipeline counts and measures: requests by route and what became of them, refusals by what refused.
@OnLoop
final class PipelineMetrics {
    /// What is measured of one operation, or of requests that are none.
    final class Series {
        fileprivate let allowed: Counter
        fileprivate let decision: Histogram
        fileprivate let answered: Histogram
        fileprivate let failed: Histogram

        fileprivate init(allowed: Counter, decision: Histogram, answered: Histogram, failed: Histogram) {
            self.allowed = allowed
            self.decision = decision
            self.answered = answered
            self.failed = failed
        }
    }

    /// What requests are counted under that are no operation, or not known to be one.
    private static let noRoute = "none"

    private var routes: [String: Series] = [:]
    private var refusals: [String: Counter] = [:]

    /// Its decision is on its way into the ledger.
    func allowed(_ trail: Trail) {
        let series = series(trail)
        series.allowed.increment()
        series.decision.record(nanoseconds: UInt64(trail.microseconds) * 1000)
    }

    /// It was answered, or cannot be.
    func finished(_ trail: Trail, _ outcome: OutcomeRecord) {
        let series = series(trail)
        let isFailure = !outcome.isComplete || (outcome.status ?? 599) >= 400
        (isFailure ? series.failed : series.answered).record(nanoseconds: UInt64(outcome.microseconds) * 1000)
    }

    /// Operations are those of the description, so a client cannot make new series.
    private func series(_ trail: Trail) -> Series {
        if let known = trail.series { return known }
        let series = series(route: trail.route ?? Self.noRoute)
        trail.series = series
        return series
    }

    private func series(route: String) -> Series {
        if let known = routes[route] { return known }
        let help: StaticString = "From a request's head to the end of its answer, by operation and result."
        let duration = { result in
            Metrics.histogram(
                "drawbridge_gateway_request_duration_seconds", help, [("route", route), ("result", result)])
        }
        let new = Series(
            allowed: Metrics.counter(
                "drawbridge_gateway_allowed_total", "Requests that passed every check, by operation.",
                [("route", route)]),
            decision: Metrics.histogram(
                "drawbridge_gateway_decision_duration_seconds",
                "From a request's head to the decision that it passes, by operation.", [("route", route)]),
            answered: duration("answered"), failed: duration("failed"))
        routes[route] = new
        return new
    }

    /// The stage that refused and why. Each kind has a fixed name, so a client cannot make new series.
    ///
    /// - Parameter error: what a stage threw.
    static func cause(of error: any Error) -> (stage: String, reason: String) {
        switch error {
        case Refusal.addressDenied: ("admit", "address")
        case Refusal.quotaExceeded: ("limit", "quota")
        case Refusal.limitsUnavailable: ("limit", "unavailable")
        case Refusal.unknownPath: ("route", "unknown_path")
        case Refusal.methodNotAllowed: ("route", "method")
        case Refusal.notOffered: ("route", "not_offered")
        case let error as Unauthenticated: ("authenticate", error.cause.code.rawValue)
        case Refusal.missingScope: ("authorize", "scope")
        case Refusal.foreignHotel: ("authorize", "hotel")
        case Refusal.unsupportedMediaType: ("authorize", "media_type")
        case Refusal.malformedRequest: ("validate", "query")
        case Refusal.invalidField: ("validate", "field")
        case Refusal.malformedJSON: ("validate", "json")
        case Refusal.invalidContent: ("validate", "content")
        case Refusal.unknownHotel: ("validate", "path")
        case Refusal.suspicious: ("inspect", "rules")
        case let error as FirewallError: ("inspect", error.code == .overloaded ? "overloaded" : "failed")
        case let error as AuditError: ("record", error.code.rawValue)
        case let error as UpstreamError: ("forward", error.code.rawValue)
        case is ReverseProxy.Misdirected: ("forward", "misdirected")
        default: ("other", "other")
        }
    }

    /// A stage has refused a request.
    func refused(_ trail: Trail, stage: String, reason: String) {
        let route = trail.route ?? Self.noRoute
        let key = "\(route)/\(stage)/\(reason)"
        if let counter = refusals[key] { return counter.increment() }
        let counter = Metrics.counter(
            "drawbridge_gateway_refused_total", "Requests not answered by the bridge, by operation, stage and reason.",
            [("route", route), ("stage", stage), ("reason", reason)])
        refusals[key] = counter
        counter.increment()
    }
}
