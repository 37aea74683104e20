internal import Glibc
internal import Installation
internal import Lifecycle
internal import Loop
internal import Policy
internal import Telemetry

/// `drawbridge up`: sets up what is missing, starts the processes in order, keeps them running, stops them in reverse.
@OnLoop
struct Up {
    private let gateways: [SupervisedProcess]
    private let reload: PolicyReload
    private let group: ServiceGroup
    private let notifications: ReadinessListener
    private let onReady: @OnLoop () -> Void

    /// Runs until a signal asks for the end; returns the process's exit status.
    nonisolated static func run(_ options: UpOptions) throws -> Int32 {
        try Loop.run {
            // From here on a signal is an orderly stop, whatever is being done.
            let signals = ProcessSignals()
            let home = Home.current
            try home.create()
            let lock = try HomeLock(home)
            defer { withExtendedLifetime(lock) {} }
            let tools = Tools()
            let settings = try Settings()
            let cluster = settings.databaseURL == nil ? try await PrivateCluster(home, tools: tools) : nil
            let run = try cluster?.runDirectory ?? RunDirectory.prepare(home)
            defer {
                PoliciesInForce.remove(home)
                run.remove(home)
            }
            try await Up(options, settings, home, run, cluster, tools).run(signals)
        }
        return 0
    }

    /// Prepares everything that can be known to be wrong before anything is started: policies, ports, programs.
    private init(
        _ options: UpOptions, _ settings: Settings, _ home: Home, _ run: RunDirectory, _ cluster: PrivateCluster?,
        _ tools: Tools
    ) async throws {
        let config = try PolicyLocation.find(options.config, home: home)
        if options.config != nil { try PolicyLocation.remember(config, home: home) }
        let secrets = try Secrets.prepare(home)
        try await Certificate.prepare(home, tools: tools)
        let isSelfSigned = try await Certificate.isSelfSigned(home, tools: tools)
        let policies = try PoliciesInForce.adopt(config, home: home)
        let policy = try policies.gateway()
        OpenFileDemand(policy, try policies.bridge(), try policies.egress(), workers: options.workers).allow()
        let databaseURL = settings.databaseURL ?? cluster!.url(secrets)
        // With a PMS of its own the private database has no demo hotels.
        let isDemo = cluster != nil && settings.pmsDatabaseURL == nil
        let sockets = try GatewaySockets(
            policy.listeners, workers: options.workers, port: settings.port, adminPort: settings.adminPort, run: run)
        let programs = try Programs(
            home: home, policies: policies, run: run, databaseURL: databaseURL,
            pmsDatabaseURL: settings.pmsDatabaseURL, isDemo: isDemo)
        let bridges = try programs.bridges(options.bridges)
        try LedgerHome.prepare(home)
        let ledger = try programs.ledger()
        let gateways = sockets.slots.enumerated().map { worker, sockets in
            programs.gateway(worker, sockets: sockets, drain: policy.drainTimeout)
        }
        notifications = try ReadinessListener(path: run.notifySocket) { report in
            let processes = [ledger] + bridges + gateways
            switch report {
            case .ready(let name): processes.first { $0.name == name }?.reportReady()
            case .stopping(let name, let id): processes.first { $0.name == name }?.reportStopping(id)
            }
        }

        func step(_ name: String, _ work: @escaping @OnLoop () async throws -> Void) -> [any Service] {
            [Step(name, onStop: tools.stop, work)]
        }
        var stages: [[any Service]] = []
        if let cluster {
            let hotels = DemoHotels(cluster, secrets: secrets)
            stages.append(step("private database") { try await cluster.prepare(secrets) })
            stages.append([cluster.log, try cluster.server()])
            if isDemo { stages.append(step("demo PMS") { try await hotels.createSchema() }) }
        }
        stages.append(step("migrations") { try await programs.migrate(tools) })
        if let cluster, isDemo {
            let hotels = DemoHotels(cluster, secrets: secrets)
            stages.append(step("demo hotels") { try await hotels.load(options.demoHotels) })
            stages.append(step("demo API keys") { try await hotels.registerKeys(secrets) })
        }
        stages.append([ledger] + bridges)
        // Nobody connects before there is somebody to answer.
        stages.append(step("ports") { try sockets.listen() })
        stages.append(gateways)
        stages.append(
            step("demo.env") {
                let demo = DemoEnvironment(
                    home: home, sockets: sockets, secrets: secrets, databaseURL: cluster?.url(secrets),
                    isDemo: isDemo, isSelfSigned: isSelfSigned)
                try demo.file.write(to: home.environmentFile)
            })
        group = ServiceGroup("drawbridge", stages)
        self.gateways = gateways
        Metrics.start(process: "drawbridge", restarts: 0)
        reload = try PolicyReload(
            config, home: home, policies: policies, gateways: gateways, bridges: bridges, ledger: ledger)
        onReady = {
            Terminal.print("drawbridge is ready")
            if isDemo { Terminal.print(DemoEnvironment.commands(home: home, unixTime: Loop.unixTime)) }
            Readiness.report(process: "drawbridge")
        }
    }

    private func run(_ signals: ProcessSignals) async throws {
        defer { notifications.close() }
        try await withThrowingTaskGroup { tasks in
            tasks.addTask { try await answer(signals) }
            tasks.addTask { try await reload.run() }
            defer { tasks.cancelAll() }
            try await group.run(ready: onReady)
        }
    }

    /// SIGHUP makes the gateways read their certificates again, and replaces them where policies have changed; any
    /// other signal stops, one a while later hurries.
    private func answer(_ signals: ProcessSignals) async throws {
        // `timeout`, `make` and shells send one request twice: to the process and to its group.
        let echo: UInt64 = 1_000_000_000
        var lastStop: UInt64?
        while true {
            switch try await signals.next() {
            case .hangUp:
                Log.info("reloading")
                for gateway in gateways { gateway.send(signal: SIGHUP) }
                reload.ask()
            case .interrupt, .terminate:
                let now = Loop.monotonicNanoseconds
                if let lastStop, now - lastStop < echo { continue }
                Log.info(lastStop == nil ? "stopping" : "stopping at once")
                lastStop = now
                Readiness.reportStopping()
                group.stop()
            }
        }
    }
}
