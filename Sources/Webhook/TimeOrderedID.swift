public import Booking

/// Names a delivery, an event, or a replay: a UUID that begins with its time (RFC 9562 §5.7, version 7).
public struct TimeOrderedID: Hashable, Sendable, LosslessStringConvertible {
    /// The UUID, for those who store it.
    package let uuid: BookingID

    package init(_ uuid: BookingID) { self.uuid = uuid }

    /// Reads the 36 characters of the usual form, in either case; nil for anything else. It need not begin with a time: ids that
    /// clients make up name nothing.
    public init?(_ text: String) {
        guard let uuid = BookingID(text) else { return nil }
        self.init(uuid)
    }

    /// No id of that moment or later comes before it. What is before 1970 is as 1970.
    public static func first(at moment: Instant) -> TimeOrderedID {
        let milliseconds = UInt64(clamping: moment.microseconds / 1000)
        return TimeOrderedID(BookingID(high: min(milliseconds, UInt64.max >> 16) << 16, low: 0))
    }

    /// None comes after it.
    public static let last = TimeOrderedID(BookingID(high: .max, low: .max))

    /// When it was made, to the millisecond.
    public var instant: Instant { Instant(microseconds: Int64(uuid.high >> 16) * 1000) }

    /// The id in lower case, as PostgreSQL writes it.
    public var description: String { uuid.description }
}

extension TimeOrderedID: Comparable {
    /// As PostgreSQL orders UUIDs, which is the order in which they were made, to the millisecond.
    public static func < (left: TimeOrderedID, right: TimeOrderedID) -> Bool {
        (left.uuid.high, left.uuid.low) < (right.uuid.high, right.uuid.low)
    }
}
