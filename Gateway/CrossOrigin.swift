internal import HTTP
internal import Loop
internal import Policy
internal import Server

/// Lets web pages of the policy's origins use the API from a browser: the CORS protocol (fetch.spec.whatwg.org,
/// "HTTP extensions"). Credentials are fields that the page sets itself; cookies mean nothing here.
struct CrossOrigin: Sendable {
    /// Fields of ours that a page may read.
    private static let exposed =
        "Age, Cache-Status, ETag, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id"
    /// Fields that a page may set.
    private static let allowed =
        "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Traceparent, Tracestate"

    private static let varying = Array("Vary: Origin\r\n".utf8)

    /// The origins, and what answers to their pages say.
    private let origins: [(name: [UInt8], lines: [UInt8])]
    private let maximumAge: Int64

    init(_ policy: GatewayPolicy.CrossOrigin) {
        origins = policy.origins.map { origin in
            let lines =
                "Access-Control-Allow-Origin: \(origin)\r\nAccess-Control-Expose-Headers: \(Self.exposed)\r\n"
            return (Array(origin.utf8), Array(lines.utf8) + Self.varying)
        }
        maximumAge = policy.maximumAge.components.seconds
    }

    /// Lets the page that asks read the answer, whatever it will be.
    @OnLoop
    func mark(_ request: Request) {
        guard !origins.isEmpty else { return }
        // Also where no permission is given: a cache must not keep that answer for a page that has one.
        request.addAnswerLines(lines(for: request.head) ?? Self.varying, of: [])
    }

    /// The fields by which a browser's question is answered before it sends the request itself; nil where this is no
    /// such question, or one that no page of ours asks.
    ///
    /// - Parameter methods: those described for a path.
    func preflight(_ head: RequestHead, methods: (Span<UInt8>) -> [Method]) -> Fields? {
        guard head.method == .options, lines(for: head) != nil,
            head.fields.count(of: "access-control-request-method") > 0
        else { return nil }
        let methods = methods(head.target.pathBytes.span)
        guard !methods.isEmpty else { return nil }
        var fields = Fields()
        fields.append("Access-Control-Allow-Methods", methods.map(\.rawValue).joined(separator: ", "))
        fields.append("Access-Control-Allow-Headers", Self.allowed)
        fields.append("Access-Control-Max-Age", String(maximumAge))
        return fields
    }

    /// What an answer says where the policy knows the origin that the request names.
    private func lines(for head: RequestHead) -> [UInt8]? {
        guard let named = head.fields.bytes(of: .origin) else { return nil }
        return origins.first { $0.name.elementsEqual(named) }?.lines
    }
}
