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
            certificateChainPath: String, keyPath: String, minimumVersion: TLSVersion = .v1_3,
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

    /// What is odd about the certificate in force.
    public private(set) var warnings: [TLSWarning]

    /// - Throws: `TLSError` that names the file at fault.
    public init(_ configuration: Configuration) throws {
        self.configuration = configuration
        tickets = TicketKeys(lifetime: configuration.ticketKeyLifetime)
        (context, warnings) = try Self.make(configuration, tickets)
    }

    /// Reads certificate and key again; sessions made from now on use them, others keep theirs.
    ///
    /// - Throws: `TLSError` that names the file at fault; what was in force stays so.
    public func reload() throws {
        (context, warnings) = try Self.make(configuration, tickets)
    }

    /// The state machine for one accepted connection; set it as the stream's `security` before the first read.
    public func makeSession() throws -> TLSServerSession { try TLSServerSession(server: context) }

    private static func make(
        _ configuration: Configuration, _ tickets: TicketKeys
    ) throws -> (Context, [TLSWarning]) {
        let context = try Context(isServer: true, versions: configuration.minimumVersion ... .v1_3)
        let warnings = try context.load(
            certificateChain: configuration.certificateChainPath, key: configuration.keyPath)
        context.selectHTTP1()
        try context.useTickets(tickets)
        return (context, warnings)
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
