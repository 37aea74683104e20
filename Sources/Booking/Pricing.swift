internal import JSONText
public import Stay

/// A rate of a plan, as a row of the PMS's `plans_rates` says it.
public struct Rate: Hashable, Sendable {
    /// What the value adds to the price of a night.
    public enum Adjustment: String, Sendable {
        /// An amount, of which percentages are taken.
        case baseRate = "base_rate"
        /// That many per cent of the base, negative for a discount.
        case percentage
        /// An amount on top, of which no percentages are taken.
        case flatFee = "flat_fee"
    }

    /// On which nights of its dates the rate applies.
    public enum Condition: Hashable, Sendable {
        /// On every night.
        case always
        /// On nights that begin on these days of the week.
        case weekdays(Set<Day.Weekday>)
        /// On nights that begin in these months.
        case months(Set<Day.Month>)
        /// On no night: a condition that cannot be read must not change a price.
        case never
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

    /// A rate.
    public init(adjustment: Adjustment, value: FixedPoint, condition: Condition, firstNight: Day, lastNight: Day?) {
        self.adjustment = adjustment
        self.value = value
        self.condition = condition
        self.firstNight = firstNight
        self.lastNight = lastNight
    }

    /// Whether the rate applies to the night.
    public func applies(to night: Day) -> Bool {
        guard night >= firstNight, night <= lastNight ?? .last else { return false }
        return switch condition {
        case .always: true
        case .weekdays(let weekdays): weekdays.contains(night.weekday)
        case .months(let months): months.contains(night.month)
        case .never: false
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
    /// The rates make no sensible price: less than nothing, or more than fits.
    case outOfRange
}

/// The PMS's rule for the price of a night: floor₁₀₀(base + Σ base × percentage + Σ flat fees).
///
/// Where the rule leaves room, this is how it is read:
/// - Several base rates that apply to one night add up, as the PMS sums rows of a kind; percentages are of that sum and
///   do not compound.
/// - A hotel's plan has "its own rates" as soon as it has any row, even one for other dates: then the global plan's rates
///   never count for it.
/// - The floor is the mathematical one, to hundreds of the whole currency unit, once, after adding everything. With a
///   `perPerson` plan it is applied to one person's price, which is then multiplied by the number of guests.
/// - A base rate of zero is a price; no base rate is none. A price below zero is refused.
public struct Pricing: Hashable, Sendable {
    private let rates: [Rate]
    /// Whether the prices are for the room or for each guest.
    public let planType: PlanType
    /// The currency of the prices.
    public let currency: Currency

    /// The pricing of a plan: the hotel plan's own rates if it has any, otherwise its global plan's.
    public init(ownRates: [Rate], globalRates: [Rate], planType: PlanType, currency: Currency = .jpy) {
        rates = ownRates.isEmpty ? globalRates : ownRates
        self.planType = planType
        self.currency = currency
    }

    /// The price of one night as the PMS stores it.
    public func price(of night: Day) -> NightPrice {
        var base: Int128?
        var percentage: Int128 = 0
        var flat: Int128 = 0
        // Each value is at most 2^63 and there are fewer than 2^32 of them: sums of them cannot overflow 128 bits.
        for rate in rates where rate.applies(to: night) {
            switch rate.adjustment {
            case .baseRate: base = (base ?? 0) + Int128(rate.value.tenThousandths)
            case .percentage: percentage += Int128(rate.value.tenThousandths)
            case .flatFee: flat += Int128(rate.value.tenThousandths)
            }
        }
        guard let base else { return .noBaseRate }
        // Base and flat fees are in 1/10⁴, percentages in 1/10⁶: in 1/10¹⁰ everything is a whole number.
        let million: Int128 = 1_000_000
        let (surcharge, surchargeOverflow) = base.multipliedReportingOverflow(by: percentage)
        let (fixed, fixedOverflow) = (base + flat).multipliedReportingOverflow(by: million)
        let (sum, sumOverflow) = fixed.addingReportingOverflow(surcharge)
        guard !surchargeOverflow, !fixedOverflow, !sumOverflow, sum >= 0,
            let price = Int64(exactly: sum / (100 * Int128(FixedPoint.one) * million) * 100)
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
                guard let unit = money(amount), let charged = unit.multiplied(by: factor),
                    let sum = total.adding(charged)
                else { return .failure(NoPrice(night: night, isOutOfRange: true)) }
                total = sum
                nights.append(RoomQuote.Night(night: night, storedPrice: amount, price: charged))
            case .noBaseRate: return .failure(NoPrice(night: night, isOutOfRange: false))
            case .outOfRange: return .failure(NoPrice(night: night, isOutOfRange: true))
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
        /// What the room costs on that night, for all its guests.
        public let price: Money
    }

    /// Every night of the stay, in order.
    public let nights: [Night]
    /// The sum of the nights.
    public let total: Money
}

/// Why a stay has no price.
public struct NoPrice: Error, Hashable, Sendable {
    /// The first night without one.
    public let night: Day
    /// Whether there are rates but they make no sensible price; otherwise no base rate applies.
    public let isOutOfRange: Bool

    /// No price for a stay.
    public init(night: Day, isOutOfRange: Bool) {
        self.night = night
        self.isOutOfRange = isOutOfRange
    }
}

// MARK: - Reading the PMS's columns

extension Rate.Condition {
    /// Reads `condition_type` and `condition_value`, a JSON array of lowercase English names such as
    /// `["friday", "saturday"]`. What cannot be read whole applies never.
    public init(type: String, value: String?) {
        let names = value.flatMap(Rate.Condition.names) ?? []
        switch type {
        case "no_restriction": self = .always
        case "day_of_week":
            let days = names.compactMap { name in Day.Weekday.allCases.first { "\($0)" == name } }
            self = days.isEmpty || days.count < names.count ? .never : .weekdays(Set(days))
        case "month":
            let months = names.compactMap { name in Day.Month.allCases.first { "\($0)" == name } }
            self = months.isEmpty || months.count < names.count ? .never : .months(Set(months))
        default: self = .never
        }
    }

    private static func names(_ text: String) -> [String]? {
        guard case .array(let elements)? = try? JSONValue(parsing: Array(text.utf8)) else { return nil }
        let names = elements.compactMap(\.string)
        return names.count == elements.count ? names : nil
    }
}
