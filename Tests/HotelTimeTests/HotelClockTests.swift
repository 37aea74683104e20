import HotelTime
import Stay
import Testing

@Suite("Hotel clocks")
struct HotelClockTests {
    @Test(
        "The day changes at the hotel's midnight",
        arguments: [
            ("Asia/Tokyo", 1_798_729_199, "2026-12-31"), ("Asia/Tokyo", 1_798_729_200, "2027-01-01"),
            ("UTC", 1_798_729_200, "2026-12-31"), ("America/New_York", 1_782_878_399, "2026-06-30"),
            // Summer time: midnight in New York is 04:00 UTC.
            ("America/New_York", 1_782_878_400, "2026-07-01"), ("Asia/Tokyo", -32_401, "1969-12-31"),
        ] as [(String, Int64, String)])
    func midnight(zone: String, instant: Int64, text: String) throws {
        let clock = try #require(HotelClock(timeZone: zone))
        #expect(clock.today(at: instant)?.description == text)
    }

    @Test("An unknown time zone has no clock, an instant beyond the calendar no day")
    func unknownZone() throws {
        #expect(HotelClock(timeZone: "Mars/Olympus") == nil)
        let clock = try #require(HotelClock(timeZone: "Asia/Tokyo"))
        #expect(clock.today(at: .max) == nil)
        #expect(clock.today(at: .min) == nil)
    }
}
