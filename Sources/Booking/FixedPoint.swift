/// A decimal number with four decimals, exactly: what rates and percentages are calculated with, never floating point.
public struct FixedPoint: Hashable, Sendable {
    /// The number times 10,000.
    public let tenThousandths: Int64

    /// How many of `tenThousandths` make one.
    public static let one: Int64 = 10_000

    /// A number by its ten-thousandths.
    public init(tenThousandths: Int64) {
        self.tenThousandths = tenThousandths
    }

    /// Reads a decimal as PostgreSQL writes a NUMERIC: `-18.25`, `9800`, `0.5000`.
    ///
    /// Nil for anything else (exponents, `NaN`, `Infinity`, blanks), for more than four significant decimals, and for
    /// numbers that do not fit.
    public init?(_ text: some StringProtocol) {
        var bytes = text.utf8[...]
        let isNegative = bytes.first == UInt8(ascii: "-")
        if isNegative { bytes = bytes.dropFirst() }
        let parts = bytes.split(separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first, !whole.isEmpty, parts.count == 1 || !parts[1].isEmpty else { return nil }
        let decimals = parts.count == 2 ? Array(parts[1]) : []
        guard decimals.dropFirst(4).allSatisfy({ $0 == UInt8(ascii: "0") }) else { return nil }
        let padded = decimals.prefix(4) + Array(repeating: UInt8(ascii: "0"), count: max(0, 4 - decimals.count))
        var value: Int64 = 0
        for byte in Array(whole) + padded {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let digit = Int64(byte - UInt8(ascii: "0"))
            let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let (next, overflow) =
                isNegative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            guard !tooLarge, !overflow else { return nil }
            value = next
        }
        tenThousandths = value
    }
}

extension FixedPoint {
    /// The number as PostgreSQL reads a NUMERIC, with four decimals.
    public var decimalText: String {
        let digits = String(tenThousandths.magnitude)
        let padded = String(repeating: "0", count: max(0, 5 - digits.count)) + digits
        return (tenThousandths < 0 ? "-" : "") + padded.dropLast(4) + "." + padded.suffix(4)
    }
}
