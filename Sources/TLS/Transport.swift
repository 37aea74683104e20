internal import COpenSSL

/// What OpenSSL takes for its socket: it reads straight from the bytes that have just arrived, and writes to the end of
/// an array. It stores nothing, where OpenSSL's own memory BIOs keep their largest size for ever.
///
/// Not isolated, because OpenSSL's callbacks are C functions; used only inside the calls of the session that owns it.
final class Transport {
    /// What is left of the bytes that have just arrived; valid only during one call.
    var incoming = UnsafeRawBufferPointer(start: nil, count: 0)
    var outgoing: [UInt8] = []

    /// A BIO that refers to this object without keeping it alive.
    func makeBIO() -> OpaquePointer? {
        guard let bio = BIO_new(Self.method) else { return nil }
        BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
        BIO_set_init(bio, 1)
        return bio
    }

    // Made once and never changed.
    nonisolated(unsafe) private static let method: OpaquePointer = {
        let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "drawbridge")!
        BIO_meth_set_read(method) { bio, buffer, count in Transport.of(bio).read(into: buffer, count, bio) }
        BIO_meth_set_write(method) { bio, bytes, count in Transport.of(bio).write(bytes, count) }
        BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        return method
    }()

    private static func of(_ bio: OpaquePointer?) -> Transport {
        Unmanaged<Transport>.fromOpaque(BIO_get_data(bio)).takeUnretainedValue()
    }

    private func read(into buffer: UnsafeMutablePointer<CChar>?, _ count: CInt, _ bio: OpaquePointer?) -> CInt {
        let taken = min(Int(count), incoming.count)
        guard taken > 0 else {
            BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
            return -1
        }
        BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
        UnsafeMutableRawPointer(buffer!).copyMemory(from: incoming.baseAddress!, byteCount: taken)
        incoming = UnsafeRawBufferPointer(rebasing: incoming[(incoming.startIndex + taken)...])
        return CInt(taken)
    }

    private func write(_ bytes: UnsafePointer<CChar>?, _ count: CInt) -> CInt {
        outgoing.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: Int(count)))
        return count
    }
}
