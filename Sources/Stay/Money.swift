/// An amount in the smallest unit of its currency: 24,000 yen is 24000 JPY, 24 dollars is 2400 USD. Never floating
/// point.
public struct Money: Hashable, Sendable {
    /// The amount in minor units (yen, cents); negative for a discount or refund.
    public let minorUnits: Int64
    /// What the units are of.
    public let currency: Currency

    /// An amount of a currency's smallest units.
    @inlinable
    public init(minorUnits: Int64, currency: Currency) {
        self.minorUnits = minorUnits
        self.currency = currency
    }

    /// The sum; nil if the currencies differ or the sum does not fit.
    @inlinable
    public func adding(_ other: Money) -> Money? {
        guard currency == other.currency else { return nil }
        let (sum, overflow) = minorUnits.addingReportingOverflow(other.minorUnits)
        return overflow ? nil : Money(minorUnits: sum, currency: currency)
    }

    /// The amount taken that many times; nil if it does not fit.
    @inlinable
    public func multiplied(by factor: Int64) -> Money? {
        let (product, overflow) = minorUnits.multipliedReportingOverflow(by: factor)
        return overflow ? nil : Money(minorUnits: product, currency: currency)
    }

    /// The amount in major units, with as many decimals as the currency has: `24000`, `24.00`, `-0.05`.
    public var decimalText: String {
        let exponent = Int(currency.exponent)
        let digits = String(minorUnits.magnitude)
        let padded = String(repeating: "0", count: max(0, exponent + 1 - digits.count)) + digits
        let sign = minorUnits < 0 ? "-" : ""
        return exponent == 0 ? sign + padded : sign + padded.dropLast(exponent) + "." + padded.suffix(exponent)
    }
}

extension Money: CustomStringConvertible {
    /// The amount and its currency, such as `24000 JPY`.
    public var description: String { "\(decimalText) \(currency.code)" }
}
