internal import COpenSSL

/// AES-256 in Galois/Counter Mode (NIST SP 800-38D): keeps a secret secret, and says whether it is still the one that was sealed.
///
/// Each sealing takes a fresh random nonce of 96 bits, so one key should seal no more than 2³² texts (§8.3). What is sealed
/// is bound to the data it is authenticated with: opened in another's place, it is refused.
public struct AES256GCM: Sendable {
    /// The number of bytes of a key.
    public static let keyByteCount = 32
    /// The number of bytes of a nonce.
    static let nonceByteCount = 12
    /// The number of bytes of a tag.
    static let tagByteCount = 16

    private let key: [UInt8]

    /// - Throws: when the key has another length than 32 bytes.
    public init(key: Span<UInt8>) throws(CryptographyError) {
        guard key.count == Self.keyByteCount else { throw CryptographyError("an AES-256 key has 32 bytes") }
        self.key = key.withUnsafeBufferPointer { Array($0) }
    }

    /// Seals a text.
    ///
    /// - Parameter data: what the text belongs to; the same is needed to open it.
    /// - Returns: nonce, encrypted text and tag, one after the other.
    public func seal(_ text: Span<UInt8>, authenticating data: Span<UInt8>) -> [UInt8] {
        seal(text, authenticating: data, nonce: SecureRandom.bytes(Self.nonceByteCount))
    }

    /// Opens what `seal` gave.
    ///
    /// - Throws: when key, data, or anything of what was sealed is another.
    public func open(_ sealed: Span<UInt8>, authenticating data: Span<UInt8>) throws(CryptographyError) -> [UInt8] {
        let overhead = Self.nonceByteCount + Self.tagByteCount
        guard sealed.count >= overhead else { throw CryptographyError("shorter than anything sealed") }
        let count = sealed.count - overhead
        let nonce = sealed.extracting(first: Self.nonceByteCount)
        let text = sealed.extracting(Self.nonceByteCount..<Self.nonceByteCount + count)
        var tag = sealed.extracting(last: Self.tagByteCount).withUnsafeBufferPointer { Array($0) }
        var opened = [UInt8](repeating: 0, count: count)
        let isGenuine = withContext(nonce, isSealing: false) { context in
            Self.update(context, data, into: nil)
                && opened.withUnsafeMutableBufferPointer { Self.update(context, text, into: $0.baseAddress) }
                && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tag.count), &tag) == 1
                && Self.finish(context)
        }
        // What was decrypted is nobody's to see before the tag has proven it (SP 800-38D §7.2).
        guard isGenuine else { throw CryptographyError("not what was sealed under this key") }
        return opened
    }

    /// The same with a nonce of the caller's, for comparing with published vectors.
    func seal(_ text: Span<UInt8>, authenticating data: Span<UInt8>, nonce: [UInt8]) -> [UInt8] {
        var encrypted = [UInt8](repeating: 0, count: text.count)
        var tag = [UInt8](repeating: 0, count: Self.tagByteCount)
        let isSealed = withContext(nonce.span, isSealing: true) { context in
            Self.update(context, data, into: nil)
                && encrypted.withUnsafeMutableBufferPointer { Self.update(context, text, into: $0.baseAddress) }
                && Self.finish(context)
                && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tag.count), &tag) == 1
        }
        precondition(isSealed, "AES-256-GCM is not available in the installed OpenSSL")
        return nonce + encrypted + tag
    }

    private func withContext(
        _ nonce: Span<UInt8>, isSealing: Bool, _ body: (OpaquePointer) -> Bool
    ) -> Bool {
        guard let context = EVP_CIPHER_CTX_new() else { fatalError("out of memory") }
        defer {
            EVP_CIPHER_CTX_free(context)
            discardOpenSSLErrors()
        }
        let isPrepared = nonce.withUnsafeBufferPointer { nonce in
            EVP_CipherInit_ex(context, EVP_aes_256_gcm(), nil, nil, nil, isSealing ? 1 : 0) == 1
                && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, Int32(nonce.count), nil) == 1
                && EVP_CipherInit_ex(context, nil, nil, key, nonce.baseAddress, isSealing ? 1 : 0) == 1
        }
        return isPrepared && body(context)
    }

    /// Gives OpenSSL text, or, without a place for what comes of it, data to authenticate.
    private static func update(
        _ context: OpaquePointer, _ input: Span<UInt8>, into output: UnsafeMutablePointer<UInt8>?
    ) -> Bool {
        guard input.count > 0 else { return true }
        var count: Int32 = 0
        return input.withUnsafeBufferPointer { input in
            EVP_CipherUpdate(context, output, &count, input.baseAddress, Int32(input.count)) == 1
        }
    }

    private static func finish(_ context: OpaquePointer) -> Bool {
        var (rest, count): (UInt8, Int32) = (0, 0)
        return EVP_CipherFinal_ex(context, &rest, &count) == 1
    }
}
