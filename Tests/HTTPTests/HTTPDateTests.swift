import Testing

@testable import HTTP

@Suite struct HTTPDateTests {
    private static let now: Int64 = 1_800_000_000  // 2027-01-15

    @Test(
        "The three forms of RFC 9110 §5.6.7 are the same second",
        arguments: [
            "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
        ])
    func forms(text: String) {
        #expect(HTTPDate.unixSeconds(parsing: text, now: Self.now) == 784_111_777)
    }

    @Test("What we write is read again, every day of 1970 to 2199 and the last of all") func roundTrip() {
        for day in 0..<84_006 {
            let seconds = Int64(day) * 86_400 + Int64(day * 7919 % 86_400)
            #expect(HTTPDate.unixSeconds(parsing: HTTPDate.text(unixSeconds: seconds), now: Self.now) == seconds)
        }
        let last: Int64 = 253_402_300_799
        #expect(HTTPDate.unixSeconds(parsing: HTTPDate.text(unixSeconds: last), now: Self.now) == last)
    }

    @Test(
        "Dates of every month, with two digits for the day, before 1970, and leap seconds",
        arguments: [
            ("Wed Nov 16 08:49:37 1994", 784_975_777), ("Sat, 29 Feb 2020 00:00:00 GMT", 1_582_934_400),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1), ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
            ("Sat, 01 Jan 0000 00:00:00 GMT", -62_167_219_200), ("Mon, 01 Jan 1900 00:00:00 GMT", -2_208_988_800),
        ] as [(String, Int64)])
    func dates(text: String, seconds: Int64) {
        #expect(HTTPDate.unixSeconds(parsing: text, now: Self.now) == seconds)
    }

    @Test(
        "A year of two digits is the last that lies no more than 50 years ahead",
        arguments: [
            ("Friday, 15-Jan-27 00:00:00 GMT", 1_799_971_200), ("Thursday, 14-Jan-77 00:00:00 GMT", 3_377_808_000),
            ("Monday, 16-Jan-78 00:00:00 GMT", 253_756_800), ("Friday, 31-Dec-99 00:00:00 GMT", 946_598_400),
        ] as [(String, Int64)])
    func centuries(text: String, seconds: Int64) {
        #expect(HTTPDate.unixSeconds(parsing: text, now: Self.now) == seconds)
    }

    @Test(
        "What is no date is none",
        arguments: [
            "", " ", "Sun", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Son, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT", "Tue, 29 Feb 2022 00:00:00 GMT", "Thu, 29 Feb 1900 00:00:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 06 Nov 1994 -8:49:37 GMT",
            "Sun, 06  Nov 1994 08:49:37 GMT", " Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sunday, 06-Nov-1994 08:49:37 GMT", "Sunday, 06-Nov-94-1 08:49:37 GMT", "Sun, 06-Nov-94 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994", "Sun Nov  16 08:49:37 1994", "Sun, 06 Nov １９９４ 08:49:37 GMT",
            "Sun, 06 Nov 19941994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        ])
    func refused(text: String) { #expect(HTTPDate.unixSeconds(parsing: text, now: Self.now) == nil) }

    @Test("No clock and no century overflows", arguments: [Int64.min, -1, 0, 253_402_300_799, .max])
    func clocks(now: Int64) {
        #expect(HTTPDate.unixSeconds(parsing: "Sunday, 06-Nov-94 08:49:37 GMT", now: now) != nil)
        #expect(HTTPDate.unixSeconds(parsing: "Thursday, 29-Feb-00 00:00:00 GMT", now: now) != nil)
    }
}
