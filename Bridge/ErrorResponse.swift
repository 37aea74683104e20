internal import Authentication
internal import Booking
internal import HTTP
internal import JSONText
internal import Loop
internal import PMS
internal import Postgres
internal import Server
internal import Telemetry
internal import Webhook

/// The one place where the bridge's errors become answers.
@OnLoop
enum ErrorResponse {
    // A line for each request would let anybody fill the log while the database is away.
    private static var strangers = LogThrottle()
    private static var failures = LogThrottle()
    private static var surprises = LogThrottle()

    static func problem(for error: any Error, _ request: Request) -> any Error {
        switch error {
        case let error as BridgeError: problem(for: error)
        case let error as InvalidRequest: problem(for: error)
        case let error as AuthenticationError: problem(for: error, request)
        case let error as PostgresError: problem(for: error, request)
        case let error as WriteFailure: problem(for: error)
        case let error as LoopError where error.code == .tooLarge || error.code == .timedOut:
            Problem(.serviceUnavailable, "overloaded", "The hotel is busy").with(.retryAfter, "1")
        default: error
        }
    }

    private static func problem(for error: BridgeError) -> Problem {
        switch error {
        case .unknownPath: return Problem(.notFound, "not-found", "There is nothing at this path")
        case .methodNotAllowed(let methods):
            return Problem(.methodNotAllowed, "method-not-allowed", "The method is not allowed here")
                .with(.allow, methods.map(\.rawValue).joined(separator: ", "))
        case .unknownHotel: return Problem(.notFound, "hotel-not-found", "Hotel not found")
        case .foreignHotel:
            return Problem(.forbidden, "foreign-hotel", "The credentials do not cover this hotel")
        case .unreadableHotel(let seconds):
            return Problem(
                .serviceUnavailable, "unavailable", "The service is not available at the moment",
                detail: "The hotel cannot be read from the property management system"
            )
            .with(.retryAfter, String(seconds))
        case .outcomeUnknown:
            return Problem(
                .serviceUnavailable, "outcome-unknown", "It is not known whether this was done",
                detail: "It may have been done; send the same request again to find out, with the same ids"
            )
            .with(.retryAfter, "2")
        case .unknownDeadLetter: return Problem(.notFound, "dead-letter-not-found", "Dead letter not found")
        case .noDeadLetter(let status):
            var problem = Problem(
                .conflict, "no-dead-letter", "The write is no dead letter",
                detail: "The write into the property management system is \(status)")
            problem.extend = { json in json.member("write_status", status) }
            return problem
        case .outdatedHotel:
            return Problem(
                .serviceUnavailable, "unavailable", "The service is not available at the moment",
                detail: "What is known to be free is too old, and the property management system cannot be read"
            )
            .with(.retryAfter, "30")
        case .unknownTrigger: return Problem(.notFound, "trigger-not-found", "Trigger not found")
        case .refreshFailed(let trigger, let reason):
            var problem = Problem(
                .serviceUnavailable, "refresh-failed", "The cache was not refreshed",
                detail: "The cache was not refreshed: \(reason)"
            ).with(.retryAfter, "5")
            problem.extend = { json in
                json.member("trigger_id", Int(trigger))
                json.member("trigger_status", "failed")
            }
            return problem
        case .unknownBooking: return Problem(.notFound, "booking-not-found", "Booking not found")
        case .malformed(let mistakes):
            return withErrors(Problem(.badRequest, "malformed-request", "The request cannot be read"), mistakes)
        case .invalid(let mistakes):
            return withErrors(Problem(.unprocessableContent, "invalid-request", "The request is not valid"), mistakes)
        case .invalidIdempotencyKey:
            return Problem(
                .badRequest, "invalid-idempotency-key", "The Idempotency-Key is not valid",
                detail: "One key of 1 to 255 visible ASCII characters is accepted")
        case .keyUsedOtherwise:
            return Problem(
                .unprocessableContent, "idempotency-key-reused", "The Idempotency-Key was used for another request")
        case .engineIDTaken:
            return Problem(
                .conflict, "booking-engine-id-taken", "The booking_engine_id is taken",
                detail: "Another client has used this booking_engine_id; choose another one")
        case .bookingEnded(let status):
            var problem = Problem(
                .conflict, "booking-ended", "The booking has ended",
                detail: "The booking is \(status); a new one needs a new booking_engine_id")
            problem.extend = { json in json.member("booking_status", status) }
            return problem
        case .bookingInUse:
            return Problem(
                .serviceUnavailable, "booking-in-use", "The front desk works on the booking",
                detail: "Somebody at the hotel is changing this booking; send the request again"
            ).with(.retryAfter, "1")
        case .bookingStarted:
            return Problem(
                .conflict, "booking-started", "The stay has begun", detail: "Only the hotel can change it now")
        case .foreignBooking:
            return Problem(
                .forbidden, "foreign-booking", "The booking belongs to another client",
                detail: "Only the client that made a booking may change it")
        case .preconditionRequired:
            return Problem(
                .preconditionRequired, "precondition-required", "If-Match is required",
                detail: "Send the ETag of what is to be changed as If-Match")
        case .preconditionFailed:
            return Problem(
                .preconditionFailed, "precondition-failed", "It has changed",
                detail: "It is not the version that If-Match names any more; read it again")
        case .grantRefused(let code, let detail, let credential):
            var problem = Problem(.badRequest, code.type, "No token is given for this", detail: detail)
            problem.errorCode = code.rawValue
            return credential.map { problem.with(.drawbridgeCredential, $0.text) } ?? problem
        case .signingUnavailable:
            return Problem(
                .serviceUnavailable, "unavailable", "The service is not available at the moment",
                detail: "Tokens cannot be signed at the moment"
            )
            .with(.retryAfter, "5")
        case .revocationsUnknown:
            return Problem(
                .serviceUnavailable, "unavailable", "The service is not available at the moment",
                detail: "Which tokens are revoked is not known at the moment"
            )
            .with(.retryAfter, "1")
        case .answerNotKept(let product, let credential):
            var problem = Problem(
                .conflict, "answer-not-kept", "The request was carried out, and its answer is not kept",
                detail: "A request with this Idempotency-Key was carried out; its answer held a secret and is not kept")
            problem.extend = { json in
                switch product {
                case .apiKey(let id)?: json.member("key_id", Int(id))
                case .endpoint(let id)?: json.member("webhook_id", id.description)
                case nil: break
                }
            }
            return credential.map { problem.with(.drawbridgeCredential, $0.text) } ?? problem
        case .credentialsUnproven:
            return Problem(.unauthorized, "unauthorized", "Valid credentials are needed")
                .with(.wwwAuthenticate, "Bearer realm=\"drawbridge\"")
        case .unknownUser: return Problem(.notFound, "user-not-found", "User not found")
        case .unknownAPIKey:
            return Problem(
                .notFound, "key-not-found", "API key not found", detail: "There is no such API key that is good")
        case .exceedsRights:
            return Problem(
                .forbidden, "exceeds-rights", "The credentials do not cover this",
                detail: "A key cannot have scopes that whoever makes it has not")
        case .foreignClient:
            return Problem(
                .forbidden, "foreign-client", "The credentials do not cover this client",
                detail: "The client is one of other hotels, too; choose another name")
        case .tooManyKeys(let bound, let isOfHotel):
            return Problem(
                .conflict, "too-many-keys", "There are too many API keys",
                detail: "There are \(bound) API keys\(isOfHotel ? " of the hotel" : "") already; "
                    + "revoke those that nobody uses")
        case .unreadableEvents(let scopes):
            return Problem(
                .forbidden, "exceeds-rights", "The credentials do not cover this",
                detail: "Such events are told to those who may read what they tell: "
                    + scopes.map(\.rawValue).joined(separator: ", "))
        case .unknownWebhook: return Problem(.notFound, "webhook-not-found", "Webhook not found")
        case .tooManyWebhooks:
            return Problem(
                .conflict, "too-many-webhooks", "There are too many webhooks",
                detail: "The client has 50 already; remove those that nobody needs")
        case .tooManySecrets:
            return Problem(
                .conflict, "too-many-secrets", "There are too many secrets",
                detail: "Four secrets of the webhook are good; wait until one has expired, or end them: overlap_hours 0"
            )
        case .sealingUnavailable:
            return Problem(
                .serviceUnavailable, "unavailable", "The service is not available at the moment",
                detail: "Secrets cannot be stored at the moment"
            )
            .with(.retryAfter, "5")
        case .unknownDelivery: return Problem(.notFound, "delivery-not-found", "Delivery not found")
        case .deliveryUnderWay:
            return Problem(
                .conflict, "delivery-in-progress", "The delivery is under way",
                detail: "An attempt is being made; look again what came of it"
            )
            .with(.retryAfter, "1")
        case .deliveryEnded:
            return Problem(
                .conflict, "delivery-ended", "The delivery has ended", detail: "It has succeeded; nothing is left to do"
            )
        case .tooManyAttempts:
            return Problem(
                .conflict, "too-many-attempts", "The delivery was tried too often",
                detail: "Nothing is tried more than 100 times; replay the event to have it delivered anew")
        case .eventNotKept:
            return Problem(
                .conflict, "event-not-kept", "The event is not kept any more", detail: "Nothing is left to deliver")
        case .webhookDisabled(let id):
            var problem = Problem(
                .conflict, "webhook-disabled", "The webhook is disabled",
                detail: "The webhook \(id) is sent nothing; enable it first")
            problem.extend = { json in json.member("webhook_id", id.description) }
            return problem
        case .webhookUnverified(let fault):
            return Problem(
                .conflict, "webhook-unverified", "The webhook has not met its challenge",
                detail: "It was sent a challenge, but \(fault)")
        case .unknownReplay: return Problem(.notFound, "replay-not-found", "Replay not found")
        case .replayUnderWay:
            return Problem(
                .conflict, "replay-in-progress", "A replay is under way",
                detail: "The webhook is being sent events anew already; wait until that has ended"
            )
            .with(.retryAfter, "10")
        case .unknownSource:
            return Problem(
                .serviceUnavailable, "unavailable", "The service is not available at the moment",
                detail: "The policies are just being replaced"
            )
            .with(.retryAfter, "1")
        case .unknownMessage: return Problem(.notFound, "message-not-found", "Message not found")
        case .notRetried(let status):
            var problem = Problem(
                .conflict, "not-retriable", "The message is not to be tried again",
                detail: "The message is \(status)")
            problem.extend = { json in json.member("message_status", status) }
            return problem
        case .requestUnderWay:
            return Problem(.conflict, "request-in-progress", "A request with this Idempotency-Key is still under way")
                .with(.retryAfter, "1")
        }
    }

    private static func withErrors(_ problem: Problem, _ mistakes: [(pointer: String, detail: String)]) -> Problem {
        var problem = problem
        problem.errors = mistakes.map { Problem.FieldError(pointer: $0.pointer, detail: $0.detail) }
        if let first = mistakes.first {
            problem.detail = first.pointer.isEmpty ? first.detail : "\(first.pointer): \(first.detail)"
        }
        return problem
    }

    private static func problem(for error: InvalidRequest) -> Problem {
        let problem =
            error.isMalformed
            ? Problem(.badRequest, "malformed-json", "The content is not valid JSON")
            : Problem(.unprocessableContent, "invalid-request", "The request is not valid")
        return withErrors(problem, error.errors.map { ($0.pointer, $0.detail) })
    }

    /// Only gateways talk to the bridge; anybody else learns nothing. The status tells a gateway, which shows it to
    /// nobody, that it is not the client who lacks proof.
    private static func problem(for error: AuthenticationError, _ request: Request) -> Problem {
        if let omitted = strangers.admit(at: Loop.monotonicNanoseconds) {
            Log.warning(
                "request without proof of a gateway",
                [
                    "request_id": .init(request.id.description), "reason": .init(error.reason),
                    "lines_omitted": .init(omitted),
                ])
        }
        return Problem(.misdirectedRequest, "misdirected-request", "This is not the place to ask")
    }

    /// The PMS itself did not take it; nothing was changed.
    private static func problem(for failure: WriteFailure) -> Problem {
        let seconds = max(1, failure.retryAfter?.components.seconds ?? 5)
        return Problem(
            .serviceUnavailable, "pms-unavailable", "The property management system is not available at the moment",
            detail: "Nothing was changed"
        )
        .with(.retryAfter, String(seconds))
    }

    private static func problem(for error: PostgresError, _ request: Request) -> Problem {
        if let omitted = failures.admit(at: Loop.monotonicNanoseconds) {
            Log.warning(
                "database call failed",
                [
                    "request_id": .init(request.id.description), "error": .init(error: error),
                    "lines_omitted": .init(omitted),
                ])
        }
        switch error.code {
        case .unavailable, .connectionLost, .tooManyWaiters, .timedOut, .serializationFailure, .deadlock, .cancelled:
            return Problem(.serviceUnavailable, "unavailable", "The service is not available at the moment")
                .with(.retryAfter, "1")
        case .sql(let state)
        where state.hasPrefix("57") || state.hasPrefix("53") || state.hasPrefix("08") || state == "25006":
            // Shutting down, out of resources, connection trouble, a standby.
            return Problem(.serviceUnavailable, "unavailable", "The service is not available at the moment")
                .with(.retryAfter, "1")
        default:
            if let omitted = surprises.admit(at: Loop.monotonicNanoseconds) {
                Log.error(
                    "unexpected database error",
                    [
                        "request_id": .init(request.id.description), "error": .init(error: error),
                        "lines_omitted": .init(omitted),
                    ])
            }
            return Problem(.internalServerError, "internal-error", "Something went wrong on our side")
        }
    }
}
