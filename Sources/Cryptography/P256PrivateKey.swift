internal import COpenSSL

/// A private key on NIST P-256: what an issuer signs ES256 tokens with.
public struct P256PrivateKey: Sendable {
    private let key: PEMKey

    /// Makes a fresh key pair.
    public init() {
        guard let context = EVP_PKEY_CTX_new_from_name(nil, "EC", nil) else { fatalError("out of memory") }
        defer { EVP_PKEY_CTX_free(context) }
        var generated: OpaquePointer?
        let succeeded =
            EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_group_name(context, "P-256") == 1
            && EVP_PKEY_generate(context, &generated) == 1
        guard succeeded, let generated else { fatalError("P-256 is not available in the installed OpenSSL") }
        key = PEMKey(owning: generated)
    }

    /// Reads an unencrypted `PRIVATE KEY` block (PKCS #8) that holds a P-256 key.
    public init(pem: Span<UInt8>) throws(CryptographyError) {
        // A callback that gives no passphrase: OpenSSL's own would ask on the terminal.
        key = try PEMKey(pem: pem, expected: "not an unencrypted PEM private key") {
            PEM_read_bio_PrivateKey($0, nil, { _, _, _, _ in -1 }, nil)
        }
        guard publicKey.kind == .p256 else { throw CryptographyError("a private key, but not on the curve P-256") }
    }

    /// The private key as PKCS #8 PEM, unencrypted: write it to a file that only its owner can read.
    public var pem: String { key.pem { PEM_write_bio_PKCS8PrivateKey($0, $1, nil, nil, 0, nil, nil) } }

    /// The public half.
    public var publicKey: PublicKey { PublicKey(key) }

    /// The ES256 signature of a message: r and s, 32 bytes each, as RFC 7518 §3.4 wants it.
    public func signature(for message: Span<UInt8>) -> [UInt8] {
        let encoded = derSignature(for: message)
        return encoded.withUnsafeBufferPointer { buffer in
            var cursor = buffer.baseAddress
            guard let parsed = d2i_ECDSA_SIG(nil, &cursor, buffer.count) else { fatalError("OpenSSL's own signature") }
            defer { ECDSA_SIG_free(parsed) }
            return [UInt8](unsafeUninitializedCapacity: 64) { raw, count in
                BN_bn2binpad(ECDSA_SIG_get0_r(parsed), raw.baseAddress, 32)
                BN_bn2binpad(ECDSA_SIG_get0_s(parsed), raw.baseAddress.map { $0 + 32 }, 32)
                count = 64
            }
        }
    }

    /// The ES256 signature of a string's UTF-8 bytes, such as the signing input of a token.
    public func signature(for message: String) -> [UInt8] { signature(for: message.utf8.span) }

    private func derSignature(for message: Span<UInt8>) -> [UInt8] {
        guard let context = EVP_MD_CTX_new() else { fatalError("out of memory") }
        defer { EVP_MD_CTX_free(context) }
        return [UInt8](unsafeUninitializedCapacity: Int(EVP_PKEY_get_size(key.pointer))) { target, count in
            count = target.count
            let succeeded = message.withUnsafeBufferPointer { bytes in
                EVP_DigestSignInit_ex(context, nil, "SHA256", nil, nil, key.pointer, nil) == 1
                    && EVP_DigestSign(context, target.baseAddress, &count, bytes.baseAddress, bytes.count) == 1
            }
            precondition(succeeded, "OpenSSL could not sign with a P-256 key")
        }
    }
}
