internal import COpenSSL

/// Random bytes fit for keys, from OpenSSL's generator, which the kernel seeds.
public enum SecureRandom {
    /// `count` fresh random bytes.
    public static func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            // A process without randomness must not go on: whatever it made next would be guessable.
            precondition(RAND_bytes(buffer.baseAddress, Int32(count)) == 1, "no random bytes to be had")
            initializedCount = count
        }
    }
}
