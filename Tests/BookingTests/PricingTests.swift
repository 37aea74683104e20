import Booking
import Stay
import Testing

@Suite("Pricing")
struct PricingTests {
    private func day(_ text: String) -> Day { Day(text)! }

    private func rate(
        _ adjustment: Rate.Adjustment, _ value: String, _ condition: Rate.Condition = .always,
        from first: String = "2020-01-01", to last: String? = nil
    ) -> Rate {
        Rate(
            adjustment: adjustment, value: FixedPoint(value)!, condition: condition, firstNight: day(first),
            lastNight: last.map(day))
    }

    private func price(_ rates: [Rate], on night: String = "2027-01-10") -> NightPrice {
        Pricing(rates: rates, planType: .perRoom).price(of: day(night))
    }

    struct Example: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let base: [String]
        var percentages: [String] = []
        var flatFees: [String] = []
        let price: NightPrice
    }

    // Worked out by hand: floor₁₀₀(base + base × Σ% / 100 + Σ flat).
    static let examples: [Example] = [
        Example(testDescription: "base only", base: ["9800"], price: .amount(9800)),
        Example(testDescription: "base floored to a hundred", base: ["9899.99"], price: .amount(9800)),
        Example(
            testDescription: "a Saturday at +20 %: 11,760", base: ["9800"], percentages: ["20"], price: .amount(11700)),
        Example(
            testDescription: "percentages add up and do not compound: 9800 + 32.5 % = 12,985", base: ["9800"],
            percentages: ["20", "12.5"], price: .amount(12900)),
        Example(
            testDescription: "decimals of a percentage count: 9800 − 18.25 % = 8,011.5", base: ["9800"],
            percentages: ["-18.25"], price: .amount(8000)),
        Example(
            testDescription: "exact where floating point is not: 10000 + 11 % = 11,100", base: ["10000"],
            percentages: ["11.00"], price: .amount(11100)),
        Example(
            testDescription: "exact where floating point is not: 1000 + 10 % + 10 % = 1,200", base: ["1000"],
            percentages: ["10", "10"], price: .amount(1200)),
        Example(
            testDescription: "flat fees carry no percentage: 7200 + 1080 + 1100 = 9,380", base: ["7200"],
            percentages: ["15"], flatFees: ["1100"], price: .amount(9300)),
        Example(
            testDescription: "a fee completes the hundred: 9850 + 50 = 9,900", base: ["9850"], flatFees: ["50"],
            price: .amount(9900)),
        Example(
            testDescription: "one yen short of the hundred: 9,899.99", base: ["9850"], flatFees: ["49.99"],
            price: .amount(9800)),
        Example(
            testDescription: "a negative fee: 8400 − 500", base: ["8400"], flatFees: ["-500"], price: .amount(7900)),
        Example(
            testDescription: "several base rates add up: 5000 + 3000, + 10 %", base: ["5000", "3000"],
            percentages: ["10"], price: .amount(8800)),
        Example(testDescription: "free is a price", base: ["0"], price: .amount(0)),
        Example(testDescription: "−100 % is free", base: ["9800"], percentages: ["-100"], price: .amount(0)),
        Example(
            testDescription: "less than nothing is refused", base: ["100"], flatFees: ["-100.01"], price: .outOfRange),
        Example(
            testDescription: "no base rate is no price, whatever else applies", base: [], percentages: ["20"],
            flatFees: ["500"], price: .noBaseRate),
        Example(
            testDescription: "the largest price that the PMS can store", base: ["99999999.99"],
            price: .amount(99_999_900)),
        Example(
            testDescription: "a price that the PMS cannot store is refused", base: ["99999999.99"], flatFees: ["0.01"],
            price: .outOfRange),
        Example(
            testDescription: "the largest NUMERIC(10,2) at its largest percentage is refused", base: ["99999999.99"],
            percentages: ["99999999.99"], price: .outOfRange),
        Example(
            testDescription: "more than fits is refused", base: ["900000000000000"], percentages: ["900000000000000"],
            price: .outOfRange),
    ]

    @Test("The price of a night follows the PMS's rule", arguments: examples)
    func rule(example: Example) {
        let rates =
            example.base.map { rate(.baseRate, $0) } + example.percentages.map { rate(.percentage, $0) }
            + example.flatFees.map { rate(.flatFee, $0) }
        #expect(price(rates) == example.price)
        #expect(price(rates.reversed()) == example.price)
    }

    @Test("A plan without rates of its own takes the global plan's, never both")
    func ownOrGlobal() {
        let global = [rate(.baseRate, "9800"), rate(.flatFee, "300")]
        let own = [rate(.baseRate, "8000")]
        let night = day("2027-01-10")
        func price(own: [Rate], global: [Rate]) -> NightPrice {
            Pricing(rates: Pricing.ratesInForce(own: own, global: global), planType: .perRoom).price(of: night)
        }
        #expect(price(own: own, global: global) == .amount(8000))
        #expect(price(own: [], global: global) == .amount(10_100))
        let expired = [rate(.baseRate, "8000", to: "2026-12-31")]
        #expect(price(own: expired, global: global) == .noBaseRate)
        #expect(price(own: [], global: []) == .noBaseRate)
    }

    @Test(
        "A rate applies on its first and last night, and without an end for ever",
        arguments: [
            ("2026-12-31", false), ("2027-01-01", true), ("2027-01-31", true), ("2027-02-01", false),
        ])
    func dates(night: String, applies: Bool) {
        let rates = [rate(.baseRate, "5000", from: "2027-01-01", to: "2027-01-31")]
        #expect(price(rates, on: night) == (applies ? .amount(5000) : .noBaseRate))
        #expect(price([rate(.baseRate, "5000")], on: "9999-12-31") == .amount(5000))
    }

    @Test("Weekday and month conditions choose nights by the day on which they begin")
    func conditions() {
        let rates = [
            rate(.baseRate, "10000"),
            rate(.percentage, "20", Rate.Condition(type: "day_of_week", value: #"["friday", "saturday"]"#)),
            rate(.flatFee, "500", Rate.Condition(type: "month", value: #"["august"]"#)),
        ]
        #expect(price(rates, on: "2027-07-29") == .amount(10_000))  // a Thursday
        #expect(price(rates, on: "2027-07-30") == .amount(12_000))  // a Friday
        #expect(price(rates, on: "2027-07-31") == .amount(12_000))  // a Saturday
        #expect(price(rates, on: "2027-08-01") == .amount(10_500))  // a Sunday in August
        #expect(price(rates, on: "2027-08-06") == .amount(12_500))  // a Friday in August
    }

    @Test(
        "A condition that cannot be read whole leaves no price on the nights of its dates, and on no other",
        arguments: [
            ("day_of_week", nil), ("day_of_week", ""), ("day_of_week", "[]"), ("day_of_week", #"["Friday"]"#),
            ("day_of_week", #"["friday", "august"]"#), ("day_of_week", #"["friday", 5]"#), ("day_of_week", "friday"),
            ("month", #"["friday"]"#), ("month", #"{"august": true}"#), ("season", #"["august"]"#),
        ] as [(String, String?)])
    func unreadable(type: String, value: String?) {
        let condition = Rate.Condition(type: type, value: value)
        #expect(condition == .unreadable)
        let rates = [rate(.baseRate, "9800"), rate(.percentage, "20", condition, from: "2027-01-10", to: "2027-01-11")]
        #expect(price(rates, on: "2027-01-09") == .amount(9800))
        #expect(price(rates, on: "2027-01-10") == .unreadableRate)
        #expect(price(rates, on: "2027-01-11") == .unreadableRate)
        #expect(price(rates, on: "2027-01-12") == .amount(9800))
    }

    @Test("A rate of which nobody knows what it does leaves no price, whatever else applies")
    func unreadableRate() throws {
        for rates in [
            [rate(.unreadable, "0")], [rate(.baseRate, "9800"), rate(.unreadable, "0")],
            [rate(.unreadable, "0"), rate(.flatFee, "100"), rate(.baseRate, "9800")],
        ] { #expect(price(rates) == .unreadableRate) }
        let stay = try #require(Stay(arrival: day("2027-01-10"), departure: day("2027-01-14")))
        let rates = [rate(.baseRate, "9800"), rate(.unreadable, "0", from: "2027-01-13")]
        #expect(
            Pricing(rates: rates, planType: .perRoom).quote(stay, guests: 1)
                == .failure(NoPrice(night: day("2027-01-13"), reason: .unreadableRate)))
    }

    @Test("No restriction needs no value")
    func noRestriction() {
        #expect(Rate.Condition(type: "no_restriction", value: nil) == .always)
        #expect(Rate.Condition(type: "no_restriction", value: "anything") == .always)
    }

    @Test("A plan per person is stored per person and charged for every guest")
    func perPerson() throws {
        let rates = [rate(.baseRate, "7250"), rate(.percentage, "10", .weekdays([.sunday]))]
        let pricing = Pricing(rates: rates, planType: .perPerson)
        let stay = try #require(Stay(arrival: day("2027-01-10"), departure: day("2027-01-12")))
        let quote = try pricing.quote(stay, guests: 3).get()
        #expect(quote.nights.map(\.storedPrice) == [7900, 7200])
        #expect(quote.nights.map(\.price.minorUnits) == [23_700, 21_600])
        #expect(quote.total == Money(minorUnits: 45_300, currency: .jpy))
    }

    @Test("A plan per room costs the same for any number of guests")
    func perRoom() throws {
        let pricing = Pricing(rates: [rate(.baseRate, "9800")], planType: .perRoom)
        let stay = try #require(Stay(arrival: day("2027-01-10"), departure: day("2027-01-13")))
        #expect(try pricing.quote(stay, guests: 4).get().total.minorUnits == 29_400)
    }

    @Test("A stay with one night without a price has none, and the night is named")
    func noPrice() throws {
        let rates = [rate(.baseRate, "9800", to: "2027-01-11")]
        let pricing = Pricing(rates: rates, planType: .perRoom)
        let stay = try #require(Stay(arrival: day("2027-01-10"), departure: day("2027-01-14")))
        #expect(pricing.quote(stay, guests: 1) == .failure(NoPrice(night: day("2027-01-12"), reason: .noBaseRate)))
    }

    @Test("A currency with cents is priced in whole units and answered in cents")
    func cents() throws {
        let pricing = Pricing(rates: [rate(.baseRate, "250")], planType: .perRoom, currency: .eur)
        let stay = try #require(Stay(arrival: day("2027-01-10"), departure: day("2027-01-11")))
        #expect(try pricing.quote(stay, guests: 1).get().total == Money(minorUnits: 20_000, currency: .eur))
    }
}

@Suite("Fixed point")
struct FixedPointTests {
    @Test(
        "Decimals are read as PostgreSQL writes them",
        arguments: [
            ("0", 0), ("9800", 98_000_000), ("12.5", 125_000), ("-18.25", -182_500), ("0.0001", 1), ("-0.01", -100),
            ("1.50000000", 15_000), ("922337203685477.5807", .max), ("-922337203685477.5808", .min), ("007", 70_000),
        ] as [(String, Int64)])
    func read(text: String, tenThousandths: Int64) {
        #expect(FixedPoint(text)?.tenThousandths == tenThousandths)
    }

    @Test(
        "Anything else is refused",
        arguments: [
            "", "-", ".", ".5", "5.", "1e3", "NaN", "Infinity", "+1", " 1", "1 ", "1,5", "1.2.3", "--1", "0.00001", "１",
            "922337203685477.5808", "99999999999999999999",
        ])
    func refused(text: String) {
        #expect(FixedPoint(text) == nil)
    }
}

@Suite("Plan key")
struct PlanKeyTests {
    @Test(
        "A key names a global plan, a hotel's plan, or both", arguments: ["1h5", "h169", "3h", "2147483647h2147483647"])
    func roundTrip(text: String) {
        #expect(PlanKey(text)?.description == text)
    }

    @Test("The ids are those on either side of the h")
    func ids() {
        #expect(PlanKey("1h5") == PlanKey(globalPlan: 1, hotelPlan: 5))
        #expect(PlanKey("h169")?.globalPlan == nil)
        #expect(PlanKey("3h")?.hotelPlan == nil)
        #expect(PlanKey(globalPlan: nil, hotelPlan: nil) == nil)
        #expect(PlanKey(globalPlan: 0, hotelPlan: 1) == nil)
    }

    @Test(
        "Anything else is no key",
        arguments: [
            "", "h", "1", "hh", "1h5h", "01h5", "1h05", "+1h", "-1h", "1H5", " 1h5", "1h5 ", "0h", "2147483648h",
        ])
    func refused(text: String) {
        #expect(PlanKey(text) == nil)
    }
}
