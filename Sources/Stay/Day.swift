/// A date of the proleptic Gregorian calendar, between 0001-01-01 and 9999-12-31: a night is named by the day on which
/// it begins.
public struct Day: Hashable, Sendable {
    /// Days since 1970-01-01, which is day 0.
    public let daysSinceEpoch: Int32

    /// The earliest day, 0001-01-01.
    public static let first = Day(unchecked: -719_162)
    /// The last day that four digits can write, 9999-12-31.
    public static let last = Day(unchecked: 2_932_896)

    /// A day by its distance from 1970-01-01; nil outside `first...last`.
    @inlinable
    public init?(daysSinceEpoch days: Int) {
        guard days >= -719_162, days <= 2_932_896 else { return nil }
        daysSinceEpoch = Int32(truncatingIfNeeded: days)
    }

    /// A day by its calendar fields; nil if there is no such day.
    public init?(year: Int, month: Int, day: Int) {
        guard (1...9999).contains(year), (1...12).contains(month), day >= 1,
            day <= Day.length(ofMonth: month, year: year)
        else { return nil }
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years start in March, so that the leap day is
        // the last of its year and months have a linear formula; eras are the 400-year cycles of 146,097 days.
        let marchYear = month <= 2 ? year - 1 : year
        let era = marchYear / 400
        let yearOfEra = marchYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        daysSinceEpoch = Int32(era * 146_097 + dayOfEra - 719_468)
    }

    @inlinable
    init(unchecked days: Int32) {
        daysSinceEpoch = days
    }
}

// MARK: - Calendar

extension Day {
    /// A day of the week, numbered as ISO 8601 does: Monday is 1.
    public enum Weekday: UInt8, Sendable, CaseIterable {
        case monday = 1
        case tuesday
        case wednesday
        case thursday
        case friday
        case saturday
        case sunday
    }

    /// A month of the year; January is 1.
    public enum Month: UInt8, Sendable, CaseIterable {
        case january = 1
        case february
        case march
        case april
        case may
        case june
        case july
        case august
        case september
        case october
        case november
        case december
    }

    /// The day of the week.
    public var weekday: Weekday {
        // 1970-01-01 was a Thursday; the offset makes the sum positive for every day and 0 on Mondays.
        let index = (Int(daysSinceEpoch) + 3 + 7 * 102_738) % 7
        return Weekday(rawValue: UInt8(index + 1))!
    }

    /// The month of the year.
    public var month: Month { Month(rawValue: UInt8(fields.month))! }

    /// Year, month (1…12) and day of the month (1…31).
    public var fields: (year: Int, month: Int, day: Int) {
        let shifted = Int(daysSinceEpoch) + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
    }

    /// Whether the year has a 29 February.
    public static func isLeap(year: Int) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    static func length(ofMonth month: Int, year: Int) -> Int {
        switch month {
        case 2: isLeap(year: year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// The day that many days later (earlier, if negative); nil outside `first...last`.
    @inlinable
    public func adding(_ days: Int) -> Day? {
        let (sum, overflow) = Int(daysSinceEpoch).addingReportingOverflow(days)
        return overflow ? nil : Day(daysSinceEpoch: sum)
    }
}

// MARK: - Order: a `Range<Day>` is a collection of days

extension Day: Comparable, Strideable {
    /// Whether one day comes before the other.
    @inlinable
    public static func < (left: Day, right: Day) -> Bool { left.daysSinceEpoch < right.daysSinceEpoch }

    /// The number of days to the other day, negative if it is earlier.
    @inlinable
    public func distance(to other: Day) -> Int { Int(other.daysSinceEpoch) - Int(daysSinceEpoch) }

    /// The day that many days later, at most `last` and at least `first`; `adding` says when it would be outside.
    @inlinable
    public func advanced(by days: Int) -> Day {
        adding(days) ?? (days < 0 ? .first : .last)
    }
}

// MARK: - Text: exactly YYYY-MM-DD (RFC 3339 full-date)

extension Day: CustomStringConvertible, LosslessStringConvertible {
    /// Reads exactly ten characters `YYYY-MM-DD`; nil for anything else and for days that do not exist.
    public init?(_ text: String) {
        self.init(parsing: text.utf8)
    }

    /// Reads exactly ten ASCII bytes `YYYY-MM-DD`; nil for anything else and for days that do not exist.
    public init?(parsing text: some Collection<UInt8>) {
        var numbers = (0, 0, 0)
        var position = 0
        for byte in text {
            switch position {
            case 4, 7:
                guard byte == UInt8(ascii: "-") else { return nil }
            case 0..<10:
                guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
                let digit = Int(byte - UInt8(ascii: "0"))
                if position < 4 {
                    numbers.0 = numbers.0 * 10 + digit
                } else if position < 7 {
                    numbers.1 = numbers.1 * 10 + digit
                } else {
                    numbers.2 = numbers.2 * 10 + digit
                }
            default: return nil
            }
            position += 1
        }
        guard position == 10 else { return nil }
        self.init(year: numbers.0, month: numbers.1, day: numbers.2)
    }

    /// Appends the ten ASCII bytes `YYYY-MM-DD`.
    public func append(to bytes: inout [UInt8]) {
        let (year, month, day) = fields
        func digit(_ value: Int) -> UInt8 { UInt8(truncatingIfNeeded: value % 10) + UInt8(ascii: "0") }
        bytes.append(digit(year / 1000))
        bytes.append(digit(year / 100))
        bytes.append(digit(year / 10))
        bytes.append(digit(year))
        bytes.append(UInt8(ascii: "-"))
        bytes.append(digit(month / 10))
        bytes.append(digit(month))
        bytes.append(UInt8(ascii: "-"))
        bytes.append(digit(day / 10))
        bytes.append(digit(day))
    }

    /// The day as `YYYY-MM-DD`.
    public var description: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(10)
        append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
