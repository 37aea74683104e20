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
        /// When the PMS was read that this is made of.
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

    /// Writes hotels down, with when each was read. Those that are there as they are, and as young, are left alone: so bridges
    /// that know the same write it once.
    func write(_ hotels: [(id: Int32, content: [UInt8], readAt: Instant)]) async throws {
        try await database.execute(
            AvailabilityStatements.write(
                hotels.map(\.id), hotels.map { Base64.standard.encode($0.content) },
                hotels.map(\.readAt.microseconds)))
    }

    /// Removes what was read a month ago.
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
        SELECT hotel_id, content, written_at FROM drawbridge.availability_cache WHERE hotel_id = ANY ($1)
        """
    ) { row in Stored(hotel: try row.next(), content: try row.next(), readAt: try row.next()) }

    /// `written_at` goes with the content: it says when the PMS was read, not when somebody came to write it down.
    static let write = Statement<Void, [Int32], [String], [Int64]>(
        "availability.write",
        """
        INSERT INTO drawbridge.availability_cache AS known (hotel_id, content, written_at)
        SELECT new.id, decode(new.content, 'base64'), TIMESTAMPTZ 'epoch' + new.at * INTERVAL '1 microsecond'
        FROM unnest($1, $2, $3) AS new (id, content, at)
        ORDER BY new.id
        ON CONFLICT (hotel_id) DO UPDATE SET content = EXCLUDED.content, written_at = EXCLUDED.written_at
        WHERE known.content <> EXCLUDED.content OR known.written_at < EXCLUDED.written_at - INTERVAL '1 minute'
        """)

    static let removeOld = Statement<Void>(
        "availability.remove_old",
        "DELETE FROM drawbridge.availability_cache WHERE written_at < now() - INTERVAL '1 month'")
}
