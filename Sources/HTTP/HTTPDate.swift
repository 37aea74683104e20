/// Dates as HTTP writes them: IMF-fixdate, always in GMT (RFC 9110 §5.6.7).
public enum HTTPDate {
    static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// The date as 29 bytes, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    /// - Parameter unixSeconds: seconds since 1970-01-01 00:00 UTC, within the years 1970…9999.
    public static func text(unixSeconds: Int64) -> String {
        var bytes: [UInt8] = []
        append(unixSeconds: unixSeconds, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends the date as 29 bytes.
    /// - Parameter unixSeconds: seconds since 1970-01-01 00:00 UTC; clamped to the years 1970…9999.
    public static func append(unixSeconds: Int64, to bytes: inout [UInt8]) {
        let seconds = Int(min(max(unixSeconds, 0), 253_402_300_799))
        let (day, time) = seconds.quotientAndRemainder(dividingBy: 86_400)
        let date = civilDate(daysSince1970: day)
        bytes.append(days[day % 7])
        bytes.append(", ")
        appendTwoDigits(date.day, to: &bytes)
        bytes.append(.space)
        bytes.append(months[date.month - 1])
        bytes.append(.space)
        appendTwoDigits(date.year / 100, to: &bytes)
        appendTwoDigits(date.year % 100, to: &bytes)
        bytes.append(.space)
        appendTwoDigits(time / 3600, to: &bytes)
        bytes.append(.colon)
        appendTwoDigits(time / 60 % 60, to: &bytes)
        bytes.append(.colon)
        appendTwoDigits(time % 60, to: &bytes)
        bytes.append(" GMT")
    }

    private static func appendTwoDigits(_ value: Int, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "0") + UInt8(value / 10))
        bytes.append(UInt8(ascii: "0") + UInt8(value % 10))
    }

    /// The Gregorian date, counted in 400-year cycles of 146,097 days and in years that begin in March, so that the
    /// leap day comes last.
    private static func civilDate(daysSince1970: Int) -> (year: Int, month: Int, day: Int) {
        // 719,468 days lie between 0000-03-01 and 1970-01-01.
        let (cycle, dayOfCycle) = (daysSince1970 + 719_468).quotientAndRemainder(dividingBy: 146_097)
        let yearOfCycle = (dayOfCycle - dayOfCycle / 1_460 + dayOfCycle / 36_524 - dayOfCycle / 146_096) / 365
        let dayOfYear = dayOfCycle - (365 * yearOfCycle + yearOfCycle / 4 - yearOfCycle / 100)
        // Months from March have 31, 30, 31, 30, 31 days, twice and a bit: 153 days in five months.
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (cycle * 400 + yearOfCycle + (month <= 2 ? 1 : 0), month, day)
    }
}
