/// SipHash-2-4 (Aumasson and Bernstein, 2012): a hash whose collisions nobody can bring about without the key.
struct SipHash {
    private let key: (UInt64, UInt64)

    init(key: (UInt64, UInt64)) { self.key = key }

    func callAsFunction(_ message: [UInt8]) -> UInt64 {
        message.withUnsafeBytes { bytes in
            var state = State(key)
            var offset = 0
            while offset + 8 <= bytes.count {
                state.absorb(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
                offset += 8
            }
            var last = UInt64(truncatingIfNeeded: bytes.count) << 56
            for index in offset..<bytes.count { last |= UInt64(bytes[index]) << UInt64(8 * (index - offset)) }
            state.absorb(last)
            return state.finish()
        }
    }

    /// The hash of the message that is these eight bytes, in the order of a little-endian number, and one more.
    func callAsFunction(_ word: UInt64, _ byte: UInt8) -> UInt64 {
        var state = State(key)
        state.absorb(word)
        state.absorb(9 << 56 | UInt64(byte))
        return state.finish()
    }

    private struct State {
        private var a, b, c, d: UInt64

        @inline(__always)
        init(_ key: (UInt64, UInt64)) {
            a = key.0 ^ 0x736f_6d65_7073_6575
            b = key.1 ^ 0x646f_7261_6e64_6f6d
            c = key.0 ^ 0x6c79_6765_6e65_7261
            d = key.1 ^ 0x7465_6462_7974_6573
        }

        @inline(__always)
        mutating func absorb(_ word: UInt64) {
            d ^= word
            round()
            round()
            a ^= word
        }

        @inline(__always)
        mutating func finish() -> UInt64 {
            c ^= 0xff
            for _ in 0..<4 { round() }
            return a ^ b ^ c ^ d
        }

        @inline(__always)
        private mutating func round() {
            a &+= b
            b = b << 13 | b >> 51
            b ^= a
            a = a << 32 | a >> 32
            c &+= d
            d = d << 16 | d >> 48
            d ^= c
            a &+= d
            d = d << 21 | d >> 43
            d ^= a
            c &+= b
            b = b << 17 | b >> 47
            b ^= c
            c = c << 32 | c >> 32
        }
    }
}
