internal import COpenSSL

/// The hash function SHA-512 (FIPS 180-4).
public enum SHA512 {
    /// The number of bytes of every hash.
    public static let byteCount = 64

    /// Fetched once: looking the algorithm up by name costs more than hashing a short message.
    nonisolated(unsafe) private static let algorithm = EVP_MD_fetch(nil, "SHA512", nil)

    /// The 64 bytes of the hash of a message held in memory.
    public static func hash(_ message: Span<UInt8>) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: byteCount) { target, count in
            let succeeded = message.withUnsafeBytes { bytes in
                EVP_Digest(bytes.baseAddress, bytes.count, target.baseAddress, nil, algorithm, nil)
            }
            precondition(succeeded == 1, "SHA-512 is not available in the installed OpenSSL")
            count = byteCount
        }
    }
}
