internal import COpenSSL
public import Loop

/// What a server's sessions share: its certificate and its rules.
@OnLoop
public final class TLSServerContext {
    /// Where the certificate is and what is spoken.
    public struct Configuration: Sendable {
        /// PEM: the certificate, then what certifies it, up to the root's child.
        public var certificateChainPath: String
        /// PEM: the private key.
        public var keyPath: String
        /// The oldest version that is accepted.
        public var minimumVersion: TLSVersion
        /// How long a key encrypts session tickets; it decrypts for as long again.
        public var ticketKeyLifetime: Duration

        public init(
            certificateChainPath: String, keyPath: String, minimumVersion: TLSVersion = .tls13,
            ticketKeyLifetime: Duration = .seconds(8 * 3600)
        ) {
            self.certificateChainPath = certificateChainPath
            self.keyPath = keyPath
            self.minimumVersion = minimumVersion
            self.ticketKeyLifetime = ticketKeyLifetime
        }
    }

    private let configuration: Configuration
    private let tickets: TicketKeys
    private var context: Context

    /// From when to when the certificate in force is good.
    public private(set) var validity: TLSValidity

    /// How long before its end a certificate is worth a warning, in seconds.
    private static let renewalPeriod: Int64 = 7 * 86_400

    /// - Throws: `TLSError` that names the file at fault.
    public init(_ configuration: Configuration) throws {
        self.configuration = configuration
        tickets = TicketKeys(lifetime: configuration.ticketKeyLifetime)
        (context, validity) = try Self.make(configuration, tickets)
    }

    /// Reads certificate and key again; sessions made from now on use them, others keep theirs.
    ///
    /// - Throws: `TLSError` that names the file at fault; what was in force stays so.
    public func reload() throws {
        (context, validity) = try Self.make(configuration, tickets)
    }

    /// What is odd about the certificate in force now.
    public var warning: TLSWarning? {
        let path = configuration.certificateChainPath
        let now = Loop.unixSeconds
        if now > validity.notAfter { return .certificateExpired(path: path) }
        if now < validity.notBefore { return .certificateNotYetValid(path: path) }
        return validity.notAfter - now < Self.renewalPeriod ? .certificateExpiresSoon(path: path) : nil
    }

    /// The state machine for one accepted connection; set it as the stream's `security` before the first read.
    public func makeSession() throws -> TLSServerSession { try TLSServerSession(server: context) }

    private static func make(
        _ configuration: Configuration, _ tickets: TicketKeys
    ) throws -> (Context, TLSValidity) {
        let context = try Context(isServer: true, versions: configuration.minimumVersion ... .tls13)
        let validity = try context.load(certificateChain: configuration.certificateChainPath)
        try context.load(key: configuration.keyPath)
        context.selectHTTP1()
        try context.useTickets(tickets)
        return (context, validity)
    }
}

/// A server's side of one connection.
@OnLoop
public final class TLSServerSession: TLSSession {
    init(server context: Context) throws {
        try super.init(context)
        SSL_set_accept_state(connection.pointer)
    }
}
