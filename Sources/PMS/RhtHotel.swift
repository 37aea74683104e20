public import Availability
internal import Booking
public import Loop
public import Postgres
public import Stay

/// The rht-hotel PMS, read and written through its PostgreSQL database.
///
/// It adds nothing to the PMS's tables. Whatever it reads of one hotel it reads from that hotel's partitions.
@OnLoop
public struct RhtHotel {
    private let database: Database
    private let readingDeadline: Duration

    /// - Parameters:
    ///   - database: the PMS's, with `my_app.user_id` set in its sessions, which the audit triggers read.
    ///   - statementDeadline: after which the server ends a statement.
    public init(_ database: Database, statementDeadline: Duration) {
        self.database = database
        // Reading hotels takes six statements. The server must be heard first: it says which of them takes too long,
        // where we know no more than that something does.
        readingDeadline = statementDeadline * 7
    }

    /// The ids of all hotels, in the PMS's order.
    public func hotelIDs() async throws -> [Int32] { try await database.query(Statements.hotelIDs()) }

    /// Some hotels with what they sell and which nights are taken, as they were at one moment.
    ///
    /// A hotel with something in it that cannot be read is left out, and what is wrong is said; the others are read all
    /// the same. One that is gone is neither.
    ///
    /// - Parameters:
    ///   - hotels: a batch, small enough that its rows fit in memory.
    ///   - day: from which on taken nights count.
    /// - Throws: `PostgresError` when it is not some hotel that is to blame. For what takes too long a hotel is to
    ///   blame if another one of them could be read.
    public func read(_ hotels: [Int32], from day: Day) async throws -> Reading {
        do {
            return try await readAll(hotels, day)
        } catch let error as PostgresError where error.concernsData && hotels.count > 1 {
            return try await readEach(hotels, day)
        } catch let error as PostgresError where hotels.count == 1 && error.code != .timedOut {
            guard let fault = Fault(error, hotel: hotels[0]) else { throw error }
            return Reading(unreadable: [hotels[0]: fault])
        }
    }

    /// Reads one hotel after the other, to learn which of them cannot be read.
    private func readEach(_ hotels: [Int32], _ day: Day) async throws -> Reading {
        var reading = Reading()
        var late: PostgresError?
        for hotel in hotels {
            do { reading.add(try await readAll([hotel], day)) } catch let error as PostgresError {
                guard let fault = Fault(error, hotel: hotel) else { throw error }
                if error.code == .timedOut { late = error }
                reading.unreadable[hotel] = fault
            }
        }
        if let late, reading.hotels.isEmpty { throw late }
        return reading
    }

    private func readAll(_ ids: [Int32], _ day: Day) async throws -> Reading {
        let transaction = try await database.begin(.readOnly)
        let (hotels, allTypes, allRooms, rates, plans, nights) = try await transaction.commit(
            Statements.hotels(ids), Statements.roomTypes(ids), Statements.sellableRooms(ids),
            Statements.rates(ids, nil, nil), Statements.plans(ids), Statements.takenNights(ids, day),
            deadline: readingDeadline)
        let types = Dictionary(grouping: allTypes, by: \.hotel)
        let rooms = Dictionary(grouping: allRooms, by: \.hotel)
        let offered = Dictionary(grouping: plans, by: \.hotel)
        let taken = Dictionary(grouping: nights, by: \.hotel)
        let ratesByPlan = PlanRates(rates)
        var reading = Reading(faults: rates.compactMap(\.fault))
        for hotel in hotels {
            for plan in offered[hotel.id] ?? [] {
                do throws(PlanFault) { _ = try plan.plan(ratesByPlan, .jpy) } catch {
                    reading.faults.append(Fault(hotel: hotel.id, table: "plans", reason: error.reason))
                }
            }
            let catalogue = HotelCatalogue(
                hotel: hotel, roomTypes: types[hotel.id] ?? [], rooms: rooms[hotel.id] ?? [])
            reading.hotels.append((catalogue, TakenNights(taken[hotel.id] ?? [])))
        }
        return reading
    }

    /// The nights that a hotel's reservations take, from a day on.
    ///
    /// - Parameter isInDoubt: whether a booking of ours may be under way in the database still, whose end is to be
    ///   awaited.
    public func takenNights(of hotel: Int32, from day: Day, isInDoubt: Bool) async throws -> TakenNights {
        guard isInDoubt else { return TakenNights(try await database.query(Statements.takenNights([hotel], day))) }
        let transaction = try await database.begin()
        let (_, nights) = try await transaction.commit(
            RhtHotel.lock(hotel: hotel), Statements.takenNights([hotel], day))
        return TakenNights(nights)
    }
}

/// What was read of some hotels.
public struct Reading {
    /// The hotels that could be read, with the nights taken.
    public var hotels: [(catalogue: HotelCatalogue, taken: TakenNights)] = []
    /// The hotels that could not, each with the reason.
    public var unreadable: [Int32: Fault] = [:]
    /// What is wrong and costs less than a hotel.
    public var faults: [Fault] = []

    fileprivate mutating func add(_ other: Reading) {
        hotels += other.hotels
        unreadable.merge(other.unreadable) { $1 }
        faults += other.faults
    }
}

/// The nights that reservations of a hotel take.
public struct TakenNights: Sendable {
    /// Nights by room; without a room where the front desk has assigned none.
    public let nights: [TakenNight]
    /// Rooms taken on a night that is none of the calendar, such as `infinity`. Which one is meant nobody knows, so
    /// these rooms are not to be sold.
    public let undatedRooms: Set<Int32>

    init(_ rows: [ReservedNight]) {
        nights = rows.compactMap { row in row.night.map { TakenNight(room: row.room, night: $0) } }
        undatedRooms = Set(rows.compactMap { $0.night == nil ? $0.room : nil })
    }
}
