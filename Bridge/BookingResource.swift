internal import Authentication
internal import Booking
internal import HTTP
internal import Loop
internal import PMS
internal import Server
internal import Stay

/// Creating and reading bookings.
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
        let client = call.identity.clientKey
        let key = try call.idempotencyKey()
        do {
            let request = try body.validate(hotel.bookingRules)
            let order = BookingOrder(request: request, client: client, key: key, requestID: call.request.id)
            return answer(try await bookings.create(order, at: hotel))
        } catch let error where error.isRefusal {
            let earlier = try await bookings.earlier(hotel: id, engineID: body.engineID, client: client, key: key)
            guard let earlier else { throw error }
            return answer(earlier)
        }
    }

    func get(_ call: Call) async throws -> Answer {
        // What the identity does not cover is not there for it.
        guard let id = call.parameter("booking_id").flatMap({ BookingID($0) }),
            let booking = try await bookings.booking(id, ofHotels: call.identity.hotelIDs)
        else { throw BridgeError.unknownBooking }
        var answer = Answer.json(BookingOutcome.json(booking))
        answer.fields.append(.etag, "\"\(booking.version)\"")
        answer.fields.append(.cacheControl, "private, no-cache")
        answer.concerns(hotel: booking.hotel)
        return answer
    }

    private func answer(_ outcome: BookingOutcome) -> Answer {
        var answer = Answer.json(outcome.content, status: Status(rawValue: outcome.status))
        if let id = outcome.booking {
            answer.fields.append(.location, "/api/booking-engine/bookings/\(id)")
            answer.fields.append(.etag, "\"\(outcome.version)\"")
        } else {
            answer.fields.remove(.contentType)
            answer.fields.append(.contentType, "application/problem+json")
        }
        answer.fields.append(.cacheControl, "no-store")
        return answer
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

    static func json(_ booking: Booking) -> [UInt8] {
        var content: [UInt8] = []
        booking.appendJSON(to: &content)
        return content
    }
}

extension Error {
    /// Whether it says that the request itself cannot be carried out, now or ever.
    fileprivate var isRefusal: Bool {
        if case BridgeError.invalid? = self as? BridgeError { return true }
        return self is InvalidRequest
    }
}
