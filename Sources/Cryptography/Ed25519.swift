internal import COpenSSL

/// A private key for Ed25519 signatures (RFC 8032).
public struct Ed25519PrivateKey: Sendable {
    /// The number of bytes of the seed, which is what RFC 8032 calls the private key.
    public static let seedByteCount = 32

    private let key: PEMKey

    /// Makes a fresh key pair.
    public init() {
        guard let generated = Self.generate() else {
            fatalError("Ed25519 is not available in the installed OpenSSL")
        }
        key = PEMKey(owning: generated)
    }

    /// The key with the given 32-byte seed (RFC 8032 §5.1.5).
    public init(seed: Span<UInt8>) throws(CryptographyError) {
        let made = seed.withUnsafeBufferPointer {
            EVP_PKEY_new_raw_private_key_ex(nil, "ED25519", nil, $0.baseAddress, $0.count)
        }
        guard seed.count == Self.seedByteCount, let made else {
            discardOpenSSLErrors()
            throw CryptographyError("not the 32-byte seed of an Ed25519 key")
        }
        key = PEMKey(owning: made)
    }

    /// Reads an unencrypted `PRIVATE KEY` block (PKCS #8, RFC 8410) that holds an Ed25519 key.
    public init(pem: Span<UInt8>) throws(CryptographyError) {
        key = try PEMKey(pem: pem, expected: "not an unencrypted PEM private key") {
            PEM_read_bio_PrivateKey($0, nil, { _, _, _, _ in -1 }, nil)
        }
        guard EVP_PKEY_is_a(key.pointer, "ED25519") == 1 else {
            throw CryptographyError("a private key, but not for Ed25519")
        }
    }

    /// The private key as PKCS #8 PEM, unencrypted: write it to a file that only its owner can read.
    public var pem: String { key.pem { PEM_write_bio_PKCS8PrivateKey($0, $1, nil, nil, 0, nil, nil) } }

    /// The public half.
    public var publicKey: Ed25519PublicKey { Ed25519PublicKey(key) }

    /// The 64-byte signature of a message; the same for the same message each time.
    public func signature(for message: Span<UInt8>) -> [UInt8] {
        guard let context = EVP_MD_CTX_new() else { fatalError("out of memory") }
        defer { EVP_MD_CTX_free(context) }
        return [UInt8](unsafeUninitializedCapacity: Ed25519PublicKey.signatureByteCount) { target, count in
            count = target.count
            let succeeded = message.withUnsafeBufferPointer { bytes in
                EVP_DigestSignInit_ex(context, nil, nil, nil, nil, key.pointer, nil) == 1
                    && EVP_DigestSign(context, target.baseAddress, &count, bytes.baseAddress, bytes.count) == 1
            }
            precondition(succeeded, "OpenSSL could not sign with an Ed25519 key")
        }
    }

    private static func generate() -> OpaquePointer? {
        guard let context = EVP_PKEY_CTX_new_from_name(nil, "ED25519", nil) else { return nil }
        defer { EVP_PKEY_CTX_free(context) }
        var generated: OpaquePointer?
        guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_generate(context, &generated) == 1 else { return nil }
        return generated
    }
}

/// A public key for Ed25519 signatures (RFC 8032).
public struct Ed25519PublicKey: Sendable {
    /// The number of bytes of a public key.
    public static let byteCount = 32
    /// The number of bytes of a signature.
    public static let signatureByteCount = 64

    private let key: PEMKey

    /// Takes a key over from its 32 bytes (RFC 8032 §5.1.2).
    public init(bytes: Span<UInt8>) throws(CryptographyError) {
        let made = bytes.withUnsafeBufferPointer {
            EVP_PKEY_new_raw_public_key_ex(nil, "ED25519", nil, $0.baseAddress, $0.count)
        }
        guard bytes.count == Self.byteCount, let made else {
            discardOpenSSLErrors()
            throw CryptographyError("not the 32 bytes of an Ed25519 public key")
        }
        key = PEMKey(owning: made)
    }

    init(_ key: PEMKey) { self.key = key }

    /// The 32 bytes of the key.
    public var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Self.byteCount) { target, count in
            count = target.count
            let succeeded = EVP_PKEY_get_raw_public_key(key.pointer, target.baseAddress, &count)
            precondition(succeeded == 1, "OpenSSL could not give the bytes of an Ed25519 key")
        }
    }

    /// Whether a signature is this key's for the message.
    public func isValid(_ signature: Span<UInt8>, for message: Span<UInt8>) -> Bool {
        guard let context = EVP_MD_CTX_new() else { fatalError("out of memory") }
        defer {
            EVP_MD_CTX_free(context)
            discardOpenSSLErrors()
        }
        guard EVP_DigestVerifyInit_ex(context, nil, nil, nil, nil, key.pointer, nil) == 1 else { return false }
        return signature.withUnsafeBufferPointer { signature in
            message.withUnsafeBufferPointer { message in
                EVP_DigestVerify(
                    context, signature.baseAddress, signature.count, message.baseAddress, message.count) == 1
            }
        }
    }
}
