extension OutputSpan<UInt8> {
    /// Appends a number as 16 lower-case hexadecimal digits.
    public mutating func append(hexadecimal value: UInt64) {
        let bytes = unsafeBitCast(value.bigEndian, to: SIMD8<UInt8>.self)
        var nibbles = SIMD16<UInt8>()
        nibbles.evenHalf = bytes &>> 4
        nibbles.oddHalf = bytes & 15
        let digits = (nibbles &+ 48).replacing(with: nibbles &+ 87, where: nibbles .> 9)
        // All at once: every request writes them a dozen times.
        withUnsafeMutableBufferPointer { buffer, count in
            precondition(buffer.count - count >= 16, "no room for 16 digits")
            UnsafeMutableRawBufferPointer(buffer).storeBytes(of: digits, toByteOffset: count, as: SIMD16<UInt8>.self)
            count += 16
        }
    }
}
