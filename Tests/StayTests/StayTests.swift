import Stay
import Testing

@Suite("Stay, money")
struct StayTests {
    private func day(_ text: String) -> Day { Day(text)! }

    @Test("A stay's nights run from the arrival to the day before the departure")
    func nights() throws {
        let stay = try #require(Stay(arrival: day("2026-12-30"), departure: day("2027-01-02")))
        #expect(stay.nightCount == 3)
        #expect(stay.nights.map(\.description) == ["2026-12-30", "2026-12-31", "2027-01-01"])
    }

    @Test("A stay has at least one night")
    func empty() {
        #expect(Stay(arrival: day("2027-01-10"), departure: day("2027-01-10")) == nil)
        #expect(Stay(arrival: day("2027-01-10"), departure: day("2027-01-09")) == nil)
    }

    @Test("Money of one currency adds up, with every overflow noticed")
    func sums() {
        let most = Money(minorUnits: .max, currency: .jpy)
        #expect(Money(minorUnits: 1, currency: .jpy).adding(Money(minorUnits: 2, currency: .jpy))?.minorUnits == 3)
        #expect(most.adding(Money(minorUnits: 1, currency: .jpy)) == nil)
        #expect(Money(minorUnits: 1, currency: .jpy).adding(Money(minorUnits: 1, currency: .eur)) == nil)
        #expect(most.multiplied(by: 2) == nil)
        #expect(Money(minorUnits: -3, currency: .jpy).multiplied(by: 4)?.minorUnits == -12)
    }

    @Test(
        "An amount is written with its currency's decimals",
        arguments: [
            (24_000, "JPY", "24000"), (0, "JPY", "0"), (2400, "EUR", "24.00"), (5, "USD", "0.05"), (-5, "USD", "-0.05"),
            (-12_345, "KWD", "-12.345"), (.min, "EUR", "-92233720368547758.08"),
        ] as [(Int64, String, String)])
    func decimals(amount: Int64, code: String, text: String) throws {
        let currency = try #require(Currency(code))
        #expect(Money(minorUnits: amount, currency: currency).decimalText == text)
        #expect(currency.code == code)
    }

    @Test("Only codes of ISO 4217 are currencies", arguments: ["", "JP", "jpy", "XXX", "JPYY", "円円円", "ABC"])
    func unknownCurrency(code: String) {
        #expect(Currency(code) == nil)
    }
}
