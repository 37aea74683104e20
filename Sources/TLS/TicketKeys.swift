internal import COpenSSL
internal import Glibc
internal import Loop

/// The keys that encrypt session tickets: whoever has one can read the TLS 1.2 sessions resumed with it, so they live
/// in this process's memory only, and not for long. The one before the current is kept to read older tickets.
final class TicketKeys {
    struct Key {
        let name = TicketKeys.random(16)
        let cipherKey = TicketKeys.random(32)
        let macKey = TicketKeys.random(32)
        let made = Loop.monotonicNanoseconds
    }

    private let lifetime: UInt64
    private var current = Key()
    private var previous: Key?

    /// - Parameter lifetime: how long a key encrypts; it decrypts for as long again.
    init(lifetime: Duration) {
        let (seconds, attoseconds) = lifetime.components
        self.lifetime = UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds)) / 1_000_000_000
    }

    /// Where a context keeps the reference to its keys.
    static let index = drawbridge_SSL_CTX_new_index()

    /// OpenSSL's `SSL_CTX_set_tlsext_ticket_key_evp_cb`: sets up encryption of a new ticket, or decryption of a
    /// client's. Returns 1 for success, 2 for success with an old key (renew the ticket), 0 for unknown, -1 for
    /// failure.
    static let callback:
        @Sendable @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt8>?, OpaquePointer?, OpaquePointer?,
            CInt
        ) -> CInt = { ssl, name, iv, cipher, mac, isEncrypting in
            guard let name, let iv, let data = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), TicketKeys.index) else {
                return -1
            }
            let keys = Unmanaged<TicketKeys>.fromOpaque(data).takeUnretainedValue()
            keys.rotate(at: Loop.monotonicNanoseconds)
            guard isEncrypting == 1 else { return keys.decrypt(name, iv, cipher, mac) }
            memcpy(name, keys.current.name, 16)
            guard
                RAND_bytes(iv, 16) == 1,
                EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), keys.current.cipherKey, iv, nil) == 1,
                setUp(mac, keys.current)
            else { return -1 }
            return 1
        }

    private func decrypt(
        _ name: UnsafePointer<UInt8>, _ iv: UnsafePointer<UInt8>, _ cipher: OpaquePointer?, _ mac: OpaquePointer?
    ) -> CInt {
        let isCurrent = memcmp(name, current.name, 16) == 0
        guard let key = isCurrent ? current : previous, isCurrent || memcmp(name, key.name, 16) == 0 else { return 0 }
        guard EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key.cipherKey, iv, nil) == 1, Self.setUp(mac, key) else {
            return -1
        }
        return isCurrent ? 1 : 2
    }

    private func rotate(at now: UInt64) {
        let age = now - current.made
        guard age >= lifetime else { return }
        previous = age >= 2 * lifetime ? nil : current
        current = Key()
    }

    private static func setUp(_ mac: OpaquePointer?, _ key: Key) -> Bool {
        drawbridge_EVP_MAC_init_SHA256(mac, key.macKey, key.macKey.count) == 1
    }

    private static func random(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        precondition(RAND_bytes(&bytes, CInt(count)) == 1, "the system has no randomness")
        return bytes
    }
}
