internal import Cryptography

/// What a request says its content hashes to (RFC 9530 §2): to be compared when the content is there.
public struct ContentDigest: Sendable, Equatable {
    private let sha256: [UInt8]?
    private let sha512: [UInt8]?

    /// Reads the field; `nil` when it is malformed or names neither `sha-256` nor `sha-512`. Other algorithms beside
    /// these are ignored, as the RFC wants it.
    public init?(_ field: Span<UInt8>) {
        guard let members = StructuredField.dictionary(field) else { return nil }
        func digest(_ name: String, _ count: Int) -> [UInt8]?? {
            guard let member = members.first(where: { $0.name == name })?.member else { return .some(nil) }
            guard case .item(let item) = member, case .bytes(let bytes) = item.value, bytes.count == count else {
                return nil
            }
            return bytes
        }
        guard let sha256 = digest("sha-256", 32), let sha512 = digest("sha-512", 64),
            sha256 != nil || sha512 != nil
        else { return nil }
        self.sha256 = sha256
        self.sha512 = sha512
    }

    /// Whether some content is what was meant, by every algorithm named that we know.
    public func matches(_ content: Span<UInt8>) -> Bool {
        if let sha256, !equalInConstantTime(SHA256.hash(content).bytes.span, sha256.span) { return false }
        if let sha512, !equalInConstantTime(SHA512.hash(content).span, sha512.span) { return false }
        return true
    }
}
