extension HTTPDate {
    /// The longest date of any form: `Wednesday, 06-Nov-94 08:49:37 GMT`.
    private static let longestByteCount = 33

    private static let longDays = [
        "Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday",
    ]

    /// Reads a date in any of the three forms that a recipient must accept (RFC 9110 §5.6.7): IMF-fixdate, and the obsolete
    /// ones of RFC 850 and of asctime. Whether the day of the week is the date's is not looked at.
    ///
    /// - Parameters:
    ///   - text: the date, nothing around it.
    ///   - now: Unix seconds; tells the century of a year with two digits, which is never more than 50 years ahead.
    /// - Returns: seconds since 1970-01-01 00:00 UTC, negative before; nil when it is no date.
    public static func unixSeconds(parsing text: String, now: Int64) -> Int64? {
        guard text.utf8.count <= longestByteCount else { return nil }
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        switch words.count {
        // Sun, 06 Nov 1994 08:49:37 GMT
        case 6 where words[5] == "GMT":
            guard isDay(words[0], of: days, end: ",") else { return nil }
            return seconds(year: number(words[3], 4), month: words[2], day: number(words[1], 2), time: words[4])
        // Sunday, 06-Nov-94 08:49:37 GMT
        case 4 where words[3] == "GMT":
            let date = words[1].split(separator: "-", omittingEmptySubsequences: false)
            guard isDay(words[0], of: longDays, end: ","), date.count == 3, let year = number(date[2], 2) else {
                return nil
            }
            return seconds(inCenturyOf: now) {
                seconds(year: $0 + year, month: date[1], day: number(date[0], 2), time: words[2])
            }
        // Sun Nov  6 08:49:37 1994
        case 6 where words[2].isEmpty:
            guard isDay(words[0], of: days, end: "") else { return nil }
            return seconds(year: number(words[5], 4), month: words[1], day: number(words[3], 1), time: words[4])
        // Sun Nov 16 08:49:37 1994
        case 5:
            guard isDay(words[0], of: days, end: "") else { return nil }
            return seconds(year: number(words[4], 4), month: words[1], day: number(words[2], 2), time: words[3])
        default: return nil
        }
    }

    private static func isDay(_ word: Substring, of names: [String], end: String) -> Bool {
        names.contains { word == $0 + end }
    }

    /// A number of exactly so many digits.
    private static func number(_ word: Substring, _ digits: Int) -> Int? {
        guard word.utf8.count == digits, word.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
        return Int(word)
    }

    /// A date whose century is not said: of those that lie no more than 50 years ahead, the last.
    ///
    /// - Parameter date: gives it for a century, such as 1900.
    private static func seconds(inCenturyOf now: Int64, _ date: (Int) -> Int64?) -> Int64? {
        // Years of 365.2425 days; who is off by a day here is off at a date 50 years ahead.
        let latest = min(max(now, 0), 253_402_300_799) + 50 * 31_556_952
        let year = 1970 + Int(latest / 31_556_952)
        for century in [year / 100 * 100, year / 100 * 100 - 100] {
            if let seconds = date(century), seconds <= latest { return seconds }
        }
        return nil
    }

    private static func seconds(year: Int?, month: Substring, day: Int?, time: Substring) -> Int64? {
        let clock = time.split(separator: ":", omittingEmptySubsequences: false)
        guard let year, let day, let month = months.firstIndex(where: { $0 == month }), clock.count == 3,
            let hour = number(clock[0], 2), let minute = number(clock[1], 2), let second = number(clock[2], 2),
            // 60 is a leap second: the next minute's first.
            hour < 24, minute < 60, second <= 60
        else { return nil }
        let first = daysSince1970(year: year, monthsFromJanuary: month)
        guard 1...(daysSince1970(year: year, monthsFromJanuary: month + 1) - first) ~= day else { return nil }
        return Int64(first + day - 1) * 86_400 + Int64(hour * 3600 + minute * 60 + second)
    }

    /// The first of a month; the 13th is the next year's first. Counted as `civilDate` does, in years that begin in March.
    private static func daysSince1970(year: Int, monthsFromJanuary: Int) -> Int {
        let dayOfYear = (153 * ((monthsFromJanuary + 10) % 12) + 2) / 5
        // A whole cycle of 400 years more, so that nothing is negative in the year 0.
        let year = (monthsFromJanuary < 2 ? year - 1 : year) + 400
        return year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468 - 146_097
    }
}
