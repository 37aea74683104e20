internal import Loop
internal import PMS
internal import Policy
internal import Postgres
internal import Stay
internal import Telemetry

/// Gives the rooms of holds back when their time is up, and forgets answers that need not be repeated any more.
@OnLoop
final class HoldExpiry {
    /// How often it looks.
    private static let interval = Duration.seconds(1)

    /// Looks between two removals of old answers.
    private static let looksPerCleanUp = 60

    private let database: Database
    private let hotels: HotelDirectory
    private let writer: BridgePolicy.PMSWriter
    private let expired = Metrics.counter("drawbridge_bridge_holds_expired_total", "Holds whose time ran out.")

    init(_ database: Database, _ hotels: HotelDirectory, _ writer: BridgePolicy.PMSWriter) {
        self.database = database
        self.hotels = hotels
        self.writer = writer
    }

    func run() async {
        var looks = 0
        while !Task.isCancelled {
            do {
                try await Loop.sleep(for: Self.interval)
                while try await expireSome() {}
                if looks % Self.looksPerCleanUp == 0 {
                    try await database.execute(BookingStatements.deleteOldRecords())
                }
                looks += 1
            } catch is CancellationError {
                return
            } catch {
                // The database is away; the holds wait for its return.
                Log.debug("holds not expired", ["error": .init(error: error)])
            }
        }
    }

    /// - Returns: whether there may be more.
    private func expireSome() async throws -> Bool {
        let holds = try await database.transaction { transaction in
            let holds = try await transaction.query(BookingStatements.expiredHolds())
            for hold in holds {
                try await transaction.execute(
                    RhtHotel.cancel(hold.id, hotel: hold.hotel, user: writer.userID)
                        + [BookingStatements.expire(hold.id)])
            }
            return holds
        }
        for hold in holds {
            expired.increment()
            guard let stay = Stay(arrival: hold.arrival, departure: hold.departure) else { continue }
            hotels[hold.hotel]?.release(hold.rooms, stay: stay)
        }
        return !holds.isEmpty
    }
}
