internal import COpenSSL
public import Loop

/// One connection's TLS: OpenSSL as a state machine, bytes in, bytes out.
@OnLoop
public class TLSSession: StreamSecurity {
    /// A handshake that takes more bytes of the peer than this is refused.
    public static let handshakeBound = 64 << 10

    /// The most plaintext that one record holds (RFC 8446 §5.1).
    private static let recordBound = 16 << 10

    let connection: Connection
    private let transport = Transport()
    private var handshakeCount = 0
    private var failure: TLSError?
    private var hasSaidGoodbye = false

    /// Whether the handshake is done.
    public private(set) var isEstablished = false

    /// Whether the peer has sent its close_notify: an end without one may be an attacker's cut (RFC 8446 §6.1).
    public private(set) var isClosedByPeer = false

    /// The version of TLS, such as "1.3".
    public private(set) lazy var protocolVersion: String? = {
        let version = String(cString: SSL_get_version(connection.pointer))
        return version.hasPrefix("TLSv") ? String(version.dropFirst(4)) : version
    }()

    init(_ context: Context) throws {
        guard let ssl = SSL_new(context.pointer), let bio = transport.makeBIO() else {
            throw TLSError.fromQueue(.system)
        }
        SSL_set_bio(ssl, bio, bio)
        connection = Connection(ssl)
    }

    /// What the handshake agreed on; nil before its end.
    public var info: TLSInfo? {
        guard isEstablished else { return nil }
        let ssl = connection.pointer
        var name: UnsafePointer<UInt8>?
        var length: CUnsignedInt = 0
        SSL_get0_alpn_selected(ssl, &name, &length)
        return TLSInfo(
            version: String(cString: SSL_get_version(ssl)),
            cipher: SSL_CIPHER_get_name(SSL_get_current_cipher(ssl)).map { String(cString: $0) } ?? "",
            serverName: SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) },
            applicationProtocol: name.map {
                String(decoding: UnsafeBufferPointer(start: $0, count: Int(length)), as: UTF8.self)
            },
            isResumed: SSL_session_reused(ssl) == 1)
    }

    /// Takes what the peer sent; appends what the user may read to `plaintext` and what must be sent to `outgoing`,
    /// where on failure an alert stands that tells the peer.
    ///
    /// - Throws: `TLSError` `handshake` or `protocolViolation`; the session is of no use then.
    public func receive(
        _ ciphertext: UnsafeRawBufferPointer, plaintext: inout [UInt8], outgoing: inout [UInt8]
    ) throws {
        try exchange(ciphertext, &outgoing) {
            while try readRecord(into: &plaintext) {}
            try checkHandshake(ciphertext.count)
        }
    }

    /// Takes what the user writes; appends the records that must be sent.
    ///
    /// - Throws: `TLSError` `notEstablished` before the end of the handshake.
    public func send(_ plaintext: UnsafeRawBufferPointer, outgoing: inout [UInt8]) throws {
        guard isEstablished, !hasSaidGoodbye else { throw TLSError(.notEstablished, "nothing can be sent") }
        guard !plaintext.isEmpty else { return }
        // What a record adds at most (TLS 1.2 with an explicit nonce): header 5, nonce 8, tag 16.
        let records = plaintext.count / Self.recordBound + 1
        outgoing.reserveCapacity(outgoing.count + plaintext.count + records * 29)
        try exchange(UnsafeRawBufferPointer(start: nil, count: 0), &outgoing) {
            var written = 0
            ERR_clear_error()
            let status = SSL_write_ex(connection.pointer, plaintext.baseAddress, plaintext.count, &written)
            guard status == 1, written == plaintext.count else { throw fail() }
        }
    }

    /// Appends our close_notify, once.
    public func close(outgoing: inout [UInt8]) {
        guard isEstablished, !hasSaidGoodbye, failure == nil else { return }
        hasSaidGoodbye = true
        try? exchange(UnsafeRawBufferPointer(start: nil, count: 0), &outgoing) {
            SSL_shutdown(connection.pointer)
            ERR_clear_error()
        }
    }

    /// Takes from `ciphertext` what the handshake needs and no more.
    ///
    /// - Returns: how many bytes were taken.
    func handshake(_ ciphertext: UnsafeRawBufferPointer, outgoing: inout [UInt8]) throws -> Int {
        try exchange(ciphertext, &outgoing) {
            ERR_clear_error()
            let status = SSL_do_handshake(connection.pointer)
            if status != 1, SSL_get_error(connection.pointer, status) != SSL_ERROR_WANT_READ { throw fail() }
            let taken = ciphertext.count - transport.incoming.count
            try checkHandshake(taken)
            return taken
        }
    }

    /// Calls `body` while OpenSSL reads from `ciphertext` and writes to `outgoing`.
    private func exchange<Output>(
        _ ciphertext: UnsafeRawBufferPointer, _ outgoing: inout [UInt8], _ body: () throws -> Output
    ) throws -> Output {
        if let failure { throw failure }
        transport.incoming = ciphertext
        swap(&transport.outgoing, &outgoing)
        defer {
            transport.incoming = UnsafeRawBufferPointer(start: nil, count: 0)
            swap(&transport.outgoing, &outgoing)
        }
        return try body()
    }

    /// - Returns: whether there may be more.
    private func readRecord(into plaintext: inout [UInt8]) throws -> Bool {
        let ssl = connection.pointer
        // A record's plaintext is shorter than its ciphertext; what else OpenSSL has kept, it tells afterwards.
        let room = min(Self.recordBound, max(512, transport.incoming.count, Int(SSL_pending(ssl))))
        var status: CInt = 0
        plaintext.append(addingCapacity: room) { tail in
            tail.withUnsafeMutableBufferPointer { buffer, count in
                ERR_clear_error()
                var read = 0
                status = SSL_read_ex(ssl, buffer.baseAddress! + count, room, &read)
                count += read
            }
        }
        if status == 1 { return true }
        switch SSL_get_error(ssl, status) {
        case SSL_ERROR_WANT_READ: return false
        case SSL_ERROR_ZERO_RETURN:
            isClosedByPeer = true
            return false
        default: throw fail()
        }
    }

    private func checkHandshake(_ count: Int) throws {
        guard !isEstablished else { return }
        isEstablished = SSL_is_init_finished(connection.pointer) == 1
        handshakeCount += count
        guard isEstablished || handshakeCount <= Self.handshakeBound else {
            let error = TLSError(.handshake, "the handshake is larger than \(Self.handshakeBound) bytes")
            failure = error
            throw error
        }
    }

    private func fail() -> TLSError {
        let error = TLSError.fromQueue(isEstablished ? .protocolViolation : .handshake)
        failure = error
        return error
    }
}

/// Owns one `SSL`.
final class Connection {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { SSL_free(pointer) }
}
