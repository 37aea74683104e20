internal import Authentication
internal import Catalogue
internal import HTTP
internal import JSONText
internal import Loop
internal import PMS
internal import Server
internal import Telemetry

/// Hotels and what is told of them, as the PMS described them when a trigger asked last.
@OnLoop
struct HotelResource {
    private let hotels: HotelDirectory
    private let answers: IdempotentAnswers
    /// Pictures are replaced one hotel after the other, so that memory and database agree on which came last.
    private let turnstile = Turnstile(bound: 64, patience: .seconds(5))

    init(_ hotels: HotelDirectory, _ answers: IdempotentAnswers) {
        self.hotels = hotels
        self.answers = answers
    }

    /// The hotels that the identity covers.
    func list(_ call: Call) throws -> Answer {
        let visible = hotels.all.filter { call.identity.hotelIDs.includes($0.id) }
        let list =
            call.identity.hotelIDs == .all ? hotels.listed : HotelDocuments.list(visible.map(\.documents.hotel))
        hotels.use.hotels.hits.increment()
        return .cached(list, age: age(visible.map(\.hotelReadAt).min()), timeToLive: nil)
    }

    func get(_ call: Call) throws -> Answer {
        let entry = try call.described(in: hotels, .hotels)
        return .cached(entry.documents.hotel, age: age(entry.hotelReadAt), timeToLive: nil)
    }

    func roomTypes(_ call: Call) throws -> Answer {
        let entry = try call.described(in: hotels, .roomTypes)
        return .cached(entry.documents.roomTypes, age: age(entry.offerReadAt), timeToLive: nil)
    }

    func plans(_ call: Call) throws -> Answer {
        let entry = try call.described(in: hotels, .roomTypes)
        return .cached(entry.documents.plans, age: age(entry.offerReadAt), timeToLive: nil)
    }

    func amenities(_ call: Call) throws -> Answer {
        let entry = try call.described(in: hotels, .roomTypes)
        return .cached(entry.documents.amenities, age: age(entry.offerReadAt), timeToLive: nil)
    }

    /// The bridge's own, so they have no age.
    func images(_ call: Call) throws -> Answer {
        let entry = try call.described(in: hotels, .hotels)
        return .cached(entry.imageDocument, age: 0, timeToLive: nil)
    }

    /// Replaces a hotel's pictures by those of the request, in their order.
    func setImages(_ call: Call) async throws -> Answer {
        let entry = try call.described(in: hotels, .hotels)
        let types = Set(entry.offer.roomTypes.map(\.type.id))
        return try await answers.answer(call) {
            let images = try HotelImage.images(in: call.content, types: types)
            try await turnstile.pass {
                try await hotels.store.save(images, of: entry.id)
                entry.take(images)
            }
            return HotelDocuments.images(images, hotel: entry.id).content
        }
    }

    /// Seconds since something was read.
    private func age(_ readAt: Double?) -> Int { readAt.map { max(0, Int(Loop.unixTime - $0)) } ?? 0 }
}
