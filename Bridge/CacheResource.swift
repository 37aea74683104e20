internal import Authentication
internal import Booking
internal import Catalogue
internal import HTTP
internal import JSONText
internal import Loop
internal import PMS
internal import Policy
internal import Server
internal import Stay
internal import Telemetry

/// Triggers, by which alone hotels and what they sell change, and the state of what is kept.
@OnLoop
struct CacheResource {
    /// How long a trigger waits for its end: a little less than the gateway does.
    private static let patience = Duration.seconds(50)

    /// Failures that are told one by one.
    private static let toldFailures = 20

    private let hotels: HotelDirectory
    private let refresher: CatalogueRefresher
    private let triggers: CacheTriggers
    private let answers: IdempotentAnswers

    init(
        _ hotels: HotelDirectory, _ refresher: CatalogueRefresher, _ triggers: CacheTriggers,
        _ answers: IdempotentAnswers
    ) {
        self.hotels = hotels
        self.refresher = refresher
        self.triggers = triggers
        self.answers = answers
    }

    // MARK: Triggers

    func updateHotels(_ call: Call) async throws -> Answer {
        let body = try HotelListBody(json: call.content)
        let asked = try hotels(body, call, mustBeKnown: false)
        return try await refresh(.hotels(asked), asked, body.hotels, call)
    }

    func updateRoomTypes(_ call: Call) async throws -> Answer {
        let body = try HotelListBody(json: call.content)
        let asked = try hotels(body, call, mustBeKnown: true)
        return try await refresh(.roomTypes(asked), asked, body.hotels, call)
    }

    func refreshAvailability(_ call: Call) async throws -> Answer {
        let body = try AvailabilityRefreshBody(json: call.content)
        guard call.identity.hotelIDs.includes(body.hotel) else { throw BridgeError.foreignHotel }
        guard let entry = try hotels.described(body.hotel) else {
            throw BridgeError.invalid([("/hotel_id", "There is no such hotel")])
        }
        if let type = body.roomType, entry.typeNames[type] == nil {
            throw BridgeError.invalid([("/room_type_id", "The hotel has no such room type")])
        }
        let nights = try body.nights(today: entry.today)
        return try await refresh(
            .availability(entry.id, type: body.roomType, nights: nights), [entry.id], nil, call)
    }

    /// The hotels a trigger is about: those it names, which the identity must cover, or else all that it covers; nil for
    /// every hotel.
    private func hotels(_ body: HotelListBody, _ call: Call, mustBeKnown: Bool) throws -> Set<Int32>? {
        guard let named = body.hotels else {
            guard case .some(let own) = call.identity.hotelIDs else { return nil }
            return Set(own.filter { hotels.isKnown($0) })
        }
        guard named.allSatisfy({ call.identity.hotelIDs.includes($0) }) else { throw BridgeError.foreignHotel }
        if mustBeKnown { try check(named) { !hotels.isKnown($0) } }
        return Set(named)
    }

    private func check(_ named: [Int32], isUnknown: (Int32) -> Bool) throws {
        let mistakes = named.enumerated().filter { isUnknown($0.element) }.prefix(20).map {
            (pointer: "/hotel_ids/\($0.offset)", detail: "There is no such hotel")
        }
        if !mistakes.isEmpty { throw BridgeError.invalid(Array(mistakes)) }
    }

    private func refresh(
        _ scope: CatalogueRefresher.Scope, _ asked: Set<Int32>?, _ named: [Int32]?, _ call: Call
    ) async throws -> Answer {
        var answer = try await answers.answer(call) {
            let trigger = try await triggers.open(scope.kind, asked, by: call.identity)
            let outcome: CatalogueRefresher.Outcome
            do {
                outcome = try await Loop.withDeadline(Self.patience, "refresh the cache") { [refresher] in
                    try await refresher.refresh(scope, for: trigger)
                }
            } catch let failure as RefreshFailure {
                if let named { try check(named) { failure.unknownHotels.contains($0) } }
                throw BridgeError.refreshFailed(trigger: trigger, reason: failure.reason)
            }
            return Self.json(trigger, scope.kind, outcome)
        }
        if let asked, asked.count == 1, let hotel = asked.first { answer.concerns(hotel: hotel) }
        return answer
    }

    private static func json(
        _ trigger: Int64, _ kind: CacheKind, _ outcome: CatalogueRefresher.Outcome
    ) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("trigger_id", Int(trigger))
            json.member("cache_type", kind.rawValue)
            json.member("status", "completed")
            json.member("updated", outcome.change.updated)
            json.member("removed", outcome.change.removed)
            json.member("unchanged", outcome.change.unchanged)
            json.member("failed", outcome.failures.count)
            if !outcome.failures.isEmpty {
                json.array("failures", outcome.failures.prefix(toldFailures)) { json, failure in
                    json.object { json in
                        json.member("hotel_id", Int(failure.hotel))
                        json.member("reason", failure.reason)
                    }
                }
            }
            json.member("duration_ms", outcome.milliseconds)
        }
        return json.bytes
    }

    /// One trigger, for whoever asked for it and whoever may see all its hotels.
    func trigger(_ call: Call) async throws -> Answer {
        guard let id = call.parameter("trigger_id").flatMap({ Int64($0) }),
            let record = try await triggers.trigger(id), record.isVisible(to: call.identity)
        else { throw BridgeError.unknownTrigger }
        var json = JSONWriter()
        record.write(to: &json)
        var answer = Answer.json(json.bytes)
        answer.fields.append(.cacheControl, "private, no-cache")
        if let hotels = record.hotels, hotels.count == 1 { answer.concerns(hotel: hotels[0]) }
        return answer
    }

    // MARK: State

    /// What this bridge keeps of one hotel, or of all that the identity covers.
    func status(_ call: Call) throws -> Answer {
        var parameters = QueryParameters(call.request.head.target.query ?? "")
        let id = parameters.integer("hotel_id", in: 1...Int(Int32.max)).map { Int32($0) }
        parameters.refuseOthers()
        guard parameters.mistakes.isEmpty else { throw BridgeError.malformed(parameters.mistakes) }
        let visible: [HotelEntry]
        if let id {
            guard call.identity.hotelIDs.includes(id) else { throw BridgeError.foreignHotel }
            guard let entry = try hotels.described(id) else { throw BridgeError.unknownHotel }
            visible = [entry]
        } else {
            visible = hotels.entries.values.filter { call.identity.hotelIDs.includes($0.id) }
        }
        var json = JSONWriter()
        json.object { json in
            if let id { json.member("hotel_id", Int(id)) }
            for kind in CacheKind.allCases {
                json.object(kind.name) { json in write(kind, of: visible, to: &json) }
            }
        }
        var answer = Answer.json(json.bytes)
        answer.fields.append(.cacheControl, "private, no-cache")
        if let id { answer.concerns(hotel: id) }
        return answer
    }

    private func write(_ kind: CacheKind, of entries: [HotelEntry], to json: inout JSONWriter) {
        let policy = hotels.policy.availability
        let kept = entries.flatMap { entry in kind.kept(of: entry, policy) }
        let latest = kept.map(\.readAt).max().map { Instant(microseconds: Int64($0) * 1_000_000).description }
        json.member("last_updated", latest)
        json.member("is_active", entries.contains { $0.hotel.isActive } && !kept.isEmpty)
        json.member("cache_ttl_minutes", kind.minutesToLive(policy))
        json.member("entries", kept.reduce(0) { $0 + $1.count })
        json.member("stale", kept.reduce(0) { $0 + ($1.isStale ? $1.count : 0) })
        json.member("hit_ratio", raw: hotels.use.of(kind).hitsPerThousand.map(Self.ratio) ?? "null")
    }

    /// Thousandths as a decimal, such as 0.998.
    private static func ratio(_ thousandths: Int) -> String {
        thousandths >= 1000 ? "1.0" : "0." + String(String(thousandths + 1000).dropFirst())
    }
}

extension CacheKind {
    fileprivate var name: StaticString {
        switch self {
        case .hotels: "hotels"
        case .roomTypes: "room_types"
        case .availability: "availability"
        }
    }

    /// How many entries of a hotel are kept, when they were read together, and whether that is too long ago.
    @OnLoop
    fileprivate func kept(
        of entry: HotelEntry, _ policy: BridgePolicy.Availability
    ) -> [(count: Int, readAt: Double, isStale: Bool)] {
        let oldest = Loop.unixTime - timeToLive(policy).seconds
        switch self {
        case .hotels: return [(1, entry.hotelReadAt, entry.hotelReadAt < oldest)]
        case .roomTypes: return [(entry.offer.roomTypes.count, entry.offerReadAt, entry.offerReadAt < oldest)]
        case .availability:
            guard entry.isCounted else { return [] }
            return entry.offer.roomTypes.filter(\.isActive).map {
                (1, entry.readAt($0.type.id), entry.isRestored || entry.readAt($0.type.id) < oldest)
            }
        }
    }
}

/// The body of a trigger that may name hotels; none at all names none.
struct HotelListBody {
    /// Hotels that one trigger may name; more are asked for by naming none.
    static let bound = 1000

    let hotels: [Int32]?

    /// - Throws: `InvalidRequest`.
    init(json: [UInt8]) throws(InvalidRequest) {
        guard !json.isEmpty else {
            hotels = nil
            return
        }
        var fields = FieldReader(try JSONValue(body: json), at: "")
        hotels = Self.hotels(&fields)
        let errors = fields.finished()
        guard errors.isEmpty else { throw InvalidRequest(isMalformed: false, errors: errors) }
    }

    private static func hotels(_ fields: inout FieldReader) -> [Int32]? {
        guard let value = fields.value("hotel_ids", isRequired: false) else { return nil }
        guard case .array(let elements) = value, (1...bound).contains(elements.count) else {
            fields.fail("hotel_ids", "An array of 1 to \(bound) hotel ids is expected")
            return nil
        }
        return elements.enumerated().compactMap { position, element in
            // PMS clients send ids as strings.
            let number =
                element.integer
                ?? element.string.flatMap { text in
                    text.utf8.allSatisfy { 48...57 ~= $0 } ? Int64(text) : nil
                }
            guard let id = number.flatMap({ Int32(exactly: $0) }), id > 0 else {
                fields.fail(at: "hotel_ids", position, "A hotel id is an integer from 1 to \(Int32.max)")
                return nil
            }
            return id
        }
    }
}

/// The body of a request to read anew what is free.
struct AvailabilityRefreshBody {
    let hotel: Int32
    let roomType: Int32?
    private let first: Day?
    private let end: Day?

    /// - Throws: `InvalidRequest`.
    init(json: [UInt8]) throws(InvalidRequest) {
        var fields = FieldReader(try JSONValue(body: json), at: "")
        let ids = 1...Int64(Int32.max)
        hotel = fields.integer("hotel_id", in: ids, allowsString: true).map { Int32($0) } ?? 0
        roomType = fields.integer("room_type_id", in: ids, isRequired: false, allowsString: true).map { Int32($0) }
        first = fields.optionalDay("start_date")
        end = fields.optionalDay("end_date")
        if let first, let end, first >= end { fields.fail("end_date", "The end must be after the start") }
        let errors = fields.finished()
        guard errors.isEmpty else { throw InvalidRequest(isMalformed: false, errors: errors) }
    }

    /// The nights it is about; nil for all from today on.
    ///
    /// - Throws: `BridgeError.invalid` when they are over.
    func nights(today: Day) throws -> Range<Day>? {
        if first == nil, end == nil { return nil }
        let (first, end) = (max(first ?? today, today), end ?? .last)
        guard first < end else { throw BridgeError.invalid([("/end_date", "These nights are past at the hotel")]) }
        return first..<end
    }
}

extension FieldReader {
    fileprivate mutating func optionalDay(_ name: String) -> Day? {
        guard let value = value(name, isRequired: false) else { return nil }
        let day = value.string.flatMap { Day($0) }
        if day == nil { fail(name, "A date as YYYY-MM-DD is expected") }
        return day
    }
}
