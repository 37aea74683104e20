internal import COpenSSL

extension PublicKey {
    /// Whether an RS256 signature is this RSA key's under a message: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3).
    public func isRS256(_ signature: Span<UInt8>, of message: Span<UInt8>) -> Bool {
        guard case .rsa(let bits) = kind, signature.count == (bits + 7) / 8 else { return false }
        return signature.withUnsafeBufferPointer { verifies($0, of: message) }
    }

    /// Whether an ES256 signature is this P-256 key's under a message: r and s, 32 bytes each (RFC 7518 §3.4). Numbers
    /// out of range, zero above all, are nobody's signature; OpenSSL sees to that.
    public func isES256(_ signature: Span<UInt8>, of message: Span<UInt8>) -> Bool {
        guard kind == .p256, signature.count == 64, let encoded = Self.derSignature(signature) else { return false }
        return encoded.withUnsafeBufferPointer { verifies($0, of: message) }
    }

    private func verifies(_ signature: UnsafeBufferPointer<UInt8>, of message: Span<UInt8>) -> Bool {
        // A bad signature leaves entries in OpenSSL's error queue for this thread.
        defer { discardOpenSSLErrors() }
        guard let context = EVP_MD_CTX_new() else { fatalError("out of memory") }
        defer { EVP_MD_CTX_free(context) }
        return message.withUnsafeBufferPointer { message in
            EVP_DigestVerifyInit_ex(context, nil, "SHA256", nil, nil, pointer, nil) == 1
                && EVP_DigestVerify(context, signature.baseAddress, signature.count, message.baseAddress, message.count)
                    == 1
        }
    }

    private static func derSignature(_ raw: Span<UInt8>) -> [UInt8]? {
        guard let signature = ECDSA_SIG_new() else { fatalError("out of memory") }
        defer { ECDSA_SIG_free(signature) }
        let (r, s) = raw.withUnsafeBufferPointer { bytes in
            (BN_bin2bn(bytes.baseAddress, 32, nil), BN_bin2bn(bytes.baseAddress.map { $0 + 32 }, 32, nil))
        }
        // The signature owns both from here on.
        guard ECDSA_SIG_set0(signature, r, s) == 1 else { return nil }
        // 2 × (tag, length, sign, 32 bytes) and the sequence around them.
        return [UInt8](unsafeUninitializedCapacity: 72) { target, count in
            var cursor = target.baseAddress
            count = max(0, Int(i2d_ECDSA_SIG(signature, &cursor)))
        }
    }
}
