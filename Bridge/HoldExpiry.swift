internal import Booking
internal import Loop
internal import PMS
internal import Policy
internal import Postgres
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
    private let failures = Metrics.counter(
        "drawbridge_bridge_hold_failures_total", "Holds that could not be ended when their time ran out.")

    init(_ database: Database, _ hotels: HotelDirectory, _ writer: BridgePolicy.PMSWriter) {
        self.database = database
        self.hotels = hotels
        self.writer = writer
    }

    /// Works until the task is cancelled. What fails is tried again at the next look.
    func run() async {
        var looks = 0
        while !Task.isCancelled {
            do { try await Loop.sleep(for: Self.interval) } catch { return }
            await expireAll()
            if looks % Self.looksPerCleanUp == 0 { await forgetOldAnswers() }
            looks += 1
        }
    }

    /// One hold after the other, each in a transaction of its own: one that somebody works on keeps no other waiting.
    private func expireAll() async {
        var passedOver: [BookingID] = []
        do {
            while let hold = try await nextHold(except: passedOver) {
                passedOver.append(hold.id)
                do {
                    try await hotels.inTurn(hold.hotel) { hotel in try await expire(hold, of: hotel) }
                } catch let error where !(error is CancellationError) {
                    failures.increment()
                    hotels.distrust(hold.hotel)
                    Log.warning(
                        "hold not ended", ["booking_id": .init(hold.id.description), "error": .init(error: error)])
                }
            }
        } catch {
            // The database is away, which its own log says; the holds wait for its return.
            Log.debug("holds not looked for", ["error": .init(error: error)])
        }
    }

    private func nextHold(except passedOver: [BookingID]) async throws -> ExpiredHold? {
        // Looks only; the lock is taken where the hold is ended.
        try await database.first(BookingStatements.expiredHold(passedOver))
    }

    private func expire(_ hold: ExpiredHold, of hotel: HotelEntry?) async throws {
        let transaction = try await database.begin()
        let (_, mine, statuses, isThere) = try await transaction.query(
            RhtHotel.lock(hotel: hold.hotel), BookingStatements.lockHold(hold.id),
            RhtHotel.lockReservation(hold.id, hotel: hold.hotel), RhtHotel.hasReservation(hold.id, hotel: hold.hotel))
        // Ended meanwhile, or in somebody's hands at the front desk.
        guard mine == [hold.id], !statuses.isEmpty || isThere == [false] else { return transaction.rollback() }
        let status = ReservationStatus(statuses.first)
        if status == .confirmed {
            // It is a hold no longer.
            _ = try await transaction.commit(BookingStatements.endHold(hold.id, "confirmed"))
            return
        }
        // Read before the end: what cannot be read then has changed nothing.
        let (_, released) = try await transaction.query(
            RhtHotel.cancelReservation(hold.id, hotel: hold.hotel, user: writer.userID),
            RhtHotel.cancelNights(of: hold.id, hotel: hold.hotel, user: writer.userID))
        // As `StoredBooking.changedStatus` has it: what becomes of it does not depend on who looks first.
        let isCancelled = status == .cancelled
        _ = try await transaction.commit(BookingStatements.endHold(hold.id, isCancelled ? "cancelled" : "expired"))
        free(released, hold, of: hotel)
        // What the front desk has freed is not among the nights that we free.
        if isCancelled { hotels.distrust(hold.hotel) } else { expired.increment() }
    }

    /// Frees the nights in the hotel's index.
    private func free(_ released: [ReleasedNight], _ hold: ExpiredHold, of hotel: HotelEntry?) {
        for released in released {
            if let night = released.night {
                hotel?.release(released.room, on: night)
            } else {
                // It kept its room from being sold at all, and maybe another one still does.
                hotels.distrust(hold.hotel)
            }
        }
    }

    private func forgetOldAnswers() async {
        do {
            while try await database.execute(BookingStatements.deleteOldRecords()) > 0 {}
        } catch {
            Log.debug("old answers not removed", ["error": .init(error: error)])
        }
    }
}
