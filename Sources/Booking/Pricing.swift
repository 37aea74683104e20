internal import JSONText
public import Stay

/// A rate of a plan, as a row of the PMS's `plans_rates` says it.
public struct Rate: Hashable, Sendable, Codable {
    /// What the value adds to the price of a night.
    public enum Adjustment: String, Sendable, Codable {
        /// An amount, of which percentages are taken.
        case baseRate = "base_rate"
        /// That many per cent of the base, negative for a discount.
        case percentage
        /// An amount on top, of which no percentages are taken.
        case flatFee = "flat_fee"
        /// It cannot be told what the rate does: on nights it applies to there is no price.
        case unreadable
    }

    /// On which nights of its dates the rate applies.
    public enum Condition: Hashable, Sendable, Codable {
        /// On every night.
        case always
        /// On nights that begin on these days of the week.
        case weekdays(Set<Day.Weekday>)
        /// On nights that begin in these months.
        case months(Set<Day.Month>)
        /// It cannot be told on which: any night of its dates may be meant, and none of them has a price.
        case unreadable
    }

    /// What the value is.
    public let adjustment: Adjustment
    /// An amount in whole currency units (yen), or per cent.
    public let value: FixedPoint
    /// Which nights it applies to, within its dates.
    public let condition: Condition
    /// The first night it applies to.
    public let firstNight: Day
    /// The last night it applies to; nil if it has no end.
    public let lastNight: Day?
    /// Whether what it adds counts when a cancellation is charged.
    public let countsForCancellation: Bool

    /// A rate.
    public init(
        adjustment: Adjustment, value: FixedPoint, condition: Condition, firstNight: Day, lastNight: Day?,
        countsForCancellation: Bool = false
    ) {
        self.adjustment = adjustment
        self.value = value
        self.condition = condition
        self.firstNight = firstNight
        self.lastNight = lastNight
        self.countsForCancellation = countsForCancellation
    }

    /// Whether the rate applies to the night, or may do so.
    public func applies(to night: Day) -> Bool {
        guard night >= firstNight, night <= lastNight ?? .last else { return false }
        return switch condition {
        case .always, .unreadable: true
        case .weekdays(let weekdays): weekdays.contains(night.weekday)
        case .months(let months): months.contains(night.month)
        }
    }
}

/// Whether a plan's price is for the room or for each guest.
public enum PlanType: String, Sendable {
    /// One price for the room, however many sleep in it.
    case perRoom = "per_room"
    /// One price for each guest.
    case perPerson = "per_person"
}

/// What the price of a night came to.
public enum NightPrice: Hashable, Sendable {
    /// The price as the PMS stores it, in whole currency units: for the room, or per person with a `perPerson` plan.
    case amount(Int64)
    /// No base rate applies to the night: the plan cannot be sold on it. This is not a price of zero.
    case noBaseRate
    /// The rates make no sensible price: less than nothing, or more than the PMS can store.
    case outOfRange
    /// A rate that cannot be read applies to the night, or may: no price is better than a wrong one.
    case unreadableRate
}

/// The PMS's rule for the price of a night: floor₁₀₀(base + Σ base × percentage + Σ flat fees).
///
/// Where the rule leaves room, this is how it is read:
/// - Several base rates that apply to one night add up, as the PMS sums rows of a kind; percentages are of that sum and
///   do not compound.
/// - A hotel's plan has "its own rates" as soon as it has any row, even one for other dates: then the global plan's
///   rates never count for it.
/// - The floor is the mathematical one, to hundreds of the whole currency unit, once, after adding everything. With a
///   `perPerson` plan it is applied to one person's price, which is then multiplied by the number of guests.
/// - A base rate of zero is a price; no base rate is none. A price below zero is refused.
public struct Pricing: Hashable, Sendable {
    /// The most a night may cost as stored, in whole currency units: the PMS's column for it is a DECIMAL(10, 2).
    public static let maximumStoredPrice: Int64 = 99_999_999

    private let rates: [Rate]
    /// Whether the prices are for the room or for each guest.
    public let planType: PlanType
    /// The currency of the prices.
    public let currency: Currency

    /// The rates that count for a plan: the hotel plan's own if it has any, otherwise its global plan's, never both.
    public static func ratesInForce<PlanRate>(own: [PlanRate], global: [PlanRate]) -> [PlanRate] {
        own.isEmpty ? global : own
    }

    /// The pricing of a plan.
    ///
    /// - Parameter rates: those in force.
    public init(rates: [Rate], planType: PlanType, currency: Currency = .jpy) {
        self.rates = rates
        self.planType = planType
        self.currency = currency
    }

    /// What of a night's price counts when a cancellation is charged, as the PMS stores it: the same rule over the rates that
    /// count alone, never less than nothing nor more than the price.
    private func chargeable(_ night: Day, of price: Int64) -> Int64 {
        switch self.price(of: night, by: rates.filter(\.countsForCancellation)) {
        case .amount(let amount): min(amount, price)
        case .noBaseRate, .outOfRange, .unreadableRate: 0
        }
    }

    /// The price of one night as the PMS stores it.
    public func price(of night: Day) -> NightPrice { price(of: night, by: rates) }

    private func price(of night: Day, by rates: [Rate]) -> NightPrice {
        var base: Int128?
        var percentage: Int128 = 0
        var flat: Int128 = 0
        // Each value is at most 2^63 and there are fewer than 2^32 of them: sums of them cannot overflow 128 bits.
        for rate in rates where rate.applies(to: night) {
            if rate.condition == .unreadable { return .unreadableRate }
            switch rate.adjustment {
            case .baseRate: base = (base ?? 0) + Int128(rate.value.tenThousandths)
            case .percentage: percentage += Int128(rate.value.tenThousandths)
            case .flatFee: flat += Int128(rate.value.tenThousandths)
            case .unreadable: return .unreadableRate
            }
        }
        guard let base else { return .noBaseRate }
        // Base and flat fees are in 1/10⁴, percentages in 1/10⁶: in 1/10¹⁰ everything is a whole number.
        let million: Int128 = 1_000_000
        let (surcharge, surchargeOverflow) = base.multipliedReportingOverflow(by: percentage)
        let (fixed, fixedOverflow) = (base + flat).multipliedReportingOverflow(by: million)
        let (sum, sumOverflow) = fixed.addingReportingOverflow(surcharge)
        guard !surchargeOverflow, !fixedOverflow, !sumOverflow, sum >= 0,
            let price = Int64(exactly: sum / (100 * Int128(FixedPoint.one) * million) * 100),
            price <= Self.maximumStoredPrice
        else { return .outOfRange }
        return .amount(price)
    }

    /// The price of every night of a stay for one room with that many guests.
    public func quote(_ stay: Stay, guests: Int) -> Result<RoomQuote, NoPrice> {
        var nights: [RoomQuote.Night] = []
        var total = Money(minorUnits: 0, currency: currency)
        for night in stay.nights {
            switch price(of: night) {
            case .amount(let amount):
                let factor = planType == .perPerson ? Int64(guests) : 1
                let storedChargeable = chargeable(night, of: amount)
                guard let unit = money(amount), let charged = unit.multiplied(by: factor),
                    let sum = total.adding(charged),
                    let chargeable = money(storedChargeable)?.multiplied(by: factor)
                else { return .failure(NoPrice(night: night, reason: .outOfRange)) }
                total = sum
                nights.append(
                    RoomQuote.Night(
                        night: night, storedPrice: amount, storedChargeable: storedChargeable, price: charged,
                        chargeable: chargeable))
            case .noBaseRate: return .failure(NoPrice(night: night, reason: .noBaseRate))
            case .outOfRange: return .failure(NoPrice(night: night, reason: .outOfRange))
            case .unreadableRate: return .failure(NoPrice(night: night, reason: .unreadableRate))
            }
        }
        return .success(RoomQuote(nights: nights, total: total))
    }

    private func money(_ wholeUnits: Int64) -> Money? {
        (0..<currency.exponent).reduce(Money(minorUnits: wholeUnits, currency: currency)) { money, _ in
            money?.multiplied(by: 10)
        }
    }
}

/// What one room costs for a stay.
public struct RoomQuote: Hashable, Sendable {
    /// One night's price.
    public struct Night: Hashable, Sendable {
        /// The night.
        public let night: Day
        /// What the PMS stores, in whole currency units: per person with a `perPerson` plan.
        public let storedPrice: Int64
        /// What of it counts when a cancellation is charged.
        public let storedChargeable: Int64
        /// What the room costs on that night, for all its guests.
        public let price: Money
        /// What of it counts when a cancellation is charged.
        public let chargeable: Money

        package init(night: Day, storedPrice: Int64, storedChargeable: Int64, price: Money, chargeable: Money) {
            self.night = night
            self.storedPrice = storedPrice
            self.storedChargeable = storedChargeable
            self.price = price
            self.chargeable = chargeable
        }
    }

    /// Every night of the stay, in order.
    public let nights: [Night]
    /// The sum of the nights.
    public let total: Money

    package init(nights: [Night], total: Money) {
        self.nights = nights
        self.total = total
    }
}

/// Why a stay has no price.
public struct NoPrice: Error, Hashable, Sendable {
    /// What its first night without one lacks.
    public enum Reason: String, Sendable {
        /// No base rate applies: the plan is not offered on that night.
        case noBaseRate = "no base rate applies"
        /// There are rates, but they make no sensible price.
        case outOfRange = "the price is below zero or more than the PMS can store"
        /// A rate that cannot be read applies.
        case unreadableRate = "a rate cannot be read"
    }

    /// The first night without one.
    public let night: Day
    /// What that night lacks.
    public let reason: Reason

    /// No price for a stay.
    public init(night: Day, reason: Reason) {
        self.night = night
        self.reason = reason
    }
}

// MARK: - Reading the PMS's columns

extension Rate.Condition {
    /// Reads `condition_type` and `condition_value`, a JSON array of lowercase English names such as
    /// `["friday", "saturday"]`.
    public init(type: String, value: String?) {
        let names = value.flatMap(Rate.Condition.names) ?? []
        switch type {
        case "no_restriction": self = .always
        case "day_of_week":
            let days = names.compactMap { Self.weekdays[$0] }
            self = days.isEmpty || days.count < names.count ? .unreadable : .weekdays(Set(days))
        case "month":
            let months = names.compactMap { Self.months[$0] }
            self = months.isEmpty || months.count < names.count ? .unreadable : .months(Set(months))
        default: self = .unreadable
        }
    }

    /// By their names: every booking reads its plans' conditions, and to write a name out costs more than all else in that.
    private static let weekdays = Dictionary(uniqueKeysWithValues: Day.Weekday.allCases.map { ("\($0)", $0) })
    private static let months = Dictionary(uniqueKeysWithValues: Day.Month.allCases.map { ("\($0)", $0) })

    private static func names(_ text: String) -> [String]? {
        guard case .array(let elements)? = try? JSONValue(parsing: Array(text.utf8)) else { return nil }
        let names = elements.compactMap(\.string)
        return names.count == elements.count ? names : nil
    }
}
