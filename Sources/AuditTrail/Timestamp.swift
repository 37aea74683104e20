internal import Glibc

/// Times as people write them, in milliseconds since 1970.
enum Timestamp {
    static let expected =
        "an RFC 3339 time such as 2026-11-21T10:00:00Z, a day, or how long ago, such as 90s, 15m, 2h, 7d"

    /// `2026-11-21T10:00:00.123Z`
    static func text(_ milliseconds: Int64) -> String {
        var (seconds, fraction) = milliseconds.quotientAndRemainder(dividingBy: 1000)
        if fraction < 0 { (seconds, fraction) = (seconds - 1, fraction + 1000) }
        var time = time_t(seconds)
        var parts = tm()
        guard gmtime_r(&time, &parts) != nil else { return String(milliseconds) }
        let day = [digits(parts.tm_year + 1900, 4), digits(parts.tm_mon + 1, 2), digits(parts.tm_mday, 2)]
        let clock = [digits(parts.tm_hour, 2), digits(parts.tm_min, 2), digits(parts.tm_sec, 2)]
        return "\(day.joined(separator: "-"))T\(clock.joined(separator: ":")).\(digits(Int32(fraction), 3))Z"
    }

    private static func digits(_ value: Int32, _ count: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, count - text.count)) + text
    }

    /// Reads an RFC 3339 time, a day (from its beginning, UTC), or a time ago.
    static func parse(_ text: String, now: Int64) -> Int64? {
        if let ago = span(text) { return now - ago }
        var scanner = Scanner(text: Array(text.utf8))
        guard let year = scanner.digits(4), scanner.take("-"), let month = scanner.digits(2), (1...12).contains(month),
            scanner.take("-"), let day = scanner.digits(2), (1...31).contains(day)
        else { return nil }
        var parts = tm()
        parts.tm_year = Int32(year - 1900)
        parts.tm_mon = Int32(month - 1)
        parts.tm_mday = Int32(day)
        if scanner.isAtEnd { return seconds(parts, day: day).map { $0 * 1000 } }
        guard scanner.take("T") || scanner.take("t") || scanner.take(" "), let hour = scanner.digits(2), hour < 24,
            scanner.take(":"), let minute = scanner.digits(2), minute < 60, scanner.take(":"),
            let second = scanner.digits(2), second < 61, let fraction = scanner.fraction(),
            let offset = scanner.offset(), scanner.isAtEnd
        else { return nil }
        parts.tm_hour = Int32(hour)
        parts.tm_min = Int32(minute)
        parts.tm_sec = Int32(second)
        return seconds(parts, day: day).map { ($0 - offset) * 1000 + fraction }
    }

    private static func seconds(_ parts: tm, day: Int64) -> Int64? {
        var parts = parts
        let month = parts.tm_mon
        let isLeapSecond = parts.tm_sec == 60
        let seconds = Int64(timegm(&parts))
        // `timegm` takes 31 April for 1 May.
        return parts.tm_mon == month && Int64(parts.tm_mday) == day || isLeapSecond ? seconds : nil
    }

    private static func span(_ text: String) -> Int64? {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400]
        guard let last = text.last, let unit = units[last], let count = Int64(text.dropLast()),
            (0...1_000_000_000).contains(count)
        else { return nil }
        return count * unit * 1000
    }

    private struct Scanner {
        let text: [UInt8]
        var position = 0

        var isAtEnd: Bool { position == text.count }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard position < text.count, text[position] == UInt8(ascii: character) else { return false }
            position += 1
            return true
        }

        mutating func digits(_ count: Int) -> Int64? {
            guard position + count <= text.count else { return nil }
            var value: Int64 = 0
            for byte in text[position..<position + count] {
                guard byte &- 48 < 10 else { return nil }
                value = value * 10 + Int64(byte - 48)
            }
            position += count
            return value
        }

        /// Milliseconds; 0 where there is no fraction.
        mutating func fraction() -> Int64? {
            guard take(".") else { return 0 }
            var value: Int64 = 0
            var count = 0
            while let digit = digits(1) {
                if count < 3 { value = value * 10 + digit }
                count += 1
            }
            for _ in 0..<max(0, 3 - count) { value *= 10 }
            return count > 0 ? value : nil
        }

        /// Seconds east of UTC.
        mutating func offset() -> Int64? {
            if take("Z") || take("z") { return 0 }
            let sign: Int64 = take("-") ? -1 : 1
            guard sign == -1 || take("+"), let hours = digits(2), hours < 24, take(":"), let minutes = digits(2),
                minutes < 60
            else { return nil }
            return sign * (hours * 3600 + minutes * 60)
        }
    }
}
