public import Booking
internal import JSONText

/// What an endpoint is to be sent, and how: all that its client chooses.
public struct Subscription: Hashable, Sendable {
    /// Bounds on what may be asked for.
    public enum Limit {
        /// Hotels of an endpoint that is not for every one. Each is a value that the gateway's firewall looks at.
        public static let hotels = 1...200
        /// Unicode scalars.
        public static let description = 1...200
        /// Attempts that may be under way to an endpoint at once.
        public static let inFlight: ClosedRange<Int64> = 1...100
        /// Attempts that may begin in a second.
        public static let rate: ClosedRange<Int64> = 1...1000
    }

    /// Where events go.
    public var url: String
    /// Which; each once, in the order of ``EventType``'s declaration.
    public var events: [EventType]
    /// Of which hotels, in ascending order and each once; nil is every hotel.
    public var hotels: [Int32]?
    /// For whoever reads the list.
    public var description: String?
    /// How much each says.
    public var payload: PayloadForm
    /// Whether those of one booking come in the order of its versions, each after the one before has been taken.
    public var isOrdered: Bool
    /// Whether they are signed so that anybody can verify it (`v1a`), besides `v1`.
    public var isAsymmetric: Bool
    /// Whether it is sent nothing before it has answered a challenge.
    public var verifiesOwnership: Bool
    /// When what failed is tried again.
    public var retryPolicy: WebhookRetryPolicy
    /// Attempts that may be under way at once.
    public var maximumInFlight: Int
    /// Attempts that may begin in a second.
    public var maximumRate: Int

    /// What is wanted of an address, and where nothing is said what is usual.
    public init(url: String, events: [EventType], hotels: [Int32]?) {
        self.url = url
        self.events = events
        self.hotels = hotels
        payload = .full
        isOrdered = false
        isAsymmetric = false
        verifiesOwnership = false
        retryPolicy = .standard
        let limits = EndpointGate.Limits()
        (maximumInFlight, maximumRate) = (limits.inFlight, limits.perSecond)
    }

    /// The address without its query, in which subscribers may have put something that opens their door: for logs.
    public var maskedURL: String {
        guard let mark = url.firstIndex(of: "?") else { return url }
        return url[...mark] + "***"
    }
}

/// A request for an endpoint: what its client says of it.
public struct SubscriptionRequest: Sendable {
    /// Its settings.
    public let settings: SubscriptionChange
    /// The secret that its client wants to share; nil for one that we make.
    public let secret: WebhookSecret?

    /// Reads a body.
    ///
    /// - Throws: `InvalidRequest` with everything that is wrong.
    public init(json: [UInt8], allowsPlainLoopback: Bool) throws(InvalidRequest) {
        let body = try JSONValue(body: json)
        var fields = FieldReader(body, at: "")
        settings = SubscriptionChange(&fields, of: body, isComplete: true, allowsPlainLoopback)
        secret = fields.secret()
        try fields.finish()
    }

    /// The subscription.
    ///
    /// - Parameter hotels: those where the request says nothing; nil for every hotel.
    public func subscription(orHotels hotels: [Int32]?) -> Subscription {
        // Both were required.
        settings.applied(to: Subscription(url: settings.url ?? "", events: settings.events ?? [], hotels: hotels))
    }
}

/// What is to be different about a subscription; what is nil stays as it is.
public struct SubscriptionChange: Sendable {
    /// A value that can be taken away.
    public enum Setting<Value: Sendable>: Sendable {
        case absent
        case present(Value)

        /// It, where there is one.
        public var value: Value? { if case .present(let value) = self { value } else { nil } }
    }

    public private(set) var url: String?
    public private(set) var events: [EventType]?
    /// ``Setting/absent`` is every hotel.
    public private(set) var hotels: Setting<[Int32]>?
    public private(set) var description: Setting<String>?
    public private(set) var payload: PayloadForm?
    public private(set) var isOrdered: Bool?
    public private(set) var isAsymmetric: Bool?
    public private(set) var verifiesOwnership: Bool?
    public private(set) var retryPolicy: WebhookRetryPolicy?
    public private(set) var maximumInFlight: Int?
    public private(set) var maximumRate: Int?
    /// Whether it is to be sent anything at all.
    public private(set) var isEnabled: Bool?

    /// Reads a body: members that are left out stay as they are, null takes away what can be.
    ///
    /// - Throws: `InvalidRequest` with everything that is wrong.
    public init(json: [UInt8], allowsPlainLoopback: Bool) throws(InvalidRequest) {
        let body = try JSONValue(body: json)
        var fields = FieldReader(body, at: "")
        self.init(&fields, of: body, isComplete: false, allowsPlainLoopback)
        isEnabled = fields.flag("enabled")
        try fields.finish()
    }

    fileprivate init(
        _ fields: inout FieldReader, of body: JSONValue, isComplete: Bool, _ allowsPlainLoopback: Bool
    ) {
        if let value = fields.value("url", isRequired: isComplete) {
            url = value.string
            if let fault = EndpointAddress.fault(of: value.string ?? "", allowsPlainLoopback: allowsPlainLoopback) {
                fields.fail("url", fault)
            }
        }
        events = fields.events(isRequired: isComplete)
        hotels = body["hotel_ids"] == .null ? .absent : nil
        if let ids = fields.hotels() { hotels = .present(ids) }
        description = body["description"] == .null ? .absent : nil
        if let text = fields.text("description", length: Subscription.Limit.description, isRequired: false) {
            description = .present(text)
        }
        payload = fields.choice("payload")
        isOrdered = fields.flag("in_order")
        isAsymmetric = fields.flag("asymmetric")
        verifiesOwnership = fields.flag("verify_ownership")
        retryPolicy = fields.retryPolicy()
        maximumInFlight = fields.integer("max_in_flight", in: Subscription.Limit.inFlight, isRequired: false)
            .map { Int($0) }
        maximumRate = fields.integer("max_per_second", in: Subscription.Limit.rate, isRequired: false).map { Int($0) }
    }

    /// The subscription as it is then.
    public func applied(to subscription: Subscription) -> Subscription {
        var changed = subscription
        if let url { changed.url = url }
        if let events { changed.events = events }
        if let hotels { changed.hotels = hotels.value }
        if let description { changed.description = description.value }
        if let payload { changed.payload = payload }
        if let isOrdered { changed.isOrdered = isOrdered }
        if let isAsymmetric { changed.isAsymmetric = isAsymmetric }
        if let verifiesOwnership { changed.verifiesOwnership = verifiesOwnership }
        if let retryPolicy { changed.retryPolicy = retryPolicy }
        if let maximumInFlight { changed.maximumInFlight = maximumInFlight }
        if let maximumRate { changed.maximumRate = maximumRate }
        return changed
    }
}

/// A request for another secret.
public struct SecretRotation: Sendable {
    /// Hours for which the secrets before it go on being good, where nothing is said.
    public static let standardOverlapInHours = 24
    /// Hours that may be asked for; none ends them at once.
    public static let overlapsInHours: ClosedRange<Int64> = 0...24

    /// The secret that its client wants to share; nil for one that we make.
    public let secret: WebhookSecret?
    /// How long, in hours, those before it go on being good at most.
    public let overlapInHours: Int

    /// Reads a body, which may be empty.
    ///
    /// - Throws: `InvalidRequest` with everything that is wrong.
    public init(json: [UInt8]) throws(InvalidRequest) {
        var fields = FieldReader(json.isEmpty ? .object([]) : try JSONValue(body: json), at: "")
        secret = fields.secret()
        let overlap = fields.integer("overlap_hours", in: Self.overlapsInHours, isRequired: false)
        overlapInHours = overlap.map { Int($0) } ?? Self.standardOverlapInHours
        try fields.finish()
    }
}

// MARK: - Members

extension FieldReader {
    func finish() throws(InvalidRequest) {
        let errors = finished()
        guard errors.isEmpty else { throw InvalidRequest(isMalformed: false, errors: errors) }
    }

    fileprivate mutating func flag(_ name: String) -> Bool? {
        switch value(name, isRequired: false) {
        case nil: return nil
        case .bool(let flag): return flag
        default:
            fail(name, "true or false is expected")
            return nil
        }
    }

    mutating func choice<Choice: RawRepresentable & CaseIterable>(_ name: String) -> Choice?
    where Choice.RawValue == String {
        guard let value = value(name, isRequired: false) else { return nil }
        if let choice = value.string.flatMap({ Choice(rawValue: $0) }) { return choice }
        fail(name, "One of \(Choice.allCases.map(\.rawValue).joined(separator: ", ")) is expected")
        return nil
    }

    fileprivate mutating func secret() -> WebhookSecret? {
        guard let value = value("secret", isRequired: false) else { return nil }
        guard let text = value.string else {
            fail("secret", "A string is expected")
            return nil
        }
        do { return try WebhookSecret(parsing: text) } catch {
            fail("secret", "This cannot be a secret: \(error.message)")
            return nil
        }
    }

    mutating func events(isRequired: Bool) -> [EventType]? {
        guard let value = value("events", isRequired: isRequired) else { return nil }
        guard case .array(let elements) = value, (1...EventType.allCases.count).contains(elements.count) else {
            fail("events", "An array of 1 to \(EventType.allCases.count) events is expected")
            return nil
        }
        var events: Set<EventType> = []
        for (position, element) in elements.enumerated() {
            if let event = element.string.flatMap(EventType.init) {
                events.insert(event)
            } else {
                fail(at: "events", position, "There is no such event")
            }
        }
        return EventType.allCases.filter(events.contains)
    }

    fileprivate mutating func hotels() -> [Int32]? {
        guard let value = value("hotel_ids", isRequired: false) else { return nil }
        let bounds = Subscription.Limit.hotels
        guard case .array(let elements) = value, bounds.contains(elements.count) else {
            fail("hotel_ids", "An array of \(bounds.lowerBound) to \(bounds.upperBound) hotels is expected, or null")
            return nil
        }
        var ids: Set<Int32> = []
        for (position, element) in elements.enumerated() {
            let digits = element.string.flatMap { text in
                text.utf8.allSatisfy { 0x30...0x39 ~= $0 } ? Int64(text) : nil
            }
            if let id = (element.integer ?? digits).flatMap({ Int32(exactly: $0) }), id > 0 {
                ids.insert(id)
            } else {
                fail(at: "hotel_ids", position, "The id of a hotel is expected")
            }
        }
        return ids.sorted()
    }

    fileprivate mutating func retryPolicy() -> WebhookRetryPolicy? {
        guard let value = value("retryPolicy", isRequired: false) else { return nil }
        var members = FieldReader(value, at: pointer + "/retryPolicy")
        defer { absorb(members) }
        let counts = WebhookRetryPolicy.retryCounts
        let retries = members.integer(
            "maxRetries", in: Int64(counts.lowerBound)...Int64(counts.upperBound), isRequired: false)
        let backoff: WebhookRetryPolicy.Backoff? = members.choice("backoff")
        let standard = WebhookRetryPolicy.standard
        // It is within its bounds.
        return try? WebhookRetryPolicy(
            maximumRetries: retries.map { Int($0) } ?? standard.maximumRetries, backoff: backoff ?? standard.backoff)
    }
}
