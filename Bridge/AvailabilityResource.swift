internal import Availability
internal import Booking
internal import Catalogue
internal import HTTP
internal import JSONText
internal import Loop
internal import Policy
internal import Server
internal import Stay
internal import Telemetry

/// Rooms free for a stay, from the index.
@OnLoop
final class AvailabilityResource {
    private let hotels: HotelDirectory
    private let policy: BridgePolicy.Availability
    /// Used again for each query, which then allocates nothing.
    private var found = AvailabilityAnswer()
    private var memory = AnswerMemory()
    /// In seconds.
    private let timeToLive: Double

    init(_ hotels: HotelDirectory, _ policy: BridgePolicy.Availability) {
        self.hotels = hotels
        self.policy = policy
        timeToLive = policy.timeToLive.seconds
    }

    func get(_ call: Call) async throws -> Answer {
        let entry = try call.counted(in: hotels)
        let question = AnswerMemory.Question(hotel: entry.id, query: call.request.head.target.query ?? "")
        let now = Loop.unixTime
        entry.askedAt = now
        entry.rollWindow()
        if !entry.isRestored, let known = memory.answer(question, changes: entry.changes),
            now - known.readAt <= timeToLive
        {
            hotels.use.availability.hits.increment()
            return .cached(known.document, age: age(known.readAt, now), timeToLive: Int(timeToLive))
        }
        return try await answer(entry, question)
    }

    private func answer(_ entry: HotelEntry, _ question: AnswerMemory.Question) async throws -> Answer {
        let query = try AvailabilityQuery(question.query)
        let isExpired = isExpired(entry, query)
        // Asked of the PMS now, once however many ask; what cannot be read soon is told as it was.
        if isExpired { await hotels.freshen(entry) }
        let isStale = isExpired && self.isExpired(entry, query)
        (isExpired && !isStale ? hotels.use.availability.misses : hotels.use.availability.hits).increment()
        let now = Loop.unixTime
        let readAt = entry.readAt(query.roomType)
        guard now - readAt <= policy.maximumAge.seconds else { throw BridgeError.outdatedHotel }
        entry.rollWindow()
        try query.stay.check(today: entry.availability.firstNight, policy)
        if let type = query.roomType, !entry.availability.hasType(type) {
            throw BridgeError.invalid([(QueryParameters.pointer("room_type_id"), "The hotel has no such room type")])
        }
        guard entry.availability.query(query.stay, type: query.roomType, guests: query.guests, into: &found) else {
            throw BridgeError.invalid([(QueryParameters.pointer("start_date"), "The stay is outside the window")])
        }
        let document = document(entry, query, readAt: readAt, isStale: isStale)
        if !isStale {
            memory.remember(.init(document: document, changes: entry.changes, readAt: readAt), to: question)
        }
        return .cached(
            document, age: age(readAt, now), timeToLive: Int(timeToLive),
            how: entry.isRestored ? .restored : isExpired && !isStale ? .refreshed : .known)
    }

    /// What was written down before a restart may have missed changes, however young it is.
    private func isExpired(_ entry: HotelEntry, _ query: AvailabilityQuery) -> Bool {
        entry.isRestored || Loop.unixTime - entry.readAt(query.roomType) > timeToLive
    }

    private func age(_ readAt: Double, _ now: Double) -> Int { max(0, Int(now - readAt)) }

    private func document(
        _ entry: HotelEntry, _ query: AvailabilityQuery, readAt: Double, isStale: Bool
    ) -> Document {
        var json = JSONWriter(capacity: 1024)
        json.object { json in
            json.member("hotel_id", Int(entry.id))
            json.member("start_date") { query.stay.arrival.append(to: &$0) }
            json.member("end_date") { query.stay.departure.append(to: &$0) }
            json.member("nights", query.stay.nightCount)
            json.array("room_types", found.types.indices) { json, position in
                let type = found.types[position]
                let suffices = type.capacity >= query.guests && query.rooms.map(type.suffices(forRooms:)) ?? true
                guard suffices || query.explains else { return }
                write(type, nights: found.nights(ofTypeAt: position), entry, query, to: &json)
            }
            let unassigned = query.stay.nights.reduce(0) { $0 + Int(entry.availability.unassigned(on: $1)) }
            // The PMS knows these nights are sold, but not in which room: the counts are that much too high.
            if unassigned > 0 { json.member("unassigned_nights", unassigned) }
            json.member("last_updated", Instant(microseconds: Int64(readAt) * 1_000_000).description)
            let expiry = Int64(readAt) + Int64(timeToLive)
            json.member("expires_at", Instant(microseconds: expiry * 1_000_000).description)
            json.member("is_stale", isStale)
        }
        return Document(json.bytes)
    }

    private func write(
        _ type: TypeAvailability, nights: ArraySlice<Int32>, _ entry: HotelEntry, _ query: AvailabilityQuery,
        to json: inout JSONWriter
    ) {
        json.object { json in
            json.member("room_type_id", Int(type.type))
            json.member("name", entry.typeNames[type.type] ?? "")
            json.member("capacity", Int(type.capacity))
            json.member("total", Int(type.total))
            json.member("available", Int(type.available))
            json.array("nights", zip(query.stay.nights, nights)) { json, night in
                json.object { json in
                    json.member("date") { night.0.append(to: &$0) }
                    json.member("available", Int(night.1))
                }
            }
            if query.explains {
                let obstacles = entry.availability.obstacles(
                    ofType: type.type, stay: query.stay, guests: query.guests, rooms: Int32(query.rooms ?? 1))
                json.array("reasons", obstacles) { json, obstacle in obstacle.write(to: &json) }
            }
        }
    }
}

/// The query part of an availability request.
struct AvailabilityQuery {
    let stay: Stay
    let roomType: Int32?
    let guests: Int32
    let rooms: Int?
    /// Whether it is to be said of each room type why it cannot be booked.
    let explains: Bool

    /// - Throws: `BridgeError.malformed` with every parameter that is none.
    init(_ query: String) throws {
        var parameters = QueryParameters(query)
        let stay = parameters.stay()
        roomType = parameters.integer("room_type_id", in: 1...Int(Int32.max)).map { Int32($0) }
        guests = Int32(parameters.integer("guests", in: 1...99) ?? 1)
        rooms = parameters.integer("rooms", in: 1...99)
        explains = parameters.flag("explain") ?? false
        parameters.refuseOthers()
        guard parameters.mistakes.isEmpty, let stay else { throw BridgeError.malformed(parameters.mistakes) }
        self.stay = stay
    }
}

extension Stay {

    /// - Throws: `BridgeError.invalid` when the stay is not one that can be asked about.
    func check(today: Day, _ policy: BridgePolicy.Availability) throws {
        var mistakes: [(pointer: String, detail: String)] = []
        func fail(_ name: String, _ detail: String) { mistakes.append((QueryParameters.pointer(name), detail)) }
        if arrival < today { fail("start_date", "The arrival is in the past at the hotel") }
        if today.distance(to: arrival) > policy.windowInDays {
            fail("start_date", "The arrival is more than \(policy.windowInDays) days ahead")
        }
        if nightCount > policy.maximumNights {
            fail("end_date", "A stay has at most \(policy.maximumNights) nights")
        }
        if !mistakes.isEmpty { throw BridgeError.invalid(mistakes) }
    }
}

/// A query's parameters, read strictly: none twice, none unknown. What it cannot read it collects.
struct QueryParameters {
    /// Mistakes that are told; further ones help nobody and would make a small request a large answer.
    private static let maximumMistakes = 20
    /// Characters of a name that are quoted back to whoever sent it; none of ours is longer.
    private static let quotedName = 64

    private var values: [String: String] = [:]
    private(set) var mistakes: [(pointer: String, detail: String)] = []

    /// Where a parameter stands, in the manner of a JSON pointer (RFC 6901 §3).
    static func pointer(_ name: String) -> String {
        let name = name.unicodeScalars.prefix(quotedName).map { scalar in
            switch scalar {
            case "~": "~0"
            case "/": "~1"
            default: String(scalar)
            }
        }
        return "/query/" + name.joined()
    }

    mutating func fail(_ name: String, _ detail: String) {
        if mistakes.count < Self.maximumMistakes { mistakes.append((Self.pointer(name), detail)) }
    }

    init(_ query: String) {
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            if values.updateValue(parts.count == 2 ? String(parts[1]) : "", forKey: name) != nil {
                fail(name, "The parameter is repeated")
            }
        }
    }

    mutating func day(_ name: String) -> Day? {
        guard let text = values.removeValue(forKey: name) else {
            fail(name, "The parameter is missing")
            return nil
        }
        guard let day = Self.decoded(text).flatMap({ Day($0) }) else {
            fail(name, "This is no day of the form YYYY-MM-DD")
            return nil
        }
        return day
    }

    /// What `read` makes of a parameter, if it is there.
    mutating func value<Value>(_ name: String, _ expected: String, _ read: (String) -> Value?) -> Value? {
        guard let text = values.removeValue(forKey: name) else { return nil }
        if let value = Self.decoded(text).flatMap(read) { return value }
        fail(name, "This is no \(expected)")
        return nil
    }

    /// Without percent-encoding (RFC 3986 §2.1); nil for what is not well encoded.
    private static func decoded(_ text: String) -> String? {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
                rest.first != UInt8(ascii: "+")
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The stay that `start_date` and `end_date` say.
    mutating func stay() -> Stay? {
        guard let arrival = day("start_date") else {
            _ = day("end_date")
            return nil
        }
        guard let departure = day("end_date") else { return nil }
        let stay = Stay(arrival: arrival, departure: departure)
        if stay == nil { fail("end_date", "The departure must be after the arrival") }
        return stay
    }

    mutating func planKey(_ name: String) -> PlanKey? {
        guard let text = values.removeValue(forKey: name) else { return nil }
        let key = PlanKey(text)
        if key == nil { fail(name, "This is no plan key such as 1h5, 3h or h169") }
        return key
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let text = values.removeValue(forKey: name) else { return nil }
        guard text.utf8.allSatisfy({ (48...57).contains($0) }), let value = Int(text), range.contains(value) else {
            fail(name, "This is no integer from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return value
    }

    mutating func flag(_ name: String) -> Bool? {
        guard let text = values.removeValue(forKey: name) else { return nil }
        switch text {
        case "true": return true
        case "false": return false
        default:
            fail(name, "This is neither true nor false")
            return nil
        }
    }

    mutating func refuseOthers() {
        for name in values.keys.sorted() { fail(name, "There is no such parameter") }
    }
}
