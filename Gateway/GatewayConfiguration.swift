internal import Audit
internal import Authentication
internal import Client
internal import HTTP
internal import Lifecycle
internal import Policy
internal import Server

/// Everything a worker is configured with, read and checked before any socket is touched.
struct GatewayConfiguration: Sendable {
    let policy: GatewayPolicy
    let routes: RouteTable
    let issuers: IssuerPolicy
    let keys: KeyPolicy
    let inbound: InboundPolicy
    let addresses: AddressPolicy
    let rateLimits: RateLimitPolicy
    let inspection: InspectionPolicy
    let firewallRules: String
    let bridgeSocket: String
    let hopKeyFile: String
    /// Where the node remembers what may be said once, signed requests and webhooks; it outlives the run, as what was
    /// captured may.
    let nonceFile: String
    /// Where the node's workers count what each address holds on to. Named as a part of the limits' table, because what
    /// is called so is removed with the run's directory.
    let addressFile: String
    let audit: AuditLog.Configuration

    /// - Throws: `PolicyError` with every mistake of the file that has any; `SocketPath.TooLong`.
    init(_ context: ProcessContext) throws {
        let directory = PolicyDirectory(path: context.policies, installation: context.home)
        policy = try directory.gateway()
        routes = try directory.routes()
        issuers = try directory.issuers()
        keys = try directory.keys()
        inbound = try directory.inbound()
        addresses = try directory.addresses()
        rateLimits = try directory.rateLimits()
        inspection = try directory.inspection()
        firewallRules = directory.firewallRules
        bridgeSocket = try SocketPath.resolve(policy.upstream.socketPath)
        nonceFile = "\(context.home)/nonces"
        addressFile = "\(context.run)/rate-limits.table.addresses"
        hopKeyFile = "\(context.home)/keys/hop.key"
        var audit = AuditLog.Configuration(
            socketPath: try SocketPath.resolve("\(context.run)/ledger.sock"), worker: "gateway-\(context.worker)",
            hashKey: try KeyedHash.key(file: "\(context.home)/keys/audit.key"))
        audit.deadline = policy.ledger.deadline
        self.audit = audit
    }

    /// The server's bounds in the terms of the policy.
    var server: ServerConfiguration {
        var server = ServerConfiguration()
        server.limits.startLine = policy.limits.maximumRequestLine.bytes
        server.limits.fieldSection = policy.limits.maximumFieldSection.bytes
        server.limits.fieldCount = policy.limits.maximumFieldCount
        server.limits.body = UInt64(policy.limits.maximumBody.bytes)
        server.maximumConnections = policy.limits.maximumConnections
        server.maximumRequestsPerConnection = UInt64(policy.limits.maximumRequestsPerConnection)
        server.headTimeout = policy.timeouts.header
        server.bodyTimeout = policy.timeouts.body
        server.idleTimeout = policy.timeouts.idle
        server.minimumBodyRate = UInt64(policy.timeouts.minimumBodyRate.bytes)
        server.bodyRateGrace = policy.timeouts.minimumBodyRateGrace
        server.idleGrace = Self.idleGrace
        return server
    }

    /// The same for one listener: what its answers say of it.
    func server(for listener: GatewayPolicy.Listener) -> ServerConfiguration {
        var server = server
        guard !listener.isAdmin else { return server }
        var lines = "X-Content-Type-Options: nosniff\r\n"
        if let seconds = listener.tls?.strictTransportSecurity.components.seconds, seconds > 0 {
            lines += "Strict-Transport-Security: max-age=\(seconds)\r\n"
        }
        server.answerLines = Array(lines.utf8)
        return server
    }

    /// How long a worker that ends waits for the next request on connections that are open: long enough for one that
    /// was sent before the client could know.
    private static let idleGrace = Duration.seconds(1)

    /// The bridge's pool in the terms of the policy.
    var upstream: Upstream.Configuration {
        var upstream = Upstream.Configuration()
        upstream.maximumConnections = policy.upstream.maximumConnections
        upstream.maximumWaiting = policy.upstream.maximumWaitingRequests
        upstream.connectTimeout = policy.upstream.connectTimeout
        upstream.responseTimeout = policy.upstream.responseTimeout
        upstream.healthCheckInterval = policy.upstream.healthCheckInterval
        return upstream
    }
}
