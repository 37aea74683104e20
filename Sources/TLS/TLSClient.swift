internal import COpenSSL
public import Loop

/// What a client's sessions share: whom it trusts.
@OnLoop
public final class TLSClientContext {
    private let context: Context

    /// - Parameters:
    ///   - authoritiesPath: PEM: the only authorities, or self-signed certificates, that are trusted.
    ///   - versions: the versions that may be agreed on.
    /// - Throws: `TLSError` that names the file at fault.
    public init(authoritiesPath: String, versions: ClosedRange<TLSVersion> = .tls12 ... .tls13) throws {
        context = try Context(isServer: false, versions: versions)
        try context.trust(authorities: authoritiesPath)
        SSL_CTX_set_alpn_protos(
            context.pointer, Context.applicationProtocols, CUnsignedInt(Context.applicationProtocols.count))
    }

    /// The state machine for one connection to `host`, a name or an address, which the certificate must be for.
    ///
    /// - Parameter previous: a session with the same host whose secrets may be used again.
    public func makeSession(host: String, resuming previous: TLSClientSession? = nil) throws -> TLSClientSession {
        try TLSClientSession(client: context, host, previous)
    }
}

/// A client's side of one connection.
@OnLoop
public final class TLSClientSession: TLSSession {
    init(client context: Context, _ host: String, _ previous: TLSClientSession?) throws {
        try super.init(context)
        let ssl = connection.pointer
        SSL_set_connect_state(ssl)
        if X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1 {
            ERR_clear_error()
            // RFC 6066 §3: only names are sent, never addresses.
            guard SSL_set1_host(ssl, host) == 1, drawbridge_SSL_set_server_name(ssl, host) == 1 else {
                throw TLSError.fromQueue(.system, subject: host)
            }
        }
        if let previous, let session = SSL_get1_session(previous.connection.pointer) {
            SSL_set_session(ssl, session)
            SSL_SESSION_free(session)
        }
    }

    /// Shakes hands over a stream that is still plain, and secures it.
    ///
    /// - Throws: `TLSError` `handshake`, such as when the certificate does not verify; `LoopError`;
    ///   `CancellationError`.
    public func handshake(on stream: Stream) async throws {
        var outgoing: [UInt8] = []
        _ = try handshake(UnsafeRawBufferPointer(start: nil, count: 0), outgoing: &outgoing)
        try await stream.write(outgoing)
        while !isEstablished {
            guard try await stream.fill() else { throw TLSError(.handshake, "the peer hung up") }
            outgoing = []
            let result = stream.withReadable { bytes in
                bytes.withUnsafeBytes { bytes in Result { try handshake(bytes, outgoing: &outgoing) } }
            }
            // Ours must go out even when it is only the alert that says why we refuse.
            if !outgoing.isEmpty { try await stream.write(outgoing) }
            stream.consume(try result.get())
        }
        try stream.secure(with: self)
    }
}
