internal import Availability
internal import Booking
internal import Catalogue
internal import Loop
internal import PMS
internal import Telemetry

/// What the PMS says is taken, with what of it our bookings were sold without a room.
struct OccupancyReading: Sendable {
    let occupancy: Occupancy
    let roomless: [Overbooking.Roomless]
}

// What is known to be free is written down, and is what there is until the PMS can be read.
extension HotelDirectory {
    /// Hotels that are written down in one statement, at most one such a second.
    private static let writtenAtOnce = 200

    /// How long a hotel that was written down is left alone.
    private static let writingInterval = 60.0

    /// Writes down what has changed of hotels, evenly, until the task is cancelled.
    func writeDown() async {
        var seconds = 0
        while !Task.isCancelled {
            do { try await Loop.sleep(for: .seconds(1)) } catch { return }
            do {
                try await writeSome()
                if seconds % 3600 == 0 { try await archive.removeOld() }
                seconds += 1
            } catch {
                // The database is away, which its own log says.
                Log.debug("availability not written down", ["error": .init(error: error)])
            }
        }
    }

    private func writeSome() async throws {
        let now = Loop.unixTime
        let due = entries.values.lazy.filter { entry in
            entry.isCounted && !entry.isRestored && entry.hotel.isActive && entry.written.changes < entry.changes
                && now - entry.written.at >= Self.writingInterval
        }
        var hotels: [(id: Int32, content: [UInt8], readAt: Instant)] = []
        for entry in Array(due.prefix(Self.writtenAtOnce)) {
            let content = AvailabilityArchive.bytes(entry.availability, closed: entry.closedRooms)
            let hash = content.hashValue
            if hash != entry.written.hash || entry.readAt > entry.written.readAt {
                hotels.append((entry.id, content, Instant(microseconds: Int64(entry.readAt * 1_000_000))))
            }
            entry.written = (entry.changes, hash, entry.readAt, now)
        }
        guard !hotels.isEmpty else { return }
        do { try await archive.write(hotels) } catch {
            for hotel in hotels { entries[hotel.id]?.written = (0, 0, -.infinity, now) }
            throw error
        }
    }

    /// Takes what was written down of hotels for what is free, until it is read. What cannot be restored stays unknown.
    func restore() async {
        do {
            for part in order.parts(ofAtMost: 500) {
                for row in try await archive.rows(of: part) {
                    guard let archive = row.archive, let entry = entries[row.hotel], !entry.isCounted else { continue }
                    entry.restore(archive, readAt: row.readAt.unixTime)
                }
            }
        } catch {
            Log.warning("what was free before is not known", ["error": .init(error: error)])
        }
    }

    // MARK: Reading

    /// What the PMS says is taken at a hotel.
    ///
    /// - Parameter isSettled: whether a booking of ours may be under way still, whose end is to be awaited.
    func occupancy(of entry: HotelEntry, isSettled: Bool) async throws -> OccupancyReading {
        let occupancy = try await pms.occupancy(of: entry.id, from: entry.today, isSettled: isSettled)
        return try await readings([entry.id: occupancy])[entry.id]!
    }

    /// Rooms of a hotel that are for sale and yet not sold, whether or not it is in memory what is free there.
    func closedRooms(of hotel: Int32) async throws -> Set<Int32> {
        if let entry = entries[hotel], entry.isCounted, !entry.isRestored { return entry.closedRooms }
        let occupancy = try await pms.occupancy(of: hotel, from: today(hotel), isSettled: false)
        return if case .rooms(let taken) = occupancy { taken.undatedRooms } else { [] }
    }

    /// Adds what our bookings were sold without a room.
    func readings(_ found: [Int32: Occupancy]) async throws -> [Int32: OccupancyReading] {
        let reservations = Set(found.values.flatMap { $0.unassigned.map(\.reservation) })
        let sold = reservations.isEmpty ? [:] : try await archive.soldTypes(Array(reservations))
        return found.mapValues { OccupancyReading(occupancy: $0, roomless: $0.unassigned.roomless(sold)) }
    }
}

extension Occupancy {
    fileprivate var unassigned: [UnassignedNight] {
        if case .rooms(let taken) = self { taken.unassigned } else { [] }
    }
}
