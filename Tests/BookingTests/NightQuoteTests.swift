import Booking
import Stay
import Testing

/// Prices against tables that were worked out by hand, beside each of which the working stands.
@Suite("What nights cost, against tables worked by hand")
struct PriceTableTests {
    private static func rate(
        _ adjustment: Rate.Adjustment, _ value: String, _ condition: Rate.Condition = .always,
        from first: String = "2020-01-01", to last: String? = nil
    ) -> Rate {
        Rate(
            adjustment: adjustment, value: FixedPoint(value)!, condition: condition, firstNight: Day(first)!,
            lastNight: last.map { Day($0)! })
    }

    struct Table: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let rates: [Rate]
        var type = PlanType.perRoom
        var currency = Currency.jpy
        var guests = 1
        var taxRate: String? = "0.1000"
        /// Night, price and tax in minor units; nil where there is none.
        let nights: [(night: String, price: Int64?, tax: Int64?)]
    }

    /// Own rates: 13,400 always; +18 % Friday and Saturday; −7.5 % in February and March; +650 on top from
    /// 27 February to 1 March, both included.
    private static let season: [Rate] = [
        rate(.baseRate, "13400"), rate(.percentage, "18", .weekdays([.friday, .saturday])),
        rate(.percentage, "-7.5", .months([.february, .march])),
        rate(.flatFee, "650", from: "2028-02-27", to: "2028-03-01"),
    ]

    static let tables: [Table] = [
        Table(
            testDescription: "weekdays, months, a leap day, an inclusive end", rates: season,
            nights: [
                // Friday, 28 January 2028: 13,400 + 2,412 = 15,812 → 15,800; ÷ 1.1 = 14,363.6 → 14,363 net.
                ("2028-01-28", 15_800, 1_437),
                // Monday, 31 January: 13,400; ÷ 1.1 = 12,181.8 → 12,181.
                ("2028-01-31", 13_400, 1_219),
                // Tuesday, 1 February: 13,400 − 1,005 = 12,395 → 12,300; ÷ 1.1 = 11,181.8 → 11,181.
                ("2028-02-01", 12_300, 1_119),
                // Friday, 4 February: +18 − 7.5 = +10.5 %: 13,400 + 1,407 = 14,807 → 14,800; 13,454.5 → 13,454.
                ("2028-02-04", 14_800, 1_346),
                // Sunday, 27 February: 12,395 + 650 = 13,045 → 13,000; 11,818.1 → 11,818.
                ("2028-02-27", 13_000, 1_182),
                // Tuesday, 29 February, which 2028 has: the same.
                ("2028-02-29", 13_000, 1_182),
                // Wednesday, 1 March, the fee's last night: the same.
                ("2028-03-01", 13_000, 1_182),
                // Thursday, 2 March: no fee any more.
                ("2028-03-02", 12_300, 1_119),
                // Saturday, 1 April: 13,400 + 2,412 = 15,812.
                ("2028-04-01", 15_800, 1_437),
            ]),
        Table(
            testDescription: "per person for three, the floor before the guests", rates: season, type: .perPerson,
            guests: 3,
            nights: [
                // 12,395 → 12,300 a person, 36,900 for three; tax 1,119 a person, 3,357.
                ("2028-02-01", 36_900, 3_357),
                // 15,812 → 15,800, 47,400; 1,437 → 4,311.
                ("2028-01-28", 47_400, 4_311),
            ]),
        Table(
            testDescription: "euros with cents in the rates, floored to whole hundreds of euros",
            rates: [
                rate(.baseRate, "249.99"), rate(.flatFee, "49.99", .weekdays([.sunday])),
                rate(.percentage, "40.01", .months([.december]), to: "2027-12-31"),
            ],
            currency: .eur, taxRate: "0.0700",
            nights: [
                // Monday: 249.99 → 200; net ⌊200 ÷ 1.07⌋ = 186, tax 14.
                ("2027-11-01", 20_000, 1_400),
                // Sunday: 299.98 → 200.
                ("2027-11-07", 20_000, 1_400),
                // Sunday in December: 249.99 + 100.020999 + 49.99 = 400.000999 → 400; ⌊373.8⌋ = 373, tax 27.
                ("2027-12-05", 40_000, 2_700),
                // Friday, 31 December 2027, the surcharge's last night: 350.010999 → 300; ⌊280.3⌋ = 280, tax 20.
                ("2027-12-31", 30_000, 2_000),
                // A Sunday in December of the next year, without it: 299.98 → 200.
                ("2028-12-03", 20_000, 1_400),
            ]),
        Table(
            testDescription: "an own rate that has ended, and one without end, at the ends of their dates",
            rates: [
                rate(.baseRate, "8000", from: "2027-05-01", to: "2027-05-03"),
                rate(.baseRate, "9100", from: "2027-05-05"),
            ],
            taxRate: nil,
            nights: [
                ("2027-04-30", nil, nil), ("2027-05-01", 8_000, nil), ("2027-05-03", 8_000, nil),
                ("2027-05-04", nil, nil), ("2027-05-05", 9_100, nil), ("9999-12-30", 9_100, nil),
            ]),
        Table(
            testDescription: "nothing to pay, tax of nothing, and no tax at all", rates: [rate(.baseRate, "0")],
            taxRate: "0", nights: [("2027-05-01", 0, 0)]),
    ]

    @Test("Prices and taxes are those of the table", arguments: tables)
    func follows(table: Table) throws {
        let pricing = Pricing(rates: table.rates, planType: table.type, currency: table.currency)
        for row in table.nights {
            let night = try #require(Day(row.night))
            let quote = NightQuote(
                pricing, night: night, guests: table.guests, taxRate: table.taxRate.flatMap { FixedPoint($0) })
            #expect(quote.price?.minorUnits == row.price, "\(row.night)")
            #expect(quote.tax?.minorUnits == row.tax, "\(row.night)")
            #expect(quote.price.map(\.currency) ?? table.currency == table.currency)
        }
    }

    @Test(
        "Whatever the rates, the price is what arithmetic in hundredths says, and the tax is what the PMS makes of it")
    func random() throws {
        var generator = SplitMix(seed: UInt64.random(in: 0 ... .max))
        let seed = generator.seed
        for _ in 0..<2000 {
            let base = Int64.random(in: 0...50_000, using: &generator)
            let percentages = (0..<Int.random(in: 0...3, using: &generator)).map { _ in
                Int64.random(in: -40...60, using: &generator)
            }
            let fees = (0..<Int.random(in: 0...2, using: &generator)).map { _ in
                Int64.random(in: 0...3_000, using: &generator)
            }
            let tax = Int64.random(in: 0...25, using: &generator)
            let guests = Int.random(in: 1...6, using: &generator)
            let isPerPerson = Bool.random(using: &generator)
            let currency: Currency = Bool.random(using: &generator) ? .jpy : .usd
            let rates =
                [Self.rate(.baseRate, "\(base)")] + percentages.map { Self.rate(.percentage, "\($0)") }
                + fees.map { Self.rate(.flatFee, "\($0)") }
            let hundredths = base * 100 + base * percentages.reduce(0, +) + fees.reduce(0, +) * 100
            let quote = NightQuote(
                Pricing(
                    rates: rates.shuffled(using: &generator), planType: isPerPerson ? .perPerson : .perRoom,
                    currency: currency),
                night: try #require(Day("2027-01-10")), guests: guests,
                taxRate: FixedPoint(tenThousandths: tax * 100))
            guard hundredths >= 0 else {
                #expect(quote.price == nil, "seed \(seed)")
                continue
            }
            let stored = hundredths / 10_000 * 100
            let factor = Int64(isPerPerson ? guests : 1) * (currency == .usd ? 100 : 1)
            #expect(quote.price?.minorUnits == stored * factor, "seed \(seed)")
            #expect(quote.tax?.minorUnits == (stored - stored * 100 / (100 + tax)) * factor, "seed \(seed)")
        }
    }
}

@Suite("Remembered prices")
struct PriceMemoryTests {
    private func key(_ version: UInt64, _ day: Int) -> PriceMemory.Key {
        PriceMemory.Key(planVersion: version, plan: PlanKey("1h")!, night: Day(daysSinceEpoch: day)!, guests: 1)
    }

    private func quote(_ value: String) -> NightQuote {
        let rate = Rate(
            adjustment: .baseRate, value: FixedPoint(value)!, condition: .always, firstNight: .first, lastNight: nil)
        return NightQuote(
            Pricing(rates: [rate], planType: .perRoom), night: Day("2027-01-10")!, guests: 1, taxRate: nil)
    }

    @Test("A price is made once, and again for another version of the plans")
    func once() {
        var memory = PriceMemory(bound: 10)
        var made = 0
        func ask(_ version: UInt64, _ value: String) -> Int64? {
            memory.quote(key(version, 1)) {
                made += 1
                return quote(value)
            }.price?.minorUnits
        }
        #expect(ask(1, "100") == 100)
        #expect(ask(1, "200") == 100)
        #expect(ask(2, "300") == 300)
        #expect(made == 2)
    }

    @Test("No more are remembered than the bound, and those asked for all the time stay")
    func bound() {
        var memory = PriceMemory(bound: 100)
        let price = quote("100")
        _ = memory.quote(key(1, 0)) { price }
        for day in 1...1000 {
            _ = memory.quote(key(1, day)) { price }
            _ = memory.quote(key(1, 0)) {
                Issue.record("forgotten on day \(day)")
                return price
            }
            #expect(memory.count <= 100)
        }
    }
}

/// Random numbers that a printed seed repeats (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
private struct SplitMix: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
