internal import Availability
internal import Booking
internal import Cryptography
internal import Loop
internal import PMS
internal import Postgres

/// What was last known to be taken at each hotel, in the database: what a bridge that starts while the PMS is away answers
/// from.
@OnLoop
final class AvailabilityStore {
    private let database: Database

    init(_ database: Database) { self.database = database }

    /// A hotel as it was written down.
    struct Row: Sendable {
        let hotel: Int32
        let archive: AvailabilityArchive?
        /// When this was true, at the latest.
        let readAt: Instant
    }

    /// What was written down of some hotels.
    func rows(of hotels: [Int32]) async throws -> [Row] {
        let rows = try await database.query(AvailabilityStatements.read(hotels))
        // Thousands of hotels take a while, in which others need not wait.
        return try await Loop.offload {
            rows.map { Row(hotel: $0.hotel, archive: AvailabilityArchive($0.content), readAt: $0.readAt) }
        }
    }

    /// Writes hotels down, those that are there as they are left alone: so bridges that know the same write it once.
    func write(_ hotels: [(id: Int32, content: [UInt8])]) async throws {
        try await database.execute(
            AvailabilityStatements.write(hotels.map(\.id), hotels.map { Base64.standard.encode($0.content) }))
    }

    /// Removes what nobody has written for a month.
    func removeOld() async throws { try await database.execute(AvailabilityStatements.removeOld()) }

    /// The room types that bookings of ours were sold, with the number of rooms of each.
    func soldTypes(_ bookings: [BookingID]) async throws -> [BookingID: [Int32: Int32]] {
        SoldType.counts(try await database.query(RestrictionStatements.soldTypes(bookings)))
    }
}

extension SoldType {
    static func counts(_ rooms: [SoldType]) -> [BookingID: [Int32: Int32]] {
        rooms.reduce(into: [:]) { $0[$1.booking, default: [:]][$1.type, default: 0] += 1 }
    }
}

extension [UnassignedNight] {
    /// What of these nights is known to be of which types.
    ///
    /// - Parameter sold: what our bookings were sold; nothing of others.
    func roomless(_ sold: [BookingID: [Int32: Int32]]) -> [Overbooking.Roomless] {
        guard !sold.isEmpty else { return [] }
        return Dictionary(grouping: self, by: \.self).compactMap { night, rows in
            sold[night.reservation].map {
                Overbooking.Roomless(night: night.night, count: Int32(rows.count), types: $0)
            }
        }
    }
}

/// The statements on `drawbridge.availability_cache`.
private enum AvailabilityStatements {
    struct Stored: Sendable {
        let hotel: Int32
        let content: [UInt8]
        let readAt: Instant
    }

    static let read = Statement<Stored, [Int32]>(
        "availability.read",
        """
        SELECT cache.hotel_id, cache.content, COALESCE(status.last_updated, cache.written_at)
        FROM drawbridge.availability_cache AS cache
        LEFT JOIN booking_engine_cache_status AS status
            ON status.cache_type = 'availability' AND status.hotel_id = cache.hotel_id
        WHERE cache.hotel_id = ANY ($1)
        """
    ) { row in Stored(hotel: try row.next(), content: try row.next(), readAt: try row.next()) }

    static let write = Statement<Void, [Int32], [String]>(
        "availability.write",
        """
        INSERT INTO drawbridge.availability_cache AS known (hotel_id, content)
        SELECT new.id, decode(new.content, 'base64') FROM unnest($1, $2) AS new (id, content)
        ORDER BY new.id
        ON CONFLICT (hotel_id) DO UPDATE SET content = EXCLUDED.content, written_at = now()
        WHERE known.content <> EXCLUDED.content
        """)

    static let removeOld = Statement<Void>(
        "availability.remove_old",
        "DELETE FROM drawbridge.availability_cache WHERE written_at < now() - INTERVAL '1 month'")
}
