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
            if let fields = crossOrigin.preflight(request.head, methods: routing.methods) {
                try await recording.recordPreflight(trail)
                return writer.send(.noContent, fields)
            }
            let routed = try routing.route(admitted)
            trail.route = routed.route.operationID
            let authenticated =
                if let proven = try authentication.authenticate(routed) {
                    proven
                } else {
                    try await authentication.wait(routed, &nonce)
                }
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

// What each stage gives the next. Every type is made by its stage alone.

/// A request from where requests may come, and not too many of them.
struct AdmittedRequest {
    let request: Request
    let address: AddressBlock?
    let verdict: Verdict

    /// - Throws: `Refusal`.
    @OnLoop
    fileprivate init(_ request: Request, _ admission: Admission, _ trail: Trail) throws {
        self.request = request
        (address, verdict) = try admission.check(request.connection, trail)
    }

    private init(_ other: AdmittedRequest, _ request: Request) {
        self.request = request
        (address, verdict) = (other.address, other.verdict)
    }

    /// The same for the stages that are not to see its query.
    @OnLoop
    fileprivate var withoutQuery: AdmittedRequest { AdmittedRequest(self, request.withoutQuery) }
}

/// A request that the API's description knows.
struct RoutedRequest {
    let admitted: AdmittedRequest
    let match: RouteMatch

    var request: Request { admitted.request }
    var route: Route { match.route }

    fileprivate init(_ admitted: AdmittedRequest, _ match: RouteMatch) {
        self.admitted = admitted
        self.match = match
    }

    @OnLoop
    fileprivate var withoutQuery: RoutedRequest { RoutedRequest(admitted.withoutQuery, match) }
}

/// A request of somebody who has proven who he is.
struct AuthenticatedRequest {
    let routed: RoutedRequest
    let proof: Proof

    var identity: Identity { proof.identity }

    @OnLoop
    fileprivate init(_ routed: RoutedRequest, _ proof: Proof) {
        // A source's secret may stand there. Nobody needs it any more: it goes into no rule, no record and not to the bridge.
        self.routed = proof.identity.method == .inbound ? routed.withoutQuery : routed
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
struct AuthorizedRequest {
    let routed: RoutedRequest
    let identity: Identity
    let hotelID: Int32?
    let content: Content

    fileprivate init(_ authenticated: AuthenticatedRequest, hotelID: Int32?, content: Content) {
        routed = authenticated.routed
        identity = authenticated.proof.identity
        self.hotelID = hotelID
        self.content = content
    }
}

/// A request that is one of no more than its sender may make.
struct LimitedRequest {
    let authorized: AuthorizedRequest

    /// - Throws: `Refusal`.
    @OnLoop
    fileprivate init(_ authorized: AuthorizedRequest, _ limits: Limits, _ trail: Trail) async throws {
        let routed = authorized.routed
        let subject = Subject(
            principal: authorized.identity.principal(at: routed.admitted.address), address: routed.admitted.address,
            hotel: authorized.hotelID.map { String($0) }, route: routed.route.operationID)
        try await limits.check(
            subject, limits.classes(for: authorized.identity, at: routed.route), routed.request,
            after: routed.admitted.verdict, trail)
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
struct ValidatedRequest {
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
    fileprivate init(_ limited: LimitedRequest) throws {
        let authorized = limited.authorized
        let routed = authorized.routed
        freeText = try Validation.check(routed.request, routed.match, authorized.content)
        ids = routed.match.ids
        request = routed.request
        route = routed.route
        identity = authorized.identity
        hotelID = authorized.hotelID
        content = authorized.content.bytes
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

    func route(_ admitted: AdmittedRequest) throws -> RoutedRequest {
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
    func authenticate(_ routed: RoutedRequest) throws -> AuthenticatedRequest? {
        let accepted = routed.route.terms.authentication
        do {
            return try credentials.verify(routed.request, accepted: accepted).map { AuthenticatedRequest(routed, $0) }
        } catch {
            throw Unauthenticated(cause: error, accepted: accepted)
        }
    }

    /// Waits for it: for a key that an issuer may have published, for what Redis says about a nonce, for a webhook's
    /// content.
    ///
    /// - Parameter nonce: set to what is spent by it.
    func wait(_ routed: RoutedRequest, _ nonce: inout ClaimedNonce?) async throws -> AuthenticatedRequest {
        do {
            let proof: Proof
            (proof, nonce) = try await credentials.verifyPatiently(routed.request, routed.match)
            return AuthenticatedRequest(routed, proof)
        } catch let error as AuthenticationError {
            throw Unauthenticated(cause: error, accepted: routed.route.terms.authentication)
        }
    }
}

/// Nobody passes without the scopes of the route and access to the hotel that the request names.
@OnLoop
private struct Authorizing {
    func authorize(_ authenticated: AuthenticatedRequest, _ trail: Trail) async throws -> AuthorizedRequest {
        let (routed, identity) = (authenticated.routed, authenticated.identity)
        let terms = routed.route.terms
        guard identity.scopes.isSuperset(of: terms.scopes) else { throw Refusal.missingScope(terms.scopes) }
        // Read only now: a stranger cannot make us hold content.
        let content: Content
        if routed.request.body.isEmpty, authenticated.proof.content == nil {
            try authenticated.checkSigned([])
            content = .none
        } else {
            content = try await self.content(of: authenticated, trail)
        }
        let hotelID = try HotelReference.hotelID(in: routed, content: content)
        trail.concerns(hotel: hotelID)
        if let hotelID, !identity.hotelIDs.includes(hotelID) { throw Refusal.foreignHotel }
        return AuthorizedRequest(authenticated, hotelID: hotelID, content: content)
    }

    private func content(of authenticated: AuthenticatedRequest, _ trail: Trail) async throws -> Content {
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

    private let proxy: ReverseProxy
    private let hop: HopIdentity

    init(_ proxy: ReverseProxy, _ hop: HopIdentity) {
        self.proxy = proxy
        self.hop = hop
    }

    func forward(_ recorded: RecordedRequest, _ writer: consuming ResponseWriter) async throws {
        let (validated, trail) = (recorded.validated, recorded.trail)
        let request = validated.request
        let id = request.id.description
        var fields = Fields()
        fields.append(.xRequestID, id)
        fields.append(.traceparent, trail.trace.asked(during: request.id).traceparent)
        fields.append(
            .drawbridgeIdentity,
            hop.sign(
                validated.identity, requestID: id, method: request.head.method.rawValue,
                target: String(decoding: request.head.target.origin, as: UTF8.self), now: Loop.unixSeconds))
        trail.forwardedAt = Loop.monotonicNanoseconds
        let credentials = validated.route.terms.passesCredentials ? Self.otherCredentials : Self.credentials
        let exchange = try await proxy.send(
            request, content: validated.content, extra: fields,
            dropping: trail.continuesTrace ? credentials : credentials.union([.tracestate]),
            timeout: validated.route.terms.timeout)
        defer { exchange.end() }
        trail.answered(exchange.head.status)
        // Where the request does not name its hotel, the bridge says what it found, to us alone.
        if validated.hotelID == nil, let hotel = exchange.head.fields[.drawbridgeHotel] {
            trail.concerns(hotel: Int32(hotel))
        }
        if let credential = exchange.head.fields[.drawbridgeCredential] { trail.concerns(credential: credential) }
        try await recorded.beginAnswer()
        trail.contentLength = try await proxy.relay(exchange, writer)
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
