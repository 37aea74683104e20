internal import Booking
internal import Catalogue
internal import HTTP
internal import JSONText
internal import Loop
internal import PMS
internal import Policy
internal import Server
internal import Stay
internal import Telemetry

/// What a hotel's plans cost, night by night, by the rates of the catalogue. A booking is priced again by the rates of its
/// moment.
@OnLoop
final class PricingResource {
    /// Prices of a night that are remembered, over all hotels: a hundred bytes or so each.
    private static let memoryBound = 65_536

    private let hotels: HotelDirectory
    private let policy: BridgePolicy.Availability
    private var memory = PriceMemory(bound: memoryBound)

    init(_ hotels: HotelDirectory, _ policy: BridgePolicy.Availability) {
        self.hotels = hotels
        self.policy = policy
        Metrics.gauge("drawbridge_bridge_remembered_prices", "Prices of a night that are remembered.") {
            [weak self] in Double(self?.memory.count ?? 0)
        }
    }

    func get(_ call: Call) throws -> Answer {
        let entry = try call.described(in: hotels, .roomTypes)
        let query = try PricingQuery(call.request.head.target.query ?? "")
        try query.stay.check(today: entry.today, policy)
        try check(query, entry)
        let plans = entry.plans.filter { query.plan == nil || $0.key == query.plan }
        var json = JSONWriter(capacity: 1024)
        json.object { json in
            json.member("hotel_id", Int(entry.id))
            json.member("start_date") { query.stay.arrival.append(to: &$0) }
            json.member("end_date") { query.stay.departure.append(to: &$0) }
            json.member("nights", query.stay.nightCount)
            json.member("guests", query.guests)
            if let type = query.roomType { json.member("room_type_id", Int(type)) }
            json.member("currency", entry.currency.code)
            json.array("plans", plans) { json, plan in write(plan, entry, query, to: &json) }
        }
        return .cached(Document(json.bytes), age: max(0, Int(Loop.unixTime - entry.offerReadAt)), timeToLive: nil)
    }

    private func check(_ query: PricingQuery, _ entry: HotelEntry) throws {
        var mistakes: [(pointer: String, detail: String)] = []
        if let type = query.roomType {
            switch entry.offer.capacity(ofType: type) {
            case nil:
                mistakes.append((QueryParameters.pointer("room_type_id"), "The hotel has no such room type"))
            case let capacity? where Int(capacity) < query.guests:
                mistakes.append(
                    (QueryParameters.pointer("guests"), "A room of this type takes at most \(capacity) guests"))
            default: break
            }
        }
        if let plan = query.plan, !entry.plans.contains(where: { $0.key == plan }) {
            mistakes.append((QueryParameters.pointer("plan_key"), "The hotel has no such plan"))
        }
        if !mistakes.isEmpty { throw BridgeError.invalid(mistakes) }
    }

    private func write(_ plan: Plan, _ entry: HotelEntry, _ query: PricingQuery, to json: inout JSONWriter) {
        var total: Money? = Money(minorUnits: 0, currency: entry.currency)
        var tax: Money? = total
        json.object { json in
            json.member("plan_key", plan.key.description)
            json.member("name", plan.name)
            json.member("plan_type", plan.type.rawValue)
            json.array("nights", query.stay.nights) { json, night in
                let quote = quote(plan, night, entry, query.guests)
                total = total.flatMap { sum in quote.price.flatMap(sum.adding) }
                tax = tax.flatMap { sum in quote.tax.flatMap(sum.adding) }
                json.object { json in
                    json.member("date") { night.append(to: &$0) }
                    json.member("price", quote.price.map { Int($0.minorUnits) })
                    json.member("tax_rate", quote.price == nil ? nil : quote.taxRate?.decimalText)
                    json.member("tax_included", quote.tax.map { Int($0.minorUnits) })
                }
            }
            write("total", total, to: &json)
            write("tax_included", tax, to: &json)
        }
    }

    private func quote(_ plan: Plan, _ night: Day, _ entry: HotelEntry, _ guests: Int) -> NightQuote {
        let key = PriceMemory.Key(planVersion: entry.planVersion, plan: plan.key, night: night, guests: guests)
        return memory.quote(key) {
            NightQuote(plan.pricing, night: night, guests: guests, taxRate: plan.tax(of: night)?.rate)
        }
    }

    private func write(_ name: StaticString, _ money: Money?, to json: inout JSONWriter) {
        guard let money else { return json.member(name, raw: "null") }
        json.object(name) { json in
            json.member("amount", Int(money.minorUnits))
            json.member("currency", money.currency.code)
        }
    }
}

/// The query part of a request for prices.
struct PricingQuery {
    let stay: Stay
    let roomType: Int32?
    let plan: PlanKey?
    let guests: Int

    /// - Throws: `BridgeError.malformed` with every parameter that is none.
    init(_ query: String) throws {
        var parameters = QueryParameters(query)
        let stay = parameters.stay()
        roomType = parameters.integer("room_type_id", in: 1...Int(Int32.max)).map { Int32($0) }
        plan = parameters.planKey("plan_key")
        guests = parameters.integer("guests", in: 1...99) ?? 1
        parameters.refuseOthers()
        guard parameters.mistakes.isEmpty, let stay else { throw BridgeError.malformed(parameters.mistakes) }
        self.stay = stay
    }
}
