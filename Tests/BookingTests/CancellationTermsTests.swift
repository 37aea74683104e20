import Booking
import HotelTime
import Stay
import Testing

@Suite("What cancelling costs")
struct CancellationTermsTests {
    private func fee(_ amount: Int64, free: Int, percentage: Int, arrival: String, today: String) -> Int64 {
        CancellationTerms(freeUntilDays: free, percentage: percentage)
            .fee(
                of: Money(minorUnits: amount, currency: .jpy), arrival: Day(arrival)!, today: Day(today)!
            ).minorUnits
    }

    @Test(
        "It is free until the end of the last free day, across months and leap days",
        arguments: [
            ("2027-03-02", "2027-02-27", Int64(0)), ("2027-03-02", "2027-02-28", 10_000),
            ("2028-03-02", "2028-02-28", 0), ("2028-03-02", "2028-02-29", 10_000), ("2028-03-02", "2028-03-01", 10_000),
            ("2027-01-02", "2026-12-30", 0), ("2027-01-02", "2026-12-31", 10_000), ("2027-01-02", "2027-01-02", 10_000),
        ])
    func lastFreeDay(arrival: String, today: String, expected: Int64) {
        #expect(fee(10_000, free: 3, percentage: 100, arrival: arrival, today: today) == expected)
    }

    @Test("With no free days before the arrival, the arrival's day itself is free")
    func untilArrival() {
        #expect(fee(10_000, free: 0, percentage: 100, arrival: "2027-05-01", today: "2027-05-01") == 0)
        #expect(fee(10_000, free: 0, percentage: 100, arrival: "2027-05-01", today: "2027-05-02") == 10_000)
    }

    @Test("The day is the hotel's: at one moment it is free in one time zone and not in another")
    func timeZones() throws {
        // 2027-05-28 14:59:59 UTC is a second before midnight in Tokyo.
        let midnight = Int64(1_811_516_400)
        func fee(_ zone: String, _ moment: Int64) throws -> Int64 {
            let today = try #require(HotelClock(timeZone: zone)?.today(at: moment))
            return self.fee(10_000, free: 3, percentage: 100, arrival: "2027-05-31", today: today.description)
        }
        #expect(try fee("Asia/Tokyo", midnight - 1) == 0)
        #expect(try fee("Asia/Tokyo", midnight) == 10_000)
        #expect(try fee("Europe/Berlin", midnight) == 0)
        #expect(try fee("Pacific/Kiritimati", midnight - 1) == 10_000)
    }

    @Test(
        "A part of the price is rounded down to the minor unit",
        arguments: [(Int64(9_999), 50, Int64(4_999)), (1, 99, 0), (101, 100, 101), (0, 100, 0), (12_345, 0, 0)])
    func part(amount: Int64, percentage: Int, expected: Int64) {
        #expect(
            fee(amount, free: 1, percentage: percentage, arrival: "2027-05-01", today: "2027-05-01") == expected)
    }

    @Test("Of a price those rates count that the PMS lets count")
    func chargeable() throws {
        func rate(_ adjustment: Rate.Adjustment, _ value: Int64, counts: Bool) -> Rate {
            Rate(
                adjustment: adjustment, value: FixedPoint(tenThousandths: value * 10_000), condition: .always,
                firstNight: .first, lastNight: nil, countsForCancellation: counts)
        }
        let stay = Stay(arrival: Day("2027-05-01")!, departure: Day("2027-05-02")!)!
        func quote(_ rates: [Rate], _ type: PlanType = .perPerson) throws -> RoomQuote.Night {
            try Pricing(rates: rates, planType: type).quote(stay, guests: 2).get().nights[0]
        }
        // Breakfast does not count.
        var night = try quote([rate(.baseRate, 7_200, counts: true), rate(.flatFee, 1_100, counts: false)])
        #expect((night.storedPrice, night.storedChargeable) == (8_300, 7_200))
        #expect((night.price.minorUnits, night.chargeable.minorUnits) == (16_600, 14_400))
        // Nothing counts without a base that does.
        night = try quote([rate(.baseRate, 7_200, counts: false), rate(.flatFee, 1_100, counts: true)])
        #expect(night.storedChargeable == 0)
        // A discount that does not count leaves no fee above the price.
        night = try quote([rate(.baseRate, 9_000, counts: true), rate(.flatFee, -500, counts: false)], .perRoom)
        #expect((night.storedPrice, night.storedChargeable) == (8_500, 8_500))
    }
}
