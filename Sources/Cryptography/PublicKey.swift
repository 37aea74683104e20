internal import COpenSSL

/// A public key read from PEM, and what kind of key it is.
public struct PublicKey: Sendable, Equatable {
    /// The family a public key belongs to, with the property that decides its strength.
    public enum Kind: Sendable, Equatable, CustomStringConvertible {
        /// RSA with a modulus of so many bits.
        case rsa(bits: Int)
        /// An elliptic curve over NIST P-256, the only curve ES256 allows (RFC 7518 §3.4).
        case p256
        /// Anything else, by OpenSSL's name.
        case other(String)

        /// The kind in words, such as "RSA with 2048 bits".
        public var description: String {
            switch self {
            case .rsa(let bits): "RSA with \(bits) bits"
            case .p256: "elliptic curve P-256"
            case .other(let name): name
            }
        }
    }

    private let key: PEMKey

    /// OpenSSL's key, alive as long as this one.
    var pointer: OpaquePointer { key.pointer }

    /// Reads a `PUBLIC KEY` block (SubjectPublicKeyInfo). A private key or a certificate is refused.
    public init(pem: Span<UInt8>) throws(CryptographyError) {
        key = try PEMKey(pem: pem, expected: "not a PEM public key") { PEM_read_bio_PUBKEY($0, nil, nil, nil) }
    }

    init(_ key: PEMKey) { self.key = key }

    /// What kind of key it is.
    public var kind: Kind {
        if EVP_PKEY_get_base_id(key.pointer) == EVP_PKEY_RSA {
            return .rsa(bits: Int(EVP_PKEY_get_bits(key.pointer)))
        }
        let group = utf8Parameter("group")
        if EVP_PKEY_get_base_id(key.pointer) == EVP_PKEY_EC, group == "prime256v1" { return .p256 }
        let type = EVP_PKEY_get0_type_name(key.pointer).map { String(cString: $0) } ?? "unknown"
        return .other(group.map { "\(type) \($0)" } ?? type)
    }

    /// The key as one PEM block and nothing else, however the file it came from was decorated.
    public var pem: String { key.pem { PEM_write_bio_PUBKEY($0, $1) } }

    /// Two keys are equal when they are the same numbers.
    public static func == (left: PublicKey, right: PublicKey) -> Bool { EVP_PKEY_eq(left.pointer, right.pointer) == 1 }

    private func utf8Parameter(_ name: String) -> String? {
        var value = [UInt8](repeating: 0, count: 80)
        var count = 0
        let found = value.withUnsafeMutableBytes { buffer in
            EVP_PKEY_get_utf8_string_param(
                key.pointer, name, buffer.bindMemory(to: CChar.self).baseAddress, buffer.count, &count)
        }
        guard found == 1 else {
            discardOpenSSLErrors()
            return nil
        }
        return String(decoding: value.prefix(count), as: UTF8.self)
    }
}
