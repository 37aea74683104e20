public import Authentication
internal import JSONText

/// What subscribers can be told of, by its name in the contract.
public enum EventType: String, Sendable, CaseIterable {
    case bookingCreated = "booking.created"
    case bookingUpdated = "booking.updated"
    case bookingCancelled = "booking.cancelled"
    case bookingConflict = "booking.conflict"
    case availabilityUpdated = "availability.updated"
    case hotelUpdated = "hotel.updated"
    case roomTypeUpdated = "room_type.updated"
    case guestCreated = "guest.created"
    case cacheRefreshed = "cache.refreshed"
    case syncFailed = "sync.failed"
    /// Not in the contract: it is by this that the owner is told in time.
    case endpointFailing = "endpoint.failing"
    case endpointDisabled = "endpoint.disabled"

    /// When it happens, for whoever chooses events.
    public var summary: String {
        switch self {
        case .bookingCreated: "A booking or a hold was made"
        case .bookingUpdated: "A booking was changed, by its client or the front desk, or a hold was confirmed"
        case .bookingCancelled: "A booking was cancelled, or a hold has expired; status says which"
        case .bookingConflict: "The PMS has no room for a booking, or has given its room to somebody else"
        case .availabilityUpdated: "Rooms of a hotel have become free or taken on some nights"
        case .hotelUpdated: "What a hotel is has changed"
        case .roomTypeUpdated: "What a room type is has changed"
        case .guestCreated: "The PMS has a guest whom it did not know"
        case .cacheRefreshed: "Something was read from the PMS anew because somebody asked for it"
        case .syncFailed: "A write into the PMS was given up and waits for somebody to decide"
        case .endpointFailing:
            "For 50, 75 and 100 % of the time after which an endpoint is disabled, every attempt at it has failed"
        case .endpointDisabled: "An endpoint is sent nothing more; reason says why"
        }
    }

    /// What a client must be allowed to read in order to be told of it.
    public var scope: Scope {
        switch self {
        case .bookingCreated, .bookingUpdated, .bookingCancelled, .bookingConflict, .guestCreated, .syncFailed:
            .bookingRead
        case .availabilityUpdated: .availabilityRead
        case .hotelUpdated, .roomTypeUpdated: .hotelRead
        case .cacheRefreshed: .cacheRead
        case .endpointFailing, .endpointDisabled: .webhookRead
        }
    }

    /// All types with their schemas, as `GET /api/webhooks/event-types` answers them.
    public static let catalogue: [UInt8] = {
        var json = JSONWriter(capacity: 32 * 1024)
        json.object { json in
            json.array("event_types", allCases) { json, type in
                json.object { json in
                    json.member("type", type.rawValue)
                    json.member("description", type.summary)
                    json.member("scope", type.scope.rawValue)
                    json.member("schema", raw: type.schema)
                    json.member("thin_schema", raw: type.thinSchema)
                }
            }
        }
        return json.bytes
    }()
}
