internal import COpenSSL

/// The hash function SHA-256 (FIPS 180-4).
public enum SHA256 {
    /// Fetched once: looking the algorithm up by name costs more than hashing a short message.
    nonisolated(unsafe) private static let algorithm = EVP_MD_fetch(nil, "SHA256", nil)

    /// The hash of a message held in memory.
    public static func hash(_ message: Span<UInt8>) -> Digest256 {
        Digest256 { target in
            let succeeded = message.withUnsafeBytes { bytes in
                EVP_Digest(bytes.baseAddress, bytes.count, target.baseAddress, nil, algorithm, nil)
            }
            precondition(succeeded == 1, "SHA-256 is not available in the installed OpenSSL")
        }
    }

    /// The hash of a string's UTF-8 bytes.
    public static func hash(_ message: String) -> Digest256 { hash(message.utf8.span) }
}
