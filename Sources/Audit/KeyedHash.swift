internal import Cryptography

/// Stands for personal data and tokens in records: whoever has the key finds a value again, nobody else can tell what
/// it was, or try values out.
public struct KeyedHash: ~Copyable {
    /// What every hash begins with.
    public static let prefix = "hmac:"
    /// The fewest bytes a key may have.
    public static let minimumKeyByteCount = 32
    /// 128 bits: values that happen to share a hash are out of reach.
    private static let byteCount = 16
    /// The bytes of a hash's text.
    static let textByteCount = prefix.utf8.count + 2 * byteCount

    private var code: HMACSHA256

    /// Takes the installation's key for this purpose.
    ///
    /// - Throws: `AuditError` when it is too short.
    public static func make(key: Span<UInt8>) throws(AuditError) -> KeyedHash {
        guard key.count >= minimumKeyByteCount else { throw AuditError(.unusableKey) }
        return KeyedHash(code: HMACSHA256(key: key))
    }

    private init(code: consuming HMACSHA256) { self.code = code }

    /// What stands in records for a value: `hmac:` and 32 hexadecimal digits.
    public mutating func text(for value: Span<UInt8>) -> String {
        Self.prefix + Hexadecimal.encode(code.authenticationCode(for: value).bytes.prefix(Self.byteCount))
    }

    /// What stands in records for a value.
    public mutating func text(for value: String) -> String { text(for: value.utf8.span) }
}
