internal import COpenSSL

/// An asymmetric key that OpenSSL holds; freed with the last reference.
///
/// `@unchecked Sendable`: the key is complete when `init` returns and is only read afterwards, which OpenSSL allows
/// from any thread.
final class PEMKey: @unchecked Sendable {
    let pointer: OpaquePointer

    /// Takes over the ownership of a key.
    init(owning pointer: OpaquePointer) { self.pointer = pointer }

    deinit { EVP_PKEY_free(pointer) }

    /// Reads the first PEM block with the given reader (`PEM_read_bio_PUBKEY` and the like).
    convenience init(
        pem: Span<UInt8>, expected: String, read: (OpaquePointer) -> OpaquePointer?
    ) throws(CryptographyError) {
        defer { discardOpenSSLErrors() }
        let key = pem.withUnsafeBytes { bytes -> OpaquePointer? in
            guard let bio = BIO_new_mem_buf(bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1), Int32(bytes.count))
            else { return nil }
            defer { BIO_free(bio) }
            return read(bio)
        }
        guard let key else { throw CryptographyError(expected) }
        self.init(owning: key)
    }

    /// Writes a PEM text with the given writer.
    func pem(write: (OpaquePointer, OpaquePointer) -> Int32) -> String {
        guard let bio = BIO_new(BIO_s_mem()) else { fatalError("out of memory") }
        defer { BIO_free(bio) }
        precondition(write(bio, pointer) == 1, "OpenSSL could not write a key as PEM")
        var start: UnsafeMutablePointer<UInt8>?
        let count = BIO_ctrl(bio, BIO_CTRL_INFO, 0, &start)
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }
}
