internal import Audit
internal import Authentication
internal import Client
internal import Firewall
internal import HTTP
internal import JSONText
internal import Loop
internal import Policy
internal import Proxy
internal import RateLimit
internal import Schema
internal import Server
internal import Telemetry

/// Why the gateway refuses a request that is acceptable HTTP.
enum Refusal: Error {
    case addressDenied
    case quotaExceeded(Verdict)
    /// Limits cannot be asked, and the policy lets nothing through then.
    case limitsUnavailable
    case unknownPath
    case methodNotAllowed([Method])
    case notOffered
    case missingScope(Scopes)
    case foreignHotel
    case unknownHotel
    case unsupportedMediaType
    /// The content is no JSON; or there is none, and should be.
    case malformedJSON(JSONDocumentError?)
    /// Parameters of the query that are not as described.
    case malformedRequest([Violation])
    /// A field that is not as described.
    case invalidField(String, [Violation])
    /// Content that is JSON, but not as described.
    case invalidContent([Violation])
    /// The firewall's rules refuse it with this status.
    case suspicious(Status)
}

/// A request of somebody who has not proven who he is.
struct Unauthenticated: Error {
    let cause: AuthenticationError
    /// The ways in that the route accepts.
    let accepted: [Identity.Method]
}

/// The one place where the gateway's errors become answers.
@OnLoop
enum ErrorResponse {
    // A line for each request would let anybody fill the log while the bridge is away.
    private static var failures = LogThrottle()
    private static var misdirections = LogThrottle()

    static func problem(for error: any Error, _ request: Request) -> any Error {
        switch error {
        case let refusal as Refusal: problem(for: refusal)
        case let error as Unauthenticated: problem(for: error, request)
        case let error as UpstreamError: problem(for: error, request)
        case is AuditError: unrecorded
        case let error as FirewallError: problem(for: error)
        case is ReverseProxy.Misdirected: misdirected(request)
        default: error
        }
    }

    private static func problem(for error: FirewallError) -> Problem {
        error.code == .overloaded
            ? Problem(.serviceUnavailable, "overloaded", "The service is busy").with(.retryAfter, "1")
            : Problem(.internalServerError, "internal-error", "Something went wrong on our side")
    }

    static func problem(for refusal: Refusal) -> Problem {
        switch refusal {
        case .suspicious(.unsupportedMediaType):
            return Problem(.unsupportedMediaType, "unsupported-media-type", "Content of this type is not accepted")
        case .suspicious(let status):
            // Nothing about the rules: whoever tries to get round them learns the request id alone.
            return Problem(status, "forbidden", "The request is refused")
        case .addressDenied:
            return Problem(.forbidden, "address-denied", "Requests are not accepted from this address")
        case .quotaExceeded(let verdict):
            let violated = verdict.violatedPolicies
            var problem = Problem(
                .tooManyRequests, Verdict.problemType, "The request quota is exceeded",
                detail: "Too many requests; the field Retry-After says when to come back")
            problem.extend = { json in json.array("violated-policies", violated) { $0.element($1) } }
            problem = problem.with(.retryAfter, String(verdict.retryAfter ?? 1))
            guard let fields = verdict.fieldValues else { return problem }
            return problem.with(.rateLimitPolicy, fields.policy).with(.rateLimit, fields.limit)
        case .limitsUnavailable:
            return Problem(.serviceUnavailable, "unavailable", "The service is not available at the moment")
                .with(.retryAfter, "1")
        case .unknownPath:
            return Problem(.notFound, "not-found", "There is nothing at this path")
        case .methodNotAllowed(let methods):
            let allowed = methods.map(\.rawValue).joined(separator: ", ")
            return Problem(.methodNotAllowed, "method-not-allowed", "The method is not allowed here")
                .with(.allow, allowed)
        case .notOffered:
            return Problem(.notImplemented, "not-implemented", "This operation is described, but not offered here")
        case .missingScope(let scopes):
            let names = scopes.members.map(\.rawValue).joined(separator: " ")
            return Problem(
                .forbidden, "insufficient-scope", "The credentials do not cover this request",
                detail: "This request needs the scope \(names)"
            ).with(.wwwAuthenticate, "Bearer error=\"insufficient_scope\", scope=\"\(names)\"")
        case .foreignHotel:
            return Problem(.forbidden, "foreign-hotel", "The credentials do not cover this hotel")
        case .unknownHotel:
            return Problem(.notFound, "hotel-not-found", "Hotel not found")
        case .unsupportedMediaType:
            return Problem(
                .unsupportedMediaType, "unsupported-media-type", "The content is of a type not accepted",
                detail: "This request takes content of the type application/json")
        case .malformedJSON(let error):
            let detail = error.map { "\($0.detail) (byte \($0.offset))" } ?? "Content is expected"
            return withErrors(
                Problem(.badRequest, "malformed-json", "The content is not valid JSON"),
                [Violation(pointer: "", detail: detail)])
        case .malformedRequest(let violations):
            return withErrors(
                Problem(.badRequest, "malformed-request", "The request cannot be read"), violations)
        case .invalidField(let name, _) where name.lowercased() == "idempotency-key":
            return Problem(
                .badRequest, "invalid-idempotency-key", "The Idempotency-Key is not valid",
                detail: "One key of 1 to 255 visible ASCII characters is accepted")
        case .invalidField(_, let violations):
            return withErrors(
                Problem(.badRequest, "malformed-request", "The request cannot be read"), violations)
        case .invalidContent(let violations):
            return withErrors(
                Problem(.unprocessableContent, "invalid-request", "The request is not valid"), violations)
        }
    }

    /// The problem with its mistakes, the first of them in words too, as the bridge tells them.
    private static func withErrors(_ problem: Problem, _ violations: [Violation]) -> Problem {
        var problem = problem
        problem.errors = violations.map { Problem.FieldError(pointer: $0.pointer, detail: $0.detail) }
        if let first = violations.first {
            problem.detail = first.pointer.isEmpty ? first.detail : "\(first.pointer): \(first.detail)"
        }
        return problem
    }

    /// A client learns which schemes are accepted and nothing more; the log says why.
    private static func problem(for error: Unauthenticated, _ request: Request) -> Problem {
        Log.debug(
            "authentication failed", ["request_id": .init(request.id.description), "reason": .init(error.cause.reason)])
        if error.cause.code == .unavailable {
            return Problem(.serviceUnavailable, "unavailable", "The service is not available at the moment")
                .with(.retryAfter, "1")
        }
        var problem = Problem(.unauthorized, "unauthorized", "Valid credentials are needed")
        for challenge in Challenge.fields(error.accepted) { problem = problem.with(.wwwAuthenticate, challenge) }
        return problem
    }

    /// The bridge does not believe us: its key is another one, or the clocks differ. No client can do anything about
    /// it.
    private static func misdirected(_ request: Request) -> Problem {
        if let omitted = misdirections.admit(at: Loop.monotonicNanoseconds) {
            Log.error(
                "bridge refuses this gateway's proof; check hop.key and the clocks",
                ["request_id": .init(request.id.description), "lines_omitted": .init(omitted)])
        }
        return Problem(.badGateway, "bad-gateway", "The service failed while it answered")
    }

    /// What cannot be recorded is not done. The log and the metrics of `AuditLog` say why.
    static var unrecorded: Problem {
        Problem(
            .serviceUnavailable, "ledger-unavailable", "The service cannot record requests at the moment",
            detail: "Nothing was changed; the request may be sent again"
        ).with(.retryAfter, "1")
    }

    private static func problem(for error: UpstreamError, _ request: Request) -> Problem {
        if let omitted = failures.admit(at: Loop.monotonicNanoseconds) {
            Log.warning(
                "bridge did not answer",
                [
                    "request_id": .init(request.id.description), "error": .init(error: error),
                    "lines_omitted": .init(omitted),
                ])
        }
        switch error.code {
        case .unavailable:
            return Problem(.serviceUnavailable, "unavailable", "The service is not available at the moment")
                .with(.retryAfter, "1")
        case .overloaded:
            return Problem(.serviceUnavailable, "overloaded", "The service is busy").with(.retryAfter, "1")
        case .broken:
            return Problem(.badGateway, "bad-gateway", "The service failed while it answered")
        case .timedOut:
            return Problem(.gatewayTimeout, "gateway-timeout", "The service did not answer in time")
        }
    }
}
