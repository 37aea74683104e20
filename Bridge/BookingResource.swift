internal import Authentication
internal import Booking
internal import HTTP
internal import JSONText
internal import Loop
internal import PMS
internal import Server
internal import Stay

/// Making, reading, changing and cancelling bookings.
@OnLoop
struct BookingResource {
    private let bookings: BookingService
    private let hotels: HotelDirectory

    init(_ bookings: BookingService, _ hotels: HotelDirectory) {
        self.bookings = bookings
        self.hotels = hotels
    }

    func create(_ call: Call) async throws -> Answer {
        let body = try BookingRequestBody(json: call.content)
        guard let id = body.hotel else { throw body.invalidHotel() }
        guard call.identity.hotelIDs.includes(id) else { throw BridgeError.foreignHotel }
        guard let hotel = try hotels.hotel(id) else { throw body.invalidHotel() }
        let caller = try call.caller
        do {
            let request = try body.validate(hotel.bookingRules)
            return answer(try await bookings.create(request, for: caller), isLocated: true)
        } catch let error where error.isRefusal {
            let earlier = try await bookings.earlier(hotel: id, engineID: body.engineID, caller)
            guard let earlier else { throw error }
            return answer(earlier, isLocated: true)
        }
    }

    /// Changes a booking, or confirms a hold.
    func change(_ call: Call) async throws -> Answer {
        guard let condition = call.entityCondition else { throw BridgeError.preconditionRequired }
        let body = try BookingChangeBody(json: call.content)
        let caller = try call.caller
        let stored = try await bookings.own(try id(in: call), call.identity.hotelIDs, caller)
        do {
            guard condition.admits(version: stored.life.version) else { throw BridgeError.preconditionFailed }
            guard let hotel = try hotels.hotel(stored.hotel) else { throw BridgeError.unknownBooking }
            if let reason = stored.unchangeable(today: hotel.today) { throw reason }
            let change = try body.validate(hotel.bookingRules, stored.agreed)
            return answer(try await bookings.change(stored, change, for: caller), concerning: stored)
        } catch let error where error.isRefusal {
            // It may have been possible when it was sent first.
            guard let earlier = try await bookings.earlier(caller) else { throw error }
            return answer(earlier, concerning: stored)
        }
    }

    /// Cancels a booking.
    func cancel(_ call: Call) async throws -> Answer {
        let condition = call.entityCondition
        let caller = try call.caller
        let stored = try await bookings.own(try id(in: call), call.identity.hotelIDs, caller)
        return answer(try await bookings.cancel(stored, condition, for: caller), concerning: stored)
    }

    func list(_ call: Call) async throws -> Answer {
        let page = try await bookings.page(try filter(of: call))
        var json = JSONWriter(capacity: 1024 * (page.bookings.count + 1))
        json.object { json in
            json.array("bookings", page.bookings) { json, booking in booking.write(to: &json) }
            json.member("next_cursor", page.next?.description)
            json.member("complete_until", page.completeUntil.description)
        }
        var answer = Answer.json(json.bytes)
        answer.fields.append(.cacheControl, "private, no-cache")
        return answer
    }

    func get(_ call: Call) async throws -> Answer {
        // What the identity does not cover is not there for it.
        guard let booking = try await bookings.booking(try id(in: call), ofHotels: call.identity.hotelIDs) else {
            throw BridgeError.unknownBooking
        }
        var answer = Answer.json(BookingOutcome.json(booking))
        answer.fields.append(.etag, "\"\(booking.version)\"")
        answer.fields.append(.cacheControl, "private, no-cache")
        answer.concerns(hotel: booking.hotel)
        return answer
    }

    private func answer(
        _ outcome: BookingOutcome, isLocated: Bool = false, concerning booking: StoredBooking? = nil
    ) -> Answer {
        var answer = Answer.json(outcome.content, status: Status(rawValue: outcome.status))
        if let id = outcome.booking {
            if isLocated { answer.fields.append(.location, "/api/booking-engine/bookings/\(id)") }
            answer.fields.append(.etag, "\"\(outcome.version)\"")
        } else {
            answer.fields.remove(.contentType)
            answer.fields.append(.contentType, "application/problem+json")
        }
        answer.fields.append(.cacheControl, "no-store")
        if let booking { answer.concerns(hotel: booking.hotel) }
        return answer
    }

    private func id(in call: Call) throws -> BookingID {
        guard let id = call.parameter("booking_id").flatMap({ BookingID($0) }) else { throw BridgeError.unknownBooking }
        return id
    }

    /// Which bookings a list is to have; a hotel that is named must be one of the client's.
    private func filter(of call: Call) throws -> BookingService.Filter {
        var query = QueryParameters(call.request.head.target.query ?? "")
        let hotel = query.integer("hotel_id", in: 1...Int(Int32.max)).map { Int32($0) }
        let engineID = query.value("booking_engine_id", "id of a booking engine") { id in
            BookingRequestBody.Limit.engineID.contains(id.utf8.count) ? id : nil
        }
        let since = query.value("updated_since", "instant as RFC 3339 has it") { Instant($0) }
        let cursor = query.value("cursor", "next_cursor of an answer") { BookingCursor($0) }
        let limit = query.integer("limit", in: Self.pageSizes)
        query.refuseOthers()
        if !query.mistakes.isEmpty { throw BridgeError.malformed(query.mistakes) }
        var filter = BookingService.Filter(hotels: call.identity.hotelIDs, limit: limit ?? Self.defaultPageSize)
        if let hotel {
            guard call.identity.hotelIDs.includes(hotel) else { throw BridgeError.foreignHotel }
            filter.hotels = .of([hotel])
        }
        (filter.engineID, filter.updatedSince, filter.cursor) = (engineID, since, cursor)
        return filter
    }

    /// How many bookings a page may have.
    private static let pageSizes = 1...100
    private static let defaultPageSize = 50
}

extension Call {
    /// Who asks for something to be done.
    var caller: Caller {
        get throws {
            Caller(client: identity.clientKey, key: try idempotencyKey(), requestID: request.id)
        }
    }

    /// Which version the request is about; nil where it does not say.
    var entityCondition: EntityCondition? {
        let values = request.head.fields.filter { $0.name == .ifMatch }.map(\.value)
        return values.isEmpty ? nil : EntityCondition(values.joined(separator: ","))
    }
}

/// A client's name for one request, and a digest of the request.
struct IdempotencyKey: Sendable {
    let key: String
    let requestHash: [UInt8]
}

/// What became of a request to book: an answer that is the same when it is given again.
struct BookingOutcome: Sendable {
    let status: UInt16
    /// The booking, unless it was refused.
    let booking: BookingID?
    let version: Int32
    let content: [UInt8]

    init(status: UInt16, booking: BookingID?, version: Int32, content: [UInt8]) {
        self.status = status
        self.booking = booking
        self.version = version
        self.content = content
    }

    /// Something was done, or had been.
    init(_ status: Status, _ booking: Booking) {
        self.init(
            status: status.rawValue, booking: booking.id, version: booking.version, content: Self.json(booking))
    }

    static func json(_ booking: Booking) -> [UInt8] {
        var content: [UInt8] = []
        booking.appendJSON(to: &content)
        return content
    }
}

extension Error {
    /// Whether it says that the request itself cannot be carried out, now or ever.
    fileprivate var isRefusal: Bool {
        switch self as? BridgeError {
        case .invalid, .preconditionFailed, .bookingEnded, .bookingStarted: true
        case nil: self is InvalidRequest
        default: false
        }
    }
}

extension StoredBooking {
    /// Why nothing can be changed, as far as that can be told without asking the PMS.
    fileprivate func unchangeable(today: Day) -> BridgeError? {
        switch life.status {
        case .cancelled, .expired: .bookingEnded(life.status.rawValue)
        case .hold, .confirmed: stay.arrival < today ? .bookingStarted : nil
        }
    }
}
