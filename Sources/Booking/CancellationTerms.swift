public import Stay

/// What cancelling costs at a hotel.
public struct CancellationTerms: Hashable, Sendable {
    /// Cancelling is free until the end of the day, at the hotel, that lies so many days before the arrival; 0 is the day
    /// of arrival itself.
    public let freeUntilDays: Int
    /// What it costs after that, in per cent of the prices that count.
    public let percentage: Int

    /// Terms.
    ///
    /// - Parameters:
    ///   - freeUntilDays: at least 0.
    ///   - percentage: from 0 to 100.
    public init(freeUntilDays: Int, percentage: Int) {
        self.freeUntilDays = freeUntilDays
        self.percentage = percentage
    }

    /// The fee for cancelling a confirmed booking, rounded down to the minor unit.
    ///
    /// - Parameters:
    ///   - chargeable: the part of the agreed total whose rates count for a fee.
    ///   - arrival: the day on which the stay begins.
    ///   - today: the day it is at the hotel.
    public func fee(of chargeable: Money, arrival: Day, today: Day) -> Money {
        let isFree = today.distance(to: arrival) >= freeUntilDays
        // Per cent of an amount that a booking may come to: far from overflowing.
        let amount =
            isFree
            ? 0
            : chargeable.minorUnits / 100 * Int64(percentage)
                + chargeable.minorUnits % 100 * Int64(percentage) / 100
        return Money(minorUnits: amount, currency: chargeable.currency)
    }
}
