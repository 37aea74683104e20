internal import Audit
internal import Authentication
internal import Client
internal import Firewall
internal import Loop
internal import Policy
internal import Proxy
internal import Telemetry

/// What the pipeline counts: requests let through by route, and refused ones by what refused them.
@OnLoop
final class PipelineMetrics {
    private var routes: [ObjectIdentifier: Counter] = [:]
    private var refusals: [String: Counter] = [:]

    func allowed(_ route: Route) {
        if let counter = routes[ObjectIdentifier(route)] { return counter.increment() }
        let counter = Metrics.counter(
            "drawbridge_gateway_allowed_total", "Requests that passed every check, by route.",
            [("route", route.operationID)])
        routes[ObjectIdentifier(route)] = counter
        counter.increment()
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

    /// - Parameter error: what a stage threw.
    func refused(_ error: any Error) {
        let (stage, reason) = Self.cause(of: error)
        let key = "\(stage)/\(reason)"
        if let counter = refusals[key] { return counter.increment() }
        let counter = Metrics.counter(
            "drawbridge_gateway_refused_total", "Requests not answered by the bridge, by stage and reason.",
            [("stage", stage), ("reason", reason)])
        refusals[key] = counter
        counter.increment()
    }
}
