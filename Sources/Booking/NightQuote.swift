public import Stay

/// What one room costs on one night of a plan, and the tax in it.
public struct NightQuote: Hashable, Sendable {
    /// For all guests of the room, tax included; nil where the plan has no price on that night.
    public let price: Money?
    /// The rate of the tax: 0.1000 is ten per cent. Nil where the PMS names none.
    public let taxRate: FixedPoint?
    /// How much of the price is tax.
    public let tax: Money?

    /// The quote of a night.
    ///
    /// The tax is what the PMS makes of it: per stored price, net is ⌊price ÷ (1 + rate)⌋ in whole units of the
    /// currency, and the rest is tax.
    ///
    /// - Parameter taxRate: not below zero; nil where there is none.
    public init(_ pricing: Pricing, night: Day, guests: Int, taxRate: FixedPoint?) {
        self.taxRate = taxRate
        guard let stay = Stay(arrival: night, departure: night.advanced(by: 1)),
            case .success(let quote) = pricing.quote(stay, guests: guests), let night = quote.nights.first
        else {
            price = nil
            tax = nil
            return
        }
        price = night.price
        tax = taxRate.flatMap { rate in
            guard rate.tenThousandths >= 0 else { return nil }
            let one = Int128(FixedPoint.one)
            let net = Int128(night.storedPrice) * one / (one + Int128(rate.tenThousandths))
            // The price is the stored one as often as there are guests to pay it, in minor units: so is the tax.
            guard night.storedPrice > 0 else { return Money(minorUnits: 0, currency: night.price.currency) }
            let factor = night.price.minorUnits / night.storedPrice
            return Money(minorUnits: night.storedPrice - Int64(net), currency: night.price.currency)
                .multiplied(by: factor)
        }
    }
}

/// Prices of nights that were asked for before: no more than a bound, those not asked for lately giving way.
///
/// A key names the version of the plans, which no two hotels share, so a price is never told once the plans have
/// changed; what was remembered by an old version gives way with time.
public struct PriceMemory: Sendable {
    /// What a price depends on.
    public struct Key: Hashable, Sendable {
        public let planVersion: UInt64
        public let plan: PlanKey
        public let night: Day
        public let guests: Int

        public init(planVersion: UInt64, plan: PlanKey, night: Day, guests: Int) {
            self.planVersion = planVersion
            self.plan = plan
            self.night = night
            self.guests = guests
        }
    }

    private let generationBound: Int
    private var young: [Key: NightQuote] = [:]
    private var old: [Key: NightQuote] = [:]

    /// - Parameter bound: prices that are remembered at most.
    public init(bound: Int) { generationBound = max(1, bound / 2) }

    /// How many are remembered.
    public var count: Int { young.count + old.count }

    /// The price that is remembered, or else made.
    public mutating func quote(_ key: Key, _ make: () -> NightQuote) -> NightQuote {
        if let quote = young[key] { return quote }
        // Two generations: what is asked for again gets into the young one, and the rest goes with the old one.
        let quote = old.removeValue(forKey: key) ?? make()
        if young.count >= generationBound {
            old = young
            young = [:]
        }
        young[key] = quote
        return quote
    }
}
