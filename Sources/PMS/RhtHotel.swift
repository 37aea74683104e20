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

    /// - Parameter database: the PMS's, with `my_app.user_id` set in its sessions, which the audit triggers read.
    public init(_ database: Database) { self.database = database }

    /// All hotels with what they sell, in the PMS's order.
    ///
    /// - Parameter currency: what a hotel's prices are in; the PMS does not say.
    public func catalogues(currency: (Int32) -> Currency) async throws -> [HotelCatalogue] {
        let hotels = try await database.query(Statements.hotels())
        let types = Dictionary(grouping: try await database.query(Statements.roomTypes()), by: \.hotel)
        let rooms = Dictionary(grouping: try await database.query(Statements.sellableRooms()), by: \.hotel)
        let rates = PlanRates(try await database.query(Statements.rates()))
        let plans = Dictionary(grouping: try await database.query(Statements.plans()), by: \.hotel)
        return hotels.map { hotel in
            let currency = currency(hotel.id)
            let offered = (plans[hotel.id] ?? []).compactMap { $0.plan(rates, currency) }
            return HotelCatalogue(
                hotel: hotel, roomTypes: types[hotel.id] ?? [], rooms: rooms[hotel.id] ?? [],
                plans: Dictionary(offered.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first }))
        }
    }

    /// The nights that reservations take, from a day on, as hotel and night.
    ///
    /// - Parameter hotels: a batch, small enough that its rows fit in memory.
    public func takenNights(of hotels: [Int32], from day: Day) async throws -> [(hotel: Int32, night: TakenNight)] {
        try await database.query(Statements.takenNights(hotels, day))
    }
}

/// A plan as `get_available_plans_for_hotel` lists it.
struct OfferedPlan: Sendable {
    let hotel: Int32
    let globalPlan: Int32?
    let hotelPlan: Int32?
    let name: String
    let type: String

    func plan(_ rates: PlanRates, _ currency: Currency) -> Plan? {
        guard let key = PlanKey(globalPlan: globalPlan, hotelPlan: hotelPlan), let type = PlanType(rawValue: type)
        else {
            return nil
        }
        let own = hotelPlan.map { rates.ofHotelPlan($0, hotel: hotel) } ?? []
        let global = globalPlan.map { rates.ofGlobalPlan($0) } ?? []
        let used = own.isEmpty ? global : own
        let base = used.first { $0.rate.adjustment == .baseRate }
        return Plan(
            key: key, name: name, type: type,
            pricing: Pricing(
                ownRates: own.map(\.rate), globalRates: global.map(\.rate), planType: type, currency: currency),
            tax: base.map { Plan.Tax(id: $0.taxID, rate: $0.taxRate) })
    }
}

/// A row of `plans_rates`.
struct PlanRate: Sendable {
    let hotel: Int32?
    let globalPlan: Int32?
    let hotelPlan: Int32?
    let rate: Rate
    let taxID: Int32?
    let taxRate: FixedPoint?
}

/// The rates of all plans, found by plan.
struct PlanRates {
    private let byPlan: [Key: [PlanRate]]

    private struct Key: Hashable {
        let hotel: Int32?
        let plan: Int32
    }

    init(_ rates: [PlanRate]) {
        byPlan = Dictionary(grouping: rates) { rate in
            rate.hotelPlan.map { Key(hotel: rate.hotel, plan: $0) } ?? Key(hotel: nil, plan: rate.globalPlan ?? 0)
        }
    }

    func ofHotelPlan(_ plan: Int32, hotel: Int32) -> [PlanRate] { byPlan[Key(hotel: hotel, plan: plan)] ?? [] }

    func ofGlobalPlan(_ plan: Int32) -> [PlanRate] { byPlan[Key(hotel: nil, plan: plan)] ?? [] }
}
