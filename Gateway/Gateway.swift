internal import Audit
internal import Authentication
internal import Client
internal import Lifecycle
internal import Loop
internal import Policy
internal import Proxy
internal import RateLimit
internal import Server
internal import TLS
internal import Telemetry

/// One worker, put together in the order a request passes it: listeners, pipeline, bridge.
@OnLoop
final class Gateway {
    /// How long the last records may take to be acknowledged when the worker stops.
    private static let recordPatience = Duration.seconds(1)

    private let name: String
    private let configuration: GatewayConfiguration
    private let upstream: Upstream
    private let audit: AuditLog
    private let access: AccessLog
    private let limits: Limits
    private let apiKeys: APIKeySync
    private let revocations: TokenRevocationSync
    private let issuerKeys: IssuerKeySync
    private let certificates: [ListenerCertificate]
    private let servers: [(server: Server, listener: Listener)]

    init(_ configuration: GatewayConfiguration, _ context: ProcessContext) throws {
        self.configuration = configuration
        let name = "gateway-\(context.worker)"
        Metrics.start(process: name, restarts: Lifecycle.restarts)
        let upstream = Upstream(
            name: "bridge", endpoint: .unix(path: configuration.bridgeSocket),
            configuration: configuration.upstream)
        self.upstream = upstream
        let hop = try HopIdentity(keyFile: configuration.hopKeyFile)
        let calls = BridgeCalls(hop, bridge: .unix(path: configuration.bridgeSocket))
        let ring = APIKeyRing(maximumStaleness: configuration.keys.apiKeys.maximumStaleness)
        apiKeys = APIKeySync(ring, calls)
        let tokens = TokenVerifier(
            issuers: configuration.issuers.believed,
            revocations: TokenRevocations(maximumStaleness: configuration.issuers.revocations.maximumStaleness))
        revocations = TokenRevocationSync(tokens, calls)
        let issuerKeys = IssuerKeySync(tokens, configuration.issuers.believed, calls)
        self.issuerKeys = issuerKeys
        let audit = try AuditLog(configuration.audit)
        self.audit = audit
        let access = try AccessLog(configuration.policy.accessLog, hashKey: configuration.audit.hashKey)
        self.access = access
        let limits = try Limits(
            configuration.rateLimits, configuration.routes, sources: configuration.inbound.rates)
        self.limits = limits
        let nonces = try NonceMemory(configuration.keys, file: configuration.nonceFile, shared: limits.redis)
        let pipeline = Pipeline(
            admission: Admission(configuration.addresses, limits),
            crossOrigin: CrossOrigin(configuration.policy.crossOrigin), routes: configuration.routes,
            credentials: CredentialVerifier(
                tokens: tokens, issuers: issuerKeys, apiKeys: ring,
                signedRequests: SignedRequests(configuration.keys.signatures, nonces),
                webhooks: SignedWebhooks(configuration.keys.webhooks, nonces),
                sources: InboundSources(configuration.inbound)),
            limits: limits,
            inspection: try Inspection(
                configuration.inspection, configuration.routes, rules: configuration.firewallRules),
            recording: Recording(audit, access), forwarding: Forwarder(ReverseProxy(upstream: upstream), hop))
        let unreadiness: AdminHandler.Readiness = {
            upstream.isHealthy ? audit.unreadiness : "the bridge does not answer"
        }
        let admin = AdminHandler(unreadiness: unreadiness)
        let node = AdminHandler(
            unreadiness: unreadiness, metrics: NodeMetrics(directory: context.run, own: name).render)

        let addresses = try NodeAddressBounds(configuration.policy.limits, file: configuration.addressFile)
        var certificates: [ListenerCertificate] = []
        var servers: [(Server, Listener)] = []
        for policy in configuration.policy.listeners {
            let certificate = try policy.tls.map { try ListenerCertificate(listener: policy.name, $0) }
            if let certificate { certificates.append(certificate) }
            let socket = try context.socket(policy.name) {
                try ListeningSocket(
                    address: policy.address.host, port: UInt16(policy.address.port), isShared: true)
            }
            let handler: any Handler = policy.isAdmin ? node : pipeline
            var makeSecurity: (@OnLoop () throws -> any StreamSecurity)?
            if let certificate { makeSecurity = { try certificate.context.makeSession() } }
            let server = Server(
                name: policy.name, configuration: configuration.server(for: policy), handler: handler,
                addresses: policy.isAdmin ? nil : addresses, makeSecurity: makeSecurity)
            servers.append((server, try Listener(socket)))
        }
        let socket = try context.socket("process-admin") {
            try ListeningSocket(unixPath: "\(context.run)/\(name).admin.sock")
        }
        servers.append((Server(name: "process-admin", configuration: .init(), handler: admin), try Listener(socket)))
        self.certificates = certificates
        self.servers = servers
        self.name = name
        // Whoever takes a worker over cannot rewrite what the ledger says, nor put another socket in the place of the
        // ledger's, whichever user it runs as. What is open stays open: the tables of limits, addresses and nonces. No
        // other thread exists yet that could keep the right.
        FileRestriction.allowWriting(beneath: [])
    }

    /// Serves until a signal says to stop, then finishes what is open.
    func run() async throws {
        let signals = ProcessSignals()
        await withDiscardingTaskGroup { group in
            await learnKeys()
            group.addTask { await self.apiKeys.run() }
            group.addTask { await self.revocations.run() }
            group.addTask { await self.issuerKeys.run() }
            for (server, listener) in servers { group.addTask { await server.run(listener) } }
            group.addTask { await self.upstream.checkHealth(path: "/healthz") }
            group.addTask { await self.audit.run() }
            group.addTask { await self.access.run() }
            if let redis = limits.redis { group.addTask { await redis.run() } }
            Readiness.report(process: name)
            Log.info("gateway worker is ready")
            await untilStopped(by: signals)
            Readiness.reportStopping(process: name)
            Log.info("gateway worker drains")
            await drain()
            try? await Loop.withDeadline(.seconds(1), "report uses") { await self.apiKeys.reportUses() }
            await audit.drain(patience: Self.recordPatience)
            group.cancelAll()
        }
        signals.close()
    }

    /// Learns the keys and revocations that the bridge knows before it serves, if the bridge answers soon. Without them
    /// it serves all the same: not every way in needs them, and they come when the bridge does.
    private func learnKeys() async {
        try? await Loop.withDeadline(.seconds(2), "learn keys") {
            await self.apiKeys.begin()
            await self.revocations.begin()
            await self.issuerKeys.begin()
        }
    }

    /// Returns when a signal asks to stop; reloads meanwhile when one asks for that.
    private func untilStopped(by signals: ProcessSignals) async {
        do {
            while try await signals.next() == .hangUp {
                for certificate in certificates { certificate.reload() }
            }
        } catch {
            // A worker that hears no signals could never be told to stop, so it stops now.
            Log.error("gateway worker hears no signals any more", ["error": .init(error: error)])
        }
    }

    private func drain() async {
        await withDiscardingTaskGroup { group in
            for (server, _) in servers {
                group.addTask { await server.drain(patience: self.configuration.policy.drainTimeout) }
            }
        }
    }
}
