internal import Audit
internal import Authentication
internal import Client
internal import HTTP
internal import Loop
internal import Policy
internal import Proxy
internal import RateLimit
internal import Server
internal import Telemetry

/// The one list of stages that a request passes, cheap checks first. Each gives what the next one asks for, so none can
/// be left out; each refuses by throwing.
@OnLoop
final class Pipeline: Handler {
    private let admission: Admission
    private let crossOrigin: CrossOrigin
    private let routing: Routing
    private let authentication: Authenticating
    private let authorization: Authorizing
    private let limits: Limits
    private let inspection: Inspection
    private let recording: Recording
    private let forwarding: Forwarder

    init(
        admission: Admission, crossOrigin: CrossOrigin, routes: RouteTable, credentials: CredentialVerifier,
        limits: Limits, inspection: Inspection, recording: Recording, forwarding: Forwarder
    ) {
        self.admission = admission
        self.crossOrigin = crossOrigin
        routing = Routing(routes)
        authentication = Authenticating(credentials: credentials)
        authorization = Authorizing()
        self.limits = limits
        self.inspection = inspection
        self.recording = recording
        self.forwarding = forwarding
    }

    func respond(to request: Request, _ writer: consuming ResponseWriter) async throws {
        let trail = Trail(request)
        // What a signed request is accepted once by.
        var nonce: ClaimedNonce?
        do {
            let admitted = try AdmittedRequest(request, admission, trail)
            crossOrigin.mark(request)
            let answer = crossOrigin.preflight(request.head, methods: routing.methods) ?? routing.options(request.head)
            if let fields = answer {
                try await recording.recordOptions(trail)
                return writer.send(.noContent, fields)
            }
            let routed = try routing.route(admitted)
            trail.route = routed.route.operationID
            let proof =
                if let proof = try authentication.authenticate(routed) {
                    proof
                } else {
                    try await authentication.wait(routed, &nonce)
                }
            let authenticated = AuthenticatedRequest(routed, proof)
            trail.identify(authenticated.identity)
            let authorized = try await authorization.authorize(authenticated, trail)
            let limited = try await LimitedRequest(authorized, limits, trail)
            let validated = try ValidatedRequest(limited)
            let inspected = try await InspectedRequest(validated, inspection, trail)
            let recorded = try await recording.recordDecision(inspected, trail)
            try await forwarding.forward(recorded, writer)
            recording.recordOutcome(trail)
        } catch {
            if let nonce, !forwarding.mayHaveSent(request, trail, error) { await nonce.giveBack() }
            throw await recording.recordRefusal(error, ErrorResponse.problem(for: error, request), trail)
        }
    }

    func refuse(_ problem: Problem, to request: UnreadRequest) async -> Problem {
        let trail = Trail(request)
        var (cause, answer): (any Error, Problem) = (problem, problem)
        // Whoever may not send requests may not send others either; and these count as any do.
        do { _ = try admission.check(request.connection, trail) } catch {
            (cause, answer) = (error, ErrorResponse.problem(for: error))
        }
        return await recording.recordRefusal(cause, answer, trail) as? Problem ?? answer
    }
}

// What each stage gives the next. Every type is made by its stage alone, and handed on, not copied.

/// A request from where requests may come, and not too many of them.
struct AdmittedRequest: ~Copyable {
    let request: Request
    let address: AddressBlock?
    let verdict: Verdict

    /// - Throws: `Refusal`.
    @OnLoop
    fileprivate init(_ request: Request, _ admission: Admission, _ trail: Trail) throws {
        self.request = request
        (address, verdict) = try admission.check(request.connection, trail)
    }

}

/// A request that the API's description knows.
struct RoutedRequest: ~Copyable {
    let request: Request
    let address: AddressBlock?
    /// What the limits said before its sender was known.
    let verdict: Verdict
    let match: RouteMatch

    var route: Route { match.route }

    fileprivate init(_ admitted: consuming AdmittedRequest, _ match: RouteMatch) {
        request = admitted.request
        address = admitted.address
        verdict = admitted.verdict
        self.match = match
    }

    fileprivate init(_ routed: consuming RoutedRequest, in request: Request) {
        self.request = request
        address = routed.address
        verdict = routed.verdict
        match = routed.match
    }
}

/// A request of somebody who has proven who he is.
struct AuthenticatedRequest: ~Copyable {
    let routed: RoutedRequest
    let proof: Proof

    var identity: Identity { proof.identity }

    @OnLoop
    fileprivate init(_ routed: consuming RoutedRequest, _ proof: Proof) {
        // A source's secret may stand in the query. Nobody needs it any more: it goes into no rule, no record and not to the
        // bridge.
        if proof.identity.method == .inbound {
            let request = routed.request.withoutQuery
            self.routed = RoutedRequest(routed, in: request)
        } else {
            self.routed = routed
        }
        self.proof = proof
    }

    /// Refuses content that is not what was signed: its hash was, and only when it is here can the two be compared.
    fileprivate func checkSigned(_ content: [UInt8]) throws {
        guard let digest = proof.contentDigest, !digest.matches(content.span) else { return }
        throw Unauthenticated(
            cause: AuthenticationError(.badDigest, "the content is not what was signed"),
            accepted: routed.route.terms.authentication)
    }
}

/// A request that its sender may make, its content read.
struct AuthorizedRequest: ~Copyable {
    let routed: RoutedRequest
    let identity: Identity
    let hotelID: Int32?
    let content: Content

    fileprivate init(_ authenticated: consuming AuthenticatedRequest, hotelID: Int32?, content: Content) {
        identity = authenticated.proof.identity
        routed = authenticated.routed
        self.hotelID = hotelID
        self.content = content
    }
}

/// A request that is one of no more than its sender may make.
struct LimitedRequest: ~Copyable {
    let authorized: AuthorizedRequest

    /// - Throws: `Refusal`.
    @OnLoop
    @inline(__always)
    fileprivate init(_ authorized: consuming AuthorizedRequest, _ limits: Limits, _ trail: Trail) async throws {
        let (identity, route, address) = (authorized.identity, authorized.routed.route, authorized.routed.address)
        let subject = Subject(
            principal: identity.principal(at: address), address: address,
            hotel: authorized.hotelID.map { String($0) }, route: route.operationID)
        try await limits.check(
            subject, limits.classes(for: identity, at: route), authorized.routed.request,
            after: authorized.routed.verdict, trail)
        self.authorized = authorized
    }
}

extension Identity {
    /// Who is counted: the client, and of those who have not said who they are each address for itself.
    fileprivate func principal(at address: AddressBlock?) -> String {
        guard method == .anonymous, let address else { return clientKey }
        return "\(clientKey) \(address.isIPv6 ? "6" : "4") \(address.network)"
    }
}

/// A request that is as its route describes it.
struct ValidatedRequest: ~Copyable {
    let request: Request
    let route: Route
    let identity: Identity
    let hotelID: Int32?
    let content: [UInt8]
    /// Where in the path ids stand.
    let ids: RouteMatch.Ranges
    /// What of the content anything can be said in.
    let freeText: [UInt8]

    /// - Throws: `Refusal` that says what is not.
    @OnLoop
    fileprivate init(_ limited: consuming LimitedRequest) throws {
        request = limited.authorized.routed.request
        route = limited.authorized.routed.route
        identity = limited.authorized.identity
        hotelID = limited.authorized.hotelID
        content = limited.authorized.content.bytes
        ids = limited.authorized.routed.match.ids
        freeText = try Validation.check(request, limited.authorized.routed.match, limited.authorized.content)
    }
}

/// What is not described is refused.
@OnLoop
private struct Routing {
    private let routes: RouteTable

    init(_ routes: RouteTable) { self.routes = routes }

    /// The methods described for a path.
    func methods(_ path: Span<UInt8>) -> [Method] {
        switch routes.match(.options, path: path) {
        case .methodNotAllowed(let allowed): allowed
        case .route, .notFound: []
        }
    }

    /// What `OPTIONS *` asks for, which is about no path (RFC 9110 §9.3.7); nil for any other request.
    func options(_ head: RequestHead) -> Fields? {
        guard head.target.form == .asterisk else { return nil }
        var fields = Fields()
        let methods = Set(routes.routes.map(\.method)).union([.head, .options]).map(\.rawValue).sorted()
        fields.append(.allow, methods.joined(separator: ", "))
        return fields
    }

    func route(_ admitted: consuming AdmittedRequest) throws -> RoutedRequest {
        let request = admitted.request
        switch routes.match(request.head.method, path: request.head.target.pathBytes.span) {
        case .route(let match):
            guard match.route.terms.isForwarded else { throw Refusal.notOffered }
            return RoutedRequest(admitted, match)
        case .methodNotAllowed(let allowed): throw Refusal.methodNotAllowed(allowed)
        case .notFound: throw Refusal.unknownPath
        }
    }
}

/// Nobody passes without proving who he is, in one of the ways that the route accepts. Nothing of the content is read
/// for it but where a vendor has signed the content alone.
@OnLoop
private struct Authenticating {
    let credentials: CredentialVerifier

    /// - Returns: nil where something has to be waited for.
    func authenticate(_ routed: borrowing RoutedRequest) throws -> Proof? {
        let accepted = routed.route.terms.authentication
        do {
            return try credentials.verify(routed.request, accepted: accepted)
        } catch {
            throw Unauthenticated(cause: error, accepted: accepted)
        }
    }

    /// Waits for it: for a key that an issuer may have published, for what Redis says about a nonce, for a webhook's
    /// content.
    ///
    /// - Parameter nonce: set to what is spent by it.
    func wait(_ routed: borrowing RoutedRequest, _ nonce: inout ClaimedNonce?) async throws -> Proof {
        do {
            let proof: Proof
            (proof, nonce) = try await credentials.verifyPatiently(routed.request, routed.match)
            return proof
        } catch let error as AuthenticationError {
            throw Unauthenticated(cause: error, accepted: routed.route.terms.authentication)
        }
    }
}

/// Nobody passes without the scopes of the route and access to the hotel that the request names.
@OnLoop
private struct Authorizing {
    @inline(__always)
    func authorize(
        _ authenticated: consuming AuthenticatedRequest, _ trail: Trail
    ) async throws -> AuthorizedRequest {
        let (request, identity) = (authenticated.routed.request, authenticated.identity)
        let scopes = authenticated.routed.route.terms.scopes
        guard identity.scopes.isSuperset(of: scopes) else { throw Refusal.missingScope(scopes) }
        // Read only now: a stranger cannot make us hold content.
        let content: Content
        if request.body.isEmpty, authenticated.proof.content == nil {
            try authenticated.checkSigned([])
            content = .none
        } else {
            content = try await self.content(of: authenticated, trail)
        }
        let hotelID = try HotelReference.hotelID(in: authenticated.routed, content: content)
        trail.concerns(hotel: hotelID)
        if let hotelID, !identity.hotelIDs.includes(hotelID) { throw Refusal.foreignHotel }
        return AuthorizedRequest(authenticated, hotelID: hotelID, content: content)
    }

    private func content(
        of authenticated: borrowing AuthenticatedRequest, _ trail: Trail
    ) async throws -> Content {
        let request = authenticated.routed.request
        let terms = authenticated.routed.route.terms
        if terms.takesJSON {
            let fields = request.head.fields
            guard fields.count(of: .contentType) == 1, let type = fields.bytes(of: .contentType),
                MediaType.isJSON(type.span)
            else { throw Refusal.unsupportedMediaType }
        }
        let bytes =
            if let read = authenticated.proof.content { read } else {
                try await request.body.collect(upTo: terms.bodyLimit.bytes)
            }
        trail.read(bytes)
        try authenticated.checkSigned(bytes)
        return try Content(bytes, isJSON: terms.takesJSON)
    }
}

/// The request goes to the bridge with the proof of who makes it.
@OnLoop
struct Forwarder {
    /// What proves the client to us proves nothing to the bridge, which has our word for it.
    private static let credentials: FieldNameSet = [.authorization, .cookie, .xAPIKey]
    /// But where credentials are made of credentials: there our word is not enough.
    private static let otherCredentials: FieldNameSet = [.cookie, .xAPIKey]
    /// What we write ourselves.
    private static let written: FieldNameSet = [.xRequestID, .traceparent, .drawbridgeIdentity]

    private let proxy: ReverseProxy
    private let hop: HopIdentity

    init(_ proxy: ReverseProxy, _ hop: HopIdentity) {
        self.proxy = proxy
        self.hop = hop
    }

    @inline(__always)
    func forward(_ recorded: borrowing RecordedRequest, _ writer: consuming ResponseWriter) async throws {
        let trail = recorded.trail
        let (request, route) = (recorded.validated.request, recorded.validated.route)
        let identity = recorded.validated.identity
        trail.forwardedAt = Loop.monotonicNanoseconds
        let credentials = route.terms.passesCredentials ? Self.otherCredentials : Self.credentials
        let exchange = try await proxy.send(
            request, content: recorded.validated.content,
            dropping: (trail.continuesTrace ? credentials : credentials.union([.tracestate])).union(Self.written),
            timeout: route.terms.timeout, moreLines: Self.byteBound + HopIdentity.byteBound(identity)
        ) { append(request, trail, identity, to: &$0) }
        defer { exchange.end() }
        trail.answered(exchange.head.status)
        // Where the request does not name its hotel, the bridge says what it found, to us alone.
        if recorded.validated.hotelID == nil, let hotel = exchange.head.fields[.drawbridgeHotel] {
            trail.concerns(hotel: Int32(hotel))
        }
        if let credential = exchange.head.fields[.drawbridgeCredential] { trail.concerns(credential: credential) }
        try await recorded.beginAnswer()
        trail.contentLength = try await proxy.relay(exchange, writer)
    }

    /// What `append` writes beside the identity: names and ends of three lines, the request's id and the trace.
    private static let byteBound = 160

    /// Writes the fields of our own.
    private func append(
        _ request: Request, _ trail: Trail, _ identity: Identity, to output: inout OutputSpan<UInt8>
    ) {
        request.id.withDigits { id in
            output.append("X-Request-Id: ")
            output.append(id)
            output.append("\r\ntraceparent: ")
            trail.trace.asked(during: request.id).append(to: &output)
            output.append("\r\nDrawbridge-Identity: ")
            hop.sign(
                identity, requestID: id, method: request.head.method.rawValue,
                target: request.head.target.origin.span, now: Loop.unixSeconds, to: &output)
            output.append("\r\n")
        }
    }

    /// Whether the bridge may have got something of a request that failed by this error.
    func mayHaveSent(_ request: Request, _ trail: Trail, _ error: any Error) -> Bool {
        guard trail.forwardedAt != nil else { return false }
        return switch (error as? UpstreamError)?.code {
        case .overloaded: false
        // An idempotent one may have been sent before, on a connection that broke.
        case .unavailable: request.head.method.isIdempotent
        case .broken, .timedOut, nil: true
        }
    }
}
