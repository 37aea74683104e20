internal import Glibc
internal import Installation
internal import Lifecycle
internal import Loop
internal import Policy
internal import Telemetry

/// What became of a reload.
enum ReloadResult: String, CaseIterable {
    /// The policies are in force in every worker.
    case applied
    /// They have mistakes, or ask for what needs a restart; nothing was changed.
    case refused
    /// A worker did not start with them; the old ones are in force again.
    case failed
}

/// How often each result came, as the supervisor's metrics say it.
struct ReloadCounts {
    static let name: StaticString = "drawbridge_policy_reloads_total"

    private var counts: [ReloadResult: Double] = [:]

    /// Reads what the supervisor of a home has written; zeros where it has written nothing.
    init(_ home: Home) {
        let text = (try? InstallationFile.text(home.supervisorMetrics)) ?? ""
        for line in text.split(separator: "\n") where line.hasPrefix("\(Self.name){") {
            for result in ReloadResult.allCases where line.contains("result=\"\(result.rawValue)\"") {
                counts[result] = line.split(separator: " ").last.flatMap { Double($0) }
            }
        }
    }

    subscript(_ result: ReloadResult) -> Double { counts[result] ?? 0 }
}

/// Lets a running installation go over to other policies: all of them are checked first, then the bridge reads what it
/// can go over to, and the gateway's workers are replaced one by one, so that no request is lost. What cannot be used
/// leaves everything as it was.
@OnLoop
final class PolicyReload {
    /// How long the bridge may take to read its policies, and another process to check them all.
    private static let bridgePatience = Duration.seconds(10)
    private static let checkPatience = Duration.seconds(60)
    /// Mistakes that are logged, and lines that are reported.
    private static let loggedBound = 20
    private static let reportBound = 1000

    /// What the supervisor itself goes by, read while the policies still are where they were checked.
    private struct Next {
        let openFiles: OpenFileDemand
        let drain: Duration
        let remarks: [String]
    }

    /// Why policies are refused, a line each.
    private struct Refusal: Error {
        let mistakes: [String]
    }

    private let config: String
    private let home: Home
    /// Its own: those of the start are stopped, and stop their program, by the step that runs.
    private let tools = Tools()
    private let command: String
    private let gateways: [SupervisedProcess]
    private let bridges: [SupervisedProcess]
    private var demands: [RestartDemand]
    private let policy: GatewayPolicy
    private let nonces: Int
    private let request = Signal()
    private let counters: [ReloadResult: Counter]

    /// - Parameter policies: those by which the installation is started.
    init(
        _ config: String, home: Home, policies: PolicyDirectory, gateways: [SupervisedProcess],
        bridges: [SupervisedProcess], ledger: SupervisedProcess
    ) throws {
        self.config = config
        self.home = home
        command = try Programs.command()
        policy = try policies.gateway()
        nonces = try policies.keys().signatures.nonces
        self.gateways = gateways
        self.bridges = bridges
        demands = bridges.flatMap { bridge in
            ["bridge.yaml", "egress.yaml"].map { RestartDemand(of: bridge, $0) { _ in true } }
        }
        demands += [
            RestartDemand(of: ledger, "gateway.yaml") { $0.hasPrefix("ledger") && $0 != "ledger.deadline" }
        ]
        counters = Dictionary(
            uniqueKeysWithValues: ReloadResult.allCases.map { result in
                let counter = Metrics.counter(
                    ReloadCounts.name, "Policies that were to be put in force, by what became of it.",
                    [("result", result.rawValue)])
                return (result, counter)
            })
        publish()
    }

    /// Somebody asks for it.
    func ask() { request.fire() }

    /// Answers requests, one after the other, until the task is cancelled.
    func run() async throws {
        while true {
            try await request.wait()
            let isDemanded = unlink(home.reloadRequest) == 0
            guard isDemanded || PoliciesInForce.differ(from: config, home: home) else { continue }
            let (result, report) = await reload()
            counters[result]?.increment()
            write(report)
            publish()
        }
    }

    /// - Returns: what is to be said about it besides, a line each.
    private func reload() async -> (ReloadResult, report: [String]) {
        do {
            let next = try await check()
            let before = try PoliciesInForce.contents(home)
            for index in demands.indices { demands[index].note(inForce: before) }
            try PoliciesInForce.exchange(home)
            Log.info("policies are in order; the workers are replaced")
            return await goOver(to: next)
        } catch {
            let mistakes =
                (error as? Refusal)?.mistakes ?? (error as? PolicyError)?.mistakes.map(\.description)
                ?? [String(describing: error)]
            for mistake in mistakes.prefix(Self.loggedBound) {
                Log.error("policy mistake", ["mistake": .string(mistake)])
            }
            Log.error("policies are refused; the old ones stay in force", ["mistakes": Log.Value(mistakes.count)])
            return (.refused, mistakes)
        }
    }

    /// Lets the processes go over to the policies that have just been put in force.
    private func goOver(to next: Next) async -> (ReloadResult, report: [String]) {
        var remarks = next.remarks
        // First, so that it knows what the new workers ask for.
        if await !reloadBridges() {
            remarks.append("a bridge has not gone over to them; its log says why, and a restart helps")
        }
        // What workers may open hangs on the policies, too.
        next.openFiles.allow()
        for (index, gateway) in gateways.enumerated() {
            do { try await gateway.replace() } catch {
                Log.error("worker does not start with the new policies", ["error": .init(error: error)])
                await goBack(replaced: gateways.prefix(index))
                return (.failed, [String(describing: error)])
            }
        }
        await confirm()
        for gateway in gateways { gateway.end(by: Programs.endings(drain: next.drain)) }
        if let now = try? PoliciesInForce.contents(home) {
            for remark in demands.compactMap({ $0.remark(inForce: now) }) where !remarks.contains(remark) {
                remarks.append(remark)
            }
        }
        for remark in remarks { Log.warning("policies are not in force everywhere", ["remark": .string(remark)]) }
        Log.info("policies are in force")
        return (.applied, remarks)
    }

    /// Reads the policies as they are now, and compares what only a restart may change.
    private func check() async throws -> Next {
        let next = try PoliciesInForce.prepareNext(config, home: home)
        let listeners = { (policy: GatewayPolicy) in policy.listeners.map { "\($0.name) \($0.address)" } }
        // The supervisor has opened sockets by them.
        let gateway = try next.gateway()
        guard listeners(gateway) == listeners(policy) else {
            throw Refusal(mistakes: ["\(config)/gateway.yaml: listeners: other names or addresses need a restart"])
        }
        // Workers by the new policies would have another table than those by the old ones, which still answer.
        guard try next.keys().signatures.nonces == nonces else {
            throw Refusal(mistakes: ["\(config)/keys.yaml: signatures.nonces: another number needs a restart"])
        }
        try await checkRules(next)
        return Next(
            openFiles: OpenFileDemand(gateway, try next.bridge(), try next.egress(), workers: gateways.count),
            drain: gateway.drainTimeout,
            remarks: next.certificateMistakes().map { $0.description.replacing(next.path, with: config) })
    }

    /// Has a process of its own check the firewall's rules: their library gives nothing back of what it has loaded.
    private func checkRules(_ next: PolicyDirectory) async throws {
        let result = try await Loop.withDeadline(Self.checkPatience, "check policies") {
            try await self.tools.run(
                [self.command, "policy", "check-rules", next.path], environment: [Home.variable: self.home.path])
        }
        guard !result.exit.isSuccess else { return }
        let mistakes = result.output.replacing(next.path, with: config).split(separator: "\n").map(String.init)
        throw Refusal(mistakes: mistakes.isEmpty ? ["not checked: \(result.reason)"] : mistakes)
    }

    /// Lets the bridge forget what it has kept of the keys of issuers that are not, or elsewhere, in the policies: it
    /// goes over to the same ones again.
    private func confirm() async { _ = await reloadBridges() }

    /// - Returns: whether all have gone over to the policies.
    private func reloadBridges() async -> Bool {
        var haveAll = true
        for bridge in bridges where await !bridge.reload(patience: Self.bridgePatience) { haveAll = false }
        return haveAll
    }

    private func goBack(replaced: ArraySlice<SupervisedProcess>) async {
        do {
            try PoliciesInForce.exchange(home)
            _ = await reloadBridges()
            for gateway in replaced { try await gateway.replace() }
            await confirm()
            Log.error("the old policies are in force again")
        } catch {
            Log.error("the old policies are not in force in every worker", ["error": .init(error: error)])
        }
    }

    /// Writes what `policy reload` is to say; it looks when the metrics have changed.
    private func write(_ report: [String]) {
        let lines = report.prefix(Self.reportBound).map { "\($0)\n" }
        do { try InstallationFile.write(Array(lines.joined().utf8), to: home.reloadReport) } catch {
            Log.error("report is not written", ["error": .init(error: error)])
        }
    }

    /// Writes the supervisor's metrics where a worker that is asked for the node's finds them: the supervisor itself
    /// answers nobody.
    private func publish() {
        do { try InstallationFile.write(Metrics.render(), to: home.supervisorMetrics) } catch {
            Log.error("metrics are not written", ["error": .init(error: error)])
        }
    }
}
