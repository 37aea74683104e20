public import Booking
public import Postgres
public import Stay

extension RhtHotel {
    /// The plans that a hotel offers now.
    public static func offeredPlans(hotel: Int32) -> Query<OfferedPlan> { Statements.plansOfHotel(hotel) }

    /// The rates of some of a hotel's plans, and of the global ones they come from, as they are now.
    public static func rates(hotel: Int32, plans: [PlanKey]) -> Query<PlanRate> {
        Statements.rates([hotel], plans.compactMap(\.hotelPlan), plans.compactMap(\.globalPlan))
    }

    /// The plans that can be sold, by what was read of one hotel.
    public nonisolated static func plans(
        _ offered: [OfferedPlan], _ rates: [PlanRate], _ currency: Currency
    ) -> [PlanKey: Plan] {
        let rates = PlanRates(rates)
        let plans = offered.compactMap { try? $0.offer(rates).plan(currency) }
        return Dictionary(plans.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
    }
}

/// A plan as `get_available_plans_for_hotel` lists it.
public struct OfferedPlan: Sendable {
    let hotel: Int32
    let globalPlan: Int32?
    let hotelPlan: Int32?
    let name: String?
    let type: String?
    var description: String?
    var color: String?

    /// - Throws: `PlanFault` when nobody knows what it is called or how it is sold.
    func offer(_ rates: PlanRates) throws(PlanFault) -> PlanOffer {
        guard let key = PlanKey(globalPlan: globalPlan, hotelPlan: hotelPlan) else {
            throw PlanFault(reason: "a plan has no key")
        }
        guard let name else { throw PlanFault(reason: "plan \(key) has no name and is not sold") }
        guard let type = type.flatMap({ PlanType(rawValue: $0) }) else {
            throw PlanFault(reason: "plan \(key) is of an unknown type and not sold")
        }
        let rates = Pricing.ratesInForce(
            own: hotelPlan.map { rates.ofHotelPlan($0, hotel: hotel) } ?? [],
            global: globalPlan.map { rates.ofGlobalPlan($0, hotel: hotel) } ?? [])
        return PlanOffer(
            key: key, name: name, description: description, type: type, color: color,
            rates: rates.map { TaxedRate(rate: $0.rate, tax: $0.tax) })
    }
}

/// Why a plan cannot be sold.
struct PlanFault: Error {
    let reason: String
}

/// A row of `plans_rates`. A value in it that cannot be read makes the rate unreadable, and so leaves its nights
/// without a price.
public struct PlanRate: Sendable {
    let hotel: Int32?
    let globalPlan: Int32?
    let hotelPlan: Int32?
    let rate: Rate
    let tax: Tax

    /// What cannot be read.
    let flaw: String?

    init(
        hotel: Int32?, globalPlan: Int32?, hotelPlan: Int32?, adjustment: String?, value: String?,
        condition: (type: String?, value: String?), nights: (first: Day?, last: Day?),
        tax: (id: Int32?, rate: String?), countsForCancellation: Bool
    ) {
        self.hotel = hotel
        self.globalPlan = globalPlan
        self.hotelPlan = hotelPlan
        let amount = value.flatMap { FixedPoint($0) }
        let taxRate = tax.rate.flatMap { FixedPoint($0) }
        let read = Rate.Condition(type: condition.type ?? "", value: condition.value)
        let known = adjustment.flatMap { Rate.Adjustment(rawValue: $0) }
        flaw =
            if hotelPlan != nil && hotel == nil {
                "hotel_id is missing"
            } else if known == nil || known == .unreadable {
                "adjustment_type is unknown"
            } else if amount == nil {
                "adjustment_value is no amount"
            } else if read == .unreadable {
                "its condition is unknown"
            } else if nights.first == nil {
                "date_start is missing"
            } else if tax.rate != nil && (taxRate?.tenThousandths ?? -1) < 0 {
                // The PMS divides by one plus this.
                "tax_rate is no rate"
            } else {
                nil
            }
        rate = Rate(
            adjustment: flaw == nil ? known ?? .unreadable : .unreadable,
            value: amount ?? FixedPoint(tenThousandths: 0),
            condition: read, firstNight: nights.first ?? .first, lastNight: nights.last,
            countsForCancellation: countsForCancellation)
        self.tax = Tax(id: tax.id, rate: taxRate)
    }

    /// What an unreadable rate costs, and whom.
    var fault: Fault? {
        guard let flaw else { return nil }
        let key = PlanKey(globalPlan: hotelPlan == nil ? globalPlan : nil, hotelPlan: hotelPlan)
        return Fault(
            hotel: hotel, table: "plans_rates",
            reason: "a rate of plan \(key?.description ?? "?") cannot be read, and its nights are not sold: \(flaw)")
    }
}

/// The rates of all plans, found by plan.
struct PlanRates {
    private let byPlan: [Key: [PlanRate]]

    private struct Key: Hashable {
        /// Nil for what holds in all hotels.
        let hotel: Int32?
        let plan: Int32
        let isGlobal: Bool
    }

    init(_ rates: [PlanRate]) {
        byPlan = Dictionary(grouping: rates) { rate in
            Key(hotel: rate.hotel, plan: rate.hotelPlan ?? rate.globalPlan ?? 0, isGlobal: rate.hotelPlan == nil)
        }
    }

    /// With those, unreadable, that do not say of which hotel's plan of this id they are: it may be this one's.
    func ofHotelPlan(_ plan: Int32, hotel: Int32) -> [PlanRate] {
        (byPlan[Key(hotel: nil, plan: plan, isGlobal: false)] ?? [])
            + (byPlan[Key(hotel: hotel, plan: plan, isGlobal: false)] ?? [])
    }

    /// Those of all hotels, and those that one hotel has for it besides.
    func ofGlobalPlan(_ plan: Int32, hotel: Int32) -> [PlanRate] {
        (byPlan[Key(hotel: nil, plan: plan, isGlobal: true)] ?? [])
            + (byPlan[Key(hotel: hotel, plan: plan, isGlobal: true)] ?? [])
    }
}
