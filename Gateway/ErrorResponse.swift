internal import Audit
internal import Authentication
internal import Client
internal import HTTP
internal import Loop
internal import Policy
internal import Proxy
internal import Server
internal import Telemetry

/// Why the gateway refuses a request that is acceptable HTTP.
enum Refusal: Error {
    case unknownPath
    case methodNotAllowed([Method])
    case notOffered
    case missingScope(Scopes)
    case foreignHotel
    case unknownHotel
    case unsupportedMediaType
    case malformedJSON
    case invalidField(pointer: String, String)
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
        case let error as AuthenticationError: problem(for: error, request)
        case let error as UpstreamError: problem(for: error, request)
        case is AuditError: unrecorded
        case is ReverseProxy.Misdirected: misdirected(request)
        default: error
        }
    }

    private static func problem(for refusal: Refusal) -> Problem {
        switch refusal {
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
        case .malformedJSON:
            return Problem(.badRequest, "malformed-json", "The content is not valid JSON")
        case .invalidField(let pointer, let detail):
            var problem = Problem(.unprocessableContent, "invalid-request", "The request is not valid")
            problem.errors = [Problem.FieldError(pointer: pointer, detail: detail)]
            return problem
        }
    }

    /// A client learns which schemes are accepted and nothing more; the log says why.
    private static func problem(for error: AuthenticationError, _ request: Request) -> Problem {
        Log.debug(
            "authentication failed", ["request_id": .init(request.id.description), "reason": .init(error.reason)])
        return Problem(.unauthorized, "unauthorized", "Valid credentials are needed")
            .with(.wwwAuthenticate, "Bearer realm=\"drawbridge\"")
    }

    /// The bridge does not believe us: its key is another one, or the clocks differ. No client can do anything about it.
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
