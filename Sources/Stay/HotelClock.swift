// FoundationEssentials knows no named time zones on Linux (Swift 6.3); Foundation brings its own zone data.
internal import Foundation

/// What day it is where a hotel stands.
public struct HotelClock: Sendable {
    private let zone: TimeZone

    /// A clock for an IANA time zone, such as `Asia/Tokyo`; nil if there is no such zone.
    public init?(timeZone identifier: String) {
        guard let zone = TimeZone(identifier: identifier) else { return nil }
        self.zone = zone
    }

    /// The time zone's IANA identifier.
    public var timeZone: String { zone.identifier }

    /// The day at an instant in seconds since 1970-01-01T00:00:00Z; nil outside `Day.first...Day.last`.
    public func today(at unixSeconds: Int64) -> Day? {
        let offset = zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(unixSeconds)))
        let (local, overflow) = unixSeconds.addingReportingOverflow(Int64(offset))
        guard !overflow else { return nil }
        let days = local / 86_400 - (local % 86_400 < 0 ? 1 : 0)
        return Day(daysSinceEpoch: Int(days))
    }
}
