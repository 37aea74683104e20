/// A day of the calendar, sent and read as `date`.
///
/// A domain's own type conforms by declaring it, when it has these two members.
public protocol PostgresDate: PostgresCodable, PostgresElement {
    /// - Parameter days: days since 1970-01-01.
    init?(daysSinceEpoch days: Int)

    /// Days since 1970-01-01.
    var daysSinceEpoch: Int32 { get }
}

extension PostgresDate {
    public static var postgresType: PostgresType { .date }

    public static func canDecode(_ type: PostgresType) -> Bool { type == .date }

    /// What lies too far back for the server's count is sent as the day before all others.
    public func encode(into field: inout FieldWriter) {
        let (days, isTooEarly) = daysSinceEpoch.subtractingReportingOverflow(PostgresEpoch.days)
        field.write(isTooEarly ? .min : days)
    }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        let days: Int32 = try field.whole()
        guard days != .max, days != .min else { throw FieldError("is infinite") }
        guard let date = Self(daysSinceEpoch: Int(days) + Int(PostgresEpoch.days)) else {
            throw FieldError("is outside the calendar")
        }
        self = date
    }
}

/// An instant, to the microsecond, sent and read as `timestamptz`.
public struct Timestamp: PostgresCodable, PostgresElement, Hashable, Comparable {
    public var microsecondsSince1970: Int64

    public init(microsecondsSince1970: Int64) { self.microsecondsSince1970 = microsecondsSince1970 }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.microsecondsSince1970 < right.microsecondsSince1970
    }

    public static var postgresType: PostgresType { .timestamptz }

    public static func canDecode(_ type: PostgresType) -> Bool { type == .timestamptz }

    /// What lies too far back for the server's count is sent as the moment before all others.
    public func encode(into field: inout FieldWriter) {
        let (count, isTooEarly) = microsecondsSince1970.subtractingReportingOverflow(PostgresEpoch.microseconds)
        field.write(isTooEarly ? .min : count)
    }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        let microseconds: Int64 = try field.whole()
        guard microseconds != .max, microseconds != .min else { throw FieldError("is infinite") }
        // The server's last thirty years do not fit.
        let (sum, overflow) = microseconds.addingReportingOverflow(PostgresEpoch.microseconds)
        guard !overflow else { throw FieldError("is outside the calendar") }
        microsecondsSince1970 = sum
    }
}

/// A time of day without zone, to the microsecond, sent and read as `time`.
public struct TimeOfDay: PostgresCodable, PostgresElement, Hashable, Comparable {
    public var microsecondsSinceMidnight: Int64

    public init(microsecondsSinceMidnight: Int64) { self.microsecondsSinceMidnight = microsecondsSinceMidnight }

    public static func < (left: TimeOfDay, right: TimeOfDay) -> Bool {
        left.microsecondsSinceMidnight < right.microsecondsSinceMidnight
    }

    public static var postgresType: PostgresType { .time }

    public static func canDecode(_ type: PostgresType) -> Bool { type == .time }

    public func encode(into field: inout FieldWriter) { field.write(microsecondsSinceMidnight) }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        microsecondsSinceMidnight = try field.whole()
    }
}

/// PostgreSQL counts from 2000-01-01.
private enum PostgresEpoch {
    static let days: Int32 = 10_957
    static let microseconds: Int64 = 946_684_800_000_000
}
