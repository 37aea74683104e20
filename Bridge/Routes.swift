internal import Authentication
internal import HTTP
internal import Loop
internal import Policy
internal import Server
internal import Telemetry

/// The one list of routes: what the bridge does for each operation that the API's description may forward.
@OnLoop
final class Routes: Handler {
    /// What answers one operation.
    typealias Resource = @OnLoop (Call) async throws -> Answer

    static func resources(
        _ hotels: HotelDirectory, _ bookings: BookingService, _ cache: CacheResource, _ answers: IdempotentAnswers,
        _ token: TokenResource, _ apiKey: APIKeyResource, _ deadLetter: DeadLetterResource, _ webhook: WebhookResource,
        _ delivery: DeliveryResource, _ replay: ReplayResource, _ inbound: InboundResource, _ policy: BridgePolicy
    ) -> [String: Resource] {
        let hotelResource = HotelResource(hotels, answers)
        let pricing = PricingResource(hotels, policy.availability)
        let availability = AvailabilityResource(hotels, policy.availability)
        let booking = BookingResource(bookings, hotels)
        let restriction = RestrictionResource(bookings, hotels)
        let resource: (Operation) -> Resource = { operation in
            switch operation {
            case .listHotels: hotelResource.list
            case .getHotel: hotelResource.get
            case .listRoomTypes: hotelResource.roomTypes
            case .listPlans: hotelResource.plans
            case .listAmenities: hotelResource.amenities
            case .listImages: hotelResource.images
            case .setImages: hotelResource.setImages
            case .getRestrictions: restriction.get
            case .setRestrictions: restriction.set
            case .getPricing: pricing.get
            case .getAvailability: availability.get
            case .createBooking: booking.create
            case .listBookings: booking.list
            case .getBooking: booking.get
            case .changeBooking: booking.change
            case .cancelBooking: booking.cancel
            case .updateHotels: cache.updateHotels
            case .updateRoomTypes: cache.updateRoomTypes
            case .refreshAvailability: cache.refreshAvailability
            case .getCacheStatus: cache.status
            case .getCacheTrigger: cache.trigger
            case .issueToken: token.issue
            case .refreshToken: token.refresh
            case .validateToken: token.validate
            case .getTokenUser: token.user
            case .getSigningKeys: token.keySet
            case .createAPIKey: apiKey.create
            case .listAPIKeys: apiKey.list
            case .rotateAPIKey: apiKey.rotate
            case .revokeAPIKey: apiKey.revoke
            case .listDeadLetters: deadLetter.list
            case .getDeadLetter: deadLetter.get
            case .retryDeadLetter: deadLetter.retry
            case .abandonDeadLetter: deadLetter.abandon
            case .listEventTypes: webhook.eventTypes
            case .subscribeWebhook: webhook.subscribe
            case .listWebhooks: webhook.list
            case .getWebhook: webhook.get
            case .changeWebhook: webhook.change
            case .removeWebhook: webhook.remove
            case .rotateWebhookSecret: webhook.rotateSecret
            case .enableWebhook: webhook.enable
            case .receiveInbound: inbound.receive
            case .listInbound: inbound.list
            case .getInbound: inbound.get
            case .retryInbound: inbound.retry
            case .testWebhook: delivery.test
            case .replayWebhook: replay.begin
            case .getReplay: replay.get
            case .listDeliveries: delivery.list
            case .getDelivery: delivery.get
            case .retryDelivery: delivery.retry
            case .abandonDelivery: delivery.abandon
            case .listWebhookDeadLetters: delivery.listDeadLetters
            case .retryWebhookDeadLetters: delivery.retryDeadLetters
            }
        }
        return Dictionary(uniqueKeysWithValues: Operation.allCases.map { ($0.rawValue, resource($0)) })
    }

    private var table: RouteTable
    private let hop: HopIdentity
    private let gatewayCalls: GatewayCalls
    private let resources: [String: Resource]
    private let durations: [String: Histogram]
    private let onChange: @OnLoop () -> Void

    /// - Parameter onChange: called when a request has been answered that may have changed something.
    init(
        _ table: RouteTable, hop: HopIdentity, gatewayCalls: GatewayCalls, resources: [String: Resource],
        onChange: @escaping @OnLoop () -> Void
    ) {
        self.table = table
        self.hop = hop
        self.gatewayCalls = gatewayCalls
        self.resources = resources
        self.onChange = onChange
        durations = Dictionary(
            uniqueKeysWithValues: resources.keys.map { name in
                (
                    name,
                    Metrics.histogram(
                        "drawbridge_bridge_operation_duration_seconds", "Time to answer, by operation.",
                        [("operation", name)])
                )
            })
    }

    /// Goes by another description of the API from the next request on.
    func replace(_ table: RouteTable) { self.table = table }

    func respond(to request: Request, _ writer: consuming ResponseWriter) async throws {
        // The gateways ask this to know whether the process lives; it says nothing about anybody.
        if request.head.target.path == "/healthz" { return writer.send(.ok, content: Array("ok\n".utf8)) }
        do {
            if gatewayCalls.isMeant(by: request) {
                let answer = try await gatewayCalls.answer(request)
                return answer.send(to: request, writer)
            }
            let identity = try identity(of: request)
            let match = try match(request)
            guard let resource = resources[match.route.operationID] else { throw BridgeError.unknownPath }
            let started = Loop.monotonicNanoseconds
            let content =
                request.body.isEmpty ? [] : try await request.body.collect(upTo: match.route.terms.bodyLimit.bytes)
            let answer = try await resource(
                Call(request: request, match: match, identity: identity, content: content))
            durations[match.route.operationID]?.record(nanoseconds: Loop.monotonicNanoseconds - started)
            answer.send(to: request, writer)
            if request.head.method != .get { onChange() }
        } catch {
            throw ErrorResponse.problem(for: error, request)
        }
    }

    /// Nothing is answered without the proof that a gateway has let this very request through.
    private func identity(of request: Request) throws -> Identity {
        let fields = request.head.fields
        guard fields.count(of: .drawbridgeIdentity) == 1, let header = fields[.drawbridgeIdentity] else {
            throw AuthenticationError(.badHop, "not exactly one identity header")
        }
        return try hop.verify(
            header, requestID: request.id.description, method: request.head.method.rawValue,
            target: String(decoding: request.head.target.origin, as: UTF8.self), now: Loop.unixSeconds)
    }

    private func match(_ request: Request) throws -> RouteMatch {
        switch table.match(request.head.method, path: request.head.target.pathBytes.span) {
        case .route(let match): return match
        case .methodNotAllowed(let allowed): throw BridgeError.methodNotAllowed(allowed)
        case .notFound: throw BridgeError.unknownPath
        }
    }
}

/// One request as a resource sees it.
@OnLoop
struct Call {
    let request: Request
    let match: RouteMatch
    let identity: Identity
    let content: [UInt8]

    /// A path parameter's value.
    func parameter(_ name: String) -> String? { match.value(of: name, in: request.head.target.pathBytes.span) }

    /// The hotel in the path, whose catalogue must be known; whether it can be sold now does not matter.
    func described(in hotels: HotelDirectory, _ kind: CacheKind) throws -> HotelEntry {
        let tally = hotels.use.of(kind)
        let entry = try found(tally) { try hotels.described($0) }
        tally.hits.increment()
        return entry
    }

    /// The hotel in the path, of which it must be known what is free, now or when it could be read last.
    func counted(in hotels: HotelDirectory) throws -> HotelEntry {
        try found(hotels.use.availability) { try hotels.counted($0) }
    }

    private func found(_ tally: CacheUse.Tally, _ find: (Int32) throws -> HotelEntry?) throws -> HotelEntry {
        guard let id = parameter("hotel_id").flatMap({ Int32($0) }) else { throw BridgeError.unknownHotel }
        guard identity.hotelIDs.includes(id) else { throw BridgeError.foreignHotel }
        do {
            guard let hotel = try find(id) else { throw BridgeError.unknownHotel }
            return hotel
        } catch BridgeError.unreadableHotel(let seconds) {
            tally.misses.increment()
            throw BridgeError.unreadableHotel(retryAfter: seconds)
        }
    }
}
