internal import Lifecycle
internal import Loop
internal import Policy
internal import Server
internal import Telemetry

/// A process that delivers webhooks and does nothing else: `drawbridge-bridge --role dispatcher`.
@OnLoop
final class DispatcherProcess {
    /// How long what is being sent may take when it is stopped.
    private static let drainTimeout = Duration.seconds(10)

    private let name: String
    private let dispatcher: Dispatcher
    private let secrets: WebhookSecrets
    private let context: ProcessContext
    private let isDemo: Bool
    private let administration: (server: Server, listener: Listener)

    init(_ configuration: BridgeConfiguration, _ context: ProcessContext) throws {
        let name = Lifecycle.dispatcherName(context.worker)
        self.name = name
        self.context = context
        isDemo = configuration.isDemo
        Metrics.start(process: name, restarts: Lifecycle.restarts)
        let secrets = WebhookSecrets(configuration.changeable.issuers.own)
        self.secrets = secrets
        let dispatcher = try Dispatcher(configuration, secrets)
        self.dispatcher = dispatcher
        let socket = try context.socket("process-admin") {
            try ListeningSocket(unixPath: "\(context.run)/\(name).admin.sock")
        }
        let admin = AdminHandler { dispatcher.unreadiness }
        administration = (
            Server(name: "process-admin", configuration: .init(), handler: admin), try Listener(socket)
        )
    }

    /// Delivers until a signal says to stop.
    func run() async throws {
        let signals = ProcessSignals()
        defer { signals.close() }
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { await self.administration.server.run(self.administration.listener) }
            group.addTask { await self.dispatcher.run() }
            Readiness.report(process: name)
            Log.info("dispatcher is ready")
            while try await signals.next() == .hangUp { await self.reload() }
            Log.info("dispatcher drains")
            await self.dispatcher.drain(patience: Self.drainTimeout)
            group.cancelAll()
        }
    }

    private func reload() async {
        do {
            let (directory, isDemo) = (BridgeConfiguration.directory(context), isDemo)
            let next = try await Loop.offload { try BridgeConfiguration.Changeable(directory, isDemo: isDemo) }
            secrets.replace(next.issuers.own)
            dispatcher.replace(next.egress)
            Readiness.report(process: name)
        } catch {
            Log.error("dispatcher goes on by the policies as they were", ["error": .init(error: error)])
        }
    }
}
