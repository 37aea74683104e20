// Ids are written in hexadecimal a dozen times for every request.

extension OutputSpan<UInt8> {
    /// Appends a number as 16 lower-case hexadecimal digits.
    @inlinable
    public mutating func append(hexadecimal value: UInt64) {
        append(eightDigitsOf: UInt32(truncatingIfNeeded: value &>> 32))
        append(eightDigitsOf: UInt32(truncatingIfNeeded: value))
    }

    /// Appends a number as 32 lower-case hexadecimal digits.
    @inlinable
    public mutating func append(hexadecimal value: UInt128) {
        append(hexadecimal: UInt64(truncatingIfNeeded: value >> 64))
        append(hexadecimal: UInt64(truncatingIfNeeded: value))
    }

    @inlinable
    mutating func append(eightDigitsOf value: UInt32) {
        // Each half byte comes to stand in a byte of its own.
        var digits = UInt64(value)
        digits = (digits | digits &<< 16) & 0x0000_FFFF_0000_FFFF
        digits = (digits | digits &<< 8) & 0x00FF_00FF_00FF_00FF
        digits = (digits | digits &<< 4) & 0x0F0F_0F0F_0F0F_0F0F
        // Six more than ten and above carries into the upper half; the letters stand 39 places behind the digits.
        let letters = (digits &+ 0x0606_0606_0606_0606) &>> 4 & 0x0101_0101_0101_0101
        let text = (digits &+ 0x3030_3030_3030_3030 &+ letters &* 39).bigEndian
        withUnsafeMutableBufferPointer { buffer, count in
            precondition(buffer.count - count >= 8, "no room for eight digits")
            UnsafeMutableRawBufferPointer(buffer).storeBytes(of: text, toByteOffset: count, as: UInt64.self)
            count += 8
        }
    }
}

extension String {
    /// A text that `body` writes, in UTF-8, into room for `capacity` bytes.
    ///
    /// It takes the place of an array made by `[UInt8](capacity:)`, which the compiler (6.3) leaves generic: that looks
    /// up the array's type at run time, a thousand instructions each time.
    @inlinable
    public init(capacity: Int, writing body: (inout OutputSpan<UInt8>) -> Void) {
        self.init(unsafeUninitializedCapacity: capacity) { buffer in
            var output = OutputSpan(buffer: buffer, initializedCount: 0)
            body(&output)
            return output.finalize(for: buffer)
        }
    }
}
