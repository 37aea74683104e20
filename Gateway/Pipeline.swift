internal import Authentication
internal import HTTP
internal import Loop
internal import Policy
internal import Proxy
internal import Server

/// The one list of stages that a request passes, cheap checks first. Each gives what the next one asks for, so none can
/// be left out; each refuses by throwing.
@OnLoop
final class Pipeline: Handler {
    private let routing: Routing
    private let authentication: Authenticating
    private let authorization: Authorizing
    private let forwarding: ForwardingStage
    private let metrics = PipelineMetrics()

    init(
        _ configuration: GatewayConfiguration, hop: HopIdentity, credentials: CredentialVerifier, proxy: ReverseProxy
    ) {
        routing = Routing(configuration.routes)
        authentication = Authenticating(credentials: credentials)
        authorization = Authorizing()
        forwarding = ForwardingStage(proxy, hop)
    }

    func respond(to request: Request, _ writer: consuming ResponseWriter) async throws {
        do {
            let routed = try routing.route(request)
            let authenticated =
                if let proven = try authentication.authenticate(routed) {
                    proven
                } else {
                    try await authentication.wait(routed)
                }
            let authorized = try await authorization.authorize(authenticated)
            metrics.allowed(authorized.route)
            try await forwarding.forward(authorized, writer)
        } catch {
            metrics.refused(error)
            throw ErrorResponse.problem(for: error, request)
        }
    }
}

// What each stage gives the next. Every type is made by its stage alone.

/// A request that the API's description knows.
struct RoutedRequest {
    let request: Request
    let match: RouteMatch

    var route: Route { match.route }

    fileprivate init(_ request: Request, _ match: RouteMatch) {
        self.request = request
        self.match = match
    }
}

/// A request of somebody who has proven who he is.
struct AuthenticatedRequest {
    let routed: RoutedRequest
    let proof: Proof

    fileprivate init(_ routed: RoutedRequest, _ proof: Proof) {
        self.routed = routed
        self.proof = proof
    }
}

/// A request that its sender may make, its content read.
struct AuthorizedRequest {
    let request: Request
    let route: Route
    let identity: Identity
    let content: [UInt8]

    fileprivate init(_ authenticated: AuthenticatedRequest, content: [UInt8]) {
        request = authenticated.routed.request
        route = authenticated.routed.route
        identity = authenticated.proof.identity
        self.content = content
    }
}

/// What is not described is refused.
@OnLoop
private struct Routing {
    private let routes: RouteTable

    init(_ routes: RouteTable) { self.routes = routes }

    func route(_ request: Request) throws -> RoutedRequest {
        switch routes.match(request.head.method, path: request.head.target.pathBytes.span) {
        case .route(let match):
            guard match.route.terms.isForwarded else { throw Refusal.notOffered }
            return RoutedRequest(request, match)
        case .methodNotAllowed(let allowed): throw Refusal.methodNotAllowed(allowed)
        case .notFound: throw Refusal.unknownPath
        }
    }
}

/// Nobody passes without proving who he is, in one of the ways that the route accepts. Nothing of the content is read for it.
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

    /// Waits for it: for a key that an issuer may have published, or for what Redis says about a nonce.
    func wait(_ routed: RoutedRequest) async throws -> AuthenticatedRequest {
        do {
            return AuthenticatedRequest(routed, try await credentials.verifyPatiently(routed.request))
        } catch {
            throw Unauthenticated(cause: error, accepted: routed.route.terms.authentication)
        }
    }
}

/// Nobody passes without the scopes of the route and access to the hotel that the request names.
@OnLoop
private struct Authorizing {
    func authorize(_ authenticated: AuthenticatedRequest) async throws -> AuthorizedRequest {
        let (routed, identity) = (authenticated.routed, authenticated.proof.identity)
        let terms = routed.route.terms
        guard identity.scopes.isSuperset(of: terms.scopes) else { throw Refusal.missingScope(terms.scopes) }
        // Read only now: a stranger cannot make us hold content.
        let content = routed.request.body.isEmpty ? [] : try await content(of: routed.request, terms)
        // What was signed was the content's hash; only now can be seen whether it is this content's.
        if let digest = authenticated.proof.contentDigest, !digest.matches(content.span) {
            throw Unauthenticated(
                cause: AuthenticationError(.badDigest, "the content is not what was signed"),
                accepted: terms.authentication)
        }
        if let hotelID = try HotelReference.hotelID(in: routed, content: content) {
            guard identity.hotelIDs.includes(hotelID) else { throw Refusal.foreignHotel }
        }
        return AuthorizedRequest(authenticated, content: content)
    }

    private func content(of request: Request, _ terms: Route.Terms) async throws -> [UInt8] {
        if terms.takesJSON {
            let fields = request.head.fields
            guard fields.count(of: .contentType) == 1, let type = fields.bytes(of: .contentType),
                MediaType.isJSON(type.span)
            else { throw Refusal.unsupportedMediaType }
        }
        return try await request.body.collect(upTo: terms.bodyLimit.bytes)
    }
}

/// The request goes to the bridge with the proof of who makes it.
@OnLoop
private struct ForwardingStage {
    /// What proves the client to us proves nothing to the bridge, which has our word for it.
    private static let credentials: FieldNameSet = [.authorization, .cookie, .xAPIKey]

    private let proxy: ReverseProxy
    private let hop: HopIdentity

    init(_ proxy: ReverseProxy, _ hop: HopIdentity) {
        self.proxy = proxy
        self.hop = hop
    }

    func forward(_ authorized: AuthorizedRequest, _ writer: consuming ResponseWriter) async throws {
        let request = authorized.request
        let id = request.id.description
        var fields = Fields()
        fields.append(.xRequestID, id)
        fields.append(
            .drawbridgeIdentity,
            hop.sign(
                authorized.identity, requestID: id, method: request.head.method.rawValue,
                target: String(decoding: request.head.target.origin, as: UTF8.self), now: Int64(Loop.unixTime)))
        try await proxy.forward(
            request, content: authorized.content, extra: fields, dropping: Self.credentials,
            timeout: authorized.route.terms.timeout, writer)
    }
}
