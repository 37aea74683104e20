/// The nights a guest stays: from the arrival day to the departure day, which is not slept. At least one night.
public struct Stay: Hashable, Sendable {
    /// The day on which the first night begins.
    public let arrival: Day
    /// The day after the last night.
    public let departure: Day

    /// A stay of at least one night; nil if the departure is not after the arrival.
    @inlinable
    public init?(arrival: Day, departure: Day) {
        guard arrival < departure else { return nil }
        self.arrival = arrival
        self.departure = departure
    }

    /// The nights in order, each named by the day on which it begins.
    @inlinable
    public var nights: Range<Day> { arrival..<departure }

    /// How many nights, at least 1.
    @inlinable
    public var nightCount: Int { arrival.distance(to: departure) }
}
