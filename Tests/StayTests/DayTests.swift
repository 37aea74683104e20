import Stay
import Testing

@Suite("Day")
struct DayTests {
    @Test(
        "A day is its distance from 1970-01-01",
        arguments: [
            ("1970-01-01", 0), ("1970-01-02", 1), ("1969-12-31", -1), ("2000-02-29", 11_016), ("2000-03-01", 11_017),
            ("2027-01-10", 20_828), ("0001-01-01", -719_162), ("9999-12-31", 2_932_896), ("1582-10-15", -141_427),
        ])
    func distance(text: String, days: Int32) throws {
        let day = try #require(Day(text))
        #expect(day.daysSinceEpoch == days)
        #expect(day.description == text)
        #expect(Day(daysSinceEpoch: Int(days)) == day)
    }

    @Test("Every day follows the day before it in the calendar, with its weekday")
    func succession() throws {
        var day = try #require(Day("1595-12-31"))
        var (year, month, dayOfMonth) = day.fields
        var weekday = day.weekday.rawValue
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        while year < 2405 {
            day = try #require(day.adding(1))
            weekday = weekday % 7 + 1
            dayOfMonth += 1
            if dayOfMonth > lengths[month - 1] + (month == 2 && Day.isLeap(year: year) ? 1 : 0) {
                (month, dayOfMonth) = (month + 1, 1)
            }
            if month > 12 { (year, month) = (year + 1, 1) }
            guard day.fields == (year, month, dayOfMonth), day.weekday.rawValue == weekday,
                Day(year: year, month: month, day: dayOfMonth) == day
            else {
                Issue.record("\(day.fields) is not \((year, month, dayOfMonth))")
                return
            }
        }
    }

    @Test("Leap years are those divisible by 4, not by 100 unless by 400")
    func leapYears() {
        #expect(Day("2028-02-29") != nil)
        #expect(Day("2000-02-29") != nil)
        #expect(Day("1900-02-29") == nil)
        #expect(Day("2027-02-29") == nil)
    }

    @Test(
        "Anything but ten characters of an existing day is refused",
        arguments: [
            "", "2027-1-10", "2027-01-1", "20270110", "2027/01/10", "2027-01-10 ", " 2027-01-10",
            "2027-01-10T00:00:00Z",
            "2027-00-10", "2027-13-01", "2027-01-00", "2027-01-32", "2027-04-31", "0000-01-01", "-027-01-10",
            "+027-01-10",
            "２０２７-01-10", "2027-01-1O", "10000-01-01", "2027−01−10",
        ])
    func refused(text: String) {
        #expect(Day(text) == nil)
    }

    @Test("Days beyond the calendar's ends do not exist")
    func ends() {
        #expect(Day.last.adding(1) == nil)
        #expect(Day.first.adding(-1) == nil)
        #expect(Day.first.adding(.max) == nil)
        #expect(Day.last.adding(.min) == nil)
        #expect(Day(daysSinceEpoch: .max) == nil)
        #expect(Day.last.advanced(by: 1000) == .last)
        #expect(Day.first.advanced(by: -1000) == .first)
        #expect(Day.first.weekday == .monday && Day.last.weekday == .friday)
    }

    @Test("The weekday and month are those of the calendar")
    func weekdayAndMonth() throws {
        let day = try #require(Day("2027-01-10"))
        #expect(day.weekday == .sunday)
        #expect(day.month == .january)
    }
}
