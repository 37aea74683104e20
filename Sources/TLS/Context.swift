internal import COpenSSL
internal import Glibc

/// Owns one `SSL_CTX`, whole before anybody sees it. Sessions made from it keep OpenSSL's object alive.
final class Context {
    let pointer: OpaquePointer
    private var tickets: TicketKeys?

    /// ECDHE and AEAD only; TLS 1.3 has nothing else.
    private static let ciphers12 = "ECDHE+AESGCM:ECDHE+CHACHA20"

    /// ALPN's wire form of `http/1.1`: its length, then itself.
    static let applicationProtocols: [UInt8] = [8] + Array("http/1.1".utf8)

    init(isServer: Bool, versions: ClosedRange<TLSVersion>) throws(TLSError) {
        guard let pointer = SSL_CTX_new(isServer ? TLS_server_method() : TLS_client_method()) else {
            throw TLSError.fromQueue(.system)
        }
        self.pointer = pointer
        drawbridge_SSL_CTX_harden(pointer)
        // A key that is encrypted is refused; OpenSSL would ask the terminal for its password.
        SSL_CTX_set_default_passwd_cb(pointer) { _, _, _, _ in -1 }
        guard
            drawbridge_SSL_CTX_set_versions(pointer, versions.lowerBound.rawValue, versions.upperBound.rawValue) == 1,
            SSL_CTX_set_cipher_list(pointer, Self.ciphers12) == 1
        else { throw TLSError.fromQueue(.system) }
    }

    deinit { SSL_CTX_free(pointer) }

    /// Loads a certificate with what certifies it.
    ///
    /// - Returns: from when to when the certificate is good.
    func load(certificateChain path: String) throws(TLSError) -> TLSValidity {
        try Self.checkReadable(path)
        ERR_clear_error()
        guard SSL_CTX_use_certificate_chain_file(pointer, path) == 1 else {
            throw TLSError.fromQueue(.fileInvalid, subject: path)
        }
        let certificate = SSL_CTX_get0_certificate(pointer)
        guard let first = Self.unixTime(X509_get0_notBefore(certificate)),
            let last = Self.unixTime(X509_get0_notAfter(certificate))
        else { throw TLSError(.fileInvalid, "its dates cannot be read", subject: path) }
        return TLSValidity(notBefore: first, notAfter: last)
    }

    /// Loads a private key: that of the certificate, if one is loaded.
    func load(key path: String) throws(TLSError) {
        try Self.checkReadable(path)
        // Asked before: a key of another kind than the certificate's turns OpenSSL's mind to certificates of that kind.
        let hasCertificate = SSL_CTX_get0_certificate(pointer) != nil
        ERR_clear_error()
        guard SSL_CTX_use_PrivateKey_file(pointer, path, SSL_FILETYPE_PEM) == 1 else {
            let isMismatch = ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH
            throw TLSError.fromQueue(isMismatch ? .keyMismatch : .fileInvalid, subject: path)
        }
        guard !hasCertificate || SSL_CTX_check_private_key(pointer) == 1 else {
            throw TLSError.fromQueue(.keyMismatch, subject: path)
        }
    }

    private static func unixTime(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        var parts = tm()
        return ASN1_TIME_to_tm(time, &parts) == 1 ? Int64(timegm(&parts)) : nil
    }

    /// Trusts the authorities in a PEM file and nobody else.
    func trust(authorities path: String) throws(TLSError) {
        try Self.checkReadable(path)
        ERR_clear_error()
        guard SSL_CTX_load_verify_file(pointer, path) == 1 else {
            throw TLSError.fromQueue(.fileInvalid, subject: path)
        }
        SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
    }

    /// Offers HTTP/1.1 by ALPN and refuses clients that speak only something else (RFC 7301 §3.2).
    func selectHTTP1() {
        SSL_CTX_set_alpn_select_cb(
            pointer,
            { _, chosen, chosenLength, offered, offeredLength, _ in
                var selected: UnsafeMutablePointer<UInt8>?
                let ours = Context.applicationProtocols
                let status = ours.withUnsafeBufferPointer {
                    SSL_select_next_proto(
                        &selected, chosenLength, $0.baseAddress, CUnsignedInt($0.count), offered, offeredLength)
                }
                guard status == OPENSSL_NPN_NEGOTIATED, let offered, let chosenLength else {
                    return SSL_TLSEXT_ERR_ALERT_FATAL
                }
                // `selected` points into our array, which may go; the same bytes stand in the client's offer.
                chosen?.pointee = Context.find(ours, in: offered, Int(offeredLength))
                chosenLength.pointee = UInt8(ours.count - 1)
                return SSL_TLSEXT_ERR_OK
            }, nil)
    }

    private static func find(
        _ name: [UInt8], in list: UnsafePointer<UInt8>, _ count: Int
    ) -> UnsafePointer<UInt8>? {
        var position = 0
        while position + name.count <= count {
            if memcmp(list + position, name, name.count) == 0 { return list + position + 1 }
            position += 1 + Int(list[position])
        }
        return nil
    }

    /// Encrypts session tickets with `keys`, which outlive this context.
    func useTickets(_ keys: TicketKeys) throws {
        tickets = keys
        guard
            SSL_CTX_set_ex_data(pointer, TicketKeys.index, Unmanaged.passUnretained(keys).toOpaque()) == 1,
            SSL_CTX_set_tlsext_ticket_key_evp_cb(pointer, TicketKeys.callback) == 1,
            // One for the next connection; a client that opens several shares nothing worth the bytes.
            SSL_CTX_set_num_tickets(pointer, 1) == 1,
            SSL_CTX_set_session_id_context(pointer, "drawbridge", 10) == 1
        else { throw TLSError.fromQueue(.system) }
    }

    private static func checkReadable(_ path: String) throws(TLSError) {
        guard access(path, R_OK) == 0 else {
            throw TLSError(.fileMissing, String(cString: strerror(errno)), subject: path)
        }
    }
}
