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

    private let origins: [[UInt8]]
    private let maximumAge: Int64

    init(_ policy: GatewayPolicy.CrossOrigin) {
        origins = policy.origins.map { Array($0.utf8) }
        maximumAge = policy.maximumAge.components.seconds
    }

    /// Lets the page that asks read the answer, whatever it will be.
    @OnLoop
    func mark(_ request: Request) {
        guard let origin = origin(of: request.head) else { return }
        var lines = Array("Access-Control-Allow-Origin: ".utf8)
        lines += origin
        lines += "\r\nAccess-Control-Expose-Headers: \(Self.exposed)\r\nVary: Origin\r\n".utf8
        request.addAnswerLines(lines, of: [])
    }

    /// The fields by which a browser's question is answered before it sends the request itself; nil where this is no such
    /// question, or one that no page of ours asks.
    ///
    /// - Parameter methods: those described for a path.
    func preflight(_ head: RequestHead, methods: (Span<UInt8>) -> [Method]) -> Fields? {
        guard head.method == .options, origin(of: head) != nil,
            head.fields.contains(name: "access-control-request-method")
        else { return nil }
        let methods = methods(head.target.pathBytes.span)
        guard !methods.isEmpty else { return nil }
        var fields = Fields()
        fields.append("Access-Control-Allow-Methods", methods.map(\.rawValue).joined(separator: ", "))
        fields.append("Access-Control-Allow-Headers", Self.allowed)
        fields.append("Access-Control-Max-Age", String(maximumAge))
        return fields
    }

    /// The origin that a request names, if the policy knows it.
    private func origin(of head: RequestHead) -> [UInt8]? {
        guard !origins.isEmpty, let named = head.fields.bytes(of: .origin) else { return nil }
        return origins.first { $0.elementsEqual(named) }
    }
}

extension Fields {
    fileprivate func contains(name: String) -> Bool { count(of: name) > 0 }
}
