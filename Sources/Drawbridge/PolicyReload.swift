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

/// Lets a running installation go over to other policies: all of them are checked first, then the gateway's workers are
/// replaced one by one, so that no request is lost. What cannot be used leaves everything as it was.
@OnLoop
final class PolicyReload {
    /// Policies that can only be changed by a restart: the supervisor has opened sockets by them, or workers by the old ones
    /// and by the new ones would not remember together.
    private struct NeedsRestart: Error, CustomStringConvertible {
        let description: String
    }

    private let config: String
    private let home: Home
    private let gateways: [SupervisedProcess]
    private let policy: GatewayPolicy
    private let nonces: Int
    private let request = Signal()
    private let counters: [ReloadResult: Counter]

    /// - Parameter policies: those by which the installation was started.
    init(_ config: String, home: Home, policies: PolicyDirectory, gateways: [SupervisedProcess]) throws {
        self.config = config
        self.home = home
        policy = try policies.gateway()
        nonces = try policies.keys().signatures.nonces
        self.gateways = gateways
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
            let result = await reload()
            counters[result]?.increment()
            publish()
        }
    }

    private func reload() async -> ReloadResult {
        do {
            try check()
            try PoliciesInForce.exchange(home)
        } catch {
            let mistakes = (error as? PolicyError)?.mistakes.map(\.description) ?? [String(describing: error)]
            for mistake in mistakes.prefix(20) { Log.error("policy mistake", ["mistake": .string(mistake)]) }
            Log.error("policies are refused; the old ones stay in force", ["mistakes": Log.Value(mistakes.count)])
            return .refused
        }
        Log.info("policies are in order; the workers are replaced")
        for (index, gateway) in gateways.enumerated() {
            do { try await gateway.replace() } catch {
                Log.error("worker does not start with the new policies", ["error": .init(error: error)])
                await goBack(replaced: gateways.prefix(index))
                return .failed
            }
        }
        Log.info("policies are in force")
        return .applied
    }

    /// Reads the policies as they are now, and compares what only a restart may change.
    private func check() throws {
        let directory = try PoliciesInForce.prepareNext(config, home: home)
        let listeners = { (policy: GatewayPolicy) in policy.listeners.map { "\($0.name) \($0.address)" } }
        guard try listeners(directory.gateway()) == listeners(policy) else {
            throw NeedsRestart(description: "other listeners in gateway.yaml need a restart")
        }
        // Workers by the new policies would have another table than those by the old ones, which still answer.
        guard try directory.keys().signatures.nonces == nonces else {
            throw NeedsRestart(description: "another number of nonces in keys.yaml needs a restart")
        }
    }

    private func goBack(replaced: ArraySlice<SupervisedProcess>) async {
        do {
            try PoliciesInForce.exchange(home)
            for gateway in replaced { try await gateway.replace() }
            Log.error("the old policies are in force again")
        } catch {
            Log.error("the old policies are not in force in every worker", ["error": .init(error: error)])
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
