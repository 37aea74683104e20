internal import Authentication
internal import Lifecycle
internal import Loop
internal import PMS
internal import Policy
internal import Postgres
internal import Server
internal import Telemetry

/// The bridge, put together from the database up.
@OnLoop
final class Bridge {
    /// How long open requests may take when the bridge is stopped; the gateways have drained by then.
    private static let drainTimeout = Duration.seconds(10)

    private let name: String
    private let databases: BridgeDatabases
    private let hotels: HotelDirectory
    private let changes: ChangeFeed
    private let news: AvailabilityNews
    private let leadership: Leadership
    private let frontDesk: FrontDeskFeed
    private let triggers: CacheTriggers
    private let refresher: CatalogueRefresher
    private let writes: PMSWriteQueue
    private let holds: HoldExpiry
    private let settlement: PendingSettlement?
    private let retention: Retention
    private let keys: APIKeyDirectory
    private let tokens: TokenRevocationDirectory
    private let issuers: IssuerKeyDirectory
    private let signingKeys: SigningKeyDirectory
    private let ownTokens: TokenService
    private let apiKeys: APIKeyResource
    private let webhookSecrets: WebhookSecrets
    private let inboundQueue: InboundQueue
    private let inbound: InboundResource
    private let webhookRights: WebhookRights
    private let webhookReplays: WebhookReplays
    private let ownership: OwnershipCheck
    /// Nil where other processes deliver.
    private let dispatcher: Dispatcher?
    private let examiner: TokenExaminer
    private let routes: Routes
    private let policies: PolicyDirectory
    private let isDemo: Bool
    private var isReady = false
    private let contract: (server: Server, listener: Listener)
    private let administration: (server: Server, listener: Listener)

    /// - Parameter dispatches: whether it delivers webhooks, too.
    init(_ configuration: BridgeConfiguration, _ context: ProcessContext, dispatches: Bool) throws {
        let name = Lifecycle.bridgeName(context.worker)
        self.name = name
        Metrics.start(process: name, restarts: Lifecycle.restarts)
        let databases = try BridgeDatabases(configuration)
        let (database, pms) = (databases.own, databases.pms)
        let hotels = HotelDirectory(configuration.policy, pms, database)
        let triggers = CacheTriggers(database)
        let refresher = CatalogueRefresher(hotels, triggers)
        let answers = IdempotentAnswers(database)
        let bookings = BookingService(
            database, databases.reservations(hotels, configuration.policy), hotels, answers, configuration.policy,
            sharesDatabase: databases.remote == nil)
        self.databases = databases
        self.hotels = hotels
        let leadership = try Leadership(configuration.database)
        let frontDesk = FrontDeskFeed(pms, bookings, database, sharesDatabase: databases.remote == nil)
        self.leadership = leadership
        self.frontDesk = frontDesk
        let news = AvailabilityNews(database, hotels)
        self.news = news
        hotels.availabilityRead = { [unowned news] in news.noteAll(of: $0) }
        changes = ChangeFeed(pms, hotels, news) { places in
            if leadership.isLeader { await frontDesk.suspect(places) }
        }
        self.triggers = triggers
        self.refresher = refresher
        let writes = PMSWriteQueue(database, hotels, RetryPolicy(configuration.policy.pmsWrites))
        self.writes = writes
        holds = HoldExpiry(database, hotels, bookings, writes)
        settlement = databases.remote.map { PendingSettlement(bookings, $0, hotels, writes) }
        let keys = APIKeyDirectory(database)
        self.keys = keys
        let tokens = TokenRevocationDirectory(database)
        self.tokens = tokens
        let issuerPolicy = configuration.changeable.issuers
        let issuers = try IssuerKeyDirectory(issuerPolicy.keySets, database)
        self.issuers = issuers
        let signingKeys = SigningKeyDirectory(issuerPolicy.own, database, issuers)
        self.signingKeys = signingKeys
        let ownTokens = TokenService(issuerPolicy.own, database, signingKeys)
        self.ownTokens = ownTokens
        retention = Retention(database, configuration.policy.retention, ownTokens)
        let examiner = TokenExaminer(issuerPolicy, issuers, tokens)
        self.examiner = examiner

        let credentials = CredentialCheck(database, examiner)
        let registered = configuration.changeable.registeredClients
        let apiKeys = APIKeyResource(database, pms, credentials, registered: registered)
        let inboundQueue = InboundQueue(configuration.changeable.inbound, database, hotels, refresher, triggers)
        self.inboundQueue = inboundQueue
        let inbound = InboundResource(configuration.changeable.inbound, database, inboundQueue, answers)
        self.inbound = inbound
        self.apiKeys = apiKeys
        let webhookSecrets = WebhookSecrets(issuerPolicy.own)
        self.webhookSecrets = webhookSecrets
        let ownership = OwnershipCheck(
            database, webhookSecrets, configuration.changeable.egress, configuration.policy.webhooks)
        self.ownership = ownership
        webhookRights = WebhookRights(database, registered: registered)
        let webhookReplays = WebhookReplays(database)
        self.webhookReplays = webhookReplays
        let dispatcher = dispatches ? try Dispatcher(configuration, webhookSecrets) : nil
        self.dispatcher = dispatcher
        let hop = try HopIdentity(keyFile: configuration.hopKeyFile)
        let routes = Routes(
            configuration.changeable.routes, hop: hop,
            gatewayCalls: GatewayCalls(hop: hop, keys: keys, tokens: tokens, issuers: issuers),
            resources: Routes.resources(
                hotels, bookings, CacheResource(hotels, refresher, triggers, answers), answers,
                TokenResource(ownTokens, examiner, signingKeys, database, pms, configuration.policy.writer),
                apiKeys, DeadLetterResource(database, writes, answers),
                WebhookResource(
                    database, credentials, answers, webhookSecrets, ownership, allowsPlainLoopback: configuration.isDemo
                ),
                DeliveryResource(database, credentials, answers),
                ReplayResource(
                    database, credentials, answers, webhookReplays,
                    eventDays: configuration.policy.retention.eventDays),
                inbound, configuration.policy)
        ) { dispatcher?.wake() }
        self.routes = routes
        policies = BridgeConfiguration.directory(context)
        isDemo = configuration.isDemo
        let admin = BridgeAdministration(hotels) {
            hotels.unreadiness ?? databases.unreadiness
        }
        let socket = try context.socket("bridge") {
            try ListeningSocket(unixPath: "\(context.home)/run/bridge.sock")
        }
        let adminSocket = try context.socket("process-admin") {
            try ListeningSocket(unixPath: "\(context.home)/run/\(name).admin.sock")
        }
        contract = (
            Server(name: "bridge", configuration: configuration.server, handler: routes), try Listener(socket)
        )
        administration = (
            Server(name: "process-admin", configuration: .init(), handler: admin), try Listener(adminSocket)
        )
    }

    /// Compares bookings and indexes with the PMS, beside bridges that serve.
    ///
    /// - Returns: how much differs, when all is done.
    static func reconcile(
        _ configuration: BridgeConfiguration, _ context: ProcessContext, _ order: Reconciliation.Order
    ) async throws -> Int {
        Metrics.start(process: "reconcile", restarts: 0)
        let databases = try BridgeDatabases(configuration, connections: 2)
        let (database, pms) = (databases.own, databases.pms)
        let hotels = HotelDirectory(configuration.policy, pms, database)
        let reservations = databases.reservations(hotels, configuration.policy)
        let reconciliation = Reconciliation(
            database: database, pms: pms, hotels: hotels,
            bookings: BookingService(
                database, reservations, hotels, IdempotentAnswers(database), configuration.policy,
                sharesDatabase: databases.remote == nil),
            agent: configuration.policy.writer.agentName, sockets: context.run)
        return try await withThrowingTaskGroup(of: Int?.self) { group in
            group.addTask {
                await databases.run()
                return nil
            }
            group.addTask { try await reconciliation.run(order) }
            defer { group.cancelAll() }
            while let left = try await group.next() { if let left { return left } }
            throw CancellationError()
        }
    }

    /// Loads the hotels, then serves until a signal says to stop.
    func run() async throws {
        let signals = ProcessSignals()
        defer { signals.close() }
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { await self.databases.run() }
            group.addTask { await self.administration.server.run(self.administration.listener) }
            group.addTask {
                await self.changes.begin()
                do {
                    if try await self.hotels.load() { await self.triggers.recordFill(hotels: self.hotels.count) }
                } catch is CancellationError { return }
                await self.serve()
            }
            while try await signals.next() == .hangUp { await self.reload() }
            Log.info("bridge drains")
            self.keys.close()
            self.tokens.close()
            self.issuers.close()
            self.signingKeys.close()
            await self.drain()
            group.cancelAll()
        }
        ownership.close()
    }

    private func serve() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.contract.server.run(self.contract.listener) }
            group.addTask { await self.hotels.keepFresh() }
            group.addTask { await self.hotels.recover() }
            group.addTask { await self.changes.run() }
            group.addTask { await self.hotels.follow() }
            group.addTask { await self.hotels.noteFreshness() }
            group.addTask { await self.hotels.writeDown() }
            group.addTask { await self.refresher.run() }
            group.addTask { await self.triggers.run() }
            group.addTask { await self.leadership.run() }
            // What one of the bridges on a database does for all of them.
            group.addTask { await self.leadership.whileLeading { await self.frontDesk.run(term: $0) } }
            group.addTask { await self.leadership.whileLeading { _ in await self.news.run() } }
            group.addTask { await self.leadership.whileLeading { _ in await self.holds.run() } }
            group.addTask { await self.leadership.whileLeading { _ in await self.retention.run() } }
            group.addTask { await self.leadership.whileLeading { _ in await self.webhookRights.run() } }
            group.addTask { await self.ownTokens.run() }
            group.addTask { await self.inboundQueue.run() }
            group.addTask { await self.writes.run() }
            group.addTask { await self.webhookReplays.run() }
            if let remote = databases.remote { group.addTask { await remote.settleCommits() } }
            group.addTask { await self.keys.run() }
            group.addTask { await self.tokens.run() }
            group.addTask { await self.issuers.run() }
            group.addTask { await self.signingKeys.run() }
            if let dispatcher { group.addTask { await dispatcher.run() } }
            // Meanwhile clients are told that the hotel they ask for is not available.
            do { try await hotels.waitUntilReadable() } catch { return }
            isReady = true
            Readiness.report(process: name)
            Log.info("bridge is ready", ["hotels": .init(hotels.count)])
        }
    }

    /// Goes over to the policies as they are now, as far as that needs no other bridge, and says when it has.
    private func reload() async {
        do {
            // Some milliseconds, in which others need not wait.
            let next = try await Loop.offload { [policies, isDemo] in
                try BridgeConfiguration.Changeable(policies, isDemo: isDemo)
            }
            try issuers.replace(next.issuers.keySets)
            signingKeys.replace(next.issuers.own)
            ownTokens.replace(next.issuers.own)
            examiner.replace(next.issuers)
            apiKeys.replace(registered: next.registeredClients)
            webhookSecrets.replace(next.issuers.own)
            webhookRights.replace(registered: next.registeredClients)
            inbound.replace(next.inbound)
            inboundQueue.replace(next.inbound)
            ownership.replace(next.egress)
            dispatcher?.replace(next.egress)
            routes.replace(next.routes)
            Log.info("bridge goes by the policies as they are now")
            if isReady { Readiness.report(process: name) }
        } catch {
            Log.error("bridge goes on by the policies as they were", ["error": .init(error: error)])
        }
    }

    private func drain() async {
        await withDiscardingTaskGroup { group in
            for server in [contract.server, administration.server] {
                group.addTask { await server.drain(patience: Self.drainTimeout) }
            }
            if let dispatcher { group.addTask { await dispatcher.drain(patience: Self.drainTimeout) } }
        }
    }
}
