/// What came of one attempt to deliver.
public enum DeliveryOutcome: Sendable, Hashable {
    /// The receiver answered.
    ///
    /// - Parameters:
    ///   - status: the status of its answer.
    ///   - retryAfter: how long it wants to be left alone, if its answer said so, as `RetryAfter` read it.
    case answered(status: Int, retryAfter: Duration?)
    /// There was no answer, or none that counts.
    case failed(TransportFailure)

    /// Why no answer came. The names are stored and shown.
    public enum TransportFailure: String, Sendable, CaseIterable {
        /// The address, or one that its name resolves to, is none that we send to.
        case egressRefused = "egress_refused"
        /// The receiver's name could not be resolved.
        case nameNotResolved = "name_not_resolved"
        /// No connection came about.
        case connectFailed = "connect_failed"
        /// TLS failed, or the certificate is not the receiver's, or has expired.
        case tlsFailed = "tls_failed"
        /// The answer was not there in time.
        case timedOut = "timed_out"
        /// The connection broke before the answer was there.
        case connectionLost = "connection_lost"
        /// What came is no HTTP, or is shorter than it says.
        case malformedAnswer = "malformed_answer"
    }

    /// Why an answer is no success. The names are stored and shown.
    public enum StatusFailure: String, Sendable, CaseIterable {
        /// 3xx: webhooks follow no redirects, the subscription has to name the right address.
        case redirected
        /// 410: the receiver wants no more webhooks.
        case gone
        /// 429: the receiver gets more than it takes.
        case rateLimited = "rate_limited"
        /// 503: the receiver takes nothing at the moment.
        case unavailable
        /// Any other 4xx.
        case refused
        /// Any other 5xx.
        case serverError = "server_error"
        /// Anything else, which is no final status of HTTP.
        case unexpectedStatus = "unexpected_status"
    }

    /// Whether the event was delivered: any 2xx.
    public var isSuccess: Bool {
        if case .answered(200...299, _) = self { true } else { false }
    }

    /// The name of what went wrong, of `TransportFailure` or `StatusFailure`; nil when it was delivered.
    public var reason: String? {
        switch self {
        case .answered: statusFailure?.rawValue
        case .failed(let failure): failure.rawValue
        }
    }

    /// Why the answer is no success; nil for a success, and when there was no answer.
    public var statusFailure: StatusFailure? {
        guard case .answered(let status, _) = self else { return nil }
        return switch status {
        case 200...299: nil
        case 300...399: .redirected
        case 410: .gone
        case 429: .rateLimited
        case 503: .unavailable
        case 400...499: .refused
        case 500...599: .serverError
        default: .unexpectedStatus
        }
    }

    /// How long the receiver wants to be left alone; only 429 and 503 can say so.
    public var requestedPause: Duration? {
        switch self {
        case .answered(429, let pause), .answered(503, let pause): pause
        case .answered, .failed: nil
        }
    }

    /// Whether it speaks against the endpoint itself rather than against this event: an endpoint that refuses one event, or
    /// redirects it, is there and may take the next.
    public var isEndpointFailure: Bool {
        switch self {
        // 408: it has waited for the request in vain (RFC 9110 §15.5.9).
        case .answered(408, _), .failed: true
        case .answered:
            switch statusFailure {
            case .rateLimited, .unavailable, .serverError, .unexpectedStatus: true
            case .redirected, .gone, .refused, nil: false
            }
        }
    }
}
