/// What the bodies of events look like, as JSON Schema (draft 2020-12). Members may be added in time, so none says that there
/// are no others.
extension EventType {
    /// The body where an endpoint asks for the whole of it: `{"type","timestamp","data"}`.
    public var schema: String { body(members) }

    /// The body where an endpoint asks for thin ones: of `data` only what names the entity (``PayloadForm/thin``), where it
    /// has a name.
    public var thinSchema: String {
        body(
            members.filter { PayloadForm.isIdentifying($0.name) }.map { member in
                member.schema == Self.idOrNull ? (member.name, Self.id, false) : member
            })
    }

    private typealias Member = (name: String, schema: String, isRequired: Bool)

    private func body(_ data: [Member]) -> String {
        Self.object([
            ("type", #"{"const":"\#(rawValue)"}"#, true),
            ("timestamp", Self.instant, true),
            ("data", Self.object(data), true),
        ])
    }

    private var members: [Member] {
        switch self {
        case .bookingCreated, .bookingUpdated, .bookingCancelled, .bookingConflict: Self.booking
        case .availabilityUpdated:
            [
                ("hotel_id", Self.id, true), ("room_type_ids", Self.array(of: Self.id), true),
                ("start_date", Self.date, true), ("end_date", Self.date, true), ("version", Self.version, true),
            ]
        case .hotelUpdated: Self.hotel
        case .roomTypeUpdated: Self.roomType
        case .guestCreated:
            [
                ("guest_id", Self.uuid, true), ("booking_id", Self.uuid, true), ("hotel_id", Self.id, true),
                ("version", Self.version, true),
            ] + Self.guest
        case .cacheRefreshed:
            [
                ("trigger_id", Self.id, true),
                ("cache_type", Self.choice("hotels", "room_types", "availability"), true),
                ("hotel_id", Self.idOrNull, true), ("by", Self.choice("admin", "pms", "system"), true),
                ("updated", Self.count, true), ("removed", Self.count, true), ("unchanged", Self.count, true),
                ("version", Self.version, true),
            ]
        case .syncFailed:
            [
                ("booking_id", Self.uuid, true), ("booking_engine_id", Self.text, true), ("hotel_id", Self.id, true),
                ("version", Self.version, true),
                ("operation", Self.choice("expire_hold", "settle_booking", "move_booking"), true),
                ("error", Self.text, true),
            ]
        case .endpointFailing:
            [
                ("endpoint_id", Self.uuid, true), ("hotel_id", Self.idOrNull, true),
                ("failing_since", Self.instant, true),
                ("percent", #"{"type":"integer","enum":[50,75,100]}"#, true), ("version", Self.version, true),
            ]
        case .endpointDisabled:
            [
                ("endpoint_id", Self.uuid, true), ("hotel_id", Self.idOrNull, true),
                ("reason", Self.choice("requested", "rights", "gone", "failing", "unverified"), true),
                ("disabled_at", Self.instant, true), ("version", Self.version, true),
            ]
        }
    }

    // MARK: Entities, as the API answers them

    private static let booking: [Member] = [
        ("booking_id", uuid, true), ("booking_engine_id", text, true), ("hotel_id", id, true),
        ("status", choice("hold", "confirmed", "cancelled", "expired"), true),
        ("check_in", date, true), ("check_out", date, true),
        ("rooms", array(of: room), true), ("guest", object(guest), true), ("total", money, true),
        (
            "sync",
            object([
                ("status", choice("pending", "synced", "failed", "conflict"), true),
                ("last_attempt", instantOrNull, true), ("error", textOrNull, true),
            ]), true
        ),
        ("version", version, true), ("created_at", instant, true), ("updated_at", instant, true),
        ("hold_expires_at", instant, false), ("cancelled_at", instant, false), ("cancellation_fee", money, false),
        ("guest_status", choice("checked_in", "checked_out"), false),
    ]

    private static let room = object([
        ("room_type_id", id, true), ("room_number", textOrNull, true),
        ("guests", #"{"type":"integer","minimum":1}"#, true),
        ("plan_key", textOrNull, true),
        (
            "nights",
            array(of: object([("date", date, true), ("price", #"{"type":["integer","null"]}"#, true)])), true
        ),
    ])

    private static let guest: [Member] = [
        ("name", text, true), ("name_kana", textOrNull, true), ("email", textOrNull, true), ("phone", textOrNull, true),
    ]

    private static let hotel: [Member] = [
        ("hotel_id", id, true), ("name", text, true), ("formal_name", textOrNull, true),
        ("facility_type", textOrNull, true), ("open_date", dateOrNull, true),
        ("total_rooms", #"{"type":["integer","null"],"minimum":0}"#, true), ("postal_code", textOrNull, true),
        ("address", textOrNull, true), ("email", textOrNull, true), ("phone_number", textOrNull, true),
        ("created_at", instantOrNull, true), ("updated_at", instantOrNull, true), ("is_active", boolean, false),
        ("version", version, true),
    ]

    private static let roomType: [Member] = [
        ("id", id, true), ("name", text, true), ("description", textOrNull, true), ("hotel_id", id, true),
        ("capacity", count, true), ("created_at", instantOrNull, true), ("updated_at", instantOrNull, true),
        ("is_active", boolean, false), ("version", version, true),
    ]

    /// Minor units of an ISO 4217 currency.
    private static let money = object([
        ("amount", count, true), ("currency", #"{"type":"string","pattern":"^[A-Z]{3}$"}"#, true),
    ])

    // MARK: Kinds of values

    private static let id = #"{"type":"integer","minimum":1}"#
    private static let idOrNull = #"{"type":["integer","null"],"minimum":1}"#
    private static let count = #"{"type":"integer","minimum":0}"#
    private static let version = #"{"type":"integer","minimum":1,"maximum":2147483647}"#
    private static let boolean = #"{"type":"boolean"}"#
    private static let text = #"{"type":"string"}"#
    private static let textOrNull = #"{"type":["string","null"]}"#
    private static let uuid = #"{"type":"string","format":"uuid"}"#
    private static let date = #"{"type":"string","format":"date"}"#
    private static let dateOrNull = #"{"type":["string","null"],"format":"date"}"#
    private static let instant = #"{"type":"string","format":"date-time"}"#
    private static let instantOrNull = #"{"type":["string","null"],"format":"date-time"}"#

    private static func choice(_ words: String...) -> String {
        #"{"type":"string","enum":[\#(words.map { "\"\($0)\"" }.joined(separator: ","))]}"#
    }

    private static func array(of element: String) -> String { #"{"type":"array","items":\#(element)}"# }

    /// None of the names needs escaping.
    private static func object(_ members: [Member]) -> String {
        let required = members.filter(\.isRequired).map { "\"\($0.name)\"" }.joined(separator: ",")
        let properties = members.map { "\"\($0.name)\":\($0.schema)" }.joined(separator: ",")
        return #"{"type":"object","required":[\#(required)],"properties":{\#(properties)}}"#
    }
}
