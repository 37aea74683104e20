/// A decimal number without rounding, sent and read as `numeric`: `unscaled` × 10^-`scale`.
public struct ExactDecimal: Hashable, Comparable, Sendable {
    public let unscaled: Int128

    /// Digits after the decimal point.
    public let scale: Int

    /// - Parameter scale: from 0 to 38, more than that many digits do not fit.
    public init(unscaled: Int128, scale: Int = 0) {
        precondition((0...Self.maximumScale).contains(scale), "a scale of \(scale)")
        self.unscaled = unscaled
        self.scale = scale
    }

    public static let maximumScale = 38

    /// Reads digits with an optional sign and decimal point, such as `-12.50`.
    public init?(_ text: some StringProtocol) {
        var unscaled: Int128 = 0
        var scale: Int?
        var hasDigits = false
        let isNegative = text.utf8.first == UInt8(ascii: "-")
        for byte in text.utf8.dropFirst(isNegative ? 1 : 0) {
            if byte == UInt8(ascii: "."), scale == nil {
                scale = 0
                continue
            }
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte),
                let next = unscaled.appending(Int128(byte - UInt8(ascii: "0")), radix: 10)
            else { return nil }
            unscaled = next
            hasDigits = true
            scale = scale.map { $0 + 1 }
        }
        guard hasDigits, scale ?? 0 <= Self.maximumScale else { return nil }
        self.init(unscaled: isNegative ? -unscaled : unscaled, scale: scale ?? 0)
    }

    /// The number in units of 10^-`scale`, such as cents for a scale of 2; nil when that is not exact.
    public func units(scale wanted: Int) -> Int64? {
        if wanted >= scale {
            return unscaled.timesPowerOfTen(wanted - scale).flatMap { Int64(exactly: $0) }
        }
        let (quotient, remainder) = unscaled.quotientAndRemainder(dividingBy: .powerOfTen(scale - wanted))
        return remainder == 0 ? Int64(exactly: quotient) : nil
    }

    /// The same number without zeros at the end of its fraction; what equality and hashing go by.
    private var reduced: (unscaled: Int128, scale: Int) {
        var (unscaled, scale) = (unscaled, scale)
        while scale > 0, unscaled % 10 == 0 {
            unscaled /= 10
            scale -= 1
        }
        return (unscaled, scale)
    }

    public static func == (left: ExactDecimal, right: ExactDecimal) -> Bool { left.reduced == right.reduced }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(reduced.unscaled)
        hasher.combine(reduced.scale)
    }

    public static func < (left: ExactDecimal, right: ExactDecimal) -> Bool {
        let (leftWhole, leftRest) = left.unscaled.quotientAndRemainder(dividingBy: .powerOfTen(left.scale))
        let (rightWhole, rightRest) = right.unscaled.quotientAndRemainder(dividingBy: .powerOfTen(right.scale))
        if leftWhole != rightWhole { return leftWhole < rightWhole }
        // Each rest is below 10^its scale, so that both fit when brought to the larger scale.
        let scale = max(left.scale, right.scale)
        return leftRest * .powerOfTen(scale - left.scale) < rightRest * .powerOfTen(scale - right.scale)
    }
}

extension ExactDecimal: CustomStringConvertible {
    public var description: String {
        guard scale > 0 else { return String(unscaled) }
        let digits = String(unscaled.magnitude)
        let padded = String(repeating: "0", count: max(0, scale + 1 - digits.count)) + digits
        return (unscaled < 0 ? "-" : "") + padded.dropLast(scale) + "." + padded.suffix(scale)
    }
}

/// The binary format of numeric: number of digits to base 10,000, exponent of the first, sign, digits after the decimal
/// point, the digits (`numeric_send` in the server's source).
extension ExactDecimal: PostgresCodable, PostgresElement {
    private static let positive: UInt16 = 0
    private static let negative: UInt16 = 0x4000

    public static var postgresType: PostgresType { .numeric }

    public static func canDecode(_ type: PostgresType) -> Bool { type == .numeric }

    public func encode(into field: inout FieldWriter) {
        var rest = unscaled.magnitude
        var digits: [UInt16] = []
        // The last digit to base 10,000 holds what is left over of the fraction's decimal digits.
        let leftOver = scale % 4
        if leftOver > 0 {
            let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: UInt128(Int128.powerOfTen(leftOver)))
            digits.append(UInt16(remainder * UInt128(Int128.powerOfTen(4 - leftOver))))
            rest = quotient
        }
        while rest > 0 {
            let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: 10_000)
            digits.append(UInt16(remainder))
            rest = quotient
        }
        while digits.last == 0 { digits.removeLast() }
        field.write(Int16(digits.count))
        field.write(Int16(digits.isEmpty ? 0 : digits.count - 1 - (scale + 3) / 4))
        field.write(unscaled < 0 ? Self.negative : Self.positive)
        field.write(UInt16(scale))
        for digit in digits.reversed() { field.write(digit) }
    }

    public init(postgres field: Span<UInt8>, type: PostgresType) throws(FieldError) {
        let count = Int(try field.integer(at: 0, as: UInt16.self))
        let weight = Int(try field.integer(at: 2, as: Int16.self))
        let sign = try field.integer(at: 4, as: UInt16.self)
        let scale = Int(try field.integer(at: 6, as: UInt16.self))
        guard sign == Self.positive || sign == Self.negative else { throw FieldError("is not a finite number") }
        try field.expect(count: 8 + 2 * count)
        guard scale <= Self.maximumScale else { throw FieldError("has more decimals than fit") }
        var unscaled: Int128 = 0
        for index in 0..<count {
            let digit = Int128(try field.integer(at: 8 + 2 * index, as: UInt16.self))
            // The last digit may go beyond the scale, with zeros.
            let decimals = min(4, max(0, scale + 4 * (weight - index + 1)))
            guard let next = unscaled.appending(digit / .powerOfTen(4 - decimals), radix: .powerOfTen(decimals)) else {
                throw FieldError("has more digits than fit")
            }
            unscaled = next
        }
        // Zeros at the end are not sent.
        guard let padded = unscaled.timesPowerOfTen(max(0, scale + 4 * (weight - count + 1))) else {
            throw FieldError("has more digits than fit")
        }
        self.init(unscaled: sign == Self.negative ? -padded : padded, scale: scale)
    }
}

extension Int128 {
    /// 10^`exponent`, for exponents from 0 to 38.
    fileprivate static func powerOfTen(_ exponent: Int) -> Int128 {
        var power: Int128 = 1
        for _ in 0..<exponent { power *= 10 }
        return power
    }

    /// This × `radix` + `digit`; nil on overflow.
    fileprivate func appending(_ digit: Int128, radix: Int128) -> Int128? {
        let (product, overflow) = multipliedReportingOverflow(by: radix)
        let (sum, carry) = product.addingReportingOverflow(digit)
        return overflow || carry ? nil : sum
    }

    /// This × 10^`exponent`; nil on overflow.
    fileprivate func timesPowerOfTen(_ exponent: Int) -> Int128? {
        if self == 0 { return 0 }
        guard exponent <= 38 else { return nil }
        let (product, overflow) = multipliedReportingOverflow(by: .powerOfTen(exponent))
        return overflow ? nil : product
    }
}
