/// A number as JSON writes it, exactly: a schema's bounds are not to be missed by what a `Double` rounds away.
struct DecimalNumber: Sendable, Hashable {
    private let isNegative: Bool
    /// Without zeros at either end; empty for zero.
    private let digits: [UInt8]
    /// The power of ten of the last digit.
    private let exponent: Int

    /// Reads a number that was found sound: a minus, digits, perhaps a fraction, perhaps an exponent.
    init(_ text: ArraySlice<UInt8>) {
        var digits: [UInt8] = []
        var exponent = 0
        var isFraction = false
        var rest = text
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative { rest = rest.dropFirst() }
        while let byte = rest.first {
            rest = rest.dropFirst()
            switch byte {
            case UInt8(ascii: "."): isFraction = true
            case UInt8(ascii: "e"), UInt8(ascii: "E"):
                exponent += Self.integer(rest)
                rest = []
            default:
                if byte != 0x30 || !digits.isEmpty { digits.append(byte & 15) }
                if isFraction { exponent -= 1 }
            }
        }
        while digits.last == 0 {
            digits.removeLast()
            exponent += 1
        }
        self.digits = digits
        self.exponent = digits.isEmpty ? 0 : exponent
        self.isNegative = isNegative && !digits.isEmpty
    }

    private static func integer(_ text: ArraySlice<UInt8>) -> Int {
        let digits = text.drop { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }
        let magnitude = digits.reduce(0) { min($0 * 10 + Int($1 & 15), 1_000_000) }
        return text.first == UInt8(ascii: "-") ? -magnitude : magnitude
    }

    /// Whether there is no fraction, however it is written (JSON Schema 2020-12 validation §6.1.1).
    var isInteger: Bool { exponent >= 0 }

    /// Whether there is an integer that, times `divisor`, is this number.
    func isMultiple(of divisor: DecimalNumber) -> Bool {
        guard !digits.isEmpty else { return true }
        // Without zeros at its end no digits are divisible by ten.
        guard exponent >= divisor.exponent else { return false }
        let modulus = divisor.digits.reduce(UInt64(0)) { $0 * 10 + UInt64($1) }
        var rest = digits.reduce(UInt64(0)) { UInt64((UInt128($0) * 10 + UInt128($1)) % UInt128(modulus)) }
        for _ in 0..<exponent - divisor.exponent where rest != 0 {
            rest = UInt64(UInt128(rest) * 10 % UInt128(modulus))
        }
        return rest == 0
    }

    /// Whether it can be asked to divide: positive, at most 18 digits.
    var isDivisor: Bool { !isNegative && 1...18 ~= digits.count }
}

extension DecimalNumber: Comparable {
    static func < (left: DecimalNumber, right: DecimalNumber) -> Bool {
        guard left.isNegative == right.isNegative else { return left.isNegative }
        return left.isNegative ? right.isSmaller(than: left) : left.isSmaller(than: right)
    }

    /// Compares without the signs.
    private func isSmaller(than other: DecimalNumber) -> Bool {
        guard !digits.isEmpty, !other.digits.isEmpty else { return digits.isEmpty && !other.digits.isEmpty }
        let (size, otherSize) = (digits.count + exponent, other.digits.count + other.exponent)
        return size == otherSize ? digits.lexicographicallyPrecedes(other.digits) : size < otherSize
    }
}
