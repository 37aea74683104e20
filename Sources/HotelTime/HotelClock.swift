// FoundationEssentials knows no named time zones on Linux (Swift 6.3); Foundation brings its own zone data.
internal import Foundation
public import Stay

/// What day it is where a hotel stands.
public struct HotelClock: Sendable {
    private let zone: TimeZone

    /// In a program with the runtime linked in, Foundation knows its zones only if the object file that registers them
    /// is linked, and nothing but a format of numbers refers to that file (Swift 6.3). So one is used here, once.
    private static let hasZoneData = !0.0.formatted().isEmpty

    /// A clock for an IANA time zone, such as `Asia/Tokyo`; nil if there is no such zone.
    public init?(timeZone identifier: String) {
        guard Self.hasZoneData, let zone = TimeZone(identifier: identifier) else { return nil }
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
