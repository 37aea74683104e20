internal import COpenSSL

/// What went wrong in TLS.
public struct TLSError: Error, Equatable, CustomStringConvertible {
    /// The kind, in the terms a caller decides by.
    public enum Code: Sendable, Equatable {
        /// A certificate, key or authority file cannot be read.
        case fileMissing
        /// A file does not hold what it should.
        case fileInvalid
        /// The private key belongs to another certificate.
        case keyMismatch
        /// The peer's handshake was refused, or it refused ours; a certificate that does not verify is one of these.
        case handshake
        /// The peer broke the protocol after the handshake.
        case protocolViolation
        /// Bytes were to be sent before the handshake, or after a failure.
        case notEstablished
        /// OpenSSL itself failed, such as for want of memory.
        case system
    }

    public let code: Code

    /// The file or host at fault, where it is one.
    public let subject: String?

    /// What OpenSSL or the system said; for logs.
    public let reason: String

    public var description: String { "TLS: \(code): \(subject.map { "\($0): " } ?? "")\(reason)" }

    init(_ code: Code, _ reason: String, subject: String? = nil) {
        self.code = code
        self.subject = subject
        self.reason = reason
    }

    /// Takes the oldest error from OpenSSL's queue, which is the cause of those after it, and empties the queue.
    static func fromQueue(_ code: Code, subject: String? = nil) -> TLSError {
        let error = ERR_get_error()
        ERR_clear_error()
        let reason = ERR_reason_error_string(error).map { String(cString: $0) } ?? "no reason given"
        return TLSError(code, reason, subject: subject)
    }
}

/// Something about a certificate that does not keep it from being used.
public enum TLSWarning: Sendable, Equatable {
    /// The certificate's last day is over: clients will refuse it.
    case certificateExpired(path: String)
    /// The certificate's last day is less than a week away.
    case certificateExpiresSoon(path: String)
    /// The certificate's first day is yet to come.
    case certificateNotYetValid(path: String)
}

/// From when to when a certificate is good, in Unix time.
public struct TLSValidity: Sendable, Equatable {
    public let notBefore: Int64
    public let notAfter: Int64
}

/// A protocol version.
public enum TLSVersion: Int32, Sendable, Comparable {
    case tls12 = 0x0303
    case tls13 = 0x0304

    public static func < (left: TLSVersion, right: TLSVersion) -> Bool { left.rawValue < right.rawValue }
}

/// What a handshake agreed on.
public struct TLSInfo: Sendable, Equatable {
    /// Such as `TLSv1.3`.
    public let version: String
    /// Such as `TLS_AES_256_GCM_SHA384`.
    public let cipher: String
    /// The host name that the client asked for (SNI, RFC 6066 §3), where it did.
    public let serverName: String?
    /// The protocol chosen by ALPN (RFC 7301), where there was a choice.
    public let applicationProtocol: String?
    /// Whether an earlier session's secrets were used.
    public let isResumed: Bool
}
