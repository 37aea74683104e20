import Booking
import Catalogue
import FoundationEssentials
import Testing

@testable import Policy

/// The bridge reads bodies by `BookingRequestBody.Limit`, clients write them by `openapi.yaml`: the two must not drift.
@Suite("The description of bookings says what the bridge does")
struct BookingSchemaTests {
    private let schemas: YAMLNode

    init() throws {
        let file = try Data(contentsOf: URL(filePath: TemporaryDirectory.repository + "/openapi.yaml"))
        let log = MistakeLog(file: "openapi.yaml")
        schemas = try #require(YAMLParser.document([UInt8](file), log: log)?["components"]?["schemas"])
    }

    /// The node at a path of keys, such as `Guest/properties/name`.
    private func node(_ path: String) throws -> YAMLNode {
        try path.split(separator: "/").reduce(schemas) { node, key in
            try #require(node[String(key)], "\(path) has no \(key)")
        }
    }

    private func number(_ node: YAMLNode?) -> Int64? {
        guard case .scalar(let text, _)? = node?.value else { return nil }
        return Int64(text)
    }

    private func bounds(_ path: String, _ least: String, _ most: String) throws -> ClosedRange<Int64>? {
        let schema = try node(path)
        guard let lower = number(schema[least]), let upper = number(schema[most]) else { return nil }
        return lower...upper
    }

    @Test(
        "Texts are as long as the bridge takes them",
        arguments: [
            ("BookingRequest/properties/booking_engine_id", BookingRequestBody.Limit.engineID),
            ("BookingRequest/properties/comment", BookingRequestBody.Limit.comment),
            ("Guest/properties/name", BookingRequestBody.Limit.name),
            ("Guest/properties/name_kana", BookingRequestBody.Limit.name),
            ("Guest/properties/email", BookingRequestBody.Limit.email),
            ("Guest/properties/phone", BookingRequestBody.Limit.phone),
        ])
    func texts(path: String, limit: ClosedRange<Int>) throws {
        let bounds = try bounds(path, "minLength", "maxLength")
        #expect(bounds == Int64(limit.lowerBound)...Int64(limit.upperBound))
    }

    @Test(
        "Numbers are within what the bridge takes",
        arguments: [
            ("RoomRequest/properties/guests", BookingRequestBody.Limit.guests),
            ("BookingRequest/properties/hold_minutes", BookingRequestBody.Limit.holdMinutes),
            ("ExpectedTotal/properties/amount", BookingRequestBody.Limit.total),
            ("HotelID", BookingRequestBody.Limit.id), ("RoomTypeID", BookingRequestBody.Limit.id),
        ])
    func numbers(path: String, limit: ClosedRange<Int64>) throws {
        #expect(try bounds(path, "minimum", "maximum") == limit)
    }

    @Test("A booking has as many rooms as the bridge takes")
    func rooms() throws {
        let limit = BookingRequestBody.Limit.rooms
        let bounds = try bounds("BookingRequest/properties/rooms", "minItems", "maxItems")
        #expect(bounds == Int64(limit.lowerBound)...Int64(limit.upperBound))
    }

    @Test("A hotel has as many restrictions and allowances as the bridge keeps")
    func restrictions() throws {
        for (name, limit) in [
            ("restrictions", SaleTerms.Limit.restrictions), ("overbooking", SaleTerms.Limit.overbooking),
        ] {
            let bounds = try bounds("RestrictionsRequest/properties/\(name)", "minItems", "maxItems")
            #expect(bounds == Int64(limit.lowerBound)...Int64(limit.upperBound))
        }
        for name in ["minimum_nights", "maximum_nights"] {
            let bounds = try bounds("RestrictionRequest/properties/\(name)", "minimum", "maximum")
            #expect(bounds == SaleTerms.Limit.nights)
        }
        #expect(
            try bounds("OverbookingRequest/properties/rooms", "minimum", "maximum") == SaleTerms.Limit.rooms)
    }

    @Test("The choices are the bridge's")
    func choices() throws {
        #expect(try choices("Booking/properties/status/enum") == Set(Booking.Status.allCases.map(\.rawValue)))
        #expect(try choices("PaymentTiming/enum") == Set(PaymentTiming.allCases.map(\.rawValue)))
    }

    private func choices(_ path: String) throws -> Set<String> {
        guard case .sequence(let elements) = try node(path).value else { return [] }
        return Set(elements.compactMap { if case .scalar(let text, _) = $0.value { text } else { nil } })
    }
}
