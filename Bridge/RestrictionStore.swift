internal import Booking
internal import Catalogue
internal import FoundationEssentials
internal import Loop
internal import PMS
internal import Postgres
internal import Stay
internal import Telemetry

/// Restrictions of stays and overbooking allowances in the database, and how bridges learn of each other's changes.
@OnLoop
final class RestrictionStore {
    private let database: Database

    /// Up to where the memory of this process has everything; nil before anything was taken over.
    private var known: RestrictionVersion?

    init(_ database: Database) { self.database = database }

    /// What hotels have set, by hotel.
    struct News: Sendable {
        let version: RestrictionVersion
        let terms: [Int32: SaleTerms]
        /// Hotels that have set what this program cannot read.
        let unreadable: [Int32]
        /// Whether that is all there is, and not what has changed since `note`: so it is at first, and where the database is an
        /// earlier one, restored from a backup.
        let isWhole: Bool
    }

    /// Whether something was changed that this process has not seen.
    func hasNews() async throws -> Bool {
        try await database.first(RestrictionStatements.version()) != known
    }

    /// What hotels have set since this was asked last. To be handed to `note` when it is taken over.
    ///
    /// What this program cannot read, such as rules of a later one, it says and leaves out: other hotels have no part in it.
    /// That hotel's bookings are refused, for they read it under the lock themselves.
    func news() async throws -> News {
        let rows = try await database.query(RestrictionStatements.changed(known?.number ?? -1, known?.writer ?? ""))
        // Thousands of documents take a while, in which others need not wait.
        let (terms, unreadable) = try await Loop.offload {
            var terms: [Int32: SaleTerms] = [:]
            var unreadable: [Int32] = []
            for row in rows {
                guard let hotel = row.hotel else { continue }
                do { terms[hotel] = try row.terms() } catch { unreadable.append(hotel) }
            }
            return (terms, unreadable)
        }
        for hotel in unreadable { Log.error("restrictions cannot be read", ["hotel_id": .init(hotel)]) }
        guard let state = rows.first else { throw PostgresError(.decoding, "restriction_state has no row") }
        return News(version: state.version, terms: terms, unreadable: unreadable, isWhole: state.isWhole)
    }

    /// The memory has everything up to this version.
    func note(_ version: RestrictionVersion) { known = version }
}

/// Up to which change restrictions are known. A database that was restored counts on from an earlier number; who wrote that
/// tells it from the same number before.
struct RestrictionVersion: Equatable, Sendable {
    let number: Int64
    /// The transaction.
    let writer: String
}

/// What a hotel has set, as a command finds it under the hotel's lock.
struct StoredTerms: Sendable {
    let version: Int32
    /// Nil where it is the version that was named.
    let documents: (restrictions: JSON?, overbooking: JSON?)?

    /// - Throws: `PostgresError` for what this program has not written.
    func terms() throws -> SaleTerms? {
        guard let documents else { return nil }
        return try SaleTerms(version, documents.restrictions, documents.overbooking)
    }
}

extension SaleTerms {
    fileprivate init(_ version: Int32, _ restrictions: JSON?, _ overbooking: JSON?) throws {
        do {
            let decoder = JSONDecoder()
            let allowances =
                try overbooking.map { try decoder.decode([String: Int32].self, from: Data($0.bytes)) } ?? [:]
            self.init(
                version: version,
                restrictions: try restrictions.map {
                    try decoder.decode([StayRestriction].self, from: Data($0.bytes))
                } ?? [],
                overbooking: Dictionary(
                    allowances.compactMap { type, rooms in Int32(type).map { ($0, rooms) } },
                    uniquingKeysWith: { first, _ in first }))
        } catch {
            throw PostgresError(.decoding, "restrictions are written as this program does not know them")
        }
    }
}

/// The statements on the tables of restrictions.
enum RestrictionStatements {
    struct ChangedHotel: Sendable {
        let version: RestrictionVersion
        let isWhole: Bool
        /// Nil where none was changed.
        let hotel: Int32?
        fileprivate let stored: StoredTerms?

        fileprivate func terms() throws -> SaleTerms { try stored?.terms() ?? .none }
    }

    static let version = Statement<RestrictionVersion>(
        "restrictions.version", "SELECT version, xmin::TEXT FROM drawbridge.restriction_state"
    ) { row in RestrictionVersion(number: try row.next(), writer: try row.next()) }

    /// What has changed since a version, if the database goes on from there; otherwise everything.
    static let changed = Statement<ChangedHotel, Int64, String>(
        "restrictions.changed",
        """
        SELECT state.version, state.writer, state.is_whole, hotel.hotel_id, hotel.version, hotel.restrictions,
               hotel.overbooking
        FROM (SELECT version, xmin::TEXT AS writer, version < $1 OR version = $1 AND xmin::TEXT <> $2 OR $1 < 0 AS is_whole
              FROM drawbridge.restriction_state) AS state
        LEFT JOIN drawbridge.restriction_documents AS hotel ON state.is_whole OR hotel.changed_in > $1
        """
    ) { row in
        let version = RestrictionVersion(number: try row.next(), writer: try row.next())
        let isWhole = try row.next(Bool.self)
        let hotel = try row.next(Int32?.self)
        let own = try row.next(Int32?.self)
        let documents = (restrictions: try row.next(JSON?.self), overbooking: try row.next(JSON?.self))
        return ChangedHotel(
            version: version, isWhole: isWhole, hotel: hotel,
            stored: own.map { StoredTerms(version: $0, documents: documents) })
    }

    /// What a hotel has set; without the documents where it is the version named. No row where nothing was ever set.
    static let current = Statement<StoredTerms, Int32, Int32>(
        "restrictions.current",
        """
        SELECT version, version <> $2, CASE WHEN version <> $2 THEN restrictions END,
               CASE WHEN version <> $2 THEN overbooking END
        FROM drawbridge.restriction_documents WHERE hotel_id = $1
        """
    ) { row in
        let version = try row.next(Int32.self)
        let isNews = try row.next(Bool.self)
        let documents = (restrictions: try row.next(JSON?.self), overbooking: try row.next(JSON?.self))
        return StoredTerms(version: version, documents: isNews ? documents : nil)
    }

    /// In place of what the hotel had. To be run under the hotel's lock.
    static func replace(_ hotel: Int32, by terms: SaleTerms, client: String) -> [Query<Void>] {
        let rules = terms.restrictions
        let allowances = terms.overbooking.sorted { $0.key < $1.key }
        return [
            touch(hotel, terms.version, client), deleteRules(hotel), deleteAllowances(hotel),
            insertRules(
                hotel, rules.map(\.roomType), rules.map(\.start), rules.map(\.end), rules.map(\.weekdays),
                rules.map(\.minimumNights), rules.map(\.maximumNights), rules.map(\.closedToArrival),
                rules.map(\.closedToDeparture), rules.map(\.stopSell)),
            insertAllowances(hotel, allowances.map(\.key), allowances.map { Int16($0.value) }),
        ]
    }

    private static let touch = Statement<Void, Int32, Int32, String>(
        "restrictions.touch",
        """
        WITH state AS (UPDATE drawbridge.restriction_state SET version = version + 1 RETURNING version)
        INSERT INTO drawbridge.hotel_restrictions (hotel_id, version, changed_in, set_by)
        SELECT $1, $2, state.version, $3 FROM state
        ON CONFLICT (hotel_id) DO UPDATE
        SET version = EXCLUDED.version, changed_in = EXCLUDED.changed_in, set_by = EXCLUDED.set_by, set_at = now()
        """)

    private static let deleteRules = Statement<Void, Int32>(
        "restrictions.delete", "DELETE FROM drawbridge.stay_restrictions WHERE hotel_id = $1")

    private static let deleteAllowances = Statement<Void, Int32>(
        "restrictions.delete_allowances", "DELETE FROM drawbridge.overbooking_allowances WHERE hotel_id = $1")

    private static let insertRules = Statement<
        Void, Int32, [Int32?], [Day], [Day], [Int16?], [Int16?], [Int16?], [Bool], [Bool], [Bool]
    >(
        "restrictions.insert",
        """
        INSERT INTO drawbridge.stay_restrictions (hotel_id, position, room_type_id, start_date, end_date, weekdays,
                                                  minimum_nights, maximum_nights, closed_to_arrival,
                                                  closed_to_departure, stop_sell)
        SELECT $1, rule.number - 1, rule.type, rule.first, rule.last, rule.weekdays, rule.least, rule.most,
               rule.arrival, rule.departure, rule.stop
        FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10) WITH ORDINALITY
             AS rule (type, first, last, weekdays, least, most, arrival, departure, stop, number)
        """)

    private static let insertAllowances = Statement<Void, Int32, [Int32], [Int16]>(
        "restrictions.insert_allowances",
        """
        INSERT INTO drawbridge.overbooking_allowances (hotel_id, room_type_id, rooms)
        SELECT $1, allowance.* FROM unnest($2, $3) AS allowance
        """)

    /// The room types that bookings of ours were sold, room by room.
    static let soldTypes = Statement<SoldType, [BookingID]>(
        "restrictions.sold_types",
        "SELECT booking_id, room_type_id FROM drawbridge.booking_rooms WHERE booking_id = ANY ($1)"
    ) { row in SoldType(booking: try row.next(), type: try row.next()) }
}

/// A room of a booking, by what it was sold as.
struct SoldType: Sendable {
    let booking: BookingID
    let type: Int32
}
