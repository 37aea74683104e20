internal import Booking
internal import Catalogue
internal import FoundationEssentials
internal import Loop
internal import PMS
internal import Policy
internal import Postgres
internal import Stay

/// The catalogue in the database: what a restart comes up from, and how bridges learn of each other's refreshes.
@OnLoop
final class CatalogueStore {
    /// The form of the documents. To be raised with every change of what `CachedHotel` and `CachedOffer` are written as:
    /// what stands in another form is read from the PMS again.
    nonisolated static let format: Int32 = 1

    private let database: Database
    private let policy: BridgePolicy.Availability

    /// Up to which version the memory of this process has everything.
    private(set) var knownVersion: Int64 = -1

    init(_ database: Database, _ policy: BridgePolicy.Availability) {
        self.database = database
        self.policy = policy
    }

    /// A hotel as the store has it.
    struct Row: Sendable {
        let id: Int32
        /// Nil where the row is not newer than what was asked for.
        let content: Content?
        let mustRecount: Bool
        let hotelReadAt: Instant?
        let offerReadAt: Instant?

        struct Content: Sendable {
            /// Nil where it could not be read yet.
            let hotel: CachedHotel?
            let offer: CachedOffer?
            let images: [HotelImage]
        }
    }

    /// What the store says at one moment.
    struct Snapshot: Sendable {
        let version: Int64
        /// Whether it holds what the PMS has, in a form that this program reads.
        let isFilled: Bool
        /// All hotels, in the PMS's order.
        let rows: [Row]
    }

    /// Whether something was changed that this process has not seen.
    func hasNews() async throws -> Bool {
        try await database.first(CatalogueStatements.version()) != knownVersion
    }

    /// All hotels, with the content of those that changed after the version that is known.
    func snapshot() async throws -> Snapshot {
        let rows = try await database.query(CatalogueStatements.snapshot(knownVersion))
        let known = knownVersion
        // Thousands of documents take a while, in which others need not wait.
        return try await Loop.offload { try Snapshot(rows, known: known) }
    }

    /// The memory has everything up to this version.
    func note(_ version: Int64) { knownVersion = max(knownVersion, version) }

    /// The version that the store is of: what is written down later has a higher one.
    func version() async throws -> Int64 { try await database.first(CatalogueStatements.version()) ?? 0 }

    /// One of the hotels was written down by somebody else since what is to be kept of it was read, and may be newer.
    struct Overtaken: Error {}

    /// Writes hotels down; nil leaves what is there.
    ///
    /// - Parameters:
    ///   - since: the version before they were read.
    ///   - events: what subscribers are told of that.
    /// - Throws: `Overtaken`; then nobody is told.
    func save(
        _ hotels: [(id: Int32, position: Int, hotel: CachedHotel?, offer: CachedOffer?)],
        readSince since: Int64, telling events: [EntityEvent] = []
    ) async throws {
        let encoder = JSONEncoder()
        let documents = try hotels.map { hotel in
            (
                try hotel.hotel.map { JSON([UInt8](try encoder.encode($0))) },
                try hotel.offer.map { JSON([UInt8](try encoder.encode($0))) }
            )
        }
        let save = CatalogueStatements.save(
            hotels.map(\.id), hotels.map { Int32($0.position) }, documents.map(\.0), documents.map(\.1), since)
        guard !events.isEmpty else {
            guard let saved = try await database.first(save), saved.isWhole else { throw Overtaken() }
            return saw(saved.version)
        }
        let transaction = try await database.begin()
        guard let saved = try await transaction.first(save), saved.isWhole else {
            transaction.rollback()
            throw Overtaken()
        }
        try await transaction.commit([EntityEvent.tell(events)])
        saw(saved.version)
    }

    func save(_ images: [HotelImage], of hotel: Int32) async throws {
        let transaction = try await database.begin()
        let version = try await transaction.first(CatalogueStatements.touch(hotel))
        try await transaction.execute(CatalogueStatements.deleteImages(hotel))
        _ = try await transaction.commit(
            CatalogueStatements.insertImages(
                hotel, images.map(\.url), images.map(\.caption), images.map(\.roomType), images.map(\.width),
                images.map(\.height)))
        saw(version)
    }

    /// The pictures of a hotel, which may have some from an earlier time.
    func images(of hotel: Int32) async throws -> [HotelImage] {
        try await database.query(CatalogueStatements.images(hotel))
    }

    func remove(_ hotel: Int32) async throws {
        saw(try await database.first(CatalogueStatements.remove(hotel)))
    }

    /// Puts the hotels into the order of the PMS.
    func save(order: [Int32]) async throws {
        saw(try await database.first(CatalogueStatements.order(order)))
    }

    /// Lets every other bridge read a hotel's availability anew.
    func announceAvailability(of hotel: Int32) async throws {
        saw(try await database.first(CatalogueStatements.announceAvailability(hotel)))
    }

    /// Everything the PMS has was written down: nobody else is to read it at its start. Other hotels go, unless a booking names
    /// them.
    func markFilled(with hotels: [Int32]) async throws {
        saw(try await database.first(CatalogueStatements.markFilled(Self.format, hotels)))
    }

    /// When what was read last, for whoever looks into the table.
    func noteRead(_ kind: CacheKind, of hotels: [Int32], at now: Instant) async throws {
        try await noteRead(kind, hotels.map { ($0, now) })
    }

    /// When what was read last, hotel by hotel.
    func noteRead(_ kind: CacheKind, _ hotels: [(id: Int32, at: Instant)]) async throws {
        guard !hotels.isEmpty else { return }
        try await database.execute(
            CatalogueStatements.noteRead(
                kind.rawValue, hotels.map(\.id), hotels.map { $0.at.microseconds }, Int32(kind.minutesToLive(policy))))
    }

    /// When what is free was last read at the whole of each hotel, and since then of single room types.
    func noteAvailability(_ hotels: [(id: Int32, at: Instant, types: [Int32: Instant])]) async throws {
        guard !hotels.isEmpty else { return }
        let types = hotels.map { hotel in
            hotel.types.isEmpty
                ? nil
                : JSON(
                    "{" + hotel.types.map { "\"\($0.key)\":\"\($0.value.description)\"" }.joined(separator: ",") + "}")
        }
        try await database.execute(
            CatalogueStatements.noteAvailability(
                hotels.map(\.id), hotels.map { $0.at.microseconds }, types,
                Int32(CacheKind.availability.minutesToLive(policy))))
    }

    /// Those of some room types that a booking names.
    func linked(_ types: [Int32], of hotel: Int32) async throws -> Set<Int32> {
        guard !types.isEmpty else { return [] }
        return Set(try await database.query(CatalogueStatements.linkedTypes(hotel, types)))
    }

    /// Whether a booking names the hotel.
    func isLinked(_ hotel: Int32) async throws -> Bool {
        try await database.first(CatalogueStatements.isLinked(hotel)) == true
    }

    /// A change of this process made this version: there is nothing new in it, unless others have changed something
    /// since what is known.
    private func saw(_ version: Int64?) {
        if let version, version == knownVersion + 1 { knownVersion = version }
    }
}

extension CatalogueStore.Snapshot {
    fileprivate init(_ rows: [CatalogueStatements.StoredHotel], known: Int64) throws {
        version = rows.first?.version ?? 0
        isFilled = rows.first?.format == CatalogueStore.format
        let decoder = JSONDecoder()
        self.rows = rows.compactMap { row in
            guard let id = row.hotel else { return nil }
            var content: CatalogueStore.Row.Content?
            if row.isNews {
                // What this program cannot read is as good as not there.
                content = CatalogueStore.Row.Content(
                    hotel: row.description.flatMap { try? decoder.decode(CachedHotel.self, from: Data($0.bytes)) },
                    offer: row.offer.flatMap { try? decoder.decode(CachedOffer.self, from: Data($0.bytes)) },
                    images: row.images.flatMap { try? decoder.decode([HotelImage].self, from: Data($0.bytes)) } ?? [])
            }
            return CatalogueStore.Row(
                id: id, content: content, mustRecount: row.availabilityVersion > known, hotelReadAt: row.hotelReadAt,
                offerReadAt: row.offerReadAt)
        }
    }
}

/// The statements on the catalogue's own tables.
private enum CatalogueStatements {
    struct StoredHotel: Sendable {
        let version: Int64
        let format: Int32?
        /// Nil where there is no hotel at all.
        let hotel: Int32?
        let isNews: Bool
        let availabilityVersion: Int64
        let description: JSON?
        let offer: JSON?
        let images: JSON?
        let hotelReadAt: Instant?
        let offerReadAt: Instant?
    }

    static let version = Statement<Int64>("catalogue.version", "SELECT version FROM drawbridge.catalogue_state") {
        row in
        try row.next()
    }

    static let snapshot = Statement<StoredHotel, Int64>(
        "catalogue.snapshot",
        """
        SELECT state.version, state.format, hotels.hotel_id, COALESCE(hotels.version > $1, FALSE),
               COALESCE(hotels.availability_version, 0), CASE WHEN hotels.version > $1 THEN hotels.hotel END,
               CASE WHEN hotels.version > $1 THEN hotels.offer END,
               CASE WHEN hotels.version > $1 THEN (
                   SELECT jsonb_agg(
                       jsonb_build_object('url', url, 'caption', caption, 'roomType', room_type_id, 'width', width,
                                          'height', height) ORDER BY images.position)
                   FROM drawbridge.hotel_images AS images WHERE images.hotel_id = hotels.hotel_id) END,
               described.last_updated, offered.last_updated
        FROM drawbridge.catalogue_state AS state
        LEFT JOIN drawbridge.catalogue_hotels AS hotels ON TRUE
        LEFT JOIN booking_engine_cache_status AS described
            ON described.cache_type = 'hotels' AND described.hotel_id = hotels.hotel_id
        LEFT JOIN booking_engine_cache_status AS offered
            ON offered.cache_type = 'room_types' AND offered.hotel_id = hotels.hotel_id
        ORDER BY hotels.position, hotels.hotel_id
        """
    ) { row in
        StoredHotel(
            version: try row.next(), format: try row.next(), hotel: try row.next(), isNews: try row.next(),
            availabilityVersion: try row.next(), description: try row.next(), offer: try row.next(),
            images: try row.next(), hotelReadAt: try row.next(), offerReadAt: try row.next())
    }

    /// Along with the version, whether each of the hotels was written down.
    static let save = Statement<(version: Int64, isWhole: Bool), [Int32], [Int32], [JSON?], [JSON?], Int64>(
        "catalogue.save",
        """
        WITH state AS (UPDATE drawbridge.catalogue_state SET version = version + 1 RETURNING version),
        saved AS (
            INSERT INTO drawbridge.catalogue_hotels AS known (hotel_id, position, hotel, offer, version)
            SELECT new.id, new.position, new.hotel, new.offer, state.version
            FROM state, unnest($1, $2, $3, $4) AS new (id, position, hotel, offer)
            ON CONFLICT (hotel_id) DO UPDATE
            SET position = EXCLUDED.position, hotel = COALESCE(EXCLUDED.hotel, known.hotel),
                offer = COALESCE(EXCLUDED.offer, known.offer), version = EXCLUDED.version
            WHERE known.version <= $5
            RETURNING hotel_id)
        SELECT version, (SELECT count(*) FROM saved) = cardinality($1) FROM state
        """
    ) { row in (try row.next(), try row.next()) }

    static let touch = Statement<Int64, Int32>(
        "catalogue.touch",
        """
        WITH state AS (UPDATE drawbridge.catalogue_state SET version = version + 1 RETURNING version),
        touched AS (
            UPDATE drawbridge.catalogue_hotels SET version = state.version FROM state WHERE hotel_id = $1)
        SELECT version FROM state
        """
    ) { row in try row.next() }

    static let images = Statement<HotelImage, Int32>(
        "catalogue.images",
        """
        SELECT url, caption, room_type_id, width, height FROM drawbridge.hotel_images
        WHERE hotel_id = $1 ORDER BY position
        """
    ) { row in
        HotelImage(
            url: try row.next(), caption: try row.next(), roomType: try row.next(), width: try row.next(),
            height: try row.next())
    }

    static let deleteImages = Statement<Void, Int32>(
        "catalogue.delete_images", "DELETE FROM drawbridge.hotel_images WHERE hotel_id = $1")

    static let insertImages = Statement<Void, Int32, [String], [String?], [Int32?], [Int32?], [Int32?]>(
        "catalogue.insert_images",
        """
        INSERT INTO drawbridge.hotel_images (hotel_id, position, url, caption, room_type_id, width, height)
        SELECT $1, image.number - 1, image.url, image.caption, image.room_type, image.width, image.height
        FROM unnest($2, $3, $4, $5, $6) WITH ORDINALITY
             AS image (url, caption, room_type, width, height, number)
        """)

    static let remove = Statement<Int64, Int32>(
        "catalogue.remove",
        """
        WITH state AS (UPDATE drawbridge.catalogue_state SET version = version + 1 RETURNING version),
        removed AS (DELETE FROM drawbridge.catalogue_hotels WHERE hotel_id = $1)
        SELECT version FROM state
        """
    ) { row in try row.next() }

    static let order = Statement<Int64, [Int32]>(
        "catalogue.order",
        """
        WITH state AS (UPDATE drawbridge.catalogue_state SET version = version + 1 RETURNING version),
        placed AS (
            UPDATE drawbridge.catalogue_hotels AS known SET position = new.position - 1
            FROM unnest($1) WITH ORDINALITY AS new (id, position)
            WHERE known.hotel_id = new.id AND known.position <> new.position - 1)
        SELECT version FROM state
        """
    ) { row in try row.next() }

    static let announceAvailability = Statement<Int64, Int32>(
        "catalogue.announce_availability",
        """
        WITH state AS (UPDATE drawbridge.catalogue_state SET version = version + 1 RETURNING version),
        announced AS (
            UPDATE drawbridge.catalogue_hotels SET availability_version = state.version FROM state
            WHERE hotel_id = $1)
        SELECT version FROM state
        """
    ) { row in try row.next() }

    static let markFilled = Statement<Int64, Int32, [Int32]>(
        "catalogue.mark_filled",
        """
        WITH removed AS (
            DELETE FROM drawbridge.catalogue_hotels AS known
            WHERE hotel_id <> ALL ($2)
              AND NOT EXISTS (SELECT FROM drawbridge.bookings AS booking WHERE booking.hotel_id = known.hotel_id))
        UPDATE drawbridge.catalogue_state SET version = version + 1, format = $1 RETURNING version
        """
    ) { row in try row.next() }

    /// Hotels that the PMS has no longer have no row in its table to point at.
    static let noteRead = Statement<Void, String, [Int32], [Int64], Int32>(
        "catalogue.note_read",
        """
        INSERT INTO booking_engine_cache_status (cache_type, hotel_id, last_updated, cache_ttl_minutes)
        SELECT $1, read.id, TIMESTAMPTZ 'epoch' + read.at * INTERVAL '1 microsecond', $4
        FROM unnest($2, $3) AS read (id, at) WHERE EXISTS (SELECT FROM hotels WHERE hotels.id = read.id)
        ON CONFLICT (cache_type, hotel_id) DO UPDATE
        SET last_updated = EXCLUDED.last_updated, cache_ttl_minutes = EXCLUDED.cache_ttl_minutes, is_active = TRUE
        """)

    /// Of bridges that have read a hotel, what was read last stands.
    static let noteAvailability = Statement<Void, [Int32], [Int64], [JSON?], Int32>(
        "catalogue.note_availability",
        """
        INSERT INTO booking_engine_cache_status AS known (cache_type, hotel_id, last_updated, room_types_updated,
                                                          cache_ttl_minutes)
        SELECT 'availability', read.id, TIMESTAMPTZ 'epoch' + read.at * INTERVAL '1 microsecond', read.types, $4
        FROM unnest($1, $2, $3) AS read (id, at, types)
        WHERE EXISTS (SELECT FROM hotels WHERE hotels.id = read.id)
        ORDER BY read.id
        ON CONFLICT (cache_type, hotel_id) DO UPDATE
        SET last_updated = EXCLUDED.last_updated, room_types_updated = EXCLUDED.room_types_updated,
            cache_ttl_minutes = EXCLUDED.cache_ttl_minutes, is_active = TRUE
        WHERE known.last_updated <= EXCLUDED.last_updated
        """)

    static let linkedTypes = Statement<Int32, Int32, [Int32]>(
        "catalogue.linked_types",
        """
        SELECT DISTINCT room.room_type_id FROM drawbridge.bookings AS booking
        JOIN drawbridge.booking_rooms AS room USING (booking_id)
        WHERE booking.hotel_id = $1 AND room.room_type_id = ANY ($2)
        """
    ) { row in try row.next() }

    static let isLinked = Statement<Bool, Int32>(
        "catalogue.is_linked", "SELECT EXISTS (SELECT FROM drawbridge.bookings WHERE hotel_id = $1)"
    ) { row in try row.next() }
}

/// What is kept apart of each other in the cache.
enum CacheKind: String, CaseIterable {
    case hotels
    case roomTypes = "room_types"
    case availability

    /// How long entries count as fresh. Hotels and room types change by trigger alone; the contract gives them a day.
    func timeToLive(_ policy: BridgePolicy.Availability) -> Duration {
        switch self {
        case .hotels, .roomTypes: .seconds(24 * 60 * 60)
        case .availability: policy.timeToLive
        }
    }

    /// The same in whole minutes, no fewer than they are.
    func minutesToLive(_ policy: BridgePolicy.Availability) -> Int {
        Int((timeToLive(policy).seconds / 60).rounded(.up))
    }
}
