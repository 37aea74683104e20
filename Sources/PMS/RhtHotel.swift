public import Availability
public import Booking
public import Loop
public import Postgres
public import Stay

/// The rht-hotel PMS, read and written through its PostgreSQL database.
///
/// It adds nothing to the PMS's tables. Whatever it reads of one hotel it reads from that hotel's partitions.
@OnLoop
public struct RhtHotel: PMSAdapter {
    public nonisolated static let capabilities = PMSCapabilities(
        availability: .rooms, prices: true, amenities: true, images: false, modificationTimes: false)

    /// Hotels of a batch that take too long, none of the others having been read, after which it is the database that is
    /// slow and not some of the hotels.
    private static let lateHotels = 3

    let database: Database
    let writer: Writer
    private let statementDeadline: Duration
    private let waiting: Waiting?

    /// The nights for which reservations wait at some hotels that are not in the PMS's database yet; they count as taken.
    public typealias Waiting = @OnLoop ([Int32]) async throws -> [WaitingNight]

    /// - Parameters:
    ///   - database: the PMS's, with `my_app.user_id` set in its sessions, which the audit triggers read.
    ///   - writer: in whose name it writes.
    ///   - statementDeadline: after which the server ends a statement.
    ///   - waiting: nil where none ever wait.
    public init(_ database: Database, writer: Writer, statementDeadline: Duration, waiting: Waiting? = nil) {
        self.database = database
        self.writer = writer
        self.statementDeadline = statementDeadline
        self.waiting = waiting
    }

    public var isConnected: Bool { database.isAvailable }

    public func checkHealth() async throws { _ = try await database.query(Statements.anyHotel()) }

    public func hotelIDs() async throws -> [Int32] { try await database.query(Statements.hotelIDs()) }

    public func hotels(_ hotels: [Int32]) async throws -> Reading<Hotel> {
        try await reading(hotels) { ids in
            var reading = Reading<Hotel>()
            let rows = try await database.query(Statements.hotels(ids), deadline: patience(statements: 1))
            for hotel in rows { reading.found[hotel.id] = hotel }
            return reading
        }
    }

    public func offers(of hotels: [Int32]) async throws -> Reading<HotelOffer> {
        try await reading(hotels) { ids in
            let transaction = try await database.begin(.readOnly)
            let rows = try await transaction.commit(
                Statements.present(ids), Statements.roomTypes(ids), Statements.sellableRooms(ids),
                Statements.rates(ids, nil, nil), Statements.plans(ids), deadline: patience(statements: 5))
            var reading = Self.offers(rows.0, rows.1, rows.2, rows.3, rows.4)
            try await addAddOns(to: &reading)
            return reading
        }
    }

    /// Add-ons are only shown, so a database without their tables, or without the right to read them, costs no hotel.
    private func addAddOns(to reading: inout Reading<HotelOffer>) async throws {
        do {
            let ids = Array(reading.found.keys)
            for addOn in try await database.query(Statements.addOns(ids), deadline: patience(statements: 1)) {
                reading.found[addOn.hotel]?.addOns.append(addOn)
            }
        } catch let error as PostgresError {
            guard case .sql(let state) = error.code, state.hasPrefix("42") else { throw error }
            reading.faults.append(
                Fault(hotel: nil, table: "addons", reason: "add-ons cannot be read and are not shown: \(error.message)")
            )
        }
    }

    public func occupancy(of hotels: [Int32], from day: Day) async throws -> Reading<Occupancy> {
        try await reading(hotels) { ids in
            // First: what is written in between is rather counted twice than not at all.
            let waiting = Dictionary(grouping: try await waitingNights(ids, from: day), by: \.hotel)
            let transaction = try await database.begin(.readOnly)
            let (present, rows) = try await transaction.commit(
                Statements.present(ids), Statements.takenNights(ids, day), deadline: patience(statements: 2))
            let taken = Dictionary(grouping: rows, by: \.hotel)
            var reading = Reading<Occupancy>()
            for hotel in present {
                reading.found[hotel] = .rooms(TakenNights(taken[hotel] ?? [], waiting: waiting[hotel] ?? []))
            }
            return reading
        }
    }

    public func occupancy(of hotel: Int32, from day: Day, isSettled: Bool) async throws -> Occupancy {
        let statement = Statements.takenNights([hotel], day)
        let waiting = try await waitingNights([hotel], from: day)
        guard isSettled else {
            return .rooms(TakenNights(try await database.query(statement), waiting: waiting))
        }
        let transaction = try await database.begin()
        let (_, rows) = try await transaction.commit(RhtHotel.lock(hotel: hotel), statement)
        return .rooms(TakenNights(rows, waiting: waiting))
    }

    public func takenNights(of hotel: Int32, rooms: [Int32]?, nights: Range<Day>) async throws -> [TakenNight] {
        let waiting = try await waitingNights([hotel], from: nights.lowerBound).filter { night in
            nights.contains(night.night) && (rooms.map { $0.contains { $0 == night.room } } ?? true)
        }
        let taken = try await database.query(
            Statements.nightsOfRooms(hotel, nights.lowerBound, nights.upperBound, rooms))
        return taken + waiting.map { TakenNight(room: $0.room, night: $0.night) }
    }

    func waitingNights(_ hotels: [Int32], from day: Day) async throws -> [WaitingNight] {
        try await waiting?(hotels).filter { $0.night >= day } ?? []
    }

    // MARK: Whom to blame

    /// The server must be heard first: it says which statement takes too long, where we know no more than that something
    /// does.
    private func patience(statements: Int) -> Duration { statementDeadline * (statements + 1) }

    /// Reads hotels together and, where some row among theirs cannot be read or something takes too long, one by one.
    private func reading<Value>(
        _ hotels: [Int32], _ read: @OnLoop ([Int32]) async throws -> Reading<Value>
    ) async throws -> Reading<Value> {
        guard !hotels.isEmpty else { return Reading() }
        do {
            return try await read(hotels)
        } catch let error as PostgresError where error.concernsData && hotels.count > 1 {
            return try await readingEach(hotels, read)
        } catch let error as PostgresError where hotels.count == 1 && error.code != .timedOut {
            guard let fault = Fault(error, hotel: hotels[0]) else { throw error }
            var reading = Reading<Value>()
            reading.unreadable[hotels[0]] = fault
            return reading
        }
    }

    private func readingEach<Value>(
        _ hotels: [Int32], _ read: @OnLoop ([Int32]) async throws -> Reading<Value>
    ) async throws -> Reading<Value> {
        var reading = Reading<Value>()
        var late: [PostgresError] = []
        // By chance, so that it is not the locked ones that stand together and make all look locked.
        for hotel in hotels.shuffled() {
            do { reading.add(try await read([hotel])) } catch let error as PostgresError {
                guard let fault = Fault(error, hotel: hotel) else { throw error }
                if error.code == .timedOut { late.append(error) }
                if reading.found.isEmpty, late.count >= Self.lateHotels { throw error }
                reading.unreadable[hotel] = fault
            }
        }
        if let late = late.first, reading.found.isEmpty { throw late }
        return reading
    }

    // MARK: Putting together

    private static func offers(
        _ hotels: [Int32], _ types: [RoomType], _ rooms: [Room], _ rates: [PlanRate], _ plans: [OfferedPlan]
    ) -> Reading<HotelOffer> {
        let types = Dictionary(grouping: types, by: \.hotel)
        let rooms = Dictionary(grouping: rooms, by: \.hotel)
        let plans = Dictionary(grouping: plans, by: \.hotel)
        let ratesByPlan = PlanRates(rates)
        var reading = Reading<HotelOffer>()
        reading.faults = rates.compactMap(\.fault)
        for hotel in hotels {
            var offer = HotelOffer(roomTypes: types[hotel] ?? [], rooms: rooms[hotel] ?? [])
            for plan in plans[hotel] ?? [] {
                do throws(PlanFault) { offer.plans.append(try plan.offer(ratesByPlan)) } catch {
                    reading.faults.append(Fault(hotel: hotel, table: "plans", reason: error.reason))
                }
            }
            reading.found[hotel] = offer
        }
        return reading
    }
}

/// A night for which a reservation waits that is not in the PMS's database yet.
public struct WaitingNight: Sendable {
    public let hotel: Int32
    public let reservation: BookingID
    public let room: Int32?
    public let night: Day

    public init(hotel: Int32, reservation: BookingID, room: Int32?, night: Day) {
        self.hotel = hotel
        self.reservation = reservation
        self.room = room
        self.night = night
    }
}

extension TakenNights {
    init(_ rows: [ReservedNight], waiting: [WaitingNight]) {
        self.init(
            nights: rows.compactMap { row in row.night.map { TakenNight(room: row.room, night: $0) } }
                + waiting.map { TakenNight(room: $0.room, night: $0.night) },
            undatedRooms: Set(rows.compactMap { $0.night == nil ? $0.room : nil }),
            unassigned: rows.compactMap { row in
                guard let reservation = row.reservation, let night = row.night else { return nil }
                return UnassignedNight(reservation: reservation, night: night)
            }
                + waiting.compactMap {
                    $0.room == nil ? UnassignedNight(reservation: $0.reservation, night: $0.night) : nil
                })
    }
}
