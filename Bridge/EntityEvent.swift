internal import Booking
internal import JSONText
internal import PMS
internal import Postgres
internal import Stay
internal import Webhook

/// Something that subscribers are told of a hotel's catalogue or of what is free there.
struct EntityEvent: Sendable {
    let type: EventType
    let hotel: Int32
    /// Of what: what is delivered in order is in order for each of these.
    let entity: String
    /// The members of the event's `data`, all but its version.
    let data: [UInt8]

    /// What a hotel is has changed.
    ///
    /// - Parameter document: as it is answered.
    static func hotel(_ id: Int32, _ document: [UInt8]) -> EntityEvent {
        EntityEvent(type: .hotelUpdated, hotel: id, entity: "hotel \(id)", data: document)
    }

    /// What a room type is has changed.
    static func roomType(_ id: Int32, of hotel: Int32, _ document: [UInt8]) -> EntityEvent {
        EntityEvent(type: .roomTypeUpdated, hotel: hotel, entity: "room type \(id)", data: document)
    }

    /// Rooms of some types have become free or taken on some of the nights from one day to another.
    static func availability(of hotel: Int32, types: [Int32], nights: ClosedRange<Day>) -> EntityEvent {
        var json = JSONWriter(capacity: 128)
        json.object { json in
            json.member("hotel_id", Int(hotel))
            json.array("room_type_ids", types) { $0.element(Int($1)) }
            json.member("start_date", nights.lowerBound.description)
            json.member("end_date", nights.upperBound.description)
        }
        return EntityEvent(
            type: .availabilityUpdated, hotel: hotel, entity: "availability \(hotel)", data: json.bytes)
    }

    /// Writes events into the outbox. Those of one hotel have one version, above that of all before.
    static func tell(_ events: [EntityEvent]) -> Query<Void> {
        insertion(
            events.map(\.type.rawValue), events.map(\.hotel), events.map(\.entity), events.map { JSON($0.data) })
    }

    private static let insertion = Statement<Void, [String], [Int32], [String], [JSON]>(
        "bridge.tell_of_entities",
        """
        WITH counted AS (
            UPDATE drawbridge.catalogue_hotels SET told_version = told_version + 1 WHERE hotel_id = ANY ($2)
            RETURNING hotel_id, told_version
        )
        INSERT INTO drawbridge.outbox_events (event_id, type, hotel_id, entity_id, version, payload)
        SELECT drawbridge.time_ordered_id(), new.type, new.hotel_id, new.entity, counted.told_version,
               json_build_object(
                   'type', new.type, 'timestamp', drawbridge.instant(now()),
                   'data', new.data::JSONB || jsonb_build_object('version', counted.told_version))
        FROM unnest($1, $2, $3, $4) AS new (type, hotel_id, entity, data) JOIN counted USING (hotel_id)
        """)
}
